"""One image of the dataset as the tf.Example that the Object Detection API reads.

Keys: object_detection/data_decoders/tf_example_decoder.py and core/standard_fields.py in the wheel tf-object-detection 0.0.3; which
values they hold: dataset_tools/create_pascal_tf_record.py and oid_tfrecord_creation.py there.
"""

import struct
from functools import lru_cache

from _detection.tfrecord import BYTES, FLOAT, INT64, entry, example_start, head, packed, text, varint

_FORMAT = {"JPEG": "jpeg", "PNG": "png"}
_CORNERS = (("xmax", 2), ("xmin", 0), ("ymax", 3), ("ymin", 1))  # corner, place in a box; in the order of the keys
# Last part of the key, flag in the dataset; in the order of the keys, among which image/object/mask stands after four.
_FLAGS = (
    ("depiction", "depiction"),
    ("difficult", "difficult"),
    ("group_of", "group_of"),
    ("is_crowd", "crowd"),
    ("occluded", "occluded"),
    ("truncated", "truncated"),
)
_BEFORE_MASKS = 4
_NO_VIEW = "Unspecified"  # what VOC's annotations say there
_OBJECT = "image/object/"


class Examples:
    """Makes the records of a dataset: `payload`.

    ids: class name to label map's id; masks: whether the dataset has masks, so that each object needs one.
    """

    def __init__(self, ids, masks):
        self._masks = masks
        self._labels = {name: varint(number) for name, number in ids.items()}
        self._names = {name: text(name) for name in ids}

    def payload(self, image, encoded):
        """A serialized tf.Example in three pieces, of which the second is `encoded`, the bytes of the image's file.

        image: as in SPLIT.jsonl (a dict). Boxes become fractions of the image's sides.
        """
        objects, size = image["objects"], varint(len(encoded))
        first = self._image_labels(image.get("labels")) + head("image/encoded", BYTES, 1 + len(size) + len(encoded)) + b"\x0a" + size
        last = b"".join(
            [
                entry("image/filename", BYTES, text(image["name"])),
                entry("image/format", BYTES, text(_FORMAT[image["format"]])),
                entry("image/height", INT64, packed(varint(image["height"]))),
                entry("image/key/sha256", BYTES, text(image["sha256"])),
                _boxes(objects, image["width"], image["height"]),
                self._classes("image/object/class/", [item["class"] for item in objects]),
                self._told(image),
                entry("image/source_id", BYTES, text(str(image["id"]))),
                entry("image/width", INT64, packed(varint(image["width"]))),
            ]
        )
        return example_start(len(first) + len(encoded) + len(last)) + first, encoded, last

    def _classes(self, prefix, names):
        labels = packed(b"".join([self._labels[name] for name in names]))
        return entry(prefix + "label", INT64, labels) + entry(prefix + "text", BYTES, b"".join([self._names[name] for name in names]))

    def _image_labels(self, labels):
        """Classes that were looked for in the image as a whole, found or not: the API's reader knows no difference."""
        return self._classes("image/class/", labels.get("present", []) + labels.get("absent", [])) if labels else b""

    def _told(self, image):
        """Flags, masks, views and weights of the objects; what most datasets have, none, is encoded once for each number of objects."""
        objects = image["objects"]
        if not self._masks and all(len(item) == 2 for item in objects):  # class and box
            return _nothing_told(len(objects))
        masks = entry(_OBJECT + "mask", BYTES, b"".join([text(_mask(item, image)) for item in objects])) if self._masks else b""
        return _with_flags(objects, masks)


def _boxes(objects, width, height):
    edges, sides, layout = list(zip(*[item["bbox"] for item in objects])) or [()] * 4, (width, height), "<%df" % len(objects)
    return b"".join(
        [
            entry(_OBJECT + "bbox/" + corner, FLOAT, packed(struct.pack(layout, *[edge / sides[place % 2] for edge in edges[place]])))
            for corner, place in _CORNERS
        ]
    )


@lru_cache(maxsize=1024)
def _nothing_told(count):
    return _with_flags([{}] * count, b"")


def _with_flags(objects, masks):
    """Entries from depiction to weight, for objects of which any flag may be absent; `masks` is an entry that belongs among them."""
    count, texts = len(objects), [text(item.get("view") or _NO_VIEW) for item in objects]
    flags = [entry(_OBJECT + key, INT64, packed(bytes([item.get(flag, False) for item in objects]))) for key, flag in _FLAGS]
    weights = packed(struct.pack("<%df" % count, *[item.get("weight", 1.0) for item in objects]))
    rest = [entry(_OBJECT + "view", BYTES, b"".join(texts)), entry(_OBJECT + "weight", FLOAT, weights)]
    return b"".join([*flags[:_BEFORE_MASKS], masks, *flags[_BEFORE_MASKS:], *rest])


def _mask(item, image):
    """The PNG of an object's mask; of the pixels in its box, where only others in the dataset have one."""
    from _detection.mask_picture import mask_png  # NumPy and Pillow take time to load, and few datasets have masks

    return mask_png(item.get("mask") or box_mask(item["bbox"], image["width"], image["height"]))


def box_mask(box, width, height):
    """Run lengths of the pixels whose centres are in a box, else of the one at its centre: {"size", "counts"} as COCO counts, by columns.

    box: [xmin, ymin, xmax, ymax] in pixels, inside the image.
    """
    left, right = _span(box[0], box[2], width)
    top, bottom = _span(box[1], box[3], height)
    counts = [left * height + top] + [bottom - top, height - (bottom - top)] * (right - left)
    counts[-1] = (width - right + 1) * height - bottom
    return {"size": [height, width], "counts": counts}


def _span(low, high, size):
    first, last = int(low + 0.5), int(high + 0.5)
    middle = min(int((low + high) / 2), size - 1)
    return (first, last) if first < last else (middle, middle + 1)
