"""Run a TensorFlow 2 SavedModel on a split of the records, in several processes."""

import hashlib

import tensorflow as tf
from saved_detector import FOLDERS, RAW_OUTPUTS, saved_detector

from _detection.inference import check_classes, run_detector
from _detection.postprocess import PER_CLASS, attributes, nms_kind
from _runtime import run
from _untrained.marks import refuse_untrained


def main(task):
    """The pixels that the .tflite gets, through one of the forms in which the checkpoint was frozen."""
    task.tools["tensorflow"] = tf.__version__
    source, form = task.input("model"), task.params["form"]
    graph = source.json("graph.json")
    refuse_untrained(graph, "graph.json")
    check_classes(graph["classes"], task.input("records").json("records.json")["classes"], "graph.json")
    detector = saved_detector(source.path, graph, form, task.scratch / "model.pb")
    # The Object Detection API's own model suppresses class by class, whatever the operator was told.
    nms = nms_kind(attributes(graph["decode"], "graph.json: decode")) if form == RAW_OUTPUTS else PER_CLASS
    # With constant weights the raw outputs are a frozen graph, against which gates measure what a .tflite loses.
    model = {"kind": "frozen-graph" if form == RAW_OUTPUTS else "saved-model", "runtime": "TensorFlow", "version": tf.__version__}
    model.update(nms=nms, sha256=sha256_files(source.path / FOLDERS[form]))
    run_detector(task, graph["input_size"], detector, model)


def sha256_files(folder):
    """Hex sha256 of a SavedModel: of the names and the bytes of its files, in the order of their names."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode("utf-8") + b"\0")
        digest.update(path.read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    run(main)
