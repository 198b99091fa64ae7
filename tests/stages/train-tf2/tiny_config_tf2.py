"""The pipeline.config of a detector that trains in seconds: SSD MobileNet v2 (Keras), 96 px, few channels, three feature layers."""

CLASSES = ["circle", "square", "triangle"]
SIZE = 96

_CONFIG = """
model { ssd {
  num_classes: 3
  image_resizer { fixed_shape_resizer { height: %(size)d width: %(size)d } }
  feature_extractor {
    type: "ssd_mobilenet_v2_keras" depth_multiplier: 0.35 min_depth: 8 num_layers: 3 override_base_feature_extractor_hyperparams: true
    conv_hyperparams { %(hyperparams)s }
  }
  box_coder { faster_rcnn_box_coder { y_scale: 10.0 x_scale: 10.0 height_scale: 5.0 width_scale: 5.0 } }
  matcher { argmax_matcher {
    matched_threshold: 0.5 unmatched_threshold: 0.5 ignore_thresholds: false negatives_lower_than_unmatched: true
    force_match_for_each_row: true use_matmul_gather: true
  } }
  similarity_calculator { iou_similarity { } }
  box_predictor { convolutional_box_predictor {
    conv_hyperparams { %(hyperparams)s }
    min_depth: 0 max_depth: 0 num_layers_before_predictor: 0 use_dropout: false
    kernel_size: 1 box_code_size: 4 class_prediction_bias_init: -3.0
  } }
  anchor_generator { ssd_anchor_generator { num_layers: 3 min_scale: 0.2 max_scale: 0.95 aspect_ratios: 1.0 aspect_ratios: 2.0 } }
  post_processing {
    batch_non_max_suppression {
      score_threshold: 1e-08 iou_threshold: 0.6 max_detections_per_class: %(detections)d max_total_detections: %(detections)d
    }
    score_converter: SIGMOID
  }
  normalize_loss_by_num_matches: true
  normalize_loc_loss_by_codesize: true
  loss {
    localization_loss { weighted_smooth_l1 { } }
    classification_loss { weighted_sigmoid_focal { gamma: 2.0 alpha: 0.75 } }
    classification_weight: 1.0 localization_weight: 1.0
  }
  encode_background_as_zeros: true
} }
train_config {
  batch_size: %(batch_size)d num_steps: %(num_steps)d unpad_groundtruth_tensors: false
  data_augmentation_options { random_horizontal_flip { } }
  optimizer {
    use_moving_average: false
    momentum_optimizer { momentum_optimizer_value: 0.9 learning_rate { %(learning_rate)s } }
  }
}
train_input_reader {
  label_map_path: "label_map.pbtxt" num_readers: 1 tf_record_input_reader { input_path: "%(train)s" }
}
eval_config { batch_size: 1 num_examples: 2 metrics_set: "coco_detection_metrics" use_moving_averages: false }
eval_input_reader {
  label_map_path: "label_map.pbtxt" shuffle: false num_epochs: 1 num_readers: 1 tf_record_input_reader { input_path: "%(val)s" }
}
"""
_HYPERPARAMS = """
  regularizer { l2_regularizer { weight: 4e-05 } } initializer { truncated_normal_initializer { stddev: 0.03 } } activation: RELU_6
  batch_norm { decay: 0.9 center: true scale: true epsilon: 0.001 train: true }
"""


def config_text(**options):
    """The text of a complete pipeline.config with input paths inside a records artifact.

    options: num_steps (4), batch_size (2), learning_rate (text of a LearningRate message; constant 0.01), size (96, pixels), detections
    (20, the most that are kept), train and val (the shards' glob or name).
    """
    values = {
        "num_steps": 4,
        "batch_size": 2,
        "learning_rate": "constant_learning_rate { learning_rate: 0.01 }",
        "size": SIZE,
        "detections": 20,
        "train": "train.record-?????-of-00002",
        "val": "val.record-00000-of-00001",
        "hyperparams": _HYPERPARAMS,
    }
    unknown = sorted(set(options) - set(values))
    if unknown:
        raise TypeError("config_text has no option %s" % ", ".join(unknown))
    values.update(options)
    return _CONFIG % values
