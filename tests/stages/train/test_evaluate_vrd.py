"""Visual relationships: the numbers are those of the Object Detection API's evaluators, and bad input is named by file and line."""

import random

import numpy as np
import pytest
from object_detection.core.standard_fields import DetectionResultFields, InputDataFields
from object_detection.utils import vrd_evaluation as api
from vrd_files import LABELS, PREDICTIONS, RELATIONS, label, relation, table

from stage_helpers import load

vrd_tables = load("evaluate-vrd", "vrd_tables")

PARAMS = {
    "labels": None,
    "class_label_map": None,
    "relationship_label_map": None,
    "protocols": ["oid-vrd-phrase", "oid-vrd-relation"],
    "iou": 0.5,
    "model": "predictions",
    "unknown_images": "refuse",
    "min_map": None,
}


@pytest.fixture
def evaluate(run_here, tmp_path):
    """evaluate(truth rows, predictions' rows, labels' rows or None, **params): what the stage leaves."""

    def call(truth, predictions, labels=None, **params):
        files = {
            "relations": table(tmp_path / "truth.csv", RELATIONS, truth),
            "predictions": table(tmp_path / "predictions.csv", PREDICTIONS, predictions),
        }
        if labels is not None:
            files["labels"] = table(tmp_path / "labels.csv", LABELS, labels)
        return run_here("evaluate-vrd", {**PARAMS, **files, **params}, {})

    return call


def metrics(outcome, protocol, model="predictions"):
    """{the API's name without its prefix: value} of a protocol."""
    assert outcome.error is None, outcome.error
    (found,) = [each for each in outcome.json("metrics.json")["protocols"] if each["protocol"] == protocol]
    return {name.split("_")[-1]: value for name, value in found["models"][model]["metrics"].items()}


def quarter(box):
    """The API's cases have boxes of up to 3 × 3: smaller ones have the same IoU."""
    return [value / 4 for value in box]


# utils/vrd_evaluation_test.py of the wheel: three images with four relations, and three predictions for the first of them.
UNIT, NEXT, ASIDE = quarter([0, 0, 1, 1]), quarter([1, 1, 2, 2]), quarter([1, 2, 2, 3])
PUBLISHED_TRUTH = [
    relation("img1", ("c1", "c2", "r3"), UNIT, NEXT),
    relation("img1", ("c1", "c4", "r3"), UNIT, ASIDE),
    relation("img2", ("c1", "c4", "r3"), UNIT, NEXT),
    relation("img3", ("c1", "c2", "r4"), UNIT, NEXT),
]
PUBLISHED_LABELS = [label("img1", "c%d" % number, 1) for number in (1, 2, 3, 4, 5)]
PUBLISHED_PREDICTIONS = {
    "oid-vrd-relation": [
        relation("img1", ("c1", "c2", "r5"), quarter([0, 0.3, 1, 1]), quarter([1.1, 1, 2, 2]), 0.7),
        relation("img1", ("c1", "c2", "r3"), UNIT, NEXT, 0.8),
        relation("img1", ("c1", "c6", "r3"), quarter([0.5, 0, 1, 1]), quarter([1, 1, 3, 3]), 0.9),
    ],
    "oid-vrd-phrase": [
        relation("img1", ("c1", "c2", "r5"), quarter([0, 0.3, 0.5, 0.5]), quarter([0.3, 0.3, 1, 1]), 0.7),
        relation("img1", ("c1", "c2", "r3"), quarter([0, 0, 1.2, 1.2]), quarter([0, 0, 2, 2]), 0.8),
        relation("img1", ("c1", "c6", "r3"), quarter([0.5, 0, 1, 1]), quarter([1, 1, 3, 3]), 0.9),
    ],
}
PUBLISHED_METRICS = {
    "weightedAP@0.5IOU": 0.25,
    "mAP@0.5IOU": 0.166667,
    "AP@0.5IOU/r3": 0.333333,
    "AP@0.5IOU/r4": 0,
    "Recall@50@0.5IOU": 0.25,
    "Recall@100@0.5IOU": 0.25,
}


@pytest.mark.parametrize("protocol", sorted(PUBLISHED_PREDICTIONS))
def test_the_api_s_published_case_gives_its_published_figures(evaluate, protocol):
    outcome = evaluate(PUBLISHED_TRUTH, PUBLISHED_PREDICTIONS[protocol], PUBLISHED_LABELS)
    assert metrics(outcome, protocol) == PUBLISHED_METRICS


def label_map(path, names):
    path.write_text("".join("item { id: %d name: '%s' }\n" % (number, name) for name, number in names.items()), encoding="utf-8")
    return str(path)


def test_label_maps_change_no_number(evaluate, tmp_path):
    maps = {
        "class_label_map": label_map(tmp_path / "classes.pbtxt", {"c%d" % number: 10 * number for number in (6, 5, 4, 3, 2, 1)}),
        "relationship_label_map": label_map(tmp_path / "relationships.pbtxt", {"r5": 1, "r4": 2, "r3": 7}),
    }
    outcome = evaluate(PUBLISHED_TRUTH, PUBLISHED_PREDICTIONS["oid-vrd-relation"], PUBLISHED_LABELS, **maps)
    assert metrics(outcome, "oid-vrd-relation") == PUBLISHED_METRICS
    assert outcome.result["warnings"] == []


def test_names_that_only_predictions_have_are_told(evaluate, tmp_path):
    outcome = evaluate(PUBLISHED_TRUTH, PUBLISHED_PREDICTIONS["oid-vrd-relation"], PUBLISHED_LABELS)
    where = tmp_path / "predictions.csv"
    assert outcome.result["warnings"] == [
        "1 names of the predictions are none of the ground truth: c6 (%s:4)" % where,
        "1 names of the predictions are none of the ground truth: r5 (%s:2)" % where,
    ]


MAN, HORSE, DOG = [0, 0, 0.5, 0.4], [0.3, 0, 1, 0.4], [0.5, 0.5, 1, 1]
RIDES, HOLDS = ("man", "horse", "rides"), ("man", "dog", "holds")
TRUTH = [relation("a", RIDES, MAN, HORSE), relation("b", RIDES, MAN, HORSE), relation("b", HOLDS, MAN, DOG)]


@pytest.mark.parametrize(
    ("predictions", "relations", "phrases"),
    [
        pytest.param(
            [relation("a", RIDES, MAN, HORSE, 0.9), relation("b", RIDES, MAN, HORSE, 0.8), relation("b", HOLDS, MAN, DOG, 0.7)],
            {"rides": 1, "holds": 1},
            {"rides": 1, "holds": 1},
            id="all found",
        ),
        pytest.param(
            [relation("a", RIDES, MAN, HORSE, 0.9), relation("a", RIDES, MAN, HORSE, 0.8), relation("b", RIDES, MAN, HORSE, 0.7)],
            {"rides": 0.5 + 0.5 * 2 / 3, "holds": 0},
            {"rides": 0.5 + 0.5 * 2 / 3, "holds": 0},
            id="found twice: the second is false",
        ),
        pytest.param(
            [relation("a", RIDES, HORSE, MAN, 0.9)],
            {"rides": 0, "holds": 0},
            {"rides": 0.5, "holds": 0},
            id="boxes swapped: the same phrase, another relation",
        ),
        pytest.param(
            [relation("a", ("horse", "man", "rides"), MAN, HORSE, 0.9), relation("a", RIDES, MAN, HORSE, 0.8)],
            {"rides": 0.25, "holds": 0},
            {"rides": 0.25, "holds": 0},
            id="classes swapped: false",
        ),
    ],
)
def test_ap_of_a_relationship_is_what_the_definition_gives_by_hand(evaluate, predictions, relations, phrases):
    outcome = evaluate(TRUTH, predictions)
    for protocol, expected in (("oid-vrd-relation", relations), ("oid-vrd-phrase", phrases)):
        found = metrics(outcome, protocol)
        assert {name: found["AP@0.5IOU/" + name] for name in expected} == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param([], 1, id="nobody looked for dogs in a: what is found of one is left out"),
        pytest.param([label("a", "dog", 0)], 0.5, id="there is no dog in a: it is false"),
        pytest.param([label("a", "dog", 1)], 0.5, id="there is a dog in a, but that relation is not there: it is false"),
    ],
)
def test_a_prediction_counts_where_somebody_looked_for_its_classes(evaluate, labels, expected):
    predictions = [relation("a", ("man", "dog", "rides"), MAN, DOG, 0.9), relation("a", RIDES, MAN, HORSE, 0.8)]
    outcome = evaluate([*TRUTH[:1], relation("c", ("dog", "dog", "on"), DOG, DOG)], predictions, labels)
    assert metrics(outcome, "oid-vrd-relation")["AP@0.5IOU/rides"] == expected


def test_recall_counts_the_first_fifty_and_the_first_hundred_of_each_image(evaluate):
    wrong = [relation("a", RIDES, DOG, DOG, 0.5 + number / 1000) for number in range(60)]
    found = metrics(evaluate(TRUTH[:1], [*wrong, relation("a", RIDES, MAN, HORSE, 0.4)]), "oid-vrd-relation")
    assert (found["Recall@50@0.5IOU"], found["Recall@100@0.5IOU"]) == (0, 1)


def random_tables(seed):
    """Relations, image-level labels and noisy predictions of some images; every image has a relation or a label."""
    rng = random.Random(seed)
    classes, verbs = ["man", "dog", "cup", "car"], ["holds", "on", "under"]

    def box():
        y, x = rng.uniform(0, 0.5), rng.uniform(0, 0.5)
        return [y, x, y + rng.uniform(0.1, 0.5), x + rng.uniform(0.1, 0.5)]

    def moved(corners):
        return [min(1, max(0, value + rng.gauss(0, 0.03))) for value in corners]

    truth, labels, predictions = [], [], []
    for number in range(30):
        image = "%03d" % rng.randint(0, 999)
        labels += [label(image, name, rng.randint(0, 1)) for name in rng.sample(classes, rng.randint(1, 3))]
        for _ in range(rng.randint(0, 4)):
            names, subject, object_ = (rng.choice(classes), rng.choice(classes), rng.choice(verbs)), box(), box()
            truth.append(relation(image, names, subject, object_))
            predictions += [relation(image, names, moved(subject), moved(object_), rng.random()) for _ in range(rng.choice([0, 1, 1, 2]))]
        names = (rng.choice(classes), rng.choice(classes), rng.choice(verbs))
        predictions += [relation(image, names, box(), box(), rng.random())] * (number % 2)
    rng.shuffle(predictions)
    return truth, labels, predictions


def as_the_challenge_s_program(evaluator, truth, labels, predictions):
    """What metrics/oid_vrd_challenge_evaluation.py does, without pandas: all truth first, then the images that have predictions."""
    names = sorted({name for row in truth + predictions for name in row[1:3]} | {row[2] for row in labels})
    verbs = sorted({row[11] for row in truth + predictions})

    def arrays(rows):
        boxes, tuples = np.zeros(len(rows), api.vrd_box_data_type), np.zeros(len(rows), api.label_data_type)
        for place, row in enumerate(rows):
            for field, (left, right, top, bottom) in (("subject", row[3:7]), ("object", row[7:11])):
                boxes[field][place] = [top, left, bottom, right]
            tuples[place] = (names.index(row[1]), names.index(row[2]), verbs.index(row[11]))
        return boxes, tuples

    for image in sorted({row[0] for row in truth + labels}):
        boxes, tuples = arrays([row for row in truth if row[0] == image])
        verified = np.array([names.index(row[2]) for row in labels if row[0] == image], int)
        evaluator.add_single_ground_truth_image_info(
            image,
            {
                InputDataFields.groundtruth_boxes: boxes,
                InputDataFields.groundtruth_classes: tuples,
                InputDataFields.groundtruth_image_classes: verified,
            },
        )
    for image in sorted({row[0] for row in predictions}):
        rows = [row for row in predictions if row[0] == image]
        boxes, tuples = arrays(rows)
        evaluator.add_single_detected_image_info(
            image,
            {
                DetectionResultFields.detection_boxes: boxes,
                DetectionResultFields.detection_classes: tuples,
                DetectionResultFields.detection_scores: np.array([row[12] for row in rows]),
            },
        )
    return evaluator.evaluate(relationships=dict(enumerate(verbs)))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_metrics_are_those_of_the_challenge_s_own_program(evaluate, seed):
    truth, labels, predictions = random_tables(seed)
    outcome = evaluate(truth, predictions, labels)
    for protocol, evaluator in (
        ("oid-vrd-relation", api.VRDRelationDetectionEvaluator()),
        ("oid-vrd-phrase", api.VRDPhraseDetectionEvaluator()),
    ):
        expected = {name.split("_")[-1]: value for name, value in as_the_challenge_s_program(evaluator, truth, labels, predictions).items()}
        assert metrics(outcome, protocol) == pytest.approx(expected, abs=1e-6)
        assert 0.1 < expected["mAP@0.5IOU"] < 0.95, "a case that is all right or all wrong shows nothing"


def test_metrics_json_is_an_evaluation(evaluate):
    outcome = evaluate(TRUTH, [relation("b", HOLDS, MAN, DOG, 0.9)], [label("c", "dog", 0)], model="mine", min_map=0.5)
    value = outcome.json("metrics.json")
    assert (value["schema"], value["protocol"], value["evaluator"]["name"]) == (2, "odapi", "Object Detection API")
    assert (value["images"], value["relations"], value["order"]) == (3, 3, ["mine"])
    assert value["models"]["mine"]["detections"] == 1
    assert value["models"]["mine"]["model"]["kind"] == "external"
    assert [each["protocol"] for each in value["protocols"]] == ["oid-vrd-phrase", "oid-vrd-relation"]
    assert value["protocols"][0]["models"]["mine"]["per_class"] == [{"class": "holds", "ap": 1}, {"class": "rides", "ap": 0}]
    assert value["ledger"] == [{"model": "mine", "kind": "external", "against": None, "map": 0.5, "map_change": None}]
    assert value["gates"] == [{"name": "min_map", "model": "mine", "class": None, "limit": 0.5, "value": 0.5, "passed": True}]
    assert outcome.result["metrics"] == {"oid-vrd-phrase.map": 0.5, "oid-vrd-relation.map": 0.5}
    assert outcome.result["tools"] == {"tf-object-detection": "0.0.3"}


def test_the_program_does_the_same_as_a_stage(evaluate, run_stage, tmp_path):
    here = evaluate(TRUTH, [relation("b", HOLDS, MAN, DOG, 0.9)])
    there = run_stage(
        "evaluate-vrd", {**PARAMS, "relations": str(tmp_path / "truth.csv"), "predictions": str(tmp_path / "predictions.csv")}, {}
    )
    assert there.code == 0, there.log
    assert there.json("metrics.json") == here.json("metrics.json")


def test_the_gate_looks_at_the_first_protocol(evaluate):
    swapped = [relation("a", RIDES, HORSE, MAN, 0.9)]
    assert evaluate(TRUTH[:1], swapped, min_map=0.6).error is None
    error = evaluate(TRUTH[:1], swapped, min_map=0.6, protocols=["oid-vrd-relation", "oid-vrd-phrase"]).error
    assert error["what"] == "the model did not pass: predictions has mAP by oid-vrd-relation 0.0000"


def test_no_predictions_are_zeros_and_a_warning(evaluate):
    outcome = evaluate(TRUTH, [], [label("a", "dog", 0)])
    assert set(metrics(outcome, "oid-vrd-relation").values()) == {0}
    assert outcome.result["warnings"] == ["there are no predictions: every metric is 0"]


def test_without_image_level_labels_it_is_told_what_is_left_out(evaluate):
    (warning,) = evaluate(TRUTH, [relation("a", RIDES, MAN, HORSE, 0.9)]).result["warnings"]
    assert warning.startswith("there are no image-level labels: ")


def test_names_of_files_columns_order_and_rows_order_make_no_difference(evaluate, run_here, tmp_path):
    truth, labels, predictions = random_tables(4)
    first = evaluate(truth, predictions, labels)
    other = {"relations": tmp_path / "r.csv", "predictions": tmp_path / "p.csv", "labels": tmp_path / "l.csv"}
    for key, header, rows in (
        ("relations", RELATIONS, truth[::-1]),
        ("labels", LABELS, labels[::-1]),
        ("predictions", PREDICTIONS, predictions),
    ):
        text = "\r\n".join(",".join('"%s"' % value for value in row[::-1]) for row in [header, *rows])
        other[key].write_bytes(b"\xef\xbb\xbf" + text.encode("utf-8") + b"\r\n\r\n")
    second = run_here("evaluate-vrd", {**PARAMS, **{key: str(path) for key, path in other.items()}}, {})
    assert second.error is None, second.error
    ours, theirs = first.json("metrics.json"), second.json("metrics.json")
    assert ours["models"]["predictions"]["model"].pop("sha256") != theirs["models"]["predictions"]["model"].pop("sha256")
    assert ours == theirs


def changed(row, column, value, header=PREDICTIONS):
    return [value if name == column else old for name, old in zip(header, row)]


GOOD = relation("a", RIDES, MAN, HORSE, 0.9)


@pytest.mark.parametrize(
    ("row", "what", "where", "found"),
    [
        (changed(GOOD, "Score", "high"), "a value is no number", ":3, Score", "high"),
        (changed(GOOD, "Score", "nan"), "a value is no number", ":3, Score", "nan"),
        (changed(GOOD, "Score", ""), "a value is no number", ":3, Score", "nothing"),
        (changed(GOOD, "Score", "1_0"), "a value is no number", ":3, Score", "1_0"),
        (changed(GOOD, "XMin2", "inf"), "a value is no number", ":3, XMin2", "inf"),
        (changed(GOOD, "XMin1", 0.5), "a box has no such edges", ":3, XMin1 and XMax1", "0.5, 0.4"),
        (changed(GOOD, "YMax2", 480), "a box has no such edges", ":3, YMin2 and YMax2", "0.3, 480"),
        (changed(GOOD, "ImageID", "z"), "a prediction is of an image that the ground truth lacks", ":3, ImageID", "z"),
        (changed(GOOD, "ImageID", ""), "a line names no image", ":3, ImageID", "nothing"),
        (changed(GOOD, "LabelName2", ""), "a class is unknown", ":3", "nothing"),
        (changed(GOOD, "RelationshipLabel", ""), "a relationship is unknown", ":3", "nothing"),
        (GOOD[:-1], "a line of the predictions is not whole", ":3", "12"),
        ([*GOOD, 7], "a line of the predictions is not whole", ":3", "14"),
        (['"a', *GOOD[1:]], "the predictions are no CSV", ":3", "unexpected end of data"),
    ],
)
def test_a_bad_prediction_is_named_by_file_and_line(evaluate, tmp_path, row, what, where, found):
    error = evaluate(TRUTH, [GOOD, row]).error
    assert (error["what"], error["where"], error["found"]) == (what, "%s%s" % (tmp_path / "predictions.csv", where), found)
    assert error["expected"]
    assert error["remedy"]


@pytest.mark.parametrize(
    ("row", "what", "where"),
    [
        (changed(TRUTH[0], "XMax1", 1.2, RELATIONS), "a box has no such edges", ":3, XMin1 and XMax1"),
        (changed(TRUTH[0], "YMin1", -0.1, RELATIONS), "a box has no such edges", ":3, YMin1 and YMax1"),
        (changed(TRUTH[0], "LabelName1", "", RELATIONS), "a class is unknown", ":3"),
        (changed(TRUTH[0], "YMin1", "top", RELATIONS), "a value is no number", ":3, YMin1"),
    ],
)
def test_a_bad_relation_is_named_by_file_and_line(evaluate, tmp_path, row, what, where):
    error = evaluate([TRUTH[0], row], [GOOD]).error
    assert (error["what"], error["where"]) == (what, "%s%s" % (tmp_path / "truth.csv", where))


@pytest.mark.parametrize(
    ("row", "what", "where"),
    [
        (label("a", "dog", 0.7), "an image-level label is not verified", ":3, Confidence"),
        (label("a", "dog", "yes"), "a value is no number", ":3, Confidence"),
        (label("", "dog", 1), "a line names no image", ":3, ImageID"),
    ],
)
def test_a_bad_label_is_named_by_file_and_line(evaluate, tmp_path, row, what, where):
    error = evaluate(TRUTH, [GOOD], [label("a", "man", 1), row]).error
    assert (error["what"], error["where"]) == (what, "%s%s" % (tmp_path / "labels.csv", where))


@pytest.mark.parametrize(
    ("file", "row", "line"),
    [
        ("truth.csv", changed(TRUTH[0], "LabelName2", "house", RELATIONS), 3),
        ("predictions.csv", changed(GOOD, "LabelName2", "house"), 3),
        ("labels.csv", label("a", "house", 1), 3),
    ],
)
def test_a_name_that_the_label_map_lacks_is_named_by_file_and_line(evaluate, tmp_path, file, row, line):
    rows = {"truth.csv": [TRUTH[0]], "predictions.csv": [GOOD], "labels.csv": [label("a", "man", 1)]}
    rows[file].append(row)
    names = label_map(tmp_path / "classes.pbtxt", {"man": 1, "horse": 2})
    error = evaluate(rows["truth.csv"], rows["predictions.csv"], rows["labels.csv"], class_label_map=names).error
    assert (error["what"], error["where"], error["found"]) == ("a class is unknown", "%s:%d" % (tmp_path / file, line), "house")


def test_a_relationship_that_the_label_map_lacks_is_an_error(evaluate, tmp_path):
    names = label_map(tmp_path / "verbs.pbtxt", {"holds": 1})
    error = evaluate(TRUTH[2:], [changed(GOOD, "ImageID", "b")], relationship_label_map=names).error
    assert (error["what"], error["found"]) == ("a relationship is unknown", "rides")


@pytest.mark.parametrize(
    ("text", "what", "where"),
    [
        ("item { id: 1 name: 'man' }\nitem { id: 1 name: 'dog' }", "an item of the label map cannot be told from another", ":2"),
        ("item { id: 1 name: 'man' }\nitem { id: 2 name: 'man' }", "an item of the label map cannot be told from another", ":2"),
        ("item { id: 0 name: 'man' }", "an item of the label map cannot be told from another", ":1"),
        ("item { name: 'man' }", "an item of the label map has no id", ":1"),
    ],
)
def test_a_bad_label_map_is_named_by_line(evaluate, tmp_path, text, what, where):
    (tmp_path / "bad.pbtxt").write_text(text, encoding="utf-8")
    error = evaluate(TRUTH, [GOOD], class_label_map=str(tmp_path / "bad.pbtxt")).error
    assert (error["what"], error["where"]) == (what, "%s%s" % (tmp_path / "bad.pbtxt", where))


def test_predictions_of_other_images_are_left_out_where_that_is_wanted(evaluate):
    outcome = evaluate(TRUTH, [GOOD, changed(GOOD, "ImageID", "z")], [], unknown_images="ignore")
    assert metrics(outcome, "oid-vrd-relation") == metrics(evaluate(TRUTH, [GOOD], []), "oid-vrd-relation")
    assert "1 predictions are of images that the ground truth lacks: they are left out" in outcome.result["warnings"]


def test_a_predicted_box_may_stick_out_of_the_image(evaluate):
    outside = relation("a", RIDES, [-0.05, -0.1, 0.5, 0.4], [0.3, -0.05, 1.1, 0.4], 0.9)
    assert metrics(evaluate(TRUTH[:1], [outside]), "oid-vrd-relation")["mAP@0.5IOU"] == 1


def test_an_image_s_rows_stay_in_their_order():
    table_of = vrd_tables.Table(scored=True)
    for number in range(1000):
        table_of.add("ab"[number % 2], [number] * 8, [number] * 3, number)
    assert table_of.rows == 1000
    assert table_of.of("b").scores.tolist() == list(range(1, 1000, 2))
    assert table_of.of("b").boxes[3].tolist() == [7] * 8
    assert table_of.of("a").labels[-1].tolist() == [998] * 3
    assert [len(column) for column in table_of.of("c")] == [0, 0, 0]


def test_an_image_that_only_has_labels_is_one_of_the_ground_truth(evaluate):
    outcome = evaluate(TRUTH[:1], [GOOD, relation("c", RIDES, MAN, HORSE, 0.95)], [label("c", "horse", 0)])
    assert outcome.json("metrics.json")["images"] == 2
    assert metrics(outcome, "oid-vrd-relation")["weightedAP@0.5IOU"] == 0.5, "there is no horse in c: what is found there is false"


@pytest.mark.parametrize("column", ["ImageID", "LabelName1", "XMax2", "RelationshipLabel", "Score"])
def test_a_missing_column_is_named(run_here, tmp_path, column):
    header = [name for name in PREDICTIONS if name != column]
    files = {
        "relations": table(tmp_path / "truth.csv", RELATIONS, TRUTH),
        "predictions": table(tmp_path / "predictions.csv", header, [[value for name, value in zip(PREDICTIONS, GOOD) if name != column]]),
    }
    error = run_here("evaluate-vrd", {**PARAMS, **files}, {}).error
    assert error["what"] == "the predictions lack a column: %s" % column
    assert error["where"] == "%s:1" % files["predictions"]


@pytest.mark.parametrize(
    ("content", "what", "where"),
    [
        (b"", "the ground-truth relations are empty", ""),
        (",".join(RELATIONS).encode(), "the ground-truth relations have no relation", ""),
        (b"ImageID\n\xff\xfe", "the ground-truth relations are not UTF-8", None),
        (None, "the ground-truth relations cannot be read", ""),
    ],
)
def test_a_file_that_is_no_table_is_named(run_here, tmp_path, content, what, where):
    path = tmp_path / "truth.csv"
    if content is not None:
        path.write_bytes(content)
    params = {**PARAMS, "relations": str(path), "predictions": table(tmp_path / "predictions.csv", PREDICTIONS, [GOOD])}
    error = run_here("evaluate-vrd", params, {}).error
    assert error["what"] == what
    assert error["where"].startswith(str(path))
    assert where is None or error["where"] == str(path) + where


@pytest.mark.parametrize(("missing", "told"), [("relations", "ground-truth relations"), ("predictions", "predictions")])
def test_a_file_that_the_pipeline_does_not_name_is_asked_for(run_here, tmp_path, missing, told):
    files = {key: table(tmp_path / key, RELATIONS, TRUTH) for key in ("relations", "predictions")}
    error = run_here("evaluate-vrd", {**PARAMS, **files, missing: None}, {}).error
    assert error["what"] == "there is no file of %s" % told
