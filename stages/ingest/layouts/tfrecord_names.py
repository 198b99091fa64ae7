"""Images' names out of TFRecords without reading the images: a walk over the lengths of a tf.Example's fields.

Encoding: https://protobuf.dev/programming-guides/encoding/. Example.features = 1, Features.feature = 1 (a map: key = 1, value = 2),
Feature.bytes_list = 1, BytesList.value = 1.
"""

import mmap

from _detection.tfrecord_reader import HEADER

NAME, SOURCE, ENCODED = b"image/filename", b"image/source_id", b"image/encoded"
_LONGEST = 1024  # bytes of a key or name
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


def peek(path, spans):
    """For each Span of a file (name or None, bytes of the image), name: image/filename, else image/source_id, as bytes. Raises OSError."""
    if not spans:
        return []
    with open(str(path), "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return [_peek(data, span.offset + HEADER, span.offset + HEADER + span.length) for span in spans]


def _peek(data, start, end):
    found = {}
    for number, begin, stop in _fields(data, start, end):
        if number == 1:
            for inner, first, last in _fields(data, begin, stop):
                if inner == 1:
                    _peek_entry(data, first, last, found)
    names = [data[slice(*found[key])] for key in (NAME, SOURCE) if key in found and 0 < found[key][1] - found[key][0] <= _LONGEST]
    first, last = found.get(ENCODED, (0, 0))
    return names[0] if names else None, last - first


def _peek_entry(data, start, end, found):
    key, value = None, None
    for number, begin, stop in _fields(data, start, end):
        if number == 1 and stop - begin <= _LONGEST:
            key = data[begin:stop]
        elif number == 2:
            value = (begin, stop)
    if value is None or key not in (NAME, SOURCE, ENCODED):
        return
    for _ in range(2):  # the list of bytes, and its first value
        value = next(((begin, stop) for number, begin, stop in _fields(data, *value) if number == 1), None)
        if value is None:
            return
    found[key] = value


def _fields(data, place, end):
    """(number, start, end) of each field with a length; stops where the bytes are no message."""
    while place < end:
        tag, place = _varint(data, place, end)
        if tag is None:
            return
        kind = tag & 7
        if kind == _VARINT:
            value, place = _varint(data, place, end)
            if value is None:
                return
        elif kind in (_FIXED64, _FIXED32):
            place += 8 if kind == _FIXED64 else 4
        elif kind == _LENGTH:
            length, place = _varint(data, place, end)
            if length is None or length > end - place:
                return
            yield tag >> 3, place, place + length
            place += length
        else:
            return


def _varint(data, place, end):
    """(number, the place after it); None where there is none."""
    value = shift = 0
    while place < end and shift < 70:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place += 1
        if byte < 0x80:
            return value, place
        shift += 7
    return None, place
