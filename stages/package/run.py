"""Collect what goes to the device, and refuse what would not work there."""

import json
import shutil
from pathlib import Path

from detect_program import build
from package_metrics import changes_of, metrics_of, output_places, thresholds_of
from package_texts import render

from _detection.label_map import parse_label_map
from _litert.compiled_artifact import whole_model
from _runtime import StageError, run, sha256_file, write_json, write_text

HERE = Path(__file__).resolve().parent
SUMS = "SHA256SUMS"
PROVENANCE = "provenance.intoto.jsonl"
PROGRAMS = ("detect.py", "parity.py")
CONFIGS = ("pipeline.config", "experiment.yaml")  # that of the Object Detection API, that of the Model Garden


def main(task):
    """The package's content depends on its inputs alone: it holds no time and no path of this machine.

    But for PROVENANCE, which tells when and by whom they were made: it is evidence, and not among the checksums.
    """
    model, compiled, graph, dataset, evaluation = (task.input(name) for name in ("model", "compiled", "graph", "dataset", "evaluation"))
    lint = model.json("lint.json")
    _require_usable(lint)
    classes = _classes(model, graph, dataset)
    metrics = metrics_of(evaluation, model)
    threshold, thresholds = thresholds_of(metrics)
    _require_same_model(model, compiled)
    if compiled is not None:
        whole_model(compiled, task.name)
    for source, name in _copied(model, compiled, graph, dataset, lint):
        shutil.copyfile(source.path / name, task.output / name)
    write_text(task.output / "labels.txt", "".join(name + "\n" for name in classes))
    write_json(
        task.output / "model.json",
        {
            "schema": 1,
            "inference_type": lint["inference_type"],
            "input_size": lint["input_size"],
            "mean": lint["mean"],
            "std": lint["std"],
            "decode": lint["decode"],
            "postprocess": lint["postprocess"] is not None,
            "outputs": output_places(lint),
            "classes": classes,
            "threshold": threshold,
            "thresholds": thresholds,
        },
    )
    inputs = lineage([each for each in (model, compiled, graph, dataset, evaluation) if each is not None])
    write_json(task.output / "inputs.json", {"schema": 2, "stages": inputs})
    for name in PROGRAMS:
        write_text(task.output / name, build((HERE / name).read_text(encoding="utf-8"), HERE.parent, name))
    facts = {
        "lint": lint,
        "classes": classes,
        "metrics": metrics,
        "changes": changes_of(metrics) if metrics else {},
        "threshold": threshold,
        "compiled": compiled is not None,
        "config": next((name for name in CONFIGS if (task.output / name).is_file()), None),
        "warm_start": _warm_start(inputs),
        "model_bytes": (model.path / "model.tflite").stat().st_size,
    }
    for name in ("README.md", "LICENSES.md"):
        write_text(task.output / name, render(name, facts))
    _write_sums(task.output)
    shutil.copyfile(task.scratch / PROVENANCE, task.output / PROVENANCE)
    task.metrics.update({"files": len(list(task.output.iterdir())), "bytes": sum(path.stat().st_size for path in task.output.iterdir())})


def _require_usable(lint):
    if not lint["usable"]:
        raise StageError(
            "the model is marked as not for use, so no package is made of it",
            where="lint.json",
            expected="usable: true",
            found=lint.get("unusable_because") or "usable: false",
            remedy="train it (without the parameter `untrained`) with quantization, and convert it without dummy_ranges",
        )


def _classes(model, graph, dataset):
    """The class names in the order of the model's outputs; model, graph and label map must agree, or every label would be another."""
    classes = parse_label_map((dataset.path / "label_map.pbtxt").read_text(encoding="utf-8"), "label_map.pbtxt")
    for source, name in ((model, "labels.json"), (graph, "graph.json")):
        if source is None:
            continue
        found = source.json(name)["classes"]
        if found != classes:
            raise StageError(
                "the model and the dataset do not have the same classes in the same order",
                where="%s of %s" % (name, source.name),
                expected=", ".join(classes),
                found=", ".join(found),
                remedy="bind package to the dataset that the model was trained on",
            )
    for name in classes:
        if len(name.splitlines()) != 1:
            raise StageError(
                "a class name cannot be written as one line of labels.txt",
                where="label_map.pbtxt",
                expected="one line",
                found=json.dumps(name),
                remedy="rename the class",
            )
    return classes


def _require_same_model(model, compiled):
    if compiled is None:
        return
    told = (compiled.manifest()["inputs"].get("model") or {}).get("digest")
    if told != model.digest:
        raise StageError(
            "the compiled model was made from another model",
            where=compiled.name,
            expected="input digest %s" % model.digest,
            found=told,
            remedy="bind package and compile to the same model",
        )


def _copied(model, compiled, graph, dataset, lint):
    yield model, "model.tflite"
    if compiled is not None:
        yield compiled, "model_edgetpu.tflite"
    if lint["postprocess"] is None:
        yield model, "anchors.npy"
    yield from ((graph, name) for name in CONFIGS if graph is not None and (graph.path / name).is_file())
    yield dataset, "label_map.pbtxt"


def lineage(artifacts):
    """{key: what decided the artifact of that key} of everything that went into `artifacts`; `inputs` name keys.

    No step's name: that is the name in the pipeline which happened to make the artifact first. digest is None where no manifest at
    hand tells it: the key pins the artifact all the same.
    """
    stages, digests = {}, {}
    for artifact in artifacts:
        manifest = artifact.manifest()
        digests[manifest["key"]] = manifest["digest"]
        for bound in manifest["inputs"].values():
            digests.update({each["key"]: each["digest"] for each in (bound if isinstance(bound, list) else [bound]) if each})
        keys = {name: entry["key"] for name, entry in manifest["lineage"].items()}  # an older manifest goes by names
        for key, entry in zip(keys.values(), manifest["lineage"].values()):
            digests.setdefault(key, entry.get("digest"))
            stages[key] = {field: entry.get(field) for field in ("stage", "image", "params")}
            stages[key]["inputs"] = {into: [keys.get(each, each) for each in feeders] for into, feeders in entry["inputs"].items()}
    return {key: dict(entry, digest=digests[key]) for key, entry in stages.items()}


def _warm_start(inputs):
    return any((entry["params"] or {}).get("warm_start") for entry in inputs.values())


def _write_sums(folder):
    """SHA256SUMS in the form that `sha256sum -c` checks."""
    names = sorted(path.name for path in folder.iterdir())
    write_text(folder / SUMS, "".join("%s  %s\n" % (sha256_file(folder / name), name) for name in names))


if __name__ == "__main__":
    run(main)
