"""Convert the frozen graph with TOCO, and lint the result."""

import math
import shutil

import importlib_metadata
from toco import run_toco, toco_arguments

from _conversion.use import use_of
from _runtime import StageError, atomic_write, run, write_json
from _tflite.canonical import canonical_model
from _tflite.lint import Expected, lint


def main(task):
    """Write model.tflite, its lint, and what is needed to run it. Nothing is written of a model that the lint refuses."""
    task.tools["tensorflow"] = importlib_metadata.version("tensorflow")
    source = task.input("graph")
    graph = source.json("graph.json")
    inference_type, dummy = task.params["inference_type"], task.params["dummy_ranges"]
    _check_request(graph, inference_type, dummy)
    content = run_toco(toco_arguments(graph, source.path / "tflite_graph.pb", inference_type, dummy), task.scratch, task.params["seconds"])
    content = canonical_model(content)
    report = lint(content, _expected(graph, inference_type))
    with atomic_write(task.output / "model.tflite") as stream:
        stream.write(content)
    write_json(task.output / "lint.json", dict(report, **_about(graph, inference_type, dummy)))
    write_json(task.output / "labels.json", {"schema": 1, "classes": graph["classes"]})
    shutil.copyfile(str(source.path / "anchors.npy"), str(task.output / "anchors.npy"))
    use = use_of(graph, dummy)
    if not use["usable"]:
        task.warn("the model is not for use, what it puts out means nothing: %s" % use["unusable_because"])
    task.metrics.update({"bytes": len(content), "operators": sum(row["count"] for row in report["operators"])})


def _check_request(graph, inference_type, dummy):
    if dummy is not None:
        if inference_type != "uint8":
            raise StageError("dummy ranges make no sense for a float model", "convert.dummy_ranges", "none", dummy, "remove dummy_ranges")
        if not (all(math.isfinite(value) for value in dummy) and dummy[0] <= 0 <= dummy[1] and dummy[0] < dummy[1]):
            raise StageError(
                "the dummy range is not one", "convert.dummy_ranges", "[min, max] with min <= 0 <= max and min < max", dummy, "try [0, 6]"
            )
    if inference_type == "uint8" and not all(float(graph["input"][name]).is_integer() for name in ("mean", "std")):
        raise StageError(
            "TOCO takes whole numbers only for the input's mean and standard deviation",
            "graph.json: input",
            "whole numbers",
            "mean %g, std %g" % (graph["input"]["mean"], graph["input"]["std"]),
            "use a MobileNet or Inception feature extractor",
        )
    if inference_type == "uint8" and dummy is None and not graph["quantized"]:
        raise StageError(
            "the graph was not trained for quantization, so a uint8 model cannot be made of it",
            "fake_quant_audit.json",
            "a checkpoint trained with graph_rewriter in pipeline.config",
            "no graph_rewriter",
            "train with quantization, or convert with inference_type: float",
        )


def _expected(graph, inference_type):
    return Expected(
        inference_type,
        graph["input"]["name"],
        graph["input"]["shape"],
        graph["input"]["mean"],
        graph["input"]["std"],
        graph["outputs"],
        graph["decode"] if graph["postprocess"] else None,
    )


def _about(graph, inference_type, dummy):
    """The fields of lint.json that a runtime needs and the flatbuffer does not say."""
    return {
        "schema": 1,
        "inference_type": inference_type,
        "mean": graph["input"]["mean"],
        "std": graph["input"]["std"],
        "input_size": graph["input_size"],
        "decode": graph["decode"],
        **use_of(graph, dummy),
    }


if __name__ == "__main__":
    run(main)
