"""A compiled .tflite as a detector, run by LiteRT on an Edge TPU."""

import ctypes
from functools import lru_cache

from ai_edge_litert.interpreter import Interpreter, load_delegate

from _litert.detector import Detector
from _runtime import StageError

LIBRARY = "libedgetpu.so.1"
_REMEDY = (
    "install Google's Edge TPU runtime (libedgetpu1-std, see coral.ai/software) on a machine with the device, and run with --engine local; "
    "a pipeline that can do without declares the stage `optional: true`"
)


class EdgeTpuDetector(Detector):
    """path: of model_edgetpu.tflite; device: as libedgetpu names it, or "". It has no `layers`: the device does not show them."""

    def __init__(self, path, interface, mean, std, anchors, how, device):
        super().__init__(interface, mean, std, anchors, how)
        self._path = str(path)
        self._device = device

    def _interpreter(self):
        return _interpreter(self._path, self._device)


def runtime_version():
    """The version of libedgetpu, as it tells it. Raises StageError where there is none."""
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise StageError("this machine has no Edge TPU runtime", LIBRARY, "a library that can be loaded", error, _REMEDY) from None
    try:
        told = library.edgetpu_version  # edgetpu_c.h
    except AttributeError:
        return "unknown"
    told.restype = ctypes.c_char_p
    return told().decode("utf-8", "replace")


@lru_cache(maxsize=1)
def _interpreter(path, device):
    """An interpreter of this process; an Edge TPU serves one process at a time."""
    try:
        delegate = load_delegate(LIBRARY, {"device": device} if device else {})
    except (OSError, ValueError) as error:
        found = " ".join(str(error).split()) or "it is not there, or another process uses it"
        raise StageError("no Edge TPU can be used", device or "the first Edge TPU", "a device that is free", found, _REMEDY) from None
    try:
        interpreter = Interpreter(model_path=path, num_threads=1, experimental_delegates=[delegate])
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise StageError(
            "the Edge TPU cannot run the model",
            path,
            "a model that its runtime knows",
            str(error).strip().splitlines()[0],
            "compile it for this runtime's version, or install a newer runtime",
        ) from None
    return interpreter
