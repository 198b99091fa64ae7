"""TensorFlow 1 graphs in a session of this process, on one thread, as they are.

On one thread because processes share the processors, and sums are then added in one order, whatever the number of processes. As they are:
without TensorFlow's rewriting of graphs, which would do other arithmetic where weights are constants than where they are variables.
"""

from typing import NamedTuple

import tensorflow.compat.v1 as tf

from _runtime import StageError
from _tf1_inference.layer_outputs import layer_outputs


class Restore(NamedTuple):
    """How a graph's variables are restored. operation: name of the node; filename: name of the tensor that is fed `prefix`."""

    operation: str
    filename: str
    prefix: str


class Runner:
    """What a session puts out: outputs, and layers on request.

    session: as made below; source: name of the tensor that is fed; outputs: names of tensors, in the order in which they are wanted;
    find_layers: what finds the layers in a GraphDef, like `layer_outputs`.
    """

    def __init__(self, session, source, outputs, find_layers=layer_outputs):
        self._session, self._source, self._outputs, self._find_layers = session, source, outputs, find_layers
        self._run = session.make_callable(list(outputs), feed_list=[source])
        self._layers = None

    def __call__(self, value):
        """The outputs' values for an input, a list."""
        return self._run(value)

    def layers(self, value):
        """{layer: float32 array} for an input; `find_layers` tells how layers are called."""
        if self._layers is None:
            found = self._find_layers(self._session.graph.as_graph_def(), [name.split(":")[0] for name in self._outputs])
            self._layers = list(found), self._session.make_callable(list(found.values()), feed_list=[self._source])
        names, run = self._layers
        return dict(zip(names, run(value)))


def require_whole(graph, where):
    """Raise StageError where a node of a GraphDef reads one that is not there."""
    names = {node.name for node in graph.node}
    for node in graph.node:
        for reference in node.input:
            source = reference.lstrip("^").split(":")[0]
            if source not in names:
                found = "%s (%s) reads it" % (node.name, node.op)
                raise StageError("the graph lacks a node", "%s: %s" % (where, source), "a whole graph", found, "freeze it again")


def open_session(graph=None):
    """A session on one thread with a GraphDef in it. Raises StageError where TensorFlow cannot load it."""
    threads = tf.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1, use_per_session_threads=True)
    threads.graph_options.rewrite_options.disable_meta_optimizer = True
    session = tf.Session(graph=tf.Graph(), config=threads)
    if graph is not None:
        try:
            with session.graph.as_default():
                tf.import_graph_def(graph, name="")
        except (ValueError, tf.errors.OpError) as error:
            what, found = "TensorFlow %s cannot load the graph" % tf.__version__, getattr(error, "message", str(error)).splitlines()[0]
            raise StageError(what, "GraphDef", "operators that it has", found, "freeze it again") from None
    return session


def restore_variables(session, restore):
    """Set the session's variables as a `Restore` says."""
    session.run(restore.operation, {restore.filename: restore.prefix})
