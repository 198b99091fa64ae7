"""A tflite artifact as inference reads it: model.tflite, lint.json, labels.json and anchors.npy, which must be of one model."""

from typing import Any, NamedTuple

import numpy as np

from _detection.inference import check_classes
from _detection.postprocess import attributes
from _litert.class_names import ByName
from _litert.interface import check_artifact
from _runtime import StageError
from _tflite.model import read_model


class Source(NamedTuple):
    """path: of model.tflite; lint: the value of lint.json; classes: names; anchors: float32 [n, 4]; how: `postprocess.Attributes`;
    model: `_tflite.model.Model`; interface: `interface.Interface`.
    """

    path: Any
    lint: dict
    classes: list
    anchors: np.ndarray
    how: Any
    model: Any
    interface: Any


def read_source(artifact):
    """The `Source` of a stage's input of the kind tflite. Raises StageError where it is marked as not for use, or not of one model."""
    lint = artifact.json("lint.json")
    if not lint["usable"]:
        raise StageError(
            "the model is marked as not for use",
            "lint.json",
            "usable: true",
            lint["unusable_because"],
            "train it (without the parameter `untrained`), and convert it without dummy_ranges",
        )
    how = attributes(lint["decode"], "lint.json: decode")
    path, classes = artifact.path / "model.tflite", artifact.json("labels.json")["classes"]
    anchors = _anchors(artifact.path / "anchors.npy")
    model = read_model(path.read_bytes())
    return Source(path, lint, classes, anchors, how, model, check_artifact(model, lint, classes, anchors))


def _anchors(path):
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise StageError(
            "the anchors cannot be read", path, "an array in NumPy's format", error, "convert or import the model again"
        ) from None


def for_records(detector, classes, records, by_name):
    """The detector as it fits the records' classes. records: the value of records.json.

    by_name: classes go by their names, and what the records do not have is left out; otherwise they must be the same, in the same order.
    Raises StageError.
    """
    if not by_name:
        check_classes(classes, records["classes"], "labels.json")
        return detector
    return ByName(detector, classes, records["classes"])
