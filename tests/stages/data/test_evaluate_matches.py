"""What became of each object and each detection at the threshold: the same as a naive implementation says, and by hand."""

import numpy as np
import pytest
from evaluation_cases import CIRCLE_LEFT, CLASSES, ONE_IMAGE, RIGHT, evaluation, random_case, score, small_cases
from hypothesis import given
from hypothesis import strategies as st
from synthetic import image, obj

from stage_helpers import load

best_score = load("evaluate", "best_scores").best_score
lines_of = load("evaluate", "match_lines")


def matches(images, found, threshold):
    """(lines of matches.jsonl, the sums of the model "model")."""
    truth, ours = evaluation(images, found)
    tallies, lines = lines_of.match_lines(truth, {"model": lines_of.taken(ours.detected, ours.results, threshold)}, CLASSES)
    return list(lines), tallies["model"].values()


def naive(images, found, threshold):
    """The same in plain loops, from the definitions: (lines, sums)."""
    labels = [*CLASSES, "background"]
    confusion = [[0] * len(labels) for _ in labels]
    kinds = dict.fromkeys(("correct", "classification", "localization", "both", "duplicate", "background", "missed"), 0)
    lines = []
    for each in images:
        truth = each["objects"]
        rows = sorted((row for row in found.get(each["id"], []) if row[1] >= threshold), key=lambda row: -row[1])
        taken = {}
        told = [naive_match(row, truth, taken) for row in rows]
        free = [place for place, item in enumerate(truth) if not item["crowd"] and place not in taken]
        explained = set()
        for row, match in zip(rows, told, strict=True):
            if match[0] == "false":
                match[:] = naive_error(row, truth)
                if match[0] in ("classification", "localization"):
                    explained.add(match[1])
                partner = naive_partner(row, truth, free)
                if partner is not None:
                    free.remove(partner)
                said = labels.index("background") if partner is None else labels.index(truth[partner]["class"])
                confusion[said][row[0] - 1] += 1
            elif match[0] == "correct":
                confusion[row[0] - 1][row[0] - 1] += 1
            if match[0] != "ignored":
                kinds[match[0]] += 1
        for place in free:
            confusion[labels.index(truth[place]["class"])][-1] += 1
        missed = [place for place, item in enumerate(truth) if not item["crowd"] and place not in taken and place not in explained]
        kinds["missed"] += len(missed)
        lines.append(
            {
                "id": each["id"],
                "truth": [{"class": item["class"], "bbox": rounded(item["bbox"]), "ignored": item["crowd"]} for item in truth],
                "models": {
                    "model": {
                        "found": [
                            {"class": CLASSES[row[0] - 1], "score": row[1], "bbox": rounded(row[2:6]), "kind": kind, "truth": place}
                            for row, (kind, place) in zip(rows, told, strict=True)
                        ],
                        "missed": missed,
                    }
                },
            }
        )
    return lines, {"confusion": {"labels": labels, "counts": confusion}, "errors": kinds}


def naive_match(row, truth, taken):
    """COCO's matching of one detection at IoU 0.5, which marks what is taken: of equal overlaps the last object, a crowd only at last."""
    for crowd in (False, True):
        best = None
        for place, item in enumerate(truth):
            if item["crowd"] is crowd and item["class"] == CLASSES[row[0] - 1] and place not in taken:
                overlap = iou(row[2:6], item["bbox"], crowd)
                if overlap >= 0.5 and (best is None or overlap >= best[0]):
                    best = (overlap, place)
        if best is not None:
            if not crowd:
                taken[best[1]] = True
            return ["ignored" if crowd else "correct", best[1]]
    return ["false", None]


def naive_error(row, truth):
    """TIDE's kind of a false detection."""
    overlaps = [(iou(row[2:6], item["bbox"]), place) for place, item in enumerate(truth) if not item["crowd"]]
    own = max(((value, -place) for value, place in overlaps if truth[place]["class"] == CLASSES[row[0] - 1]), default=(0, 0))
    other = max(((value, -place) for value, place in overlaps if truth[place]["class"] != CLASSES[row[0] - 1]), default=(0, 0))
    if 0.1 <= own[0] < 0.5:
        return ["localization", -own[1]]
    if other[0] >= 0.5:
        return ["classification", -other[1]]
    if own[0] >= 0.5:
        return ["duplicate", -own[1]]
    if other[0] > 0.1:
        return ["both", -other[1]]
    return ["background", None]


def naive_partner(row, truth, free):
    """The free object of another class that is overlapped most, by one half or more."""
    near = [(iou(row[2:6], truth[place]["bbox"]), -place) for place in free if truth[place]["class"] != CLASSES[row[0] - 1]]
    best = max(near, default=(0, 0))
    return -best[1] if best[0] >= 0.5 else None


def iou(one, other, crowd=False):
    """Intersection over union; over the first box's area alone where the second is a crowd."""
    width, height = (max(0.0, min(one[side + 2], other[side + 2]) - max(one[side], other[side])) for side in (0, 1))
    first, second = ((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    both = width * height
    return both / (first if crowd else first + second - both)


def rounded(box):
    return [round(value, 2) for value in box]


def same_as_naive(images, found, threshold):
    lines, sums = matches(images, found, threshold)
    expected_lines, expected = naive(images, found, threshold)
    assert lines == expected_lines
    assert {name: sums[name] for name in expected} == expected
    return sums


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("threshold", [0.0, 0.3])
def test_matches_are_those_of_a_naive_implementation(seed, threshold):
    same_as_naive(*random_case(seed), threshold)


def test_matches_are_those_of_a_naive_implementation_with_every_kind_of_error():
    sums = same_as_naive(*random_case(6, images=150), 0.1)
    assert min(sums["errors"].values()) > 0


@given(case=small_cases(), threshold=st.sampled_from([0.0, 0.5]))
def test_matches_are_those_of_a_naive_implementation_on_small_cases(case, threshold):
    same_as_naive(*case, threshold)


@given(case=small_cases())
def test_each_object_and_each_detection_is_in_the_confusion_matrix_once(case):
    images, found = case
    counts = np.array(matches(images, found, 0.5)[1]["confusion"]["counts"])
    objects = [sum(item["class"] == name and not item["crowd"] for each in images for item in each["objects"]) for name in CLASSES]
    assert counts[:-1].sum(axis=1).tolist() == objects
    lines = matches(images, found, 0.5)[0]
    shown = [row for line in lines for row in line["models"]["model"]["found"] if row["kind"] != "ignored"]
    assert counts[:, :-1].sum(axis=0).tolist() == [sum(row["class"] == name for row in shown) for name in CLASSES]
    assert counts[-1, -1] == 0


KINDS = {
    "correct": ([(1, 0.9, *CIRCLE_LEFT)], "correct", 0, [1, 2]),
    "classification: right place, another class": ([(2, 0.9, *CIRCLE_LEFT)], "classification", 0, [1, 2]),
    "localization: half beside it": ([(1, 0.9, 20, 10, 40, 30)], "localization", 0, [1, 2]),
    "both: half beside it, another class": ([(2, 0.9, 20, 10, 40, 30)], "both", 0, [0, 1, 2]),
    "background: where nothing is": ([(1, 0.9, 80, 50, 95, 75)], "background", None, [0, 1, 2]),
    "background: hardly touching": ([(1, 0.9, 28, 10, 48, 30)], "background", None, [0, 1, 2]),
}


@pytest.mark.parametrize("case", KINDS)
def test_kinds_of_error(case):
    rows, kind, place, missed = KINDS[case]
    lines, sums = matches(ONE_IMAGE, {1: rows}, 0.5)
    model = lines[0]["models"]["model"]
    assert [(row["kind"], row["truth"]) for row in model["found"]] == [(kind, place)]
    assert model["missed"] == missed
    assert sums["errors"] == {**dict.fromkeys(sums["errors"], 0), kind: 1, "missed": len(missed)}


def test_the_second_detection_of_an_object_is_a_duplicate():
    lines, _ = matches(ONE_IMAGE, {1: [(1, 0.8, *CIRCLE_LEFT), (1, 0.9, *CIRCLE_LEFT)]}, 0.5)
    assert [(row["score"], row["kind"], row["truth"]) for row in lines[0]["models"]["model"]["found"]] == [
        (pytest.approx(0.9), "correct", 0),
        (pytest.approx(0.8), "duplicate", 0),
    ]


def test_a_detection_in_a_crowd_is_ignored_and_the_crowd_is_never_missed():
    truth = [image(1, [obj("circle", 0, 0, 20, 20), obj("circle", 40, 0, 90, 50, group_of=True)])]
    lines, sums = matches(truth, {1: [(1, 0.9, 50, 10, 60, 20), (2, 0.9, 50, 10, 60, 20)]}, 0.5)
    assert [item["ignored"] for item in lines[0]["truth"]] == [False, True]
    found = lines[0]["models"]["model"]
    assert [(row["class"], row["kind"], row["truth"]) for row in found["found"]] == [
        ("circle", "ignored", 1),
        ("square", "background", None),
    ]
    assert found["missed"] == [0]
    assert sums["confusion"]["counts"] == [[0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0]]


def test_detections_below_the_threshold_are_left_out():
    lines, sums = matches(ONE_IMAGE, RIGHT, 0.8)
    assert [row["score"] for row in lines[0]["models"]["model"]["found"]] == [0.9, 0.8]
    assert (sums["errors"]["correct"], sums["errors"]["missed"]) == (2, 1)


def test_images_without_boxes_or_detections_have_a_line_too():
    images = [image(3, []), *ONE_IMAGE[:0], image(7, [obj("circle", *map(float, CIRCLE_LEFT))])]
    lines, sums = matches(images, {}, 0.5)
    nothing = {"found": [], "missed": []}
    assert lines == [
        {"id": 3, "truth": [], "models": {"model": nothing}},
        {
            "id": 7,
            "truth": [{"class": "circle", "bbox": [10, 10, 30, 30], "ignored": False}],
            "models": {"model": {**nothing, "missed": [0]}},
        },
    ]
    assert sums["errors"]["missed"] == 1


def test_area_bins_are_recall_by_the_objects_share_of_the_image():
    objects = [obj("circle", 0, 0, 1, 1), obj("circle", 10, 10, 30, 30), obj("square", 50, 10, 70, 30), obj("star", 0, 0, 100, 80)]
    crowd = obj("square", 10, 40, 30, 60, crowd=True)
    sums = matches([image(1, [*objects, crowd])], {1: [(1, 0.9, *CIRCLE_LEFT), (3, 0.9, 0, 0, 100, 80)]}, 0.5)[1]
    bins = {(row["from"], row["to"]): (row["objects"], row["found"]) for row in sums["area_bins"]}
    # 1, 400 and 8000 of 8000 px².
    assert {key: value for key, value in bins.items() if value[0]} == {(0.0, 0.0005): (1, 0), (0.05, 0.1): (2, 1), (0.5, 1.0): (1, 1)}
    assert [row["from"] for row in sums["area_bins"]][1:] == [row["to"] for row in sums["area_bins"]][:-1]


F1 = {
    "all right": ([0.9, 0.8], [1, 1], 2, (0.8, 1.0, 1.0, 1.0)),
    "the false one is left out": ([0.9, 0.8, 0.7], [1, 1, 0], 2, (0.8, 1.0, 1.0, 1.0)),
    "the false one is worth its successors": ([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 1], 3, (0.6, 0.75, 1.0, 6 / 7)),
    "the false one is not worth its successor": ([0.9, 0.8, 0.7, 0.6, 0.5], [1, 0, 0, 0, 1], 2, (0.9, 1.0, 0.5, 2 / 3)),
    "equal scores are taken together": ([0.9, 0.5, 0.5], [1, 1, 0], 2, (0.5, 2 / 3, 1.0, 0.8)),
    "of equal F1 the highest score": ([0.9, 0.8, 0.7, 0.6], [1, 0, 0, 1], 2, (0.9, 1.0, 0.5, 2 / 3)),
    "none right": ([0.9], [0], 2, None),
    "none found": ([], [], 2, None),
    "nothing to find": ([0.9], [0], 0, None),
}


@pytest.mark.parametrize("case", F1)
def test_the_best_score_is_where_f1_is_largest(case):
    scores, right, objects, expected = F1[case]
    best = best_score(np.array(scores, np.float32), np.array(right, bool), objects)
    if expected is None:
        assert best is None
    else:
        assert tuple(best[name] for name in ("score", "precision", "recall", "f1")) == pytest.approx(expected, abs=1e-6)


@given(case=small_cases())
def test_the_best_score_is_the_best_of_all_that_can_be_tried(case):
    images, found = case
    objects = sum(not item["crowd"] for each in images for item in each["objects"])
    tried = {}
    for threshold in sorted({row[1] for rows in found.values() for row in rows}, reverse=True):
        kinds = matches(images, found, threshold)[1]["errors"]
        false = sum(kinds[kind] for kind in ("classification", "localization", "both", "duplicate", "background"))
        tried[threshold] = 2 * kinds["correct"] / (kinds["correct"] + false + objects)
    best = score(images, found)["best"]
    if max(tried.values(), default=0) == 0:
        assert best is None
    else:
        assert best["f1"] == pytest.approx(max(tried.values()), abs=1e-6)
        assert tried[best["score"]] == pytest.approx(best["f1"], abs=1e-6)
