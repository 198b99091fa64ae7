"""What the Object Detection API exports for servers, as a detector: a graph that decodes boxes by itself.

Its input is uint8 pixels [batch, height, width, 3]; it resizes and normalizes as training did, where the graph for TensorFlow Lite takes
what the device computes with. Boxes are clipped to the image, and suppressed class by class (exporter.py, or exporter_lib_v2.py, and
core/post_processing.py of the API).
"""

from functools import lru_cache

import numpy as np
import tensorflow.compat.v1 as tf

from _detection.postprocess import Detections
from _runtime import StageError
from _tf1.graph import read_graph
from _tf1_inference.layer_outputs import layer_outputs
from _tf1_inference.session import Runner, open_session

OUTPUTS = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")
_TAG = "serve"


class ApiDetector:
    """path: of the .pb file; source, outputs: names of tensors, these in the order of `OUTPUTS`; classes: how many the model has;
    saved_model: whether it is one of TensorFlow 1, else it is a GraphDef; find_layers: as a `Runner` takes it.
    """

    def __init__(self, path, source, outputs, classes, saved_model, find_layers=layer_outputs):
        self._model = (str(path), source, tuple(outputs), saved_model, find_layers)
        self._classes = classes

    def __call__(self, pixels):
        """`Detections` of uint8 pixels [1, height, width, 3]."""
        boxes, scores, classes, count = (value[0] for value in _runner(*self._model)(pixels))
        number = _count(float(count), len(scores))
        boxes, scores, classes = boxes[:number], scores[:number], classes[:number]
        if not all(np.isfinite(value).all() for value in (boxes, scores, classes)):
            raise StageError(
                "the model puts out values that are not finite",
                OUTPUTS[0],
                "finite boxes, scores and classes",
                "NaN or infinity",
                "the weights are damaged or training diverged: look at its loss",
            )
        if number and not (classes.min() >= 1 and classes.max() <= self._classes):
            raise StageError(
                "the model puts out a class that it does not have",
                OUTPUTS[2],
                "1 to %d" % self._classes,
                "%g to %g" % (classes.min(), classes.max()),
                "freeze the checkpoint again",
            )
        return Detections(boxes, classes.astype(np.int64) - 1, scores)

    def layers(self, pixels):
        """{layer: float32 array} of what each layer puts out for uint8 pixels [1, height, width, 3]."""
        return _runner(*self._model).layers(pixels)


def _count(number, most):
    if not 0 <= number <= most or not number.is_integer():
        raise StageError("the model counts its detections wrongly", OUTPUTS[3], "0 to %d" % most, number, "freeze the checkpoint again")
    return int(number)


@lru_cache(maxsize=1)
def _runner(path, source, outputs, saved_model, find_layers):
    if not saved_model:
        return Runner(open_session(read_graph(path)), source, outputs, find_layers)
    session = open_session()
    with session.graph.as_default():
        tf.saved_model.loader.load(session, [_TAG], path.rpartition("/")[0])
    return Runner(session, source, outputs, find_layers)
