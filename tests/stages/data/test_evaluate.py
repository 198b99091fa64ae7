"""The numbers are pycocotools' own, on the same images for every model, and a gate stops a model that lost too much."""

import contextlib
import io
import json
import random
from pathlib import Path

import pytest
from _detection.dataset import coco
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from synthetic import dataset, detections, found, image, obj, write

from stage_helpers import load

metrics_of = load("evaluate", "box_metrics")
CLASSES = ["circle", "square"]
NO_GATES = {"max_loss": None, "min_map50": None}


def evaluate(run_stage, tmp_path, images, models, params=NO_GATES, classes=CLASSES):
    """Run the stage on `models`: {name: detections or artifact}."""
    truth = dataset(tmp_path / "dataset", images, classes)
    shown = [each for each in images if each["split"] == "val"]
    inputs = [each if isinstance(each, dict) else detections(tmp_path / name, name, shown, each) for name, each in models.items()]
    return run_stage("evaluate", params, {"dataset": truth, "detections": inputs})


def score(images, results):
    """Metrics of `results` on `images` of dataset.json."""
    return metrics_of.box_metrics(coco(images, CLASSES), results)


def by_class(metrics):
    return {each["class"]: each for each in metrics["per_class"]}


ONE_IMAGE = [image(1, [obj("circle", 10, 10, 30, 30), obj("circle", 50, 10, 70, 30), obj("square", 10, 50, 30, 70)])]
CIRCLE_LEFT, CIRCLE_RIGHT, SQUARE = (10, 10, 20, 20), (50, 10, 20, 20), (10, 50, 20, 20)


@pytest.mark.parametrize(
    ("results", "circle", "square"),
    [
        # Precision is sampled at recall 0, 0.01, … 1: 51 of the 101 points lie at or below a recall of one half.
        pytest.param([found(1, 1, 0.9, *CIRCLE_LEFT), found(1, 1, 0.8, *CIRCLE_RIGHT), found(1, 2, 0.7, *SQUARE)], 1, 1, id="all found"),
        pytest.param([found(1, 1, 0.9, *CIRCLE_LEFT)], 51 / 101, 0, id="one of two circles, no square"),
        pytest.param(
            [found(1, 1, 0.9, 80, 60, 10, 10), found(1, 1, 0.8, *CIRCLE_LEFT), found(1, 1, 0.7, *CIRCLE_RIGHT)],
            2 / 3,
            0,
            id="a false one before two right ones: precision 1/2, then 2/3, made monotone",
        ),
        pytest.param(
            [found(1, 1, 0.9, *CIRCLE_LEFT), found(1, 1, 0.8, *CIRCLE_LEFT), found(1, 1, 0.7, *CIRCLE_RIGHT)],
            (51 + 50 * 2 / 3) / 101,
            0,
            id="the same circle twice: the second is false",
        ),
        pytest.param([found(1, 2, 0.9, *CIRCLE_LEFT)], 0, 0, id="right box, wrong class"),
    ],
)
def test_ap50_of_a_class_is_what_the_definition_gives_by_hand(results, circle, square):
    metrics = by_class(score(ONE_IMAGE, results))
    assert metrics["circle"]["ap50"] == pytest.approx(circle, abs=1e-6)
    assert metrics["square"]["ap50"] == pytest.approx(square, abs=1e-6)


def test_ap_is_the_mean_over_the_iou_thresholds_that_the_box_reaches():
    # 20 × 20 px against 20 × 16 px: IoU 0.8, so right at 0.50 … 0.80 (7 of 10 thresholds).
    metrics = score([image(1, [obj("circle", 0, 0, 20, 20)])], [found(1, 1, 0.9, 0, 0, 20, 16)])
    circle = by_class(metrics)["circle"]
    assert (circle["ap"], circle["ap50"], metrics["map75"]) == (pytest.approx(0.7), 1, 1)


def test_a_class_without_objects_has_no_ap_and_leaves_the_mean_alone():
    metrics = score([image(1, [obj("circle", 0, 0, 20, 20)])], [found(1, 1, 0.9, 0, 0, 20, 20)])
    assert by_class(metrics)["square"] == {"class": "square", "ap": None, "ap50": None, "ar100": None, "objects": 0, "detections": 0}
    assert metrics["map"] == 1


def test_a_size_without_objects_has_no_value():
    metrics = score([image(1, [obj("circle", 0, 0, 20, 20)])], [found(1, 1, 0.9, 0, 0, 20, 20)])
    assert (metrics["map_small"], metrics["map_medium"], metrics["map_large"]) == (1, None, None)


@pytest.mark.parametrize("flag", ["crowd", "group_of"])
def test_a_detection_in_a_crowd_region_is_neither_right_nor_wrong(flag):
    truth = [image(1, [obj("circle", 0, 0, 20, 20), obj("circle", 40, 0, 90, 50, **{flag: True})])]
    metrics = score(truth, [found(1, 1, 0.99, 50, 10, 10, 10), found(1, 1, 0.9, 0, 0, 20, 20)])
    assert by_class(metrics)["circle"]["ap50"] == 1
    assert metrics_of.object_counts(coco(truth, CLASSES))["crowd_regions"] == 1


def test_a_difficult_object_counts_like_any_other():
    truth = [image(1, [obj("circle", 0, 0, 20, 20), obj("circle", 40, 0, 60, 20, difficult=True)])]
    metrics = score(truth, [found(1, 1, 0.9, 0, 0, 20, 20)])
    assert by_class(metrics)["circle"]["ap50"] == pytest.approx(51 / 101, abs=1e-6)


def random_case(seed):
    """Images with noisy, missing, doubled and false detections; returns images and detections."""
    rng = random.Random(seed)
    images, results = [], []
    for number in range(1, 25):
        objects = []
        for _ in range(rng.randint(0, 4)):
            side, x, y = rng.choice([12, 40, 120]), rng.uniform(0, 300), rng.uniform(0, 300)
            category = rng.randint(1, 2)
            objects.append(obj(CLASSES[category - 1], x, y, x + side, y + side, crowd=rng.random() < 0.1))
            results += [
                found(number, category, rng.random(), x + rng.gauss(0, side / 9), y, side * rng.uniform(0.7, 1.2), side)
                for _ in range(rng.choice([0, 1, 1, 2]))
            ]
        if rng.random() < 0.3:
            results.append(found(number, rng.randint(1, 2), rng.random(), 5, 5, 50, 50))
        images.append(image(number, objects, width=450, height=450))
    return images, results


def direct(images, results, folder):
    """pycocotools as its own demo uses it: files, COCO, loadRes."""
    numbers = {each["id"]: number for number, each in enumerate(images)}
    annotations = []
    for each in images:
        for one in each["objects"]:
            x, y, right, bottom = one["bbox"]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": numbers[each["id"]],
                    "category_id": CLASSES.index(one["class"]) + 1,
                    "bbox": [x, y, right - x, bottom - y],
                    "area": (right - x) * (bottom - y),
                    "iscrowd": int(one["crowd"]),
                }
            )
    truth = write(
        folder / "truth.json",
        {
            "images": [{"id": number} for number in numbers.values()],
            "annotations": annotations,
            "categories": [{"id": 1, "name": "circle"}, {"id": 2, "name": "square"}],
        },
    )
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(truth))
        evaluation = COCOeval(coco, coco.loadRes([{**each, "image_id": numbers[each["image_id"]]} for each in results]), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_metrics_json_holds_what_pycocotools_gives_directly(run_stage, tmp_path, seed):
    images, results = random_case(seed)
    outcome = evaluate(run_stage, tmp_path, images, {"infer-frozen": results})
    ours = outcome.json("metrics.json")["models"]["infer-frozen"]
    names = ["map", "map50", "map75", "map_small", "map_medium", "map_large", "ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large"]
    assert [ours[name] for name in names] == pytest.approx(list(direct(images, results, tmp_path)), abs=1e-6)
    assert 0.1 < ours["map50"] < 0.95, "a case that is all right or all wrong shows nothing"
    assert outcome.result["metrics"]["infer-frozen.map50"] == ours["map50"]
    assert outcome.result["tools"]["pycocotools"]


def test_the_same_detections_give_the_same_bytes(run_stage, tmp_path):
    images, results = random_case(1)
    first = evaluate(run_stage, tmp_path, images, {"a": results})
    second = evaluate(run_stage, tmp_path, images, {"a": results})
    assert (first.output / "metrics.json").read_bytes() == (second.output / "metrics.json").read_bytes()


def test_images_and_objects_of_other_splits_are_left_out(run_stage, tmp_path):
    images = [*ONE_IMAGE, image(2, [obj("circle", 0, 0, 50, 50)], split="train")]
    outcome = evaluate(run_stage, tmp_path, images, {"a": [found(1, 1, 0.9, *CIRCLE_LEFT)]})
    report = outcome.json("metrics.json")
    assert (report["split"], report["images"], report["objects"], report["per_class"]) == ("val", 1, 3, {"circle": 2, "square": 1})


def test_no_detections_at_all_are_zeros_and_a_warning(run_stage, tmp_path):
    outcome = evaluate(run_stage, tmp_path, ONE_IMAGE, {"a": []})
    metrics = outcome.json("metrics.json")["models"]["a"]
    assert (metrics["map"], metrics["map50"], metrics["ar100"], metrics["detections"]) == (0, 0, 0, 0)
    assert outcome.result["warnings"] == ["a found nothing in 1 images: its metrics are 0"]


RIGHT = [found(1, 1, 0.9, *CIRCLE_LEFT), found(1, 1, 0.8, *CIRCLE_RIGHT), found(1, 2, 0.7, *SQUARE)]
WITHOUT_SQUARE = RIGHT[:2]  # mAP@0.5 one half


def test_differences_are_each_model_minus_the_first(run_stage, tmp_path):
    outcome = evaluate(run_stage, tmp_path, ONE_IMAGE, {"infer-frozen": RIGHT, "infer-tflite": WITHOUT_SQUARE})
    report = outcome.json("metrics.json")
    assert report["differences"] == [{"model": "infer-tflite", "against": "infer-frozen", "map": -0.5, "map50": -0.5}]
    assert report["gates"] == []


@pytest.mark.parametrize(
    ("params", "first", "second", "says"),
    [
        ({"max_loss": 0.5}, RIGHT, WITHOUT_SQUARE, None),
        ({"max_loss": 0.49}, RIGHT, WITHOUT_SQUARE, "the model did not pass: second lost 0.5000 mAP@0.5"),
        ({"max_loss": 0.0}, RIGHT, RIGHT, None),
        ({"max_loss": 0.0}, WITHOUT_SQUARE, RIGHT, None),
        ({"min_map50": 0.5}, RIGHT, WITHOUT_SQUARE, None),
        ({"min_map50": 0.51}, RIGHT, WITHOUT_SQUARE, "the model did not pass: second has mAP@0.5 0.5000"),
        (
            {"max_loss": 0.1, "min_map50": 0.6},
            RIGHT,
            WITHOUT_SQUARE,
            "the model did not pass: second lost 0.5000 mAP@0.5; second has mAP@0.5 0.5000",
        ),
    ],
)
def test_gates(run_stage, tmp_path, params, first, second, says):
    outcome = evaluate(run_stage, tmp_path, ONE_IMAGE, {"first": first, "second": second}, {**NO_GATES, **params})
    if says is None:
        assert outcome.code == 0
        assert all(gate["passed"] for gate in outcome.json("metrics.json")["gates"])
        assert len(outcome.json("metrics.json")["gates"]) == (1 if "max_loss" in params else 2)
    else:
        assert outcome.code == 1
        assert outcome.error["what"] == says
        assert outcome.error["remedy"]
        assert outcome.result["metrics"]["second.map50"] == 0.5, "the numbers are told even though nothing is published"


def test_max_loss_with_one_model_is_an_error(run_stage, tmp_path):
    outcome = evaluate(run_stage, tmp_path, ONE_IMAGE, {"only": RIGHT}, {**NO_GATES, "max_loss": 0.1})
    assert outcome.error["what"] == "max_loss compares models, and there is only one"


@pytest.mark.parametrize(
    ("change", "what", "where"),
    [
        ({"image_id": 99}, "unknown image", "detections.json[1]"),
        ({"category_id": 3}, "unknown class", "detections.json[1]"),
        ({"category_id": 0}, "unknown class", "detections.json[1]"),
        ({"bbox": [0, 0, float("nan"), 5]}, "bad box", "detections.json[1]"),
        ({"bbox": [0, 0, float("inf"), 5]}, "bad box", "detections.json[1]"),
        ({"bbox": [0, 0, -1, 5]}, "bad box", "detections.json[1]"),
        ({"bbox": [0, 0, 5]}, "bad box", "detections.json[1]"),
        ({"score": float("nan")}, "bad score", "detections.json[1]"),
        ({"score": 1.5}, "bad score", "detections.json[1]"),
        ({"score": None}, "bad score", "detections.json[1]"),
    ],
)
def test_a_detection_that_cannot_be_scored_is_named(run_stage, tmp_path, change, what, where):
    outcome = evaluate(run_stage, tmp_path, ONE_IMAGE, {"a": [RIGHT[0], {**RIGHT[1], **change}]})
    assert outcome.code == 1
    assert outcome.error["what"] == "a has a detection that cannot be scored: %s" % what
    assert outcome.error["where"] == where


TWO_IMAGES = [image(1, [obj("circle", 10, 10, 30, 30)]), image(2, [obj("square", 10, 10, 30, 30)])]


def other_pixels(entry):
    path = "%s/inference.json" % entry["path"]
    inference = json.loads(Path(path).read_text(encoding="utf-8"))
    inference["images"][1]["input_sha256"] = "f" * 64
    write(path, inference)


@pytest.mark.parametrize(
    ("second", "change", "what", "where"),
    [
        (TWO_IMAGES[::-1], None, "first and second did not run on the same images in the same order", "image 1 of second"),
        (TWO_IMAGES, other_pixels, "first and second were fed different pixels", "image 2"),
        (TWO_IMAGES[:1], None, "first and second ran on different numbers of images", "inference.json"),
    ],
)
def test_models_that_saw_different_images_are_not_compared(run_stage, tmp_path, second, change, what, where):
    entry = detections(tmp_path / "second", "second", second, [])
    if change:
        change(entry)
    outcome = evaluate(run_stage, tmp_path, TWO_IMAGES, {"first": [], "second": entry})
    assert (outcome.code, outcome.error["what"], outcome.error["where"]) == (1, what, where)


def test_models_of_different_splits_are_not_compared(run_stage, tmp_path):
    entry = detections(tmp_path / "second", "second", TWO_IMAGES, [], split="test")
    outcome = evaluate(run_stage, tmp_path, TWO_IMAGES, {"first": [], "second": entry})
    assert (outcome.error["expected"], outcome.error["found"]) == ("val", "test")


@pytest.mark.parametrize(
    ("shown", "what", "where"),
    [
        (TWO_IMAGES[:1], "a did not run on every image of the split val", "image 2"),
        ([*TWO_IMAGES, TWO_IMAGES[0]], "a ran twice on an image", "inference.json"),
        ([*TWO_IMAGES, image(9, [])], "a ran on an image that the dataset's split val lacks", "inference.json"),
    ],
)
def test_a_model_must_have_seen_each_image_of_the_split_once(run_stage, tmp_path, shown, what, where):
    outcome = evaluate(run_stage, tmp_path, TWO_IMAGES, {"a": detections(tmp_path / "a", "a", shown, [])})
    assert (outcome.code, outcome.error["what"], outcome.error["where"]) == (1, what, where)


@pytest.mark.parametrize(("objects", "found_"), [([], "0 crowd regions"), ([obj("circle", 0, 0, 9, 9, crowd=True)], "1 crowd regions")])
def test_a_split_with_nothing_to_find_is_an_error(run_stage, tmp_path, objects, found_):
    outcome = evaluate(run_stage, tmp_path, [image(1, objects)], {"a": []})
    assert outcome.error["what"] == "the split val has no object to find, so no metric exists"
    assert outcome.error["found"] == found_


def test_a_split_that_the_dataset_lacks_is_an_error(run_stage, tmp_path):
    entry = detections(tmp_path / "a", "a", ONE_IMAGE, [], split="holdout")
    outcome = evaluate(run_stage, tmp_path, ONE_IMAGE, {"a": entry})
    assert outcome.error["what"] == "the dataset has no split holdout"


def test_nothing_to_evaluate_is_an_error(run_stage, tmp_path):
    assert evaluate(run_stage, tmp_path, ONE_IMAGE, {}).error["what"] == "nothing to evaluate"


def test_two_inputs_of_one_name_are_an_error(run_stage, tmp_path):
    entry = detections(tmp_path / "a", "a", ONE_IMAGE, [])
    assert evaluate(run_stage, tmp_path, ONE_IMAGE, {"a": entry, "b": entry}).error["what"] == "two models have one name"
