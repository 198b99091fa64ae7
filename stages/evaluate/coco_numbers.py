"""COCO's numbers of one model, from what pycocotools made of each class.

The metric is COCO's (https://cocodataset.org/#detection-eval): average precision over IoU 0.50:0.05:0.95 and 101 recall points, at most 100
detections per image and class. What COCO leaves open is decided as the Object Detection API's own COCO evaluation decides it
(metrics/coco_tools.py of the wheel tf-object-detection 0.0.3), which knows no groups:

- `crowd` and `group_of` boxes are crowd regions: a detection inside one is neither right nor wrong, and missing one costs nothing.
- `difficult` and `truncated` boxes count like all others; COCO knows no such flags.
- the area of an object is that of its box, in pixels of the original image, for its mask, too.
- a class without an object to find has no AP (None), and the means leave it out. With objects but no detection it is 0.
"""

import numpy as np
from pycocotools.cocoeval import COCOeval, Params

from _detection.accuracy import DIGITS

SIZES = ("small", "medium", "large")
SMALL_BELOW, LARGE_FROM = 32**2, 96**2  # px², COCO's limits
_MEANS = ("map", "map50", "map75", "map_small", "map_medium", "map_large", "ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large")
_ALL = 0  # place of the area range "all" in pycocotools' arrays; the three sizes follow


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


def _size(area):
    if area < SMALL_BELOW:
        return "small"
    return "medium" if area < LARGE_FROM else "large"


def means(results, kind):
    """COCO's twelve numbers, in 0..1, rounded to 6 digits, None where there is nothing to find: {"map", "map50", …, "ar_large"}.

    results: a `coco_classes.ClassResult` for each class; kind: "bbox" or "segm". They are printed, too, as pycocotools prints them.
    """
    whole = COCOeval(iouType=kind)
    whole.params = Params(kind)
    whole.eval = {
        "precision": np.stack([result.precision for result in results], axis=2),
        "recall": np.stack([result.recall for result in results], axis=1),
    }
    whole.summarize()
    return {name: _rounded(value) for name, value in zip(_MEANS, whole.stats, strict=True)}


def per_class(results, classes, objects, detections):
    """[{"class", "ap", "ap50", "ar100", "ap_small", "ap_medium", "ap_large", "objects", "detections"}], of 100 detections, as `means`.

    results: as there; classes: names; objects, detections: numbers of each class, in the same order.
    """
    rows = []
    for name, result, present, found in zip(classes, results, objects, detections, strict=True):
        precision = result.precision[..., -1]  # [IoU, recall, size]
        row = {
            "class": name,
            "ap": _mean(precision[..., _ALL]),
            "ap50": _mean(precision[0, :, _ALL]),
            "ar100": _mean(result.recall[:, _ALL, -1]),
        }
        row.update({"ap_" + size: _mean(precision[..., place]) for place, size in enumerate(SIZES, 1)})
        rows.append({**row, "objects": present, "detections": found})
    return rows


def curves(results, classes):
    """Precision by recall at IoU 0.5: {"all": mean of the classes [101], "classes": {class: {"precision": [101], "score": [101]}}}.

    score: the least one at which that recall is reached; precision and score are 0 where it never is. Classes without an object to find
    have no curve; "all" is None where there is no other.
    """
    known = {name: result for name, result in zip(classes, results, strict=True) if _curve(result)[0] > -1}
    shown = {name: {"precision": _list(_curve(result)), "score": _list(result.curve_scores)} for name, result in known.items()}
    mean = _list(np.mean([_curve(result) for result in known.values()], axis=0)) if known else None
    return {"all": mean, "classes": shown}


def recall_points():
    """COCO's 101 values of recall, as the curves have them."""
    return _list(Params("bbox").recThrs)


def _curve(result):
    return result.precision[0, :, _ALL, -1]


def _list(values):
    return [round(value, DIGITS) for value in values.tolist()]


def _mean(values):
    # pycocotools marks with -1 what does not exist.
    known = values[values > -1]
    return _rounded(np.mean(known)) if known.size else None


def _rounded(value):
    return None if value < 0 else round(float(value), DIGITS)
