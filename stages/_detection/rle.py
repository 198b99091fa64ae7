"""COCO's run-length encoding of masks, checked before any compiled code reads it.

{"size": [height, width], "counts": run lengths}: lengths of runs in column-major order, the first of pixels that are not the object's.
"counts" is a list of them, or COCO's compressed text: five bits in a character from code 48 on, a sixth says that the number goes on,
the number is signed, and from the fourth on it is the difference to the run two before (rleFrString in cocoapi/common/maskApi.c, 2.0).
"""

import numpy as np
from pycocotools import mask as coco_mask

MOST_PIXELS = 1 << 28  # of a mask: past what Pillow opens as an image
_FIRST, _MORE, _SIGN, _BITS = 48, 0x20, 0x10, 5
_LONGEST = 8  # characters of a number


class MaskError(Exception):
    """A mask that cannot be used; its text says why. code: for findings."""

    def __init__(self, message, code="mask-broken"):
        super().__init__(message)
        self.code = code


def run_lengths(rle):
    """(height, width, run lengths as int64 [n]) of either form. Raises MaskError where they are not a mask's."""
    size, counts = (rle.get("size"), rle.get("counts")) if isinstance(rle, dict) else (None, None)
    if not isinstance(size, (list, tuple)) or len(size) != 2 or not all(_whole(side) and side > 0 for side in size):
        raise MaskError("the RLE's size is %s, where [height, width] was expected" % (_shown(size),))
    height, width = (int(side) for side in size)
    if height * width > MOST_PIXELS:
        raise MaskError("the RLE's size is %d x %d: too large for an image" % (width, height))
    if isinstance(counts, (str, bytes)):
        lengths = _numbers(counts if isinstance(counts, bytes) else counts.encode("utf-8", "surrogatepass"))
    elif isinstance(counts, (list, tuple)) and all(_whole(count) for count in counts):
        lengths = np.array([min(max(int(count), -1), MOST_PIXELS + 1) for count in counts], np.int64)
    else:
        raise MaskError("the RLE's counts are %s, where a text or a list of whole numbers was expected" % _shown(counts))
    # The largest is looked at first: sums of wild numbers may wrap round.
    if lengths.size == 0 or lengths.min() < 0 or lengths.max() > height * width or lengths.sum() != height * width:
        raise MaskError("the RLE's counts are not those of %d x %d pixels" % (width, height))
    return height, width, lengths


def _whole(value):
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _shown(value):
    text = repr(value)
    return text if len(text) < 60 else text[:57] + "…"


def _numbers(text):
    """The numbers of a compressed text, differences added up: int64 [n]."""
    codes = np.frombuffer(text, np.uint8).astype(np.int64) - _FIRST
    if codes.size == 0 or codes.min() < 0 or codes.max() >= 2 * _MORE or codes[-1] & _MORE:
        raise MaskError("the RLE's counts %s are not COCO's compressed text" % _shown(text.decode("ascii", "replace")))
    ends = np.flatnonzero(codes & _MORE == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    sizes = ends - starts + 1
    if sizes.max() > _LONGEST:
        raise MaskError("the RLE's counts hold a number of %d characters" % sizes.max())
    place = np.arange(codes.size) - np.repeat(starts, sizes)
    values = np.add.reduceat((codes & (_MORE - 1)) << (_BITS * place), starts)
    values -= np.where(codes[ends] & _SIGN, np.int64(1) << (_BITS * sizes), 0)
    for first in (1, 2):
        values[first::2] = np.cumsum(values[first::2])
    return values


def decode(rle):
    """The mask, bool [height, width], of either form. Raises MaskError."""
    height, width, lengths = run_lengths(rle)
    pixels = np.repeat(np.arange(lengths.size) % 2 == 1, lengths)
    return pixels.reshape(width, height).T


def encode(mask):
    """The compressed form, counts as str, of a mask [height, width]: pixels that are not 0 or False are the object's."""
    found = coco_mask.encode(np.asfortranarray(np.asarray(mask) != 0, np.uint8))
    return as_text(found)


def as_text(rle):
    """What pycocotools gives, as JSON takes it."""
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode("ascii")}
