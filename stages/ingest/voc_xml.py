"""Pascal VOC annotations as LabelImg writes them, read by tag, whatever their order.

Tags: http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/devkit_doc.html. The absolute <path> of LabelImg is ignored.
"""

import os
import re

from annotation import CORNERS, Annotation, RawObject
from image_files import clean_name
from lxml import etree

LARGEST = 64 << 20  # bytes of an annotation file
_PLACE = re.compile(r", line \d+, column \d+$")  # in the parser's messages; the line is told apart
_TRUE, _FALSE = ("1", "true", "yes"), ("0", "false", "no", "unspecified", "")


def read_voc(path, file, split, folders, audit):
    """One annotation file as `Annotation`, or None where it is unusable (the audit says why).

    file: its path for messages; folders: `ImageFolder`s in which to look for the image.
    """
    root = _parse(path, file, audit)
    if root is None:
        return None
    if root.tag != "annotation":
        audit.bad("xml-not-voc", file, "the outermost tag is <%s>, where <annotation> was expected" % root.tag, root.sourceline)
        return None
    image, line = _image(root, path, file, folders, audit)
    if image is None:
        return None
    objects = [_object(element, number, file, audit) for number, element in enumerate(root.findall("object"), 1)]
    return Annotation(split, file, line, image, _size(root, file, audit), [item for item in objects if item is not None])


def _parse(path, file, audit):
    """The root element, or None. Entities are refused before anything expands them, and once more by what the parser saw."""
    try:
        size = os.stat(str(path)).st_size
        with open(str(path), "rb") as stream:
            data = stream.read(LARGEST + 1)
    except OSError as error:
        audit.bad("xml-unreadable", file, "the annotation cannot be read: %s" % error.strerror)
        return None
    if len(data) > LARGEST:
        audit.bad("xml-broken", file, "%d bytes are too many for an annotation" % size)
        return None
    plain = data.replace(b"\0", b"")  # UTF-16 and UTF-32 too
    found = plain.find(b"<!ENTITY")
    if found >= 0:
        audit.refuse("xml-entity", file, "the file declares an XML entity", plain.count(b"\n", 0, found) + 1)
        return None
    parser = etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        dtd_validation=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        audit.bad("xml-broken", file, "not well-formed XML: %s" % _PLACE.sub("", " ".join(str(error.msg).split())), error.lineno or None)
        return None
    dtd = root.getroottree().docinfo.internalDTD
    if (dtd is not None and any(True for _ in dtd.iterentities())) or next(root.iter(etree.Entity), None) is not None:
        audit.refuse("xml-entity", file, "the file uses an XML entity", root.sourceline)
        return None
    return root


def _text(parent, tag):
    """The text of a child, stripped; None where there is no such child."""
    child = parent.find(tag)
    return None if child is None else (child.text or "").strip()


def _image(root, path, file, folders, audit):
    """(path of the image or None, line of <filename>): by <filename>, else by the annotation's own name."""
    element = root.find("filename")
    line = root.sourceline if element is None else element.sourceline
    written = _text(root, "filename") or ""
    name = clean_name(written)
    if name is None:
        audit.refuse("filename-outside", file, "<filename> %s leads out of the images' folder" % written, line)
        return None, line
    if name != ".":
        for folder in folders:
            found = folder.find(name)
            if found is not None:
                return found, line
    stem, shown = os.path.splitext(os.path.basename(str(path)))[0], written or "(no <filename>)"
    for folder in folders:
        found = folder.find_stem(stem)
        if found is not None:
            audit.doubt("image-by-stem", file, "there is no image %s; took %s, named like the annotation" % (shown, found.name), line)
            return found, line
    looked = " or ".join(folder.folder.name for folder in folders)
    audit.bad("image-missing", file, "no image %s (nor %s with an image's extension) in %s" % (shown, stem, looked), line)
    return None, line


def _size(root, file, audit):
    """Declared (width, height); None where absent or 0, as some tools leave it."""
    size = root.find("size")
    texts = [None, None] if size is None else [_text(size, "width"), _text(size, "height")]
    if all(text is not None and text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0 for text in texts):
        return int(texts[0]), int(texts[1])
    line = root.sourceline if size is None else size.sourceline
    audit.doubt("size-undeclared", file, "the image's size is not declared; the file's own was taken", line)
    return None


def _object(element, number, file, audit):
    label = _text(element, "name")
    if not label:
        audit.bad("label-empty", file, "the object has no <name>", element.sourceline, number)
        return None
    box = element.find("bndbox")
    if box is None:
        audit.bad(
            "box-missing",
            file,
            "%s has no <bndbox>, only %s" % (label, ", ".join("<%s>" % child.tag for child in element)),
            element.sourceline,
            number,
        )
        return None
    flags = {"group_of": False, "crowd": False}
    for flag in ("difficult", "truncated"):
        flags[flag] = _flag(element, flag, number, file, audit)
    return RawObject(label, [_text(box, corner) for corner in CORNERS], flags, box.sourceline, number)


def _flag(element, flag, number, file, audit):
    text = (_text(element, flag) or "").lower()
    if text not in _TRUE + _FALSE:
        line = element.find(flag).sourceline
        audit.doubt("flag-unclear", file, "<%s> is %s, where 0 or 1 was expected; taken as 0" % (flag, text), line, number)
    return text in _TRUE
