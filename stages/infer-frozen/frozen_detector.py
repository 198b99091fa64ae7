"""A frozen graph as a detector: its raw outputs from TensorFlow, decoded as TFLite_Detection_PostProcess would."""

from functools import lru_cache

import numpy as np
import tensorflow as tf

from _detection.postprocess import postprocess
from _detection.resize import normalize
from _runtime import StageError
from _tf1.graph import read_graph


class FrozenDetector:
    """path: of tflite_graph.pb; graph: the value of graph.json; anchors: float32 [n, 4]; how: `postprocess.Attributes`."""

    def __init__(self, path, graph, anchors, how):
        self._path = str(path)
        self._input = graph["input"]
        self._outputs = (graph["raw_outputs"]["boxes"], graph["raw_outputs"]["scores"])
        self._anchors = anchors
        self._how = how

    def __call__(self, pixels):
        """`Detections` of uint8 pixels [1, height, width, 3]."""
        run = _runner(self._path, self._input["name"], self._outputs)
        boxes, scores = run(normalize(pixels, self._input["mean"], self._input["std"]))
        return postprocess(boxes[0], scores[0], self._anchors, self._how)


@lru_cache(maxsize=1)
def _runner(path, source, outputs):
    """A session of this process, on one thread: sums are then added in one order, and the processes share the processors."""
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(raw_graph(path, source, outputs), name="")
    threads = tf.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1, use_per_session_threads=True)
    session = tf.Session(graph=graph, config=threads)
    return session.make_callable([name + ":0" for name in outputs], feed_list=[source + ":0"])


def raw_graph(path, source, outputs):
    """The part of the graph up to its raw outputs; the post-process operator behind them is not one of TensorFlow's.

    Raises StageError where the graph has not the input or an output.
    """
    graph = read_graph(path)
    names = {node.name for node in graph.node}
    for name in (source, *outputs):
        if name not in names:
            raise StageError("the frozen graph lacks an input or output", path, name, "%d other nodes" % len(names), "freeze it again")
    return tf.graph_util.extract_sub_graph(graph, list(outputs))


def check_graph(path, graph, anchors):
    """Raise StageError where the graph in the file is not the one that graph.json describes."""
    described = graph["input"]
    part = raw_graph(path, described["name"], (graph["raw_outputs"]["boxes"], graph["raw_outputs"]["scores"]))
    node = next((node for node in part.node if node.name == described["name"]), None)
    shape = [] if node is None else [side.size for side in node.attr["shape"].shape.dim]
    if node is None or node.op != "Placeholder" or shape != list(described["shape"]):
        raise StageError(
            "the frozen graph's input is not the one described",
            "%s: %s" % (path, described["name"]),
            described["shape"],
            "it is not used by the outputs" if node is None else "%s %s" % (node.op, shape),
            "freeze it again",
        )
    if anchors.shape != (graph["anchors"], 4) or anchors.dtype != np.float32:
        raise StageError(
            "the anchors are not the graph's",
            "anchors.npy",
            "float32 [%d, 4]" % graph["anchors"],
            "%s %s" % (anchors.dtype, list(anchors.shape)),
            "freeze it again",
        )
