"""A detector as the SavedModel that TensorFlow Lite's converter reads, with the same bytes each time.

Three things differ between two exports of one model by `tf.saved_model.save` of TensorFlow 2.21 alone: fingerprint.pb has a random number,
the order of a function's variables is that of their places in memory, and maps are serialized in any order. So the first is left out (it is
optional), variables are in the order in which the function captured them, and saved_model.pb is serialized deterministically.
"""

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from _runtime import StageError, atomic_write

INPUT = "normalized_input_image_tensor"
BOXES, SCORES = "raw_outputs/box_encodings", "raw_outputs/class_predictions"
POSTPROCESS = "TFLite_Detection_PostProcess"
# Signatures. The raw one can be run; the other is for the converter: the operator's place is held by a function that puts out zeros.
RAW, DETECT = "raw_outputs", "serving_default"
# The operator's outputs (boxes, classes, scores, their number), by the names that the Object Detection API's exporter gives them in the
# signature (export_tflite_graph_lib_tf2.py of its release 2.8) and that programs on devices look for.
DETECTIONS = ("output_3", "output_2", "output_1", "output_0")


def write_saved_model(folder, raw_outputs, size, anchors, decode):
    """Write a SavedModel with the signatures `RAW` and `DETECT` to `folder`, which must not exist.

    raw_outputs: a function of a float32 tensor [1, height, width, 3], normalized, that returns (encoded boxes [1, n, 4], scores [1, n,
    classes] or, with the background's first, [1, n, classes + 1]); size: [height, width] in pixels; anchors: float32 [n, 4], ycenter,
    xcenter, height, width; decode: attributes of TFLite_Detection_PostProcess, or None for a model without it, whose `DETECT` is `RAW`.
    Raises StageError where outputs and anchors do not fit.
    """
    image = tf.TensorSpec([1, *size, 3], tf.float32, name=INPUT)

    @tf.function(input_signature=[image])
    def raw(pixels):
        boxes, scores = raw_outputs(pixels)
        return {BOXES: boxes, SCORES: scores}

    traced = raw.get_concrete_function()
    _check_shapes(traced.structured_outputs, anchors)
    detect = traced if decode is None else _detection_function(traced, image, anchors, decode).get_concrete_function()
    module = tf.Module()
    module.weights = captured_variables(traced)
    tf.saved_model.save(module, str(folder), signatures={RAW: traced, DETECT: detect})
    make_canonical(folder)


def captured_variables(function):
    """The variables of a concrete function, in the order in which it captured them."""
    places = {id(outside): place for place, (outside, _) in enumerate(function.graph.captures)}
    return sorted(function.variables, key=lambda variable: places[id(variable.handle)])


def make_canonical(folder):
    """Leave of a SavedModel that was just written what is the same in each export of the model, in one order."""
    (folder / "fingerprint.pb").unlink()
    if not any((folder / "assets").iterdir()):
        (folder / "assets").rmdir()
    path, model = folder / "saved_model.pb", saved_model_pb2.SavedModel()
    model.ParseFromString(path.read_bytes())
    with atomic_write(path) as stream:
        stream.write(model.SerializeToString(deterministic=True))


def _check_shapes(outputs, anchors):
    count = len(anchors)
    found = [outputs[name].shape.as_list() for name in (BOXES, SCORES)]
    if anchors.dtype != np.float32 or anchors.shape != (count, 4) or found[0] != [1, count, 4] or found[1][:2] != [1, count]:
        raise StageError(
            "the model's outputs do not fit its anchors",
            "%s, %s" % (BOXES, SCORES),
            "[1, %d, 4] and [1, %d, classes], for %d anchors" % (count, count, count),
            " and ".join(str(shape) for shape in found),
            "take the config that the model was trained with",
        )


def _detection_function(raw, image, anchors, decode):
    """A function from image to detections whose last part the converter replaces by the operator."""
    boxes = decode["max_detections"] * (1 if decode["use_regular_nms"] else decode["max_classes_per_detection"])

    @tf.function(experimental_implements=implements(decode))
    def operator(encodings, scores, anchors):  # noqa: ARG001  the converter reads them
        return tf.zeros([1, boxes, 4]), tf.zeros([1, boxes]), tf.zeros([1, boxes]), tf.zeros([1])

    @tf.function(input_signature=[image])
    def detect(pixels):
        outputs = raw(pixels)
        return dict(zip(DETECTIONS, operator(outputs[BOXES], outputs[SCORES], tf.constant(anchors, name="anchors"))))

    return detect


def implements(decode):
    """What tells the converter that a function stands for the operator: a NameAttrList in protobuf's text format."""
    return " ".join(
        ['name: "%s"' % POSTPROCESS, *('attr { key: "%s" value { %s } }' % (name, _value(decode[name])) for name in sorted(decode))]
    )


def _value(value):
    if isinstance(value, bool):
        return "b: %s" % str(value).lower()
    return "i: %d" % value if isinstance(value, int) else "f: %r" % value
