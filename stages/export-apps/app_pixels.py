"""Whether a model with integer input can be given pixels as they are, as other programs do."""

import numpy as np

from _litert.interface import input_table
from _runtime import StageError

FIRST_LEVEL = {"uint8": 0, "int8": -128}  # what pixel 0 must be


def require_pixels(file, package, program, remedy):
    """Notes, on a model that `program` gives its pixels as they are.

    file: `ModelFile` with an integer input. Raises StageError, with the remedy, where that means pixels otherwise. A difference of one
    level is what rounding may make, and is a note.
    """
    source = file.interface.source
    table = input_table(source, package.mean, package.std).astype(np.int64)
    plain = np.arange(256)[:, np.newaxis] + FIRST_LEVEL[source.type]
    wrong = np.abs(table - plain)
    if not wrong.any():
        return []
    level, channel = np.unravel_index(int(wrong.argmax()), wrong.shape)
    if wrong[level, channel] > 1:
        raise StageError(
            "the model's input is not pixels as they are, which is all that %s gives" % program,
            "model.json: mean %s, std %s; %s, input %s: scale %g, zero point %d"
            % (package.mean, package.std, file.name, source.name, source.scale, source.zero_point),
            "pixel %d as %d" % (level, plain[level, 0]),
            table[level, channel],
            remedy,
        )
    return ["%s gives each pixel as it is, where some should be one level off" % program]
