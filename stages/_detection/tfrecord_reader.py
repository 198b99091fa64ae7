"""TFRecord files back in: every record checked, every damage named, and no more memory than the records that are there.

Format: tensorflow/core/lib/io/record_reader.cc of TensorFlow 1.13. A record is a length (uint64, little-endian), its masked CRC32C, the
data, and the data's masked CRC32C. TensorFlow stops at the first damage; here reading goes on where the next record can be found.
"""

import os
import re
import struct
from typing import NamedTuple, Optional

from _detection.tfrecord import masked_crc32c

HEADER, FOOTER = 12, 4  # bytes before and after a record's data
MOST_BYTES = 1 << 29  # of a record's data: more than any image with its masks, and far from protobuf's limit of 2 GiB
_RANGE_RECORDS, _RANGE_BYTES = 256, 64 << 20
_BLOCK = 1 << 20

_ENDING, _SHARD = r"\.(?:tf_?)?records?", r"-(?P<number>\d{5,})-of-(?P<shards>\d{5,})"
_NAMES = tuple(
    re.compile(form + r"(?:\.gz)?", re.IGNORECASE | re.DOTALL)
    # A checkpoint's NAME.data-00000-of-00001 is none.
    for form in (r"(?P<family>.*(?<!\.data))%s(?:%s)?" % (_SHARD, _ENDING), r"(?P<family>.*%s)(?P<number>)(?P<shards>)" % _ENDING)
)
# First bytes of what is mistaken for a TFRecord file.
_KINDS = (
    (b"\x1f\x8b", "compressed with gzip"),
    (b"\x78\x01", "compressed with zlib"),
    (b"\x78\x9c", "compressed with zlib"),
    (b"\x78\xda", "compressed with zlib"),
    (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (b"BZh", "compressed with bzip2"),
    (b"\xfd7zXZ", "compressed with xz"),
    (b"\x89HDF\r\n", "an HDF5 file"),
    (b"version https://git-lfs", "a Git LFS pointer"),
)
_MENDED = {
    "compressed with gzip": "unpack it with `gunzip`: the Object Detection API reads no compressed records",
    "a Git LFS pointer": "fetch the file itself with `git lfs pull`",
}


class Damage(NamedTuple):
    """code: as in verify-records' table; message: what is wrong with the record, in words."""

    code: str
    message: str


class Span(NamedTuple):
    """Where a record is. number: from 1; offset: of its first byte in the file; length: bytes of its data, None where that is not known.

    damage: what its header already tells, else None. After a Span without a length there is none.
    """

    number: int
    offset: int
    length: Optional[int]
    damage: Optional[Damage] = None


class Shard(NamedTuple):
    """family: the name without the shard's number; number, shards: of NAME-00003-of-00010, None for a file that is no shard."""

    family: str
    number: Optional[int]
    shards: Optional[int]


def shard_of(name):
    """The `Shard` that a file's name tells, or None for a name that TFRecord files do not have.

    NAME.record, NAME.tfrecord, NAME.tfrecords, each perhaps with -00003-of-00010, and NAME-00003-of-00010 with and without such an ending.
    """
    match = next((match for match in (form.fullmatch(name) for form in _NAMES) if match is not None), None)
    if match is None:
        return None
    return Shard(match.group("family"), *(int(match.group(part)) if match.group(part) else None for part in ("number", "shards")))


def spans(path):
    """Every `Span` of a file, from the headers alone (data is read only where a header is wrong). Raises OSError."""
    with open(str(path), "rb", buffering=0) as stream:
        handle = stream.fileno()
        size = os.fstat(handle).st_size
        offset, number = 0, 1
        while offset < size:
            span = _span(handle, number, offset, size)
            yield span
            if span.length is None:
                return
            offset += HEADER + span.length + FOOTER
            number += 1


def ranges(path):
    """(lists of the `Span`s to read together, the Damages that end the file as `Span`s). Raises OSError."""
    groups, ends, held = [], [], 0
    for span in spans(path):
        if span.length is None:
            ends.append(span)
            continue
        if not groups or len(groups[-1]) == _RANGE_RECORDS or held + span.length > _RANGE_BYTES:
            groups.append([])
            held = 0
        groups[-1].append(span)
        held += span.length
    return groups, ends


def payloads(path, chosen):
    """(Span, data or None, `Damage` or None) of each chosen Span of a file; data where its own checksum is right. Raises OSError."""
    with open(str(path), "rb", buffering=0) as stream:
        for span in chosen:
            if span.length > MOST_BYTES:
                yield span, None, Damage("record-too-large", "%d bytes of data; at most %d are read" % (span.length, MOST_BYTES))
                continue
            data = _pread(stream.fileno(), span.length + FOOTER, span.offset + HEADER)
            payload = data[: span.length]
            if len(data) < span.length + FOOTER:
                yield span, None, Damage("record-cut", "the file has become shorter while it was read")
            elif struct.unpack("<I", data[span.length :])[0] != masked_crc32c(payload):
                yield span, None, Damage("record-data-crc", "the checksum of its %d bytes of data is wrong" % span.length)
            else:
                yield span, payload, span.damage


def _span(handle, number, offset, size):
    header = _pread(handle, HEADER, offset)
    if len(header) < HEADER:
        return Span(number, offset, None, _rest(handle, number, offset, size, "the file ends in its header: %d of 12 bytes" % len(header)))
    (length,) = struct.unpack_from("<Q", header)
    room = size - offset - HEADER - FOOTER
    if struct.unpack_from("<I", header, 8)[0] != masked_crc32c(header[:8]):
        # The length itself may be right, which the data's checksum tells.
        if length <= min(room, MOST_BYTES) and _is_whole(handle, offset, length):
            damage = Damage("record-length-crc", "the checksum of its length is wrong; length and data are right")
            return Span(number, offset, length, damage)
        return Span(number, offset, None, _rest(handle, number, offset, size, None))
    if length > room:
        have = max(0, size - offset - HEADER)
        what = "its checksum: %d of 4 bytes" % (have - length) if have >= length else "its data: %d of %d bytes" % (have, length)
        return Span(number, offset, None, Damage("record-cut", "the file ends in " + what))
    return Span(number, offset, length)


def _rest(handle, number, offset, size, cut):
    """What the bytes from `offset` on are, which are no record. cut: what to say of the start of a header."""
    if offset and _is_zero(handle, offset, size):
        return Damage("trailing-bytes", "%d zero bytes follow record %d" % (size - offset, number - 1))
    start = _pread(handle, 512, offset)
    kind = _kind(start) if offset == 0 else None
    if kind is not None:
        mended = _MENDED.get(kind)
        code = "file-compressed" if kind.startswith("compressed") else "file-not-tfrecord"
        return Damage(code, "the file is no TFRecord file: it is " + kind + (" (%s)" % mended if mended else ""))
    if cut is not None:
        return Damage("record-cut", cut)
    return Damage("record-length-crc", "the checksum of its length is wrong; the %d bytes from here on cannot be read" % (size - offset))


def _kind(start):
    """What a file seems to be by its first bytes, or None."""
    known = next((kind for magic, kind in _KINDS if start.startswith(magic)), None)
    if known is None and start and all(byte in b"\t\n\r\f" or 32 <= byte < 127 for byte in start):
        return "a text or web page"
    return known


def _is_whole(handle, offset, length):
    data = _pread(handle, length + FOOTER, offset + HEADER)
    return len(data) == length + FOOTER and struct.unpack("<I", data[length:])[0] == masked_crc32c(data[:length])


def _is_zero(handle, offset, size):
    while offset < size:
        block = _pread(handle, min(_BLOCK, size - offset), offset)
        if not block or block.count(0) != len(block):
            return False
        offset += len(block)
    return True


def _pread(handle, length, offset):
    """Up to `length` bytes; fewer only at the file's end."""
    parts = []
    while length > 0:
        part = os.pread(handle, length, offset)
        if not part:
            break
        parts.append(part)
        length -= len(part)
        offset += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
