"""Which tensors of a .tflite are outputs of layers, and what the layers are called in the TensorFlow graph that it was made from."""

from _litert.interface import port
from _tflite.places import scope_of

# Operators with weights, or that join two branches: what comes out of them has a range of its own in a quantized model.
_LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "ADD", "SUB", "MUL")
_TYPES = ("float32", "uint8", "int8", "int16")  # others are sums of shapes


def layer_ports(model):
    """{scope: `Port`} of the layers' outputs of a `_tflite.model.Model`; of several in one scope the last."""
    found = {}
    for operator in model.operators:
        if operator.op not in _LAYERS or operator.custom or not operator.outputs:
            continue
        tensor = model.tensors[operator.outputs[0]]
        scope = scope_of(tensor.name)
        if scope is not None and tensor.type in _TYPES:
            found[scope] = port(tensor)
    return found
