"""Doubling a feature map by one operator.

The Object Detection API's feature pyramids double by stacking in five dimensions and reshaping, for the sake of Cloud TPUs
(utils/ops.py, nearest_neighbor_upsampling); no Edge TPU maps that, and all behind it would run on the CPU. Nearest neighbours at a whole
factor are the same numbers either way.
"""

from contextlib import contextmanager

import tensorflow as tf
from object_detection.utils import ops


@contextmanager
def native_resize():
    """While it lasts, the API's upsampling is traced as ResizeNearestNeighbor: RESIZE_NEAREST_NEIGHBOR of TensorFlow Lite.

    Neither aligned corners nor half-pixel centres: that is version 2 of the operator, which older Edge TPU compilers know, too.
    """
    stacked = ops.nearest_neighbor_upsampling
    ops.nearest_neighbor_upsampling = _resize
    try:
        yield
    finally:
        ops.nearest_neighbor_upsampling = stacked


def _resize(input_tensor, scale=None, height_scale=None, width_scale=None, name="nearest_neighbor_upsampling"):
    """As the API's function of that name. input_tensor: float32 [batch, height, width, channels] of a fixed height and width."""
    height, width = input_tensor.shape[1:3]
    sides = [height * (scale if height_scale is None else height_scale), width * (scale if width_scale is None else width_scale)]
    return tf.compat.v1.image.resize_nearest_neighbor(input_tensor, sides, name=name)
