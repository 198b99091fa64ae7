"""Instance masks, from what annotations hold to COCO's run-length encoding.

A reader gives an object's mask as one of
{"polygons": [[x, y, x, y, …], …], "unit": PIXELS or FRACTION}: the mask is their union;
{"rle": {"size": [height, width], "counts": COCO's compressed text, or its list of run lengths}};
{"picture": path of an image file, "values": None or [grey value or palette index]}: pixels of these values (None: not 0) are the object's;
a picture of another size than the image is scaled to it;
bytes that `packed` made: for layouts in which a million objects have one.

All of it is looked at before pycocotools' C code reads it, which trusts what it is given.
"""

import warnings

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask
from tables import FRACTION

from _detection import rle as rles
from _detection.resize import DAMAGED
from _detection.rle import MaskError

_LONGEST_OUTLINE = 2_000_000  # pixels: pycocotools keeps some hundred bytes of memory for each
_ASPECT = 0.05  # how much a mask's height may differ from what its width says of the image, as a part of it


def to_rle(mask, width, height):
    """COCO's compressed run-length encoding {"size": [height, width], "counts": text} of a reader's mask, for an image of that size.

    Raises MaskError, whose `code` is "mask-broken", or "mask-empty" where no pixel is the object's.
    """
    return rasterized(mask, width, height)[0]


def rasterized(mask, width, height):
    """(`to_rle`, the (width, height) that the mask had where it was scaled to the image, else None). Raises MaskError.

    A mask is scaled by the pixel nearest to the centre of each of the image's, and only where it has the image's shape: another ratio of
    the sides tells that it is of another image, or turned.
    """
    if isinstance(mask, bytes):
        mask = _unpacked(mask)
    if "polygons" in mask:
        rle, found = _of_polygons(mask["polygons"], mask["unit"], width, height), (width, height)
    elif "rle" in mask:
        rle, found = _of_run_lengths(mask["rle"], width, height)
    else:
        pixels = _of_picture(mask["picture"], mask["values"])
        rle, found = rles.encode(_scaled(pixels, width, height)), pixels.shape[::-1]
    if area(rle) == 0:
        raise MaskError("no pixel is inside the mask", "mask-empty")
    return rle, None if found == (width, height) else found


def packed(mask, width, height):
    """A reader's mask in as few bytes as may be, for an image whose size is told; where that does not do, the mask as it is."""
    if not 0 < width * height <= rles.MOST_PIXELS:
        return mask
    try:
        rle = to_rle(mask, width, height)
    except MaskError:
        return mask
    return ("%d %d %s" % (*rle["size"], rle["counts"])).encode("ascii")


def _unpacked(data):
    height, width, counts = data.split(b" ")
    return {"rle": {"size": [int(height), int(width)], "counts": counts}}


def box_around(mask, width, height):
    """The box around a reader's mask, [xmin, ymin, xmax, ymax]: around the points of polygons, in their unit; else around the pixels, edges
    in pixels of an image of that size (0, 0: of the mask's own). Raises MaskError.
    """
    if "polygons" in mask:
        points = np.concatenate(_outlines(mask["polygons"]))
        return [float(edge) for edge in (*points.min(axis=0), *points.max(axis=0))]
    if min(width, height) == 0:
        height, width = rles.run_lengths(mask["rle"])[:2] if "rle" in mask else _of_picture(mask["picture"], mask["values"]).shape
    return area_box(to_rle(mask, width, height))


def area(rle):
    """How many pixels are the object's."""
    return int(coco_mask.area(rle))


def area_box(rle):
    """The box around a mask's pixels, [xmin, ymin, xmax, ymax], edges in pixels. rle: as `to_rle` makes it."""
    x, y, width, height = (float(value) for value in coco_mask.toBbox(rle))
    return [x, y, x + width, y + height]


def upright(rle, orientation):
    """The mask of the image that Pillow's `ImageOps.exif_transpose` makes of one with that EXIF orientation, 1 to 8."""
    return rle if orientation == 1 else rles.encode(_TURNED[orientation](rles.decode(rle)))


_TURNED = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.T,
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].T,
    8: np.rot90,
}


def _of_polygons(polygons, unit, width, height):
    scale = np.array([width, height], np.float64) if unit == FRACTION else 1.0
    outlines = [(points * scale).ravel() for points in _outlines(polygons)]
    longest = max(width, height)
    if min(outline.min() for outline in outlines) < -longest or max(outline.max() for outline in outlines) > 2 * longest:
        raise MaskError("the polygon leads further out of the image of %d x %d pixels than that is long" % (width, height))
    if sum(np.abs(np.diff(outline.reshape(-1, 2), axis=0)).sum() for outline in outlines) > _LONGEST_OUTLINE:
        raise MaskError("the polygon's outline is longer than %d pixels" % _LONGEST_OUTLINE)
    parts = coco_mask.frPyObjects([outline.tolist() for outline in outlines], height, width)
    return rles.as_text(coco_mask.merge(parts))


def _of_run_lengths(rle, width, height):
    """(the RLE in its shortest compressed form, scaled to the image, its (width, height) before)."""
    own_height, own_width, lengths = rles.run_lengths(rle)
    if (own_width, own_height) == (width, height) and (lengths[1:] > 0).all():
        found = coco_mask.frPyObjects({"size": [height, width], "counts": lengths.tolist()}, height, width)
        return rles.as_text(found), (width, height)
    return rles.encode(_scaled(rles.decode(rle), width, height)), (own_width, own_height)


def _outlines(polygons):
    """Each polygon's points, float64 [n, 2]."""
    if not isinstance(polygons, (list, tuple)) or not polygons:
        raise MaskError("the mask has no polygon")
    return [_points(polygon) for polygon in polygons]


def _points(polygon):
    """A polygon's points, float64 [n, 2]."""
    try:
        numbers = np.asarray(polygon)
    except ValueError:  # lists of different lengths in it
        numbers = np.empty(0, object)
    if numbers.dtype.kind not in "iuf" or numbers.ndim != 1:
        raise MaskError("a polygon is not a list of numbers")
    if numbers.size % 2:
        raise MaskError("a polygon has %d coordinates, where pairs of x and y were expected" % numbers.size)
    if numbers.size < 6:
        raise MaskError("a polygon has %d points, where 3 were expected" % (numbers.size // 2))
    if not np.isfinite(numbers).all():
        raise MaskError("a polygon has a coordinate that is not a finite number")
    return numbers.astype(np.float64).reshape(-1, 2)


def _of_picture(path, values):
    """The pixels that are the object's, bool [height, width]."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd EXIF, and of sizes below the limit
            with Image.open(str(path)) as picture:
                pixels = np.asarray(picture.convert("L") if picture.mode == "1" else picture)
    except DAMAGED as error:
        said = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        raise MaskError("the mask's picture %s cannot be decoded: %s" % (path, said)) from None
    if values is None:
        return pixels != 0 if pixels.ndim == 2 else _seen(pixels)
    if pixels.ndim != 2:
        raise MaskError("the mask's picture %s has %d channels, where grey or a palette was expected" % (path, pixels.shape[2]))
    return np.isin(pixels, values)


def _seen(pixels):
    """Where a picture of several channels, [height, width, channels], has a colour that is not black and, with alpha, not transparent."""
    colours = pixels if pixels.shape[2] == 3 else pixels[:, :, :-1]
    found = (colours != 0).any(axis=2)
    return found if pixels.shape[2] == 3 else found & (pixels[:, :, -1] != 0)


def _scaled(pixels, width, height):
    """The mask at the image's size, by the nearest pixel."""
    old_height, old_width = pixels.shape
    if (old_width, old_height) == (width, height):
        return pixels
    expected = old_width * height / width
    if abs(old_height - expected) > max(1.0, _ASPECT * expected):
        raise MaskError(
            "the mask is of %d x %d pixels, the image of %d x %d: they have not the same shape" % (old_width, old_height, width, height)
        )
    rows = (2 * np.arange(height) + 1) * old_height // (2 * height)
    columns = (2 * np.arange(width) + 1) * old_width // (2 * width)
    return pixels[rows][:, columns]
