"""docs/evaluation.md tells of every number that evaluate writes, of every gate and kind of error, and of nothing else."""

import json
import re

import numpy as np
import pytest
import yaml
from _detection.layer_samples import write_samples
from detection_files import write_detections
from evaluation_cases import CLASSES, evaluate, masked_case

from stage_helpers import ROOT, STAGES, load

PAGE = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.*)\n((?:(?!## ).*\n)*)", PAGE, re.MULTILINE))
STAGE = yaml.safe_load((STAGES / "evaluate" / "stage.yaml").read_text(encoding="utf-8"))
_CODE = re.compile(r"`([a-z0-9_]+)`")


def tables(section):
    """Of each table of a section, the codes in each row's first column and those in the others."""
    found = re.findall(r"^\|(?! key| kind| parameter|---)([^|]*)\|(.*)\|$|^(\|---)", SECTIONS[section], re.MULTILINE)
    parts = []
    for first, rest, head in found:
        if head:
            parts.append(([], []))
        else:
            parts[-1][0].extend(_CODE.findall(first))
            parts[-1][1].extend(_CODE.findall(rest))
    return parts


@pytest.fixture
def outcome(run_stage, tmp_path):
    """A run whose files have every key: masks, a loss, layers, gates."""
    images, found = masked_case()
    worse = {**found, 1: [row for row in found[1] if row[0] != 2]}  # no square
    models = {}
    for name, rows, kind in (("frozen", found, "frozen-graph"), ("lite", worse, "tflite")):
        models[name] = write_detections(tmp_path / name, name, images, rows, CLASSES, kind=kind, masks=True)
        write_samples(tmp_path / name / "layers.npz", [{"conv": np.array([0, len(name)], np.float32)}])
    return evaluate(run_stage, tmp_path, images, models, min_map=0.0)


def test_every_number_is_explained(outcome):
    report = outcome.json("metrics.json")
    model = report["models"]["lite"]
    of_a_model, beside = tables("The numbers of a model")
    assert set(of_a_model[0]) == set(model)
    told = {*of_a_model[1]}
    for part in (model["per_class"][0], model["best"], model["confusion"], model["area_bins"][0]):
        assert set(part) <= told
    assert set(model["masks"]) <= {*of_a_model[0], "objects"}
    assert set(beside[0]) == set(report)
    assert {*report["per_size"], *report["evaluator"]} <= set(beside[1])


def test_the_ledger_and_the_largest_loss_are_explained(outcome):
    report = outcome.json("metrics.json")
    ledger, largest = tables("The ledger")
    assert set(ledger[0]) == set(report["ledger"][0])
    assert set(largest[0]) == set(report["largest_loss"])
    assert {*report["largest_loss"]["layers"][0], *report["largest_loss"]["layers_summary"]} <= set(largest[1])


def test_curves_and_matches_are_explained(outcome):
    curves = outcome.json("curves.json")
    told = set(_CODE.findall(SECTIONS["The threshold"]))
    assert {"iou", "recall", *curves["models"]["lite"]["classes"]["circle"]} <= told
    assert {"all"} <= told
    line = json.loads((outcome.output / "matches.jsonl").read_text().splitlines()[0])
    keys, details = tables("Kinds of error")[1]
    assert set(keys) == set(line)
    own = line["models"]["lite"]
    assert {*own, *own["found"][0], *line["truth"][0]} <= set(details)


def test_every_kind_of_error_is_explained():
    assert set(tables("Kinds of error")[0][0]) == set(load("evaluate", "error_kinds").KINDS)


def test_every_gate_is_explained(outcome):
    (gates,) = tables("Gates")
    assert set(gates[0]) == set(STAGE["params"]) - {"threshold"}
    assert set(outcome.json("metrics.json")["gates"][0]) <= set(_CODE.findall(SECTIONS["Gates"]))


def test_the_limits_are_those_of_the_sources():
    numbers, kinds = load("evaluate", "coco_numbers"), load("evaluate", "error_kinds")
    assert (numbers.SMALL_BELOW, numbers.LARGE_FROM) == (32**2, 96**2)
    assert "less than 32² pixels, 32² to 96²" in PAGE
    assert (kinds.FOREGROUND, kinds.BACKGROUND) == (0.5, 0.1)
    assert "up to %d layers" % load("evaluate", "layer_errors").MOST in PAGE


def test_the_pipeline_uses_parameters_that_exist():
    block = yaml.safe_load(re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL).group(1))
    assert set(block["evaluate"]["params"]) <= set(STAGE["params"])
    assert set(block["evaluate"]["inputs"]) == set(STAGE["inputs"])
