"""What the stages declare of the Object Detection API's two versions, held against the one for TensorFlow 2."""

import ast
import inspect

import numpy as np
import pytest
import tensorflow as tf
from _odapi import versions
from google.protobuf import text_format
from object_detection import inputs, model_lib_v2
from object_detection.builders import model_builder, optimizer_builder
from object_detection.protos import optimizer_pb2

from odapi_schema import lines, message_types
from stage_helpers import ROOT


def map_of(name):
    """The keys of a dictionary that the model builder makes for TensorFlow 1 alone, from its source."""
    for node in ast.walk(ast.parse(inspect.getsource(model_builder))):
        if isinstance(node, ast.Assign) and [getattr(target, "id", None) for target in node.targets] == [name]:
            return {key.value for key in node.value.keys}
    raise KeyError(name)


def test_without_the_newer_fields_the_schema_is_that_of_tensorflow_1():
    assert lines(versions.NEWER_FIELDS) == sorted((ROOT / "tests" / "stages" / "golden" / "odapi_tf1_fields.txt").read_text().splitlines())


def test_every_newer_field_and_value_is_here():
    types = message_types()
    assert [
        (name, field) for name, fields in versions.NEWER_FIELDS.items() for field in fields if field not in types[name].fields_by_name
    ] == []
    for enum, names in versions.NEWER_VALUES.items():
        message, name = enum.split(".")
        assert set(names) <= set(types[message].enum_types_by_name[name].values_by_name)


def test_the_feature_extractors_are_those_of_the_model_builder():
    assert set(versions.SSD_EXTRACTORS[versions.TF2]) == set(model_builder.SSD_KERAS_FEATURE_EXTRACTOR_CLASS_MAP)


def test_those_of_later_releases_for_tensorflow_1_are_in_its_branch_of_the_model_builder():
    both = set(versions.SSD_EXTRACTORS[versions.TF1]) | set(versions.NEWER_TF1_EXTRACTORS)
    assert both == map_of("SSD_FEATURE_EXTRACTOR_CLASS_MAP")


@pytest.mark.parametrize("kind", [*versions.SSD_EXTRACTORS[versions.TF1], *versions.NEWER_TF1_EXTRACTORS])
def test_every_extractor_of_tensorflow_1_has_a_nearest_one_here(kind):
    assert versions.nearest_extractor(kind) in model_builder.SSD_KERAS_FEATURE_EXTRACTOR_CLASS_MAP


@pytest.mark.parametrize("kind", versions.SSD_EXTRACTORS[versions.TF2])
def test_the_least_side_is_the_extractors_own(kind):
    source = inspect.getsource(inspect.getmodule(model_builder.SSD_KERAS_FEATURE_EXTRACTOR_CLASS_MAP[kind]))
    least = versions.LEAST_SIDES.get(kind, versions.LEAST_SIDE)
    assert "check_min_image_dim(\n        %d, preprocessed_inputs)" % least in source


@pytest.mark.parametrize("kind", sorted(versions.FIXED_PYRAMID))
def test_an_extractor_with_a_fixed_pyramid_ignores_what_the_config_says(kind):
    made = model_builder.SSD_KERAS_FEATURE_EXTRACTOR_CLASS_MAP[kind](
        is_training=False,
        depth_multiplier=1.0,
        min_depth=16,
        pad_to_multiple=1,
        conv_hyperparams=None,
        freeze_batchnorm=False,
        inplace_batchnorm_update=False,
        fpn_min_level=4,
        fpn_max_level=6,
        additional_layer_depth=64,
    )
    assert (made._fpn_min_level, made._fpn_max_level, made._additional_layer_depth) == versions.FIXED_PYRAMID[kind]


@pytest.mark.parametrize("path", [*versions.REFUSED_IN_TF2, *versions.DROPPED_IN_TF2])
def test_training_does_not_read_what_is_declared_as_unread(path):
    message, field = path.split(".")
    assert field in message_types()["TrainConfig"].fields_by_name
    for module in (model_lib_v2, inputs, optimizer_builder):
        assert f"{message}.{field}" not in inspect.getsource(module)


def test_training_takes_no_notice_of_graph_rewriter():
    assert "graph_rewriter" not in inspect.getsource(model_lib_v2)


def test_training_reads_bfloat16_on_every_device():
    assert "use_bfloat16=train_config.use_bfloat16" in inspect.getsource(inputs)


def test_keras_takes_the_decay_of_rmsprop_for_one_of_the_learning_rate():
    moved = {}
    for decay in ("0.9", "0.0"):
        text = "rms_prop_optimizer { decay: %s epsilon: 1.0 momentum_optimizer_value: 0.0 learning_rate { %s } } use_moving_average: false"
        rate = "constant_learning_rate { learning_rate: 0.1 }"
        message = text_format.Parse(text % (decay, rate), optimizer_pb2.Optimizer())
        step = tf.Variable(0, trainable=False, dtype=tf.int64)
        optimizer, _ = optimizer_builder.build(message, global_step=step)
        weight, gradient = tf.Variable(0.0), tf.constant(1.0)
        for _ in range(9):
            optimizer.apply_gradients([(gradient, weight)])
        before = weight.numpy()
        optimizer.apply_gradients([(gradient, weight)])
        moved[decay] = before - weight.numpy()
        assert np.isclose(float(optimizer.rho), 0.9)
    assert np.isclose(moved["0.0"] / moved["0.9"], 1 + 0.9 * 9)
