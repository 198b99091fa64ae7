"""Somebody's .tflite as a tflite artifact: what it is read off the file, what the file does not say is given, all of it tried out."""

import json
import math
from pathlib import Path

import numpy as np
from ai_edge_litert import __version__ as runtime
from label_file import class_names, read_labels

from _detection.postprocess import attributes
from _edgetpu.words import CUSTOM_OP
from _litert.detector import LiteRtDetector, check_runs
from _litert.interface import check_artifact, input_table, port, read_interface
from _runtime import StageError, atomic_write, run, write_json
from _tflite.lint import describe
from _tflite.model import read_model
from _tflite.outputs import POSTPROCESS, postprocess_operator

MODEL = "model.tflite"
_WITH_WEIGHTS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
_GREY = 128
# As export_tflite_ssd_graph.py of the Object Detection API and its sample configs have them.
_DECODE = {
    "max_detections": 100,
    "max_classes_per_detection": 1,
    "detections_per_class": 100,
    "use_regular_nms": False,
    "nms_score_threshold": 1e-8,
    "nms_iou_threshold": 0.6,
    "y_scale": 10.0,
    "x_scale": 10.0,
    "h_scale": 5.0,
    "w_scale": 5.0,
}
_OF_OPERATOR = {"detections_per_class": 100, "use_regular_nms": False}  # what the operator takes where it has no such attribute


def main(task):
    """Write model.tflite, lint.json, labels.json and anchors.npy: as the stage convert does, so that all that follows is the same."""
    task.tools["ai-edge-litert"] = runtime
    path, labels = _given(task, "path"), _given(task, "labels")
    content = _read(path)
    model = read_model(content, path)
    _refuse_compiled(model, path)
    _refuse_marked(path)
    interface = read_interface(model, path)
    classes = class_names(read_labels(labels), _class_counts(model, interface), labels)
    report = describe(model)
    mean, std = _normalization(task, interface.source, path)
    lint = dict(report, **_about(model, interface, _decode(task, report, interface, len(classes), path), mean, std))
    interpreter = check_runs(path, where=path)
    anchors = _anchors(task, model, interface, interpreter, path)
    check_artifact(model, lint, classes, anchors, path)
    _try(path, interface, lint, anchors)
    with atomic_write(task.output / MODEL) as stream:
        stream.write(content)
    write_json(task.output / "lint.json", lint)
    write_json(task.output / "labels.json", {"schema": 1, "classes": classes})
    with atomic_write(task.output / "anchors.npy") as stream:
        np.save(stream, anchors)
    task.metrics.update({"bytes": len(content), "operators": len(model.operators), "classes": len(classes), "anchors": len(anchors)})


def _given(task, name):
    value = task.params[name]
    if value is None:
        raise StageError(
            "the parameter %s is missing" % name, "%s.%s" % (task.name, name), "the path of a file", None, "set it in the pipeline"
        )
    return Path(value)


def _read(path):
    try:
        return path.read_bytes()
    except OSError as error:
        raise StageError("the model cannot be read: %s" % error.strerror, path, "a .tflite file", None, "check the path") from None


def _refuse_compiled(model, path):
    if any(operator.op == CUSTOM_OP for operator in model.operators):
        raise StageError(
            "the model is compiled for the Edge TPU, and runs nowhere else",
            path,
            "the .tflite that it was compiled from",
            CUSTOM_OP,
            "import that one; the stage compile makes the other of it",
        )


def _refuse_marked(path):
    """The file of a tflite artifact says nothing of its weights; the lint.json beside it does. Any other file of that name is let be."""
    for lint in (path.with_name("lint.json"), path.resolve().with_name("lint.json")):
        try:
            told = json.loads(lint.read_bytes().decode("utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(told, dict) and told.get("usable") is False:
            raise StageError(
                "the model is marked as not for use",
                lint,
                "usable: true",
                told.get("unusable_because") or "usable: false",
                "train it (without the parameter `untrained`), and convert it without dummy_ranges; or, if lint.json is about another "
                "model, move this one to a folder of its own",
            )


def _class_counts(model, interface):
    """How many classes the model may have, as a tuple: of raw scores, a column may be the background's."""
    if interface.operator:
        told = describe(model)["postprocess"] or {}
        return (int(told.get("num_classes", 0)),)
    columns = interface.outputs["scores"].shape[2]
    return (columns, columns - 1)


def _decode(task, report, interface, number, path):
    """All attributes of the post-process operator: its own, or what the parameters say of a model without one."""
    given = task.params["decode"]
    if not interface.operator:
        return dict(_DECODE, **given, num_classes=number)
    if given:
        raise StageError(
            "the model decodes its boxes itself",
            "%s.decode" % task.name,
            "nothing: %s has its own attributes" % POSTPROCESS,
            given,
            "remove `decode`",
        )
    if report["postprocess"] is None:
        raise StageError(
            "the options of the post-process operator cannot be read", path, "a map of its attributes", None, "export the model again"
        )
    return attributes(dict(_OF_OPERATOR, **report["postprocess"]), "%s: %s" % (path, POSTPROCESS))._asdict()


def _normalization(task, source, path):
    """(mean, std), each a number or a list of three. Of a quantized input those with which a pixel is its own value."""
    mean, std = (task.params[name] for name in ("mean", "std"))
    if (mean is None) != (std is None):
        raise StageError("one of mean and std is missing", task.name, "both, or neither", "mean %s, std %s" % (mean, std), "give both")
    if mean is None:
        if source.scale is None:
            raise StageError(
                "the model's input is float, and nobody says what it makes of pixels",
                "%s, input %s" % (path, source.name),
                "mean and std",
                None,
                "set `mean` and `std`: [127.5] each for -1 to 1, as MobileNets read; [0] and [255] for 0 to 1; [0] and [1] for pixels",
            )
        return (source.zero_point + (128 if source.type == "int8" else 0), 1.0 / source.scale)
    if not all(map(math.isfinite, [*mean, *std])) or min(std) <= 0 or 2 in (len(mean), len(std)):
        raise StageError(
            "mean or std is no good", task.name, "one number or three, std above 0", "mean %s, std %s" % (mean, std), "correct them"
        )
    mean, std = (value[0] if len(value) == 1 else list(value) for value in (mean, std))
    _warn_of_cut(task, source, mean, std)
    return mean, std


def _warn_of_cut(task, source, mean, std):
    if source.scale is None:
        return
    table = input_table(source, mean, std)
    different = min(len(np.unique(column)) for column in table.T)
    if different < 128:
        task.warn(
            "the model's input tells only %d of 256 grey levels apart with this mean and std; its own steps are %g apart, from %d"
            % (different, source.scale, source.zero_point)
        )


def _about(model, interface, decode, mean, std):
    """The fields of lint.json that the flatbuffer does not say, or not in these words."""
    return {
        "schema": 1,
        "inference_type": _inference_type(model),
        "mean": mean,
        "std": std,
        "input_size": list(interface.source.shape[1:3]),
        "decode": decode,
        "usable": True,
        "unusable_because": None,
    }


def _inference_type(model):
    """In what most of the layers with weights compute: "uint8", "int8" or "float"."""
    types = [model.tensors[operator.outputs[0]].type for operator in model.operators if operator.op in _WITH_WEIGHTS and operator.outputs]
    most = max(sorted(set(types)), key=types.count, default="float32")
    return "float" if most == "float32" else most


def _anchors(task, model, interface, interpreter, path):
    """float32 [n, 4]: the operator's own, or those of the parameter."""
    given = task.params["anchors"]
    if not interface.operator:
        if given is None:
            raise StageError(
                "the model has no post-process operator, and its anchors are not given",
                path,
                "the parameter anchors",
                None,
                "set `anchors` to an .npy file of them, or export the model with %s" % POSTPROCESS,
            )
        anchors, count = _read_anchors(Path(given)), interface.outputs["scores"].shape[1]
        if anchors.shape != (count, 4):
            raise StageError("the anchors are not the model's", given, [count, 4], list(anchors.shape), "give the anchors of this model")
        return anchors
    if given is not None:
        raise StageError("the model has its own anchors", "%s.anchors" % task.name, "nothing", given, "remove `anchors`")
    index = postprocess_operator(model, path).inputs[2]
    tensor = model.tensors[index]
    if not tensor.bytes:
        raise StageError(
            "the model computes its anchors", "%s, tensor %s" % (path, tensor.name), "a constant", None, "export the model again"
        )
    return port(tensor).real(interpreter.get_tensor(index))


def _read_anchors(path):
    try:
        anchors = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise StageError(
            "the anchors cannot be read", path, "an array in NumPy's format (.npy)", error, "write them with numpy.save"
        ) from None
    if not isinstance(anchors, np.ndarray) or anchors.dtype.kind != "f" or anchors.ndim != 2 or not np.isfinite(anchors).all():
        found = "%s %s" % (anchors.dtype, list(anchors.shape)) if isinstance(anchors, np.ndarray) else type(anchors).__name__
        raise StageError(
            "the anchors are no table of numbers",
            path,
            "float [anchors, 4], finite",
            found,
            "write ycenter, xcenter, height, width of each",
        )
    return anchors.astype(np.float32)


def _try(path, interface, lint, anchors):
    """Run the model once, on a grey picture."""
    how = attributes(lint["decode"], "decode")
    detector = LiteRtDetector(path, interface, lint["mean"], lint["std"], anchors, how, "reference", {})
    detector(np.full([1, *lint["input_size"], 3], _GREY, np.uint8))


if __name__ == "__main__":
    run(main)
