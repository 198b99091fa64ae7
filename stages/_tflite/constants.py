"""Constant tensors of a .tflite file as numbers."""

import struct

_CODES = {"int8": "b", "uint8": "B", "int16": "h", "int32": "i", "int64": "q"}


def integers(content, tensor):
    """The values of a constant integer `Tensor` of a file's bytes, as a tuple; None where it is computed or of another type."""
    code = _CODES.get(tensor.type)
    if code is None or not tensor.bytes:
        return None
    return struct.unpack_from("<%d%s" % (tensor.bytes // struct.calcsize("<" + code), code), content, tensor.place)
