"""Running the converter, a program of its own, and explaining its failures."""

import json
import os
import re
import signal
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import NamedTuple, Optional

from _conversion.program import Converter, model_bytes, run_program, tail
from _runtime import StageError

_CONVERTER = Converter("the converter", "tf.lite.TFLiteConverter", "raise the parameter `seconds`, or lower representative_images")
_PROGRAM = Path(__file__).resolve().parent / "converter_program.py"
_ERROR = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception): (?P<text>.+)", re.MULTILINE)


class Request(NamedTuple):
    """What is asked of the converter.

    saved_model: its folder; quantization: "int8", "float16", "dynamic-range" or "float"; input_type: of an int8 model; images: None, or
    {"size": [height, width], "mean", "std"} of the representative images.
    """

    saved_model: str
    quantization: str
    input_type: str
    images: Optional[dict]


class Converted(NamedTuple):
    """content: bytes of the model; inputs, outputs: {key of the signature: name of the tensor}; seconds: that converting took;
    tensorflow: its version.
    """

    content: bytes
    inputs: dict
    outputs: dict
    seconds: float
    tensorflow: str


def run_converter(request, prepare, scratch, seconds):
    """The `Converted` model of a `Request`.

    prepare: writes the representative images to the path that it is given, while the program starts. The program runs in a process group
    that is killed after `seconds`, when the stage is stopped, or where `prepare` fails. Raises StageError where it fails, hangs, or leaves
    nothing.
    """
    with tempfile.TemporaryDirectory(dir=str(scratch)) as name:
        folder = Path(name)
        images = folder / "images.uint8"
        about = request._asdict()
        if request.images is not None:
            about["images"] = dict(request.images, path=str(images), stage=os.getpid())
        (folder / "request.json").write_text(json.dumps(about), encoding="utf-8")
        command = [sys.executable, str(_PROGRAM), str(folder / "request.json")]
        meanwhile = None if request.images is None else partial(prepare, images)
        code, log = run_program(_CONVERTER, command, folder, seconds, meanwhile=meanwhile)
        sys.stdout.write(log)
        if code != 0:
            raise _failure(folder, code, log)
        return _converted(folder, log)


def _converted(folder, log):
    content = model_bytes(_CONVERTER, folder / "model.tflite", log)
    about = json.loads((folder / "converted.json").read_text(encoding="utf-8"))
    return Converted(content, **about)


def _failure(folder, code, log):
    told = folder / "failed.json"
    if told.exists():
        operators = json.loads(told.read_text(encoding="utf-8"))["operators"]
        name = min(operators)
        layers = operators[name] or ["unknown"]
        return StageError(
            "TensorFlow Lite has no operator %s" % name,
            "the layer %s" % ", ".join(layers[:3]),
            "operators of TensorFlow Lite",
            ", ".join(sorted(operators)),
            "use a feature extractor and activations that TensorFlow Lite has operators for",
        )
    if code == -signal.SIGKILL:
        return StageError(
            "the converter was killed", "tf.lite.TFLiteConverter", "a model", "signal 9", "most often memory ran out: use a smaller model"
        )
    errors = _ERROR.findall(log)
    return StageError(
        "the converter failed",
        "tf.lite.TFLiteConverter, exit status %d" % code,
        "a model",
        errors[-1][:500] if errors else tail(log),
        "read the stage's log; most often the model has an operator that TensorFlow Lite lacks",
    )
