"""Pictures of coloured shapes on a noisy ground, with the box of each shape.

Everything is drawn from integers of a seeded generator, so that a picture is the same on every machine.
"""

import math
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

CLASSES = ("circle", "square", "triangle")
MOST_SHAPES = 4
SMALLEST, LARGEST = 0.24, 0.46  # diameter of a shape as a part of the picture's side
SUPERSAMPLING = 4
MOST_OVERLAP = 0.05  # of the smaller of two boxes


class Shape(NamedTuple):
    """What is drawn, as an annotation tells it."""

    label: str  # one of CLASSES
    box: tuple  # xmin, ymin, xmax, ymax: edges in whole pixels


def draw(size, seed, split, index):
    """One picture: an RGB `Image` of size × size pixels and its list of `Shape`.

    split and index choose the picture; picture `index` is the same however many there are. The first shape's class goes round
    CLASSES with the index, so that any three pictures in a row show every class.
    """
    stream = int.from_bytes(split.encode("ascii"), "big")
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, stream, index])))
    picture = _ground(size, rng)
    shapes = []
    for number in range(int(rng.integers(1, MOST_SHAPES + 1))):
        label = CLASSES[index % len(CLASSES)] if number == 0 else CLASSES[int(rng.integers(len(CLASSES)))]
        outline = _place(label, size, [shape.box for shape in shapes], rng)
        if outline is not None:
            _paint(picture, outline, rng)
            shapes.append(Shape(label, _box(outline)))
    return _grain(picture, rng), shapes


def _ground(size, rng):
    """Dull blotches: coarse random greys with a tint, enlarged smoothly."""
    cells = int(rng.integers(3, 9))
    base = rng.integers(50, 200)
    coarse = base + rng.integers(-45, 46, (cells, cells, 1)) + rng.integers(-18, 19, (cells, cells, 3))
    return Image.fromarray(np.clip(coarse, 0, 255).astype(np.uint8), "RGB").resize((size, size), Image.BICUBIC)


def _grain(picture, rng):
    pixels = np.asarray(picture).astype(np.int16)
    return Image.fromarray(np.clip(pixels + rng.integers(-14, 15, pixels.shape), 0, 255).astype(np.uint8), "RGB")


def _place(label, size, taken, rng):
    """Corner points of a shape that leaves the `taken` boxes free, or None where there is no room."""
    for _ in range(40):
        radius = size * rng.integers(int(SMALLEST * 1000), int(LARGEST * 1000) + 1) / 2000.0
        turn = math.radians(int(rng.integers(0, 360)))
        corners = _corners(label, radius, turn)
        xmin, ymin, xmax, ymax = _box(corners)
        room_x, room_y = size - 2 - (xmax - xmin), size - 2 - (ymax - ymin)
        dx, dy = 1 - xmin + int(rng.integers(0, room_x + 1)), 1 - ymin + int(rng.integers(0, room_y + 1))
        outline = [(x + dx, y + dy) for x, y in corners]
        if all(_overlap(_box(outline), box) <= MOST_OVERLAP for box in taken):
            return outline
    return None


def _corners(label, radius, turn):
    """Points around (0, 0). The area of the three shapes is about the same for the same radius."""
    sides, reach = {"circle": (72, 1.0), "square": (4, 1.2), "triangle": (3, 1.35)}[label]
    return [
        (radius * reach * math.cos(turn + 2 * math.pi * side / sides), radius * reach * math.sin(turn + 2 * math.pi * side / sides))
        for side in range(sides)
    ]


def _box(points):
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return math.floor(min(xs)), math.floor(min(ys)), math.ceil(max(xs)), math.ceil(max(ys))


def _overlap(one, other):
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / min((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))


def _paint(picture, outline, rng):
    """Fill the outline with a vivid colour, edges smoothed."""
    strong, weak, between = int(rng.integers(190, 256)), int(rng.integers(0, 60)), int(rng.integers(0, 256))
    channels = [(strong, weak, between)[place] for place in rng.permutation(3)]
    mask = Image.new("L", (picture.width * SUPERSAMPLING, picture.height * SUPERSAMPLING))
    ImageDraw.Draw(mask).polygon([(round(x * SUPERSAMPLING), round(y * SUPERSAMPLING)) for x, y in outline], fill=255)
    picture.paste(tuple(channels), mask=mask.resize(picture.size, Image.BOX))
