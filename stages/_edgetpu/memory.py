"""What a model needs of the Edge TPU's memory."""

from _edgetpu.constraints import elements
from _tflite.schema import ELEMENT_BYTES


def parameter_bytes(model, operators):
    """Bytes of the weights and biases of `operators`; what only says a shape is no parameter. Constants that they share count once."""
    found = {}
    for operator in operators:
        for place, index in enumerate(operator.inputs):
            tensor = model.tensors[index]
            if index >= 0 and tensor.bytes and not (tensor.type == "int32" and place == 1):
                found[tensor.place] = tensor.bytes
    return sum(found.values())


def largest_activation(model):
    """(bytes, name) of the largest tensor that is computed."""
    computed = [each for each in model.tensors if not each.bytes and not each.variable]
    return max(((elements(each.shape) * ELEMENT_BYTES.get(each.type, 4), each.name) for each in computed), default=(0, ""))
