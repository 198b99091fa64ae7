"""The stage evaluate: its files, the same for the same detections, and what it refuses; gates stop a model that lost too much."""

import json

import numpy as np
import pytest
from _detection.dataset import coco
from _detection.detection_records import read_index, stream_detections
from _detection.layer_samples import write_samples
from detection_files import write_detections
from evaluation_cases import (
    CIRCLE_LEFT,
    CLASSES,
    MEANS,
    ONE_IMAGE,
    RIGHT,
    SQUARE,
    WITHOUT_SQUARE,
    disc,
    evaluate,
    masked_case,
    plain,
    random_case,
    score,
    stats,
)
from synthetic import image, obj

FILES = ("metrics.json", "curves.json", "matches.jsonl")


def lines(outcome):
    return [json.loads(line) for line in (outcome.output / "matches.jsonl").read_text(encoding="utf-8").splitlines()]


def test_the_files_tell_all_of_every_model(run_stage, tmp_path):
    outcome = evaluate(run_stage, tmp_path, ONE_IMAGE, {"first": RIGHT, "second": WITHOUT_SQUARE})
    assert outcome.code == 0, outcome.log
    report = outcome.json("metrics.json")
    assert {name: report[name] for name in ("schema", "protocol", "split", "images", "objects", "crowd_regions", "difficult", "order")} == {
        "schema": 2,
        "protocol": "coco",
        "split": "val",
        "images": 1,
        "objects": 3,
        "crowd_regions": 0,
        "difficult": 0,
        "order": ["first", "second"],
    }
    assert report["per_class"] == {"circle": 2, "square": 1, "star": 0}
    assert report["per_size"] == {"small": 3, "medium": 0, "large": 0}
    assert report["evaluator"] == {"name": "pycocotools", "version": outcome.result["tools"]["pycocotools"]}
    second = report["models"]["second"]
    assert (second["model"]["kind"], second["detections"], second["map50"]) == ("tflite", 2, 0.5)
    assert second["confusion"] == {
        "labels": [*CLASSES, "background"],
        "counts": [[2, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]],
    }
    assert second["errors"] == {**dict.fromkeys(second["errors"], 0), "correct": 2, "missed": 1}
    assert second["best"] == {"score": 0.8, "precision": 1.0, "recall": 0.666667, "f1": 0.8}
    assert sum(row["objects"] for row in second["area_bins"]) == 3
    assert report["threshold"] == 0.8, "the best score of the last model"
    curves = outcome.json("curves.json")
    assert (curves["schema"], curves["iou"], len(curves["recall"])) == (1, 0.5, 101)
    assert curves["models"]["second"]["classes"]["square"]["precision"] == [0.0] * 101
    assert [[row["kind"] for row in line["models"]["second"]["found"]] for line in lines(outcome)] == [["correct", "correct"]]
    assert outcome.result["metrics"] == {
        name + value: report["models"][name][value[1:]] for name in report["order"] for value in (".map", ".map50")
    }


@pytest.mark.parametrize("seed", [1, 2])
def test_from_records_to_metrics_all_is_what_pycocotools_gives_directly(run_stage, tmp_path, seed):
    images, found = random_case(seed)
    entry = write_detections(tmp_path / "a", "a", images, found, CLASSES, shards=3)
    outcome = evaluate(run_stage, tmp_path, images, {"a": entry})
    folder = tmp_path / "a"
    results = []
    for one, each in zip(images, stream_detections(folder, read_index(folder)), strict=True):
        boxes, classes, scores = each.detections
        for (ymin, xmin, ymax, xmax), label, value in zip(boxes.tolist(), classes.tolist(), scores.tolist(), strict=True):
            left, top, right, bottom = (
                min(max(edge, 0.0), 1.0) * side
                for edge, side in zip((xmin, ymin, xmax, ymax), (one["width"], one["height"]) * 2, strict=True)
            )
            results.append(
                {"image_id": each.image_id, "category_id": label + 1, "score": value, "bbox": [left, top, right - left, bottom - top]}
            )
    ours = outcome.json("metrics.json")["models"]["a"]
    assert [ours[name] for name in MEANS] == stats(plain(coco(images, CLASSES), results, tmp_path))


@pytest.mark.parametrize("shards", [3, 7])
@pytest.mark.parametrize("cpus", [1, 2])
def test_shards_and_processes_change_no_byte(run_stage, tmp_path, shards, cpus):
    images, found = random_case(3)
    whole = evaluate(run_stage, tmp_path, images, {"a": found})
    parts = write_detections(tmp_path / "parts", "a", images, found, CLASSES, shards=shards)
    outcome = evaluate(run_stage, tmp_path, images, {"a": parts}, cpus=cpus)
    for name in FILES:
        assert (outcome.output / name).read_bytes() == (whole.output / name).read_bytes()


def test_the_order_of_the_records_changes_no_byte(run_stage, tmp_path):
    images, found = random_case(4)
    whole = evaluate(run_stage, tmp_path, images, {"a": found})
    turned = write_detections(tmp_path / "turned", "a", images[::-1], found, CLASSES)
    outcome = evaluate(run_stage, tmp_path, images, {"a": turned})
    for name in FILES:
        assert (outcome.output / name).read_bytes() == (whole.output / name).read_bytes()
    assert [line["id"] for line in lines(outcome)] == [each["id"] for each in images]


def test_images_and_objects_of_other_splits_are_left_out(run_stage, tmp_path):
    images = [*ONE_IMAGE, image(2, [obj("circle", 0, 0, 50, 50)], split="train")]
    report = evaluate(run_stage, tmp_path, images, {"a": {1: [(1, 0.9, *CIRCLE_LEFT)]}}).json("metrics.json")
    assert (report["split"], report["images"], report["objects"]) == ("val", 1, 3)


def test_boxes_are_clipped_to_the_image_and_those_outside_left_out(run_stage, tmp_path):
    images = [image(1, [obj("circle", 0, 0, 20, 20), obj("square", 80, 60, 100, 80)])]
    rows = [
        (1, 0.9, -60, -50, 20, 20),
        (2, 0.8, 80, 60, 300, 200),
        (1, 0.95, 120, 0, 150, 20),
        (1, 0.95, 30, 5, 30, 9),
        (1, 0.95, 50, 5, 40, 9),
        (1, 0.95, 50, 5, 70, 5),
    ]
    outcome = evaluate(run_stage, tmp_path, images, {"a": {1: rows}})
    metrics = outcome.json("metrics.json")["models"]["a"]
    assert (metrics["map"], metrics["detections"]) == (1.0, 2)
    assert "a: 4 boxes have no area inside their image and are left out" in outcome.log
    assert [row["bbox"] for row in lines(outcome)[0]["models"]["a"]["found"]] == [[0, 0, 20, 20], [80, 60, 100, 80]]


def test_masks_are_evaluated_where_truth_and_model_have_them(run_stage, tmp_path):
    images, found = masked_case()
    masked = write_detections(tmp_path / "masked", "masked", images, found, CLASSES, masks=True)
    bare = write_detections(tmp_path / "bare", "bare", images, found, CLASSES)
    models = evaluate(run_stage, tmp_path, images, {"masked": masked, "bare": bare}, cpus=2).json("metrics.json")["models"]
    assert models["masked"]["masks"] == score(images, found)["masks"]
    assert "masks" not in models["bare"]
    outside = {**found, 1: [(1, 0.99, 200, 200, 220, 220, disc(5, 5, 3)), *found[1]]}
    more = write_detections(tmp_path / "more", "more", images, outside, CLASSES, masks=True)
    again = evaluate(run_stage, tmp_path, images, {"more": more}).json("metrics.json")["models"]["more"]
    assert again["masks"] == models["masked"]["masks"], "a box outside goes with its mask"


def test_no_detections_at_all_are_zeros_and_a_warning(run_stage, tmp_path):
    outcome = evaluate(run_stage, tmp_path, ONE_IMAGE, {"a": {}})
    report = outcome.json("metrics.json")
    metrics = report["models"]["a"]
    assert (metrics["map"], metrics["map50"], metrics["ar100"], metrics["detections"], metrics["best"]) == (0, 0, 0, 0, None)
    assert metrics["errors"]["missed"] == 3
    assert outcome.result["warnings"] == [
        "a found nothing in 1 images: its metrics are 0",
        "no model found anything right, so there is no best score: threshold is 0.5",
    ]
    assert report["threshold"] == 0.5


@pytest.mark.parametrize(
    ("models", "parameter", "threshold"),
    [
        ({"first": {1: [(1, 0.9, *CIRCLE_LEFT)]}, "second": {1: [(1, 0.3, *CIRCLE_LEFT)]}}, None, 0.3),
        ({"first": {1: [(1, 0.9, *CIRCLE_LEFT)]}, "second": {}}, None, 0.9),
        ({"first": {1: [(1, 0.9, *CIRCLE_LEFT)]}}, 0.25, 0.25),
        ({"first": {1: [(1, 0.9, *CIRCLE_LEFT)]}}, 0.0, 0.0),
    ],
)
def test_the_threshold_is_the_last_models_best_score_or_the_parameter(run_stage, tmp_path, models, parameter, threshold):
    outcome = evaluate(run_stage, tmp_path, ONE_IMAGE, models, threshold=parameter)
    assert outcome.json("metrics.json")["threshold"] == threshold


def test_a_threshold_equal_to_a_score_takes_it_in(run_stage, tmp_path):
    # 0.3 is no float32: the record's score is a little above it.
    outcome = evaluate(run_stage, tmp_path, ONE_IMAGE, {"a": {1: [(1, 0.3, *CIRCLE_LEFT)]}, "b": {1: [(2, 0.7, *SQUARE)]}}, threshold=0.7)
    assert [row["score"] for row in lines(outcome)[0]["models"]["b"]["found"]] == [0.7]
    outcome = evaluate(run_stage, tmp_path, ONE_IMAGE, {"a": {1: [(1, 0.3, *CIRCLE_LEFT)]}}, threshold=0.3)
    assert [row["score"] for row in lines(outcome)[0]["models"]["a"]["found"]] == [0.3]


def chain(tmp_path, *models):
    """{name: artifact} of (name, kind, found)."""
    return {name: write_detections(tmp_path / name, name, ONE_IMAGE, found, CLASSES, kind=kind) for name, kind, found in models}


def frozen_and_tflite(tmp_path, frozen=RIGHT, tflite=WITHOUT_SQUARE):
    return chain(tmp_path, ("frozen", "frozen-graph", frozen), ("lite", "tflite", tflite))


def test_the_ledger_and_the_step_that_lost_most(run_stage, tmp_path):
    models = chain(tmp_path, ("float", "float-checkpoint", RIGHT), ("frozen", "frozen-graph", RIGHT), ("lite", "tflite", WITHOUT_SQUARE))
    for name, shift in (("frozen", 0), ("lite", 0.5)):
        write_samples(tmp_path / name / "layers.npz", [{"BoxPredictor_0/ClassPredictor": np.array([0, shift, 2], np.float32)}])
    report = evaluate(run_stage, tmp_path, ONE_IMAGE, models).json("metrics.json")
    assert [(entry["model"], entry["kind"], entry["against"], entry["map50_change"]) for entry in report["ledger"]] == [
        ("float", "float-checkpoint", None, None),
        ("frozen", "frozen-graph", "float", 0.0),
        ("lite", "tflite", "frozen", -0.5),
    ]
    largest = report["largest_loss"]
    assert (largest["model"], largest["against"]) == ("lite", "frozen")
    layer = {"layer": "BoxPredictor_0/ClassPredictor", "error": pytest.approx(0.5 / 3**0.5 / 2, abs=1e-6), "range": [0.0, 2.0]}
    assert largest["layers"] == [layer]
    assert report["ledger"][2]["layers_compared"] == [layer]


@pytest.mark.parametrize(
    ("before", "after", "warnings"), [("per class", "class-agnostic", 1), ("per class", "per class", 0), (None, "class-agnostic", 0)]
)
def test_models_whose_boxes_are_suppressed_otherwise_are_told(run_stage, tmp_path, before, after, warnings):
    models = frozen_and_tflite(tmp_path, tflite=RIGHT)
    for name, nms in zip(models, (before, after), strict=True):
        path = tmp_path / name / "inference.json"
        index = json.loads(path.read_text())
        index["model"]["nms"] = nms
        path.write_text(json.dumps(index))
    done = evaluate(run_stage, tmp_path, ONE_IMAGE, models)
    assert [entry["nms"] for entry in done.json("metrics.json")["ledger"]] == [before, after]
    assert len([text for text in done.result["warnings"] if "suppressed" in text]) == warnings


def test_without_a_loss_there_is_no_largest(run_stage, tmp_path):
    assert evaluate(run_stage, tmp_path, ONE_IMAGE, frozen_and_tflite(tmp_path, tflite=RIGHT)).json("metrics.json")["largest_loss"] is None


PASSED = [
    ({"min_map": 0.5, "min_map50": 0.5}, 4),
    ({"max_loss_vs_frozen": 0.5}, 1),
    ({"min_class_map50": {"circle": 1.0, "square": 0.0}}, 4),
    ({"max_class_loss_vs_frozen": 1.0}, 2),
    ({}, 0),
]


@pytest.mark.parametrize(("params", "number"), PASSED)
def test_gates_that_pass_are_told(run_stage, tmp_path, params, number):
    outcome = evaluate(run_stage, tmp_path, ONE_IMAGE, frozen_and_tflite(tmp_path), **params)
    assert outcome.code == 0, outcome.log
    told = outcome.json("metrics.json")["gates"]
    assert len(told) == number
    assert all(gate["passed"] for gate in told)


FAILED = [
    ({"min_map": 0.6}, "lite has mAP 0.5000"),
    ({"min_map50": 0.51}, "lite has mAP@0.5 0.5000"),
    ({"max_loss_vs_frozen": 0.49}, "lite lost 0.5000 mAP@0.5"),
    ({"min_class_map50": {"square": 0.1}}, "lite has AP@0.5 0.0000 of square"),
    ({"max_class_loss_vs_frozen": 0.9}, "lite lost 1.0000 AP@0.5 of square"),
    ({"min_map50": 0.6, "max_loss_vs_frozen": 0.1}, "lite has mAP@0.5 0.5000; lite lost 0.5000 mAP@0.5"),
]


@pytest.mark.parametrize(("params", "says"), FAILED)
def test_a_gate_that_fails_stops_the_build_with_all_numbers(run_stage, tmp_path, params, says):
    outcome = evaluate(run_stage, tmp_path, ONE_IMAGE, frozen_and_tflite(tmp_path), **params)
    assert (outcome.code, outcome.error["what"]) == (1, "the model did not pass: " + says)
    assert outcome.error["found"] == "frozen mAP 1.0000, mAP@0.5 1.0000; lite mAP 0.5000, mAP@0.5 0.5000"
    assert outcome.error["remedy"]
    assert outcome.result["metrics"]["lite.map50"] == 0.5, "the numbers are told even though nothing is published"


def test_a_gate_for_a_class_that_is_none_names_the_nearest(run_stage, tmp_path):
    outcome = evaluate(run_stage, tmp_path, ONE_IMAGE, frozen_and_tflite(tmp_path), min_class_map50={"cirle": 0.5})
    assert outcome.error["what"] == "a gate is for a class that the dataset lacks"
    assert outcome.error["found"] == "cirle (nearest: circle)"


def test_a_loss_against_the_frozen_graph_needs_one(run_stage, tmp_path):
    outcome = evaluate(run_stage, tmp_path, ONE_IMAGE, {"only": RIGHT}, max_loss_vs_frozen=0.1)
    assert outcome.error["what"] == "max_loss_vs_frozen compares models with the frozen graph, and there are not both"


@pytest.mark.parametrize(("objects", "found"), [([], "0 crowd regions"), ([obj("circle", 0, 0, 9, 9, crowd=True)], "1 crowd regions")])
def test_a_split_with_nothing_to_find_is_an_error(run_stage, tmp_path, objects, found):
    outcome = evaluate(run_stage, tmp_path, [image(1, objects)], {"a": {}})
    assert outcome.error["what"] == "the split val has no object to find, so no metric exists"
    assert outcome.error["found"] == found


def test_models_that_were_fed_other_pixels_are_not_compared(run_stage, tmp_path):
    other = write_detections(tmp_path / "other", "other", ONE_IMAGE, RIGHT, CLASSES, inputs="others")
    outcome = evaluate(run_stage, tmp_path, ONE_IMAGE, {"first": RIGHT, "other": other})
    assert (outcome.code, outcome.error["what"]) == (1, "first and other were fed different pixels")


def test_a_score_that_is_no_number_is_named_with_file_and_record(run_stage, tmp_path):
    outcome = evaluate(run_stage, tmp_path, ONE_IMAGE, {"a": {1: [RIGHT[1][0], (1, float("nan"), *CIRCLE_LEFT)]}})
    assert outcome.error["what"] == "a has a detection that cannot be scored: its score is not in 0..1"
    assert outcome.error["where"].endswith("a/val.detections-00000-of-00001, record 1, detection 2")


def test_nothing_to_evaluate_is_an_error(run_stage, tmp_path):
    assert evaluate(run_stage, tmp_path, ONE_IMAGE, {}).error["what"] == "nothing to evaluate"
