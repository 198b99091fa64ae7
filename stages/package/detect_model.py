"""The model, and what it finds in a picture."""

import ctypes
import json
import os
import sys
import time
from typing import NamedTuple

import numpy as np

from _detection.postprocess import Detections, attributes, postprocess
from _detection.resize import model_input
from _litert.interface import Port, input_table
from _runtime import StageError

EDGE_TPU_LIBRARY = {"darwin": "libedgetpu.1.dylib", "win32": "edgetpu.dll"}.get(sys.platform, "libedgetpu.so.1")
# Where model.json does not tell which output is which: TFLite_Detection_PostProcess as TensorFlow 1 puts them, or raw ones.
USUAL_OUTPUTS = {4: ("boxes", "classes", "scores", "count"), 2: ("boxes", "scores")}
USUAL_THRESHOLD = 0.5


class NoDelegateError(StageError):
    """The Edge TPU's library, or the Edge TPU itself, is not there."""

    exit_status = 3


class Found(NamedTuple):
    """An object: its class's label and number (from 0), score 0..1, and box [xmin, ymin, xmax, ymax] in pixels of the picture."""

    label: str
    number: int
    score: float
    box: list


class Detector:
    """path: a .tflite file; facts: its model.json; called with uint8 pixels [height, width, 3], RGB, it returns `Detections`.

    seconds: how long the model itself took for the last picture.
    """

    def __init__(self, path, facts, edge_tpu=False):
        self.seconds = 0.0
        self._how = attributes(facts.get("decode"), "model.json: decode")
        self._interpreter = load_interpreter(path, edge_tpu)
        self._source = port_of(self._interpreter.get_input_details()[0])
        if self._source.scale is None and self._source.type != "float32":
            raise StageError("the model's input has no scale", path, "a quantized input, or float32", "%s without" % self._source.type)
        self._table = input_table(self._source, facts["mean"], facts["std"])
        outputs = self._interpreter.get_output_details()
        self._outputs = {name: port_of(outputs[place]) for name, place in output_places(facts.get("outputs"), len(outputs)).items()}
        self._anchors = None
        if "classes" not in self._outputs:  # raw outputs: no post-process operator is in the model
            self._anchors = read_anchors(os.path.join(os.path.dirname(path), "anchors.npy"))

    def __call__(self, pixels):
        """`Detections` in uint8 pixels [height, width, 3], RGB."""
        # As in training: TensorFlow 1's bilinear resizing, rounded half to even; then what each grey level is for the model.
        _, height, width, channels = self._source.shape
        levels = self._table[model_input(pixels, height, width), np.arange(channels) % self._table.shape[1]]
        self._interpreter.set_tensor(self._source.index, levels)
        began = time.perf_counter()
        self._interpreter.invoke()
        self.seconds = time.perf_counter() - began
        values = {name: port.real(self._interpreter.get_tensor(port.index)) for name, port in self._outputs.items()}
        if self._anchors is not None:
            return postprocess(values["boxes"][0], values["scores"][0], self._anchors, self._how)
        # The operator counts boxes; its fast NMS puts out several classes of each where the model was made so.
        each = 1 if self._how.use_regular_nms else min(self._how.max_classes_per_detection, self._how.num_classes)
        boxes, classes, scores = (values[name][0, : int(values["count"].flat[0]) * each] for name in ("boxes", "classes", "scores"))
        if not all(np.isfinite(value).all() for value in (boxes, classes, scores)):
            raise StageError("the model puts out values that are not finite", "the model", remedy="is the file whole? see SHA256SUMS")
        return Detections(boxes, classes.astype(np.int64), scores)


def port_of(details):
    """The `Port` of a tensor, of what LiteRT tells of it."""
    scale, zero_point = details["quantization"]
    return Port(details["index"], details["name"], np.dtype(details["dtype"]).name, tuple(details["shape"]), scale or None, zero_point)


def output_places(told, count):
    """{"boxes": index, …} of the model's `count` outputs. told: the same of model.json, or None where it is silent."""
    usual = USUAL_OUTPUTS.get(count, ())
    places = told or {name: place for place, name in enumerate(usual)}
    if not usual or set(places) != set(usual) or sorted(places.values()) != list(range(count)):
        raise StageError(
            "the model's outputs are not a detector's",
            "model.json: outputs",
            "boxes, classes, scores and count, or boxes and scores",
            "%d outputs%s" % (count, "" if told is None else ", told to be %s" % json.dumps(told, sort_keys=True)),
            "take model and model.json from the same package",
        )
    return places


def load_interpreter(path, edge_tpu):
    """LiteRT's interpreter of a model file, ready to run. Raises StageError where runtime, file or delegate are missing."""
    runtime = import_runtime()
    if not os.path.isfile(path):
        raise StageError("there is no such model", path, remedy="give another with --model")
    delegates = [load_delegate(runtime)] if edge_tpu else []
    try:
        interpreter = runtime.Interpreter(model_path=path, experimental_delegates=delegates)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        edge_tpu_model = "edgetpu" in str(error)
        remedy = "a model compiled for the Edge TPU runs with --edgetpu only" if edge_tpu_model else "is the file whole? see SHA256SUMS"
        raise StageError("the model cannot be loaded", path, found=str(error), remedy=remedy) from None
    return interpreter


def load_delegate(runtime):
    """The Edge TPU's delegate. Raises NoDelegateError."""
    try:
        ctypes.CDLL(EDGE_TPU_LIBRARY)  # asked first: the runtime's own failure leaves a traceback behind
        return runtime.load_delegate(EDGE_TPU_LIBRARY)
    except (ValueError, OSError) as error:
        raise NoDelegateError(
            "the Edge TPU cannot be used",
            EDGE_TPU_LIBRARY,
            found=str(error) or "the library, but no Edge TPU",
            remedy="install the Edge TPU runtime, plug in the device, or run without --edgetpu",
        ) from None


def import_runtime():
    """The interpreter module of LiteRT, or of tflite-runtime, its older name."""
    try:
        from ai_edge_litert import interpreter
    except ImportError:
        try:
            from tflite_runtime import interpreter
        except ImportError:
            raise StageError("there is no LiteRT here", remedy="pip install ai-edge-litert (or tflite-runtime)") from None
    return interpreter


def in_pixels(detections, labels, width, height):
    """List of `Found`, clipped to the picture of that size; what lies outside is left out."""
    found = []
    for box, number, score in zip(detections.boxes.astype(np.float64), detections.classes.tolist(), detections.scores):
        ymin, xmin, ymax, xmax = np.clip(box, 0.0, 1.0) * [height, width, height, width]
        if ymax <= ymin or xmax <= xmin:
            continue
        if not 0 <= number < len(labels):
            raise StageError(
                "the model found a class that has no label",
                "labels",
                "a class in 0..%d" % (len(labels) - 1),
                number,
                "give the labels of this model with --labels",
            )
        shortest = float(str(np.float32(score)))  # the decimal number with the fewest digits that is the same float32
        found.append(Found(labels[number], number, shortest, [round(float(value), 3) for value in (xmin, ymin, xmax, ymax)]))
    return found


def thresholds(facts, given=None):
    """(least score of each class, a list; a note where that is a mere guess, else None).

    given: one for all classes. Without it they are the evaluation's, of the highest F1: each class's own, and where it has none that of
    all classes.
    """
    classes = facts["classes"]
    if given is not None:
        return [given] * len(classes), None
    overall, own = facts.get("threshold"), facts.get("thresholds") or {}
    if overall is None:
        note = "the model was not evaluated: objects that score %s or more are taken; --threshold sets another limit" % USUAL_THRESHOLD
        return [USUAL_THRESHOLD] * len(classes), note
    return [overall if own.get(name) is None else own[name] for name in classes], None


def reaches(found, limits):
    """Whether an object scores what its class must. The evaluation's thresholds have 6 digits, and are inclusive."""
    return round(found.score, 6) >= limits[found.number]


def read_labels(path, count):
    """Class names, one on each line, the first for class 0; there must be `count` of them."""
    try:
        with open(path, encoding="utf-8-sig") as stream:
            labels = stream.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise StageError("the labels cannot be read", path, found=error, remedy="give another file with --labels") from None
    if len(labels) != count:
        raise StageError(
            "the labels are not those of the model", path, "%d lines" % count, len(labels), "give the model's own with --labels"
        )
    return labels


def read_facts(path):
    """model.json, which lies beside the model `path`."""
    path = os.path.join(os.path.dirname(path), "model.json")
    together = "it lies beside the model in the package: keep them together"
    try:
        with open(path, encoding="utf-8") as stream:
            facts = json.load(stream)
    except (OSError, ValueError) as error:
        raise StageError("the file cannot be read", path, found=error, remedy=together) from None
    missing = [name for name in ("classes", "decode", "mean", "std") if not isinstance(facts, dict) or name not in facts]
    if missing:
        raise StageError("the file does not tell how the model is run", path, missing[0], "no such key", together)
    return facts


def read_anchors(path):
    """The default boxes of a model with raw outputs, float32 [n, 4]."""
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise StageError("the anchors cannot be read", path, found=error, remedy="a model with raw outputs needs them beside it") from None
