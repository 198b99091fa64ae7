"""A training that stops before its first step: what it leaves, what becomes of that, and who refuses it."""

import json

import pytest
import tensorflow as tf
import tiny_detector
import tiny_training
from inference_runs import SHARED

import detector_images
from conftest import CONVERT, FREEZE
from stage_helpers import artifact, run_program

INITIAL = (-6.0, 0.0, 6.0)  # what tf.contrib.quantize's ranges begin with


def config_text(quantized=True):
    """The config of tiny_detector, whose trained model is at hand, as one that can be trained."""
    text = tiny_detector.config_text(delay=2, quantized=quantized).replace("eval_config { }", "")
    return text + tiny_training.config_text().partition("train_config {")[1] + tiny_training.config_text().partition("train_config {")[2]


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return tiny_training.write_records(tmp_path_factory.mktemp("untrained") / "records")


@pytest.fixture(scope="module")
def untrained(tmp_path_factory, records):
    """The `Outcome` of the stage."""
    folder = tmp_path_factory.mktemp("untrained")
    config = tiny_training.write_config(folder / "config", config_text())
    params = dict(tiny_training.PARAMS, untrained=True, evaluate_every=2, deterministic=True)
    done = run_program(folder / "run", "train", params, tiny_training.inputs(records, config))
    assert done.code == 0, done.log
    return done


@pytest.fixture(scope="module")
def frozen(tmp_path_factory, untrained):
    """The `Outcome` of freezing it."""
    params = dict(FREEZE, inference_graph=True, saved_model=True)
    inputs = {"checkpoint": artifact("train", "checkpoint", untrained.output)}
    done = run_program(tmp_path_factory.mktemp("frozen") / "run", "freeze", params, inputs)
    assert done.code == 0, done.log
    return done


def test_it_leaves_a_marked_checkpoint_of_step_0_and_no_events(untrained):
    assert sorted(path.name for path in untrained.output.iterdir()) == [
        "checkpoint.json",
        "history.json",
        "model.ckpt-0.data-00000-of-00001",
        "model.ckpt-0.index",
        "pipeline.config",
    ]
    said, history = untrained.json("checkpoint.json"), untrained.json("history.json")
    assert {
        name: said[name] for name in ("untrained", "step", "prefix", "evaluations", "num_steps", "before_quantization", "warm_start")
    } == {
        "untrained": True,
        "step": 0,
        "prefix": "model.ckpt-0",
        "evaluations": [],
        "num_steps": 4,
        "before_quantization": None,
        "warm_start": None,
    }
    assert history["steps"] == history["evaluations"] == []
    assert (untrained.output / "pipeline.config").read_text() == config_text()  # not the batch of noise's size
    assert '"unit": "step"' not in untrained.log


def test_its_weights_are_those_that_training_begins_with(untrained):
    reader = tf.train.load_checkpoint(str(untrained.output / "model.ckpt-0"))
    assert reader.get_tensor("global_step") == 0
    names = reader.get_variable_to_shape_map()
    momentums = [name for name in names if name.endswith("/Momentum")]
    assert len(momentums) > 50
    assert not any(reader.get_tensor(name).any() for name in momentums)
    averages = [name for name in names if name.startswith("FeatureExtractor") and name.endswith("BatchNorm/moving_mean")]
    assert len(averages) > 20
    assert not any(reader.get_tensor(name).any() for name in averages)


def test_every_range_has_seen_something(untrained):
    reader = tf.train.load_checkpoint(str(untrained.output / "model.ckpt-0"))
    ranges = {
        name: float(reader.get_tensor(name)) for name in reader.get_variable_to_shape_map() if name.endswith(("_quant/min", "_quant/max"))
    }
    assert len(ranges) > 100
    # A ReLU's least value is 0, and a ReLU6's greatest may be 6.
    assert {value for name, value in ranges.items() if "weights_quant" in name}.isdisjoint(INITIAL)
    assert all(value not in INITIAL for name, value in ranges.items() if name.endswith("max") and "act_quant" in name)


def test_it_is_frozen_with_every_layer_quantized_and_nothing_that_could_be_run_besides(frozen):
    assert frozen.json("fake_quant_audit.json")["missing"] == 0
    graph = frozen.json("graph.json")
    assert (graph["untrained"], graph["quantized"], graph["step"]) == (True, True, 0)
    assert not (frozen.output / "inference_graph").exists()
    assert not (frozen.output / "saved_model").exists()
    (warning,) = frozen.result["warnings"]
    assert "untrained" in warning


def test_the_model_has_the_operators_of_a_trained_one_and_is_not_for_use(run_here, frozen, tiny_model):
    done = run_here("convert", CONVERT, {"graph": artifact("freeze", "frozen-graph", frozen.output)})
    assert done.error is None
    lint, trained = done.json("lint.json"), json.loads((tiny_model / "lint.json").read_text())
    assert (lint["usable"], lint["unusable_because"]) == (False, "its weights are untrained: they are those that training begins with")
    assert (lint["operators"], lint["tensors"]) == (trained["operators"], trained["tensors"])
    assert "not for use" in done.result["warnings"][0]


def test_nobody_measures_it(run_here, untrained, frozen, tmp_path):
    data = detector_images.write_records(tmp_path, tiny_detector.CLASSES, count=2)
    checkpoint = {"checkpoint": artifact("train", "checkpoint", untrained.output), "records": data}
    params = dict(SHARED, which="chosen", regular_nms=False, max_detections=20, detections_per_class=20, max_classes_per_detection=1)
    refused = run_here("infer-checkpoint", params, checkpoint).error
    assert (refused["what"], refused["where"]) == ("the model is untrained: what it puts out means nothing", "checkpoint.json")
    graph = {"graph": artifact("freeze", "frozen-graph", frozen.output), "records": data}
    assert run_here("infer-frozen", dict(SHARED, form="tflite-graph"), graph).error["where"] == "graph.json"


def test_without_quantization_there_are_no_ranges_to_set(run_here, tmp_path, records):
    config = tiny_training.write_config(tmp_path / "config", config_text(quantized=False), delay=None)
    done = run_here("train", dict(tiny_training.PARAMS, untrained=True), tiny_training.inputs(records, config))
    assert done.error is None
    names = tf.train.load_checkpoint(str(done.output / "model.ckpt-0")).get_variable_to_shape_map()
    assert not [name for name in names if "quant" in name]
    assert done.json("checkpoint.json")["untrained"] is True
