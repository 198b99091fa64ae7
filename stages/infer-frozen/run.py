"""Run the frozen graph on a split of the records, in several processes."""

import importlib_metadata
from api_graph import INFERENCE_GRAPH, SAVED_MODEL, check_inference_graph, check_saved_model
from frozen_graph import FILE, frozen_detector

from _detection.inference import check_classes, run_detector
from _detection.postprocess import PER_CLASS, attributes, nms_kind
from _runtime import StageError, run, sha256_file
from _tf1_inference.api_detector import ApiDetector
from _untrained.marks import refuse_untrained

# The parameter's value: (file in the artifact, kind of model, parameter of freeze that writes it)
FORMS = {
    "tflite-graph": (FILE, "frozen-graph", None),
    "inference-graph": (INFERENCE_GRAPH, "inference-graph", "inference_graph"),
    "saved-model": (SAVED_MODEL, "saved-model", "saved_model"),
}


def main(task):
    """The pixels that the .tflite gets, through one of the forms in which the checkpoint was frozen."""
    version = importlib_metadata.version("tensorflow")
    task.tools["tensorflow"] = version
    source = task.input("graph")
    graph = source.json("graph.json")
    refuse_untrained(graph, "graph.json")
    check_classes(graph["classes"], task.input("records").json("records.json")["classes"], "graph.json")
    file, kind, _ = FORMS[task.params["form"]]
    detector = make_detector(source.path, graph, task.params["form"])
    # The Object Detection API's own graphs suppress class by class, whatever the operator was told.
    nms = nms_kind(attributes(graph["decode"], "graph.json: decode")) if task.params["form"] == "tflite-graph" else PER_CLASS
    model = {"kind": kind, "runtime": "TensorFlow", "version": version, "nms": nms, "sha256": sha256_file(source.path / file)}
    run_detector(task, graph["input_size"], detector, model)


def make_detector(folder, graph, form):
    """The detector of a frozen-graph artifact in one of its FORMS. graph: the value of graph.json. Raises StageError."""
    file, kind, parameter = FORMS[form]
    path = folder / file
    if form == "tflite-graph":
        return frozen_detector(folder, graph)
    if not path.is_file():
        raise StageError("the checkpoint was not frozen in this form", file, "a %s" % kind, "nothing", "set freeze.%s: true" % parameter)
    saved_model = form == "saved-model"
    tensors = (check_saved_model if saved_model else check_inference_graph)(path)
    return ApiDetector(path, *tensors, len(graph["classes"]), saved_model)


if __name__ == "__main__":
    run(main)
