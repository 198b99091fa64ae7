"""The detector of a saved-model artifact, in either of its forms."""

import numpy as np
from frozen_function import freeze_signature
from keras_layers import keras_layers

from _detection.postprocess import attributes
from _runtime import StageError
from _tf1_inference.apart import run_apart
from _tf1_inference.api_detector import OUTPUTS, ApiDetector
from _tf1_inference.raw_detector import RawDetector

RAW_OUTPUTS, INFERENCE_MODEL = "raw-outputs", "inference-model"
FOLDERS = {RAW_OUTPUTS: "saved_model", INFERENCE_MODEL: "inference_model"}
_SIGNATURES = {RAW_OUTPUTS: "raw_outputs", INFERENCE_MODEL: "serving_default"}


def saved_detector(folder, graph, form, path):
    """The detector of the saved-model artifact in `folder`. graph: the value of graph.json; path: of a GraphDef that is written.

    Raises StageError where the form is not there, or its files don't fit together.
    """
    model = folder / FOLDERS[form]
    if not (model / "saved_model.pb").is_file():
        raise StageError(
            "the checkpoint was not frozen in this form", FOLDERS[form], "a SavedModel", "nothing", "set freeze-tf2.inference_model: true"
        )
    frozen = run_apart(freeze_signature, str(model), _SIGNATURES[form], str(path))
    return (_raw_detector if form == RAW_OUTPUTS else _api_detector)(folder, graph, model, path, frozen)


def _raw_detector(folder, graph, model, path, frozen):
    wanted = [graph["raw_outputs"]["boxes"], graph["raw_outputs"]["scores"]]
    _check(model, frozen, wanted, graph["input"]["shape"], "float32")
    outputs = [frozen.outputs[name].partition(":")[0] for name in wanted]
    anchors = np.load(str(folder / "anchors.npy"), allow_pickle=False)
    if anchors.shape != (graph["anchors"], 4) or anchors.dtype != np.float32:
        raise StageError(
            "the anchors are not the model's",
            "anchors.npy",
            "float32 [%d, 4]" % graph["anchors"],
            "%s %s" % (anchors.dtype, list(anchors.shape)),
            "freeze it again",
        )
    how, source = attributes(graph["decode"], "graph.json: decode"), frozen.source.partition(":")[0]
    normalization = graph["input"]["mean"], graph["input"]["std"]
    return RawDetector(path, source, outputs, normalization, anchors, how, find_layers=keras_layers)


def _api_detector(_folder, graph, model, path, frozen):
    _check(model, frozen, OUTPUTS, [1, None, None, 3], "uint8")
    outputs = [frozen.outputs[name] for name in OUTPUTS]
    return ApiDetector(path, frozen.source, outputs, len(graph["classes"]), saved_model=False, find_layers=keras_layers)


def _check(model, frozen, outputs, shape, kind):
    missing = [name for name in outputs if name not in frozen.outputs]
    if missing:
        raise StageError("the SavedModel lacks an output", model, missing[0], ", ".join(sorted(frozen.outputs)), "freeze it again")
    if (frozen.shape, frozen.type) != (list(shape), kind):
        raise StageError(
            "the SavedModel's input is not the one described",
            "%s: %s" % (model, frozen.source),
            "%s %s" % (kind, list(shape)),
            "%s %s" % (frozen.type, frozen.shape),
            "freeze it again",
        )
