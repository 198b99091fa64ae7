"""Reading XML that others wrote: entities are refused before anything expands them, and nothing is fetched."""

import re

from lxml import etree

from formats.whole_file import read_whole

LARGEST = 64 << 20  # bytes of a file for one image
_PLACE = re.compile(r", line \d+, column \d+$")  # in the parser's messages; the line is told apart
# What makes lxml expand, load and fetch nothing; for etree.XMLParser, and (but for the last two) for etree.iterparse.
SAFE = {"resolve_entities": False, "load_dtd": False, "dtd_validation": False, "no_network": True, "huge_tree": False}


def parse_xml(path, file, findings):
    """The root element of a file, or None where it is unusable (the findings say why). file: its name for messages."""
    data = read_whole(path, file, LARGEST, ("xml-unreadable", "xml-broken"), findings)
    if data is None:
        return None
    plain = data.replace(b"\0", b"")  # UTF-16 and UTF-32 too
    found = plain.find(b"<!ENTITY")
    if found >= 0:
        findings.refuse("xml-entity", file, "the file declares an XML entity", plain.count(b"\n", 0, found) + 1)
        return None
    try:
        root = etree.fromstring(data, etree.XMLParser(remove_comments=True, remove_pis=True, **SAFE))
    except etree.XMLSyntaxError as error:
        findings.bad("xml-broken", file, "not well-formed XML: %s" % syntax_message(error), error.lineno or None)
        return None
    dtd = root.getroottree().docinfo.internalDTD
    if (dtd is not None and any(True for _ in dtd.iterentities())) or next(root.iter(etree.Entity), None) is not None:
        findings.refuse("xml-entity", file, "the file uses an XML entity", root.sourceline)
        return None
    return root


def syntax_message(error):
    """What lxml says is wrong, without the place."""
    return _PLACE.sub("", " ".join(str(error.msg).split()))


def text_of(parent, tag):
    """The text of a child, stripped; None where there is no such child."""
    child = parent.find(tag)
    return None if child is None else (child.text or "").strip()
