"""Pictures with boxes and masks, for people to look at."""

from typing import NamedTuple, Optional

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

# Okabe and Ito's colours: told apart with the common kinds of colour blindness; black is left out, for it vanishes in the dark.
COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
PAPER, INK, SOFT = "#FFFFFF", "#16181D", "#586173"
_TINT = 0.45  # of a mask's colour over the picture
_FONT = 13  # pixels
_DARK = 110  # luma below which text on a colour is white


class Shape(NamedTuple):
    """An object to draw. bbox: xmin, ymin, xmax, ymax in pixels, finite; text: beside it; colour: a number, the same for the same class.

    mask: bool [height, width] of the picture, or None.
    """

    bbox: tuple
    text: str
    colour: int
    mask: Optional[np.ndarray] = None


def colour_of(number):
    """The colour of a class's number."""
    return COLOURS[number % len(COLOURS)]


def scaled_to(image, least, most):
    """(the picture with its longer side between `least` and `most` pixels, the factor); small ones grow by a whole number."""
    longest = max(image.size)
    factor = most / longest if longest > most else max(1, least // longest)
    if factor == 1:
        return image, 1
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.LANCZOS if factor < 1 else Image.Resampling.NEAREST), factor


def draw_shapes(image, shapes, factor=1):
    """A copy of an RGB picture with the shapes on it, the small ones on top. factor: from the shapes' pixels to the picture's."""
    shapes = sorted(shapes, key=lambda shape: -abs((shape.bbox[2] - shape.bbox[0]) * (shape.bbox[3] - shape.bbox[1])))
    image = image.copy()
    for shape in shapes:
        if shape.mask is not None:
            _tint(image, shape)
    pen = ImageDraw.Draw(image)
    ends = [_clipped([value * factor for value in shape.bbox], image.size) for shape in shapes]
    for shape, (left, top, right, bottom) in zip(shapes, ends, strict=True):
        pen.rectangle([left, top, max(left, right - 1), max(top, bottom - 1)], outline=colour_of(shape.colour), width=2)
    for shape, (left, top, _, _) in zip(shapes, ends, strict=True):
        _write_label(pen, shape, left, top, image.size)
    return image


def contact_sheet(tiles, side=300, columns=4):
    """One picture of many. tiles: list of (RGB picture, caption), one or more; side: pixels of a tile."""
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    gap, caption = 8, 20
    sheet = Image.new("RGB", (columns * (side + gap) + gap, rows * (side + caption + gap) + gap), PAPER)
    pen = ImageDraw.Draw(sheet)
    for place, (image, text) in enumerate(tiles):
        row, column = divmod(place, columns)
        x, y = gap + column * (side + gap), gap + row * (side + caption + gap)
        small = image.copy()
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
        sheet.paste(small, (x + (side - small.width) // 2, y + (side - small.height) // 2))
        pen.text((x, y + side + 2), _fitting(text, side), fill=INK, font=_font())
    return sheet


def placard(text, size):
    """A blank picture that says something, where there is nothing to show."""
    image = Image.new("RGB", size, "#B4B8C0")
    pen, width = ImageDraw.Draw(image), size[0] - 20
    lines, words = [], text.split()
    while words:
        line = words.pop(0)
        while words and _font().getlength(line + " " + words[0]) <= width:
            line += " " + words.pop(0)
        lines.append(_fitting(line, width))
    for number, line in enumerate(lines[: max(1, (size[1] - 20) // 17)]):
        pen.text((10, 10 + 17 * number), line, fill=INK, font=_font())
    return image


def printable(text):
    """Text that a font can draw in one line."""
    return "".join(char if char.isprintable() else "\N{MIDDLE DOT}" for char in text.encode("utf-8", "replace").decode("utf-8"))


def _tint(image, shape):
    mask = Image.fromarray(shape.mask.astype(np.uint8) * round(255 * _TINT))
    image.paste(Image.new("RGB", image.size, colour_of(shape.colour)), (0, 0), mask.resize(image.size, Image.Resampling.NEAREST))


def _clipped(bbox, size):
    """Ends that a pen can draw, one pixel beyond the picture's edge at most."""
    limits = (size[0] + 1, size[1] + 1) * 2
    left, top, right, bottom = (min(max(value, -1), limit) for value, limit in zip(bbox, limits, strict=True))
    return min(left, right), min(top, bottom), max(left, right), max(top, bottom)


def _write_label(pen, shape, left, top, size):
    text = _fitting(printable(shape.text), max(40, size[0] - 8))
    if not text:
        return
    colour = colour_of(shape.colour)
    box = pen.textbbox((0, 0), text, font=_font())
    width, height = box[2] + 6, box[3] + 4
    x = max(0, min(left, size[0] - width))
    y = max(0, top - height if top >= height else min(top, size[1] - height))
    pen.rectangle([x, y, x + width, y + height], fill=colour)
    red, green, blue = ImageColor.getrgb(colour)
    pen.text((x + 3, y + 1), text, fill="#FFF" if 0.299 * red + 0.587 * green + 0.114 * blue < _DARK else "#000", font=_font())


def _fitting(text, width):
    """The text's start that fits in `width` pixels."""
    text = printable(text)
    if _font().getlength(text) <= width:
        return text
    while text and _font().getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."


def _font():
    return ImageFont.load_default(_FONT)
