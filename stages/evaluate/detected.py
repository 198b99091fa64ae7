"""What a model detected on a split, as columns: checked, in pixels of the images, without the boxes that have no area there."""

from typing import Any, NamedTuple

import numpy as np

from _detection.detection_checks import mask_codes, pixel_boxes, stream_checked


class Detected(NamedTuple):
    """All detections of a model, an image's together and as the model ordered them.

    images: int64 [n], the dataset's ids; categories: int32 [n], label map ids from 1; scores: float32 [n]; boxes: float64 [n, 4], xmin,
    ymin, xmax, ymax in pixels, clipped to the image; masks: list of COCO's compressed run-length encodings [n], or None.
    """

    images: Any
    categories: Any
    scores: Any
    boxes: Any
    masks: Any


def read_detected(model, images, classes, seen):
    """(`Detected` of a `detection_checks.Model`, number of boxes that were left out because they have no area inside their image).

    images: {id: image} of the split; classes: names; seen: the evaluation's `detection_checks.Seen`. Raises StageError where a record or
    detection is not as `detection_checks.stream_checked` wants it.
    """
    parts, empty = [_part(0, [], [], np.zeros((0, 4)))], 0
    masks = [] if model.index["masks"] else None
    for image, found in stream_checked(model, images, classes, seen):
        boxes = pixel_boxes(found.detections.boxes, image["width"], image["height"])
        real = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        empty += len(real) - int(real.sum())
        parts.append(_part(image["id"], found.detections.classes[real] + 1, found.detections.scores[real], boxes[real]))
        if masks is not None:
            masks += [code for code, keep in zip(mask_codes(found), real, strict=True) if keep]
    return Detected(*(np.concatenate(column) for column in zip(*parts, strict=True)), masks), empty


def _part(image, categories, scores, boxes):
    return np.full(len(scores), image, np.int64), np.asarray(categories, np.int32), np.asarray(scores, np.float32), boxes
