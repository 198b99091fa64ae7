"""The Object Detection API's own exports as detectors: the frozen inference graph and the SavedModel, which decode boxes by themselves.

Their input is uint8 pixels [batch, height, width, 3]; they resize and normalize as training did, where the graph for TensorFlow Lite takes
what the device computes with. Boxes are clipped to the image, and suppressed class by class (exporter.py and core/post_processing.py of
the wheel tf-object-detection 0.0.3).
"""

from functools import lru_cache

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from _detection.postprocess import Detections
from _runtime import StageError
from _tf1.graph import read_graph
from _tf1_inference.session import Runner, open_session, require_whole

INFERENCE_GRAPH, SAVED_MODEL = "inference_graph/frozen_inference_graph.pb", "saved_model/saved_model.pb"
_OUTPUTS = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")
_INPUT, _SIGNATURE_INPUT, _SIGNATURE = "image_tensor", "inputs", tf.saved_model.signature_constants.DEFAULT_SERVING_SIGNATURE_DEF_KEY
_TAG = tf.saved_model.tag_constants.SERVING


class ApiDetector:
    """path: of the .pb file; source, outputs: names of tensors, as `check_inference_graph` or `check_saved_model` gives them;
    classes: how many the model has; saved_model: whether it is one.
    """

    def __init__(self, path, source, outputs, classes, saved_model):
        self._model = (str(path), source, tuple(outputs), saved_model)
        self._classes = classes

    def __call__(self, pixels):
        """`Detections` of uint8 pixels [1, height, width, 3]."""
        boxes, scores, classes, count = (value[0] for value in _runner(*self._model)(pixels))
        number = _count(float(count), len(scores))
        boxes, scores, classes = boxes[:number], scores[:number], classes[:number]
        if not all(np.isfinite(value).all() for value in (boxes, scores, classes)):
            raise StageError(
                "the model puts out values that are not finite",
                _OUTPUTS[0],
                "finite boxes, scores and classes",
                "NaN or infinity",
                "the weights are damaged or training diverged: look at its loss",
            )
        if number and not (classes.min() >= 1 and classes.max() <= self._classes):
            raise StageError(
                "the model puts out a class that it does not have",
                _OUTPUTS[2],
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
        raise StageError("the model counts its detections wrongly", _OUTPUTS[3], "0 to %d" % most, number, "freeze the checkpoint again")
    return int(number)


@lru_cache(maxsize=1)
def _runner(path, source, outputs, saved_model):
    if not saved_model:
        return Runner(open_session(read_graph(path)), source, outputs)
    session = open_session()
    with session.graph.as_default():
        tf.saved_model.loader.load(session, [_TAG], path.rpartition("/")[0])
    return Runner(session, source, outputs)


def check_inference_graph(path):
    """(input, outputs), names of tensors of a frozen inference graph. Raises StageError where it has not those of the API."""
    graph = read_graph(path)
    require_whole(graph, path)
    nodes = {node.name: node for node in graph.node}
    for name in (_INPUT, *_OUTPUTS):
        if name not in nodes:
            raise _not_exported(path, name, "%d other nodes" % len(nodes))
    kind = tf.as_dtype(nodes[_INPUT].attr["dtype"].type).name if nodes[_INPUT].op == "Placeholder" else nodes[_INPUT].op
    _check_kind(path, _INPUT, kind)
    return _INPUT + ":0", tuple(name + ":0" for name in _OUTPUTS)


def check_saved_model(path):
    """(input, outputs), names of tensors of a SavedModel's signature. Raises StageError where it has not that of the API."""
    model = saved_model_pb2.SavedModel()
    try:
        model.ParseFromString(path.read_bytes())
    except (OSError, DecodeError) as error:
        raise StageError("the SavedModel cannot be read", path, "a saved_model.pb", error, "freeze it again") from None
    tagged = [graph for graph in model.meta_graphs if _TAG in graph.meta_info_def.tags]
    if not tagged or _SIGNATURE not in tagged[0].signature_def:
        raise _not_exported(path, "tag %s, signature %s" % (_TAG, _SIGNATURE), "%d graphs without it" % len(model.meta_graphs))
    require_whole(tagged[0].graph_def, path)
    signature = tagged[0].signature_def[_SIGNATURE]
    for name, held in [(_SIGNATURE_INPUT, signature.inputs)] + [(name, signature.outputs) for name in _OUTPUTS]:
        if name not in held:
            raise _not_exported(path, name, ", ".join(sorted(held)) or "nothing")
    _check_kind(path, _SIGNATURE_INPUT, tf.as_dtype(signature.inputs[_SIGNATURE_INPUT].dtype).name)
    return signature.inputs[_SIGNATURE_INPUT].name, tuple(signature.outputs[name].name for name in _OUTPUTS)


def _not_exported(path, expected, found):
    return StageError("the model is not one that the Object Detection API exported", path, expected, found, "freeze the checkpoint again")


def _check_kind(path, name, found):
    if found != "uint8":
        raise StageError("the model does not take images", "%s: %s" % (path, name), "uint8", found, "export it with the input image_tensor")
