"""Running TOCO, the converter of TensorFlow 1.13.1, and explaining its failures."""

import os
import re
import sys
import tempfile
from pathlib import Path

from _conversion.program import Converter, model_bytes, run_program, tail
from _runtime import StageError

_TOCO = Converter("TOCO", "tflite_convert", "raise the parameter `seconds`, or use a smaller model")
# TOCO gives up where a tensor has no range; this is how it says so.
_NO_RANGE = re.compile(
    r"Array (?P<array>\S+), which is an input to the (?P<op>.+?) operator producing the output array (?P<output>\S+), "
    r"is lacking min/max data"
)
_FATAL = re.compile(r": F \S+\] (?P<text>[^\n]+)")
_UNKNOWN = re.compile(r"Converting unsupported operation: (?!TFLite_Detection_PostProcess)(?P<op>\S+)")


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
        code, log = run_program(_TOCO, command, folder, seconds, {"PATH": _path()})
        sys.stdout.write(log)
        if code != 0:
            raise _failure(code, log)
        return model_bytes(_TOCO, output, log)


def _path():
    """PATH with the folder of this interpreter, where toco_from_protos lies, which TOCO's program starts by name."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


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
        "TOCO failed", "tflite_convert, exit status %d" % code, "a model", fatal.group("text")[:500] if fatal else tail(log), remedy
    )
