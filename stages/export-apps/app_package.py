"""A package as other programs see it: its facts, its class names, and its model files with what goes in and what comes out."""

import json
import math
from typing import Any, NamedTuple

from _detection.postprocess import attributes
from _litert.interface import read_interface
from _runtime import StageError
from _tflite.model import read_model

MODEL, COMPILED = "model.tflite", "model_edgetpu.tflite"
USUAL_OUTPUTS = {"boxes": 0, "classes": 1, "scores": 2, "count": 3}  # where model.json is silent: as TensorFlow 1 puts them
_WHOLE = "take all files from one package: build it again"


class ModelFile(NamedTuple):
    """A .tflite. interface: `_litert.interface.Interface`; roles: what each output is, in the file's order."""

    name: str
    content: bytes
    interface: Any
    roles: list


class Package(NamedTuple):
    """model: `ModelFile`; compiled: that of the Edge TPU, or None; classes: names, class 0 first; how: `postprocess.Attributes`.

    mean, std: numbers, or three each, the model reading (pixel - mean) / std; size: [height, width]; threshold: least score of an object
    of any class, None without an evaluation; thresholds: {class: its own, or None}.
    """

    model: ModelFile
    compiled: Any
    classes: list
    how: Any
    mean: Any
    std: Any
    size: list
    threshold: Any
    thresholds: dict


def read_package(folder):
    """The `Package` in a folder, a Path. Raises StageError where no other program could run it, or its files are not of one model."""
    facts = _facts(folder / "model.json")
    classes = _classes(folder, facts)
    if not facts["postprocess"]:
        raise StageError(
            "the model puts out raw boxes and scores, which no other program decodes",
            "model.json: postprocess",
            "true: TFLite_Detection_PostProcess is in the model",
            "false",
            "freeze it with `postprocess: true`",
        )
    how = attributes(facts["decode"], "model.json: decode")
    _require_one_class_each(how)
    model = _model(folder / MODEL, facts)
    compiled = _model(folder / COMPILED, facts) if (folder / COMPILED).is_file() else None
    return Package(
        model,
        compiled,
        classes,
        how,
        facts["mean"],
        facts["std"],
        facts["input_size"],
        facts.get("threshold"),
        facts.get("thresholds") or {},
    )


def _facts(path):
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StageError("the file cannot be read", path.name, "JSON", error, _WHOLE) from None
    rules = {
        "classes": (_is_names, "a list of names"),
        "decode": (lambda value: isinstance(value, dict), "how boxes are decoded"),
        "input_size": (_is_size, "[height, width]"),
        "mean": (_is_levels, "a number, or three"),
        "std": (lambda value: _is_levels(value) and _least(value) > 0, "a number above 0, or three"),
        "postprocess": (lambda value: isinstance(value, bool), "true or false"),
    }
    for name, (fits, expected) in rules.items():
        value = facts.get(name) if isinstance(facts, dict) else None
        if not fits(value):
            raise StageError("the file does not tell how the model is run", "model.json: %s" % name, expected, json.dumps(value), _WHOLE)
    return facts


def _is_names(value):
    return isinstance(value, list) and bool(value) and all(isinstance(name, str) for name in value)


def _is_size(value):
    return isinstance(value, list) and len(value) == 2 and all(isinstance(side, int) and side > 0 for side in value)


def _is_levels(value):
    levels = value if isinstance(value, list) and len(value) == 3 else [value]
    return all(isinstance(level, (int, float)) and not isinstance(level, bool) and math.isfinite(level) for level in levels)


def _least(value):
    return min(value) if isinstance(value, list) else value


def _classes(folder, facts):
    """The names, each of which must be a line that every program reads as it was written, and those of labels.txt."""
    names = facts["classes"]
    for number, name in enumerate(names):
        if name.splitlines() != [name] or name != name.strip() or "\0" in name:
            raise StageError(
                "a class name cannot be written as a line of a label file",
                "model.json: classes, class %d" % number,
                "one line, with no space before or behind it",
                json.dumps(name, ensure_ascii=True),
                "rename the class in the data set",
            )
    lines = (folder / "labels.txt").read_text(encoding="utf-8").splitlines()
    if lines != names:
        raise StageError("labels.txt and model.json do not have the same classes", "labels.txt", ", ".join(names), ", ".join(lines), _WHOLE)
    return names


def _require_one_class_each(how):
    """The operator counts boxes: programs that read so many scores miss those of the boxes' further classes."""
    if not how.use_regular_nms and min(how.max_classes_per_detection, how.num_classes) > 1:
        raise StageError(
            "the model puts out several classes for each box, which other programs do not read",
            "model.json: decode: max_classes_per_detection",
            1,
            how.max_classes_per_detection,
            "freeze it with one class for each detection",
        )


def _model(path, facts):
    content = path.read_bytes()
    model = read_model(content, path.name)
    interface = read_interface(model, path.name)
    if not interface.operator:
        raise StageError(
            "the model has no post-process operator, though model.json says so",
            path.name,
            "outputs %s of TFLite_Detection_PostProcess" % ", ".join(USUAL_OUTPUTS),
            ", ".join(interface.outputs),
            _WHOLE,
        )
    found = {role: place for place, role in enumerate(interface.outputs)}
    told = facts.get("outputs") or USUAL_OUTPUTS
    size = list(interface.source.shape[1:3])
    for what, field, value, other in (
        ("the model does not have the outputs that model.json tells", "outputs", told, found),
        ("the model does not have the input that model.json tells", "input_size", facts["input_size"], size),
    ):
        if value != other:
            place = "model.json: %s, of %s" % (field, path.name)
            raise StageError(what, place, json.dumps(other, sort_keys=True), json.dumps(value, sort_keys=True), _WHOLE)
    if facts["decode"].get("num_classes") != len(facts["classes"]):
        raise StageError(
            "model.json does not name every class of the model",
            "model.json: classes",
            "%s names" % facts["decode"].get("num_classes"),
            len(facts["classes"]),
            _WHOLE,
        )
    return ModelFile(path.name, content, interface, list(interface.outputs))
