"""The gallery: a small JPEG of each chosen picture, and beside it, for each model, the same picture with the boxes that it found.

The JPEG is in the page once; a panel is a drawing that shows it and the boxes on it, in units in which its longer side is SIDE.
"""

import base64
import io
from collections import Counter
from typing import NamedTuple

from PIL import Image

from _detection.drawing import COLOURS, printable
from _report.evaluations import ERRORS
from _report.matches import errors_of
from _report.page import counted
from _runtime import StageError

SIDE = 320
MOST_COLOURS = 40  # classes in the legend
# (longest side in pixels, JPEG quality): the first with which all pictures fit into their bytes.
_SIZES = ((400, 80), (360, 76), (320, 74), (280, 72), (240, 70), (200, 68), (160, 65), (120, 60), (96, 50))
_WORDS = {"correct": "right", **ERRORS, "background": "where nothing is", "ignored": "where it does not count"}
_TOLD = 12  # boxes of a panel in words
_LONGEST = 28  # characters of a box's label
_LETTER, _LINE = 7.0, 13  # units, about, of a label's letter and line


class Shape(NamedTuple):
    """A box: its place in a panel's units; colour: number of the class's colour; kind: one of matches.jsonl's, "truth" or "missed".

    text: its label, empty for none; at, base: where the label stands; end: whether it ends there.
    """

    x: float
    y: float
    width: float
    height: float
    colour: int
    kind: str
    text: str
    at: float
    base: float
    end: bool


class Panel(NamedTuple):
    """note: what is right and wrong, in short; words: the boxes in words, for who does not see them."""

    title: str
    note: str
    words: str
    shapes: list


class Picture(NamedTuple):
    """groups: what the filter shows it under; classes: numbers of those in it; errors: "model.class.kind", two of them numbers."""

    id: str
    name: str
    uri: str
    width: float
    height: float
    panels: list
    groups: list
    classes: list
    errors: list


class Frame(NamedTuple):
    """A picture's JPEG as a data URI, and its size in a panel's units; scale: from the picture's pixels to them."""

    uri: str
    width: float
    height: float
    scale: float


def frames(paths, budget):
    """A Frame for each picture, or None for one that is not there; all JPEGs together have at most `budget` bytes, if they can."""
    small = [_thumbnail(path) if path is not None and path.is_file() else None for path in paths]
    for side, quality in _SIZES:
        encoded = [None if each is None else _jpeg(each[0], side, quality) for each in small]
        if sum(len(data) for data in encoded if data) <= budget:
            break
    return [None if each is None else _frame(data, *each[1]) for each, data in zip(small, encoded, strict=True)]


def within(path, budget):
    """A picture as JPEG of at most `budget` bytes, if that can be had from 600 pixels or more on its longer side."""
    with Image.open(path) as image:
        whole = image.convert("RGB")
    for side in (2000, 1600, 1200, 900, 600):
        data = _jpeg(whole, side, 72)
        if len(data) <= budget:
            break
    return data


def _thumbnail(path):
    """(RGB picture of at most the first of _SIZES, (width, height) of the whole one)."""
    try:
        with Image.open(path) as image:
            size = image.size
            image.draft("RGB", (2 * _SIZES[0][0],) * 2)
            small = image.convert("RGB")
    except (OSError, ValueError) as error:
        raise StageError("a picture cannot be read", path, "an image of the dataset", str(error), "build the dataset again") from None
    small.thumbnail((_SIZES[0][0],) * 2, Image.Resampling.LANCZOS)
    return small, size


def _jpeg(image, side, quality):
    if max(image.size) > side:
        image = image.copy()
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality, optimize=True)
    return stream.getvalue()


def _frame(data, width, height):
    scale = SIDE / max(width, height)
    uri = "data:image/jpeg;base64," + base64.b64encode(data).decode("ascii")
    return Frame(uri, round(width * scale, 1), round(height * scale, 1), scale)


def picture(number, name, frame, found, classes, models, groups):
    """A Picture of a line of matches.jsonl. models: names, in the panels' order; number: its id on the page."""
    ids = {name: place for place, name in enumerate(classes)}
    shown = [model for model in models if model in found["models"]]
    panels = [_truth_panel(found, frame, ids)] + [_model_panel(model, found, frame, ids) for model in shown]
    errors = sorted({f"{models.index(model)}.{ids.get(each, -1)}.{kind}" for model, each, kind in errors_of(found) if model in models})
    present = {each["class"] for each in found["truth"]}.union(box["class"] for model in shown for box in found["models"][model]["found"])
    numbers = sorted(ids[each] for each in present if each in ids)
    return Picture(number, name, frame.uri, frame.width, frame.height, panels, groups, numbers, errors)


def _truth_panel(found, frame, ids):
    truth = found["truth"]
    shapes = [
        _shape(each["bbox"], frame, ids.get(each["class"], 0), "ignored" if each["ignored"] else "truth", _label(each["class"], None))
        for each in truth
    ]
    counted_ones = [each["class"] for each in truth if not each["ignored"]]
    ignored = len(truth) - len(counted_ones)
    note = counted(len(counted_ones), "object") + (f", {counted(ignored, 'region')} not counted" if ignored else "")
    words = [f"{number} {name}" if number > 1 else name for name, number in Counter(counted_ones).items()]
    return Panel("Ground truth", note, f"Ground truth: {_cut(words) or 'no object'}.", _largest_first(_apart(shapes, frame)))


def _model_panel(model, found, frame, ids):
    own, truth = found["models"][model], found["truth"]
    shapes = [_shape(box["bbox"], frame, ids.get(box["class"], 0), box["kind"], _label(box["class"], box["score"])) for box in own["found"]]
    shapes += [_shape(truth[index]["bbox"], frame, ids.get(truth[index]["class"], 0), "missed", "") for index in own["missed"]]
    kinds = Counter(box["kind"] for box in own["found"])
    kinds["missed"] = len(own["missed"])
    told = [f"{kinds[kind]:,} {words}" for kind, words in _WORDS.items() if kinds[kind]]
    note = ", ".join(told) or "nothing found, nothing to find"
    words = [f"{box['class']} {box['score']:.2f} {_WORDS.get(box['kind'], box['kind'])}" for box in own["found"]]
    words += [f"{truth[index]['class']} missed" for index in own["missed"]]
    return Panel(model, note, f"{model}: {_cut(words) or 'no box'}.", _largest_first(_apart(shapes, frame)))


def _shape(bbox, frame, number, kind, text):
    left, top, right, bottom = (value * frame.scale for value in bbox)
    left, right = (min(max(value, 0), frame.width) for value in (left, right))
    top, bottom = (min(max(value, 0), frame.height) for value in (top, bottom))
    place = [round(value, 1) for value in (left, top, max(right - left, 1), max(bottom - top, 1))]
    text = printable(text)
    end = left + _LETTER * len(text) > frame.width and right > frame.width / 2
    at, base = (min(right, frame.width - 1) if end else left + 1), (top - 3 if top > _LINE else top + _LINE - 2)
    return Shape(*place, number % len(COLOURS), kind, text, round(at, 1), round(base, 1), end)


def _apart(shapes, frame):
    """The shapes with labels that do not lie on each other: a later one stands a line or two lower, or is left out."""
    taken, apart = [], []
    for shape in shapes:
        for base in (shape.base, shape.base + _LINE, shape.base + 2 * _LINE) if shape.text else ():
            width = _LETTER * len(shape.text)
            left = shape.at - width if shape.end else shape.at
            place = (left, base - _LINE, left + width, base)
            if base <= frame.height and not any(_overlap(place, other) for other in taken):
                taken.append(place)
                apart.append(shape._replace(base=round(base, 1)))
                break
        else:
            apart.append(shape._replace(text=""))
    return apart


def _overlap(one, other):
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _label(name, score):
    """A class's name, cut where it is long, and the whole score."""
    return (name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…") + ("" if score is None else f" {score:.2f}")


def _largest_first(shapes):
    return sorted(shapes, key=lambda shape: -shape.width * shape.height)


def _cut(words):
    return "; ".join(words[:_TOLD]) + (f"; and {len(words) - _TOLD} more" if len(words) > _TOLD else "")


def images_of(dataset, split, ids):
    """{id as text: image} of the wanted images of a dataset; where it has no such split, of any."""
    splits = [split] if split in dataset.splits else dataset.splits
    return {str(image["id"]): image for name in splits for image in dataset.stream(name) if str(image["id"]) in ids}


def filters(pictures, classes, models, groups):
    """What a gallery can be filtered by, for gallery.html: only what some picture has. groups: [(word, name)]."""
    present = {number for each in pictures for number in each.classes}
    errors = [error.split(".") for each in pictures for error in each.errors]
    kinds, wrong = {kind for _, _, kind in errors}, {int(model) for model, _, _ in errors}
    return {
        "groups": [(word, name) for word, name in groups if any(word in each.groups for each in pictures)],
        "classes": [(number, classes[number]) for number in sorted(present)],
        "colours": [(number % len(COLOURS), classes[number]) for number in sorted(present)[:MOST_COLOURS]],
        "kinds": [(kind, words) for kind, words in ERRORS.items() if kind in kinds],
        "models": [(number, name) for number, name in enumerate(models) if number in wrong],
    }
