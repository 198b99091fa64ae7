"""A .tflite file with the bytes that its meaning gives, whatever the run of the converter."""

from _runtime import StageError
from _tflite.custom_options import canonical
from _tflite.flatbuffer import DamagedError
from _tflite.model import read_model


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
