"""The fake-quant audit: which node quantizes the weights and the output of each layer of a frozen graph.

The TensorFlow Lite converter takes the range of every tensor of a uint8 model from a fake-quantization node. Quantization-aware training
puts one behind each layer that its rewriter recognises, and says nothing of one that it does not; conversion then fails, or (where ranges
can be guessed) gives a model that is quietly wrong. Here every layer between the image and the outputs is looked up.
"""

import math
from typing import NamedTuple, Optional, Tuple

from _runtime import StageError
from _tf1.graph import scalar

_FAKE_QUANT = ("FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxArgs")
_LAYERS = ("Conv2D", "DepthwiseConv2dNative", "MatMul")
_ADDS = ("Add", "AddV2", "AddN", "Sub", "Mul")
_CONCATS = ("ConcatV2", "Concat")
# Between a layer and its fake-quantization: the converter folds these into the layer, or they change no value.
_FOLDED = ("BiasAdd", "Relu", "Relu6", "Identity", "Reshape", "Squeeze", "BatchToSpaceND", "FusedBatchNorm")
_FOLDED_WITH_CONSTANT = ("Add", "AddV2", "Sub", "Mul", "RealDiv")
# These put out values of the range that they read, so a fake-quantization before them holds behind them.
_SAME_RANGE = (
    "Identity",
    "Reshape",
    "Squeeze",
    "ExpandDims",
    "Transpose",
    "MaxPool",
    "AvgPool",
    "Mean",
    "BatchToSpaceND",
    "SpaceToBatchND",
    "ResizeBilinear",
    "ResizeNearestNeighbor",
    "Pad",
    "PadV2",
    "MirrorPad",
    "Slice",
    "StridedSlice",
    "Tile",
)
# tf.contrib.quantize (1.13) starts weights at [-6, 6] and activations at [0, 6] or [-6, 6]; the first step of training replaces them.
_INITIAL_WEIGHTS = (-6.0, 6.0)
_INITIAL_ACTIVATIONS = ((-6.0, 6.0), (0.0, 6.0))

OK, FROM_INPUTS = "ok", "from inputs"


class Layer(NamedTuple):
    """A layer and its fake-quantization.

    name: of its node; weights, output: names of fake-quantization nodes; weights_range, range: (min, max); status: OK, FROM_INPUTS (a
    concat takes the union of its inputs' ranges), or what is wrong.
    """

    name: str
    op: str
    weights: Optional[str]
    weights_range: Optional[Tuple[float, float]]
    output: Optional[str]
    range: Optional[Tuple[float, float]]
    status: str


def audit(index):
    """The `Layer` of each convolution, depthwise convolution, matmul, addition and concat in a `GraphIndex`, from input to outputs."""
    layers = []
    for name in index.order:
        node = index.nodes[name]
        if not index.has_data(node):
            continue
        if node.op in _LAYERS:
            layers.append(_audit_layer(index, node))
        elif node.op in _ADDS and len(_data_inputs(index, node)) > 1:
            layers.append(_audit_output(index, node))
        elif node.op in _CONCATS:
            layers.append(_audit_concat(index, node))
    return layers


def as_json(layers, quantized):
    """The value of fake_quant_audit.json; quantized: whether training was quantization-aware."""
    rows = [dict(layer._asdict(), weights_range=_pair(layer.weights_range), range=_pair(layer.range)) for layer in layers]
    return {"schema": 1, "quantized": quantized, "layers": rows, "missing": sum(layer.status not in (OK, FROM_INPUTS) for layer in layers)}


def _pair(found):
    return None if found is None else [value if math.isfinite(value) else None for value in found]


def require_quantized(layers, where):
    """Raise StageError that names the first layer whose weights or output lack a usable range, and how many more there are."""
    if not layers:
        raise StageError(
            "the graph has no layers to quantize", where, "convolutions between input and outputs", "none", "freeze a detector"
        )
    wrong = [layer for layer in layers if layer.status not in (OK, FROM_INPUTS)]
    if wrong:
        names = "; also %s" % ", ".join([layer.name for layer in wrong[1:6]] + ["…"] * (len(wrong) > 6)) if len(wrong) > 1 else ""
        raise StageError(
            "a layer is not fake-quantized" if "no fake-quantization" in wrong[0].status else "a layer has no usable range",
            "%s (%s)" % (wrong[0].name, wrong[0].op),
            "a fake-quantization node with a range from training, for its weights and its output",
            "%s (%d of %d layers%s)" % (wrong[0].status, len(wrong), len(layers), names),
            _remedy(wrong[0].status),
        )


def _remedy(status):
    if "never updated" in status:
        return "train with graph_rewriter in pipeline.config: the ranges are still those that the variables began with"
    if "the range" in status:
        return "look at the training's loss, and train again: this layer's values have collapsed or diverged"
    return (
        "the quantization rewriter did not recognise this layer: use the patched heads and a supported feature extractor, "
        "and freeze with the same patches as in training"
    )


def _data_inputs(index, node):
    return [source for source in index.inputs(node) if index.has_data(source)]


def _audit_layer(index, node):
    layer = _audit_output(index, node)
    constants = [source for source in index.inputs(node) if not index.has_data(source)]
    quant = next((found for found in (_before(index, source) for source in constants) if found), None)
    if quant is None:
        return _add_problem(layer, "no fake-quantization of its weights" if constants else "its weights are computed from the image")
    span = quant_range(index, quant)
    problem = _range_problem(quant, span, span == _INITIAL_WEIGHTS)
    if problem:
        layer = _add_problem(layer, "weights: %s" % problem)
    return layer._replace(weights=quant.name, weights_range=span)


def _add_problem(layer, problem):
    return layer._replace(status=problem if layer.status == OK else "%s; %s" % (problem, layer.status))


def _before(index, node):
    """The fake-quantization whose values a constant input has, looking through reshapes."""
    while node.op in ("Identity", "Reshape"):
        node = index.inputs(node)[0]
    return node if node.op in _FAKE_QUANT else None


def _audit_output(index, node):
    quants, bare, clipped = _behind(index, node)
    if not quants or bare:
        status = "no fake-quantization of its output"
        if bare:
            status += ": %s (%s) reads it as it is" % (bare[0].name, bare[0].op)
        return Layer(node.name, node.op, None, None, None, None, status)
    span = quant_range(index, quants[0])
    # After a ReLU6, [0, 6] is also what training finds.
    initial = span in _INITIAL_ACTIVATIONS and not (clipped and span == (0.0, 6.0))
    return Layer(node.name, node.op, None, None, quants[0].name, span, _range_problem(quants[0], span, initial) or OK)


def _behind(index, node):
    """What follows a node: (fake-quantizations, nodes that read its value unquantized, whether a ReLU6 is on the way)."""
    quants, bare, clipped = [], [], False
    waiting, seen = [node], set()
    while waiting:
        here = waiting.pop(0)
        readers = index.consumers(here)
        if not readers and here is not node:
            bare.append(here)
        for reader in readers:
            if reader.op in _FAKE_QUANT:
                quants.append(reader)
            elif _is_folded(index, reader):
                clipped = clipped or reader.op == "Relu6"
                if reader.name not in seen:
                    seen.add(reader.name)
                    waiting.append(reader)
            else:
                bare.append(reader)
    return quants, bare, clipped


def _is_folded(index, node):
    if node.op in _FOLDED:
        return True
    return node.op in _FOLDED_WITH_CONSTANT and len(_data_inputs(index, node)) == 1


def _audit_concat(index, node):
    """A concat may have a fake-quantization of its own; without one the converter gives it the union of its inputs' ranges."""
    quants, bare, _ = _behind(index, node)
    if quants and not bare:
        return _audit_output(index, node)
    spans = []
    for source in _data_inputs(index, node):
        quant = source
        while quant.op in _SAME_RANGE:
            quant = index.inputs(quant)[0]
        if quant.op not in _CONCATS + _FAKE_QUANT:
            return Layer(node.name, node.op, None, None, None, None, "its input %s (%s) has no fake-quantization" % (quant.name, quant.op))
        span = quant_range(index, quant) if quant.op in _FAKE_QUANT else _audit_concat(index, quant).range
        if span is None:
            return Layer(node.name, node.op, None, None, None, None, "its input %s has no range" % quant.name)
        spans.append(span)
    union = (min(low for low, _ in spans), max(high for _, high in spans))
    return Layer(node.name, node.op, None, None, None, union, FROM_INPUTS)


def quant_range(index, quant):
    """(min, max) of a fake-quantization node; NaN where they are not constants."""
    if quant.op == "FakeQuantWithMinMaxArgs":
        return quant.attr["min"].f, quant.attr["max"].f
    low, high = (scalar(index.constant(source)) for source in index.inputs(quant)[1:3])
    return (math.nan if low is None else low), (math.nan if high is None else high)


def _range_problem(quant, span, initial):
    low, high = span
    bits = quant.attr["num_bits"].i or 8
    if not (math.isfinite(low) and math.isfinite(high)):
        return "the range [%g, %g] is not finite" % span
    if bits != 8:
        return "quantized to %d bits, not 8" % bits
    if low == high:
        return "the range [%g, %g] is empty: all its values are the same" % span
    if not low <= 0 <= high:
        return "the range [%g, %g] does not contain 0" % span
    if initial:
        return "the range [%g, %g] was never updated by training" % span
    return None
