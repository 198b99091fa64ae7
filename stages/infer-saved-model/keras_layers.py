"""The layers of a graph that Keras made, by the names that TensorFlow Lite's converter gives them.

Keras gives each layer a scope of its own: convolution, batch norm and activation are three. The converter makes one operator of them, and
its name begins with the scope of the last that it does not split up: the activation's, or where there is none the convolution's, or the
batch norm's behind a depthwise convolution.
"""

from _tf1_inference.layer_outputs import Flow, scope

_CALL = "StatefulPartitionedCall/"  # what TensorFlow puts before the names of a function's nodes
_ACTIVATIONS = ("Relu", "Relu6", "Elu")
_BATCH_NORMS = ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")


def keras_layers(graph, outputs):
    """{layer: name of a tensor} of a GraphDef, as `layer_outputs` tells it of one of TensorFlow 1."""
    flow, found = Flow(graph, outputs), {}
    for name in flow.layers():
        chain = flow.chain(name)
        found[scope(_named_by(flow, chain).replace(_CALL, ""))] = chain[-1] + ":0"
    return found


def _named_by(flow, chain):
    last = {flow.operation(name): name for name in chain}
    named = [last[operation] for operation in _ACTIVATIONS if operation in last]
    if not named and flow.operation(chain[0]) == "DepthwiseConv2dNative":
        named = [last[operation] for operation in _BATCH_NORMS if operation in last]
    return named[0] if named else chain[0]
