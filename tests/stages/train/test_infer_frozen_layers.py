"""Which tensor of a TensorFlow 1 graph a layer puts out, and what the layer is called: the same in each graph of one model."""

import pytest
import tensorflow as tf
import tiny_detector
from _tf1.graph import GraphIndex, read_graph
from _tf1.graph_audit import OK, audit
from _tf1_inference.layer_outputs import layer_outputs
from google.protobuf import text_format
from object_detection.builders import graph_rewriter_builder, model_builder
from object_detection.protos import pipeline_pb2

OUTPUTS = ["raw_outputs/box_encodings", "raw_outputs/class_predictions"]
BACKBONE = "FeatureExtractor/MobilenetV2/"


def built(extractor, quantized):
    """The GraphDef of a detector as evaluation builds it, and the names of its outputs."""
    text = tiny_detector.config_text().replace("ssd_mobilenet_v2", extractor)
    config = text_format.Parse(text, pipeline_pb2.TrainEvalPipelineConfig())
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [1, 96, 96, 3])
        predicted = model_builder.build(config.model, is_training=False).predict(images, None)
        outputs = [predicted[name].op.name for name in ("box_encodings", "class_predictions_with_background")]
        tf.train.get_or_create_global_step()
        if quantized:
            graph_rewriter_builder.build(config.graph_rewriter, is_training=False)()
        return graph.as_graph_def(), outputs


@pytest.mark.parametrize(
    ("extractor", "layers"),
    [
        (
            "ssd_mobilenet_v2",
            {BACKBONE + "Conv": "Relu6", BACKBONE + "expanded_conv_2/depthwise": "Relu6", BACKBONE + "expanded_conv_2": "output"},
        ),
        pytest.param(
            "ssd_mobilenet_v1",
            {
                "FeatureExtractor/MobilenetV1/MobilenetV1/Conv2d_0": "Relu6",
                "FeatureExtractor/MobilenetV1/MobilenetV1/Conv2d_1_depthwise": "Relu6",
            },
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "ssd_inception_v2",
            {
                "FeatureExtractor/InceptionV2/InceptionV2/Conv2d_1a_7x7": "Relu6",
                "FeatureExtractor/InceptionV2/InceptionV2/Conv2d_1a_7x7/separable_conv2d": "depthwise",
                "FeatureExtractor/InceptionV2/InceptionV2/Mixed_3b/Branch_1/Conv2d_0b_3x3": "Relu6",
            },
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_float_and_a_quantized_graph_have_the_same_layers(extractor, layers):
    in_float, quantized = (layer_outputs(*built(extractor, rewritten)) for rewritten in (False, True))
    assert set(in_float) == set(quantized)
    for scope, last in dict(layers, **{"BoxPredictor_0/ClassPredictor": "BatchNorm/FusedBatchNorm"}).items():
        assert in_float[scope] == f"{scope}/{last}:0"
        assert quantized[scope].endswith("quant/FakeQuantWithMinMaxVars:0")
        assert quantized[scope].startswith(scope)


def test_each_layer_of_a_frozen_graph_ends_in_the_fake_quantization_that_the_audit_finds(tiny_graph):
    graph = read_graph(tiny_graph / "tflite_graph.pb")
    audited = [layer for layer in audit(GraphIndex(graph, OUTPUTS)) if layer.status == OK]
    assert layer_outputs(graph, OUTPUTS) == {layer.name.rpartition("/")[0]: layer.output + ":0" for layer in audited}


def layers_of(build, *outputs):
    with tf.Graph().as_default() as graph:
        build(tf.placeholder(tf.float32, [1, 8, 8, 3], name="image"))
        return layer_outputs(graph.as_graph_def(), list(outputs))


def convolution(image, scope, activation=None, channels=3):
    """A convolution with a bias, as slim names its nodes."""
    with tf.name_scope(scope):
        value = tf.nn.conv2d(image, tf.zeros([1, 1, image.shape[3], channels]), [1, 1, 1, 1], "SAME", name="Conv2D")
        value = tf.nn.bias_add(value, tf.zeros([channels]), name="BiasAdd")
        return activation(value) if activation else value


def test_a_layer_ends_with_its_activation_and_not_with_the_next_layers():
    def build(image):
        first = convolution(image, "net/first", tf.nn.relu6)
        tf.nn.relu(convolution(first, "net/second"), name="elsewhere")

    assert layers_of(build, "elsewhere") == {"net/first": "net/first/Relu6:0", "net/second": "net/second/BiasAdd:0"}


def test_a_layer_that_is_read_before_its_activation_ends_before_it():
    def build(image):
        with tf.name_scope("net/first"):
            value = tf.nn.conv2d(image, tf.zeros([1, 1, 3, 3]), [1, 1, 1, 1], "SAME", name="Conv2D")
            tf.add(value, tf.nn.relu(value, name="Relu"), name="sum")

    assert layers_of(build, "net/first/sum") == {"net/first": "net/first/Conv2D:0"}


def test_branches_that_are_joined_are_a_layer_only_between_convolutions():
    def build(image):
        image = tf.multiply(image, tf.reduce_mean(image), name="picture/scaled")
        one, other = convolution(image, "net/one"), convolution(image, "net/other")
        joined = tf.add(tf.add(one, 1.0, name="net/shifted"), other, name="net/block/add")
        head = convolution(joined, "net/head")
        tf.add(head, tf.reduce_sum(head), name="boxes/add")

    assert set(layers_of(build, "boxes/add")) == {"net/one", "net/other", "net/block", "net/head"}


def test_of_several_layers_in_one_scope_the_last_counts():
    def build(image):
        one, other = convolution(image, "net/one"), convolution(image, "net/other")
        first = tf.add(one, other, name="top_down/add")
        convolution(tf.add(first, other, name="top_down/add_1"), "net/head")

    assert layers_of(build, "net/head/BiasAdd")["top_down"] == "top_down/add_1:0"


def test_shapes_that_are_computed_are_no_layers():
    def build(image):
        one = convolution(image, "net/one")
        shape = tf.shape(one)
        tf.add(shape, shape, name="sizes/add")
        convolution(tf.reshape(one, shape + shape - shape), "net/two")

    assert set(layers_of(build, "net/two/BiasAdd")) == {"net/one", "net/two"}


def test_a_graph_with_a_loop_has_its_layers_too():
    def build(image):
        looped = tf.while_loop(lambda i, _: i < 3, lambda i, value: (i + 1, value + value), [0, image], [tf.TensorShape([]), image.shape])[
            1
        ]
        convolution(looped, "net/one")

    assert layers_of(build, "net/one/BiasAdd")["net/one"] == "net/one/BiasAdd:0"


def test_what_the_outputs_do_not_need_is_left_out():
    def build(image):
        convolution(convolution(image, "net/one"), "net/unused")

    assert set(layers_of(build, "net/one/BiasAdd")) == {"net/one"}
