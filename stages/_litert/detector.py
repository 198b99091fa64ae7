"""A .tflite as a detector, run by LiteRT."""

from functools import lru_cache

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from _detection.postprocess import Detections, postprocess
from _litert.interface import input_table
from _runtime import StageError
from _tflite.outputs import OF_OPERATOR, POSTPROCESS, RAW

# reference: the arithmetic that quantized operators are defined by. fast: what LiteRT runs on a CPU by itself (XNNPACK),
# whose rounding differs.
KERNELS = {"reference": OpResolverType.BUILTIN_REF, "fast": OpResolverType.AUTO}
# XNNPACK does not keep what is between a model's input and output: the same kernels without it come nearest.
_LAYERS_OF = {"reference": OpResolverType.BUILTIN_REF, "fast": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES}


class Detector:
    """uint8 pixels [1, height, width, 3] -> `Detections`. Picklable; each process makes an interpreter of its own.

    interface: `interface.Interface`; mean, std: what real inputs are normalized with, numbers or one for each channel; anchors: float32
    [n, 4]; how: `postprocess.Attributes`. Subclasses give `_interpreter()`.
    """

    def __init__(self, interface, mean, std, anchors, how):
        self._interface = interface
        self._table = input_table(interface.source, mean, std)
        self._pixels_as_they_are = self._table.dtype == np.uint8 and (self._table == np.arange(256)[:, np.newaxis]).all()
        self._anchors = anchors
        self._how = how

    def __call__(self, pixels):
        interpreter = self._interpreter()
        self._run(interpreter, pixels)
        roles = OF_OPERATOR if self._interface.operator else RAW
        values = [port.real(interpreter.get_tensor(port.index)) for port in map(self._interface.outputs.get, roles)]
        if self._interface.operator:
            return self._of_operator(*values)
        return postprocess(values[0][0], values[1][0], self._anchors, self._how)

    def _run(self, interpreter, pixels):
        interpreter.set_tensor(self._interface.source.index, self._input(pixels))
        interpreter.invoke()

    def _input(self, pixels):
        if self._pixels_as_they_are:
            return pixels
        return self._table[pixels, np.arange(3)] if self._table.shape[1] == 3 else self._table[:, 0][pixels]

    def _of_operator(self, boxes, classes, scores, count):
        """The operator's own detections. It counts boxes, of which the fast suppression tells several classes."""
        number = float(count.reshape(-1)[0])
        room, each = (1, 1) if self._how.use_regular_nms else (self._how.max_classes_per_detection, self._how.num_classes)
        if not 0 <= number * room <= scores.shape[1] or not number.is_integer():
            most = scores.shape[1] // room
            raise StageError("the post-process operator counts wrongly", POSTPROCESS, "0 to %d boxes" % most, number, "convert it again")
        # What lies behind the last box is not written by the operator, nor the room of classes that a model has not.
        boxes, classes, scores = (_written(value[0], int(number), room, min(room, each)) for value in (boxes, classes, scores))
        if not all(np.isfinite(value).all() for value in (boxes, classes, scores)):
            raise StageError(
                "the model puts out values that are not finite",
                POSTPROCESS,
                "finite boxes, classes and scores",
                "NaN or infinity",
                "the weights are damaged or training diverged: look at its loss",
            )
        found = Detections(boxes, classes.astype(np.int64), scores)
        if len(scores) and (found.classes.min() < 0 or found.classes.max() >= self._how.num_classes):
            raise StageError(
                "the model puts out a class that it does not have",
                POSTPROCESS,
                "0 to %d" % (self._how.num_classes - 1),
                "%d to %d" % (found.classes.min(), found.classes.max()),
                "give the labels of this model",
            )
        return found


def _written(value, count, room, each):
    """The first `each` of every `room` entries, for `count` boxes."""
    rows = value[: count * room].reshape(count, room, *value.shape[1:])
    return rows[:, :each].reshape(count * each, *value.shape[1:])


class LiteRtDetector(Detector):
    """On the CPU. path: of model.tflite; kernels: a name of KERNELS; layers: {name: `interface.Port`}, as `layer_tensors` finds them."""

    def __init__(self, path, interface, mean, std, anchors, how, kernels, layers):
        super().__init__(interface, mean, std, anchors, how)
        self._path = str(path)
        self._kernels = kernels
        self._layers = layers

    def _interpreter(self):
        return _interpreter(self._path, KERNELS[self._kernels], False)

    def layers(self, pixels):
        """{layer: float32 array} of what each layer puts out for uint8 pixels [1, height, width, 3]."""
        interpreter = _interpreter(self._path, _LAYERS_OF[self._kernels], True)
        self._run(interpreter, pixels)
        return {name: port.real(interpreter.get_tensor(port.index)) for name, port in self._layers.items()}


@lru_cache(maxsize=2)
def _interpreter(path, resolver, all_tensors):
    """An interpreter of this process, on one thread. all_tensors: keep what is between input and output."""
    interpreter = Interpreter(
        model_path=path, num_threads=1, experimental_op_resolver_type=resolver, experimental_preserve_all_tensors=all_tensors
    )
    interpreter.allocate_tensors()
    return interpreter


def check_runs(path, kernels="reference", where="model.tflite"):
    """An interpreter of the model, which processes that are forked from now on share. Raises StageError where LiteRT cannot load it."""
    try:
        return _interpreter(str(path), KERNELS[kernels], False)
    except (ValueError, RuntimeError) as error:
        raise StageError(
            "LiteRT cannot load the model", where, "a model that it runs", str(error).strip().splitlines()[0], "convert it again"
        ) from None
