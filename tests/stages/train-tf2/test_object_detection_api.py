"""The TF2 Object Detection API in the train-tf2 image: a detector from a pipeline configuration, forwards and one step of training."""

import numpy as np
import pytest

HYPERPARAMS = "regularizer { l2_regularizer { } } initializer { truncated_normal_initializer { } } activation: RELU_6 batch_norm { }"
CONFIG = """
ssd {
  num_classes: 3
  image_resizer { fixed_shape_resizer { height: 64 width: 64 } }
  feature_extractor {
    type: "ssd_mobilenet_v2_keras" depth_multiplier: 0.35 min_depth: 8 num_layers: 3 override_base_feature_extractor_hyperparams: true
    conv_hyperparams { %s }
  }
  box_coder { faster_rcnn_box_coder { } }
  matcher { argmax_matcher { force_match_for_each_row: true } }
  similarity_calculator { iou_similarity { } }
  box_predictor { convolutional_box_predictor { kernel_size: 1 conv_hyperparams { %s } } }
  anchor_generator { ssd_anchor_generator { num_layers: 3 } }
  post_processing {
    batch_non_max_suppression { score_threshold: 0.0 max_detections_per_class: 5 max_total_detections: 5 } score_converter: SIGMOID
  }
  encode_background_as_zeros: true
  loss {
    localization_loss { weighted_smooth_l1 { } } classification_loss { weighted_sigmoid_focal { } }
    classification_weight: 1.0 localization_weight: 1.0
  }
}
""" % (HYPERPARAMS, HYPERPARAMS)


@pytest.fixture(scope="module")
def detector():
    import tensorflow as tf
    from google.protobuf import text_format
    from object_detection.builders import model_builder
    from object_detection.protos import model_pb2

    tf.keras.utils.set_random_seed(1)  # the same weights each time
    return model_builder.build(text_format.Parse(CONFIG, model_pb2.DetectionModel()), is_training=True)


def forward(detector):
    """The model's raw predictions and the image shapes, for a batch of two images of noise."""
    import tensorflow as tf

    images = np.random.RandomState(0).randint(0, 256, [2, 64, 64, 3]).astype(np.float32)
    inputs, shapes = detector.preprocess(tf.constant(images))
    return detector.predict(inputs, shapes), shapes


def test_keras_is_the_one_that_the_api_is_made_for():
    import tensorflow as tf
    import tf_keras

    assert tf.keras.layers.Layer is tf_keras.layers.Layer


def test_a_detector_from_a_configuration_detects(detector):
    predictions, shapes = forward(detector)
    anchors = predictions["anchors"].shape[0]
    assert predictions["box_encodings"].shape[:2] == (2, anchors)
    assert predictions["class_predictions_with_background"].shape == (2, anchors, 4)
    found = detector.postprocess(predictions, shapes)
    assert found["detection_boxes"].shape == (2, 5, 4)
    assert np.isfinite(found["detection_scores"].numpy()).all()
    assert set(found["detection_classes"].numpy().ravel()) <= {0.0, 1.0, 2.0}


def test_a_step_of_training_lowers_the_loss_on_its_own_batch(detector):
    import tensorflow as tf

    boxes, classes = tf.constant([[0.1, 0.1, 0.6, 0.6]]), tf.one_hot([1], 3)
    detector.provide_groundtruth(groundtruth_boxes_list=[boxes, boxes], groundtruth_classes_list=[classes, classes])

    def total():
        predictions, shapes = forward(detector)
        return tf.add_n(list(detector.loss(predictions, shapes).values()))

    with tf.GradientTape() as tape:
        before = total()
    variables = detector.trainable_variables
    optimizer = tf.keras.optimizers.SGD(1e-3)
    optimizer.apply_gradients(zip(tape.gradient(before, variables), variables))
    assert float(total()) < float(before)
