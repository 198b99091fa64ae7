"""COCO box metrics of one model's detections, computed by pycocotools.

The metric is COCO's (https://cocodataset.org/#detection-eval): average precision over IoU 0.50:0.05:0.95 and 101 recall points, at most 100
boxes per image and class. What COCO leaves open is decided here, as the Object Detection API's own COCO evaluation decides it:

- `crowd` and `group_of` boxes are crowd regions: a detection inside one is neither right nor wrong, and missing one costs nothing.
- `difficult` and `truncated` boxes count like all others; COCO knows no such flags.
- the area of an object is that of its box, in pixels of the original image.
- a class without an object to find has no AP (None), and the means leave it out. With objects but no detection it is 0.
"""
import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

# Digits kept: the last bits of a mean may differ between processors, and the artifact's digest must not.
DIGITS = 6
SIZES = ("small", "medium", "large")
SMALL_BELOW, LARGE_FROM = 32 ** 2, 96 ** 2  # px², COCO's limits


def is_crowd(obj):
    """True where a detection inside this object's box counts neither for nor against the model."""
    return bool(obj.get("crowd") or obj.get("group_of"))


def object_counts(images, classes):
    """What there is to find in `images` (of dataset.json).

    Returns {"objects", "crowd_regions", "difficult": int, "per_class": {class: int}, "per_size": {"small"|"medium"|"large": int}};
    crowd regions are in no other count.
    """
    per_class = dict.fromkeys(classes, 0)
    per_size = dict.fromkeys(SIZES, 0)
    crowd = difficult = 0
    for image in images:
        for obj in image["objects"]:
            if is_crowd(obj):
                crowd += 1
                continue
            per_class[obj["class"]] += 1
            per_size[_size(_area(obj["bbox"]))] += 1
            difficult += bool(obj.get("difficult"))
    return {"objects": sum(per_class.values()), "crowd_regions": crowd, "difficult": difficult, "per_class": per_class, "per_size": per_size}


def box_metrics(images, classes, detections):
    """Metrics of `detections` (a COCO results list: image_id, category_id from 1, bbox [x, y, w, h] px, score) on `images` of dataset.json.

    Every value is in 0..1, rounded to 6 digits, or None where there was nothing to find: {"map", "map50", "map75", "map_small", …, "ar1",
    "ar10", "ar100", "ar_small", …, "per_class": [{"class", "ap", "ap50", "ar100", "objects", "detections"}]}.
    """
    evaluation = COCOeval(_ground_truth(images, classes), _results(images, classes, detections), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    names = ("map", "map50", "map75", "map_small", "map_medium", "map_large",
             "ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large")
    metrics = {name: _rounded(value) for name, value in zip(names, evaluation.stats, strict=True)}
    metrics["per_class"] = _per_class(evaluation, images, classes, detections)
    return metrics


def _per_class(evaluation, images, classes, detections):
    # precision is [IoU, recall, class, area, detections], recall the same without the recall axis; area 0 is "all", detections -1 is 100.
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    recall = evaluation.eval["recall"][:, :, 0, -1]
    objects = object_counts(images, classes)["per_class"]
    found = [0] * len(classes)
    for detection in detections:
        found[detection["category_id"] - 1] += 1
    return [{"class": name, "ap": _mean(precision[:, :, index]), "ap50": _mean(precision[0, :, index]), "ar100": _mean(recall[:, index]),
             "objects": objects[name], "detections": found[index]} for index, name in enumerate(classes)]


def _ground_truth(images, classes):
    category = {name: index for index, name in enumerate(classes, start=1)}
    annotations = []
    for number, image in enumerate(images, start=1):
        for obj in image["objects"]:
            xmin, ymin, xmax, ymax = obj["bbox"]
            # ids count from 1: pycocotools takes a match with id 0 for no match.
            annotations.append({"id": len(annotations) + 1, "image_id": number, "category_id": category[obj["class"]],
                                "bbox": [xmin, ymin, xmax - xmin, ymax - ymin], "area": _area(obj["bbox"]), "iscrowd": int(is_crowd(obj))})
    return _coco(len(images), classes, annotations)


def _results(images, classes, detections):
    # Not COCO.loadRes, which cannot read an empty list. The boxes get ids and areas just as it gives them.
    number = {image["id"]: index for index, image in enumerate(images, start=1)}
    annotations = [{"id": index, "image_id": number[found["image_id"]], "category_id": found["category_id"], "bbox": found["bbox"],
                    "score": found["score"], "area": found["bbox"][2] * found["bbox"][3], "iscrowd": 0}
                   for index, found in enumerate(detections, start=1)]
    return _coco(len(images), classes, annotations)


def _coco(images, classes, annotations):
    coco = COCO()
    coco.dataset = {"images": [{"id": number} for number in range(1, images + 1)], "annotations": annotations,
                    "categories": [{"id": index, "name": name} for index, name in enumerate(classes, start=1)]}
    coco.createIndex()
    return coco


def _mean(values):
    # pycocotools marks with -1 what does not exist.
    known = values[values > -1]
    return _rounded(np.mean(known)) if known.size else None


def _rounded(value):
    return None if value < 0 else round(float(value), DIGITS)


def _area(bbox):
    return (bbox[2] - bbox[0]) * (bbox[3] - bbox[1])


def _size(area):
    if area < SMALL_BELOW:
        return "small"
    return "medium" if area < LARGE_FROM else "large"
