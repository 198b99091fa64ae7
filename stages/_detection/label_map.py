"""Label maps: the Object Detection API's `StringIntLabelMap` in protobuf text format (label_map.pbtxt).

Ids are 1-based and without gaps here (0 is the background's), so that `classes[id - 1]` is a class's name. The grammar is that of
protobuf's text format: https://protobuf.dev/reference/protobuf/textformat-spec/
"""

import re
from typing import NamedTuple, Optional

from _runtime import StageError

_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r\n\f\v]+|\#[^\n]*)
  | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
  | (?P<word>[A-Za-z_][A-Za-z0-9_.]*)
  | (?P<number>[-+]?(?:0[xX][0-9a-fA-F]+|[0-9.][0-9A-Za-z.+-]*))
  | (?P<mark>[{}<>:;,\[\]-])
""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(?:([abfnrtv\\'\"?])|([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))", re.ASCII)
_INTEGER = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]{1,16}|0[0-7]{0,21}|[1-9][0-9]{0,19})")
_SIMPLE = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, "'": 39, '"': 34, "?": 63}
_DEEPEST = 20


class Item(NamedTuple):
    """An item of a label map."""

    id: int
    name: str
    display_name: Optional[str]
    line: int  # of its `item`, from 1


class _Token(NamedTuple):
    kind: str  # string, word, number, mark or end
    text: str
    line: int


def format_label_map(classes):
    """The label map of `classes`, a list of names: ids from 1 in their order."""
    return "\n".join("item {\n  id: %d\n  name: '%s'\n}\n" % (number, _escaped(name)) for number, name in enumerate(classes, 1))


def parse_label_map(text, where):
    """The names of a label map in the order of their ids, which must be 1, 2, 3, … in any order of the items.

    text: the file's content; where: its path, for messages. Raises StageError naming the line.
    """
    items = read_items(text, where)
    if not items:
        raise StageError(
            "the label map has no items", where, "item { id: 1 name: 'first class' } …", "none", "write one item for each class"
        )
    by_id, by_name = {}, {}
    for item in items:
        place = "%s:%d" % (where, item.line)
        if item.id < 1:
            raise StageError(
                "a label map id is below 1", place, "ids from 1 (0 stands for the background)", item.id, "number the items 1, 2, 3, …"
            )
        for seen, value, what in ((by_id, item.id, "id"), (by_name, item.name, "name")):
            if value in seen:
                raise StageError(
                    "two items of the label map have the same %s" % what,
                    place,
                    "each %s once" % what,
                    "%s, as in line %d" % (value, seen[value].line),
                    "remove one, or give it its own %s" % what,
                )
            seen[value] = item
    missing = next((number for number in range(1, len(items) + 1) if number not in by_id), None)
    if missing is not None:
        raise StageError(
            "the label map's ids have a gap",
            where,
            "ids 1 to %d" % len(items),
            "no id %d; the highest is %d" % (missing, max(by_id)),
            "number the items 1, 2, 3, … without gaps",
        )
    return [by_id[number].name for number in sorted(by_id)]


def read_items(text, where):
    """Every `Item` of a label map, in the file's order and with whatever ids it has. Raises StageError on bad syntax."""
    reader = _Reader(text, where)
    items = []
    while reader.token.kind != "end":
        word = reader.take("word")
        if word.text != "item":
            raise reader.wrong("item", word)
        items.append(_item(reader, word.line))
        reader.skip_separator()
    return items


def _item(reader, line):
    fields = {}
    for name, value, place in _fields(reader, 1):
        if name in ("id", "name", "display_name"):
            if name in fields:
                raise StageError(
                    "an item of the label map gives its %s twice" % name, "%s:%d" % (reader.where, place), "once", value, "remove one"
                )
            kind, expected, example = (int, "a whole number", "id: 1") if name == "id" else (str, "a quoted string", "%s: 'class'" % name)
            if type(value) is not kind:
                raise StageError(
                    "the %s of a label map item has the wrong type" % name,
                    "%s:%d" % (reader.where, place),
                    expected,
                    value,
                    "write %s" % example,
                )
            fields[name] = value
    for name in ("id", "name"):
        if fields.get(name) in (None, ""):
            raise StageError(
                "an item of the label map has no %s" % name,
                "%s:%d" % (reader.where, line),
                "item { id: 1 name: 'class' }",
                ", ".join(sorted(fields)) or "an empty item",
                "add its %s" % name,
            )
    return Item(fields["id"], fields["name"], fields.get("display_name"), line)


def _fields(reader, depth):
    """(name, value, line) of each field of a message; value: int, float, str, _Word, or None for a message or list."""
    if depth > _DEEPEST:
        raise StageError(
            "the label map is nested too deep",
            "%s:%d" % (reader.where, reader.token.line),
            "at most %d levels" % _DEEPEST,
            None,
            "an item holds id and name",
        )
    reader.accept(":")
    close = {"{": "}", "<": ">"}.get(reader.token.text if reader.token.kind == "mark" else None)
    if close is None:
        raise reader.wrong("{", reader.token)
    reader.advance()
    found = []
    while not reader.accept(close):
        name = reader.take("word")
        found.append((name.text, _value(reader, depth), name.line))
        reader.skip_separator()
    return found


def _value(reader, depth):
    mark = reader.token.text if reader.token.kind == "mark" else None
    if mark in ("{", "<"):
        return _message(reader, depth)
    reader.expect(":")
    token = reader.token
    if token.kind == "mark" and token.text in "{<":
        return _message(reader, depth)
    if token.kind == "string":
        return _string(reader)
    if reader.accept("["):
        while not reader.accept("]"):
            reader.advance_over_value()
        return None
    return _scalar(reader.take("word", "number"), reader)


def _message(reader, depth):
    _fields(reader, depth + 1)


class _Word(str):
    """An unquoted value, as of an enum: not what id, name or display_name may be."""

    __slots__ = ()


def _scalar(token, reader):
    """int, float or _Word."""
    if token.kind == "word":
        return _Word(token.text)
    if _INTEGER.fullmatch(token.text):
        digits = token.text.lstrip("+-")
        base = 16 if digits[:2] in ("0x", "0X") else 8 if digits[0] == "0" and len(digits) > 1 else 10
        return int(token.text, base)
    try:
        return float(token.text.rstrip("fF"))
    except ValueError:
        raise reader.wrong("a number", token) from None


def _string(reader):
    """Neighbouring strings are one; escapes stand for bytes of UTF-8."""
    parts = []
    line = reader.token.line
    while reader.token.kind == "string":
        parts.append(_unescaped(reader.advance().text[1:-1], "%s:%d" % (reader.where, line)))
    try:
        return b"".join(parts).decode("utf-8")
    except UnicodeDecodeError:
        raise StageError(
            "a name in the label map is not UTF-8",
            "%s:%d" % (reader.where, line),
            "UTF-8 text",
            b"".join(parts),
            "write the name itself instead of escapes",
        ) from None


def _unescaped(text, where):
    out, place = bytearray(), 0
    while place < len(text):
        if text[place] != "\\":
            out += text[place].encode("utf-8", "surrogatepass")
            place += 1
            continue
        match = _ESCAPE.match(text, place)
        code = None if match is None else next(number for number, group in enumerate(match.groups()) if group is not None)
        if code is None or (code == 4 and int(match.group(5), 16) > 0x10FFFF):
            raise StageError(
                "a name in the label map has an unknown escape",
                where,
                r"\n, \', \\, \101, \x41 or \u00e9",
                text[place : place + 4],
                "write a backslash as two",
            )
        value = match.group(code + 1)
        if code == 0:
            out.append(_SIMPLE[value])
        elif code == 1:
            out.append(int(value, 8) & 0xFF)
        elif code == 2:
            out.append(int(value, 16))
        else:
            out += chr(int(value, 16)).encode("utf-8", "surrogatepass")
        place = match.end()
    return bytes(out)


def _escaped(name):
    """For a single-quoted string: control characters as octal escapes, which are never read together with what follows."""
    named = {"\\": "\\\\", "'": "\\'"}
    return "".join(named.get(char) or ("\\%03o" % ord(char) if ord(char) < 32 or ord(char) == 127 else char) for char in name)


class _Reader:
    """One token of lookahead over the text."""

    def __init__(self, text, where):
        self.where = where
        self._tokens = _tokens(text, where)
        self.token = next(self._tokens)

    def advance(self):
        token = self.token
        if token.kind == "end":
            raise self.wrong("}", token)
        self.token = next(self._tokens)
        return token

    def advance_over_value(self):
        if self.token.kind == "mark" and self.token.text in "}>:":
            raise self.wrong("]", self.token)
        self.advance()

    def accept(self, mark):
        if self.token.kind == "mark" and self.token.text == mark:
            self.advance()
            return True
        return False

    def expect(self, mark):
        if not self.accept(mark):
            raise self.wrong(mark, self.token)

    def take(self, *kinds):
        if self.token.kind not in kinds:
            raise self.wrong({"word": "a field name", "number": "a value"}[kinds[-1]], self.token)
        return self.advance()

    def skip_separator(self):
        if not self.accept(","):
            self.accept(";")

    def wrong(self, expected, token):
        return StageError(
            "the label map cannot be read",
            "%s:%d" % (self.where, token.line),
            expected,
            "the end of the file" if token.kind == "end" else token.text,
            "it should look like: item { id: 1 name: 'class' }",
        )


def _tokens(text, where):
    """Tokens, then an endless row of "end". A byte order mark is skipped."""
    place, line = (1 if text.startswith("\ufeff") else 0), 1
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise StageError(
                "the label map cannot be read",
                "%s:%d" % (where, line),
                "item { id: 1 name: 'class' }",
                text[place : place + 20].split("\n")[0],
                "remove or quote this",
            )
        if match.lastgroup != "space":
            yield _Token(match.lastgroup, match.group(), line)
        line += match.group().count("\n")
        place = match.end()
    while True:
        yield _Token("end", "", line)
