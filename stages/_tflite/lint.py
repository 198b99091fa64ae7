"""The lint of a converted detector: what is in the flatbuffer, and what must not be.

TOCO can succeed and leave a model that runs but is not what was asked for: a head that stayed in float, a DEQUANTIZE in the middle, another
input scale. Every rule here names the tensor or operator that breaks it.
"""
import math
from collections import Counter, namedtuple
from itertools import islice

from _runtime import StageError
from _tflite import schema
from _tflite.custom_options import read_options
from _tflite.flatbuffer import Damaged
from _tflite.model import read_model

POSTPROCESS = "TFLite_Detection_PostProcess"
POSTPROCESS_OUTPUTS = [POSTPROCESS, POSTPROCESS + ":1", POSTPROCESS + ":2", POSTPROCESS + ":3"]
RAW_OUTPUTS = ["raw_outputs/box_encodings", "raw_outputs/class_predictions"]

# Operators that move between number formats: their presence means that a part of the model is not in the format that was asked for.
_CONVERSIONS = ("DEQUANTIZE", "QUANTIZE", "FAKE_QUANT", "CAST")
_WITH_WEIGHTS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
_MOST_PROBLEMS = 20  # looked for; one is enough to refuse the model
_RELATIVE = 1e-4  # scales are float32, computed in several steps

# What the model must be. inference_type: "uint8" or "float"; input_shape: [1, h, w, 3]; mean, std: value = (pixel - mean) / std;
# outputs: names in order; postprocess: {attribute: value} of the graph's post-process operator, or None where it has none.
Expected = namedtuple("Expected", "inference_type input_name input_shape mean std outputs postprocess")


def lint(content, expected, where="model.tflite"):
    """Report on the bytes of a model: the fields of lint.json that come from the flatbuffer (operators, tensors, inputs, outputs, …).

    Raises StageError: on the first rule that is broken (`found` says how many more are), or where `content` is no model.
    """
    model = read_model(content, where)
    report = describe(model)
    problems = list(islice(_problems(model, report, expected, where), _MOST_PROBLEMS))
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
        "bytes": model.size,
        "postprocess": _postprocess(model),
    }


def _interface(tensor):
    return {"name": tensor.name, "shape": list(tensor.shape), "type": tensor.type,
            "scale": _finite(tensor.scales[0]) if tensor.scales else None, "zero_point": tensor.zero_points[0] if tensor.zero_points else None}


def _finite(value):
    return value if math.isfinite(value) else None


def _postprocess(model):
    """Attributes of the post-process operator; None without one, or where they cannot be read (`_check_postprocess` says so)."""
    for operator in model.operators:
        if operator.op == POSTPROCESS:
            try:
                options = read_options(operator.options)
            except Damaged:
                return None
            return {name: value if isinstance(value, (bool, int)) else _finite(value) for name, value in options.items()}
    return None


def _summary(problems):
    names = ["%s at %s" % (problem.what, problem.where) for problem in problems[:3]]
    return "; ".join(names) + ("; …" if len(problems) > 3 else "")


def _problems(model, report, expected, where):
    if not model.operators:
        yield StageError("the model has no operators", where, "a detector", "%d bytes" % model.size, "convert the graph again")
        return
    for rule in (_check_custom_operators, _check_input, _check_outputs, _check_postprocess, _check_sizes):
        for problem in rule(model, report, expected, where):
            yield problem
    rules = (_check_uint8_types, _check_conversions, _check_weights) if expected.inference_type == "uint8" else (_check_float_types,)
    for rule in rules:
        for problem in rule(model, report, expected, where):
            yield problem


def _check_custom_operators(model, _report, _expected, where):
    for operator in model.operators:
        if operator.custom and operator.op != POSTPROCESS:
            yield StageError("the model has a custom operator that no runtime brings", "%s, operator %d" % (where, operator.index),
                             "TFLite_Detection_PostProcess alone", operator.op or "one without a name",
                             "use a feature extractor and box predictor that TensorFlow Lite has operators for")
        if operator.op.startswith("OPERATOR_"):
            yield StageError("the model has an unknown operator", "%s, operator %d" % (where, operator.index), "a known operator", operator.op,
                             "convert with the export image's converter")


def _check_input(model, report, expected, where):
    kind = "uint8" if expected.inference_type == "uint8" else "float32"
    names = [found["name"] for found in report["inputs"]]
    if names != [expected.input_name]:
        yield StageError("the model's inputs are not the graph's", where, expected.input_name, ", ".join(names) or "none", "convert the graph again")
        return
    found = report["inputs"][0]
    place = "%s, input %s" % (where, found["name"])
    if found["type"] != kind:
        yield StageError("the model's input has another type", place, kind, found["type"], "convert with inference_type %s" % expected.inference_type)
    elif found["shape"] != list(expected.input_shape):
        yield StageError("the model's input has another shape", place, list(expected.input_shape), found["shape"], "convert the graph again")
    elif kind == "uint8":
        # value = scale * (pixel - zero_point)
        scale, zero_point = 1.0 / expected.std, int(math.floor(expected.mean + 0.5))
        if found["scale"] is None or not _near(found["scale"], scale) or found["zero_point"] != zero_point:
            yield StageError("the model's input is scaled otherwise than in training", place, "scale %g, zero point %d" % (scale, zero_point),
                             "scale %s, zero point %s" % (found["scale"], found["zero_point"]), "convert with mean %g and std %g" % (expected.mean, expected.std))


def _near(value, wanted):
    return abs(value - wanted) <= _RELATIVE * abs(wanted)


def _check_outputs(_model, report, expected, where):
    names = [found["name"] for found in report["outputs"]]
    if names != list(expected.outputs):
        yield StageError("the model's outputs are not the graph's, in its order", where, ", ".join(expected.outputs), ", ".join(names) or "none",
                         "convert the graph again")


def _check_postprocess(model, report, expected, where):
    operators = [operator for operator in model.operators if operator.op == POSTPROCESS]
    wanted = 0 if expected.postprocess is None else 1
    if len(operators) != wanted:
        yield StageError("the model's post-process operator is not as in the graph", where, "%d of %s" % (wanted, POSTPROCESS), len(operators),
                         "convert the graph again")
        return
    if not wanted:
        return
    place = "%s, operator %s" % (where, POSTPROCESS)
    attributes = report["postprocess"]
    if attributes is None:
        yield StageError("the options of the post-process operator cannot be read", place, "a map of its attributes",
                         "%d bytes" % len(operators[0].options), "convert the graph again")
        return
    for name, value in sorted(expected.postprocess.items()):
        found = attributes.get(name)
        if found is None or (isinstance(value, bool) and found is not value) or not _near(found, value):
            yield StageError("the post-process operator has another %s than the graph" % name, place, value, found, "convert the graph again")
    if list(operators[0].outputs) != list(model.outputs):
        yield StageError("the model's outputs are not those of the post-process operator", place, list(operators[0].outputs), list(model.outputs),
                         "convert the graph again")


def _check_sizes(model, _report, _expected, where):
    for tensor in model.tensors:
        size = schema.ELEMENT_BYTES.get(tensor.type)
        elements = 1
        for side in tensor.shape:
            elements *= max(side, 0)
        if tensor.bytes and size and tensor.bytes != elements * size:
            yield StageError("a constant tensor holds another number of bytes than its shape says", _place(where, tensor), "%s of %s, %d bytes" % (
                list(tensor.shape), tensor.type, elements * size), "%d bytes" % tensor.bytes, "convert the graph again")


def _place(where, tensor):
    return "%s, tensor %s" % (where, tensor.name)


def _users(model, index):
    """The operators that make or read a tensor, for messages."""
    users = ["%s %d" % (operator.op, operator.index) for operator in model.operators if index in operator.inputs or index in operator.outputs]
    return ", ".join(users[:3]) or "no operator"


def _allowed_float(model):
    return {index for operator in model.operators if operator.op == POSTPROCESS for index in operator.outputs}


def _check_uint8_types(model, _report, _expected, where):
    """Activations and weights are uint8 with a scale; biases and shapes int32; float only what the post-process operator puts out."""
    floats = _allowed_float(model)
    for tensor in model.tensors:
        if tensor.index in floats:
            if tensor.type != "float32":
                yield StageError("an output of the post-process operator has another type", _place(where, tensor), "float32", tensor.type,
                                 "convert the graph again")
        elif tensor.type not in ("uint8", "int32"):
            yield StageError("a tensor of the uint8 model is %s" % tensor.type, _place(where, tensor), "uint8 (or int32 for a bias or shape)",
                             "%s, used by %s" % (tensor.type, _users(model, tensor.index)),
                             "train with quantization, and look up this layer in the graph's fake_quant_audit.json")
        elif tensor.type == "uint8" and not _quantized(tensor):
            yield StageError("a uint8 tensor has no usable scale", _place(where, tensor), "one scale above 0 and a zero point in 0..255",
                             "scale %s, zero point %s" % (list(tensor.scales), list(tensor.zero_points)), "look up this layer in fake_quant_audit.json")


def _quantized(tensor):
    return (len(tensor.scales) == 1 and len(tensor.zero_points) == 1 and math.isfinite(tensor.scales[0]) and tensor.scales[0] > 0
            and 0 <= tensor.zero_points[0] <= 255)


def _check_conversions(model, _report, _expected, where):
    for operator in model.operators:
        if operator.op in _CONVERSIONS:
            names = ", ".join(model.tensors[index].name for index in operator.outputs)
            yield StageError("the uint8 model converts between number formats", "%s, operator %s %d" % (where, operator.op, operator.index),
                             "none of %s" % ", ".join(_CONVERSIONS), "%s that makes %s" % (operator.op, names),
                             "look up the layers around it in fake_quant_audit.json")


def _check_weights(model, _report, _expected, where):
    """Weights are constants; a bias is int32 with the scale of input times weights, or sums would be of different units."""
    for operator in model.operators:
        if operator.op not in _WITH_WEIGHTS or operator.custom:
            continue
        if len(operator.inputs) < 2 or min(operator.inputs[:2]) < 0:
            yield StageError("an operator has no weights", "%s, operator %s %d" % (where, operator.op, operator.index), "input and weights",
                             list(operator.inputs), "convert the graph again")
            continue
        data, weights = (model.tensors[index] for index in operator.inputs[:2])
        if not weights.bytes:
            yield StageError("the weights of an operator are not constant", _place(where, weights), "data in the file", "none", "freeze the graph again")
        if len(operator.inputs) > 2 and operator.inputs[2] >= 0 and _quantized(data) and _quantized(weights):
            bias = model.tensors[operator.inputs[2]]
            scale = data.scales[0] * weights.scales[0]
            if bias.type != "int32" or len(bias.scales) != 1 or not _near(bias.scales[0], scale):
                yield StageError("a bias is not quantized with its layer", _place(where, bias), "int32 with scale %g" % scale,
                                 "%s with scale %s" % (bias.type, list(bias.scales)), "look up this layer in fake_quant_audit.json")


def _check_float_types(model, _report, _expected, where):
    for tensor in model.tensors:
        if tensor.type not in ("float32", "int32"):
            yield StageError("a tensor of the float model is %s" % tensor.type, _place(where, tensor), "float32 (or int32 for a shape)",
                             "%s, used by %s" % (tensor.type, _users(model, tensor.index)), "convert the graph again")
    for operator in model.operators:
        if operator.op in ("DEQUANTIZE", "QUANTIZE"):
            yield StageError("the float model converts between number formats", "%s, operator %s %d" % (where, operator.op, operator.index),
                             "no DEQUANTIZE or QUANTIZE", operator.op, "convert the graph again")
