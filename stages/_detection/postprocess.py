"""From raw outputs to detections, step by step as the operator TFLite_Detection_PostProcess does it.

A frozen graph has no such operator, and neither has a .tflite made without it. Decoding both here, with the operator's own rules and its
order among equal scores, leaves the model as the only difference. The rules are those of
tensorflow/lite/kernels/detection_postprocess.cc; the box coding is that of Faster R-CNN (https://arxiv.org/abs/1506.01497).
"""

from typing import Any, NamedTuple

import numpy as np

from _detection.partial_sort import best_places
from _runtime import StageError


class Detections(NamedTuple):
    """What is found in an image, highest score first.

    boxes: float32 [n, 4], ymin, xmin, ymax, xmax, 1.0 being the image's height or width, not clipped to the image; classes: int [n] from 0;
    scores: float32 [n].
    """

    boxes: Any
    classes: Any
    scores: Any


class Attributes(NamedTuple):
    """The operator's attributes, by its own names. The scales are what box encodings are divided by."""

    max_detections: int
    max_classes_per_detection: int
    detections_per_class: int
    use_regular_nms: bool
    nms_score_threshold: float
    nms_iou_threshold: float
    num_classes: int
    y_scale: float
    x_scale: float
    h_scale: float
    w_scale: float


PER_CLASS, CLASS_AGNOSTIC = "per class", "class-agnostic"


def nms_kind(how):
    """How the operator suppresses overlapping boxes: within each class (its regular method), or over all classes at once (its fast one)."""
    return PER_CLASS if how.use_regular_nms else CLASS_AGNOSTIC


def attributes(values, where):
    """`Attributes` of a dict that may hold more. Raises StageError that names what is missing."""
    missing = [name for name in Attributes._fields if name not in (values or {})]
    if missing:
        raise StageError(
            "the model does not say how its boxes are decoded",
            where,
            ", ".join(Attributes._fields),
            "no %s" % ", ".join(missing),
            "freeze and convert it again",
        )
    return Attributes(**{name: values[name] for name in Attributes._fields})


def decode_boxes(encodings, anchors, scales):
    """Corner boxes of encoded ones.

    encodings: float32 [n, 4] (ty, tx, th, tw); anchors: float32 [n, 4] (ycenter, xcenter, height, width); scales: `Attributes`.
    Returns float32 [n, 4] (ymin, xmin, ymax, xmax).
    """
    encodings, anchors = np.asarray(encodings, np.float32), np.asarray(anchors, np.float32)
    step = np.array([scales.y_scale, scales.x_scale], np.float32)
    growth = np.array([scales.h_scale, scales.w_scale], np.float32)
    centre = encodings[:, :2] / step * anchors[:, 2:] + anchors[:, :2]
    # In float64 and rounded once: NumPy's float32 exp differs between its versions.
    half = np.float32(0.5) * np.exp((encodings[:, 2:] / growth).astype(np.float64)).astype(np.float32) * anchors[:, 2:]
    return np.concatenate([centre - half, centre + half], axis=1)


def postprocess(encodings, scores, anchors, how):
    """Detections of one image.

    encodings: float32 [n, 4]; scores: float32 [n, num_classes] or, with the background's score first, [n, num_classes + 1];
    anchors: float32 [n, 4]; how: `Attributes`. Raises StageError where the shapes do not fit, or a value is not finite.
    """
    _check(encodings, scores, anchors, how)
    boxes = decode_boxes(encodings, anchors, how)
    scores = np.asarray(scores, np.float32)[:, scores.shape[1] - how.num_classes :]
    nms = _regular_nms if how.use_regular_nms else _fast_nms
    return nms(boxes, scores, how)


def _check(encodings, scores, anchors, how):
    count = len(anchors)
    if encodings.shape != (count, 4):
        raise StageError(
            "the model's boxes do not fit its anchors",
            "raw_outputs/box_encodings",
            [count, 4],
            list(encodings.shape),
            "take model and anchors from the same artifact",
        )
    if scores.shape not in ((count, how.num_classes), (count, how.num_classes + 1)):
        raise StageError(
            "the model's scores do not fit its anchors and classes",
            "raw_outputs/class_predictions",
            "%s, or one more with background" % [count, how.num_classes],
            list(scores.shape),
            "take model and anchors from the same artifact",
        )
    for name, values in (("raw_outputs/box_encodings", encodings), ("raw_outputs/class_predictions", scores)):
        if not np.isfinite(values).all():
            anchor = int(np.argwhere(~np.isfinite(values))[0][0])
            raise StageError(
                "the model puts out values that are not finite",
                "%s, anchor %d" % (name, anchor),
                "finite numbers",
                values[anchor].tolist(),
                "the weights are damaged or training diverged: look at its loss",
            )


def _fast_nms(boxes, scores, how):
    """One suppression over each box's best score, whatever its class; then the best classes of each box that is left."""
    kept = _suppress(boxes, scores.max(axis=1), how.max_detections, how)
    classes_each = min(how.max_classes_per_detection, how.num_classes)
    best = _best_classes(scores[kept], classes_each)
    return Detections(
        np.repeat(boxes[kept], classes_each, axis=0), best.reshape(-1), np.take_along_axis(scores[kept], best, axis=1).reshape(-1)
    )


def _best_classes(scores, count):
    """The classes of the `count` best scores of each box, int [boxes, count]; among equal ones in the operator's order."""
    order = np.argsort(-scores, axis=1, kind="mergesort")
    ranked = np.take_along_axis(scores, order, axis=1)[:, : count + 1]
    best = order[:, :count]
    if count > 1:  # of one the operator takes the first, as a stable sort does
        for row in np.flatnonzero((ranked[:, 1:] == ranked[:, :-1]).any(axis=1)):
            best[row] = best_places(scores[row].tolist(), count)
    return best


def _regular_nms(boxes, scores, how):
    """A suppression for each class, then the best of all classes."""
    kept = [_suppress(boxes, scores[:, index], how.detections_per_class, how) for index in range(how.num_classes)]
    where = np.concatenate(kept)
    classes = np.repeat(np.arange(how.num_classes), [len(found) for found in kept])
    best = np.argsort(-scores[where, classes], kind="mergesort")[: how.max_detections]
    return Detections(boxes[where[best]], classes[best], scores[where[best], classes[best]])


def _suppress(boxes, scores, most, how):
    """Indices of the boxes that a greedy non-maximum suppression keeps, at most `most`, highest score first; of equal scores the first."""
    candidates = np.flatnonzero(scores >= np.float32(how.nms_score_threshold))
    candidates = candidates[np.argsort(-scores[candidates], kind="mergesort")]
    kept = []
    while len(candidates) and len(kept) < most:
        best, candidates = candidates[0], candidates[1:]
        kept.append(best)
        candidates = candidates[_iou(boxes[best], boxes[candidates]) <= np.float32(how.nms_iou_threshold)]
    return np.array(kept, np.int64)


def _iou(box, others):
    """Intersection over union of one box with many, float32; 0 where either has no area."""
    top = np.maximum(box[:2], others[:, :2])
    bottom = np.minimum(box[2:], others[:, 2:])
    sides = np.maximum(bottom - top, np.float32(0))
    intersection = sides[:, 0] * sides[:, 1]
    areas = (others[:, 2] - others[:, 0]) * (others[:, 3] - others[:, 1])
    area = (box[2] - box[0]) * (box[3] - box[1])
    real = (areas > 0) & (area > 0)
    union = np.where(real, area + areas - intersection, np.float32(1))
    return np.where(real, intersection / union, np.float32(0))
