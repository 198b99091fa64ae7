"""A .tflite as a detector, run by LiteRT."""

from functools import lru_cache

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from _detection.postprocess import Detections, postprocess
from _detection.resize import normalize
from _runtime import StageError

POSTPROCESS = "TFLite_Detection_PostProcess"
# reference: the arithmetic that quantized operators are defined by. fast: what LiteRT runs on a CPU by itself (XNNPACK),
# whose rounding differs.
KERNELS = {"reference": OpResolverType.BUILTIN_REF, "fast": OpResolverType.AUTO}
BOXES, SCORES = "raw_outputs/box_encodings", "raw_outputs/class_predictions"


class LiteRtDetector:
    """path: of model.tflite; lint: the value of lint.json; anchors: float32 [n, 4]; how: `postprocess.Attributes`;
    kernels: a name of KERNELS.
    """

    def __init__(self, path, lint, anchors, how, kernels):
        self._path = str(path)
        self._kernels = kernels
        self._mean, self._std = lint["mean"], lint["std"]
        self._anchors = anchors
        self._how = how

    def __call__(self, pixels):
        """`Detections` of uint8 pixels [1, height, width, 3]."""
        interpreter = _interpreter(self._path, self._kernels)
        source = interpreter.get_input_details()[0]
        interpreter.set_tensor(source["index"], pixels if source["dtype"] == np.uint8 else normalize(pixels, self._mean, self._std))
        interpreter.invoke()
        values = [_real(interpreter, output) for output in interpreter.get_output_details()]
        if len(values) == 4:
            return self._of_operator(*values)
        return postprocess(values[0][0], values[1][0], self._anchors, self._how)

    def _of_operator(self, boxes, classes, scores, count):
        """The operator's own detections. Its count is one of boxes, each with as many classes as the fast NMS keeps."""
        each = 1 if self._how.use_regular_nms else min(self._how.max_classes_per_detection, self._how.num_classes)
        number = float(count[0]) * each
        if not 0 <= number <= scores.shape[1] or not number.is_integer():
            raise StageError(
                "the post-process operator counts wrongly", POSTPROCESS, "0 to %d detections" % scores.shape[1], number, "convert it again"
            )
        # What lies behind the last detection is not written by the operator.
        boxes, classes, scores = (value[0, : int(number)] for value in (boxes, classes, scores))
        if not all(np.isfinite(value).all() for value in (boxes, classes, scores)):
            raise StageError(
                "the model puts out values that are not finite",
                POSTPROCESS,
                "finite boxes, classes and scores",
                "NaN or infinity",
                "the weights are damaged or training diverged: look at its loss",
            )
        found = Detections(boxes, classes.astype(np.int64), scores)
        if number and (found.classes.min() < 0 or found.classes.max() >= self._how.num_classes):
            raise StageError(
                "the model puts out a class that it does not have",
                POSTPROCESS,
                "0 to %d" % (self._how.num_classes - 1),
                "%d to %d" % (found.classes.min(), found.classes.max()),
                "give the labels of this model",
            )
        return found


def _real(interpreter, output):
    """An output's real values: those of a quantized one are scale * (value - zero point)."""
    value = interpreter.get_tensor(output["index"])
    if value.dtype == np.float32:
        return value
    scale, zero_point = output["quantization"]
    return np.float32(scale) * (value.astype(np.int32) - zero_point).astype(np.float32)


@lru_cache(maxsize=1)
def _interpreter(path, kernels):
    """An interpreter of this process, on one thread."""
    interpreter = Interpreter(model_path=path, num_threads=1, experimental_op_resolver_type=KERNELS[kernels])
    interpreter.allocate_tensors()
    return interpreter


def check_model(path, lint, where="model.tflite"):
    """Raise StageError where LiteRT cannot run the model, or finds other inputs and outputs than a detector's and lint.json's."""
    try:
        interpreter = Interpreter(model_path=str(path), num_threads=1, experimental_op_resolver_type=KERNELS["reference"])
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise StageError(
            "LiteRT cannot load the model", where, "a model that it runs", str(error).strip().splitlines()[0], "convert it again"
        ) from None
    _check_input(interpreter.get_input_details(), lint, where)
    _check_outputs([output["name"] for output in interpreter.get_output_details()], lint, where)


def _check_input(inputs, lint, where):
    kind = np.uint8 if lint["inference_type"] == "uint8" else np.float32
    expected = [1, *lint["input_size"], 3]
    if len(inputs) != 1:
        raise StageError("the model has not one input", where, 1, len(inputs), "give a detector of images")
    found = inputs[0]
    if found["dtype"] != kind or found["shape"].tolist() != expected:
        raise StageError(
            "the model's input is not the one described",
            "%s, input %s" % (where, found["name"]),
            "%s %s" % (np.dtype(kind).name, expected),
            "%s %s" % (np.dtype(found["dtype"]).name, found["shape"].tolist()),
            "convert it again",
        )


def _check_outputs(names, lint, where):
    operator = lint["postprocess"] is not None
    expected = [POSTPROCESS + end for end in ("", ":1", ":2", ":3")] if operator else [BOXES, SCORES]
    if names != expected:
        raise StageError(
            "the model's outputs are not a detector's, or in another order",
            where,
            ", ".join(expected),
            ", ".join(names) or "none",
            "convert the graph again",
        )
