"""The options of custom operators: a FlexBuffer map (https://google.github.io/flatbuffers/flexbuffers.html).

That of TFLite_Detection_PostProcess holds scalars; that of a compiled model's operator also strings of bytes, and vectors of both.

TOCO writes the map in the order in which protobuf iterates over the node's attributes. protobuf seeds that order with the clock and an
address, so that two conversions of one graph differ in these bytes and nowhere else. The map's index is sorted by key, but the key strings
lie in the order of writing; `canonical` rewrites them sorted, which changes no size and no meaning.
"""

import struct
from typing import NamedTuple

from _tflite.flatbuffer import DamagedError

_INT, _UINT, _FLOAT, _BOOL, _MAP = 1, 2, 3, 26, 9  # FlexBuffer types
_STRING, _VECTOR, _VECTOR_INT, _BLOB = 5, 10, 11, 25  # what a value of these types says is how far back it lies
_CODES = {
    _INT: {1: "b", 2: "h", 4: "i", 8: "q"},
    _UINT: {1: "B", 2: "H", 4: "I", 8: "Q"},
    _FLOAT: {4: "f", 8: "d"},
    _BOOL: {1: "?", 2: "H", 4: "I", 8: "Q"},
}


class _Map(NamedTuple):
    """entries: {key: (place of its string, value)}; index: place of the sorted vector of key offsets; width: bytes of each of those."""

    entries: dict
    index: int
    width: int


def read_options(options):
    """{name: bool, int or float} of a map of scalars. Raises DamagedError (a ValueError) for anything else."""
    return {key: value for key, (_place, value) in _scalars(options).entries.items()}


def read_map(options):
    """{name: bool, int, float, bytes, or list of these} of a map. Raises DamagedError for anything else."""
    return {key: value for key, (_place, value) in _read(options).entries.items()}


def canonical(options):
    """The same map with its key strings sorted: as many bytes, and the same whatever order they were written in. Raises DamagedError."""
    found = _scalars(options)
    keys = sorted(found.entries, key=_encoded)
    start = min(place for place, _ in found.entries.values())
    if sorted(place for place, _ in found.entries.values()) != _places(start, sorted(keys, key=lambda key: found.entries[key][0])):
        raise DamagedError("the keys of the options do not lie together")
    text = b"".join(_encoded(key) + b"\0" for key in keys)
    code = _CODES[_UINT][found.width]
    offsets = b"".join(
        struct.pack("<" + code, found.index + position * found.width - place) for position, place in enumerate(_places(start, keys))
    )
    result = bytearray(options)
    result[start : start + len(text)] = text
    result[found.index : found.index + len(offsets)] = offsets
    return bytes(result)


def _scalars(options):
    found = _read(options)
    for key, (_place, value) in found.entries.items():
        if isinstance(value, (bytes, list)):
            raise DamagedError("the option %s is not a number" % key)
    return found


def _encoded(key):
    return key.encode("utf-8", "surrogateescape")


def _places(start, keys):
    places = []
    for key in keys:
        places.append(start)
        start += len(_encoded(key)) + 1
    return places


def _read(options):
    """Root: the last byte is its width, the one before its type, before that its value - here the distance back to a map."""
    root_width = _number(options, len(options) - 1, _UINT, 1)
    root_type = _number(options, len(options) - 2, _UINT, 1)
    if root_type >> 2 != _MAP or root_width not in _CODES[_UINT]:
        raise DamagedError("the options are not a map")
    root_place = len(options) - 2 - root_width
    width = 1 << (root_type & 3)
    values = root_place - _number(options, root_place, _UINT, root_width)
    # A map is a vector of values, preceded by its count, the keys' width, and the distance back to the vector of keys.
    count = _number(options, values - width, _UINT, width)
    key_width = _number(options, values - 2 * width, _UINT, width)
    index = values - 3 * width - _number(options, values - 3 * width, _UINT, width)
    if key_width not in _CODES[_UINT] or not 0 < count <= len(options) or _number(options, index - key_width, _UINT, key_width) != count:
        raise DamagedError("the options' map and its keys disagree")
    entries = {}
    for position in range(count):
        place = index + position * key_width
        place -= _number(options, place, _UINT, key_width)
        packed = _number(options, values + count * width + position, _UINT, 1)
        entries[_key(options, place)] = (place, _value(options, values + position * width, packed, width))
    if len(entries) != count:
        raise DamagedError("an option is given twice")
    return _Map(entries, index, key_width)


def _number(options, place, kind, width):
    code = _CODES[kind].get(width)
    if code is None or place < 0 or place + width > len(options):
        raise DamagedError("the options end too early")
    return struct.unpack_from("<" + code, options, place)[0]


def _value(options, place, packed, width, nested=False):
    """The value at `place`, `width` bytes wide, of a packed type: the type and, for what lies elsewhere, the width there."""
    kind, inner = packed >> 2, 1 << (packed & 3)
    if kind in _CODES:
        value = _number(options, place, kind, width)
        return bool(value) if kind == _BOOL else value
    if kind not in (_STRING, _BLOB, _VECTOR, _VECTOR_INT) or (nested and kind in (_VECTOR, _VECTOR_INT)):
        raise DamagedError("an option of FlexBuffer type %d" % kind)
    start = place - _number(options, place, _UINT, width)
    size = _number(options, start - inner, _UINT, inner)
    if size > len(options) - start:
        raise DamagedError("the options end too early")
    if kind in (_STRING, _BLOB):
        return options[start : start + size]
    if kind == _VECTOR_INT:
        return [_number(options, start + index * inner, _INT, inner) for index in range(size)]
    types = start + size * inner
    return [_value(options, start + index * inner, _number(options, types + index, _UINT, 1), inner, True) for index in range(size)]


def _key(options, place):
    end = options.find(b"\0", place) if 0 <= place < len(options) else -1
    if end < 0:
        raise DamagedError("an option's name does not end")
    return options[place:end].decode("utf-8", "surrogateescape")
