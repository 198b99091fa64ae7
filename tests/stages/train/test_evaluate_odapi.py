"""The numbers are those of the Object Detection API's evaluators; what a protocol cannot be computed from is said."""

import json
import random
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from _detection.dataset import load as load_dataset
from evaluation_files import dataset, image, labelled, obj, pixels, write_detections
from object_detection.core.standard_fields import DetectionResultFields, InputDataFields
from object_detection.utils import object_detection_evaluation as api

from stage_helpers import load

odapi = load("evaluate-odapi", "odapi_protocols")
odapi_split = load("evaluate-odapi", "odapi_split")
stage = load("evaluate-odapi", "run")

PARAMS = {"protocols": ["pascal-voc-2010"], "iou": 0.5, "min_map": None, "max_loss_vs_frozen": None}
ANIMALS = ["cat", "dog", "elephant"]


@pytest.fixture
def evaluate(run_here, tmp_path):
    """evaluate(images, {model: {image's id: rows}}, protocols, …): what the stage leaves. kinds: {model: kind}."""

    def call(images, models, *protocols, classes=ANIMALS, hierarchy=None, kinds=None, masks=False, order=None, **params):
        number = len(list(tmp_path.glob("truth-*")))
        truth = dataset(tmp_path / ("truth-%d" % number), images, classes, hierarchy)
        shown = order or [each for each in images if each["split"] == "val"]
        found = [
            write_detections(
                tmp_path / ("%s-%d" % (name, number)), name, shown, rows, classes, kind=(kinds or {}).get(name, "tflite"), masks=masks
            )
            for name, rows in models.items()
        ]
        chosen = {"protocols": list(protocols) or ["pascal-voc-2010"]}
        return run_here("evaluate-odapi", {**PARAMS, **chosen, **params}, {"dataset": truth, "detections": found})

    return call


def of_protocol(outcome, name):
    assert outcome.error is None, outcome.error
    (found,) = [each for each in outcome.json("metrics.json")["protocols"] if each["protocol"] == name]
    return found


def aps(outcome, name, model="m"):
    """{class: AP, "mean": mAP} of a protocol."""
    found = of_protocol(outcome, name)["models"][model]
    return {"mean": found["map"], **{each["class"]: each["ap"] for each in found["per_class"]}}


def row(number, score, ymin, xmin, ymax, xmax, *mask):
    """A detection from numbers in the API's order."""
    return (number, score, xmin, ymin, xmax, ymax, *mask)


def thing(name, ymin, xmin, ymax, xmax, **more):
    return obj(name, xmin, ymin, xmax, ymax, **more)


# utils/object_detection_evaluation_test.py of the wheel: three images of cats, dogs and elephants, and what is found in the second.
def published(first=({}, {}, {}), second=({}, {}, {}), third=({},), size=(600, 600)):
    """more: of each object."""
    width, height = size
    return [
        image(
            1, [thing(name, 0, 0, far, far, **more) for name, far, more in zip(("cat", "elephant", "cat"), (1, 2, 3), first)], "val", *size
        ),
        image(
            2,
            [
                thing(name, *[min(side, most) for side, most in zip(box, (height, width, height, width))], **more)
                for name, box, more in zip(("cat", "cat", "elephant"), ((10, 10, 11, 11), (500, 500, 510, 510), (10, 10, 12, 12)), second)
            ],
            "val",
            *size,
        ),
        image(3, [thing("dog", 0, 0, 1, 1, **third[0])], "val", *size),
    ]


PUBLISHED_FOUND = {2: [row(1, 0.7, 10, 10, 11, 11), row(1, 0.8, 100, 100, 120, 120), row(3, 0.9, 100, 100, 220, 220)]}
DIFFICULT, GROUP = ({}, {"difficult": True}, {}), ({}, {"group_of": True}, {})


@pytest.mark.parametrize(
    ("protocol", "second", "cat", "mean"),
    [
        ("pascal-voc-2010", DIFFICULT, 0.16666666, 0.05555555),
        ("weighted-pascal-voc-2010", ({}, {}, {}), 0.5 / 4, 1 / (4 + 1 + 2) / 3),
        ("weighted-pascal-voc-2010", DIFFICULT, 0.5 / 3, 1 / (3 + 1 + 2) / 3),
        ("open-images-v2", GROUP, 0.16666666, 0.05555555),
    ],
)
def test_the_api_s_published_cases_of_boxes_give_its_published_figures(evaluate, protocol, second, cat, mean):
    outcome = evaluate(published(second=second), {"m": PUBLISHED_FOUND}, protocol)
    assert aps(outcome, protocol) == pytest.approx({"mean": mean, "cat": cat, "dog": 0, "elephant": 0}, abs=1e-6)


COLUMN = {place: pixels(*["".join(str(int(place == x)) for x in range(4))] * 3) for place in range(4)}
LINE = {place: pixels(*["1111" if place == y else "0000" for y in range(3)]) for place in range(3)}
FULL = pixels(*["1111"] * 3)


def test_the_api_s_published_case_of_masks_gives_its_published_figures(evaluate):
    images = [
        image(1, [obj(name, 0, 0, 4, 3, mask=COLUMN[place]) for name, place in (("cat", 0), ("elephant", 2), ("cat", 1))], "val", 4, 3),
        image(
            2,
            [
                obj("cat", 0, 0, 4, 3, mask=LINE[0]),
                obj("cat", 0, 0, 4, 3, mask=LINE[1], difficult=True),
                obj("elephant", 0, 0, 4, 3, mask=LINE[2]),
            ],
            "val",
            4,
            3,
        ),
        image(3, [obj("dog", 0, 0, 4, 3, mask=FULL)], "val", 4, 3),
    ]
    found = {
        2: [
            row(1, 0.7, 0, 0, 3, 4, pixels("1111", "0010", "0000")),
            row(1, 0.8, 0, 0, 3, 4, pixels("1000", "1100", "0000")),
            row(3, 0.9, 0, 0, 3, 4, pixels("0100", "0110", "0100")),
        ]
    }
    outcome = evaluate(images, {"m": found}, "pascal-instance-segmentation", masks=True)
    expected = {"mean": 0.05555555, "cat": 0.16666666, "dog": 0, "elephant": 0}
    assert aps(outcome, "pascal-instance-segmentation") == pytest.approx(expected, abs=1e-6)


def published_challenge():
    first, second, third = published(first=({}, {}, {"group_of": True}), second=({}, {}, {"group_of": True}))
    found = {
        1: [row(2, 0.7, 10, 10, 11, 11), row(2, 0.8, 100, 100, 120, 120)],
        2: [
            row(1, 0.7, 10, 10, 11, 11),
            row(1, 0.8, 100, 100, 120, 120),
            row(2, 0.5, 100, 100, 220, 220),
            row(3, 0.9, 10, 10, 11, 11),
        ],
        3: [row(2, 0.5, 0, 0, 1, 1)],
    }
    return [labelled(first, present=["cat", "elephant"], absent=["dog"]), second, third], found


def test_the_api_s_published_case_of_the_challenge_with_groups_that_weigh_a_half(evaluate, monkeypatch):
    half = partial(api.OpenImagesChallengeEvaluator, evaluate_masks=False, group_of_weight=0.5)
    monkeypatch.setitem(odapi.PROTOCOLS, "half", odapi.PROTOCOLS["oid-challenge-detection"]._replace(evaluator=half))
    monkeypatch.setattr("odapi_protocols.PROTOCOLS", odapi.PROTOCOLS)
    images, found = published_challenge()
    expected = {"mean": 0.269841269, "cat": 0.142857142857, "dog": 1 / 3, "elephant": 1 / 3}
    assert aps(evaluate(images, {"m": found}, "half"), "half") == pytest.approx(expected, abs=1e-6)


def test_the_same_case_by_the_challenge_s_own_weight_of_one(evaluate):
    images, found = published_challenge()
    # Cats: one of four right, after a false one. Elephants: the group of two is found. Dogs: two false ones in 1, none counts in 2.
    expected = {"mean": (0.125 + 0.5 + 1 / 3) / 3, "cat": 0.125, "dog": 1 / 3, "elephant": 0.5}
    assert aps(evaluate(images, {"m": found}, "oid-challenge-detection"), "oid-challenge-detection") == pytest.approx(expected, abs=1e-6)


def test_the_api_s_published_case_of_the_challenge_s_masks(evaluate):
    dot = pixels("1000", "0000", "0000")
    first = [thing("cat", 0, 0, 1, 1, mask=dot), thing("dog", 0, 0, 2, 2), thing("cat", 0, 0, 3, 3, group_of=True)]
    images = [
        labelled(image(1, first, "val", 4, 3), present=["cat", "dog"]),
        image(3, [thing("dog", 0, 0, 1, 1, mask=dot)], "val", 4, 3),
    ]
    found = {
        1: [row(2, 0.7, 0, 0, 2, 2, pixels("1100", "1100", "0000")), row(1, 0.8, 2, 2, 3, 3, pixels("0000", "0000", "0000"))],
        3: [row(2, 0.5, 0, 0, 1, 1, dot)],
    }
    outcome = evaluate(images, {"m": found}, "oid-challenge-segmentation", classes=["cat", "dog"], masks=True)
    assert aps(outcome, "oid-challenge-segmentation") == {"mean": 0.5, "cat": 0, "dog": 1}


CAT, FAR, DOG = (10, 10, 30, 30), (50, 10, 70, 30), (10, 50, 30, 70)
ONE = [image(1, [obj("cat", *CAT), obj("cat", *FAR), obj("dog", *DOG)])]


@pytest.mark.parametrize(
    ("found", "cat", "dog"),
    [
        pytest.param([(1, 0.9, *CAT), (1, 0.8, *FAR), (2, 0.7, *DOG)], 1, 1, id="all found"),
        pytest.param([(1, 0.9, *CAT)], 0.5, 0, id="the area under the curve, not eleven points of it"),
        pytest.param([(1, 0.9, 80, 60, 90, 70), (1, 0.8, *CAT), (1, 0.7, *FAR)], 2 / 3, 0, id="precision 1/2, then 2/3, made monotone"),
        pytest.param([(1, 0.9, *CAT), (1, 0.8, *CAT), (1, 0.7, *FAR)], 0.5 + 0.5 * 2 / 3, 0, id="the same cat twice: the second is false"),
        pytest.param([(2, 0.9, *CAT)], 0, 0, id="right box, wrong class"),
        pytest.param([(1, 0.9, 10, 10, 30, 20.1)], 0.5, 0, id="an IoU just above one half is enough"),
        pytest.param([(1, 0.9, 10, 10, 30, 19.9)], 0, 0, id="an IoU below it is not"),
        pytest.param([(1, 0.9, 80, 60, 90, 70)] * 124 + [(2, 0.8, *DOG), (1, 0.8, *CAT)], 0.5 / 125, 1, id="more than a hundred count"),
        pytest.param([(1, 0.9, 40, 40, 20, 20), (1, 0.8, *CAT)], 0.5, 0, id="a box without an area is left out"),
    ],
)
def test_ap_of_a_class_is_what_the_definition_gives_by_hand(evaluate, found, cat, dog):
    result = aps(evaluate(ONE, {"m": {1: found}}), "pascal-voc-2010")
    assert result == pytest.approx({"mean": (cat + dog) / 2, "cat": cat, "dog": dog, "elephant": None}, abs=1e-6)


@pytest.mark.parametrize(("iou", "expected"), [(0.5, 1), (0.75, 0), (0.6, 1)])
def test_the_least_iou_can_be_chosen(evaluate, iou, expected):
    outcome = evaluate([image(1, [obj("cat", 0, 0, 20, 20)])], {"m": {1: [(1, 0.9, 0, 0, 20, 14)]}}, iou=iou)
    assert of_protocol(outcome, "pascal-voc-2010")["models"]["m"]["metrics"]["PascalBoxes_Precision/mAP@%sIOU" % iou] == expected


EVERY = ("pascal-voc-2010", "weighted-pascal-voc-2010", "open-images-v2", "oid-challenge-detection")


@pytest.mark.parametrize(
    ("flag", "protocol", "ap", "told"),
    [
        # A cat that is found, and one with the flag that is not: AP is 1 where that is no fault. told: whether a warning says it counts.
        ("difficult", "pascal-voc-2010", 1, False),
        ("difficult", "weighted-pascal-voc-2010", 1, False),
        ("difficult", "open-images-v2", 0.5, True),
        ("difficult", "oid-challenge-detection", 0.5, True),
        ("group_of", "pascal-voc-2010", 0.5, True),
        ("group_of", "weighted-pascal-voc-2010", 0.5, True),
        ("group_of", "open-images-v2", 1, False),
        ("group_of", "oid-challenge-detection", 0.5, False),
        ("crowd", "pascal-voc-2010", 0.5, True),
        ("crowd", "weighted-pascal-voc-2010", 0.5, True),
        ("crowd", "open-images-v2", 0.5, True),
        ("crowd", "oid-challenge-detection", 0.5, True),
        ("truncated", "pascal-voc-2010", 0.5, False),
        ("occluded", "open-images-v2", 0.5, False),
        ("depiction", "open-images-v2", 0.5, False),
    ],
)
def test_what_a_flag_means_to_a_protocol(evaluate, flag, protocol, ap, told):
    images = [labelled(image(1, [obj("cat", *CAT), obj("cat", *FAR, **{flag: True})]), present=["cat"])]
    models = {"less": {1: [(1, 0.8, *CAT)]}, "more": {1: [(1, 0.9, *FAR), (1, 0.8, *CAT)]}}
    outcome = evaluate(images, models, protocol)
    assert [aps(outcome, protocol, model)["cat"] for model in models] == [ap, 1], "to find it is never a fault"
    warning = "1 objects with the flag %s count like all others by %s" % (flag, protocol)
    assert [each for each in outcome.result["warnings"] if "flag" in each] == ([warning] if told else [])


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        pytest.param("open-images-v2", 0.5, id="those in the group are left out; a false one before the only cat"),
        pytest.param("oid-challenge-detection", 0.5 + 0.5 * 2 / 3, id="the first counts for the group, the second is left out"),
        pytest.param("pascal-voc-2010", 0.125, id="three false ones before one of two cats"),
    ],
)
def test_small_boxes_inside_a_group_are_found_by_the_open_images_rules(evaluate, protocol, expected):
    group = obj("cat", 40, 0, 100, 80, group_of=True)
    images = [labelled(image(1, [group, obj("cat", *CAT)]), present=["cat"])]
    found = {1: [(1, 0.9, 50, 10, 60, 20), (1, 0.85, 70, 10, 80, 20), (1, 0.8, 0, 40, 9, 70), (1, 0.7, *CAT)]}
    assert aps(evaluate(images, {"m": found}, protocol), protocol)["cat"] == pytest.approx(expected, abs=1e-6)


ZOO = ["animal", "cat", "dog"]
KINDS = {"animal": ["cat", "dog"]}


@pytest.mark.parametrize(
    ("hierarchy", "expected"),
    [
        (KINDS, {"animal": 1, "cat": 0}),
        ({}, {"animal": None, "cat": 0}),
    ],
)
def test_an_object_of_a_class_is_one_of_its_superclass_too(evaluate, hierarchy, expected):
    images = [labelled(image(1, [obj("cat", *CAT)]), present=["cat"])]
    outcome = evaluate(images, {"m": {1: [(1, 0.9, *CAT)]}}, "oid-challenge-detection", "open-images-v2", classes=ZOO, hierarchy=hierarchy)
    result = aps(outcome, "oid-challenge-detection")
    assert {name: result[name] for name in expected} == expected
    assert aps(outcome, "open-images-v2")["animal"] is None, "only the challenge expands"
    warning = "the dataset has no class hierarchy: by the challenge's protocols, each class stands for itself"
    assert outcome.result["warnings"] == ([] if hierarchy else [warning])


@pytest.mark.parametrize(
    ("hierarchy", "present", "absent", "expected"),
    [
        pytest.param({}, ["cat"], [], 1, id="nobody looked for dogs: what is found of them is left out"),
        pytest.param({}, ["cat"], ["dog"], 0.5, id="somebody looked and found none: it is false"),
        pytest.param({}, ["cat", "dog"], [], 0.5, id="they are said to be there, but not in that box: it is false"),
        pytest.param(KINDS, ["cat"], ["animal"], 0.5, id="where no animal is, no dog is"),
        pytest.param({}, ["cat"], ["animal"], 1, id="without a hierarchy nobody knows that"),
    ],
)
def test_what_is_found_of_a_class_counts_where_somebody_looked_for_it(evaluate, hierarchy, present, absent, expected):
    images = [labelled(image(1, [obj("cat", *CAT)]), present, absent), labelled(image(2, [obj("dog", *DOG)]), ["dog"])]
    found = {"m": {1: [(3, 0.9, *DOG), (2, 0.8, *CAT)], 2: [(3, 0.8, *DOG)]}}
    outcome = evaluate(images, found, "oid-challenge-detection", "open-images-v2", classes=ZOO, hierarchy=hierarchy)
    assert aps(outcome, "oid-challenge-detection")["dog"] == expected
    assert aps(outcome, "open-images-v2")["dog"] == 0.5, "only the challenge asks for image-level labels"


def test_a_present_class_verifies_its_superclass(evaluate):
    # Two animals are found, one of them false: that counts because the cat that is there is an animal.
    images = [labelled(image(1, []), present=["cat"]), labelled(image(2, [obj("animal", *DOG)]), present=["animal"])]
    found = {1: [(1, 0.9, *DOG)], 2: [(1, 0.8, *DOG)]}
    outcome = evaluate(images, {"m": found}, "oid-challenge-detection", classes=ZOO, hierarchy=KINDS)
    assert aps(outcome, "oid-challenge-detection")["animal"] == 0.5


def test_images_without_objects_give_false_detections(evaluate):
    images = [image(1, [obj("cat", *CAT)]), image(2, []), image(3, [])]
    found = {1: [(1, 0.8, *CAT)], 2: [(1, 0.9, *CAT)]}
    assert aps(evaluate(images, {"m": found}), "pascal-voc-2010")["cat"] == 0.5


def test_boxes_are_clipped_to_the_image(evaluate):
    images = [image(1, [obj("cat", 0, 0, 20, 20)])]
    assert aps(evaluate(images, {"m": {1: [(1, 0.9, -40, -40, 20, 20)]}}), "pascal-voc-2010")["cat"] == 1


def test_no_detections_at_all_are_zeros_and_a_warning(evaluate):
    outcome = evaluate(ONE, {"m": {}}, "pascal-voc-2010", "weighted-pascal-voc-2010", "open-images-v2")
    for protocol in ("pascal-voc-2010", "weighted-pascal-voc-2010", "open-images-v2"):
        assert aps(outcome, protocol) == {"mean": 0, "cat": 0, "dog": 0, "elephant": None}
    assert outcome.result["warnings"] == ["m found nothing in 1 images: its metrics are 0"]


def test_a_split_without_objects_is_an_error(evaluate):
    error = evaluate([image(1, []), image(2, [obj("cat", *CAT)], split="train")], {"m": {}}).error
    assert error["what"] == "the split val has no object to find, so no metric exists"


NAN = float("nan")


@pytest.mark.parametrize("bad", [(1, 0.9, NAN, 0, 5, 5), (1, NAN, 0, 0, 5, 5), (1, 0.9, 0, 0, float("inf"), 5), (4, 0.9, 0, 0, 5, 5)])
def test_a_detection_that_cannot_be_scored_is_named(evaluate, bad):
    error = evaluate(ONE, {"m": {1: [(1, 0.9, *CAT), bad]}}).error
    assert error["what"].startswith("m has a detection that cannot be scored: ")
    assert error["where"].endswith("val.detections-00000-of-00001, record 1, detection 2")


def test_models_that_saw_other_images_are_not_compared(run_here, tmp_path):
    truth = dataset(tmp_path / "truth", [*ONE, image(2, [])], ANIMALS)
    found = [
        write_detections(tmp_path / name, name, shown, {}, ANIMALS)
        for name, shown in (("first", [*ONE, image(2, [])]), ("second", [image(2, []), *ONE]))
    ]
    error = run_here("evaluate-odapi", PARAMS, {"dataset": truth, "detections": found}).error
    assert error["what"] == "first and second did not run on the same images in the same order"


BOX_MASK = pixels(*["1" * 100] * 80)
WITH_MASK = [image(1, [obj("cat", *CAT, mask=BOX_MASK)])]


@pytest.mark.parametrize(
    ("images", "masks", "protocol", "reason"),
    [
        (ONE, True, "pascal-instance-segmentation", "no object of the split val has a mask"),
        (WITH_MASK, False, "weighted-pascal-instance-segmentation", "there are no masks in what m found"),
        (WITH_MASK, True, "oid-challenge-segmentation", "no image of the split val has image-level labels: "),
        (ONE, False, "oid-challenge-detection", "no image of the split val has image-level labels: "),
        (
            [image(1, [obj("cat", *CAT, difficult=True)])],
            False,
            "weighted-pascal-voc-2010",
            "there is nothing to find: it leaves out every object of the split",
        ),
        (
            [image(1, [obj("cat", *CAT, group_of=True)])],
            False,
            "open-images-v2",
            "there is nothing to find: it leaves out every object of the split",
        ),
    ],
)
def test_a_protocol_that_cannot_be_computed_is_said_to_be_so(evaluate, images, masks, protocol, reason):
    alone = evaluate(images, {"m": {}}, protocol, masks=masks).error
    assert alone["what"] == "%s cannot be computed" % protocol
    assert alone["found"].startswith("%s: %s" % (protocol, reason))
    other = "open-images-v2" if protocol != "open-images-v2" else "pascal-voc-2010"
    among = evaluate(images, {"m": {}}, other, protocol, masks=masks)
    found = of_protocol(among, protocol)
    assert (found["models"], found["not_computed_because"].startswith(reason)) == ({}, True)
    assert of_protocol(among, other)["not_computed_because"] is None
    assert any(warning.startswith("%s is not computed: %s" % (protocol, reason)) for warning in among.result["warnings"])


def test_what_cannot_be_computed_is_said_before_anything_is_read(evaluate):
    error = evaluate(ONE, {"m": {1: [(1, NAN, *CAT)]}}, "oid-challenge-detection").error
    assert error["what"] == "oid-challenge-detection cannot be computed"


def test_where_none_of_several_protocols_can_be_computed_all_reasons_are_told(evaluate):
    error = evaluate(ONE, {"m": {}}, "pascal-instance-segmentation", "oid-challenge-detection").error
    assert error["what"] == "none of the protocols can be computed"
    assert "pascal-instance-segmentation: no object" in error["found"]
    assert "oid-challenge-detection: no image" in error["found"]


@pytest.mark.parametrize(("more", "ap"), [([], 1), ([0.85], 0.5)])
def test_an_object_without_a_mask_is_neither_missed_nor_is_the_first_false_that_finds_its_box(evaluate, more, ap):
    half, none = pixels(*["1" * 50 + "0" * 50] * 80), pixels(*["0" * 100] * 80)
    images = [image(1, [obj("cat", 0, 0, 50, 80, mask=half), obj("cat", 60, 10, 80, 30)])]
    found = {1: [*[(1, score, 60, 10, 80, 30, none) for score in (0.9, *more)], (1, 0.8, 0, 0, 50, 80, half)]}
    outcome = evaluate(images, {"m": found}, "pascal-instance-segmentation", masks=True)
    result = of_protocol(outcome, "pascal-instance-segmentation")["models"]["m"]["per_class"][0]
    assert result == {"class": "cat", "ap": ap, "objects": 1}


def test_the_challenge_takes_the_boxes_around_the_masks(evaluate):
    # The box that the model gives lies elsewhere; what an object without a mask is compared with is the box around the mask.
    mask, dot = (
        pixels(*["0" * 60 + "1" * 20 + "0" * 20 if 10 <= y < 30 else "0" * 100 for y in range(80)]),
        pixels(*["1" * 9 + "0" * 91] * 80),
    )
    images = [labelled(image(1, [obj("cat", 0, 0, 9, 80, mask=dot), obj("cat", 60, 10, 80, 30)]), present=["cat"])]
    found = {1: [(1, 0.9, 0, 70, 9, 80, mask), (1, 0.8, 0, 0, 9, 80, dot)]}
    outcome = evaluate(images, {"m": found}, "oid-challenge-segmentation", "pascal-instance-segmentation", masks=True)
    assert aps(outcome, "oid-challenge-segmentation")["cat"] == 1
    assert aps(outcome, "pascal-instance-segmentation")["cat"] == 0.5


def test_a_record_without_the_masks_that_are_promised_is_named(run_here, tmp_path):
    truth = dataset(tmp_path / "truth", WITH_MASK, ANIMALS)
    found = write_detections(tmp_path / "m", "m", WITH_MASK, {1: [(1, 0.9, *CAT)]}, ANIMALS)
    path = tmp_path / "m" / "inference.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), "masks": True}), encoding="utf-8")
    params = {**PARAMS, "protocols": ["pascal-instance-segmentation"]}
    error = run_here("evaluate-odapi", params, {"dataset": truth, "detections": [found]}).error
    assert error["what"] == "a record of m has no masks"
    assert error["where"].endswith("val.detections-00000-of-00001, record 1")


def test_a_damaged_mask_of_the_dataset_is_named(evaluate):
    images = [image(7, [obj("cat", *CAT), obj("cat", *FAR, mask=pixels("10", "01"))])]
    error = evaluate(images, {"m": {}}, "pascal-instance-segmentation", masks=True).error
    assert (error["what"], error["where"], error["found"]) == ("a mask of the dataset is damaged", "image 7, object 2", "2 x 2")


def test_two_classes_that_the_api_cannot_tell_apart_are_an_error(evaluate):
    error = evaluate([image(1, [obj("ﬁsh", *CAT)])], {"m": {}}, classes=["ﬁsh", "fish"]).error
    assert (error["what"], error["found"]) == ("the Object Detection API takes two classes for one", "ﬁsh, fish")


def random_case(seed):
    """Images with flags, labels and masks, and noisy, doubled and false detections of them."""
    rng = random.Random(seed)
    classes = ["animal", "cat", "dog", "bird", "duck"]
    images, found = [], {}

    def mask(left, top, right, bottom):
        return pixels(*["".join("1" if left <= x < right and top <= y < bottom else "0" for x in range(60)) for y in range(50)])

    for number in range(1, 31):
        objects, rows = [], []
        for _ in range(rng.randint(0, 4)):
            left, top = rng.randint(0, 35), rng.randint(0, 30)
            box = (left, top, left + rng.randint(6, 24), top + rng.randint(6, 20))
            name = rng.choice(classes)
            flags = {flag: rng.random() < 0.15 for flag in ("difficult", "group_of", "crowd")}
            objects.append(obj(name, *box, **flags, **({"mask": mask(*box)} if rng.random() < 0.8 else {})))
            for _ in range(rng.choice([0, 1, 1, 2])):
                near = [max(0, side + rng.randint(-3, 3)) for side in box]
                seen = classes.index(name) + 1 if rng.random() < 0.8 else rng.randint(1, 5)
                rows.append((seen, rng.random(), *near, mask(*near)))
        rows += [(rng.randint(1, 5), rng.random(), 5, 5, 30, 20, mask(5, 5, 30, 20))] * (rng.random() < 0.4)
        made = image(number, objects, "val", 60, 50)
        if rng.random() < 0.8:
            shuffled = rng.sample(classes, 3)
            made = labelled(made, {item["class"] for item in objects} | {shuffled[0]}, shuffled[1:])
        images.append(made)
        found[number] = rows
    return images, found, classes, {"animal": ["cat", "dog", "bird"], "bird": ["duck"]}


PARENTS = {"cat": ["animal"], "dog": ["animal"], "bird": ["animal"], "duck": ["bird", "animal"]}


def directly(evaluator, images, found, classes, expand, masks):
    """The evaluator fed image by image, all truth first; `expand`: with the superclasses that `PARENTS` tells."""
    ids = {name: number for number, name in enumerate(classes, 1)}
    children = {name: [each for each in classes if name in PARENTS.get(each, [])] for name in classes}

    def decoded(codes):
        return np.array([np.zeros((50, 60)) if code is None else load_mask(code) for code in codes], np.uint8).reshape(-1, 50, 60)

    for each in images:
        rows = [(item, name) for item in each["objects"] for name in [item["class"], *(PARENTS.get(item["class"], []) if expand else [])]]
        labels = each.get("labels", {"present": [], "absent": []})
        wide = [up for name in labels["present"] for up in ([name, *PARENTS.get(name, [])] if expand else [name])]
        wide += [down for name in labels["absent"] for down in ([name, *children[name]] if expand else [name])]
        truth = {
            InputDataFields.groundtruth_boxes: np.array([[item["bbox"][side] for side in (1, 0, 3, 2)] for item, _ in rows], float).reshape(
                -1, 4
            ),
            InputDataFields.groundtruth_classes: np.array([ids[name] for _, name in rows], int),
            InputDataFields.groundtruth_difficult: np.array([item["difficult"] for item, _ in rows], bool),
            InputDataFields.groundtruth_group_of: np.array([item["group_of"] for item, _ in rows], bool),
            InputDataFields.groundtruth_image_classes: np.array(sorted({ids[name] for name in wide}), int),
            InputDataFields.groundtruth_instance_masks: decoded([item.get("mask") for item, _ in rows]),
        }
        evaluator.add_single_ground_truth_image_info(each["id"], truth)
    for number, rows in found.items():
        boxes = np.array([[value[side] for side in (3, 2, 5, 4)] for value in rows], float).reshape(-1, 4)
        seen = {
            DetectionResultFields.detection_boxes: np.minimum(boxes, [50, 60, 50, 60]),
            DetectionResultFields.detection_scores: np.array([value[1] for value in rows], np.float32),
            DetectionResultFields.detection_classes: np.array([value[0] for value in rows], int),
        }
        if masks:
            seen[DetectionResultFields.detection_masks] = decoded([value[6] for value in rows])
        evaluator.add_single_detected_image_info(number, seen)
    return evaluator.evaluate()


def load_mask(code):
    from pycocotools import mask

    return mask.decode({"size": code["size"], "counts": code["counts"].encode()})


DIRECT = {
    "pascal-voc-2010": (api.PascalDetectionEvaluator, False, False),
    "weighted-pascal-voc-2010": (api.WeightedPascalDetectionEvaluator, False, False),
    "pascal-instance-segmentation": (api.PascalInstanceSegmentationEvaluator, False, True),
    "weighted-pascal-instance-segmentation": (api.WeightedPascalInstanceSegmentationEvaluator, False, True),
    "open-images-v2": (api.OpenImagesDetectionEvaluator, False, False),
    "oid-challenge-detection": (api.OpenImagesDetectionChallengeEvaluator, True, False),
    "oid-challenge-segmentation": (api.OpenImagesInstanceSegmentationChallengeEvaluator, True, True),
}


@pytest.mark.parametrize("seed", [1, 2])
def test_metrics_are_what_the_api_s_evaluators_give_directly(evaluate, seed):
    images, found, classes, hierarchy = random_case(seed)
    outcome = evaluate(images, {"m": found}, *DIRECT, classes=classes, hierarchy=hierarchy, masks=True)
    categories = [{"id": number, "name": name} for number, name in enumerate(classes, 1)]
    for protocol, (evaluator, expand, masks) in DIRECT.items():
        expected = directly(evaluator(categories), images, found, classes, expand, masks)
        assert of_protocol(outcome, protocol)["models"]["m"]["metrics"] == pytest.approx(expected, abs=1e-6), protocol
        assert 0.1 < of_protocol(outcome, protocol)["models"]["m"]["map"] < 0.95, "all right or all wrong shows nothing"


def test_the_order_in_which_a_model_saw_the_images_makes_no_difference(evaluate):
    images, found, classes, hierarchy = random_case(3)
    first, second = (
        evaluate(images, {"m": found}, *DIRECT, classes=classes, hierarchy=hierarchy, masks=True, order=order)
        for order in (images, images[::-1])
    )
    assert first.json("metrics.json")["protocols"] == second.json("metrics.json")["protocols"]


def test_the_same_detections_give_the_same_bytes(evaluate):
    images, found, classes, hierarchy = random_case(4)
    first, second = (evaluate(images, {"m": found}, *EVERY, classes=classes, hierarchy=hierarchy) for _ in range(2))
    assert (first.output / "metrics.json").read_bytes() == (second.output / "metrics.json").read_bytes()


def test_a_large_split_does_not_stay_in_memory(tmp_path):
    images, _, classes, _ = random_case(5)
    truth = dataset(tmp_path / "truth", images, classes)
    split = odapi_split.SplitImages(load_dataset(truth["path"]), "val")
    assert (len(split), list(split), split[17]["objects"]) == (30, list(range(1, 31)), images[16]["objects"])
    scorer = odapi.Scorer(odapi.PROTOCOLS["pascal-voc-2010"], classes, 0.5)
    read = load("evaluate-odapi", "odapi_images")
    for number in split:
        shown = read.image_truth(split[number], lambda name: classes.index(name) + 1, False)
        scorer.add(number, shown, read.Boxes(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0), None))
    kept = scorer._evaluator._evaluation
    assert not any(getattr(kept, name) for name in vars(kept) if name.startswith("groundtruth_"))


ALL, LESS = [(1, 0.9, *CAT), (1, 0.8, *FAR), (2, 0.7, *DOG)], [(1, 0.9, *CAT), (1, 0.8, *FAR)]  # mAP 1 and 0.5
CHAIN = {"checkpoint": {1: ALL}, "frozen": {1: ALL}, "tflite": {1: LESS}}
CHAIN_KINDS = {"checkpoint": "checkpoint", "frozen": "frozen-graph", "tflite": "tflite"}


def test_metrics_json_is_an_evaluation(evaluate):
    images = [*ONE, image(2, [obj("dog", *DOG)], split="train")]
    outcome = evaluate(images, CHAIN, "open-images-v2", "pascal-voc-2010", kinds=CHAIN_KINDS, min_map=0.25, max_loss_vs_frozen=0.5)
    value = outcome.json("metrics.json")
    assert (value["schema"], value["protocol"], value["split"], value["images"], value["objects"]) == (2, "odapi", "val", 1, 3)
    assert value["evaluator"] == {"name": "Object Detection API", "version": "0.0.3"}
    assert value["order"] == ["checkpoint", "frozen", "tflite"]
    assert {name: each["detections"] for name, each in value["models"].items()} == {"checkpoint": 3, "frozen": 3, "tflite": 2}
    assert value["models"]["frozen"]["model"]["kind"] == "frozen-graph"
    assert value["ledger"] == [
        {"model": "checkpoint", "kind": "checkpoint", "against": None, "map": 1, "map_change": None},
        {"model": "frozen", "kind": "frozen-graph", "against": "checkpoint", "map": 1, "map_change": 0},
        {"model": "tflite", "kind": "tflite", "against": "frozen", "map": 0.5, "map_change": -0.5},
    ]
    gates = [(gate["name"], gate["model"], gate["class"], gate["limit"], gate["value"], gate["passed"]) for gate in value["gates"]]
    assert gates == [
        ("min_map", "frozen", None, 0.25, 1, True),
        ("min_map", "tflite", None, 0.25, 0.5, True),
        ("max_loss_vs_frozen", "tflite", None, 0.5, 0.5, True),
    ]
    first = value["protocols"][0]
    assert (first["protocol"], first["title"], first["iou"]) == ("open-images-v2", "Open Images V2, boxes", 0.5)
    assert first["models"]["tflite"] == {
        "map": 0.5,
        "per_class": [
            {"class": "cat", "ap": 1, "objects": 2},
            {"class": "dog", "ap": 0, "objects": 1},
            {"class": "elephant", "ap": None, "objects": 0},
        ],
        "metrics": {
            "OpenImagesV2_Precision/mAP@0.5IOU": 0.5,
            "OpenImagesV2_PerformanceByCategory/AP@0.5IOU/cat": 1,
            "OpenImagesV2_PerformanceByCategory/AP@0.5IOU/dog": 0,
            "OpenImagesV2_PerformanceByCategory/AP@0.5IOU/elephant": None,
        },
    }
    assert outcome.result["metrics"]["open-images-v2.tflite.map"] == 0.5
    assert outcome.result["tools"] == {"tf-object-detection": "0.0.3"}


def test_the_program_does_the_same_as_a_stage(evaluate, run_stage, tmp_path):
    here = evaluate(ONE, {"m": {1: ALL}})
    inputs = {
        "dataset": dataset(tmp_path / "d", ONE, ANIMALS),
        "detections": [write_detections(tmp_path / "m", "m", ONE, {1: ALL}, ANIMALS)],
    }
    there = run_stage("evaluate-odapi", PARAMS, inputs)
    assert (there.code, there.result["warnings"]) == (0, []), there.log
    assert there.json("metrics.json") == here.json("metrics.json")


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"min_map": 0.5}, None),
        ({"min_map": 0.51}, "the model did not pass: tflite has mAP by pascal-voc-2010 0.5000"),
        ({"max_loss_vs_frozen": 0.5}, None),
        ({"max_loss_vs_frozen": 0.49}, "the model did not pass: tflite lost 0.5000 mAP by pascal-voc-2010"),
        (
            {"max_loss_vs_frozen": 0.1, "min_map": 0.6},
            "the model did not pass: tflite has mAP by pascal-voc-2010 0.5000; tflite lost 0.5000 mAP by pascal-voc-2010",
        ),
    ],
)
def test_gates(evaluate, params, says):
    outcome = evaluate(ONE, CHAIN, kinds=CHAIN_KINDS, **params)
    assert (outcome.error or {"what": None})["what"] == says
    if says:
        word = "mAP by pascal-voc-2010"
        assert outcome.error["found"] == "; ".join(
            "%s %s %s" % (name, word, value) for name, value in zip(CHAIN, ("1.0000", "1.0000", "0.5000"))
        )
    assert outcome.result["metrics"]["pascal-voc-2010.tflite.map"] == 0.5, "the numbers are told even where nothing is published"


@pytest.mark.parametrize("models", [{"tflite": {1: ALL}}, {"tflite": {1: ALL}, "frozen": {1: ALL}}])
def test_a_loss_needs_a_frozen_graph_and_a_model_after_it(evaluate, models):
    error = evaluate(ONE, models, kinds=CHAIN_KINDS, max_loss_vs_frozen=0.1).error
    assert error["what"] == "max_loss_vs_frozen compares models with the frozen graph, and there are not both"


def test_a_first_protocol_that_finds_nothing_to_find_has_no_gate(evaluate):
    images = [image(1, [obj("cat", *CAT, difficult=True)])]
    error = evaluate(images, {"m": {1: ALL}}, "pascal-voc-2010", "open-images-v2", min_map=0.1).error
    assert error["what"] == "the gates look at the first protocol, and it cannot be computed"


def test_gates_want_a_first_protocol_that_can_be_computed(evaluate):
    error = evaluate(ONE, {"m": {1: ALL}}, "oid-challenge-detection", "pascal-voc-2010", min_map=0.1).error
    assert error["what"] == "the gates look at the first protocol, and it cannot be computed"
    outcome = evaluate(ONE, {"m": {1: ALL}}, "oid-challenge-detection", "pascal-voc-2010")
    assert outcome.json("metrics.json")["ledger"] == [{"model": "m", "kind": "tflite", "against": None, "map": None, "map_change": None}]


def test_the_stage_offers_every_protocol_that_the_program_knows():
    contract = Path(stage.__file__).with_name("stage.yaml").read_text(encoding="utf-8")
    offered = [line.strip(" -") for line in contract.split("enum:")[1].split("minItems")[0].splitlines()]
    assert [name for name in offered if name] == list(odapi.PROTOCOLS)
