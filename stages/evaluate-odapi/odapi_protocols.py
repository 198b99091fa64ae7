"""The Object Detection API's protocols, computed by its own evaluators.

They are those of utils/object_detection_evaluation.py in the wheel tf-object-detection 0.0.3. What a protocol makes of difficult objects,
groups and classes that nobody looked for is the evaluator's business; here is only which one it is, and what it must be given.
"""

import unicodedata
import warnings
from collections import Counter
from typing import Any, NamedTuple

import numpy as np
from object_detection.core.standard_fields import DetectionResultFields, InputDataFields
from object_detection.utils import object_detection_evaluation as api

from _detection.accuracy import DIGITS
from _runtime import StageError


class Protocol(NamedTuple):
    """title: for people; evaluator: the API's class; masks: whether masks are compared, not boxes; challenge: whether image-level labels
    say which classes count in an image, and the class hierarchy expands them; ignores, counts: flags of objects that it knows how to leave
    out, and that it takes for ordinary objects.
    """

    title: str
    evaluator: Any
    masks: bool
    challenge: bool
    ignores: tuple
    counts: tuple


_PASCAL = (("difficult",), ("group_of", "crowd"))
_OPEN_IMAGES = (("group_of",), ("difficult", "crowd"))

PROTOCOLS = {
    "pascal-voc-2010": Protocol("PASCAL VOC 2010, boxes", api.PascalDetectionEvaluator, False, False, *_PASCAL),
    "weighted-pascal-voc-2010": Protocol(
        "PASCAL VOC 2010, boxes, all classes in one curve", api.WeightedPascalDetectionEvaluator, False, False, *_PASCAL
    ),
    "pascal-instance-segmentation": Protocol("PASCAL VOC 2010, masks", api.PascalInstanceSegmentationEvaluator, True, False, *_PASCAL),
    "weighted-pascal-instance-segmentation": Protocol(
        "PASCAL VOC 2010, masks, all classes in one curve", api.WeightedPascalInstanceSegmentationEvaluator, True, False, *_PASCAL
    ),
    "open-images-v2": Protocol("Open Images V2, boxes", api.OpenImagesDetectionEvaluator, False, False, *_OPEN_IMAGES),
    "oid-challenge-detection": Protocol(
        "Open Images Challenge, boxes", api.OpenImagesDetectionChallengeEvaluator, False, True, *_OPEN_IMAGES
    ),
    "oid-challenge-segmentation": Protocol(
        "Open Images Challenge, masks", api.OpenImagesInstanceSegmentationChallengeEvaluator, True, True, *_OPEN_IMAGES
    ),
}


def check_names(classes):
    """Raise StageError where the API would take two classes for one: it tells them by their names in Unicode's form NFKD."""
    names = Counter(unicodedata.normalize("NFKD", name) for name in classes)
    same = [name for name in classes if names[unicodedata.normalize("NFKD", name)] > 1]
    if same:
        raise StageError(
            "the Object Detection API takes two classes for one",
            "dataset.json: classes",
            "names that differ in Unicode's form NFKD, too",
            ", ".join(same),
            "give one of them another name in the annotations, and build the dataset again",
        )


class Scorer:
    """One model by one protocol: images are added one by one, and only scores are kept of them."""

    def __init__(self, protocol, classes, iou):
        """protocol: a `Protocol`; classes: names in the label map's order; iou: from which a detection is right, 0..1."""
        categories = [{"id": number, "name": name} for number, name in enumerate(classes, 1)]
        self._protocol, self._classes = protocol, classes
        self._evaluator = protocol.evaluator(categories, matching_iou_threshold=iou)

    def add(self, image_id, truth, found):
        """An image's `odapi_images.Truth`, expanded already where the protocol wants that, and `odapi_images.Boxes`."""
        shown = {
            InputDataFields.groundtruth_boxes: truth.boxes,
            InputDataFields.groundtruth_classes: truth.classes,
            InputDataFields.groundtruth_difficult: truth.difficult,
            InputDataFields.groundtruth_group_of: truth.group_of,
            InputDataFields.groundtruth_image_classes: np.union1d(truth.present, truth.absent),
        }
        seen = {
            DetectionResultFields.detection_boxes: found.boxes,
            DetectionResultFields.detection_scores: found.scores,
            DetectionResultFields.detection_classes: found.classes,
        }
        if self._protocol.masks:
            shown[InputDataFields.groundtruth_instance_masks] = truth.masks
            seen[DetectionResultFields.detection_masks] = found.masks
        self._evaluator.add_single_ground_truth_image_info(image_id, shown)
        with np.errstate(divide="ignore", invalid="ignore"):  # the API divides by the areas of boxes that are not there
            self._evaluator.add_single_detected_image_info(image_id, seen)
        self._forget(image_id)

    def _forget(self, image_id):
        """The API keeps each image's truth for ever, and needs it no more: a large split would not fit into memory."""
        kept = self._evaluator._evaluation  # noqa: SLF001  there is no public way
        for part in ("boxes", "class_labels", "masks", "is_difficult_list", "is_group_of_list"):
            getattr(kept, "groundtruth_" + part).pop(image_id, None)

    def objects(self):
        """How many objects of each class there are to find by this protocol, as the API counts them: list of int."""
        counts = self._evaluator._evaluation.num_gt_instances_per_class  # noqa: SLF001  there is no public way
        return [round(count) for count in counts.tolist()]

    def result(self):
        """{"map", "per_class": [{"class", "ap", "objects"}], "metrics": the API's names and values}, values in 0..1, or None for NaN.

        None where there is nothing to find: the API has then no value, or fails.
        """
        objects = self.objects()
        if not any(objects):
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # NaN is told as None
            metrics = {name: rounded(value) for name, value in self._evaluator.evaluate().items()}
        mean, *each = metrics.values()  # the API's order: the mean, then the classes by their ids
        per_class = [{"class": name, "ap": value, "objects": count} for name, value, count in zip(self._classes, each, objects)]
        return {"map": mean, "per_class": per_class, "metrics": metrics}


def rounded(value):
    """A float of `DIGITS` digits; None for NaN."""
    return None if np.isnan(value) else round(float(value), DIGITS)
