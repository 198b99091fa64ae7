"""What goes into a detector's .tflite and what comes out, found in the file and checked before anything runs."""

from typing import NamedTuple, Optional

import numpy as np

from _detection.resize import normalize
from _runtime import StageError
from _tflite.lint import describe
from _tflite.outputs import output_order, postprocess_operator

PIXEL_TYPES = {"uint8": np.uint8, "int8": np.int8, "float32": np.float32}
_DESCRIBED = ("inputs", "outputs", "postprocess")
_COUNTED_BY = ("num_classes", "max_classes_per_detection", "use_regular_nms")  # attributes by which the operator's outputs are read
_OWN_ARTIFACT = "take model.tflite, lint.json, labels.json and anchors.npy from one artifact: convert or import the model again"


class Port(NamedTuple):
    """An input or output. index: of its tensor; real value = scale * (value - zero_point), where scale is not None."""

    index: int
    name: str
    type: str
    shape: tuple
    scale: Optional[float]
    zero_point: int

    def real(self, value):
        """The real values, float32, of what the tensor holds."""
        if self.scale is None:
            return np.asarray(value, np.float32)
        return np.float32(self.scale) * (value.astype(np.int32) - self.zero_point).astype(np.float32)


class Interface(NamedTuple):
    """source: the input's `Port`; outputs: {role of `_tflite.outputs`: Port}; operator: whether the model has the post-process operator."""

    source: Port
    outputs: dict
    operator: bool


def port(tensor):
    """The `Port` of a tensor of a `_tflite.model.Model`."""
    quantized = bool(tensor.scales) and tensor.type != "float32"
    scale, zero_point = (tensor.scales[0], (*tensor.zero_points, 0)[0]) if quantized else (None, 0)
    return Port(tensor.index, tensor.name, tensor.type, tensor.shape, scale, zero_point)


def read_interface(model, where="model.tflite"):
    """The `Interface` of a `_tflite.model.Model`. Raises StageError where it is not that of a detector of pictures."""
    source = _source(model, where)
    roles = output_order(model, where)
    outputs = {role: port(model.tensors[index]) for role, index in zip(roles, model.outputs)}
    return Interface(source, outputs, postprocess_operator(model, where) is not None)


def _source(model, where):
    if len(model.inputs) != 1:
        raise StageError("the model has not one input", where, 1, len(model.inputs), "give a detector of pictures")
    found = port(model.tensors[model.inputs[0]])
    place = "%s, input %s" % (where, found.name)
    told = "%s %s" % (found.type, list(found.shape))
    if len(found.shape) != 4 or found.shape[0] != 1 or found.shape[3] != 3 or min(found.shape) < 1:
        raise StageError(
            "the model's input is no picture", place, "[1, height, width, 3]", told, "export it for one picture of a fixed size"
        )
    if found.type not in PIXEL_TYPES:
        raise StageError(
            "the model's input is of another type than pictures are given in",
            place,
            ", ".join(PIXEL_TYPES),
            told,
            "export it with one of these",
        )
    if found.type != "float32" and not (found.scale and found.scale > 0 and np.isfinite(found.scale)):
        raise StageError("the model's input has no scale", place, "a scale above 0 and a zero point", told, "quantize the model again")
    return found


def check_artifact(model, lint, classes, anchors, where="model.tflite"):
    """The `Interface` of the model of a tflite artifact, after comparing it with what lies beside it.

    model: `_tflite.model.Model`; lint: the value of lint.json; classes: of labels.json; anchors: of anchors.npy. Raises StageError where
    they are not one model's.
    """
    interface = read_interface(model, where)
    about = describe(model)
    wrong = [name for name in _DESCRIBED if lint[name] != about[name]]
    size = list(interface.source.shape[1:3])
    if wrong or list(lint["input_size"]) != size:
        name = wrong[0] if wrong else "input_size"
        raise StageError(
            "lint.json describes another model", "lint.json: %s" % name, about[name] if wrong else size, lint[name], _OWN_ARTIFACT
        )
    told = about["postprocess"] or {}
    for name in _COUNTED_BY:
        if told.get(name, lint["decode"][name]) != lint["decode"][name]:
            place = "lint.json: decode: %s" % name
            raise StageError(
                "the post-process operator has another attribute than lint.json says",
                place,
                told[name],
                lint["decode"][name],
                _OWN_ARTIFACT,
            )
    check_classes_of(model, interface, lint["decode"], classes, where)
    _check_anchors(model, interface, anchors, where)
    return interface


def check_classes_of(model, interface, decode, classes, where="model.tflite"):
    """Raise StageError where a model does not tell as many classes as it has names. decode: the attributes of the operator."""
    number = len(classes)
    if decode["num_classes"] != number:
        raise StageError(
            "the labels are not as many as the model's classes",
            where,
            "%d names, as the post-process has classes" % decode["num_classes"],
            number,
            "give the labels of this model, without the background",
        )
    scores = _raw_scores(model, interface)
    if len(scores.shape) != 3 or scores.shape[2] not in (number, number + 1):
        raise StageError(
            "the labels do not fit the model's scores",
            "%s, tensor %s" % (where, scores.name),
            "[1, anchors, %d], or one more with background" % number,
            list(scores.shape),
            "give the labels of this model, without the background",
        )


def _raw_scores(model, interface):
    """The tensor with a score for each anchor and class: an output, or the operator's second input."""
    operator = postprocess_operator(model)
    return model.tensors[interface.outputs["scores"].index if operator is None else operator.inputs[1]]


def _check_anchors(model, interface, anchors, where):
    count = _raw_scores(model, interface).shape[1]
    if anchors.dtype != np.float32 or anchors.shape != (count, 4):
        raise StageError(
            "the anchors are not the model's",
            "anchors.npy",
            "float32 [%d, 4], as %s has scores" % (count, where),
            "%s %s" % (anchors.dtype, list(anchors.shape)),
            _OWN_ARTIFACT,
        )


def input_table(source, mean, std):
    """What each grey level, 0 to 255, is given to the model as: an array [256, 1], or [256, 3] where the channels differ.

    real = (pixel - mean) / std; a quantized input takes round(real / scale) + zero_point, halves away from zero, as the operator QUANTIZE
    computes it (AffineQuantize in tensorflow/lite/kernels/internal/reference/quantize.h). For a uint8 input of TOCO, whose scale is 1 / std
    and whose zero point is the mean, that is the pixel itself. source: `Port`; mean, std: numbers, or one for each channel.
    """
    real = normalize(np.arange(256, dtype=np.uint8)[:, np.newaxis], mean, std)
    if source.scale is None:
        return real
    steps = (real / np.float32(source.scale)).astype(np.float64)
    limits = np.iinfo(PIXEL_TYPES[source.type])
    return np.clip(np.trunc(steps + np.copysign(0.5, steps)) + source.zero_point, limits.min, limits.max).astype(limits.dtype)
