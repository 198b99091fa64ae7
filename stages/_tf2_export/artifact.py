"""A saved-model artifact: SavedModel, anchors.npy, and graph.json with what later stages must know."""

import io
from typing import Callable, NamedTuple, Union

import numpy as np

from _runtime import atomic_write, write_json
from _tf2_export.saved_model import BOXES, DETECTIONS, INPUT, SCORES, write_saved_model


class Exported(NamedTuple):
    """A detector that is to be written.

    raw_outputs: as `write_saved_model` takes it; anchors: float32 [n, 4], ycenter, xcenter, height, width, 1.0 being the image's side;
    size: [height, width] in pixels; mean, std: numbers, or a list with one for each channel: value = (pixel - mean) / std; decode: all
    attributes of TFLite_Detection_PostProcess (`_odapi.exportable.decode_attributes`); score_converter: "SIGMOID", …; classes: names in
    the label map's order; quantized: whether the model has fake-quantization; step: of the training.
    """

    raw_outputs: Callable
    anchors: np.ndarray
    size: list
    mean: Union[float, list]
    std: Union[float, list]
    decode: dict
    score_converter: str
    classes: list
    quantized: bool
    step: int


def write_artifact(folder, exported, postprocess, more=None):
    """Write saved_model/, anchors.npy and graph.json to `folder`; returns graph.json's value.

    postprocess: whether with the operator; more: further fields of graph.json.
    """
    described = dict(describe(exported, postprocess), **(more or {}))
    decode = exported.decode if postprocess else None
    write_saved_model(folder / "saved_model", exported.raw_outputs, exported.size, exported.anchors, decode)
    _write_array(exported.anchors, folder / "anchors.npy")
    write_json(folder / "graph.json", described)
    return described


def describe(exported, postprocess):
    """The value of graph.json: the same fields as of a frozen graph. `input.mean` and `input.std` are those of training."""
    mean, std = (_numbers(value) for value in (exported.mean, exported.std))
    return {
        "schema": 1,
        "input": {"name": INPUT, "shape": [1, *exported.size, 3], "mean": mean, "std": std, "trained_mean": mean, "trained_std": std},
        "outputs": list(DETECTIONS) if postprocess else [BOXES, SCORES],
        "raw_outputs": {"boxes": BOXES, "scores": SCORES},
        "postprocess": postprocess,
        "decode": exported.decode,
        "score_converter": exported.score_converter,
        "input_size": list(exported.size),
        "anchors": len(exported.anchors),
        "classes": list(exported.classes),
        "quantized": exported.quantized,
        "step": exported.step,
    }


def _numbers(value):
    return [float(each) for each in value] if isinstance(value, (list, tuple)) else float(value)


def _write_array(array, path):
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(array, np.float32), allow_pickle=False)
    with atomic_write(path) as out:
        out.write(stream.getvalue())
