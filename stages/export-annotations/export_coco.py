"""COCO JSON: annotations/instances_SPLIT.json and images/SPLIT/NAME (https://cocodataset.org/#format-data)."""

import json
import math

from export_names import UNSPECIFIED, distinct, fitting, images_of
from pycocotools import mask as coco_mask

from _detection.dataset import FLAGS
from _runtime import atomic_write

_MORE_FLAGS = tuple(flag for flag in FLAGS if flag != "crowd")


def names(listed, copies):
    """{image's id: file_name}. Without copies the dataset's own names."""
    if not copies:
        return {entry.id: entry.name for entry in listed}
    found = {}
    for split in {entry.split for entry in listed}:
        # In any case: what differs only in that is one file on many file systems.
        found.update(distinct([(entry.id, [fitting(entry)]) for entry in listed if entry.split == split], str.casefold))
    return found


def picture(entry, name):
    """Where an image's copy goes."""
    return "images/%s/%s" % (entry.split, name)


def write(folder, data, listed, named, copies, lost):
    """Write a file for each split. named: as `names` gives it; lost: a Counter of what cannot be told."""
    del copies
    number = 0
    for split in data.splits:
        with atomic_write(folder / "annotations" / ("instances_%s.json" % split), "w") as stream:
            stream.write('{"info": {"description": "EdgeMill dataset"},\n"licenses": [],\n"categories": ')
            json.dump([{"id": data.class_id(name), "name": name} for name in data.classes], stream)
            stream.write(',\n"images": [')
            _write_all(stream, (_image(image, named) for image in images_of(data, split, listed)))
            stream.write('],\n"annotations": [')
            number = _write_all(stream, _annotations(data, split, listed, number, lost), number)
            stream.write("]}\n")


def _write_all(stream, items, number=0):
    """Write items, one a line; `number` and how many there were."""
    separator = "\n"
    for item in items:
        stream.write(separator + json.dumps(item, allow_nan=False))
        separator = ",\n"
        number += 1
    return number


def _image(image, named):
    return {"id": image["id"], "file_name": named[image["id"]], "width": image["width"], "height": image["height"]}


def _annotations(data, split, listed, number, lost):
    """Ids count over all splits, so that the files can be put together."""
    for image in images_of(data, split, listed):
        lost["labels of whole images"] += "labels" in image
        for item in image["objects"]:
            number += 1
            lost["views"] += item.get("view", UNSPECIFIED) != UNSPECIFIED
            lost["weights"] += "weight" in item
            yield _annotation(item, number, image["id"], data.class_id(item["class"]))


def _annotation(item, number, image_id, category_id):
    xmin, ymin, xmax, ymax = item["bbox"]
    box = [xmin, ymin, _length(xmin, xmax), _length(ymin, ymax)]
    mask = item.get("mask")
    told = {
        "id": number,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": [plain(value) for value in box],
        "area": plain(box[2] * box[3]) if mask is None else int(coco_mask.area(mask)),
        "segmentation": [] if mask is None else mask,
        # COCO's metric neither rewards nor punishes what is found in either.
        "iscrowd": int(item["crowd"] or item["group_of"]),
    }
    # As CVAT tells `occluded`. `crowd` is said where iscrowd could mean the group alone.
    flags = {flag: True for flag in (*_MORE_FLAGS, *(["crowd"] if item["group_of"] else [])) if item[flag]}
    return dict(told, attributes=flags) if flags else told


def _length(low, high):
    """What is to be added to `low` so that the sum is not above `high`, which may be the image's edge."""
    length = high - low
    return math.nextafter(length, 0.0) if low + length > high else length


def plain(value):
    """A number as people write it: an int where it is whole."""
    return int(value) if float(value).is_integer() else value
