"""Visual relationships by the Object Detection API's own evaluators (utils/vrd_evaluation.py, wheel tf-object-detection 0.0.3)."""

import warnings

import numpy as np
from object_detection.core.standard_fields import DetectionResultFields, InputDataFields
from object_detection.utils import vrd_evaluation as api

from _detection.accuracy import DIGITS

# Protocol: (title, evaluator).
PROTOCOLS = {
    "oid-vrd-phrase": ("Open Images Challenge, phrases: one box around both objects", api.VRDPhraseDetectionEvaluator),
    "oid-vrd-relation": ("Open Images Challenge, relations: a box for each object", api.VRDRelationDetectionEvaluator),
}


def score(protocol, iou, images, relationships):
    """{"map", "per_class": [{"class": relationship, "ap"}], "metrics": the API's names and values}, values in 0..1, None for NaN.

    protocol: a name of `PROTOCOLS`; iou: from which a box is right, 0..1; images: (id, truth `Tuples`, ids of verified classes,
    predicted `Tuples`) in order; relationships: {id: name}. The truth must have a relation.
    """
    evaluator = PROTOCOLS[protocol][1](matching_iou_threshold=iou)
    with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # ranks that the API computes and does not tell
        for image_id, truth, verified, found in images:
            evaluator.add_single_ground_truth_image_info(
                image_id,
                {
                    InputDataFields.groundtruth_boxes: _boxes(truth),
                    InputDataFields.groundtruth_classes: _labels(truth),
                    InputDataFields.groundtruth_image_classes: np.array(verified, int),
                },
            )
            # Where nothing was found, too: the API fails where no image has detections, be it an empty list.
            evaluator.add_single_detected_image_info(
                image_id,
                {
                    DetectionResultFields.detection_boxes: _boxes(found),
                    DetectionResultFields.detection_classes: _labels(found),
                    DetectionResultFields.detection_scores: found.scores,
                },
            )
        values = evaluator.evaluate(relationships=relationships)
    metrics = {name: None if np.isnan(value) else round(float(value), DIGITS) for name, value in values.items()}
    each = {name.split("/", 1)[1]: value for name, value in metrics.items() if "/" in name}
    return {
        "map": next(value for name, value in metrics.items() if "_mAP@" in name),
        "per_class": [{"class": name, "ap": each[name]} for name in sorted(each)],
        "metrics": metrics,
    }


def _boxes(tuples):
    boxes = np.zeros(len(tuples.boxes), api.vrd_box_data_type)
    boxes["subject"], boxes["object"] = tuples.boxes[:, :4], tuples.boxes[:, 4:]
    return boxes


def _labels(tuples):
    labels = np.zeros(len(tuples.labels), api.label_data_type)
    for place, field in enumerate(("subject", "object", "relation")):
        labels[field] = tuples.labels[:, place]
    return labels
