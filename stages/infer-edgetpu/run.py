"""Run the compiled .tflite on an Edge TPU on a split of the records."""

from ai_edge_litert import __version__ as runtime
from edgetpu_detector import EdgeTpuDetector, runtime_version

from _detection.inference import run_detector
from _detection.postprocess import nms_kind
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
    interface = _interface(path, source.interface)
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
    """The compiled model's `Interface`. The compiler keeps inputs and outputs; their tensors have other places."""
    found = read_interface(read_model(path.read_bytes(), path), path)
    for ours, theirs in [(found.source, source.source), *((port, source.outputs.get(role)) for role, port in found.outputs.items())]:
        if theirs is None or ours._replace(index=0) != theirs._replace(index=0):
            raise StageError(
                "the compiled model's inputs and outputs are not the model's",
                "%s, tensor %s" % (path, ours.name),
                theirs and "%s %s" % (theirs.type, list(theirs.shape)),
                "%s %s" % (ours.type, list(ours.shape)),
                "compile the model again",
            )
    return found


if __name__ == "__main__":
    run(main)
