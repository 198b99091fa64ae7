"""Frozen TensorFlow 1 graphs: reading, writing the same bytes each time, and following data from node to node."""

from collections import defaultdict

import numpy as np
import tensorflow.compat.v1 as tf
from google.protobuf.message import DecodeError

from _runtime import StageError, atomic_write


def read_graph(path):
    """The GraphDef in a binary .pb file. Raises StageError where it is none."""
    graph = tf.GraphDef()
    try:
        with open(str(path), "rb") as stream:
            graph.ParseFromString(stream.read())
    except (OSError, DecodeError) as error:
        raise StageError("the graph cannot be read", path, "a binary GraphDef", str(error), "freeze it again") from None
    if not graph.node:
        raise StageError("the graph has no nodes", path, "a frozen graph", "0 nodes", "freeze it again")
    return graph


def write_message(message, path):
    """Write a protobuf message so that equal messages give equal bytes: maps (a node's attributes) are sorted by key."""
    with atomic_write(path) as stream:
        stream.write(message.SerializeToString(deterministic=True))


def node_name(reference):
    """The node that an input such as `name`, `name:1` or `^name` refers to."""
    return reference.lstrip("^").split(":")[0]


class GraphIndex:
    """A GraphDef indexed by name: `nodes`, `inputs(node)`, `consumers(name)`, and which nodes compute from the placeholder.

    Only what the nodes named in `outputs` need is in it. Raises StageError where an output, or the input of a node, does not exist.
    """

    def __init__(self, graph, outputs):
        everything = {node.name: node for node in graph.node}
        self.order = []  # names, inputs before those who use them
        self.nodes = {}
        self._consumers = defaultdict(list)
        for output in outputs:
            self._add(everything, output)
        for name in self.order:
            for source in {node.name for node in self.inputs(self.nodes[name])}:
                self._consumers[source].append(self.nodes[name])
        self._data = self._nodes_with_data()

    def _add(self, everything, output):
        stack = [(output, False)]
        while stack:
            name, ready = stack.pop()
            if ready:
                if name not in self.nodes:
                    self.nodes[name] = everything[name]
                    self.order.append(name)
            elif name not in self.nodes:
                if name not in everything:
                    raise StageError(
                        "the graph lacks a node", name, "a whole graph", "a reference to a node that is not there", "freeze it again"
                    )
                stack.append((name, True))
                stack.extend((node_name(source), False) for source in everything[name].input if node_name(source) not in self.nodes)

    def inputs(self, node):
        """The nodes whose data a node reads, in order; control inputs are left out."""
        return [self.nodes[node_name(source)] for source in node.input if not source.startswith("^")]

    def consumers(self, node):
        """The nodes that read a node's data."""
        return self._consumers[node.name]

    def has_data(self, node):
        """True where the node's value depends on the image, false where it is a constant (weights, folded batch norm)."""
        return node.name in self._data

    def _nodes_with_data(self):
        data = set()
        for name in self.order:
            node = self.nodes[name]
            if node.op == "Placeholder" or any(source.name in data for source in self.inputs(node)):
                data.add(name)
        return data

    def constant(self, node):
        """The NumPy value of a Const, looking through Identity; None for anything else."""
        while node.op == "Identity":
            node = self.inputs(node)[0]
        return tf.make_ndarray(node.attr["value"].tensor) if node.op == "Const" else None


def scalar(value):
    """A float of an array with one element, else None."""
    return None if value is None or np.size(value) != 1 else float(np.reshape(value, ()))
