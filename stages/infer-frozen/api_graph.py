"""The Object Detection API's own exports, the frozen inference graph and the SavedModel: what of them is fed, and what comes out."""

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from _runtime import StageError
from _tf1.graph import read_graph
from _tf1_inference.api_detector import OUTPUTS
from _tf1_inference.session import require_whole

INFERENCE_GRAPH, SAVED_MODEL = "inference_graph/frozen_inference_graph.pb", "saved_model/saved_model.pb"
_INPUT, _SIGNATURE_INPUT, _SIGNATURE = "image_tensor", "inputs", tf.saved_model.signature_constants.DEFAULT_SERVING_SIGNATURE_DEF_KEY
_TAG = tf.saved_model.tag_constants.SERVING


def check_inference_graph(path):
    """(input, outputs), names of tensors of a frozen inference graph. Raises StageError where it has not those of the API."""
    graph = read_graph(path)
    require_whole(graph, path)
    nodes = {node.name: node for node in graph.node}
    for name in (_INPUT, *OUTPUTS):
        if name not in nodes:
            raise _not_exported(path, name, "%d other nodes" % len(nodes))
    kind = tf.as_dtype(nodes[_INPUT].attr["dtype"].type).name if nodes[_INPUT].op == "Placeholder" else nodes[_INPUT].op
    _check_kind(path, _INPUT, kind)
    return _INPUT + ":0", tuple(name + ":0" for name in OUTPUTS)


def check_saved_model(path):
    """(input, outputs), names of tensors of a SavedModel's signature. Raises StageError where it has not that of the API."""
    model = saved_model_pb2.SavedModel()
    try:
        model.ParseFromString(path.read_bytes())
    except (OSError, DecodeError) as error:
        raise StageError("the SavedModel cannot be read", path, "a saved_model.pb", error, "freeze it again") from None
    tagged = [graph for graph in model.meta_graphs if _TAG in graph.meta_info_def.tags]
    if not tagged or _SIGNATURE not in tagged[0].signature_def:
        raise _not_exported(path, "tag %s, signature %s" % (_TAG, _SIGNATURE), "%d graphs without it" % len(model.meta_graphs))
    require_whole(tagged[0].graph_def, path)
    signature = tagged[0].signature_def[_SIGNATURE]
    for name, held in [(_SIGNATURE_INPUT, signature.inputs)] + [(name, signature.outputs) for name in OUTPUTS]:
        if name not in held:
            raise _not_exported(path, name, ", ".join(sorted(held)) or "nothing")
    _check_kind(path, _SIGNATURE_INPUT, tf.as_dtype(signature.inputs[_SIGNATURE_INPUT].dtype).name)
    return signature.inputs[_SIGNATURE_INPUT].name, tuple(signature.outputs[name].name for name in OUTPUTS)


def _not_exported(path, expected, found):
    return StageError("the model is not one that the Object Detection API exported", path, expected, found, "freeze the checkpoint again")


def _check_kind(path, name, found):
    if found != "uint8":
        raise StageError("the model does not take images", "%s: %s" % (path, name), "uint8", found, "export it with the input image_tensor")
