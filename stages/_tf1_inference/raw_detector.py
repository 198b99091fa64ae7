"""A TensorFlow 1 graph that ends in raw outputs as a detector: decoded as TFLite_Detection_PostProcess would."""

from functools import lru_cache

import tensorflow.compat.v1 as tf

from _detection.postprocess import postprocess
from _detection.resize import normalize
from _runtime import StageError
from _tf1.graph import read_graph
from _tf1_inference.layer_outputs import layer_outputs
from _tf1_inference.session import Runner, open_session, require_whole, restore_variables


class RawDetector:
    """path: of a GraphDef; source: name of the input's node; outputs: names of the nodes of box encodings and scores; normalization:
    (mean, std) of the input; anchors: float32 [n, 4]; how: `postprocess.Attributes`; restore: a `Restore` where weights are variables;
    find_layers: as a `Runner` takes it.
    """

    def __init__(self, path, source, outputs, normalization, anchors, how, restore=None, find_layers=layer_outputs):
        self._model = (str(path), source, tuple(outputs), restore, find_layers)
        self._normalization = normalization
        self._anchors = anchors
        self._how = how

    def __call__(self, pixels):
        """`Detections` of uint8 pixels [1, height, width, 3]."""
        boxes, scores = _runner(*self._model)(normalize(pixels, *self._normalization))
        return postprocess(boxes[0], scores[0], self._anchors, self._how)

    def layers(self, pixels):
        """{layer: float32 array} of what each layer puts out for uint8 pixels [1, height, width, 3]."""
        return _runner(*self._model).layers(normalize(pixels, *self._normalization))


@lru_cache(maxsize=1)
def _runner(path, source, outputs, restore, find_layers):
    session = open_session(raw_graph(path, source, outputs, restore))
    if restore is not None:
        restore_variables(session, restore)
    return Runner(session, source + ":0", [name + ":0" for name in outputs], find_layers)


def raw_graph(path, source, outputs, restore=None):
    """The part of the graph up to its raw outputs; the post-process operator behind them is not one of TensorFlow's.

    Raises StageError where the graph has not the input, an output or another node.
    """
    graph = read_graph(path)
    names = {node.name for node in graph.node}
    for name in (source, *outputs):
        if name not in names:
            raise StageError("the frozen graph lacks an input or output", path, name, "%d other nodes" % len(names), "freeze it again")
    require_whole(graph, path)
    return tf.graph_util.extract_sub_graph(graph, [*outputs] + ([] if restore is None else [restore.operation]))
