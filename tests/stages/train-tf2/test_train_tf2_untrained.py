"""A training of TensorFlow 2 that stops before its first step: what it leaves, what becomes of that, and who refuses it."""

import json

import numpy as np
import pytest
import tensorflow as tf
import tiny_training_tf2
from _training.untrained import noise, settle, stir
from freeze_fixtures_tf2 import CONVERT, ENVIRONMENT, FREEZE, INFER, converted_tiny, train_records, val_records
from tiny_config_tf2 import config_text

from stage_helpers import artifact, run_program


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    """The `Outcome` of the stage."""
    folder = tmp_path_factory.mktemp("untrained")
    records = tiny_training_tf2.write_records(folder / "records")
    config = tiny_training_tf2.write_config(folder / "config", config_text())
    params = dict(tiny_training_tf2.PARAMS, untrained=True, evaluate_every=2)
    inputs = tiny_training_tf2.inputs(records, config)
    done = run_program(folder / "run", "train-tf2", params, inputs, env=tiny_training_tf2.ENVIRONMENT)
    assert done.code == 0, done.log
    return done


@pytest.fixture(scope="module")
def frozen(tmp_path_factory, untrained):
    """The `Outcome` of freezing it."""
    inputs = {"checkpoint": artifact("train", "checkpoint-tf2", untrained.output)}
    done = run_program(tmp_path_factory.mktemp("frozen") / "run", "freeze-tf2", FREEZE, inputs, env=ENVIRONMENT)
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
    assert (said["untrained"], said["step"], said["evaluations"], said["num_steps"], said["intra_op_threads"]) == (True, 0, [], 4, 2)
    assert history["steps"] == history["evaluations"] == []
    assert '"unit": "step"' not in untrained.log
    reader = tf.train.load_checkpoint(str(untrained.output / "model.ckpt-0"))
    assert reader.get_tensor("step/.ATTRIBUTES/VARIABLE_VALUE") == 0
    assert {name.split("/")[0] for name in reader.get_variable_to_shape_map()} == {
        "_CHECKPOINTABLE_OBJECT_GRAPH",
        "model",
        "optimizer",
        "step",
    }


def test_it_is_frozen_without_what_could_be_run(frozen):
    graph = frozen.json("graph.json")
    assert (graph["untrained"], graph["quantized"], graph["step"]) == (True, False, 0)
    assert not (frozen.output / "inference_model").exists()  # for which FREEZE asks
    (warning,) = frozen.result["warnings"]
    assert "untrained" in warning


@pytest.mark.slow
def test_the_model_has_the_operators_of_a_trained_one_and_is_not_for_use(run_here, tmp_path_factory, frozen, tiny_checkpoint_tf2):
    inputs = {"model": artifact("freeze", "saved-model", frozen.output), "records": train_records(tmp_path_factory)}
    done = run_here("convert-tf2", CONVERT, inputs)
    assert done.error is None
    trained = json.loads((converted_tiny(tmp_path_factory, tiny_checkpoint_tf2) / "lint.json").read_text())
    lint = done.json("lint.json")
    assert (lint["operators"], lint["tensors"]) == (trained["operators"], trained["tensors"])
    assert (lint["usable"], lint["unusable_because"]) == (False, "its weights are untrained: they are those that training begins with")
    assert done.result["metrics"]["representative_images"] == 4  # of the 8 that CONVERT asks for
    assert "not for use" in done.result["warnings"][0]


def test_nobody_measures_it(run_here, tmp_path_factory, frozen):
    inputs = {"model": artifact("freeze", "saved-model", frozen.output), "records": val_records(tmp_path_factory)}
    refused = run_here("infer-saved-model", INFER, inputs).error
    assert (refused["what"], refused["where"]) == ("the model is untrained: what it puts out means nothing", "graph.json")


def test_averages_become_what_the_layers_see():
    tf.keras.utils.set_random_seed(1)
    layers = [tf.keras.layers.Conv2D(4, 3), tf.keras.layers.BatchNormalization(momentum=0.9), tf.keras.layers.ReLU(6.0)]
    model, pixels = tf.keras.Sequential(layers), noise(3, [9, 12]) / 255
    model(pixels)
    settle(model, 1, lambda: model(pixels, training=True))
    seen = layers[0](pixels).numpy()
    assert layers[1].moving_mean.numpy() == pytest.approx(seen.mean(axis=(0, 1, 2)), abs=1e-5)
    assert layers[1].moving_variance.numpy() == pytest.approx(seen.var(axis=(0, 1, 2)), rel=0.01)
    assert layers[1].momentum == 0.9
    assert layers[1].gamma.numpy().std() > 0  # it began as 1 everywhere


def test_what_is_the_same_everywhere_is_stirred_and_nothing_else():
    same, other, number = tf.Variable(tf.ones([2, 3])), tf.Variable([1.0, 2.0]), tf.Variable(1.0)
    stir([same, other, number], 5)
    assert len(set(same.numpy().ravel())) == 6
    assert same.numpy() == pytest.approx(1, abs=0.0011)
    assert (other.numpy().tolist(), number.numpy()) == ([1.0, 2.0], 1.0)


def test_noise_is_that_of_its_seed():
    pixels = noise(4294967295, [2, 3]).numpy()
    assert pixels.shape == (4, 2, 3, 3)
    assert np.array_equal(pixels, noise(4294967295, [2, 3]))
    assert not np.array_equal(pixels, noise(1, [2, 3]))
    assert 0 <= pixels.min() < pixels.max() <= 255
