"""The Object Detection API's model of a pipeline.config, with all of its variables made."""

import tensorflow as tf
from object_detection.builders import model_builder
from object_detection.utils import config_util

from _runtime import StageError

# Pixels a side where the config leaves the size open: variables do not depend on it.
_ANY_SIZE = 320


def build_model(config, is_training):
    """The DetectionModel. config: a TrainEvalPipelineConfig; StageError where the API cannot build it."""
    try:
        model = model_builder.build(config.model, is_training=is_training)
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError, NotImplementedError) as error:
        raise StageError(
            "the Object Detection API cannot build this model",
            "pipeline.config: model",
            "a model of TensorFlow 2",
            f"{type(error).__name__}: {error}",
            "configure it with the stage configure-tf2, which says what to write instead",
        ) from error
    _make_variables(model, picture_size(config))
    return model


def picture_size(config):
    """[height, width] in pixels of a picture that the model takes."""
    size = config_util.get_spatial_image_size(config_util.get_image_resizer_config(config.model))
    return [side if side > 0 else _ANY_SIZE for side in size]


def _make_variables(model, size):
    """Let the model see one black picture: its layers make their variables when they are first called."""
    training, model._is_training = model._is_training, False  # noqa: SLF001  as model_lib_v2._ensure_model_is_built does
    tf.keras.backend.set_learning_phase(False)
    images, shapes = model.preprocess(tf.zeros([1, *size, 3]))
    model.predict(images, shapes)
    model._is_training = training  # noqa: SLF001
