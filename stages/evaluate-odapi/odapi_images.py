"""An image's ground truth, and what a model found in it, as the Object Detection API's evaluators take them."""

from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

from _detection import rle
from _detection.detection_checks import mask_codes, pixel_boxes
from _runtime import StageError


class Truth(NamedTuple):
    """boxes: float64 [n, 4], ymin, xmin, ymax, xmax in pixels; classes: int [n], the label map's ids from 1; difficult, group_of: bool [n];
    present, absent: int [k], ids of the classes that the image as a whole is said to show and not to show; masks: uint8 [n, height, width]
    of 0 and 1, of zeros for an object without one, or None where nobody asked for them.
    """

    boxes: Any
    classes: Any
    difficult: Any
    group_of: Any
    present: Any
    absent: Any
    masks: Any


class Boxes(NamedTuple):
    """boxes, classes, masks: as of `Truth`; scores: float64 [n], 0..1. A box without an area is no error: the API leaves it out."""

    boxes: Any
    classes: Any
    scores: Any
    masks: Any


def image_truth(image, class_id, masks):
    """The `Truth` of an image of SPLIT.jsonl (a dict). class_id: name -> id; masks: whether they are wanted.

    Raises StageError where a mask is damaged.
    """
    objects, labels = image["objects"], image.get("labels") or {}
    return Truth(
        np.array([item["bbox"] for item in objects], float).reshape(-1, 4)[:, [1, 0, 3, 2]],
        np.array([class_id(item["class"]) for item in objects], int),
        np.array([item["difficult"] for item in objects], bool),
        np.array([item["group_of"] for item in objects], bool),
        np.array([class_id(name) for name in labels.get("present", [])], int),
        np.array([class_id(name) for name in labels.get("absent", [])], int),
        _truth_masks(image) if masks else None,
    )


def expanded(truth, expansion):
    """The `Truth` in which each object is one of its superclasses, too, and labels likewise. expansion: `odapi_hierarchy.Expansion`."""
    rows = [(place, number) for place, own in enumerate(truth.classes.tolist()) for number in expansion.boxes[own]]
    places = np.array([place for place, _ in rows], int)
    return Truth(
        truth.boxes[places],
        np.array([number for _, number in rows], int),
        truth.difficult[places],
        truth.group_of[places],
        np.array([number for own in truth.present.tolist() for number in expansion.present[own]], int),
        np.array([number for own in truth.absent.tolist() for number in expansion.absent[own]], int),
        None if truth.masks is None else truth.masks[places],
    )


def found_boxes(found, masks):
    """(`Boxes` as the model gives them, `Boxes` around its masks or None) of a `detection_records.Found`, clipped to the image.

    masks: whether they are wanted. The Open Images Challenge's detections of masks come without boxes: it takes those around the masks
    (metrics/oid_challenge_evaluation_utils.py of the wheel tf-object-detection 0.0.3). Raises StageError where a mask cannot be read.
    """
    boxes = pixel_boxes(found.detections.boxes, found.width, found.height)[:, [1, 0, 3, 2]]
    own = Boxes(boxes, found.detections.classes.astype(int) + 1, found.detections.scores.astype(float), None)
    if not masks:
        return own, None
    codes = mask_codes(found)
    pixels = np.zeros((len(codes), found.height, found.width), np.uint8)
    for mask, code in zip(pixels, codes):
        mask[...] = rle.decode(code)
    own = own._replace(masks=pixels)
    left, top, width, height = (coco_mask.toBbox(codes) if codes else np.zeros((0, 4))).T
    return own, own._replace(boxes=np.stack([top, left, top + height, left + width], axis=1))


def _truth_masks(image):
    size = (image["height"], image["width"])
    masks = np.zeros((len(image["objects"]), *size), np.uint8)
    for number, (mask, item) in enumerate(zip(masks, image["objects"]), 1):
        if "mask" in item:
            mask[...] = _pixels(item["mask"], size, "image %s, object %d" % (image["id"], number))
    return masks


def _pixels(code, size, where):
    try:
        pixels = rle.decode(code)
        problem = None if pixels.shape == size else "%d x %d" % pixels.shape[::-1]
    except rle.MaskError as error:
        problem = error
    if problem is not None:
        expected = "COCO's run-length encoding of %d x %d pixels" % size[::-1]
        raise StageError("a mask of the dataset is damaged", where, expected, problem, "build the dataset again")
    return pixels
