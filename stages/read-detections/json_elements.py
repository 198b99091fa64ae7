"""The elements of a large JSON file's arrays, one after another: of a list, or of the lists in an object.

Python's own decoder reads each element, so that NaN and Infinity, which JSON does not know and Python writes, come through to be told with
their place; an element nested deeper than Python's stack is refused. (ijson keeps the path to each value as a text: for a file of a hundred
thousand brackets it takes all memory there is.)
"""

import codecs
import json
import re

from _runtime import StageError

_BLOCK = 4 << 20  # bytes read at once
_LARGEST = 64 << 20  # characters of one element
_SPACE = re.compile(r"[ \t\r\n]*")
_OF_A_NUMBER = 4  # characters: 1 is whole before "e+3" comes, or ".5"
_SHOWN = 40
_DECODER = json.JSONDecoder(strict=False)


def elements(path):
    """Yield (key, number, value) of each element of a list: key None, or the list's in an object; number from 1.

    An empty list, and a value that is no list, come with the number 0. Raises StageError where the file cannot be read or is no such JSON;
    what came before stays good.
    """
    try:
        with open(str(path), "rb") as stream:
            yield from _Text(stream, path).elements()
    except OSError as error:
        raise StageError("the JSON file cannot be read: %s" % error.strerror, path, "a file", None, "check the path") from None


class _Text:
    """The text, read as far as is needed; `_at` is the place in what is held of it."""

    def __init__(self, stream, path):
        self._stream, self._path = stream, path
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._text, self._at, self._ended = "", 0, False
        self._place = "the beginning"  # for messages

    def elements(self):
        first = self._peek()
        if first == "[":
            yield from self._list(None)
        elif first == "{":
            yield from self._object()
        else:
            raise self._broken("[ or {", "the JSON is neither a list nor an object")
        self._place = "the end"
        if self._peek():
            raise self._broken("the end of the file")

    def _object(self):
        for _ in self._members("}"):
            self._place = "the outermost object"
            key = self._value()
            if not isinstance(key, str):
                raise self._broken("a key")
            self._take(":")
            if self._peek() == "[":
                yield from self._list(key)
            else:
                self._place = key
                yield key, 0, self._value()

    def _list(self, key):
        number = 0
        for number in self._members("]"):
            self._place = "%s %d" % (key or "element", number)
            yield key, number, self._value()
        if not number:
            yield key, 0, []

    def _members(self, end):
        """1, 2, … at each member of a list or object, from its bracket on."""
        self._at += 1
        if self._peek() == end:
            self._at += 1
            return
        number = 1
        while True:
            yield number
            if self._peek() == end:
                self._at += 1
                return
            self._take(",")
            number += 1

    def _value(self):
        self._peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except RecursionError:
                raise self._broken("a few levels", "the JSON is nested too deeply") from None
            except ValueError as error:  # a JSONDecodeError, or a whole number of thousands of digits
                if self._ended or len(self._text) - self._at > _LARGEST:
                    raise self._broken(getattr(error, "msg", str(error))) from None
            else:
                if self._ended or len(self._text) - end >= _OF_A_NUMBER:
                    self._at = end
                    return value
            self._more()

    def _take(self, char):
        if self._peek() != char:
            raise self._broken(char)
        self._at += 1

    def _peek(self):
        """The next character that is no space; "" at the end."""
        while True:
            self._at = _SPACE.match(self._text, self._at).end()
            if self._at < len(self._text) or self._ended:
                return self._text[self._at : self._at + 1]
            self._more()

    def _more(self):
        data = self._stream.read(max(_BLOCK, len(self._text) - self._at))
        self._ended = not data
        try:
            self._text = self._text[self._at :] + self._decoder.decode(data, final=self._ended)
        except UnicodeDecodeError:
            raise self._broken("UTF-8 text", "the JSON is not UTF-8") from None
        self._at = 0

    def _broken(self, expected, what=None):
        rest = self._text[self._at : self._at + _SHOWN]
        cut = self._ended and not rest.strip()
        return StageError(
            what or ("the JSON ends in the middle" if cut else "the JSON is broken"),
            "%s: %s" % (self._path, self._place),
            expected,
            rest or "the end of the file",
            "write or copy the file again",
        )
