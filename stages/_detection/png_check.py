"""Whether a PNG file is whole: Pillow shows what it can of a cut one, TensorFlow refuses it in the middle of training.

Structure: https://www.w3.org/TR/png-3/.
"""

import struct
import zlib

_SIGNATURE = 8
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a pixel, by colour type
# Adam7 interlacing: first column, first row, column step, row step of each pass.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def png_fault(data):
    """What is wrong with a PNG file's bytes, or None: chunks cut short, wrong checksums, too few pixel rows, no IEND."""
    place, header, pixels = _SIGNATURE, None, []
    while place + 12 <= len(data):
        length = struct.unpack_from(">I", data, place)[0]
        kind, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        if place + 12 + length > len(data):
            break
        if zlib.crc32(kind + body) != struct.unpack_from(">I", data, place + 8 + length)[0]:
            return "the checksum of its chunk %s is wrong" % kind.decode("ascii", "replace")
        if kind == b"IHDR" and length == 13:
            header = struct.unpack(">IIBBBBB", body)
        elif kind == b"IDAT":
            pixels.append(body)
        elif kind == b"IEND":
            return _pixel_fault(header, pixels)
        place += 12 + length
    return "the file is cut short: it has no end (IEND)"


def _pixel_fault(header, pixels):
    if header is None or header[3] not in _SAMPLES:
        return "it has no valid header (IHDR)"
    expected, found = _raw_size(header), 0
    inflater = zlib.decompressobj()
    data = b"".join(pixels)
    try:
        while data and found < expected:
            found += len(inflater.decompress(data, 1 << 20))
            data = inflater.unconsumed_tail
    except zlib.error as error:
        return "its pixels cannot be unpacked: %s" % error
    return None if found >= expected else "it holds %d bytes of pixels where %d are needed" % (found, expected)


def _raw_size(header):
    """Bytes of the unpacked pixels: each row has a filter byte and its samples."""
    width, height, depth, colour, _, _, interlaced = header
    passes = [(width, height)]
    if interlaced:
        passes = [(-(-(width - column) // step_x), -(-(height - row) // step_y)) for column, row, step_x, step_y in _PASSES]
    return sum(rows * (1 + (columns * depth * _SAMPLES[colour] + 7) // 8) for columns, rows in passes if columns > 0 and rows > 0)
