"""COCO box metrics of one model's detections, computed by pycocotools.

The metric is COCO's (https://cocodataset.org/#detection-eval): average precision over IoU 0.50:0.05:0.95 and 101 recall points, at most 100
boxes per image and class. What COCO leaves open is decided as the Object Detection API's own COCO evaluation decides it:

- `crowd` and `group_of` boxes are crowd regions: a detection inside one is neither right nor wrong, and missing one costs nothing.
- `difficult` and `truncated` boxes count like all others; COCO knows no such flags.
- the area of an object is that of its box, in pixels of the original image.
- a class without an object to find has no AP (None), and the means leave it out. With objects but no detection it is 0.
"""

import copy
from collections import Counter

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

# Digits kept: the last bits of a mean may differ between processors, and the artifact's digest must not.
DIGITS = 6
SIZES = ("small", "medium", "large")
SMALL_BELOW, LARGE_FROM = 32**2, 96**2  # px², COCO's limits


def object_counts(truth):
    """What there is to find in `truth` (a COCO dict).

    Returns {"objects", "crowd_regions", "difficult": int, "per_class": {class: int}, "per_size": {"small"|"medium"|"large": int}};
    crowd regions are in no other count.
    """
    names = {category["id"]: category["name"] for category in truth["categories"]}
    per_class = dict.fromkeys(names.values(), 0)
    per_size = dict.fromkeys(SIZES, 0)
    objects = [annotation for annotation in truth["annotations"] if not annotation["iscrowd"]]
    for annotation in objects:
        per_class[names[annotation["category_id"]]] += 1
        per_size[_size(annotation["area"])] += 1
    return {
        "objects": len(objects),
        "crowd_regions": len(truth["annotations"]) - len(objects),
        "difficult": sum(annotation["difficult"] for annotation in objects),
        "per_class": per_class,
        "per_size": per_size,
    }


def box_metrics(truth, detections):
    """Metrics of `detections` (a COCO results list: image_id, category_id, bbox [x, y, w, h] px, score) against `truth` (a COCO dict).

    Every value is in 0..1, rounded to 6 digits, or None where there was nothing to find: {"map", "map50", "map75", "map_small", …, "ar1",
    "ar10", "ar100", "ar_small", …, "per_class": [{"class", "ap", "ap50", "ar100", "objects", "detections"}]}.
    """
    # Not COCO.loadRes, which cannot read an empty list. Ids and areas are those that it gives; ids from 1, for 0 would pass for no match.
    annotations = [
        {
            "id": index,
            "image_id": found["image_id"],
            "category_id": found["category_id"],
            "bbox": found["bbox"],
            "score": found["score"],
            "area": found["bbox"][2] * found["bbox"][3],
            "iscrowd": 0,
        }
        for index, found in enumerate(detections, start=1)
    ]
    evaluation = COCOeval(_coco(truth), _coco({**truth, "annotations": annotations}), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    names = ("map", "map50", "map75", "map_small", "map_medium", "map_large", "ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large")
    metrics = {name: _rounded(value) for name, value in zip(names, evaluation.stats, strict=True)}
    metrics["per_class"] = _per_class(evaluation, truth, detections)
    return metrics


def _per_class(evaluation, truth, detections):
    # precision is [IoU, recall, class, area, detections], recall the same without the recall axis; area 0 is "all", detections -1 is 100.
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    recall = evaluation.eval["recall"][:, :, 0, -1]
    objects = object_counts(truth)["per_class"]
    found = Counter(detection["category_id"] for detection in detections)
    categories = sorted(truth["categories"], key=lambda category: category["id"])
    return [
        {
            "class": category["name"],
            "ap": _mean(precision[:, :, index]),
            "ap50": _mean(precision[0, :, index]),
            "ar100": _mean(recall[:, index]),
            "objects": objects[category["name"]],
            "detections": found[category["id"]],
        }
        for index, category in enumerate(categories)
    ]


def _coco(truth):
    coco = COCO()
    coco.dataset = copy.deepcopy(truth)  # pycocotools writes into it
    coco.createIndex()
    return coco


def _mean(values):
    # pycocotools marks with -1 what does not exist.
    known = values[values > -1]
    return _rounded(np.mean(known)) if known.size else None


def _rounded(value):
    return None if value < 0 else round(float(value), DIGITS)


def _size(area):
    if area < SMALL_BELOW:
        return "small"
    return "medium" if area < LARGE_FROM else "large"
