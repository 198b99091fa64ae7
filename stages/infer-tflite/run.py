"""Run the .tflite with LiteRT on a split of the dataset, in several processes."""

from importlib.metadata import version

import numpy as np
from litert_detector import LiteRtDetector, check_model

from _detection.dataset import load
from _detection.inference import check_classes, run_detector
from _detection.postprocess import attributes
from _runtime import StageError, run, sha256_file


def main(task):
    """The model as a device would run it: with its own post-process operator where it has one, else decoded by the operator's rules."""
    runtime = version("ai-edge-litert")
    task.tools["ai-edge-litert"] = runtime
    source = task.input("model")
    lint = source.json("lint.json")
    if not lint["usable"]:
        raise StageError(
            "the model is marked as not for use", "lint.json", "usable: true", lint["unusable_because"], "convert without dummy_ranges"
        )
    dataset = load(task.input("dataset").path)
    check_classes(source.json("labels.json")["classes"], dataset.classes, "labels.json")
    path = source.path / "model.tflite"
    check_model(path, lint)
    how = attributes(lint["decode"], "lint.json: decode")
    detector = LiteRtDetector(path, lint, np.load(source.path / "anchors.npy", allow_pickle=False), how, task.params["kernels"])
    model = {"kind": "tflite", "runtime": "LiteRT", "version": runtime, "kernels": task.params["kernels"], "sha256": sha256_file(path)}
    run_detector(task, dataset, task.params["split"], lint["input_size"], detector, model)


if __name__ == "__main__":
    run(main)
