"""The ledger tells what each step of the chain changed; every gate passes and fails where its limit says, and tells all numbers."""

import pytest
from _detection.accuracy import Accuracy, check_gates, difference, enforce, gates, ledger
from _runtime import StageError

FLOAT = Accuracy("float", "float-checkpoint", 0.7, 0.9, {"cat": 0.85, "dog": 0.95, "owl": None})
TRAINED = Accuracy("trained", "checkpoint", 0.65, 0.88, {"cat": 0.84, "dog": 0.92, "owl": None})
FROZEN = Accuracy("frozen", "frozen-graph", 0.66, 0.88, {"cat": 0.84, "dog": 0.92, "owl": None})
TFLITE = Accuracy("tflite", "tflite", 0.6, 0.82, {"cat": 0.72, "dog": 0.92, "owl": None})
CHAIN = [FLOAT, TRAINED, FROZEN, TFLITE]


def test_the_ledger_is_each_model_against_the_one_before():
    assert ledger(CHAIN) == [
        {"model": "float", "kind": "float-checkpoint", "against": None, "map": 0.7, "map50": 0.9, "map_change": None, "map50_change": None},
        {
            "model": "trained",
            "kind": "checkpoint",
            "against": "float",
            "map": 0.65,
            "map50": 0.88,
            "map_change": -0.05,
            "map50_change": -0.02,
        },
        {
            "model": "frozen",
            "kind": "frozen-graph",
            "against": "trained",
            "map": 0.66,
            "map50": 0.88,
            "map_change": 0.01,
            "map50_change": 0.0,
        },
        {"model": "tflite", "kind": "tflite", "against": "frozen", "map": 0.6, "map50": 0.82, "map_change": -0.06, "map50_change": -0.06},
    ]


def test_a_protocol_with_one_mean_has_a_ledger_of_it():
    models = [FROZEN._replace(map50=None), TFLITE._replace(map50=None)]
    assert ledger(models, ["map"])[1] == {"model": "tflite", "kind": "tflite", "against": "frozen", "map": 0.6, "map_change": -0.06}


def test_a_change_too_small_to_tell_is_no_negative_zero():
    assert str(difference(0.5, 0.5 - 1e-9)) == "0.0"


# Limits, models, what is told of each gate that fails.
CASES = {
    "none": ({}, CHAIN, []),
    "off": (dict.fromkeys(("min_map", "min_map50", "max_loss_vs_frozen", "min_class_map50", "max_class_loss_vs_frozen")), CHAIN, []),
    "min_map met": ({"min_map": 0.6}, CHAIN, []),
    "min_map missed": ({"min_map": 0.61}, CHAIN, ["tflite has mAP 0.6000"]),
    "min_map50 met": ({"min_map50": 0.82}, CHAIN, []),
    "min_map50 missed by all that is delivered": ({"min_map50": 0.89}, CHAIN, ["frozen has mAP@0.5 0.8800", "tflite has mAP@0.5 0.8200"]),
    "min_map50 of models before the frozen graph": ({"min_map50": 0.81}, [TRAINED._replace(map50=0.1), FROZEN, TFLITE], []),
    "min_map50 without a frozen graph": ({"min_map50": 0.89}, [FLOAT, TRAINED], ["trained has mAP@0.5 0.8800"]),
    "max_loss_vs_frozen met": ({"max_loss_vs_frozen": 0.06}, CHAIN, []),
    "max_loss_vs_frozen missed": ({"max_loss_vs_frozen": 0.0599}, CHAIN, ["tflite lost 0.0600 mAP@0.5"]),
    "a gain is no loss": ({"max_loss_vs_frozen": 0.0}, [FROZEN, TFLITE._replace(map50=0.9)], []),
    "the loss of training is not against the frozen graph": (
        {"max_loss_vs_frozen": 0.01},
        [TRAINED._replace(map50=0.1), FROZEN, FLOAT],
        [],
    ),
    "max_loss_vs_frozen goes by the nearest": (
        {"max_loss_vs_frozen": 0.05},
        [FROZEN, TFLITE._replace(map50=0.85), FROZEN._replace(name="other", map50=0.5), TFLITE._replace(name="small", map50=0.4)],
        ["small lost 0.1000 mAP@0.5"],
    ),
    "min_class_map50 met": ({"min_class_map50": {"cat": 0.72, "dog": 0.9}}, CHAIN, []),
    "min_class_map50 missed": ({"min_class_map50": {"cat": 0.73, "dog": 0.9}}, CHAIN, ["tflite has AP@0.5 0.7200 of cat"]),
    "max_class_loss_vs_frozen met": ({"max_class_loss_vs_frozen": 0.12}, CHAIN, []),
    "max_class_loss_vs_frozen missed": ({"max_class_loss_vs_frozen": 0.1}, CHAIN, ["tflite lost 0.1200 AP@0.5 of cat"]),
    "several": (
        {"min_map50": 0.85, "max_loss_vs_frozen": 0.01, "max_class_loss_vs_frozen": 0.01},
        CHAIN,
        ["tflite has mAP@0.5 0.8200", "tflite lost 0.0600 mAP@0.5", "tflite lost 0.1200 AP@0.5 of cat"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_gates(case):
    limits, models, failing = CASES[case]
    results = gates(limits, models)
    assert sum(not gate["passed"] for gate in results) == len(failing)
    if not failing:
        enforce(results, models)
        return
    with pytest.raises(StageError) as error:
        enforce(results, models)
    assert error.value.what == "the model did not pass: " + "; ".join(failing)
    assert error.value.found == "; ".join("%s mAP %.4f, mAP@0.5 %.4f" % (model.name, model.map, model.map50) for model in models)
    assert error.value.remedy


def test_a_gate_tells_what_it_looked_at():
    assert gates({"max_class_loss_vs_frozen": 0.12}, CHAIN) == [
        {"name": "max_class_loss_vs_frozen", "model": "tflite", "class": "cat", "limit": 0.12, "value": 0.12, "passed": True},
        {"name": "max_class_loss_vs_frozen", "model": "tflite", "class": "dog", "limit": 0.12, "value": 0.0, "passed": True},
    ]
    assert gates({"min_map": 0.5}, [FROZEN]) == [
        {"name": "min_map", "model": "frozen", "class": None, "limit": 0.5, "value": 0.66, "passed": True}
    ]


REFUSED = {
    "class that is none": ({"min_class_map50": {"cta": 0.5}}, CHAIN, "a gate is for a class that the dataset lacks", "cta (nearest: cat)"),
    "class like none": ({"min_class_map50": {"zebra": 0.5}}, CHAIN, "a gate is for a class that the dataset lacks", "zebra"),
    "class without objects": ({"min_class_map50": {"owl": 0.5}}, CHAIN, "a gate is for a class without an object to find", "0"),
    "no frozen graph": (
        {"max_loss_vs_frozen": 0.1},
        [FLOAT, TFLITE],
        "max_loss_vs_frozen compares models with the frozen graph, and there are not both",
        "float (float-checkpoint), tflite (tflite)",
    ),
    "nothing after the frozen graph": (
        {"max_class_loss_vs_frozen": 0.1},
        [TRAINED, FROZEN],
        "max_class_loss_vs_frozen compares models with the frozen graph, and there are not both",
        "trained (checkpoint), frozen (frozen-graph)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_gate_that_can_be_none_is_refused(case):
    limits, models, what, found = REFUSED[case]
    with pytest.raises(StageError) as error:
        check_gates(limits, [(model.name, model.kind) for model in models], ["cat", "dog", "owl"], {"cat": 3, "dog": 1, "owl": 0})
    assert (error.value.what, error.value.found) == (what, found)


@pytest.mark.parametrize("case", CASES)
def test_gates_that_can_be_judged_are_not_refused(case):
    limits, models, _ = CASES[case]
    check_gates(limits, [(model.name, model.kind) for model in models], ["cat", "dog", "owl"], {"cat": 3, "dog": 1, "owl": 0})
