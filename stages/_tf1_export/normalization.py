"""How pixels become the model's input: as training does it, and as the quantized model on the device does."""

import math

import numpy as np
import tensorflow as tf
from object_detection.builders import model_builder

from _runtime import StageError

_TOLERANCE = 1e-3  # grey levels


def training_normalization(config, size):
    """(mean, std) of the feature extractor's own preprocessing, found by probing it: value = (pixel - mean) / std.

    Raises StageError where it is not the same linear function for each channel, which a quantized input cannot express.
    """
    levels = (0.0, 100.0, 255.0)
    with tf.Graph().as_default():
        model = model_builder.build(config.model, is_training=False)
        probes = [model.preprocess(tf.fill([1, *size, 3], level))[0][0, 0, 0] for level in levels]
        with tf.Session() as session:
            black, grey, white = (value.astype(np.float64) for value in session.run(probes))
    slope = (white - black) / 255.0
    if (
        not (slope > 0).all()
        or np.ptp(slope) > _TOLERANCE / 255 * slope.max()
        or np.ptp(black) > _TOLERANCE * slope.max()
        or np.abs(black + 100.0 * slope - grey).max() > _TOLERANCE * slope.max()
    ):
        raise StageError(
            "the feature extractor normalizes its input in a way that a quantized input cannot",
            "pipeline.config: model.ssd.feature_extractor.type: %s" % config.model.ssd.feature_extractor.type,
            "the same (pixel - mean) / std for each channel",
            "black becomes %s, white %s" % (black.tolist(), white.tolist()),
            "use a MobileNet or Inception feature extractor",
        )
    return round(float(-black[0] / slope[0]), 3), round(float(1.0 / slope[0]), 3)


def quantized_normalization(mean, std):
    """The nearest (mean, std) whose mean is a whole number, as the zero point of a uint8 input must be; black keeps its exact value.

    MobileNet's (127.5, 127.5) becomes the (128, 128) that TensorFlow Lite detectors have by convention: the model then takes black as
    training did, the middle for half a grey level darker and white for one.
    """
    whole = math.floor(mean + 0.5)
    return whole, (std * whole / mean if mean else std)
