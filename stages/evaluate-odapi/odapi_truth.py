"""An image's ground truth as the Object Detection API's evaluators take it."""

from typing import Any, NamedTuple

import numpy as np

from _detection import rle
from _runtime import StageError


class Truth(NamedTuple):
    """boxes: float64 [n, 4], ymin, xmin, ymax, xmax in pixels; classes: int [n], the label map's ids from 1; difficult, group_of: bool [n];
    verified: int [k], ids of the classes that the image as a whole was looked through for; masks: uint8 [n, height, width] of 0 and 1, of
    zeros for an object without one, or None where nobody asked for them.
    """

    boxes: Any
    classes: Any
    difficult: Any
    group_of: Any
    verified: Any
    masks: Any


def image_truth(image, ids, masks=False, expansion=None):
    """The `Truth` of an image of SPLIT.jsonl (a dict). ids: {class: id}; masks: whether they are wanted; expansion: an
    `odapi_hierarchy.Expansion`, with which each object is one of its superclasses, too, or None.

    Raises StageError where a mask is damaged.
    """
    objects = image["objects"]
    classes = [ids[item["class"]] for item in objects]
    rows = [(place, number) for place, own in enumerate(classes) for number in (expansion.boxes[own] if expansion else [own])]
    places = np.array([place for place, _ in rows], int)
    corners = np.array([item["bbox"] for item in objects], float).reshape(-1, 4)[:, [1, 0, 3, 2]]
    return Truth(
        corners[places],
        np.array([number for _, number in rows], int),
        np.array([item["difficult"] for item in objects], bool)[places],
        np.array([item["group_of"] for item in objects], bool)[places],
        _verified(image.get("labels") or {}, ids, expansion),
        _masks(image)[places] if masks else None,
    )


def _verified(labels, ids, expansion):
    """Ids of the classes that are said to be there and those that are said not to be there: the API asks no more."""
    present, absent = ([ids[name] for name in labels.get(way, [])] for way in ("present", "absent"))
    if expansion:
        present = [number for own in present for number in expansion.present[own]]
        absent = [number for own in absent for number in expansion.absent[own]]
    return np.unique(np.array([*present, *absent], int))


def _masks(image):
    size = (image["height"], image["width"])
    masks = np.zeros((len(image["objects"]), *size), np.uint8)
    for mask, item in zip(masks, image["objects"]):
        if "mask" in item:
            mask[...] = _mask(item["mask"], size, image["id"])
    return masks


def _mask(value, size, image_id):
    try:
        pixels = rle.decode(value)
    except rle.MaskError as error:
        raise StageError(
            "a mask of the dataset is damaged", "image %s" % image_id, "COCO's run-length encoding", error, "build the dataset again"
        ) from None
    if pixels.shape != size:
        raise StageError(
            "a mask of the dataset has another size than its image",
            "image %s" % image_id,
            "%d x %d" % size[::-1],
            "%d x %d" % pixels.shape[::-1],
            "build the dataset again",
        )
    return pixels
