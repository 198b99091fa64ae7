"""Decoding and suppression, step for step those of TFLite_Detection_PostProcess as LiteRT runs it."""

import numpy as np
import pytest
from _detection.postprocess import Attributes, attributes, decode_boxes, postprocess
from _runtime import StageError
from litert_operator import postprocess_model, run_model

USUAL = {
    "max_detections": 10,
    "max_classes_per_detection": 1,
    "detections_per_class": 10,
    "use_regular_nms": False,
    "nms_score_threshold": 1e-8,
    "nms_iou_threshold": 0.5,
    "num_classes": 2,
    "y_scale": 10.0,
    "x_scale": 10.0,
    "h_scale": 5.0,
    "w_scale": 5.0,
}


def raw(seed, count, columns, levels=None):
    """Anchors, encodings and scores; levels: as many different scores and encodings, as a quantized model has."""
    random = np.random.RandomState(seed)
    anchors = np.concatenate([random.uniform(0, 1, [count, 2]), random.uniform(0.1, 0.5, [count, 2])], axis=1).astype(np.float32)
    encodings, scores = random.normal(0, 1.5, [count, 4]), random.uniform(0, 1, [count, columns])
    if levels:
        encodings, scores = np.round(encodings), np.round(scores * levels) / levels
    return anchors, encodings.astype(np.float32), scores.astype(np.float32)


def compare(anchors, encodings, scores, how):
    """Both ways agree: the same detections in the same order, boxes to float rounding."""
    boxes, classes, values, count = run_model(postprocess_model(anchors, scores.shape[1], how), encodings[np.newaxis], scores[np.newaxis])
    found = postprocess(encodings, scores, anchors, Attributes(**how))
    boxes, classes, values = (written(value[0], int(count[0]), how) for value in (boxes, classes, values))
    assert len(found.scores) == len(values)
    np.testing.assert_array_equal(found.scores, values)
    np.testing.assert_array_equal(found.classes, classes.astype(int))
    np.testing.assert_allclose(found.boxes, boxes, atol=1e-6)
    return found


def written(value, count, how):
    """What the operator has written of an output: it counts boxes, and leaves room for `max_classes_per_detection` of each."""
    room, each = (1, 1) if how["use_regular_nms"] else (how["max_classes_per_detection"], how["num_classes"])
    return np.concatenate([value[place * room :][: min(room, each)] for place in range(count)] or [value[:0]])


@pytest.mark.parametrize("regular", [False, True], ids=["fast", "regular"])
@pytest.mark.parametrize("background", [0, 1], ids=["", "with background"])
@pytest.mark.parametrize("levels", [None, 256, 8], ids=["", "uint8 scores", "many equal scores"])
def test_it_equals_the_operator(regular, background, levels):
    for seed in range(20):
        random = np.random.RandomState(100 + seed)
        classes = random.randint(1, 6)
        how = dict(
            USUAL,
            use_regular_nms=regular,
            num_classes=int(classes),
            max_detections=int(random.randint(1, 60)),
            detections_per_class=int(random.randint(1, 40)),
            nms_iou_threshold=float(np.float32(random.choice([0.3, 0.5, 0.6]))),
            nms_score_threshold=float(np.float32(random.choice([0, 1e-8, 0.3, 0.5]))),
        )
        compare(*raw(seed, random.randint(1, 150), classes + background, levels), how)


@pytest.mark.parametrize("classes_each", [2, 3, 4, 7], ids=lambda number: f"{number} of 4 classes")
def test_several_classes_of_a_box(classes_each):
    for seed in range(20):
        compare(*raw(seed, 80, 4), dict(USUAL, num_classes=4, max_classes_per_detection=classes_each))


@pytest.mark.parametrize("classes", [1, 2, 5, 90])
@pytest.mark.parametrize("levels", [1, 3, 256], ids=["all scores equal", "many equal", "uint8 scores"])
def test_equal_scores_of_a_boxs_classes_come_in_the_operators_order(classes, levels):
    for seed in range(4):
        for classes_each in (1, 2, 3, 8, 90):
            how = dict(USUAL, num_classes=classes, max_classes_per_detection=classes_each, nms_score_threshold=0.0)
            compare(*raw(seed, 30, classes + seed % 2, levels), how)


@pytest.mark.parametrize("levels", [1, 3], ids=["all scores equal", "many equal"])
def test_equal_scores_of_several_classes_come_in_the_operators_order_with_regular_suppression(levels):
    for seed in range(10):
        how = dict(USUAL, num_classes=5, use_regular_nms=True, detections_per_class=4, max_classes_per_detection=1 + seed % 3)
        compare(*raw(seed, 60, 5 + seed % 2, levels), dict(how, nms_score_threshold=0.0))


@pytest.mark.parametrize("regular", [False, True])
def test_nothing_above_the_threshold_is_no_detection(regular):
    found = compare(*raw(1, 30, 2), dict(USUAL, nms_score_threshold=1.5, use_regular_nms=regular))
    assert [part.shape for part in found] == [(0, 4), (0,), (0,)]


def test_a_score_at_the_threshold_counts():
    anchors, encodings, scores = raw(1, 4, 1, levels=4)
    scores[:] = [[0.5], [0.25], [0.5], [0.0]]
    assert len(compare(anchors, encodings, scores, dict(USUAL, num_classes=1, nms_score_threshold=0.5, nms_iou_threshold=1.0)).scores) == 2


def test_the_fast_suppression_drops_a_box_of_another_class_and_the_regular_keeps_it():
    anchors = np.full([2, 4], 0.5, np.float32)
    encodings = np.zeros([2, 4], np.float32)
    scores = np.array([[0.9, 0.1], [0.1, 0.8]], np.float32)
    how = dict(USUAL, nms_score_threshold=0.5)
    assert compare(anchors, encodings, scores, how).classes.tolist() == [0]
    assert compare(anchors, encodings, scores, dict(how, use_regular_nms=True)).classes.tolist() == [0, 1]


def test_boxes_are_decoded_from_centre_and_size():
    anchor = np.array([[0.5, 0.25, 0.2, 0.1]], np.float32)
    encoding = np.array([[1.0, -2.0, 5 * np.log(2), 0.0]], np.float32)
    # The centre moves by 1 / 10 of the anchor's height and -2 / 10 of its width; the height doubles.
    np.testing.assert_allclose(decode_boxes(encoding, anchor, Attributes(**USUAL)), [[0.32, 0.18, 0.72, 0.28]], atol=1e-6)


@pytest.mark.parametrize(
    ("encodings", "scores", "says"),
    [
        (np.zeros([5, 4]), np.zeros([4, 2]), "boxes do not fit"),
        (np.zeros([4, 4]), np.zeros([4, 4]), "scores do not fit"),
        (np.zeros([4, 4]), np.zeros([3, 2]), "scores do not fit"),
        (np.full([4, 4], np.nan), np.zeros([4, 2]), "not finite"),
        (np.zeros([4, 4]), np.array([[0, 0], [0, 0], [0, np.inf], [0, 0]]), "not finite"),
    ],
)
def test_outputs_that_make_no_sense_are_refused(encodings, scores, says):
    with pytest.raises(StageError, match=says):
        postprocess(encodings.astype(np.float32), scores.astype(np.float32), np.full([4, 4], 0.5, np.float32), Attributes(**USUAL))


def test_a_missing_attribute_is_named():
    with pytest.raises(StageError) as caught:
        attributes({name: value for name, value in USUAL.items() if name != "y_scale"}, "lint.json")
    assert caught.value.found == "no y_scale"
