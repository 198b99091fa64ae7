"""The audit's worst offenders on one picture: each image with its boxes, the bad ones marked and numbered."""

import heapq
import os
import warnings
from collections import Counter
from pathlib import Path
from typing import NamedTuple, Optional

from PIL import Image, ImageDraw, ImageFont, ImageOps

from _detection.resize import DAMAGED
from _runtime import atomic_write

MOST = 24  # tiles
COLUMNS = 4
TILE = 320  # pixels, both sides
SEVERITIES = ("error", "warning")  # a note is no offence

_CAPTION, _GAP, _FONT = 46, 4, 12  # pixels
_MARGIN = 0.05  # of the picture's longer side, around every picture
_REACH = 0.6  # of a side: how far beyond the picture's edge a tile shows
_LEAST = 5  # pixels of the sheet; what is smaller gets a cross
_LONGEST = 500  # characters of a line that are measured, far more than fit
_MOST_BOXES, _MOST_NUMBERS = 2000, 40  # drawn in a tile
_JPEG_QUALITY = 88
_SHEET, _AROUND, _NO_PICTURE, _INK, _SOFT = "#ffffff", "#d9dce2", "#b4b8c0", "#16181d", "#586173"
# Of Okabe and Ito's colours, told apart with the common kinds of colour blindness.
_GOOD, _BAD, _HALO = "#56b4e9", "#d55e00", "#ffffff"


class Box(NamedTuple):
    """xmin, ymin, xmax, ymax: finite, pixels of the upright picture, as they are written: perhaps empty, swapped or outside.

    code: of what is wrong with it, None for a good one. number: shown at a bad one; without it the box's place in the list, from 1.
    """

    xmin: float
    ymin: float
    xmax: float
    ymax: float
    label: str
    code: Optional[str] = None
    number: Optional[int] = None


class Entry(NamedTuple):
    """An image for a tile. path: None where there is no file; title: its name; codes: one for each of its problems; boxes: list of Box."""

    path: Optional[Path]
    title: str
    codes: list
    boxes: list


def worst(tallies, number=MOST):
    """The keys of the `number` images with the most errors, then the most warnings, then by name; those with neither are left out.

    tallies: iterable of (key, name, severities of the image's problems), in any order.
    """
    ranked = []
    for key, name, severities in tallies:
        counts = Counter(severities)
        if any(counts[severity] for severity in SEVERITIES):
            ranked.append((*(-counts[severity] for severity in SEVERITIES), name, len(ranked), key))
    return [rank[-1] for rank in heapq.nsmallest(number, ranked, key=lambda rank: rank[:-1])]


def draw(entries, path):
    """Write the first 24 entries as a JPEG to `path`, the same bytes for the same entries. entries: list of Entry, one or more."""
    if not entries:
        raise ValueError("a contact sheet needs an entry")
    tiles = [_tile(Entry(*entry)) for entry in entries[:MOST]]
    columns = min(COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * (TILE + _GAP) + _GAP, rows * (TILE + _GAP) + _GAP), _SHEET)
    for place, tile in enumerate(tiles):
        row, column = divmod(place, columns)
        sheet.paste(tile, (_GAP + column * (TILE + _GAP), _GAP + row * (TILE + _GAP)))
    with atomic_write(path) as stream:
        sheet.save(stream, "JPEG", quality=_JPEG_QUALITY, subsampling=0)  # thin lines keep their colour


def _tile(entry):
    tile = Image.new("RGB", (TILE, TILE), _SHEET)
    height = TILE - _CAPTION
    picture, reason = _upright(entry.path)
    if picture is None:
        tile.paste(_NO_PICTURE, (0, 0, TILE, height))
        for line, text in enumerate(_lines(reason, 3, TILE - 40)):
            ImageDraw.Draw(tile).text((20, height // 2 - 20 + 16 * line), text, fill=_INK, font=_font())
    else:
        tile.paste(_with_boxes(picture, [Box(*box) for box in entry.boxes], TILE, height))
    _write_caption(tile, entry, height)
    return tile


def _write_caption(tile, entry, top):
    pen, counts = ImageDraw.Draw(tile), Counter(entry.codes)
    pen.text((0, top), _cut_front(_printable(entry.title), TILE), fill=_INK, font=_font())
    codes = ", ".join(code if number == 1 else "%s %d" % (code, number) for code, number in counts.items())
    for line, text in enumerate(_lines(codes, 2, TILE)):
        pen.text((0, top + 15 * (line + 1)), text, fill=_SOFT, font=_font())


def _upright(path):
    """(RGB picture, None), turned as its EXIF orientation says; (None, reason) where there is none."""
    if path is None or not os.path.isfile(str(path)):  # to open a pipe would wait for ever
        return None, "no image file"
    try:
        with warnings.catch_warnings(), Image.open(str(path), formats=("JPEG", "PNG")) as image:
            warnings.simplefilter("ignore")  # the audit has told them
            turned = _turned(image)
            if turned.mode.startswith("I"):  # 16 bits of grey: the upper 8
                turned = turned.convert("I").point(lambda value: value / 256).convert("L")
            return turned.convert("RGB"), None
    except DAMAGED as error:
        return None, "no picture: %s" % _printable(" ".join(str(error).replace(str(path), Path(path).name).split()) or type(error).__name__)


def _turned(image):
    try:
        return ImageOps.exif_transpose(image)
    except DAMAGED:  # the EXIF; damaged pixels are told where they are read next
        return image


class _View:
    """The part of the plane that a tile shows, scaled and centred in width x height pixels: the picture and the bad boxes near it."""

    def __init__(self, picture, boxes, width, height):
        sides = picture.size
        margin = _MARGIN * max(sides)
        self.low = [-_REACH * side - margin for side in sides]
        self.high = [(1 + _REACH) * side + margin for side in sides]
        near = [box for box in boxes if box.code and self.beyond(box) == (0, 0)]
        for axis, side in enumerate(sides):
            values = [box[corner] for box in near for corner in (axis, axis + 2)]
            self.low[axis] = max(self.low[axis], min([0, *values]) - margin)
            self.high[axis] = min(self.high[axis], max([side, *values]) + margin)
        spans = [high - low for low, high in zip(self.low, self.high, strict=True)]
        self.factor = min(width / spans[0], height / spans[1])
        self.start = [(room - span * self.factor) / 2 for room, span in zip((width, height), spans, strict=True)]

    def point(self, x, y):
        """A point in pixels of the tile, moved to the nearest one that it shows."""
        return tuple(
            start + (min(max(value, low), high) - low) * self.factor
            for value, low, high, start in zip((x, y), self.low, self.high, self.start, strict=True)
        )

    def beyond(self, box):
        """Which way the box lies where none of it is shown: (-1, 0 or 1 of x, likewise y)."""
        way = []
        for axis in (0, 1):
            first, last = sorted((box[axis], box[axis + 2]))
            way.append(-1 if last < self.low[axis] else 1 if first > self.high[axis] else 0)
        return tuple(way)


def _with_boxes(picture, boxes, width, height):
    view = _View(picture, boxes, width, height)
    canvas = Image.new("RGB", (width, height), _AROUND)
    left, top = (round(value) for value in view.point(0, 0))
    size = tuple(max(1, round(side * view.factor)) for side in picture.size)
    canvas.paste(picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0), (left, top))
    pen, numbered = ImageDraw.Draw(canvas), 0
    drawn = list(enumerate(boxes, 1))[:_MOST_BOXES]
    for _, box in drawn:
        if not box.code:
            first, last = _ends(view, box)
            pen.rectangle([*first, *last], outline=_GOOD, width=1)
    for _, box in drawn:
        if box.code:
            _draw_bad(pen, view, box)
    for place, box in drawn:  # on top of all lines
        if box.code and numbered < _MOST_NUMBERS:
            _draw_number(pen, view, box, str(place if box.number is None else box.number), (width, height))
            numbered += 1
    return canvas


def _ends(view, box):
    """The upper left and the lower right end in pixels of the tile, whichever way round the corners are written."""
    xs, ys = sorted((box.xmin, box.xmax)), sorted((box.ymin, box.ymax))
    return view.point(xs[0], ys[0]), view.point(xs[1], ys[1])


def _draw_bad(pen, view, box):
    first, last = _ends(view, box)
    way = view.beyond(box)
    middle = [(one + other) / 2 for one, other in zip(first, last, strict=True)]
    for colour, width in ((_HALO, 5), (_BAD, 3)):
        if way != (0, 0):
            _draw_arrow(pen, middle, way, colour, width)
            continue
        grown = (width - 1) / 2
        pen.rectangle([first[0] - grown, first[1] - grown, last[0] + grown, last[1] + grown], outline=colour, width=width)
        if min(last[0] - first[0], last[1] - first[1]) < _LEAST:
            for turn in (-1, 1):
                pen.line([middle[0] - 9, middle[1] - 9 * turn, middle[0] + 9, middle[1] + 9 * turn], fill=colour, width=width)


def _draw_arrow(pen, tip, way, colour, width):
    """An arrow head at `tip` that points the `way` where the box lies."""
    length = 18 + (width - 3) / 2
    across = (-way[1], way[0])
    back = [end - length * step / max(1, abs(way[0]) + abs(way[1])) for end, step in zip(tip, way, strict=True)]
    sides = [(back[0] + across[0] * turn * length / 2, back[1] + across[1] * turn * length / 2) for turn in (-1, 1)]
    pen.polygon([tuple(tip), *sides], fill=colour)


def _draw_number(pen, view, box, text, room):
    first, last = _ends(view, box)
    wide, high = _font().getlength(text) + 6, 15
    small = min(last[0] - first[0], last[1] - first[1]) < _LEAST
    x, y = (last[0] + 9, first[1] - high - 5) if small else (first[0] - 2, first[1] - high)
    x, y = min(max(x, 0), room[0] - wide), min(max(y, 0), room[1] - high)
    pen.rectangle([x, y, x + wide, y + high - 1], fill=_BAD)
    pen.text((x + 3, y), text, fill=_HALO, font=_font())


def _font():
    return ImageFont.load_default(_FONT)


def _printable(text):
    """One line, with escapes for what is no character: a file's name may hold anything."""
    shown = str(text).encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(each if each.isprintable() else "\N{MIDDLE DOT}" for each in shown)


def _cut_front(text, width):
    """The text's end that fits in `width` pixels: of a path the file's name."""
    text = text[-_LONGEST:]
    if _font().getlength(text) <= width:
        return text
    while text and _font().getlength("..." + text) > width:
        text = text[1:]
    return "..." + text


def _lines(text, most, width):
    """Words in at most `most` lines of `width` pixels; what is too much ends in three dots."""
    lines, words = [], _printable(str(text)[: _LONGEST * most]).split()
    while words and len(lines) < most:
        line = words.pop(0)
        while words and _font().getlength(line + " " + words[0]) <= width:
            line += " " + words.pop(0)
        while _font().getlength(line) > width:
            line = line[:-1]
        lines.append(line)
    if words:
        lines[-1] = lines[-1].rstrip(", ") + " ..."
    return lines
