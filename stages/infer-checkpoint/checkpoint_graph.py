"""The graph of a checkpoint with its raw outputs, as exporting for TensorFlow Lite makes it, but with weights that are restored."""

from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf
from object_detection import export_tflite_ssd_graph_lib, exporter
from object_detection.builders import graph_rewriter_builder, model_builder, post_processing_builder

from _odapi.config_text import read_config
from _odapi.exportable import input_size
from _tf1.graph import write_message
from _tf1_export.checkpoint import fresh_graph
from _tf1_export.normalization import quantized_normalization, training_normalization
from _tf1_inference.session import Restore, restore_variables

INPUT = "normalized_input_image_tensor"
BOXES, SCORES = "raw_outputs/box_encodings", "raw_outputs/class_predictions"


class CheckpointGraph(NamedTuple):
    """normalization: (mean, std) of the quantized model; anchors: float32 [n, 4], centres and sizes; restore: a `Restore`."""

    normalization: tuple
    anchors: Any
    restore: Restore


def write_checkpoint_graph(path, config_path, prefix, quantized):
    """Write a GraphDef of the model to `path`, restore the checkpoint in it once, and tell a `CheckpointGraph`.

    config_path: of pipeline.config; prefix: of the checkpoint; quantized: whether with fake-quantization. Its input is `INPUT`, float32
    [1, height, width, 3]; its outputs are `BOXES` and `SCORES`. Raises StageError where the checkpoint does not fit or is damaged.
    """
    config = read_config(Path(config_path))
    size = input_size(config)
    with fresh_graph(prefix) as graph:
        _build(config, size, quantized)
        anchors = tf.make_ndarray(graph.get_operation_by_name("anchors").get_attr("value"))
        saver = tf.train.Saver(_stored_variables(config)).as_saver_def()
        restore = Restore(saver.restore_op_name, saver.filename_tensor_name, prefix)
        write_message(graph.as_graph_def(), path)
        with tf.Session(graph=graph) as session:
            restore_variables(session, restore)
    return CheckpointGraph(quantized_normalization(*training_normalization(config, size)), anchors, restore)


def _build(config, size, quantized):
    """As export_tflite_ssd_graph_lib.py of the wheel tf-object-detection 0.0.3 builds it."""
    image = tf.placeholder(tf.float32, [1, *size, 3], name=INPUT)
    predicted = model_builder.build(config.model, is_training=False).predict(image, true_image_shapes=None)
    _, convert_scores = post_processing_builder.build(config.model.ssd.post_processing)
    tf.identity(predicted["box_encodings"], name=BOXES)
    tf.identity(convert_scores(predicted["class_predictions_with_background"]), name=SCORES)
    export_tflite_ssd_graph_lib.get_const_center_size_encoded_anchors(predicted["anchors"])
    tf.train.get_or_create_global_step()
    if quantized:
        graph_rewriter_builder.build(config.graph_rewriter, is_training=False)()
    if config.model.ssd.feature_extractor.HasField("fpn"):
        exporter.rewrite_nn_resize_op(quantized)


def _stored_variables(config):
    """Variables by the names that they have in the checkpoint: where training kept moving averages for evaluation, by those."""
    if not config.eval_config.use_moving_averages:
        return None
    return tf.train.ExponentialMovingAverage(0.0).variables_to_restore()
