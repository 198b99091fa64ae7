"""The lint of a converted detector: what is in the flatbuffer, and what must not be.

A converter can succeed and leave a model that runs but is not what was asked for: a head that stayed in float, a DEQUANTIZE in the middle,
another input scale. Every rule, here and in type_rules.py, names the tensor or operator that breaks it.
"""

import math
from collections import Counter
from itertools import islice
from typing import Any, List, NamedTuple, Optional

from _runtime import StageError
from _tflite import schema
from _tflite.custom_options import read_options
from _tflite.flatbuffer import DamagedError
from _tflite.model import read_model
from _tflite.outputs import POSTPROCESS, output_order
from _tflite.places import Places
from _tflite.type_rules import RULES, near, quantized

_MOST_PROBLEMS = 20  # looked for; one is enough to refuse the model
_AGAIN = "convert the graph again"
_BEYOND, _LEAST = 0.1, 0.5  # of the range of real pixels: by how much an input's own may exceed it, and how much of it there must be


class Expected(NamedTuple):
    """What the model must be.

    inference_type: "uint8" (TOCO's), "int8", "float16", "dynamic-range" or "float"; input_shape: [1, h, w, 3]; mean, std: value =
    (pixel - mean) / std, numbers or one for each channel; outputs: names in order; postprocess: {attribute: value} of the graph's
    post-process operator, or None where it has none. Of an int8 model also input_type: "uint8", "int8" or "float32"; trained: whether its
    ranges were trained, not measured.
    """

    inference_type: str
    input_name: str
    input_shape: List[int]
    mean: Any
    std: Any
    outputs: List[str]
    postprocess: Optional[dict]
    input_type: Optional[str] = None
    trained: bool = False


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


def pixel_range(mean, std):
    """(least, most) of (pixel - mean) / std for pixels from 0 to 255. mean, std: numbers, or one for each channel."""
    means, stds = (value if isinstance(value, (list, tuple)) else [value] for value in (mean, std))
    ends = [(pixel - middle) / width for pixel in (0, 255) for middle, width in zip(means * len(stds), stds * len(means))]
    return min(ends), max(ends)


class _Rules:
    """Each rule yields a StageError for whatever breaks it."""

    def __init__(self, model, report, expected, where):
        self.model = model
        self.report = report
        self.expected = expected
        self.where = where
        self.places = Places(model, where)

    def problems(self):
        if not self.model.operators:
            yield StageError("the model has no operators", self.where, "a detector", "%d bytes" % self.model.size, _AGAIN)
            return
        for rule in (self.operators, self.input, self.outputs, self.postprocess):
            yield from rule()
        for rule in RULES[self.expected.inference_type]:
            yield from rule(self.places, self.expected)
        yield from self.sizes()

    def operators(self):
        for operator in self.model.operators:
            if operator.custom and operator.op != POSTPROCESS:
                yield StageError(
                    "the model has a custom operator that no runtime brings",
                    self.places.operator(operator),
                    "%s alone" % POSTPROCESS,
                    "%s%s" % (operator.op or "one without a name", self.places.of_layer(operator)),
                    "use a feature extractor and box predictor that TensorFlow Lite has operators for",
                )
            if operator.op.startswith("OPERATOR_"):
                yield StageError(
                    "the model has an unknown operator",
                    self.places.operator(operator),
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
        kind = self.expected.input_type or ("uint8" if self.expected.inference_type == "uint8" else "float32")
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
        elif self.expected.inference_type == "uint8":
            yield from self._exact_input(found, place)
        elif self.expected.inference_type == "int8":
            yield from self._input_range(place)

    def _exact_input(self, found, place):
        """The input of TOCO's model: value = scale * (pixel - zero_point)."""
        scale, zero_point = 1.0 / self.expected.std, math.floor(self.expected.mean + 0.5)
        if found["scale"] is None or not near(found["scale"], scale) or found["zero_point"] != zero_point:
            yield StageError(
                "the model's input is scaled otherwise than in the graph",
                place,
                "scale %g, zero point %d" % (scale, zero_point),
                "scale %s, zero point %s" % (found["scale"], found["zero_point"]),
                "convert with mean %g and std %g" % (self.expected.mean, self.expected.std),
            )

    def _input_range(self, place):
        """The input's range was measured on pictures or trained: it must be about that of normalized pixels."""
        tensor = self.model.tensors[self.model.inputs[0]]
        if tensor.type == "float32":
            made = [each.outputs[0] for each in self.places.readers.get(tensor.index, ()) if each.op == "QUANTIZE" and each.outputs]
            tensor = self.model.tensors[made[0]] if made else tensor
        if tensor.type not in ("uint8", "int8") or not quantized(tensor, tensor.type):
            yield StageError("the model's input has no usable scale", place, "a scale above 0", list(tensor.scales[:4]), _AGAIN)
            return
        first, last = (0, 255) if tensor.type == "uint8" else (-128, 127)
        low, high = (tensor.scales[0] * (end - tensor.zero_points[0]) for end in (first, last))
        least, most = pixel_range(self.expected.mean, self.expected.std)
        room = _BEYOND * (most - least)
        if low < least - room or high > most + room or high - low < _LEAST * (most - least):
            yield StageError(
                "the model's input has another range than normalized pixels",
                place,
                "about %g to %g: (pixel - mean) / std with mean %s and std %s" % (least, most, self.expected.mean, self.expected.std),
                "%g to %g" % (low, high),
                "calibrate, or train, with pictures that are normalized so",
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
            place = self.places.operator(operators[0])
            if self.report["postprocess"] is None:
                yield StageError(
                    "the options of the post-process operator cannot be read",
                    place,
                    "a map of its attributes",
                    "%d bytes" % len(operators[0].options),
                    _AGAIN,
                )
                return
            yield from self._attributes(place)
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
            if found is None or (isinstance(value, bool) and found is not value) or not near(found, value):
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
                    self.places.tensor(tensor),
                    "%d bytes, %s of %s" % (size, tensor.type, list(tensor.shape)),
                    "%d bytes" % tensor.bytes,
                    _AGAIN,
                )
