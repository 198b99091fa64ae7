"""What the tensors and operators of a model may be, by what it computes in. Each rule yields a StageError for whatever breaks it."""

import math

from _runtime import StageError
from _tflite.outputs import POSTPROCESS
from _tflite.places import scope_of

# Operators that move between number formats: their presence means that a part of the model is not in the format that was asked for.
_CONVERSIONS = ("DEQUANTIZE", "QUANTIZE", "FAKE_QUANT", "CAST")
_OUTPUT_CHANNELS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0}  # dimension of the weights
_RANGES = {"uint8": (0, 255), "int8": (-128, 127)}
_RELATIVE = 1e-4  # scales are float32, computed in several steps
_AGAIN = "convert the graph again"
_LOOK_UP = "look up this layer in the graph's fake_quant_audit.json"
_NO_INT8 = "TensorFlow Lite has no int8 version of it: use a feature extractor and activations that have one, or convert with float16"


def near(value, wanted):
    """Whether two scales are the same but for rounding."""
    return abs(value - wanted) <= _RELATIVE * abs(wanted)


def quantized(tensor, kind):
    """Whether a tensor has one scale, and a zero point that its type, uint8 or int8, can hold."""
    low, high = _RANGES[kind]
    return (
        len(tensor.scales) == 1
        and len(tensor.zero_points) == 1
        and math.isfinite(tensor.scales[0])
        and tensor.scales[0] > 0
        and low <= tensor.zero_points[0] <= high
    )


def uint8_types(places, _expected):
    """Activations and weights are uint8 with a scale; biases and shapes int32; float only what the post-process operator puts out."""
    floats = places.put_out()
    for tensor in places.model.tensors:
        if tensor.index in floats:
            yield from _float_output(places, tensor)
        elif tensor.type not in ("uint8", "int32"):
            yield StageError(
                "a tensor of the uint8 model is %s" % tensor.type,
                places.tensor(tensor),
                "uint8, or int32 for a bias or shape",
                "%s, used by %s" % (tensor.type, places.users(tensor)),
                "train with quantization, and %s" % _LOOK_UP,
            )
        elif tensor.type == "uint8":
            yield from _scale(places, tensor, _LOOK_UP)


def _float_output(places, tensor):
    if tensor.type != "float32":
        yield StageError("an output of the post-process operator has another type", places.tensor(tensor), "float32", tensor.type, _AGAIN)


def _scale(places, tensor, remedy):
    if not quantized(tensor, tensor.type):
        yield StageError(
            "%s %s tensor has no usable scale" % ("an" if tensor.type == "int8" else "a", tensor.type),
            places.tensor(tensor),
            "one scale above 0 and a zero point in %d..%d" % _RANGES[tensor.type],
            "scale %s, zero point %s" % (list(tensor.scales[:4]), list(tensor.zero_points[:4])),
            remedy,
        )


def uint8_conversions(places, _expected):
    """There are none: TOCO's uint8 model is uint8 from the pixels to the operator."""
    for operator in places.model.operators:
        if operator.op in _CONVERSIONS:
            yield _conversion(
                places,
                operator,
                "the uint8 model converts between number formats",
                "none of %s" % ", ".join(_CONVERSIONS),
                "look up the layers around it in the graph's fake_quant_audit.json",
            )


def _conversion(places, operator, what, expected, remedy):
    names = ", ".join(places.model.tensors[index].name for index in operator.outputs[:4])
    return StageError(what, places.operator(operator), expected, "%s that makes %s" % (operator.op, names), remedy)


def uint8_weights(places, _expected):
    """Weights are constants; a bias is int32 with the scale of input times weights, or sums would be of different units."""
    for operator, data, weights, bias in _layers(places):
        if weights is None:
            yield _no_weights(places, operator)
            continue
        yield from _constant(places, weights)
        if bias is not None and quantized(data, "uint8") and quantized(weights, "uint8"):
            yield from _bias(places, bias, data, weights, _LOOK_UP)


def _layers(places):
    """(operator, data, weights, bias) of each operator with weights, all but the first None where it has none, the last as well."""
    tensors = places.model.tensors
    for operator in places.model.operators:
        if operator.op not in _OUTPUT_CHANNELS or operator.custom:
            continue
        if len(operator.inputs) < 2 or min(operator.inputs[:2]) < 0:
            yield operator, None, None, None
        else:
            biased = len(operator.inputs) > 2 and operator.inputs[2] >= 0
            yield (operator, *(tensors[index] for index in operator.inputs[:2]), tensors[operator.inputs[2]] if biased else None)


def _no_weights(places, operator):
    return StageError("an operator has no weights", places.operator(operator), "input and weights", list(operator.inputs), _AGAIN)


def _constant(places, weights):
    if not weights.bytes:
        yield StageError(
            "the weights of an operator are not constant", places.tensor(weights), "data in the file", "none", "freeze the graph again"
        )


def _bias(places, bias, data, weights, remedy):
    scales = [data.scales[0] * scale for scale in weights.scales]
    if bias.type != "int32" or len(bias.scales) != len(scales) or not all(map(near, bias.scales, scales)):
        yield StageError(
            "a bias is not quantized with its layer",
            places.tensor(bias),
            "int32 with scale %s" % _short(scales),
            "%s with scale %s" % (bias.type, list(bias.scales[:4])),
            remedy,
        )


def _short(scales):
    return ", ".join("%g" % scale for scale in scales[:4]) + (", … (%d)" % len(scales) if len(scales) > 4 else "")


def int8_operators(places, _expected):
    """Every operator but the post-process computes in int8."""
    for operator in places.model.operators:
        outputs = [places.model.tensors[index] for index in operator.outputs]
        if operator.op not in (*_CONVERSIONS, POSTPROCESS) and any(tensor.type == "float32" for tensor in outputs):
            yield StageError(
                "an operator of the int8 model computes in float32",
                places.operator(operator) + places.of_layer(operator),
                "int8",
                "%s that makes the float32 tensor %s" % (operator.op, outputs[0].name),
                _NO_INT8,
            )


def int8_types(places, expected):
    """All is int8 with a scale, biases and shapes int32, but the input and what the post-process operator reads and puts out."""
    given, taken, floats = set(places.model.inputs), places.taken_in() | set(places.model.outputs), places.put_out()
    for tensor in places.model.tensors:
        if tensor.index in floats:
            yield from _float_output(places, tensor)
        elif tensor.index in given or (tensor.type == "float32" and tensor.index in taken):
            continue
        elif tensor.type not in ("int8", "int32"):
            yield StageError(
                "a tensor of the int8 model is %s" % tensor.type,
                places.tensor(tensor),
                "int8, or int32 for a bias or shape",
                "%s, used by %s" % (tensor.type, places.users(tensor)),
                "convert again, and look up the layer %s" % (scope_of(tensor.name) or tensor.name),
            )
        elif tensor.type == "int8" and not _is_weights(places, tensor):
            yield from _scale(places, tensor, "convert again with more representative images" if not expected.trained else _AGAIN)


def _is_weights(places, tensor):
    return any(reader.op in _OUTPUT_CHANNELS and tensor.index == reader.inputs[1] for reader in places.readers.get(tensor.index, ()))


def int8_conversions(places, _expected):
    """QUANTIZE stands behind the input, or between int8 and int8; DEQUANTIZE before the post-process or an output alone."""
    model = places.model
    ends = places.taken_in() | set(model.outputs)
    for operator in model.operators:
        if operator.op not in _CONVERSIONS:
            continue
        types = [model.tensors[index].type for index in (*operator.inputs[:1], *operator.outputs[:1])]
        behind_input = operator.inputs[:1] and operator.inputs[0] in model.inputs
        if operator.op == "QUANTIZE" and (behind_input or types == ["int8", "int8"]):
            continue
        if operator.op == "DEQUANTIZE" and operator.outputs and operator.outputs[0] in ends:
            continue
        yield _conversion(
            places,
            operator,
            "the int8 model converts between number formats",
            "QUANTIZE behind the input, DEQUANTIZE before %s or an output, and no other" % POSTPROCESS,
            "use layers that TensorFlow Lite has in int8, or convert with float16",
        )


def int8_weights(places, expected):
    """Weights are int8 constants, symmetric (zero point 0), with a scale for each output channel; biases are int32, scaled with them.

    A model that was trained for quantization may have one scale for all channels of a layer, as its training had.
    """
    for operator, data, weights, bias in _layers(places):
        if weights is None:
            yield _no_weights(places, operator)
            continue
        yield from _constant(places, weights)
        dimension = _OUTPUT_CHANNELS[operator.op]
        channels = weights.shape[dimension] if len(weights.shape) > dimension else 0
        each = not expected.trained and operator.op != "FULLY_CONNECTED"
        fits = len(weights.scales) == channels and (weights.dimension == dimension or channels == 1)
        if (
            weights.type != "int8"
            or not (fits or (len(weights.scales) == 1 and not each))
            or any(weights.zero_points)
            or not all(math.isfinite(scale) and scale > 0 for scale in weights.scales)
        ):
            yield StageError(
                "the weights of an operator are not quantized as int8 kernels take them",
                places.tensor(weights),
                "int8, zero point 0, %d scales above 0 along dimension %d" % (channels, dimension),
                "%s, zero points %s, %d scales along dimension %d"
                % (weights.type, sorted(set(weights.zero_points))[:4], len(weights.scales), weights.dimension),
                _AGAIN,
            )
        elif bias is not None and quantized(data, "int8"):
            yield from _bias(places, bias, data, weights, _AGAIN)


def float_types(places, _expected):
    """All is float32, shapes int32."""
    yield from _only(places, "float", ("float32", "int32"), "float32, or int32 for a shape")
    for operator in places.model.operators:
        if operator.op in ("DEQUANTIZE", "QUANTIZE"):
            yield StageError(
                "the float model converts between number formats",
                places.operator(operator),
                "no DEQUANTIZE or QUANTIZE",
                operator.op,
                _AGAIN,
            )


def _only(places, name, types, expected):
    for tensor in places.model.tensors:
        if tensor.type not in types:
            yield StageError(
                "a tensor of the %s model is %s" % (name, tensor.type),
                places.tensor(tensor),
                expected,
                "%s, used by %s" % (tensor.type, places.users(tensor)),
                _AGAIN,
            )


def float16_types(places, _expected):
    """Constants are float16 and become float32 before they are used; all else is float32, shapes int32."""
    yield from _only(places, "float16", ("float32", "float16", "int32"), "float32, float16 for a constant, or int32 for a shape")
    yield from _stored(places, "float16", "float16")


def dynamic_range_types(places, _expected):
    """Large weights are int8 constants; all that is computed is float32."""
    yield from _only(places, "dynamic-range", ("float32", "int8", "int32"), "float32, int8 for weights, or int32 for a shape")
    yield from _stored(places, "dynamic-range", "int8")


def _stored(places, name, kind):
    """What is true of models whose weights are stored as `kind`, and that compute in float32."""
    tensors = places.model.tensors
    for tensor in tensors:
        if tensor.type == kind and not tensor.bytes:
            yield StageError(
                "a tensor of the %s model is computed in %s" % (name, kind), places.tensor(tensor), "float32", places.users(tensor), _AGAIN
            )
    for operator in places.model.operators:
        constant = operator.op == "DEQUANTIZE" and operator.inputs and tensors[operator.inputs[0]].bytes
        if operator.op in _CONVERSIONS and not constant:
            yield _conversion(
                places, operator, "the %s model converts between number formats" % name, "DEQUANTIZE of constants alone", _AGAIN
            )
    if not any(_stored_as(places, weights) == kind for _, _, weights, _ in _layers(places) if weights is not None):
        yield StageError(
            "no weights of the %s model are stored as %s" % (name, kind),
            "the operators %s" % ", ".join(_OUTPUT_CHANNELS),
            kind,
            "float32",
            _AGAIN,
        )


def _stored_as(places, weights):
    """The type in which the file holds an operator's weights."""
    maker = next(iter(places.makers.get(weights.index, ())), None)
    return places.model.tensors[maker.inputs[0]].type if maker is not None and maker.op == "DEQUANTIZE" and maker.inputs else weights.type


RULES = {
    "uint8": (uint8_types, uint8_conversions, uint8_weights),
    "int8": (int8_operators, int8_types, int8_conversions, int8_weights),
    "float16": (float16_types,),
    "dynamic-range": (dynamic_range_types,),
    "float": (float_types,),
}
