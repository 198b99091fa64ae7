"""A large JSON object read piece by piece: the elements of its arrays one by one, each with its place in bytes.

Each element is decoded by Python's own JSON decoder, and so NaN and Infinity, which the standard does not know and Python writes, are read.
The text is decoded as Latin-1, one character for each byte, so that places in it are places in the file.
"""

import json
import re
from typing import Any, NamedTuple

from audit.problems import printable

from _runtime import StageError

_BLOCK = 8 << 20  # bytes read at once
_AHEAD = 1 << 16  # bytes that are always there after the place being read, unless the file ends
_LARGEST = 128 << 20  # bytes of one element
_SPACE = re.compile(r"[ \t\r\n]*")
_SHOWN = 30  # characters of the file in a message
_VALUE = 60  # characters of a value in a message
_DECODER = json.JSONDecoder(strict=False)


class Element(NamedTuple):
    """key: of the array in the outermost object; number: in that array, from 1, or 0 where the key's value is none, and is the element.

    start, end: bytes in the file; value: as `json.loads` gives it; text in it is right only where it is ASCII (see `decoded`).
    """

    key: str
    number: int
    start: int
    end: int
    value: Any


class JsonElements:
    """The elements of the file `path`, in its order. file: its name for messages. keys: of the outermost object, as far as it was read.

    Iterating raises StageError where the file cannot be read, is no JSON object, or ends before that does.
    """

    def __init__(self, path, file):
        self.file = file
        self.path = path
        self.keys = set()
        self._text, self._at, self._base, self._whole = "", 0, 0, False

    def __iter__(self):
        try:
            with open(str(self.path), "rb") as stream:
                self._stream = stream
                yield from self._object()
        except OSError as error:
            raise StageError("the JSON file cannot be read: %s" % error.strerror, self.file, "a file", None, "check the path") from None

    def decoded(self, element):
        """The element's value with its text decoded as UTF-8; bytes that are none become lone surrogates. For the last one that came."""
        text = self._text[element.start - self._base : element.end - self._base]
        return element.value if text.isascii() else json.loads(text.encode("latin-1").decode("utf-8", "surrogateescape"), strict=False)

    def _object(self):
        if self._peek() and self._text.startswith(("\xef\xbb\xbf", "\xff\xfe", "\xfe\xff")):
            self._skip_mark()
        if self._peek() != "{":
            raise self._broken("the JSON is not an object", "{ at its beginning")
        for _ in self._members("}"):
            start = self._base + self._at
            key = self._value()
            if not isinstance(key, str):
                raise self._broken("the JSON has an object whose key is not a text", 'a key in "quotes"', start)
            self.keys.add(key)
            self._take(":")
            if self._peek() == "[":
                for number in self._members("]"):
                    yield self._element(key, number)
            else:
                yield self._element(key, 0)
        if self._peek():
            raise self._broken("the JSON goes on after its end", "the end of the file")

    def _members(self, end):
        """Go through an array or object, from its bracket on: 1, 2, … at each member."""
        self._at += 1
        if self._peek() == end:
            self._at += 1
            return
        number = 0
        while True:
            number += 1
            yield number
            if self._peek() == end:
                self._at += 1
                return
            self._take(",")

    def _element(self, key, number):
        self._peek()
        start = self._base + self._at
        value = self._value()
        return Element(key, number, start, self._base + self._at, value)

    def _value(self):
        self._peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                if self._whole or len(self._text) - self._at > _LARGEST:
                    raise self._not_decoded(error) from None
            else:
                if self._whole or len(self._text) - end > _AHEAD // 2:  # a number may go on
                    self._at = end
                    return value
            self._more()

    def _take(self, char):
        if self._peek() != char:
            raise self._broken("the JSON is broken", char)
        self._at += 1

    def _peek(self):
        """The next character that is no space; "" at the file's end."""
        while True:
            if len(self._text) - self._at < _AHEAD and not self._whole:
                self._more()
            self._at = _SPACE.match(self._text, self._at).end()
            if self._whole or len(self._text) - self._at >= _AHEAD:
                return self._text[self._at : self._at + 1]

    def _more(self):
        data = self._stream.read(max(_BLOCK, len(self._text) - self._at))
        self._text = self._text[self._at :] + data.decode("latin-1")
        self._base += self._at
        self._at = 0
        self._whole = not data

    def _skip_mark(self):
        if not self._text.startswith("\xef\xbb\xbf"):
            raise self._broken("the JSON is not UTF-8", "UTF-8 text", remedy="save it as UTF-8")
        self._at += 3

    def _not_decoded(self, error):
        if isinstance(error, RecursionError):
            return self._broken("the JSON is nested too deeply", "objects in a few arrays")
        if not isinstance(error, json.JSONDecodeError):
            return self._broken("the JSON holds a number that is too long", "numbers of some digits")
        if not self._whole:
            return self._broken("the JSON has an element of more than %d MiB" % (_LARGEST >> 20), "smaller elements")
        at_end = error.pos >= len(self._text.rstrip()) or error.msg.startswith("Unterminated string")
        return self._cut_short() if at_end else self._broken("the JSON is broken", error.msg, self._base + error.pos)

    def _broken(self, what, expected, place=None, remedy=None):
        """The StageError for a place in bytes, by default the one being read."""
        at = self._at if place is None else place - self._base
        if at >= len(self._text.rstrip()):
            return self._cut_short()
        found = printable(self._text[at : at + _SHOWN].encode("latin-1").decode("utf-8", "replace"))
        remedy = (
            remedy or "export the annotations again, or correct the file there (`python3 -m json.tool FILE` finds the first fault, too)"
        )
        return StageError(what, "%s: byte %d" % (self.file, self._base + at), expected, found, remedy)

    def _cut_short(self):
        size = self._base + len(self._text)
        return StageError(
            "the JSON ends in the middle" if size else "the JSON file is empty",
            "%s: byte %d" % (self.file, size),
            "a whole JSON object",
            "the end of the file",
            "copy or download the file again: it was cut short",
        )


def shown(value):
    """A value of a file, for messages."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _VALUE else text[: _VALUE - 1] + "…"


def writable(text):
    """Whether a text can be written as UTF-8, and used as a file's name: JSON may hold halves of surrogate pairs, and NUL."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return "\0" not in text
