"""A small quantization-aware SSD checkpoint, made in seconds: random weights, and ranges from two steps on noise. Python 3.7."""

import json

import numpy as np
import tensorflow as tf
from google.protobuf import text_format
from object_detection.builders import graph_rewriter_builder, model_builder
from object_detection.protos import pipeline_pb2

CLASSES = ["circle", "square", "triangle"]
SIZE = 96

_CONFIG = """
model { ssd {
  num_classes: 3
  encode_background_as_zeros: true
  image_resizer { fixed_shape_resizer { height: %(size)d width: %(size)d } }
  feature_extractor {
    type: "ssd_mobilenet_v2" depth_multiplier: 0.35 min_depth: 8 num_layers: 3 override_base_feature_extractor_hyperparams: true
    conv_hyperparams { %(hyperparams)s }
  }
  box_coder { faster_rcnn_box_coder { y_scale: 10.0 x_scale: 10.0 height_scale: 5.0 width_scale: 5.0 } }
  matcher { argmax_matcher { matched_threshold: 0.5 unmatched_threshold: 0.5 } }
  similarity_calculator { iou_similarity { } }
  box_predictor { convolutional_box_predictor {
    conv_hyperparams { %(hyperparams)s }
    kernel_size: 1 box_code_size: 4 class_prediction_bias_init: -1.0
  } }
  anchor_generator { ssd_anchor_generator { num_layers: 3 min_scale: 0.2 max_scale: 0.95 aspect_ratios: 1.0 aspect_ratios: 2.0 } }
  post_processing {
    batch_non_max_suppression { score_threshold: 0.1 iou_threshold: 0.6 max_detections_per_class: 20 max_total_detections: 20 }
    score_converter: SIGMOID
  }
  loss { localization_loss { weighted_smooth_l1 { } } classification_loss { weighted_sigmoid_focal { } } }
} }
eval_config { }
%(rewriter)s
"""
_HYPERPARAMS = """
  regularizer { l2_regularizer { weight: 4e-05 } } initializer { truncated_normal_initializer { stddev: 0.1 } } activation: RELU_6
  batch_norm { decay: 0.9 center: true scale: true epsilon: 0.001 train: true }
"""
_REWRITER = "graph_rewriter { quantization { delay: %d weight_bits: 8 activation_bits: 8 } }"


def config_text(delay=0, quantized=True):
    """A pipeline.config for a detector of SIZE pixels."""
    return _CONFIG % {"size": SIZE, "hyperparams": _HYPERPARAMS, "rewriter": _REWRITER % delay if quantized else ""}


def write_checkpoint(folder, text, steps=2):
    """Write a checkpoint artifact to `folder`. steps: forward passes on noise, which set ranges and batch norm's averages."""
    config = text_format.Parse(text, pipeline_pb2.TrainEvalPipelineConfig())
    random = np.random.RandomState(1)
    with tf.Graph().as_default():
        tf.set_random_seed(1)
        images = tf.placeholder(tf.float32, [4, SIZE, SIZE, 3])
        model = model_builder.build(config.model, is_training=True)
        predictions = model.predict(model.preprocess(images)[0], None)
        step = tf.train.get_or_create_global_step()
        if config.HasField("graph_rewriter"):
            graph_rewriter_builder.build(config.graph_rewriter, is_training=True)()
        fetches = [
            predictions["box_encodings"],
            predictions["class_predictions_with_background"],
            tf.get_collection(tf.GraphKeys.UPDATE_OPS),
        ]
        options = tf.ConfigProto()
        options.graph_options.rewrite_options.disable_meta_optimizer = True  # it takes longer than everything else here
        with tf.Session(config=options) as session:
            session.run(tf.global_variables_initializer())
            for _ in range(steps):
                session.run(fetches, {images: random.uniform(0, 255, [4, SIZE, SIZE, 3])})
            session.run(tf.assign(step, steps))
            tf.train.Saver().save(session, str(folder / "model.ckpt"), global_step=steps, write_meta_graph=False, write_state=False)
    (folder / "pipeline.config").write_text(text, encoding="utf-8")
    (folder / "checkpoint.json").write_text(
        json.dumps({"schema": 1, "step": steps, "prefix": f"model.ckpt-{steps}", "evaluations": [], "classes": CLASSES}), encoding="utf-8"
    )
    (folder / "history.json").write_text('{"schema": 1, "steps": [], "evaluations": []}\n', encoding="utf-8")
