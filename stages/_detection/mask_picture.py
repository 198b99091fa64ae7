"""Masks as the PNG pictures that the Object Detection API reads in image/object/mask, and back.

The PNG is made here, so that its bytes follow from the pixels and zlib alone: Pillow's own zlib-ng may compress otherwise on another
processor. Format: https://www.w3.org/TR/png-3/.
"""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from _detection import rle as rles
from _detection.resize import DAMAGED
from _runtime import StageError

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _BITS = 0, 8
_LEVEL = 6


def mask_png(rle):
    """PNG bytes, 8-bit grey: 1 where the object is, 0 elsewhere. rle: the dataset's, of either form. Raises StageError."""
    try:
        pixels = rles.decode(rle)
    except rles.MaskError as error:
        raise StageError(
            "a mask of the dataset is damaged", "dataset", "COCO's run-length encoding", error, "build the dataset again"
        ) from None
    height, width = pixels.shape
    rows = np.zeros((height, width + 1), np.uint8)  # each row begins with its filter: none
    rows[:, 1:] = pixels
    header = struct.pack(">IIBBBBB", width, height, _BITS, _GREY, 0, 0, 0)
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows.tobytes(), _LEVEL)) + _chunk(b"IEND", b"")


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data) & 0xFFFFFFFF)


def png_mask(data):
    """The compressed run-length encoding of a grey picture's bytes: what is not 0 is the object's. Raises MaskError."""
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
            pixels = np.asarray(picture)
    except DAMAGED as error:
        raise rles.MaskError("the mask's PNG cannot be decoded: %s" % (" ".join(str(error).split()) or type(error).__name__)) from None
    if pixels.ndim != 2:
        raise rles.MaskError("the mask's PNG has %d channels, where grey was expected" % pixels.shape[2])
    return rles.encode(pixels)
