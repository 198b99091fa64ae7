"""TFRecord files: framing with masked CRC32C, and tf.Example messages, without TensorFlow and without a protobuf library.

Formats: tensorflow/core/lib/io/record_writer.h and tensorflow/core/example/{example,feature}.proto of TensorFlow 1.13, and protobuf's
encoding (https://protobuf.dev/programming-guides/encoding/). An Example is one map from keys to lists, and its keys are the same in every
record: their tags are encoded once, and only lengths and values for each record. The bytes are those of protobuf's deterministic
serialization, which sorts a map by its keys. The checksum is google_crc32c's.
"""

import struct
import warnings
from functools import lru_cache, reduce

with warnings.catch_warnings():
    # In the TensorFlow 1 images the package does not find its own compiled module for want of setuptools, and would use one in Python,
    # thousands of times slower, with a warning.
    warnings.simplefilter("ignore", RuntimeWarning)
    from google_crc32c._crc32c import extend

BYTES, FLOAT, INT64 = 1, 2, 3  # field numbers of Feature's bytes_list, float_list, int64_list
_MASK_DELTA = 0xA282EAD8
_FIRST = b"\x0a"  # tag of field 1, of a length and as many bytes: Example.features, Features.feature, each list's value, an entry's key
_SECOND = b"\x12"  # of field 2: an entry's value


def masked_crc32c(*pieces):
    """CRC32C (Castagnoli) of the pieces one after the other, rotated and shifted as lib/hash/crc32c.h masks it; an int of 32 bits."""
    crc = reduce(extend, pieces, 0)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def frame(*pieces):
    """What stands before and after a record's payload, given in pieces: its length and that one's checksum; the payload's checksum."""
    length = struct.pack("<Q", sum(map(len, pieces)))
    return length + struct.pack("<I", masked_crc32c(length)), struct.pack("<I", masked_crc32c(*pieces))


def example_start(size):
    """The first bytes of a serialized tf.Example; `size` bytes follow: the map's entries, in the order of their keys."""
    return _FIRST + varint(size)


@lru_cache(maxsize=1 << 14)
def head(key, kind, size):
    """An entry of the map up to its list: `size` bytes of values follow, as `text` or `packed` encode them.

    key: a string; kind: BYTES, FLOAT or INT64.
    """
    name = key.encode("utf-8")
    values = bytes([kind << 3 | 2]) + varint(size)
    feature = _FIRST + varint(len(name)) + name + _SECOND + varint(len(values) + size) + values
    return _FIRST + varint(len(feature) + size) + feature


def entry(key, kind, values):
    """A whole entry of the map. values: encoded, as `text` or `packed` do; of several texts, one after the other."""
    return head(key, kind, len(values)) + values


def text(value):
    """One value of a list of bytes. value: bytes, or str to be written as UTF-8."""
    data = value.encode("utf-8") if isinstance(value, str) else value
    return _FIRST + varint(len(data)) + data


def packed(data):
    """The values of a list of numbers. data: float32, little-endian, or varints, one after the other; an empty list takes no byte."""
    return _FIRST + varint(len(data)) + data if data else b""


def varint(number):
    """A number >= 0 in protobuf's base 128; 0 or 1 of a flag is its own byte."""
    if number < 0x80:
        return _SHORT[number]
    data = bytearray()
    while number >= 0x80:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    data.append(number)
    return bytes(data)


_SHORT = [bytes([number]) for number in range(0x80)]
