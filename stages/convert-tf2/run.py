"""Convert a TensorFlow 2 SavedModel, and lint the result."""

import math
import shutil
from functools import partial

from converter_process import Request, run_converter
from operator_options import options
from representative import SPLIT, draw, write_images

from _conversion.use import use_of
from _detection.inference import check_classes
from _runtime import StageError, atomic_write, run, write_json
from _tflite.canonical import canonical_model, with_options, with_outputs
from _tflite.lint import Expected, lint
from _untrained.marks import is_untrained

_FREEZE_AGAIN = "freeze the checkpoint again"
_FEW = 4  # images: enough that every tensor of an untrained model gets some range


def main(task):
    """Write model.tflite, its lint, and what is needed to run it. Nothing is written of a model that the lint refuses."""
    source, params = task.input("model"), task.params
    graph = source.json("graph.json")
    check_normalization(graph)
    prepare, count = _representative(task, graph)
    images = None if prepare is None else {"size": graph["input_size"], "mean": graph["input"]["mean"], "std": graph["input"]["std"]}
    request = Request(str(source.path / "saved_model"), params["quantization"], params["input_type"], images)
    converted = run_converter(request, prepare, task.scratch, params["seconds"])
    task.tools["tensorflow"] = converted.tensorflow
    outputs = [converted.outputs[name] for name in graph["outputs"]]
    content = _canonical(converted.content, graph, outputs)
    report = lint(content, _expected(graph, params, converted.inputs[graph["input"]["name"]], outputs))
    with atomic_write(task.output / "model.tflite") as stream:
        stream.write(content)
    write_json(task.output / "lint.json", dict(report, **_about(graph, params["quantization"])))
    write_json(task.output / "labels.json", {"schema": 1, "classes": graph["classes"]})
    shutil.copyfile(str(source.path / "anchors.npy"), str(task.output / "anchors.npy"))
    use = use_of(graph)
    if not use["usable"]:
        task.warn("the model is not for use, what it puts out means nothing: %s" % use["unusable_because"])
    operators = sum(row["count"] for row in report["operators"])
    task.metrics.update({"bytes": len(content), "operators": operators, "representative_images": count, "seconds": converted.seconds})


def check_normalization(graph):
    """Raise StageError where graph.json does not say how pixels become the model's input."""
    for name in ("mean", "std"):
        value = graph["input"].get(name)
        values = value if isinstance(value, list) else [value]
        numbers = all(isinstance(each, (int, float)) and not isinstance(each, bool) and math.isfinite(each) for each in values)
        if not numbers or len(values) not in (1, 3) or (name == "std" and min(values) <= 0):
            raise StageError(
                "the model does not say how its input is normalized",
                "graph.json: input.%s" % name,
                "a number, or one for each of three channels" + (", above 0" if name == "std" else ""),
                value,
                _FREEZE_AGAIN,
            )


def _representative(task, graph):
    """(what writes the representative images, their number); (None, 0) where none are needed."""
    if task.params["quantization"] != "int8" or graph["quantized"]:
        return None, 0
    records = task.input("records")
    if records is None:
        raise StageError(
            "int8 ranges are measured on images, and there are none",
            "convert-tf2: input records",
            "records, whose train split they are drawn from",
            "nothing",
            "bind `records`, train for quantization, or convert with quantization: float16",
        )
    index = records.json("records.json")
    check_classes(graph["classes"], index["classes"], "graph.json")
    wanted = min(task.params["representative_images"], _FEW) if is_untrained(graph) else task.params["representative_images"]
    drawn = draw(index, wanted, task.params["seed"])
    count = sum(len(places) for _, places in drawn)
    if count < wanted:
        task.warn("the split %s has %d images: ranges are measured on all of them, not on %d" % (SPLIT, count, wanted))
    return partial(write_images, records.path, drawn, graph["input_size"]), count


def _canonical(content, graph, outputs):
    """The model with the bytes that its meaning gives, its outputs in the order of their names, and all the operator's attributes."""
    content = with_outputs(content, outputs)
    return canonical_model(with_options(content, options(graph["decode"])) if graph["postprocess"] else content)


def _expected(graph, params, name, outputs):
    int8 = params["quantization"] == "int8"
    return Expected(
        params["quantization"],
        name,
        graph["input"]["shape"],
        graph["input"]["mean"],
        graph["input"]["std"],
        outputs,
        graph["decode"] if graph["postprocess"] else None,
        params["input_type"] if int8 else "float32",
        graph["quantized"],
    )


def _about(graph, quantization):
    """The fields of lint.json that a runtime needs and the flatbuffer does not say."""
    return {
        "schema": 1,
        "inference_type": quantization,
        "mean": graph["input"]["mean"],
        "std": graph["input"]["std"],
        "input_size": graph["input_size"],
        "decode": graph["decode"],
        **use_of(graph),
    }


if __name__ == "__main__":
    run(main)
