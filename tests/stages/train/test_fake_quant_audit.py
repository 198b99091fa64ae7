"""The fake-quant audit: every layer between image and outputs is listed, and whatever is missing is named."""

import math

import numpy as np
import pytest
import tensorflow as tf
from _runtime import StageError
from _tf1.graph import GraphIndex, read_graph
from _tf1.graph_audit import FROM_INPUTS, OK, as_json, audit, require_quantized

OUTPUTS = ["raw_outputs/box_encodings", "raw_outputs/class_predictions"]
EXPAND = "FeatureExtractor/MobilenetV2/expanded_conv_3/expand/"
DEPTHWISE = "FeatureExtractor/MobilenetV2/expanded_conv_3/depthwise/"
HEAD = "BoxPredictor_0/ClassPredictor/"
ADD = "FeatureExtractor/MobilenetV2/expanded_conv_2/add"
FAKE_QUANT = "/FakeQuantWithMinMaxVars"


@pytest.fixture
def graph(tiny_graph):
    return read_graph(tiny_graph / "tflite_graph.pb")


def node(graph, name):
    return next(found for found in graph.node if found.name == name)


def bypass(graph, name):
    """Take the fake-quantization node out: its readers read what it read."""
    source = node(graph, name).input[0]
    readers = [(found, place) for found in graph.node for place, reference in enumerate(found.input) if reference == name]
    assert readers
    for found, place in readers:
        found.input[place] = source


def set_range(graph, quant, low, high):
    for name, value in (("min", low), ("max", high)):
        node(graph, f"{quant}/{name}").attr["value"].tensor.CopyFrom(tf.make_tensor_proto(np.float32(value)))


def rows(graph):
    return {layer.name: layer for layer in audit(GraphIndex(graph, OUTPUTS))}


def count(graph, *ops):
    return sum(found.op in ops for found in graph.node)


def test_every_convolution_of_backbone_and_heads_is_listed_and_passes(graph):
    layers = rows(graph)
    by_op = {}
    for layer in layers.values():
        by_op.setdefault(layer.op, []).append(layer)
    assert len(by_op["Conv2D"]) == count(graph, "Conv2D")
    assert len(by_op["DepthwiseConv2dNative"]) == count(graph, "DepthwiseConv2dNative") == 17
    assert {layer.status for name in ("Conv2D", "DepthwiseConv2dNative", "Add") for layer in by_op[name]} == {OK}
    assert sum(name.startswith("BoxPredictor") for name in layers) == 6
    require_quantized(list(layers.values()), "graph")


def test_residual_additions_are_listed_and_additions_of_folded_batch_norm_are_not(graph):
    additions = [name for name, layer in rows(graph).items() if layer.op == "Add"]
    assert len(additions) == 10
    assert all(name.endswith("/add") and "BatchNorm" not in name for name in additions)


def test_a_layer_names_its_nodes_and_their_ranges(graph):
    layer = rows(graph)[EXPAND + "Conv2D_Fold"]
    assert layer.weights == EXPAND + "weights_quant" + FAKE_QUANT
    assert layer.output == EXPAND + "act_quant" + FAKE_QUANT
    low, high = layer.range
    assert low == 0
    assert 0 < high < 6.1
    assert layer.weights_range[0] < 0 < layer.weights_range[1]


def test_a_concat_takes_the_union_of_its_inputs_ranges(graph):
    layers = rows(graph)
    heads = [layers[f"BoxPredictor_{place}/ClassPredictor/Conv2D_Fold"].range for place in range(3)]
    concat = layers["concat_1"]
    assert concat.status == FROM_INPUTS
    assert concat.output is None
    assert concat.range == (min(low for low, _ in heads), max(high for _, high in heads))


@pytest.mark.parametrize(
    ("quant", "layer", "says"),
    [
        (EXPAND + "weights_quant", EXPAND + "Conv2D_Fold", "no fake-quantization of its weights"),
        (EXPAND + "act_quant", EXPAND + "Conv2D_Fold", "no fake-quantization of its output"),
        (DEPTHWISE + "weights_quant", DEPTHWISE + "depthwise_Fold", "no fake-quantization of its weights"),
        (DEPTHWISE + "act_quant", DEPTHWISE + "depthwise_Fold", "no fake-quantization of its output"),
        (HEAD + "weights_quant", HEAD + "Conv2D_Fold", "no fake-quantization of its weights"),
        (HEAD + "act_quant", HEAD + "Conv2D_Fold", "no fake-quantization of its output"),
        ("FeatureExtractor/MobilenetV2/expanded_conv_2/post_activation_bypass_quant", ADD, "no fake-quantization of its output"),
    ],
)
def test_a_missing_node_is_an_error_that_names_the_layer(graph, quant, layer, says):
    bypass(graph, quant + FAKE_QUANT)
    layers = rows(graph)
    assert says in layers[layer].status
    with pytest.raises(StageError) as caught:
        require_quantized(list(layers.values()), "graph")
    assert caught.value.where.startswith(layer + " (")
    assert "patched heads" in caught.value.remedy


def test_a_head_without_a_range_leaves_its_concat_without_one(graph):
    bypass(graph, HEAD + "act_quant" + FAKE_QUANT)
    concat = rows(graph)["concat_1"]
    assert concat.range is None
    assert "has no fake-quantization" in concat.status


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [
        (0, 0, "is empty"),
        (1, 2, "does not contain 0"),
        (-2, -1, "does not contain 0"),
        (math.nan, 1, "is not finite"),
        (-math.inf, 1, "is not finite"),
        (-6, 6, "never updated"),
    ],
)
@pytest.mark.parametrize("which", ["weights", "act"])
def test_a_range_that_means_nothing_is_an_error(graph, which, low, high, says):
    set_range(graph, f"{EXPAND}{which}_quant", low, high)
    layer = rows(graph)[EXPAND + "Conv2D_Fold"]
    assert says in layer.status
    assert ("weights:" in layer.status) == (which == "weights")
    with pytest.raises(StageError) as caught:
        require_quantized([layer], "graph")
    assert caught.value.what == "a layer has no usable range"


def test_0_to_6_is_what_a_relu6_may_have_and_what_a_head_begins_with(graph):
    set_range(graph, EXPAND + "act_quant", 0, 6)
    set_range(graph, HEAD + "act_quant", 0, 6)
    layers = rows(graph)
    assert layers[EXPAND + "Conv2D_Fold"].status == OK
    assert "never updated" in layers[HEAD + "Conv2D_Fold"].status


def test_other_than_8_bits_is_an_error(graph):
    node(graph, EXPAND + "act_quant" + FAKE_QUANT).attr["num_bits"].i = 4
    assert rows(graph)[EXPAND + "Conv2D_Fold"].status == "quantized to 4 bits, not 8"


def test_the_error_counts_all_layers_and_the_table_keeps_them(graph):
    for quant in (EXPAND + "act_quant", HEAD + "act_quant"):
        bypass(graph, quant + FAKE_QUANT)
    layers = audit(GraphIndex(graph, OUTPUTS))
    with pytest.raises(StageError) as caught:
        require_quantized(layers, "graph")
    assert f"3 of {len(layers)} layers" in caught.value.found  # two, and the concat behind one of them
    assert HEAD + "Conv2D_Fold" in caught.value.found
    table = as_json(layers, quantized=True)
    assert table["missing"] == 3
    assert [row["name"] for row in table["layers"]] == [layer.name for layer in layers]


def small_graph(build):
    """A graph of few nodes: build(image) returns its output."""
    with tf.Graph().as_default() as graph:
        tf.identity(build(tf.placeholder(tf.float32, [1, 4, 4, 2], name="image")), name="out")
        return audit(GraphIndex(graph.as_graph_def(), ["out"]))


def quantized(tensor, low=-1.0, high=1.0):
    return tf.fake_quant_with_min_max_args(tensor, low, high)


def test_a_matmul_is_a_layer_and_fixed_ranges_count():
    layers = small_graph(lambda image: quantized(tf.matmul(tf.reshape(image, [1, 32]), quantized(tf.ones([32, 3])))))
    assert [(layer.op, layer.status, layer.range) for layer in layers] == [("MatMul", OK, (-1.0, 1.0))]


def test_one_reader_that_sees_the_unquantized_value_is_enough_for_an_error():
    def build(image):
        layer = tf.nn.conv2d(image, quantized(tf.ones([1, 1, 2, 2])), [1, 1, 1, 1], "SAME", name="layer")
        return quantized(layer) + tf.sigmoid(layer, name="reader")

    layers = {layer.name: layer for layer in small_graph(build)}
    assert layers["layer"].status == "no fake-quantization of its output: reader (Sigmoid) reads it as it is"


def test_a_layer_whose_value_is_the_output_itself_is_an_error():
    layers = small_graph(lambda image: tf.nn.conv2d(image, quantized(tf.ones([1, 1, 2, 2])), [1, 1, 1, 1], "SAME"))
    assert "out (Identity) reads it as it is" in layers[0].status


def test_a_concat_looks_through_operators_that_keep_the_range():
    def build(image):
        return tf.concat(
            [
                tf.image.resize_nearest_neighbor(quantized(image, -2.0, 1.0), [2, 2]),
                tf.nn.max_pool(quantized(image, -1.0, 3.0), [1, 2, 2, 1], [1, 2, 2, 1], "SAME"),
            ],
            3,
        )

    assert [(layer.status, layer.range) for layer in small_graph(build)] == [(FROM_INPUTS, (-2.0, 3.0))]


def test_a_graph_without_layers_is_refused():
    with pytest.raises(StageError, match="no layers"):
        require_quantized(small_graph(tf.sigmoid), "graph")


def test_a_graph_that_refers_to_a_missing_node_is_refused(graph):
    node(graph, HEAD + "Conv2D_Fold").input[0] = "nowhere"
    with pytest.raises(StageError, match="lacks a node") as caught:
        GraphIndex(graph, OUTPUTS)
    assert caught.value.where == "nowhere"
