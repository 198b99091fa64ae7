"""Run the compiled .tflite on an Edge TPU on a split of the records."""

from ai_edge_litert import __version__ as runtime
from edgetpu_detector import EdgeTpuDetector, runtime_version

from _detection.inference import run_detector
from _detection.postprocess import nms_kind
from _edgetpu.interface import require_same_interface
from _litert.artifact import for_records, read_source
from _litert.compiled_artifact import whole_model
from _litert.interface import read_interface
from _runtime import StageError, run, sha256_file
from _tflite.model import read_model


def main(task):
    """The model as the device runs it: what the compiler mapped on the Edge TPU, the rest, with the post-process operator, on the CPU."""
    task.tools["ai-edge-litert"] = runtime
    compiled, artifact = task.input("compiled"), task.input("model")
    _require_same_model(compiled, artifact)
    source = read_source(artifact)
    path = whole_model(compiled, task.name)
    interface = _interface(path, source.model)
    lint, device = source.lint, task.params["device"]
    detector = EdgeTpuDetector(path, interface, lint["mean"], lint["std"], source.anchors, source.how, device)
    detector = for_records(detector, source.classes, task.input("records").json("records.json"), task.params["classes_by_name"])
    task.tools["libedgetpu"] = runtime_version()
    model = {
        "kind": "edgetpu",
        "runtime": "LiteRT with libedgetpu",
        "version": "%(ai-edge-litert)s, %(libedgetpu)s" % task.tools,
        "nms": nms_kind(source.how),
        "sha256": sha256_file(path),
        "compiled_from": sha256_file(source.path),
    }
    run_detector(task, lint["input_size"], detector, model)


def _require_same_model(compiled, model):
    told = (compiled.manifest()["inputs"].get("model") or {}).get("digest")
    if told != model.digest:
        raise StageError(
            "the compiled model was made from another model",
            compiled.name,
            "input digest %s" % model.digest,
            told,
            "bind infer-edgetpu and compile to the same model",
        )


def _interface(path, source):
    """The compiled model's `Interface`. source: the `_tflite.model.Model` that it must have the inputs and outputs of."""
    model = read_model(path.read_bytes(), path)
    require_same_interface(model, source, path, "compile the model again")
    return read_interface(model, path)


if __name__ == "__main__":
    run(main)
