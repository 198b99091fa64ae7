"""Example pictures: images where the models do worst and best, with the true boxes and each model's, as small JPEGs."""

import base64
import io
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from _detection.drawing import colour_of
from _detection.resize import load_rgb

LONGEST_SIDE = 440  # pixels of an embedded picture
SHORTEST_UPSCALED = 320  # smaller images are enlarged, or their labels would cover them
JPEG_QUALITY = 82
MATCH_IOU = 0.5


class Box(NamedTuple):
    """category: from 1; bbox: xmin, ymin, xmax, ymax in pixels; score: 0..1, None for a true box."""

    category: int
    bbox: list
    score: float | None


class Panel(NamedTuple):
    """A picture with boxes: `alt` tells them in words, `uri` is the JPEG; width and height in pixels."""

    title: str
    alt: str
    uri: str
    width: int
    height: int


class Picture(NamedTuple):
    """An image's panels, the true boxes' first."""

    name: str
    panels: list


def pick(images, truth, found, count):
    """Ids of `count` images: half where the models do worst, half where they do best; {"worst": [id], "best": [id]}.

    truth: {id: [Box]}; found: [{id: [Box]}], one for each model, below the threshold left out. An image's quality is that of its worst
    model: F1 at IoU 0.5, then the mean score of its right boxes. Equals keep the dataset's order.
    """
    ranked = sorted(images, key=lambda each: min((quality(truth.get(each, []), boxes.get(each, [])) for boxes in found), default=(0, 0)))
    worst = ranked[: (count + 1) // 2]
    best = [each for each in reversed(ranked) if each not in worst][: count - len(worst)]
    return {"worst": worst, "best": best}


def quality(truth, found):
    """(F1, mean score of the right boxes) of one image, 0..1; (1, 1) where there is nothing to find and nothing was found."""
    if not truth and not found:
        return (1.0, 1.0)
    free, scores = list(truth), []
    for box in sorted(found, key=lambda box: -box.score):
        match = max((other for other in free if other.category == box.category), key=lambda other: _iou(other.bbox, box.bbox), default=None)
        if match and _iou(match.bbox, box.bbox) >= MATCH_IOU:
            free.remove(match)
            scores.append(box.score)
    return (2 * len(scores) / (len(truth) + len(found)), sum(scores) / len(scores) if scores else 0.0)


def _iou(first, second):
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    both = max(0, width) * max(0, height)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return both / (areas - both) if areas > both else 0.0


def panel(path, title, boxes, classes):
    """One picture with boxes as a data URI; its `alt` tells the boxes in words."""
    image = Image.fromarray(load_rgb(path))
    factor = LONGEST_SIDE / max(image.size) if max(image.size) > LONGEST_SIDE else max(1, SHORTEST_UPSCALED // max(image.size))
    image = image.resize((max(1, round(image.width * factor)), max(1, round(image.height * factor))), Image.Resampling.LANCZOS)
    _draw(image, [box._replace(bbox=[value * factor for value in box.bbox]) for box in boxes], classes)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=JPEG_QUALITY)
    uri = "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
    return Panel(title, f"{title}: {_in_words(boxes, classes)}", uri, image.width, image.height)


def _draw(image, boxes, classes):
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(13)
    # The surest box is drawn last, on top.
    for box in sorted(boxes, key=lambda box: box.score or 0):
        colour = colour_of(box.category - 1)
        left, top, right, bottom = box.bbox
        draw.rectangle([left, top, max(left, right), max(top, bottom)], outline=colour, width=3)
        text = classes[box.category - 1] + ("" if box.score is None else f" {box.score:.2f}")
        place = draw.textbbox((0, 0), text, font=font)
        width, height = place[2] + 6, place[3] + 4
        x = max(0, min(left, image.width - width))
        y = top - height if top >= height else top
        draw.rectangle([x, y, x + width, y + height], fill=colour)
        draw.text((x + 3, y + 1), text, fill="#000", font=font)


def _in_words(boxes, classes):
    if not boxes:
        return "no boxes"
    words = [classes[box.category - 1] + ("" if box.score is None else f" {box.score:.2f}") for box in boxes[:12]]
    return ", ".join(words) + (f" and {len(boxes) - 12} more" if len(boxes) > 12 else "")


def pictures(dataset, split, detections, count):
    """{"worst": [Picture], "best": [Picture]} of `split`.

    detections: [(model's name, {image's id: [Box]})], of what `boxes_above` gives.
    """
    names = [name for name, _ in detections]
    shown = {image["id"]: image for image in dataset.images(split)}
    truth = {
        number: [
            Box(dataset.class_id(obj["class"]), obj["bbox"], None) for obj in image["objects"] if not (obj["crowd"] or obj["group_of"])
        ]
        for number, image in shown.items()
    }
    found = [boxes for _, boxes in detections]
    chosen = pick(list(shown), truth, found, count)
    return {
        which: [_picture(dataset, shown[number], truth[number], names, [boxes.get(number, []) for boxes in found]) for number in numbers]
        for which, numbers in chosen.items()
    }


def _picture(dataset, image, truth, names, found):
    path = dataset.path(image)
    panels = [panel(path, "true boxes", truth, dataset.classes)]
    panels += [panel(path, name, boxes, dataset.classes) for name, boxes in zip(names, found, strict=True)]
    return Picture(image["name"], panels)


def boxes_above(results, threshold):
    """{image's id: [Box], surest first} of a COCO results list, for scores of `threshold` or more."""
    found = {}
    for each in results:
        if each["score"] >= threshold:
            x, y, width, height = each["bbox"]
            found.setdefault(each["image_id"], []).append(Box(each["category_id"], [x, y, x + width, y + height], each["score"]))
    for boxes in found.values():
        boxes.sort(key=lambda box: -box.score)
    return found
