"""One record as the Object Detection API would read it. Each check yields (level, code, message).

Keys, kinds and precedence: object_detection/data_decoders/tf_example_decoder.py and core/standard_fields.py in the wheel
tf-object-detection 0.0.3. With a label map the API takes an object's class from image/object/class/text, and from class/label only where
there is no text at all.
"""

import hashlib
import math
from typing import NamedTuple, Optional

from record_image import ERROR, WARNING, check_image, check_masks, check_size, shown

from _detection.tf_example import NotAnExampleError, parse_features

ONE, OBJECT, MANY = "one value", "one for each object", "any number"
_BOX = "image/object/bbox/"
CORNERS = ("xmin", "ymin", "xmax", "ymax")
LABEL, TEXT, MASK = "image/object/class/label", "image/object/class/text", "image/object/mask"
_FLAGS = ("is_crowd", "difficult", "group_of", "truncated", "occluded", "depiction")
KEYS = {
    "image/encoded": (("bytes",), ONE),
    "image/format": (("bytes",), ONE),
    "image/filename": (("bytes",), ONE),
    "image/key/sha256": (("bytes",), ONE),
    "image/source_id": (("bytes",), ONE),
    "image/height": (("int64",), ONE),
    "image/width": (("int64",), ONE),
    "image/class/text": (("bytes",), MANY),
    "image/class/label": (("int64",), MANY),
    LABEL: (("int64",), OBJECT),
    TEXT: (("bytes",), OBJECT),
    MASK: (("bytes", "float"), MANY),
    "image/object/area": (("float",), OBJECT),
    "image/object/weight": (("float",), OBJECT),
    "image/object/view": (("bytes",), OBJECT),
    "image/object/segment/area": (("float",), OBJECT),
    "image/object/class/multiclass_scores": (("float",), MANY),
    "image/object/keypoint/x": (("float",), MANY),
    "image/object/keypoint/y": (("float",), MANY),
    "image/additional_channels/encoded": (("bytes",), MANY),
    "image/channels": (("int64",), ONE),
    "image/colorspace": (("bytes",), ONE),
    **{_BOX + corner: (("float",), OBJECT) for corner in CORNERS},
    **{"image/object/" + flag: (("int64",), OBJECT) for flag in _FLAGS},
}
_NEAR = 1e-6  # what float32 may add to a fraction
_PIXELS = 2.0  # a fraction of this size is most likely a number of pixels


class Facts(NamedTuple):
    """What a record tells for counts and comparisons.

    source, key: bytes or None; digest: sha256 of the image's bytes, or None; objects: list of (label or None, text or None);
    classes: the objects' names as the API would take them; unknown: keys that the API does not know.
    """

    source: Optional[bytes] = None
    key: Optional[bytes] = None
    digest: Optional[bytes] = None
    objects: list = []  # noqa: RUF012  never written to
    classes: list = []  # noqa: RUF012
    unknown: list = []  # noqa: RUF012


def check_record(payload, labels):
    """(problems, Facts). payload: a record's data; labels: `Labels`, or None without a label map."""
    try:
        features = parse_features(payload)
    except NotAnExampleError as error:
        return [(ERROR, error.code, error.message)], Facts()
    problems = list(_check_kinds(features))
    usable = {
        name: feature.values for name, feature in features.items() if name in KEYS and feature.kind in KEYS[name][0] and feature.values
    }
    unknown = [name for name in features if name not in KEYS]
    found, digest, size = _check_picture(usable)
    problems += found
    count, lists = _check_lists(usable)
    problems += lists
    boxes = [usable.get(_BOX + corner, []) for corner in CORNERS]
    if count is not None:
        problems += _check_boxes(zip(*boxes, strict=True))
    problems += _check_classes(usable, count, labels)
    problems += _check_told(usable)
    problems += _check_mask_list(usable, count, size)
    objects, classes = _objects(usable, count, labels)
    source, key = ((usable.get(name) or [None])[0] for name in ("image/source_id", "image/key/sha256"))
    return problems, Facts(source or None, key or None, digest, objects, classes, unknown)


def _check_kinds(features):
    for name, feature in sorted(features.items()):
        if name not in KEYS or feature.kind is None:
            continue
        kinds, how = KEYS[name]
        if feature.kind not in kinds:
            # An empty list of a wrong kind is refused as well.
            yield ERROR, "feature-type", "%s is a list of %s, where %s is read" % (name, feature.kind, " or ".join(kinds))
        elif how == ONE and len(feature.values) != 1:
            yield ERROR, "feature-count", "%s has %d values, where one is read" % (name, len(feature.values))


def _check_picture(usable):
    """(problems, digest or None, size or None)."""
    data = (usable.get("image/encoded") or [b""])[0]
    if not data:
        return [(ERROR, "image-missing", "image/encoded is %s" % ("empty" if "image/encoded" in usable else "not there"))], None, None
    problems, size = check_image(data, (usable.get("image/format") or [None])[0])
    digest = hashlib.sha256(data)
    if size is not None:
        problems += check_size(tuple((usable.get("image/" + side) or [None])[0] for side in ("width", "height")), size)
    key = (usable.get("image/key/sha256") or [b""])[0]
    if key and key.decode("latin-1").lower() != digest.hexdigest():
        problems.append((WARNING, "key-differs", "image/key/sha256 is not the image's sha256, %s…" % digest.hexdigest()[:12]))
    return problems, digest.digest(), size


def _check_lists(usable):
    """(number of objects or None where the corners disagree, problems)."""
    counts = {corner: len(usable.get(_BOX + corner, [])) for corner in CORNERS}
    if len(set(counts.values())) != 1:
        told = ", ".join("%d %s" % (number, corner) for corner, number in counts.items())
        return None, [(ERROR, "lists-differ", "the lists of corners have different lengths: %s" % told)]
    count, problems = counts["xmin"], []
    for name, (_, how) in KEYS.items():
        number = len(usable.get(name, []))
        if how == OBJECT and number not in (0, count):
            problems.append((ERROR, "lists-differ", "%s has %d values, and there are %d boxes" % (name, number, count)))
    x, y = (len(usable.get("image/object/keypoint/" + axis, [])) for axis in "xy")
    if x != y or (count and x % count) or (x and not count):
        problems.append((ERROR, "lists-differ", "there are %d and %d keypoints of %d boxes" % (x, y, count)))
    return count, problems


def _check_boxes(boxes):
    for number, (xmin, ymin, xmax, ymax) in enumerate(boxes, 1):
        told = "box %d, [%s]" % (number, ", ".join("%s %.6g" % each for each in zip(CORNERS, (xmin, ymin, xmax, ymax), strict=True)))
        corners = (xmin, ymin, xmax, ymax)
        if not all(math.isfinite(value) for value in corners):
            yield ERROR, "box-not-a-number", "%s: a corner is no number" % told
        elif max(corners) >= _PIXELS:
            yield ERROR, "box-pixels", "%s: that looks like pixels, where fractions of the image's sides are read" % told
        elif xmin > xmax or ymin > ymax:
            yield ERROR, "box-swapped", "%s: a lower corner lies beyond the upper one" % told
        elif min(corners) < -_NEAR or max(corners) > 1 + _NEAR:
            yield ERROR, "box-outside", "%s: it reaches outside the image, which is 0 to 1" % told
        elif xmin == xmax or ymin == ymax:
            yield ERROR, "box-empty", "%s: it has no area" % told


def _check_classes(usable, count, labels):
    ids, texts = usable.get(LABEL, []), usable.get(TEXT, [])
    if count and not ids and not (texts and labels):
        message = "there are %d boxes and no %s" % (count, LABEL)
        yield ERROR, "label-missing", message + (", and no label map to find the texts' ids in" if texts else "")
    for number, label in enumerate(ids, 1):
        if label < 1:
            yield ERROR, "label-zero", "the label of object %d is %d: ids begin at 1, 0 is the background's" % (number, label)
        elif labels and label not in labels.names:
            yield ERROR, "label-unknown", "the label of object %d is %d, which the label map does not have" % (number, label)
    for number, data in enumerate(texts, 1):
        yield from _check_text(number, data, ids[number - 1] if len(ids) == len(texts) else None, labels)


def _check_text(number, data, label, labels):
    if not data:
        # Without display names in the label map every item's is "", so that the API takes the last item's id.
        wrong = "; with a label map the API takes a wrong class for it, whatever the label says"
        yield ERROR if labels else WARNING, "text-empty", "the class text of object %d is empty%s" % (number, wrong)
    elif labels:
        found = labels.texts.get(data.decode("utf-8", "surrogateescape"))
        if found is None:
            yield (
                ERROR,
                "text-unknown",
                "the class text of object %d, %s, is not in the label map: the API takes the class -1"
                % (
                    number,
                    shown(data),
                ),
            )
        elif label is not None and label >= 1 and found != label:
            named = labels.names.get(label)
            yield (
                ERROR,
                "text-differs",
                "object %d has the text %s, which is %d in the label map, and the label %d%s"
                % (
                    number,
                    shown(data),
                    found,
                    label,
                    ", which is %s there" % shown(named) if named else "",
                ),
            )


def _check_told(usable):
    for flag in _FLAGS:
        for number, value in enumerate(usable.get("image/object/" + flag, []), 1):
            if value not in (0, 1):
                yield WARNING, "flag-unclear", "image/object/%s of object %d is %d, where 0 or 1 is read" % (flag, number, value)
    for number, value in enumerate(usable.get("image/object/weight", []), 1):
        if not 0 <= value < math.inf:
            yield ERROR, "weight-wrong", "the weight of object %d is %g" % (number, value)
    if not any(usable.get("image/source_id", [b""])):
        yield WARNING, "source-id-missing", "there is no image/source_id: evaluation counts all images without one as the same"


def _check_mask_list(usable, count, size):
    masks = usable.get(MASK, [])
    if not masks or count is None:
        return
    if isinstance(masks[0], bytes):
        if len(masks) != count:
            yield ERROR, "lists-differ", "there are %d masks of %d boxes" % (len(masks), count)
        yield from check_masks(masks, size)
    elif size is not None and len(masks) != count * size[0] * size[1]:
        yield (
            ERROR,
            "mask-size",
            "the masks have %d values, where %d masks of %d x %d pixels are %d"
            % (
                len(masks),
                count,
                *size,
                count * size[0] * size[1],
            ),
        )


def _objects(usable, count, labels):
    """([(label, text)], [name of the class that the API would take])."""
    ids, texts = ((usable.get(name, []) + [None] * (count or 0))[: count or 0] for name in (LABEL, TEXT))
    objects, classes = [], []
    for written, data in zip(ids, texts, strict=True):
        text = data.decode("utf-8", "backslashreplace") if data else None
        label = labels.texts.get(text) if labels and data is not None else written
        name = labels.names.get(label) if labels else text
        objects.append((label, text))
        classes.append(name if name is not None else "(id %d)" % label if label is not None else "(none)")
    return objects, classes
