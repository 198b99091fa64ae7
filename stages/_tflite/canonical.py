"""A .tflite file with the bytes that its meaning gives, whatever the run of the converter."""

import struct

from _runtime import StageError
from _tflite.custom_options import canonical
from _tflite.flatbuffer import DamagedError, FlatBuffer
from _tflite.model import read_model
from _tflite.outputs import postprocess_operator


def canonical_model(content, where="model.tflite"):
    """The same model with each custom operator's options in canonical form (see custom_options). As many bytes as before."""
    result = content
    for operator in read_model(content, where).operators:
        if operator.custom and operator.options:
            try:
                options = canonical(operator.options)
            except DamagedError as error:
                raise StageError(
                    "the options of a custom operator cannot be read",
                    "%s, operator %s" % (where, operator.op),
                    "a map of numbers",
                    error,
                    "use no custom operator but TFLite_Detection_PostProcess",
                ) from None
            end = operator.options_place + len(options)
            result = result[: operator.options_place] + options + result[end:]
    return result


def with_outputs(content, names, where="model.tflite"):
    """The same model with its outputs in the order of `names`; as it is where these are not its outputs' (the lint tells of that).

    The converter of TensorFlow 2 has them in the order of a hash table. Signatures tell outputs by name, whatever the order.
    """
    model = read_model(content, where)
    places = {model.tensors[index].name: index for index in model.outputs}
    if sorted(places) != sorted(names) or len(names) != len(model.outputs):
        return content
    start, count = FlatBuffer(content).root().tables(2)[0].span(2, 4)
    return content[:start] + struct.pack("<%di" % count, *(places[name] for name in names)) + content[start + 4 * count :]


def with_options(content, options, where="model.tflite"):
    """The same model with other options (bytes) of its post-process operator, which stand at the file's end; the old ones are blank.

    Raises StageError where there is no such operator, or it has none.
    """
    operator = postprocess_operator(read_model(content, where), where)
    if operator is None or not operator.options:
        raise StageError("the model has no post-process operator with options", where, "one", "none", "convert it again")
    place = FlatBuffer(content).root().tables(2)[0].tables(3)[operator.index].place(5)
    result = bytearray(content + b"\0" * (-len(content) % 4))
    struct.pack_into("<I", result, place, len(result) - place)
    result[operator.options_place : operator.options_place + len(operator.options)] = bytes(len(operator.options))
    return bytes(result) + struct.pack("<I", len(options)) + options + b"\0" * (-len(options) % 4)
