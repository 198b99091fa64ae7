"""Running the converter, a program of its own, and explaining its failures."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Optional

from _runtime import StageError

_PROGRAM = Path(__file__).resolve().parent / "converter_program.py"
_ERROR = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception): (?P<text>.+)", re.MULTILINE)
_LINES = 4  # of its output, kept in an error


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
            about["images"] = dict(request.images, path=str(images))
        (folder / "request.json").write_text(json.dumps(about), encoding="utf-8")
        code, log = _run(folder, lambda: prepare(images) if request.images is not None else None, seconds)
        sys.stdout.write(log)
        if code != 0:
            raise _failure(folder, code, log)
        return _converted(folder, log)


def _run(folder, prepare, seconds):
    """(exit status, output) of the program."""
    with open(str(folder / "log"), "w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(
            [sys.executable, str(_PROGRAM), str(folder / "request.json")],
            cwd=str(folder),
            env=dict(os.environ, TMPDIR=str(folder)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            prepare()
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise StageError(
                "the converter did not finish",
                "tf.lite.TFLiteConverter",
                "at most %d s" % seconds,
                "still running, and killed",
                "raise the parameter `seconds`, or lower representative_images",
            ) from None
        finally:
            _kill(process)
        log.seek(0)
        return process.returncode, log.read()


def _kill(process):
    """End whatever of the program's process group still runs."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _converted(folder, log):
    model = folder / "model.tflite"
    if not model.exists() or model.stat().st_size == 0:
        raise StageError(
            "the converter ended without an error and left no model",
            "tf.lite.TFLiteConverter",
            "model.tflite",
            "an empty file" if model.exists() else "no file",
            "read its log: %s" % _tail(log),
        )
    about = json.loads((folder / "converted.json").read_text(encoding="utf-8"))
    return Converted(model.read_bytes(), **about)


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
        errors[-1][:500] if errors else _tail(log),
        "read the stage's log; most often the model has an operator that TensorFlow Lite lacks",
    )


def _tail(log):
    return " | ".join(line[:300] for line in [line for line in log.splitlines() if line.strip()][-_LINES:])
