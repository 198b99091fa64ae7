"""COCO's numbers are pycocotools' own to the last bit, and by hand where that can be reckoned."""

import json

import numpy as np
import pytest
from _detection.dataset import coco
from evaluation_cases import (
    CIRCLE_LEFT,
    CIRCLE_RIGHT,
    CLASSES,
    MEANS,
    ONE_IMAGE,
    RIGHT,
    SQUARE,
    by_class,
    classes_of,
    coco_results,
    columns,
    disc,
    evaluation,
    masked_case,
    metrics_of,
    model_of,
    plain,
    random_case,
    score,
    small_cases,
    stats,
)
from hypothesis import given
from synthetic import image, obj


@pytest.mark.parametrize(
    ("found", "circle", "square"),
    [
        # Precision is sampled at recall 0, 0.01, … 1: 51 of the 101 points lie at or below a recall of one half.
        pytest.param(RIGHT[1], 1, 1, id="all found"),
        pytest.param([(1, 0.9, *CIRCLE_LEFT)], 51 / 101, 0, id="one of two circles, no square"),
        pytest.param(
            [(1, 0.9, 80, 60, 90, 70), (1, 0.8, *CIRCLE_LEFT), (1, 0.7, *CIRCLE_RIGHT)],
            2 / 3,
            0,
            id="a false one before two right ones: precision 1/2, then 2/3, made monotone",
        ),
        pytest.param(
            [(1, 0.9, *CIRCLE_LEFT), (1, 0.8, *CIRCLE_LEFT), (1, 0.7, *CIRCLE_RIGHT)],
            (51 + 50 * 2 / 3) / 101,
            0,
            id="the same circle twice: the second is false",
        ),
        pytest.param([(2, 0.9, *CIRCLE_LEFT)], 0, 0, id="right box, wrong class"),
    ],
)
def test_ap50_of_a_class_is_what_the_definition_gives_by_hand(found, circle, square):
    metrics = by_class(score(ONE_IMAGE, {1: found}))
    assert metrics["circle"]["ap50"] == pytest.approx(circle, abs=1e-6)
    assert metrics["square"]["ap50"] == pytest.approx(square, abs=1e-6)


def test_ap_is_the_mean_over_the_iou_thresholds_that_the_box_reaches():
    # 20 × 20 px against 20 × 16 px: IoU 0.8, so right at 0.50 … 0.80 (7 of 10 thresholds).
    metrics = score([image(1, [obj("circle", 0, 0, 20, 20)])], {1: [(1, 0.9, 0, 0, 20, 16)]})
    circle = by_class(metrics)["circle"]
    assert (circle["ap"], circle["ap50"], metrics["map75"]) == (pytest.approx(0.7), 1, 1)


def test_a_class_without_objects_has_no_ap_and_leaves_the_mean_alone():
    metrics = score([image(1, [obj("circle", 0, 0, 20, 20)])], {1: [(1, 0.9, 0, 0, 20, 20), (3, 0.9, 0, 0, 20, 20)]})
    nothing = {"ap": None, "ap50": None, "ar100": None, "ap_small": None, "ap_medium": None, "ap_large": None, "objects": 0, "best": None}
    assert by_class(metrics)["square"] == {"class": "square", **nothing, "detections": 0}
    assert by_class(metrics)["star"] == {"class": "star", **nothing, "detections": 1}
    assert metrics["map"] == 1


def test_a_size_without_objects_has_no_value():
    metrics = score([image(1, [obj("circle", 0, 0, 20, 20)])], {1: [(1, 0.9, 0, 0, 20, 20)]})
    assert (metrics["map_small"], metrics["map_medium"], metrics["map_large"]) == (1, None, None)
    circle = by_class(metrics)["circle"]
    assert (circle["ap_small"], circle["ap_medium"], circle["ap_large"]) == (1, None, None)


@pytest.mark.parametrize("flag", ["crowd", "group_of"])
def test_a_detection_in_a_crowd_region_is_neither_right_nor_wrong(flag):
    truth = [image(1, [obj("circle", 0, 0, 20, 20), obj("circle", 40, 0, 90, 50, **{flag: True})])]
    metrics = score(truth, {1: [(1, 0.99, 50, 10, 60, 20), (1, 0.9, 0, 0, 20, 20)]})
    assert by_class(metrics)["circle"]["ap50"] == 1
    assert metrics["best"] == {"score": 0.9, "precision": 1, "recall": 1, "f1": 1}
    assert metrics_of.object_counts(coco(truth, CLASSES))["crowd_regions"] == 1


def test_a_difficult_object_counts_like_any_other():
    truth = [image(1, [obj("circle", 0, 0, 20, 20), obj("circle", 40, 0, 60, 20, difficult=True)])]
    metrics = score(truth, {1: [(1, 0.9, 0, 0, 20, 20)]})
    assert by_class(metrics)["circle"]["ap50"] == pytest.approx(51 / 101, abs=1e-6)


def same_as_plain(images, found, folder):
    truth = coco(images, CLASSES)
    evaluated = plain(truth, coco_results(columns(found)), folder)
    results = [classes_of.evaluate_class(job) for job in classes_of.class_jobs(truth, columns(found), "bbox")]
    assert np.array_equal(np.stack([each.precision for each in results], axis=2), evaluated.eval["precision"])
    assert np.array_equal(np.stack([each.recall for each in results], axis=1), evaluated.eval["recall"])
    for place, each in enumerate(results):
        assert np.array_equal(each.curve_scores, evaluated.eval["scores"][0, :, place, 0, -1])
    ours = score(images, found)
    assert [ours[name] for name in MEANS] == stats(evaluated)
    return ours


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_number_is_what_pycocotools_gives_directly(tmp_path, seed):
    ours = same_as_plain(*random_case(seed), tmp_path)
    assert 0.1 < ours["map50"] < 0.95, "a case that is all right or all wrong shows nothing"


@given(case=small_cases())
def test_every_number_is_pycocotools_own_on_small_cases_too(tmp_path_factory, case):
    images, found = case
    if any(found.values()):  # COCO.loadRes cannot read an empty list
        same_as_plain(images, found, tmp_path_factory.mktemp("plain"))


def test_more_than_100_detections_of_a_class_in_an_image_are_cut_as_pycocotools_cuts_them(tmp_path):
    rows = [(1, 0.5 + place / 1000, place % 80, 10, place % 80 + 20, 30) for place in range(130)]
    same_as_plain([*ONE_IMAGE, image(2, [])], {1: [*rows, (2, 0.1, *SQUARE)], 2: rows[::-1]}, tmp_path)


def test_masks_are_compared_as_pycocotools_compares_them(tmp_path):
    images, found = masked_case()
    results = coco_results(columns(found))
    for each, mask in zip(results, columns(found).masks, strict=True):
        del each["bbox"]
        each["segmentation"] = mask
    evaluated = plain(coco(images, CLASSES), results, tmp_path, "segm")
    metrics = score(images, found)
    assert [metrics["masks"][name] for name in MEANS] == stats(evaluated)
    assert metrics["masks"]["map50"] < metrics["map50"], "boxes are better than masks"
    assert metrics["masks"]["map_small"] < metrics["map_small"], "a false detection's size is its mask's"
    assert [(row["class"], row["objects"], row["detections"]) for row in metrics["masks"]["per_class"]] == [
        ("circle", 2, 5),
        ("square", 1, 1),
        ("star", 0, 1),
    ]


def test_an_object_without_a_mask_counts_for_nothing_among_masks():
    images, found = masked_case()
    more = {**images[0], "objects": [*images[0]["objects"], obj("star", 60, 5, 85, 30)]}
    row = (3, 0.99, 62, 6, 84, 29, disc(73, 18, 11))
    metrics = score([more, images[1]], {**found, 1: [*found[1], row]})
    assert metrics["masks"]["map50"] == score(images, found)["masks"]["map50"]
    assert by_class(metrics)["star"]["objects"] == 1
    star = by_class(metrics["masks"])["star"]
    assert (star["ap"], star["objects"], star["detections"]) == (None, 0, 2)


@pytest.mark.parametrize("lacking", ["truth", "model"])
def test_without_masks_on_both_sides_there_are_no_metrics_of_masks(lacking):
    images, found = masked_case()
    if lacking == "truth":
        images = [
            {**each, "objects": [{key: value for key, value in item.items() if key != "mask"} for item in each["objects"]]}
            for each in images
        ]
    else:
        found = {number: [row[:6] for row in rows] for number, rows in found.items()}
    assert "masks" not in score(images, found)


def test_curves_are_pycocotools_own_arrays_at_iou_one_half(tmp_path):
    images, found = random_case(4)
    truth, ours = evaluation(images, found)
    evaluated = plain(truth, coco_results(columns(found)), tmp_path)
    for place, name in enumerate(CLASSES):
        assert ours.curves["classes"][name]["precision"] == np.round(evaluated.eval["precision"][0, :, place, 0, -1], 6).tolist()
        assert ours.curves["classes"][name]["score"] == np.round(evaluated.eval["scores"][0, :, place, 0, -1], 6).tolist()
    assert np.mean(ours.curves["all"]) == pytest.approx(ours.metrics["map50"], abs=1e-6)
    assert metrics_of.recall_points() == [place / 100 for place in range(101)]


def test_a_class_without_objects_has_no_curve():
    curves = evaluation([image(1, [obj("circle", 0, 0, 20, 20)])], {1: [(1, 0.75, 0, 0, 20, 20), (3, 0.9, 0, 0, 20, 20)]})[1].curves
    assert curves == {"all": [1.0] * 101, "classes": {"circle": {"precision": [1.0] * 101, "score": [0.75] * 101}}}


def test_processes_change_nothing():
    images, found = random_case(5)
    truth = coco(images, CLASSES)
    one, two = (model_of._evaluate(truth, columns(found), "bbox", processes, lambda: None) for processes in (1, 2))
    for first, second in zip(one, two, strict=True):
        assert all(np.array_equal(*pair) for pair in zip(first, second, strict=True))
    assert json.dumps(score(images, found)) == json.dumps(score(images, found))
