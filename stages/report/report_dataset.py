"""The page's part on the dataset: what each split holds, and what the audit found. Read image by image, for a dataset may be large."""

import base64
import math
from collections import Counter

import ijson

from _detection.dataset import FLAGS, load
from _report.gallery import within
from _report.plots import bar_chart

USUAL_SPLITS = ("train", "val", "test")
SEVERITIES = ("error", "warning", "note")
FIRST = 10  # problems of each kind, told one by one
MOST_BARS = 30  # classes in a chart
SHEET_BYTES = 400_000  # of the contact sheet in the page
# Edges of the histogram of box sizes, in percent: about a factor of 1.5 apart, because sizes spread over orders of magnitude.
SIZE_EDGES = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70)
_SIZE_NAMES = ("below 1 %", *("%d–%d %%" % pair for pair in zip(SIZE_EDGES, SIZE_EDGES[1:], strict=False)), "70 % and more")
# What a split's row counts besides, where there is any: the flags of objects, masks, labels of images as a whole.
_EXTRAS = {**{flag: flag.replace("_", " ").capitalize() for flag in FLAGS}, "mask": "With a mask", "labels": "Images with labels"}


def datasets(artifacts):
    """What the template tells of each dataset artifact."""
    return [_dataset(each, number) for number, each in enumerate(artifacts.of("dataset"))]


def _dataset(artifact, number):
    dataset = load(artifact.path)
    order = [split for split in USUAL_SPLITS if split in dataset.splits]
    order += [split for split in dataset.splits if split not in USUAL_SPLITS]
    splits = {split: Split(dataset.stream(split)) for split in order}
    charts = [chart for place, name in enumerate(order) for chart in _charts(f"{number}-{place}", name, splits, dataset.classes)]
    extras = [name for name in _EXTRAS if any(split.extras[name] for split in splits.values())]
    found, policy = _audit(artifact.path / "audit.json")
    return {
        "name": artifact.name,
        "splits": splits,
        "extras": extras,
        "extra_heads": ["#" + _EXTRAS[name] for name in extras],
        "classes": _by_number(dataset.classes, splits.values()),
        "class_heads": [f"#{split}: {what}" for split in order for what in ("objects", "images")],
        "charts": [chart for chart in charts if chart],
        "problems": [each for each in found if each["severity"] != "note"],
        "notes": [each for each in found if each["severity"] == "note"],
        "policy": policy,
        "sheet": _sheet(artifact.path / "contact_sheet.jpg"),
    }


class Split:
    """Counts of a split: images, background images, objects; of each class objects, and images that show it; `extras`: objects with each
    flag or a mask, images with labels of their own; sizes: boxes in each bin of SIZE_EDGES.
    """

    def __init__(self, images):
        self.images = self.background = self.objects = 0
        self.of_class, self.images_of_class, self.extras = Counter(), Counter(), Counter()
        self.sizes = [0] * len(_SIZE_NAMES)
        for image in images:
            self._add(image)

    def _add(self, image):
        objects = image["objects"]
        self.images += 1
        self.background += not objects
        self.objects += len(objects)
        self.extras["labels"] += "labels" in image
        self.images_of_class.update({item["class"] for item in objects})
        for item in objects:
            self.of_class[item["class"]] += 1
            self.extras.update(name for name in (*FLAGS, "mask") if item.get(name))
            self.sizes[size_bin(item["bbox"], image["width"], image["height"])] += 1


def size_bin(bbox, width, height):
    """The place in the histogram of a box, by the square root of its share of the image's area."""
    percent = 100 * math.sqrt((bbox[2] - bbox[0]) * (bbox[3] - bbox[1]) / (width * height))
    return sum(percent >= edge for edge in SIZE_EDGES)


def _by_number(classes, splits):
    """The classes with the most objects in all splits first; equals in the label map's order."""
    return sorted(classes, key=lambda name: -sum(split.of_class[name] for split in splits))


def _charts(number, name, splits, classes):
    split, order = splits[name], _by_number(classes, splits.values())
    more = f" (the first {MOST_BARS} of {len(order):,})" if len(order) > MOST_BARS else ""
    yield bar_chart(
        f"classes-{number}",
        f"{name}: classes{more}",
        ["objects", "images"],
        [(each, [split.of_class[each], split.images_of_class[each]]) for each in order[:MOST_BARS]],
        "number",
        lead=f"Objects of each class in the split {name}, and images that show it.",
        table=False,
    )
    yield bar_chart(
        f"sizes-{number}",
        f"{name}: sizes of the boxes",
        ["boxes"],
        list(zip(_SIZE_NAMES, ([count] for count in split.sizes), strict=True)),
        "boxes",
        lead=f"Boxes of the split {name} by the square root of their share of the image's area.",
        log=False,  # the shape of the distribution is what one looks for; the numbers tell the small ones
    )


def _audit(path):
    """([{"severity", "code", "action", "times", "first": [problem]}], policy): a group for each kind of problem, errors first."""
    groups = {}
    with open(path, "rb") as stream:
        for problem in ijson.items(stream, "problems.item"):
            key = (problem["severity"], problem["code"], problem["action"])
            group = groups.setdefault(key, dict(zip(("severity", "code", "action"), key, strict=True), times=0, first=[]))
            group["times"] += 1
            if len(group["first"]) < FIRST:
                group["first"].append(problem)
    with open(path, "rb") as stream:
        policy = next(ijson.items(stream, "policy"), None)
    return sorted(groups.values(), key=lambda group: SEVERITIES.index(group["severity"])), policy


def _sheet(path):
    """The contact sheet as a data URI, smaller where it is large, or None where there is none."""
    if not path.is_file():
        return None
    data = path.read_bytes()
    if len(data) > SHEET_BYTES:
        data = within(path, SHEET_BYTES)
    return "data:image/jpeg;base64," + base64.b64encode(data).decode("ascii")
