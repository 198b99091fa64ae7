"""A large XML file element by element: memory holds one child of the root at a time, and entities are refused as in xml_file.py."""

from lxml import etree

from formats.xml_file import SAFE, syntax_message

_ENTITY = b"<!ENTITY"


class _EntityError(Exception):
    """The file declares or uses an entity; `line` says where, from 1, or is None."""

    def __init__(self, line=None):
        super().__init__(line)
        self.line = line


class _Guarded:
    """A binary stream that breaks off where an entity is declared, before the parser sees it."""

    def __init__(self, stream):
        self._stream = stream
        self._before = b""
        self._line = 1

    def read(self, size):
        data = self._stream.read(size)
        plain = self._before + data.replace(b"\0", b"")  # UTF-16 and UTF-32 too
        found = plain.find(_ENTITY)
        if found >= 0:
            raise _EntityError(self._line + plain.count(b"\n", 0, found))
        self._before = plain[1 - len(_ENTITY) :]
        self._line += plain.count(b"\n", 0, len(plain) - len(self._before))
        return data


def top_elements(path, file, findings):
    """Each child of the root, whole; it is emptied when the next one is asked for. The first one's parent is the root.

    file: its name for messages. Ends early where the file is unusable from there on (the findings say why).
    """
    try:
        with open(str(path), "rb") as stream:
            yield from _elements(_Guarded(stream))
    except OSError as error:
        findings.bad("xml-unreadable", file, "the annotation cannot be read: %s" % error.strerror)
    except _EntityError as error:
        findings.refuse("xml-entity", file, "the file declares or uses an XML entity", error.line)
    except etree.XMLSyntaxError as error:
        findings.bad("xml-broken", file, "not well-formed XML: %s" % syntax_message(error), error.lineno or None)


def _elements(stream):
    depth = 0
    for event, element in etree.iterparse(stream, ("start", "end"), remove_comments=True, remove_pis=True, **SAFE):
        if event == "start":
            if depth == 0:
                _refuse_dtd_entities(element)
            depth += 1
            continue
        depth -= 1
        if depth == 1:
            entity = next(element.iter(etree.Entity), None)
            if entity is not None:
                raise _EntityError(element.sourceline)
            yield element
            element.clear()
            while element.getprevious() is not None:
                del element.getparent()[0]


def _refuse_dtd_entities(root):
    """In an encoding whose bytes the stream's guard does not know."""
    dtd = root.getroottree().docinfo.internalDTD
    if dtd is not None and any(True for _ in dtd.iterentities()):
        raise _EntityError(root.sourceline)
