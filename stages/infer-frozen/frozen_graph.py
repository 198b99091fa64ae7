"""The frozen graph for TensorFlow Lite as a detector: its raw outputs, decoded as TFLite_Detection_PostProcess would."""

import numpy as np

from _detection.postprocess import attributes
from _runtime import StageError
from _tf1_inference.raw_detector import RawDetector, raw_graph

FILE = "tflite_graph.pb"


def frozen_detector(folder, graph):
    """The detector of a frozen-graph artifact. graph: the value of graph.json. Raises StageError where its files don't fit together."""
    path, source = folder / FILE, graph["input"]
    outputs = (graph["raw_outputs"]["boxes"], graph["raw_outputs"]["scores"])
    anchors = np.load(str(folder / "anchors.npy"), allow_pickle=False)
    _check_input(path, source, raw_graph(path, source["name"], outputs))
    _check_anchors(anchors, graph["anchors"])
    how = attributes(graph["decode"], "graph.json: decode")
    return RawDetector(path, source["name"], outputs, (source["mean"], source["std"]), anchors, how)


def _check_input(path, described, part):
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


def _check_anchors(anchors, count):
    if anchors.shape != (count, 4) or anchors.dtype != np.float32:
        raise StageError(
            "the anchors are not the graph's",
            "anchors.npy",
            "float32 [%d, 4]" % count,
            "%s %s" % (anchors.dtype, list(anchors.shape)),
            "freeze it again",
        )
