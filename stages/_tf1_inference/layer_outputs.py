"""Where in a TensorFlow 1 graph a layer's output is as the next one reads it: after bias, batch norm, activation, fake-quantization.

A layer goes by its scope, the folder part of its node's name, which is the same in the graph of a checkpoint, in a frozen one and in the
names of a .tflite's tensors: `FeatureExtractor/MobilenetV2/expanded_conv_2/project` for `…/project/Conv2D` and `…/project/Conv2D_Fold`.
"""

from collections import defaultdict

import tensorflow.compat.v1 as tf

_CONVOLUTIONS = ("Conv2D", "DepthwiseConv2dNative", "Conv2DBackpropInput", "MatMul")
_JOINTS = ("Add", "AddV2", "AddN", "Sub", "Mul")  # layers where they join two branches
_FAKE_QUANT = ("FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxArgs")
# What belongs to the layer before it.
_FOLDED = ("BiasAdd", "Relu", "Relu6", "Elu", "Identity", "BatchToSpaceND", "FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
_FOLDED_WITH_CONSTANT = ("Add", "AddV2", "Sub", "Mul", "RealDiv")


def layer_outputs(graph, outputs):
    """{scope: name of a tensor} for each layer of a GraphDef that `outputs` (names of nodes) need, inputs before those who read them.

    Layers are convolutions, depthwise and transposed ones, matrix products, and where branches are joined between two of these. Of several
    in one scope the last counts.
    """
    flow = Flow(graph, outputs)
    return {scope(name): flow.chain(name, within=scope(name) + "/")[-1] + ":0" for name in flow.layers()}


def scope(name):
    """The folder part of a node's name."""
    return name.rpartition("/")[0]


class Flow:
    """The nodes that `outputs` need, inputs first (as far as loops have an order); who reads whom, and what depends on the image."""

    def __init__(self, graph, outputs):
        self._nodes = {node.name: node for node in graph.node}
        self._sources = {node.name: [_node(source) for source in node.input if not source.startswith("^")] for node in graph.node}
        self._order = self._needed(outputs)
        self._readers = defaultdict(list)
        for name in self._order:
            for source in dict.fromkeys(self._sources[name]):
                self._readers[source].append(name)
        self._data = self._reach([name for name in self._order if self._nodes[name].op == "Placeholder"], self._readers)

    def _needed(self, outputs):
        order, seen, stack = [], set(), [(name, False) for name in reversed(outputs)]
        while stack:
            name, ready = stack.pop()
            if ready:
                order.append(name)
            elif name not in seen:
                seen.add(name)
                stack.append((name, True))
                stack.extend((source, False) for source in reversed(self._sources[name]))
        return order

    def _reach(self, starts, edges):
        found, stack = set(starts), list(starts)
        while stack:
            for name in edges.get(stack.pop(), ()):
                if name not in found:
                    found.add(name)
                    stack.append(name)
        return found

    def operation(self, name):
        """The name of what a node does, as in "Conv2D"."""
        return self._nodes[name].op

    def layers(self):
        """Names of the layers' nodes, in order."""
        convolutions = [name for name in self._order if self._nodes[name].op in _CONVOLUTIONS and name in self._data]
        # Decoding boxes and resizing pictures join branches too, but not between convolutions.
        between = self._reach(convolutions, self._readers) & self._reach(convolutions, self._sources)
        chosen = set(convolutions) | {name for name in between if self._joins(name)}
        return [name for name in self._order if name in chosen]

    def _joins(self, name):
        node = self._nodes[name]
        return node.op in _JOINTS and node.attr["T"].type == tf.float32.as_datatype_enum and self._branches(name) > 1

    def _branches(self, name):
        return sum(source in self._data for source in self._sources[name])

    def chain(self, name, within=""):
        """The nodes that make up a layer, from `name` to the one whose value the layer puts out: its fake-quantization, or the last of
        what is folded into it. within: what the names of folded nodes begin with.
        """
        nodes = [name]
        while True:
            readers = self._readers[nodes[-1]]
            quant = next((reader for reader in readers if self._nodes[reader].op in _FAKE_QUANT), None)
            if quant is not None:
                return [*nodes, quant]
            if len(readers) != 1 or not readers[0].startswith(within) or not self._folds(readers[0]):
                return nodes
            nodes.append(readers[0])

    def _folds(self, name):
        op = self._nodes[name].op
        return op in _FOLDED or (op in _FOLDED_WITH_CONSTANT and self._branches(name) == 1)


def _node(reference):
    return reference.split(":")[0]
