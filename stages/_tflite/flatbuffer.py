"""A reader of FlatBuffers that checks every offset, for files that may be damaged.

Written from the format's description, https://flatbuffers.dev/internals/: generated accessors trust their input, and a converter that
was killed leaves files that deserve no trust.
"""

import struct

_SIZES = {"b": 1, "B": 1, "?": 1, "h": 2, "H": 2, "i": 4, "I": 4, "f": 4, "q": 8, "Q": 8, "d": 8}
# Elements that may be read for each byte of the file. In an honest file hardly any byte is read twice; a forged one could otherwise
# have a million vectors share the same million elements.
_READS_PER_BYTE = 4


class DamagedError(ValueError):
    """The bytes are not what the format says; the message tells where."""


class FlatBuffer:
    """`content` (bytes), read with bounds; `root()` is the root table. Numbers are little endian."""

    def __init__(self, content):
        self.content = content
        self._allowance = _READS_PER_BYTE * len(content) + 65536

    def number(self, code, offset):
        """The number of struct type `code` at `offset` (bytes from the start)."""
        self.check(offset, _SIZES[code])
        return struct.unpack_from("<" + code, self.content, offset)[0]

    def check(self, offset, size):
        """Raise DamagedError unless `size` bytes from `offset` are in the file, and count them."""
        if offset < 0 or size < 0 or offset + size > len(self.content):
            raise DamagedError("byte %d to %d of a file of %d bytes" % (offset, offset + size, len(self.content)))
        self._allowance -= size
        if self._allowance < 0:
            raise DamagedError("parts of the file overlap: more is read than it holds")

    def follow(self, offset):
        """The place that the unsigned offset stored at `offset` points to."""
        distance = self.number("I", offset)
        if distance == 0:
            raise DamagedError("an offset of 0 at byte %d" % offset)
        return offset + distance

    def root(self):
        """The root table. Raises DamagedError where there is none."""
        return Table(self, self.follow(0))


class Table:
    """A table of a FlatBuffer. Fields are named by their slot: their place in the schema, from 0; absent ones have their default."""

    def __init__(self, buffer, offset):
        self.buffer = buffer
        self.offset = offset
        self._vtable = offset - buffer.number("i", offset)
        self._vtable_size = buffer.number("H", self._vtable)
        if self._vtable_size < 4:
            raise DamagedError("a vtable of %d bytes at byte %d" % (self._vtable_size, self._vtable))

    def place(self, slot):
        """Where the field is stored (bytes from the start of the file), or None where it is absent."""
        entry = 4 + 2 * slot
        if entry + 2 > self._vtable_size:
            return None
        distance = self.buffer.number("H", self._vtable + entry)
        return self.offset + distance if distance else None

    def number(self, slot, code, default=0):
        """A scalar field of struct type `code`."""
        place = self.place(slot)
        return default if place is None else self.buffer.number(code, place)

    def table(self, slot):
        """A table field, or None."""
        place = self.place(slot)
        return None if place is None else Table(self.buffer, self.buffer.follow(place))

    def span(self, slot, size):
        """(offset, count) of a vector whose elements take `size` bytes; (None, 0) where it is absent."""
        place = self.place(slot)
        if place is None:
            return None, 0
        start = self.buffer.follow(place)
        count = self.buffer.number("I", start)
        self.buffer.check(start + 4, count * size)
        return start + 4, count

    def numbers(self, slot, code):
        """A vector of numbers, as a tuple."""
        start, count = self.span(slot, _SIZES[code])
        return () if start is None else struct.unpack_from("<%d%s" % (count, code), self.buffer.content, start)

    def bytes(self, slot):
        """A vector of bytes."""
        start, count = self.span(slot, 1)
        return b"" if start is None else self.buffer.content[start : start + count]

    def text(self, slot):
        """A string; bytes that are not UTF-8 are replaced. Empty where it is absent."""
        return self.bytes(slot).decode("utf-8", "replace")

    def tables(self, slot):
        """A vector of tables, as a list."""
        start, count = self.span(slot, 4)
        return [Table(self.buffer, self.buffer.follow(start + 4 * index)) for index in range(count)]

    def blobs(self, slot):
        """A vector of strings, as a list of their bytes."""
        start, count = self.span(slot, 4)
        found = []
        for index in range(count):
            place = self.buffer.follow(start + 4 * index)
            size = self.buffer.number("I", place)
            self.buffer.check(place + 4, size)
            found.append(self.buffer.content[place + 4 : place + 4 + size])
        return found
