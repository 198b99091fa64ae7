"""What of the Object Detection API's model goes into a saved-model artifact."""

import numpy as np
import tensorflow as tf
from object_detection import exporter_lib_v2
from object_detection.builders import post_processing_builder
from object_detection.core.box_list import BoxList

from _odapi.exportable import decode_attributes, input_size
from _odapi.normalization import LEVELS, linear_normalization
from _tf2_export.artifact import Exported
from _tf2_export.saved_model import captured_variables, make_canonical


def exported_detector(config, restored, params, classes, step):
    """The `Exported` of a `keras_checkpoint.Restored` model. params: the stage's parameters."""
    size, post_processing = input_size(config), config.model.ssd.post_processing
    _, convert_scores = post_processing_builder.build(post_processing)

    def raw_outputs(pixels):
        predicted = restored.model.predict(pixels, None)
        return predicted["box_encodings"], convert_scores(predicted["class_predictions_with_background"])

    return Exported(
        raw_outputs,
        centre_size(restored.anchors),
        size,
        *normalization(restored.model, size, config.model.ssd.feature_extractor.type),
        decode_attributes(config, params),
        type(post_processing).ScoreConverter.Name(post_processing.score_converter),
        classes,
        quantized=False,
        step=step,
    )


def centre_size(corners):
    """Anchors as ycenter, xcenter, height, width, float32 [n, 4], of ymin, xmin, ymax, xmax."""
    return np.stack([part.numpy() for part in BoxList(tf.constant(corners)).get_center_coordinates_and_sizes()], axis=1)


def normalization(model, size, extractor):
    """(mean, std) of the model's own preprocessing: numbers, or lists where the channels differ. Raises StageError."""
    probes = [model.preprocess(tf.fill([1, *size, 3], level))[0][0, 0, 0].numpy() for level in LEVELS]
    where = "pipeline.config: model.ssd.feature_extractor.type: %s" % extractor
    return tuple(value[0] if len(set(value)) == 1 else value for value in linear_normalization(probes, where))


def write_inference_model(model, folder):
    """Write the API's own SavedModel: uint8 [1, height, width, 3] in; resizing, normalization, decoding and NMS are within.

    Of the API's export only the function is kept, with its variables: Keras's layers, which nobody calls there, are left out.
    """
    detection = exporter_lib_v2.DETECTION_MODULE_MAP["image_tensor"](model)
    function = detection.__call__.get_concrete_function()
    module = tf.Module()
    module.weights = captured_variables(function)
    module.__call__ = detection.__call__
    tf.saved_model.save(module, str(folder), signatures=function)
    make_canonical(folder)
