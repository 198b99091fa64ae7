"""Run the .tflite with LiteRT on a split of the records, in several processes."""

from ai_edge_litert import __version__ as runtime

from _detection.inference import run_detector
from _detection.postprocess import nms_kind
from _litert.artifact import for_records, read_source
from _litert.detector import LiteRtDetector, check_runs
from _litert.layer_tensors import layer_ports
from _runtime import run, sha256_file


def main(task):
    """The model as a device would run it: with its own post-process operator where it has one, else decoded by the operator's rules."""
    kernels = task.params["kernels"]
    task.tools["ai-edge-litert"] = runtime
    source = read_source(task.input("model"))
    check_runs(source.path, kernels)
    lint = source.lint
    detector = LiteRtDetector(
        source.path, source.interface, lint["mean"], lint["std"], source.anchors, source.how, kernels, layer_ports(source.model)
    )
    detector = for_records(detector, source.classes, task.input("records").json("records.json"), task.params["classes_by_name"])
    model = {"kind": "tflite", "runtime": "LiteRT", "version": runtime, "kernels": kernels, "sha256": sha256_file(source.path)}
    model["nms"] = nms_kind(source.how)
    run_detector(task, lint["input_size"], detector, model)


if __name__ == "__main__":
    run(main)
