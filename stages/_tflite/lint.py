"""The lint of a converted detector: what is in the flatbuffer, and what must not be.

TOCO can succeed and leave a model that runs but is not what was asked for: a head that stayed in float, a DEQUANTIZE in the middle, another
input scale. Every rule here names the tensor or operator that breaks it.
"""

import math
from collections import Counter
from itertools import islice
from typing import List, NamedTuple, Optional

from _runtime import StageError
from _tflite import schema
from _tflite.custom_options import read_options
from _tflite.flatbuffer import DamagedError
from _tflite.model import read_model
from _tflite.outputs import POSTPROCESS, output_order

# Operators that move between number formats: their presence means that a part of the model is not in the format that was asked for.
_CONVERSIONS = ("DEQUANTIZE", "QUANTIZE", "FAKE_QUANT", "CAST")
_WITH_WEIGHTS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
_MOST_PROBLEMS = 20  # looked for; one is enough to refuse the model
_RELATIVE = 1e-4  # scales are float32, computed in several steps
_AGAIN = "convert the graph again"
_LOOK_UP = "look up this layer in the graph's fake_quant_audit.json"


class Expected(NamedTuple):
    """What the model must be.

    inference_type: "uint8" or "float"; input_shape: [1, h, w, 3]; mean, std: value = (pixel - mean) / std; outputs: names in order;
    postprocess: {attribute: value} of the graph's post-process operator, or None where it has none.
    """

    inference_type: str
    input_name: str
    input_shape: List[int]
    mean: float
    std: float
    outputs: List[str]
    postprocess: Optional[dict]


def lint(content, expected, where="model.tflite"):
    """Report on the bytes of a model: the fields of lint.json that come from the flatbuffer (operators, tensors, inputs, outputs, …).

    Raises StageError: on the first rule that is broken (`found` tells of others), or where `content` is no model.
    """
    model = read_model(content, where)
    report = describe(model)
    problems = list(islice(_Rules(model, report, expected, where).problems(), _MOST_PROBLEMS))
    if len(problems) > 1:
        raise StageError(**dict(problems[0].as_dict(), found="%s (more is wrong: %s)" % (problems[0].found, _summary(problems[1:]))))
    if problems:
        raise problems[0]
    return report


def describe(model):
    """What is in a `Model`, without judging it."""
    operators = Counter((operator.op, operator.custom) for operator in model.operators)
    return {
        "operators": [{"op": op, "count": count, "custom": custom} for (op, custom), count in sorted(operators.items())],
        "tensors": dict(sorted(Counter(tensor.type for tensor in model.tensors).items())),
        "inputs": [_interface(model.tensors[index]) for index in model.inputs],
        "outputs": [_interface(model.tensors[index]) for index in model.outputs],
        "output_order": _order(model),
        "bytes": model.size,
        "postprocess": _postprocess(model),
    }


def _order(model):
    """What each output is; None where it is no detector's (a rule says so)."""
    try:
        return output_order(model)
    except StageError:
        return None


def _interface(tensor):
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "type": tensor.type,
        "scale": _finite(tensor.scales[0]) if tensor.scales else None,
        "zero_point": tensor.zero_points[0] if tensor.zero_points else None,
    }


def _finite(value):
    return value if math.isfinite(value) else None


def _postprocess(model):
    """Attributes of the post-process operator; None without one, or where they cannot be read (a rule says so)."""
    for operator in model.operators:
        if operator.op == POSTPROCESS:
            try:
                options = read_options(operator.options)
            except DamagedError:
                return None
            return {name: value if isinstance(value, (bool, int)) else _finite(value) for name, value in options.items()}
    return None


def _summary(problems):
    names = ["%s at %s" % (problem.what, problem.where) for problem in problems[:3]]
    return "; ".join(names) + ("; …" if len(problems) > 3 else "")


def _near(value, wanted):
    return abs(value - wanted) <= _RELATIVE * abs(wanted)


def _quantized(tensor):
    return (
        len(tensor.scales) == 1
        and len(tensor.zero_points) == 1
        and math.isfinite(tensor.scales[0])
        and tensor.scales[0] > 0
        and 0 <= tensor.zero_points[0] <= 255
    )


class _Rules:
    """Each rule yields a StageError for whatever breaks it."""

    def __init__(self, model, report, expected, where):
        self.model = model
        self.report = report
        self.expected = expected
        self.where = where

    def problems(self):
        if not self.model.operators:
            yield StageError("the model has no operators", self.where, "a detector", "%d bytes" % self.model.size, _AGAIN)
            return
        rules = [self.operators, self.input, self.outputs, self.postprocess]
        rules += [self.uint8_types, self.conversions, self.weights] if self.expected.inference_type == "uint8" else [self.float_types]
        rules += [self.sizes]
        for rule in rules:
            for problem in rule():
                yield problem

    def _operator(self, operator):
        return "%s, operator %s %d" % (self.where, operator.op, operator.index)

    def _tensor(self, tensor):
        return "%s, tensor %s" % (self.where, tensor.name)

    def _users(self, tensor):
        """The operators that make or read a tensor."""
        users = [
            "%s %d" % (operator.op, operator.index)
            for operator in self.model.operators
            if tensor.index in operator.inputs or tensor.index in operator.outputs
        ]
        return ", ".join(users[:3]) or "no operator"

    def operators(self):
        for operator in self.model.operators:
            if operator.custom and operator.op != POSTPROCESS:
                yield StageError(
                    "the model has a custom operator that no runtime brings",
                    self._operator(operator),
                    "%s alone" % POSTPROCESS,
                    operator.op or "one without a name",
                    "use a feature extractor and box predictor that TensorFlow Lite has operators for",
                )
            if operator.op.startswith("OPERATOR_"):
                yield StageError(
                    "the model has an unknown operator",
                    self._operator(operator),
                    "a known operator",
                    operator.op,
                    "convert with the export image's converter",
                )

    def input(self):
        names = [found["name"] for found in self.report["inputs"]]
        if names != [self.expected.input_name]:
            yield StageError(
                "the model's inputs are not the graph's", self.where, self.expected.input_name, ", ".join(names) or "none", _AGAIN
            )
            return
        found = self.report["inputs"][0]
        place = "%s, input %s" % (self.where, found["name"])
        kind = "uint8" if self.expected.inference_type == "uint8" else "float32"
        if found["type"] != kind:
            yield StageError(
                "the model's input has another type",
                place,
                kind,
                found["type"],
                "convert with inference_type %s" % self.expected.inference_type,
            )
        elif found["shape"] != list(self.expected.input_shape):
            yield StageError("the model's input has another shape", place, self.expected.input_shape, found["shape"], _AGAIN)
        elif kind == "uint8":
            # value = scale * (pixel - zero_point)
            scale, zero_point = 1.0 / self.expected.std, math.floor(self.expected.mean + 0.5)
            if found["scale"] is None or not _near(found["scale"], scale) or found["zero_point"] != zero_point:
                yield StageError(
                    "the model's input is scaled otherwise than in the graph",
                    place,
                    "scale %g, zero point %d" % (scale, zero_point),
                    "scale %s, zero point %s" % (found["scale"], found["zero_point"]),
                    "convert with mean %g and std %g" % (self.expected.mean, self.expected.std),
                )

    def outputs(self):
        names = [found["name"] for found in self.report["outputs"]]
        if names != list(self.expected.outputs):
            yield StageError(
                "the model's outputs are not the graph's, in its order",
                self.where,
                ", ".join(self.expected.outputs),
                ", ".join(names) or "none",
                _AGAIN,
            )

    def postprocess(self):
        operators = [operator for operator in self.model.operators if operator.op == POSTPROCESS]
        wanted = 0 if self.expected.postprocess is None else 1
        if len(operators) != wanted:
            yield StageError(
                "the model's post-process operator is not as in the graph",
                self.where,
                "%d of %s" % (wanted, POSTPROCESS),
                len(operators),
                _AGAIN,
            )
        elif wanted:
            place = self._operator(operators[0])
            if self.report["postprocess"] is None:
                yield StageError(
                    "the options of the post-process operator cannot be read",
                    place,
                    "a map of its attributes",
                    "%d bytes" % len(operators[0].options),
                    _AGAIN,
                )
                return
            for problem in self._attributes(place):
                yield problem
            if operators[0].outputs != self.model.outputs:
                yield StageError(
                    "the model's outputs are not those of the post-process operator",
                    place,
                    list(operators[0].outputs),
                    list(self.model.outputs),
                    _AGAIN,
                )

    def _attributes(self, place):
        for name, value in sorted(self.expected.postprocess.items()):
            found = self.report["postprocess"].get(name)
            if found is None or (isinstance(value, bool) and found is not value) or not _near(found, value):
                yield StageError("the post-process operator has another %s than the graph" % name, place, value, found, _AGAIN)

    def sizes(self):
        """A constant holds as many bytes as its shape and type need."""
        for tensor in self.model.tensors:
            size = schema.ELEMENT_BYTES.get(tensor.type)
            for side in tensor.shape:
                size = size and size * max(side, 0)
            if tensor.bytes and size is not None and tensor.bytes != size:
                yield StageError(
                    "a constant tensor holds another number of bytes than its shape says",
                    self._tensor(tensor),
                    "%d bytes, %s of %s" % (size, tensor.type, list(tensor.shape)),
                    "%d bytes" % tensor.bytes,
                    _AGAIN,
                )

    def uint8_types(self):
        """Activations and weights are uint8 with a scale; biases and shapes int32; float only what the post-process operator puts out."""
        floats = {index for operator in self.model.operators if operator.op == POSTPROCESS for index in operator.outputs}
        for tensor in self.model.tensors:
            if tensor.index in floats:
                if tensor.type != "float32":
                    yield StageError(
                        "an output of the post-process operator has another type", self._tensor(tensor), "float32", tensor.type, _AGAIN
                    )
            elif tensor.type not in ("uint8", "int32"):
                yield StageError(
                    "a tensor of the uint8 model is %s" % tensor.type,
                    self._tensor(tensor),
                    "uint8, or int32 for a bias or shape",
                    "%s, used by %s" % (tensor.type, self._users(tensor)),
                    "train with quantization, and %s" % _LOOK_UP,
                )
            elif tensor.type == "uint8" and not _quantized(tensor):
                yield StageError(
                    "a uint8 tensor has no usable scale",
                    self._tensor(tensor),
                    "one scale above 0 and a zero point in 0..255",
                    "scale %s, zero point %s" % (list(tensor.scales[:4]), list(tensor.zero_points[:4])),
                    _LOOK_UP,
                )

    def conversions(self):
        for operator in self.model.operators:
            if operator.op in _CONVERSIONS:
                names = ", ".join(self.model.tensors[index].name for index in operator.outputs[:4])
                yield StageError(
                    "the uint8 model converts between number formats",
                    self._operator(operator),
                    "none of %s" % ", ".join(_CONVERSIONS),
                    "%s that makes %s" % (operator.op, names),
                    "look up the layers around it in the graph's fake_quant_audit.json",
                )

    def weights(self):
        """Weights are constants; a bias is int32 with the scale of input times weights, or sums would be of different units."""
        for operator in self.model.operators:
            if operator.op not in _WITH_WEIGHTS or operator.custom:
                continue
            if len(operator.inputs) < 2 or min(operator.inputs[:2]) < 0:
                yield StageError("an operator has no weights", self._operator(operator), "input and weights", list(operator.inputs), _AGAIN)
                continue
            data, weights = (self.model.tensors[index] for index in operator.inputs[:2])
            if not weights.bytes:
                yield StageError(
                    "the weights of an operator are not constant",
                    self._tensor(weights),
                    "data in the file",
                    "none",
                    "freeze the graph again",
                )
            if len(operator.inputs) > 2 and operator.inputs[2] >= 0 and _quantized(data) and _quantized(weights):
                bias = self.model.tensors[operator.inputs[2]]
                scale = data.scales[0] * weights.scales[0]
                if bias.type != "int32" or len(bias.scales) != 1 or not _near(bias.scales[0], scale):
                    yield StageError(
                        "a bias is not quantized with its layer",
                        self._tensor(bias),
                        "int32 with scale %g" % scale,
                        "%s with scale %s" % (bias.type, list(bias.scales[:4])),
                        _LOOK_UP,
                    )

    def float_types(self):
        for tensor in self.model.tensors:
            if tensor.type not in ("float32", "int32"):
                yield StageError(
                    "a tensor of the float model is %s" % tensor.type,
                    self._tensor(tensor),
                    "float32, or int32 for a shape",
                    "%s, used by %s" % (tensor.type, self._users(tensor)),
                    _AGAIN,
                )
        for operator in self.model.operators:
            if operator.op in ("DEQUANTIZE", "QUANTIZE"):
                yield StageError(
                    "the float model converts between number formats",
                    self._operator(operator),
                    "no DEQUANTIZE or QUANTIZE",
                    operator.op,
                    _AGAIN,
                )
