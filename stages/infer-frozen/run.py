"""Run the frozen graph on a split of the dataset."""

import importlib_metadata
import numpy as np
from frozen_detector import FrozenDetector, check_graph

from _detection.dataset import load
from _detection.inference import check_classes, run_detector
from _detection.postprocess import attributes
from _runtime import run, sha256_file


def main(task):
    """The pixels that the .tflite gets, normalized as it normalizes them, through the graph that it was made from."""
    version = importlib_metadata.version("tensorflow")
    task.tools["tensorflow"] = version
    source = task.input("graph")
    graph = source.json("graph.json")
    dataset = load(task.input("dataset").path)
    check_classes(graph["classes"], dataset.classes, "graph.json")
    path = source.path / "tflite_graph.pb"
    anchors = np.load(str(source.path / "anchors.npy"), allow_pickle=False)
    check_graph(path, graph, anchors)
    detector = FrozenDetector(path, graph, anchors, attributes(graph["decode"], "graph.json: decode"))
    model = {"kind": "frozen-graph", "runtime": "TensorFlow", "version": version, "sha256": sha256_file(path)}
    run_detector(task, dataset, task.params["split"], graph["input_size"], detector, model)


if __name__ == "__main__":
    run(main)
