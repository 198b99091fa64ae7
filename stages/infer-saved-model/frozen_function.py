"""A signature of a SavedModel as a GraphDef with constant weights.

The processes that run a detector are forked, and TensorFlow's threads do not survive that: so the SavedModel is read in a process apart
(`_tf1_inference.apart`), and each process opens a session of its own on one thread, as for TensorFlow 1's graphs. The nodes keep their
names and there is no other rewriting, so that numbers do not depend on the number of processes.
"""

from typing import NamedTuple

import tensorflow as tf

# It has no public name in TensorFlow 2.21.
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from _runtime import StageError
from _tf1.graph import write_message


class FrozenFunction(NamedTuple):
    """source: name of the input's tensor; shape, type: its own, None where a side is not fixed; outputs: {key of the signature: tensor}."""

    source: str
    shape: list
    type: str
    outputs: dict


def freeze_signature(folder, signature, path):
    """Write the GraphDef of a SavedModel's signature to `path`, and tell its `FrozenFunction`. folder, path: text.

    Raises StageError where the SavedModel cannot be read, or has no such signature with one input.
    """
    try:
        model = tf.saved_model.load(folder)
    except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
        found = (str(getattr(error, "message", error)).strip() or type(error).__name__).splitlines()[0][:300]
        raise StageError("the SavedModel cannot be read", folder, "a whole SavedModel of TensorFlow 2", found, "freeze it again") from None
    function = model.signatures.get(signature)
    if function is None:
        found = ", ".join(sorted(model.signatures)) or "none"
        raise StageError("the SavedModel lacks a signature", folder, signature, found, "freeze it again")
    frozen = convert_variables_to_constants_v2(function, lower_control_flow=False)
    write_message(frozen.graph.as_graph_def(), path)
    if len(frozen.inputs) != 1:
        raise StageError(
            "the SavedModel's signature has not one input", "%s: %s" % (folder, signature), 1, len(frozen.inputs), "freeze it again"
        )
    outputs = dict(zip(sorted(function.structured_outputs), [tensor.name for tensor in frozen.outputs]))
    source = frozen.inputs[0]
    return FrozenFunction(source.name, source.shape.as_list(), source.dtype.name, outputs)
