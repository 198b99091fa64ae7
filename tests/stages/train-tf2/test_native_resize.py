"""A feature pyramid that is exported with one operator for each doubling: the same numbers, and no tensor of five dimensions."""

import re

import numpy as np
import pytest
import tensorflow as tf
from _odapi.config_text import parse_config
from object_detection.utils import ops
from tiny_checkpoint_tf2 import build_model, spread_weights

from stage_helpers import ROOT, load

native_resize = load("freeze-tf2", "native_resize").native_resize
SIDE = 128


@pytest.fixture(scope="module")
def model():
    """SSD MobileNet v2 FPNLite of the template, small."""
    text = (ROOT / "data" / "templates" / "tf2_ssd_mobilenet_v2_fpnlite_320.config").read_text(encoding="utf-8")
    text = re.sub(r"(height|width): 320", r"\1: %d" % SIDE, text)
    text = re.sub(r"depth_multiplier: 1\.0", "depth_multiplier: 0.35", text)
    config = parse_config(text, "template")
    config.model.ssd.num_classes = config.model.ssd.num_classes or 2
    made = build_model(config)
    spread_weights(made)
    return made


def traced(model):
    """The concrete function from pixels to raw outputs."""

    @tf.function(input_signature=[tf.TensorSpec([1, SIDE, SIDE, 3], tf.float32)])
    def raw(pixels):
        predicted = model.predict(pixels, None)
        return predicted["box_encodings"], predicted["class_predictions_with_background"]

    return raw.get_concrete_function()


def operators(function):
    """{type: how many} of a function and those that it calls."""
    found = {}
    definition = function.graph.as_graph_def()
    for node in [*definition.node, *(node for each in definition.library.function for node in each.node_def)]:
        found[node.op] = found.get(node.op, 0) + 1
    return found


def test_the_same_numbers_by_one_operator_for_each_doubling(model):
    stacked = traced(model)
    with native_resize():
        native = traced(model)
    assert operators(stacked).get("ResizeNearestNeighbor", 0) == 0
    assert operators(native)["ResizeNearestNeighbor"] == 2
    assert operators(stacked)["Pack"] > operators(native).get("Pack", 0)
    pixels = tf.constant(np.random.RandomState(1).uniform(-1, 1, [1, SIDE, SIDE, 3]), tf.float32)
    for one, other in zip(stacked(pixels), native(pixels)):
        assert np.ptp(one.numpy()) > 0
        assert np.array_equal(one.numpy(), other.numpy())


def fail_inside(seen):
    with native_resize():
        seen.append(ops.nearest_neighbor_upsampling)
        raise ValueError("inside")


def test_the_api_is_as_before_afterwards():
    before, seen = ops.nearest_neighbor_upsampling, []
    with pytest.raises(ValueError, match="inside"):
        fail_inside(seen)
    assert seen != [before]
    assert ops.nearest_neighbor_upsampling is before


@pytest.mark.parametrize("sides", [{"scale": 2}, {"height_scale": 2, "width_scale": 3}])
def test_it_is_the_api_s_own_function_in_other_words(sides):
    image = tf.constant(np.random.RandomState(2).uniform(size=[1, 5, 4, 3]), tf.float32)
    expected = ops.nearest_neighbor_upsampling(image, **sides).numpy()
    with native_resize():
        found = ops.nearest_neighbor_upsampling(image, **sides).numpy()
    assert np.array_equal(found, expected)
