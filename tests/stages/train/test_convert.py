"""Conversion by TOCO: the same bytes each time, and failures that name the layer and the remedy."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from _runtime import StageError
from _tf1.graph import read_graph, write_message

from conftest import CONVERT
from stage_helpers import artifact, load

toco = load("convert", "toco")

HEAD = "BoxPredictor_1/ClassPredictor/"
EXPAND = "FeatureExtractor/MobilenetV2/expanded_conv_3/expand/"


@pytest.fixture
def convert(run_here):
    """convert(GRAPH FOLDER, parameters that differ from the usual)."""

    def call(graph, **params):
        return run_here("convert", dict(CONVERT, **params), {"graph": artifact("freeze", "frozen-graph", graph)})

    return call


@pytest.fixture
def spoilt(tiny_graph, tmp_path):
    """spoilt(change): a frozen-graph artifact whose GraphDef went through change(graph)."""

    def call(change):
        folder = tmp_path / "spoilt"
        shutil.copytree(str(tiny_graph), str(folder))
        graph = read_graph(folder / "tflite_graph.pb")
        change(graph)
        write_message(graph, folder / "tflite_graph.pb")
        return folder

    return call


def bypass(name):
    def change(graph):
        source = next(node for node in graph.node if node.name == name).input[0]
        for node in graph.node:
            for place, reference in enumerate(node.input):
                if reference == name:
                    node.input[place] = source

    return change


def set_constant(name, value):
    def change(graph):
        node = next(node for node in graph.node if node.name == name)
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(np.float32(value)))

    return change


def replace_op(name, op):
    def change(graph):
        next(node for node in graph.node if node.name == name).op = op

    return change


def test_the_lint_says_what_the_model_is(tiny_model):
    lint = json.loads((tiny_model / "lint.json").read_text())
    assert (lint["usable"], lint["unusable_because"], lint["inference_type"]) == (True, None, "uint8")
    assert lint["inputs"] == [
        {"name": "normalized_input_image_tensor", "shape": [1, 96, 96, 3], "type": "uint8", "scale": 1 / 128, "zero_point": 128}
    ]
    assert [found["name"] for found in lint["outputs"]] == ["TFLite_Detection_PostProcess" + end for end in ("", ":1", ":2", ":3")]
    assert set(lint["tensors"]) == {"uint8", "int32", "float32"}
    assert lint["tensors"]["float32"] == 4
    counts = {found["op"]: found["count"] for found in lint["operators"]}
    assert (counts["DEPTHWISE_CONV_2D"], counts["ADD"], counts["CONCATENATION"], counts["TFLite_Detection_PostProcess"]) == (17, 10, 2, 1)
    assert lint["postprocess"]["max_detections"] == 20
    assert lint["bytes"] == (tiny_model / "model.tflite").stat().st_size


def test_labels_and_anchors_go_along(tiny_graph, tiny_model):
    assert json.loads((tiny_model / "labels.json").read_text()) == {"schema": 1, "classes": ["circle", "square", "triangle"]}
    assert (tiny_model / "anchors.npy").read_bytes() == (tiny_graph / "anchors.npy").read_bytes()


@pytest.mark.slow
def test_conversion_writes_the_same_bytes_each_time(convert, tiny_graph, tiny_model):
    # Before the options are made canonical, each of these differs from each: 13 keys have 6 billion orders.
    for _ in range(4):
        done = convert(tiny_graph)
        assert done.error is None
        for path in tiny_model.iterdir():
            assert (done.output / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.slow
def test_toco_alone_does_not_write_the_same_bytes(tiny_graph, tmp_path):
    # If it did, canonical_model would be of no use.
    graph = json.loads((tiny_graph / "graph.json").read_text())
    arguments = toco.toco_arguments(graph, tiny_graph / "tflite_graph.pb", "uint8", None)
    models = [toco.run_toco(arguments, tmp_path, 300) for _ in range(2)]
    assert models[0] != models[1]
    assert len(models[0]) == len(models[1])


@pytest.mark.slow
def test_a_float_model_has_a_float_input_and_no_uint8(convert, tiny_graph):
    lint = convert(tiny_graph, inference_type="float").json("lint.json")
    assert lint["inputs"][0]["type"] == "float32"
    assert set(lint["tensors"]) == {"float32", "int32"}


@pytest.mark.parametrize(
    ("quant", "array"),
    [
        (HEAD + "act_quant/FakeQuantWithMinMaxVars", HEAD + "add_fold"),
        (EXPAND + "act_quant/FakeQuantWithMinMaxVars", EXPAND + "Relu6"),
    ],
)
@pytest.mark.slow
def test_a_missing_range_is_an_error_that_names_the_layer(convert, spoilt, quant, array):
    done = convert(spoilt(bypass(quant)))
    assert done.code == 1
    assert done.error["what"] == "a tensor of the graph has no range for uint8"
    assert done.error["where"].startswith(array + ",")
    assert "fake_quant_audit.json" in done.error["remedy"]
    assert not list(done.output.iterdir())


@pytest.mark.slow
def test_an_abort_of_toco_is_an_error_with_its_own_words(convert, spoilt):
    done = convert(spoilt(set_constant(EXPAND + "act_quant/max", 0)))
    assert done.error["what"] == "TOCO failed"
    assert "quantization scale for this array is 0" in done.error["found"]


@pytest.mark.slow
def test_an_operator_that_no_runtime_has_is_refused_by_the_lint(convert, spoilt):
    done = convert(spoilt(replace_op(EXPAND + "Relu6", "Tan")), inference_type="float")
    assert done.error["what"] == "the model has a custom operator that no runtime brings"
    assert done.error["found"].startswith("Tan")
    assert not list(done.output.iterdir())


@pytest.mark.slow
def test_dummy_ranges_make_a_model_that_is_marked_as_not_for_use(convert, spoilt):
    done = convert(spoilt(bypass(HEAD + "act_quant/FakeQuantWithMinMaxVars")), dummy_ranges=[0, 6])
    assert done.error is None
    lint = done.json("lint.json")
    assert lint["usable"] is False
    assert "dummy ranges [0, 6]" in lint["unusable_because"]
    assert "means nothing" in done.result["warnings"][0]


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"dummy_ranges": [0, 6], "inference_type": "float"}, "no sense for a float model"),
        ({"dummy_ranges": [1, 6]}, "is not one"),
        ({"dummy_ranges": [0, 0]}, "is not one"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_at_once(convert, tiny_graph, params, says):
    assert says in convert(tiny_graph, **params).error["what"]


def test_a_converter_that_does_not_finish_is_killed_with_what_it_started(convert, tiny_graph):
    done = convert(tiny_graph, seconds=1)
    assert done.code == 1
    assert done.error["what"] == "TOCO did not finish"
    assert not list((done.output.parent / "scratch").iterdir())


@pytest.mark.parametrize(("left", "says"), [(None, "no file"), (b"", "an empty file")])
def test_a_converter_that_ends_well_and_leaves_nothing_is_an_error(monkeypatch, tmp_path, left, says):
    def pretend(_converter, _command, folder, _seconds, _environment):
        if left is not None:
            (tmp_path / folder / "model.tflite").write_bytes(left)
        return 0, "fine\n"

    monkeypatch.setattr(toco, "run_program", pretend)
    with pytest.raises(StageError, match="left no model") as caught:
        toco.run_toco([], tmp_path, 1)
    assert caught.value.found == says
