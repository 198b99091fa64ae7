"""Running TOCO, the converter of TensorFlow 1.13.1, and explaining its failures."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from _runtime import Interrupted, StageError

# TOCO gives up where a tensor has no range; this is how it says so.
_NO_RANGE = re.compile(
    r"Array (?P<array>\S+), which is an input to the (?P<op>.+?) operator producing the output array (?P<output>\S+), "
    r"is lacking min/max data"
)
_FATAL = re.compile(r": F \S+\] (?P<text>[^\n]+)")
_UNKNOWN = re.compile(r"Converting unsupported operation: (?!TFLite_Detection_PostProcess)(?P<op>\S+)")
_LINES = 4  # of its output, kept in an error


def toco_arguments(graph, path, inference_type, dummy_ranges):
    """The converter's command line, without the program. graph: the value of graph.json; path: of tflite_graph.pb."""
    arguments = [
        "--graph_def_file=%s" % path,
        "--input_arrays=%s" % graph["input"]["name"],
        "--input_shapes=%s" % ",".join(str(side) for side in graph["input"]["shape"]),
        "--output_arrays=%s" % ",".join(graph["outputs"]),
        "--allow_custom_ops",
    ]
    if inference_type == "uint8":
        arguments += [
            "--inference_type=QUANTIZED_UINT8",
            "--mean_values=%g" % graph["input"]["mean"],
            "--std_dev_values=%g" % graph["input"]["std"],
            "--change_concat_input_ranges=false",
        ]
    else:
        arguments += ["--inference_type=FLOAT"]
    if dummy_ranges is not None:
        arguments += ["--default_ranges_min=%r" % dummy_ranges[0], "--default_ranges_max=%r" % dummy_ranges[1]]
    return arguments


def run_toco(arguments, scratch, seconds):
    """The bytes of the model that TOCO makes.

    Its own program runs in a process group that is killed after `seconds`, or when the stage is stopped. Raises StageError where it fails,
    hangs, or leaves nothing.
    """
    with tempfile.TemporaryDirectory(dir=str(scratch)) as folder:
        output = Path(folder) / "model.tflite"
        command = [sys.executable, "-m", "tensorflow.lite.python.tflite_convert", "--output_file=%s" % output, *arguments]
        code, log = _run(command, folder, seconds)
        sys.stdout.write(log)
        if code != 0:
            raise _failure(code, log)
        if not output.exists() or output.stat().st_size == 0:
            raise StageError(
                "TOCO ended without an error and left no model",
                "tflite_convert",
                "model.tflite",
                "an empty file" if output.exists() else "no file",
                "read its log: %s" % _tail(log),
            )
        return output.read_bytes()


def _run(command, folder, seconds):
    # It starts toco_from_protos by name, which lies beside this interpreter.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=dict(os.environ, PATH=path, TMPDIR=folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        _kill(process)
        raise StageError(
            "TOCO did not finish",
            "tflite_convert",
            "at most %d s" % seconds,
            "still running, and killed",
            "raise the parameter `seconds`, or use a smaller model",
        ) from None
    except Interrupted:
        _kill(process)
        raise
    return process.returncode, output.decode("utf-8", "replace")


def _kill(process):
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _failure(code, log):
    match = _NO_RANGE.search(log)
    if match:
        return StageError(
            "a tensor of the graph has no range for uint8",
            "%s, read by %s that makes %s" % match.group("array", "op", "output"),
            "a fake-quantization node behind each layer",
            "TOCO: lacking min/max data",
            "train with quantization (graph_rewriter), and look up this layer in fake_quant_audit.json; a float model needs no ranges",
        )
    fatal = _FATAL.search(log)
    unknown = sorted(set(_UNKNOWN.findall(log)))
    remedy = (
        "it does not know %s: use another feature extractor or box predictor" % ", ".join(unknown)
        if unknown
        else ("read the stage's log; most often the graph has an operator or a range that TOCO cannot take")
    )
    return StageError(
        "TOCO failed", "tflite_convert, exit status %d" % code, "a model", fatal.group("text")[:500] if fatal else _tail(log), remedy
    )


def _tail(log):
    lines = [line for line in log.splitlines() if line.strip() and ": I tensorflow/" not in line]
    return " | ".join(line[:300] for line in lines[-_LINES:])
