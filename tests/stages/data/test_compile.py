"""The compiler may hang, crash, lie about its success or leave rubbish: nothing of that becomes an artifact.

The compiler cannot be had here. A scripted stand-in injects its faults and nothing else: no test takes it for the compiler, and none says
anything of how models are compiled. What it leaves is what the real compiler made of the same models (the pairs of the shared data), and
what the real compiler printed is in the shared data, too.
"""

import json
import os
import re
import signal
import stat
import sys
from collections import Counter
from pathlib import Path

import pytest
from _edgetpu.compiler_log import parse_log
from _edgetpu.targets import TARGETS
from _edgetpu.words import BAD_TYPE, MAPPED
from _tflite.model import read_model
from ai_edge_litert import schema_py_generated as litert
from litert_operator import FLOAT, UINT8, ModelBuilder, small_detector

from stage_helpers import ROOT, artifact, load, shared

command_of = load("compile", "compiler_command")
models_of = load("compile", "compiled_models")
output_of = load("compile", "compiler_output")
process_of = load("compile", "compiler_process")

VERSION = "16.0.384591198"
PARAMS = {
    "version": VERSION,
    "target": "coral-runtime-14",
    "segments": 1,
    "search_delegate": False,
    "delegate_search_step": None,
    "intermediate_tensors": [],
    "seconds": 20,
    "try_seconds": 15,
    "attempts": 1,
}
SMALL, OTHER = "mobilenet_v1_0.25_128_quant", "keras_lstm_mnist_ptq"
LIMITS = ("seconds", "try_seconds", "attempts")
BEGINNING = ["edgetpu_compiler", "-s", "--timeout_sec", "15"]

# What it does is SCRIPT, with what the real compiler made of the model (good) and of another one (other), and what it would print (told).
STAND_IN = """#!{python}
import json, os, shutil, signal, subprocess, sys, time
if "--version" in sys.argv:
    {on_version}
    print("Edge TPU Compiler version {version}")
    sys.exit(0)
arguments = sys.argv[1:]
place = arguments.index("-o") + 1
out, models = arguments[place], arguments[place + 1:]
source = open(models[0], "rb").read()
made = os.path.join(out, "model_edgetpu.tflite")
open("calls", "a").write(json.dumps(arguments) + "\\n")
calls = len(open("calls").readlines())
def leave(data, name="model"):
    open(os.path.join(out, name + "_edgetpu.tflite"), "wb").write(data)
good, other = open({good!r}, "rb").read(), open({other!r}, "rb").read()
told = {told!r}
print("Edge TPU Compiler version {version}", flush=True)
{script}
"""
GOOD = "print(told); leave(good)"


def pair(name, compiled=False):
    return shared() / "data" / "edgetpu" / "pairs" / (name + ("_edgetpu" if compiled else "") + ".tflite")


def rows_of(content, left_out=()):
    """The operator table for a model all of which is mapped but for the `left_out` operators."""
    counts = Counter(operator.op for operator in read_model(content).operators)
    return [(op, count, BAD_TYPE if op in left_out else MAPPED) for op, count in sorted(counts.items())]


def table(rows):
    return "Operator                       Count      Status\n\n" + "".join("%-31s%-11d%s\n" % row for row in rows)


def block(name, rows=None):
    lines = ["Input model: %s.tflite" % name, "Output model: compiled/%s_edgetpu.tflite" % name, "Number of Edge TPU subgraphs: 1"]
    return "\n".join(lines) + "\n\n" + (table(rows) if rows else "See the operation log file for individual operation details.\n")


def printed(*blocks):
    return "\nModel%s compiled successfully in 12 ms.\n\n%s" % ("s" if len(blocks) > 1 else "", "\n".join(blocks))


@pytest.fixture
def compile_with(run_stage, tmp_path):
    """compile_with(SCRIPT, …) runs the stage with a stand-in that does SCRIPT after it has printed its version."""

    def call(script, params=None, version=VERSION, on_version="pass", program=None, timeout=60, model=None, others=(), told=None):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        content = pair(SMALL).read_bytes() if model is None else model
        text = printed(block("model", rows_of(pair(SMALL).read_bytes()))) if told is None else told
        fields = {"python": sys.executable, "version": version, "on_version": on_version, "script": script, "told": text}
        fields.update(good=str(pair(SMALL, compiled=True)), other=str(pair(OTHER, compiled=True)))
        stand_in = folder / "edgetpu_compiler"
        stand_in.write_text(program or STAND_IN.format(**fields))
        stand_in.chmod(stand_in.stat().st_mode | stat.S_IXUSR)
        inputs = {"model": as_artifact("convert", content), "others": [as_artifact("convert-2", each) for each in others]}
        return run_stage("compile", {**PARAMS, **(params or {})}, inputs, env={"PATH": "%s:/usr/bin:/bin" % folder}, timeout=timeout)

    def as_artifact(name, content):
        folder = tmp_path / ("models-%d" % len(list(tmp_path.glob("models-*"))))
        folder.mkdir()
        (folder / "model.tflite").write_bytes(content)
        return artifact(name, "tflite", folder)

    return call


def calls(outcome):
    """The arguments of each run of the stand-in."""
    found = outcome.output.parent / "scratch" / "calls"
    return [json.loads(line) for line in found.read_text().splitlines()] if found.exists() else []


def alive(marker):
    """Processes with `marker` on their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes()
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if marker.encode() in words and state != "Z":
                found.append(int(entry.name))
    return found


# What becomes the artifact.


def test_a_compiled_model_its_log_and_how_it_was_made_are_kept(compile_with):
    outcome = compile_with(GOOD)
    assert (outcome.code, outcome.result["warnings"]) == (0, [])
    assert (outcome.output / "model_edgetpu.tflite").read_bytes() == pair(SMALL, compiled=True).read_bytes()
    told = outcome.json("compile.json")
    assert told["compiler"] == {"name": "edgetpu_compiler", "version": VERSION}
    assert told["target"] == {"name": "coral-runtime-14", "runtime": 14}
    assert told["command"] == [*BEGINNING, "-o", "compiled", "model.tflite"]
    assert calls(outcome) == [told["command"][1:]]
    assert (told["exit_code"], told["attempts"], len(told["tries"])) == (0, 1, 1)
    assert told["tries"][0]["log"]["runs"][0]["outcome"] == "success"
    assert "Model compiled successfully" in (outcome.output / "compiler.log").read_text()
    assert outcome.result["tools"] == {"edgetpu_compiler": VERSION}


def test_it_is_told_what_is_in_the_model_and_that_its_bytes_do_not_come_again(compile_with):
    told = compile_with(GOOD).json("compile.json")
    (file,) = told["files"]
    # As the package itself says; see the tests of the reader.
    assert (file["file"], file["runtime"], file["cached_parameters"], file["streamed_parameters"]) == (
        "model_edgetpu.tflite",
        12,
        566912,
        0,
    )
    assert told["reproducible"] is False
    assert "other bytes" in told["reproducible_because"]


def test_the_operator_table_is_kept_and_compared_with_the_prediction(compile_with):
    outcome = compile_with(GOOD)
    told = outcome.json("compile.json")
    assert [(row["op"], row["count"], row["status"]) for row in told["operators"]] == rows_of(pair(SMALL).read_bytes())
    assert told["files"][0]["operators_from"] == "standard output"
    assert outcome.json("prediction.json")["counts"] == {"mapped": 31, "cpu": 0, "unknown": 0}
    assert told["comparison"] == []
    assert (outcome.result["metrics"]["mapped"], outcome.result["metrics"]["cpu"]) == (31, 0)


def test_where_the_compiler_maps_otherwise_than_predicted_it_is_told(compile_with):
    outcome = compile_with(GOOD, told=printed(block("model", rows_of(pair(SMALL).read_bytes(), ["SOFTMAX"]))))
    assert outcome.code == 0
    found = [(each["op"], each["status"], each["predicted"], each["told"]) for each in outcome.json("compile.json")["comparison"]]
    assert found == [("SOFTMAX", MAPPED, 1, 0), ("SOFTMAX", BAD_TYPE, 0, 1)]
    assert ["model: 2 counts are not as predicted" in each for each in outcome.result["warnings"]] == [True]


def test_without_a_printed_table_the_operation_log_file_is_read(compile_with):
    log = "Edge TPU Compiler version %s\nInput: model.tflite\nOutput: compiled/model_edgetpu.tflite\n\n" % VERSION
    log += table(rows_of(pair(SMALL).read_bytes(), ["SOFTMAX"]))
    script = GOOD + "\nopen(os.path.join(out, 'model_edgetpu.log'), 'w').write(%r)" % log
    outcome = compile_with(script, told=printed(block("model")))
    told = outcome.json("compile.json")
    assert told["files"][0]["operators_from"] == "operation log file"
    assert outcome.result["metrics"]["cpu"] == 1
    assert [each["op"] for each in told["comparison"]] == ["SOFTMAX", "SOFTMAX"]
    assert (outcome.output / "compiler.log").read_text().endswith("model_edgetpu.log:\n" + log)


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"intermediate_tensors": ["MobilenetV1/Logits/SpatialSqueeze1"]}, ""),
        (
            {"search_delegate": True},
            "Try to compile segment with 31 ops\nCompilation failed! \nTry to compile segment with 30 ops\n",
        ),
    ],
)
def test_what_was_made_to_end_early_is_not_compared_with_the_whole(compile_with, params, told):
    outcome = compile_with(GOOD, params, told=told + printed(block("model", rows_of(pair(SMALL).read_bytes(), ["SOFTMAX"]))))
    assert (outcome.code, outcome.result["warnings"]) == (0, [])
    assert [each["kind"] for each in outcome.json("compile.json")["comparison"]] == ["not-compared"]


def test_what_a_child_process_prints_a_second_time_does_not_hide_the_first(compile_with):
    outcome = compile_with(GOOD + "\nprint('Edge TPU Compiler version %s')\nprint('Compilation succeeded! ')" % VERSION)
    assert (outcome.code, outcome.result["warnings"]) == (0, [])
    assert (outcome.result["metrics"]["mapped"], outcome.json("compile.json")["comparison"]) == (31, [])
    large = "Compilation failed: Compilation failed due to large activation tensors in model."
    outcome = compile_with(
        "print(%r)\nprint('Edge TPU Compiler version %s')\nprint('Compilation failed! '); sys.exit(1)" % (large, VERSION)
    )
    assert outcome.error["what"] == "the model's activations are too large for the Edge TPU"


def test_without_any_table_it_says_so(compile_with):
    outcome = compile_with(GOOD, told=printed(block("model")))
    assert outcome.code == 0
    told = outcome.json("compile.json")
    assert (told["operators"], told["files"][0]["operators_from"], told["comparison"][0]["kind"]) == (None, None, "not-compared")
    assert ["told no operator table" in each for each in outcome.result["warnings"]] == [True]


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (
            printed(block("model", [("ADD", 1, "x")])) + "A line of next year\n",
            '1 lines that are not known; the first: "A line of next year',
        ),
        (printed(block("model")) + "Warning: you're creating more segments than is necessary.\n", "the compiler warns: Warning: you're"),
        ("nothing that is known", "did not say that it compiled"),
    ],
)
def test_what_is_doubtful_in_the_log_is_a_warning(compile_with, told, words):
    outcome = compile_with(GOOD, told=told)
    assert outcome.code == 0
    assert any(words in each for each in outcome.result["warnings"])


# Options.


@pytest.mark.parametrize(
    ("params", "version", "options"),
    [
        ({}, VERSION, ["--timeout_sec", "15"]),
        ({}, "15.0.340273435", []),
        ({"target": "coral-runtime-13"}, "15.0.340273435", []),
        ({"target": "coral-runtime-13"}, VERSION, ["--timeout_sec", "15", "--min_runtime_version", "13"]),
        ({"target": "coral-runtime-12"}, "14.1.317412892", ["--min_runtime_version", "12"]),
        ({}, "17.0.1", ["--timeout_sec", "15", "--min_runtime_version", "14"]),
        ({"search_delegate": True}, VERSION, ["--timeout_sec", "15", "--search_delegate"]),
        (
            {"search_delegate": True, "delegate_search_step": 10},
            VERSION,
            ["--timeout_sec", "15", "--search_delegate", "--delegate_search_step", "10"],
        ),
        (
            {"intermediate_tensors": ["MobilenetV1/Logits/AvgPool_1a/AvgPool", "MobilenetV1/Logits/SpatialSqueeze1"]},
            VERSION,
            [
                "--timeout_sec",
                "15",
                "--intermediate_tensors",
                "MobilenetV1/Logits/AvgPool_1a/AvgPool,MobilenetV1/Logits/SpatialSqueeze1",
            ],
        ),
    ],
)
def test_what_is_asked_for_is_on_the_command_line(compile_with, params, version, options):
    outcome = compile_with(GOOD, {**params, "version": version}, version=version)
    assert calls(outcome) == [["-s", *options, "-o", "compiled", "model.tflite"]]
    assert outcome.code == 0


@pytest.mark.parametrize(
    ("params", "field", "words"),
    [
        ({"search_delegate": True, "version": "15.0.340273435"}, "search_delegate", "does not search for a delegate"),
        ({"delegate_search_step": 3}, "delegate_search_step", "a search that is not asked for"),
        ({"segments": 2, "intermediate_tensors": ["a"]}, "segments", "segments and intermediate_tensors do not go together"),
        ({"search_delegate": True, "intermediate_tensors": ["a"]}, "search_delegate", "do not go together"),
        ({"intermediate_tensors": ["no/such/tensor"]}, "intermediate_tensors", "computes no tensor of that name"),
        ({"intermediate_tensors": ["a,b"]}, "intermediate_tensors", "a list with commas"),
        ({"try_seconds": 20}, "try_seconds", "a try has as much time as all of the compiler's run"),
        ({"try_seconds": 180, "version": "17.0.1"}, "try_seconds", "a try has as much time as all of the compiler's run"),
        ({"seconds": 3481}, "seconds", "the attempts may take longer than the stage may"),
        ({"seconds": 1161, "attempts": 3}, "seconds", "the attempts may take longer than the stage may"),
    ],
)
def test_options_that_cannot_be_are_refused_by_field(compile_with, params, field, words):
    outcome = compile_with(GOOD, params)
    assert words in outcome.error["what"]
    assert outcome.error["where"] == "compile." + field
    assert outcome.error["remedy"]
    assert calls(outcome) == []


def test_limits_that_contradict_each_other_are_told_in_numbers(compile_with):
    told = compile_with(GOOD, {"try_seconds": 21}).error
    assert (told["expected"], told["found"]) == ("less than seconds: 20", "21")
    told = compile_with(GOOD, {"seconds": 1200, "attempts": 3}).error
    assert (told["expected"], told["found"]) == ("attempts × seconds of 3480 or less: the stage's 3600 s less 120", "3 × 1200 = 3600")


@pytest.mark.parametrize(
    "params", [{"try_seconds": 19}, {"seconds": 3480}, {"seconds": 1160, "attempts": 3}, {"try_seconds": 180, "version": "15.0.340273435"}]
)
def test_limits_that_fit_are_taken(compile_with, params):
    assert compile_with(GOOD, params, version=params.get("version", VERSION)).code == 0


def test_the_limits_are_the_stages():
    yaml = (ROOT / "stages" / "compile" / "stage.yaml").read_text()
    assert re.search(r"^timeout: (.*)$", yaml, re.MULTILINE).group(1) == str(command_of.STAGE_SECONDS)
    seconds, tries, attempts = (int(re.search(r"^  %s: .* default: (\d+)" % name, yaml, re.MULTILINE).group(1)) for name in LIMITS)
    assert (tries < seconds, attempts * seconds < command_of.STAGE_SECONDS) == (True, True)
    assert command_of.OTHER_SECONDS > load("compile", "run").VERSION_SECONDS


@pytest.mark.parametrize(("params", "field"), [({"segments": 2}, "segments"), ({"intermediate_tensors": ["a"]}, "intermediate_tensors")])
def test_models_that_are_compiled_together_are_whole(compile_with, params, field):
    outcome = compile_with(GOOD, params, others=[pair(OTHER).read_bytes()])
    assert (outcome.error["where"], "%s and others do not go together" % field in outcome.error["what"]) == ("compile." + field, True)


# Segments, and models that are compiled together.

PARTS = ["model_segment_%d_of_2" % number for number in range(2)]


def test_a_model_in_segments_is_a_file_for_each(compile_with):
    told = printed(block(PARTS[0], [("CONV_2D", 10, MAPPED)])) + printed(block(PARTS[1], [("CONV_2D", 4, MAPPED), ("SOFTMAX", 1, MAPPED)]))
    outcome = compile_with("print(told); leave(good, %r); leave(other, %r)" % tuple(PARTS), {"segments": 2}, told=told)
    assert outcome.code == 0
    assert calls(outcome)[0][3:] == ["--num_segments", "2", "-o", "compiled", "model.tflite"]
    assert (outcome.output / "model_segment_0_of_2_edgetpu.tflite").read_bytes() == pair(SMALL, compiled=True).read_bytes()
    assert (outcome.output / "model_segment_1_of_2_edgetpu.tflite").read_bytes() == pair(OTHER, compiled=True).read_bytes()
    compiled = outcome.json("compile.json")
    assert [file["file"] for file in compiled["files"]] == [name + "_edgetpu.tflite" for name in PARTS]
    assert {row["op"]: row["count"] for row in compiled["operators"]} == {"CONV_2D": 14, "SOFTMAX": 1}
    assert [each["kind"] for each in compiled["comparison"]] == ["not-compared"]


@pytest.mark.parametrize("missing", [0, 1])
def test_a_segment_that_is_missing_is_named(compile_with, missing):
    outcome = compile_with("print(told); leave(good, %r)" % PARTS[1 - missing], {"segments": 2}, told=printed(block(PARTS[1 - missing])))
    assert outcome.error["what"] == "the compiler ended well and left no model"
    assert outcome.error["where"] == "model_segment_%d_of_2_edgetpu.tflite" % missing
    assert "try fewer" in outcome.error["remedy"]
    assert not list(outcome.output.glob("*.tflite"))


def test_models_that_are_compiled_together_have_names_of_their_own(compile_with):
    rows = [rows_of(pair(name).read_bytes()) for name in (SMALL, OTHER)]
    told = printed(block("model", rows[0]), block("other_1", rows[1]))
    outcome = compile_with("print(told); leave(good); leave(other, 'other_1')", told=told, others=[pair(OTHER).read_bytes()])
    assert (outcome.code, outcome.result["warnings"]) == (0, [])
    assert calls(outcome)[0][-2:] == ["model.tflite", "other_1.tflite"]
    assert (outcome.output / "model_edgetpu.tflite").read_bytes() == pair(SMALL, compiled=True).read_bytes()
    assert (outcome.output / "co_compiled" / "other_1_edgetpu.tflite").read_bytes() == pair(OTHER, compiled=True).read_bytes()
    (other,) = outcome.json("compile.json")["co_compiled"]
    assert other["files"][0]["file"] == "other_1_edgetpu.tflite"
    assert sum(row["count"] for row in other["operators"]) == sum(count for _, count, _ in rows[1])
    assert outcome.json("co_compiled/other_1_prediction.json")["counts"]["mapped"] == 6
    assert other["comparison"] == []


def test_one_bad_model_of_several_is_named(compile_with):
    other = pair(OTHER).read_bytes()
    outcome = compile_with("print(told); leave(good); leave(other[:2000], 'other_1')", others=[other])
    assert (outcome.code, outcome.error["where"]) == (1, "other_1_edgetpu.tflite")
    outcome = compile_with(GOOD, others=[other[:2000]])
    assert (outcome.code, outcome.error["where"]) == (1, "input others: model.tflite of convert-2")


# Inputs that are refused before the compiler is started.


def float_model():
    return small_detector(quantized=False).bytes()


def weights_alone():
    """A model of dynamic range: its weights are int8, what it computes is float."""
    model = ModelBuilder()
    model.inputs = [model.tensor("image", [1, 4], FLOAT)]
    weights = model.tensor("weights", [2, 4], litert.TensorType.INT8, bytes(8), 0.5)
    model.outputs = [model.tensor("scores", [1, 2], FLOAT)]
    model.operator(litert.BuiltinOperator.FULLY_CONNECTED, [model.inputs[0], weights], model.outputs)
    return model.bytes()


def no_operators():
    model = ModelBuilder()
    model.inputs = model.outputs = [model.tensor("image", [1, 4], UINT8, None, 0.5)]
    return model.bytes()


@pytest.mark.parametrize(
    ("content", "words", "found"),
    [
        pytest.param(lambda: b"", "the model is an empty file", "0 bytes", id="empty"),
        pytest.param(lambda: b"not a model at all", "the file is not a TensorFlow Lite model", "a mo", id="not a flatbuffer"),
        pytest.param(lambda: pair(SMALL).read_bytes()[:300000], "the model is damaged", "byte", id="truncated"),
        pytest.param(lambda: pair(SMALL, compiled=True).read_bytes(), "the model is compiled already", "edgetpu-custom-op", id="compiled"),
        pytest.param(float_model, "the model is not quantized", "float32 from all 6 operators", id="float"),
        pytest.param(weights_alone, "the model is not quantized", "with 1 quantized constants", id="dynamic range"),
        pytest.param(no_operators, "the model has no operators", "0 operators", id="no operators"),
    ],
)
def test_an_input_of_which_nothing_can_be_made_is_refused_before_the_compiler_is_started(compile_with, content, words, found):
    outcome = compile_with(GOOD, model=content())
    assert outcome.code == 1
    assert outcome.error["what"] == words
    assert found in outcome.error["found"]
    assert outcome.error["where"].startswith("input model: model.tflite of convert")
    assert outcome.error["remedy"]
    assert calls(outcome) == []


def test_a_model_that_the_prediction_refuses_is_compiled_all_the_same(compile_with):
    model = small_detector()
    model.codes[0].version = 99
    outcome = compile_with("print('Compilation failed!'); sys.exit(1)", model=model.bytes())
    assert len(calls(outcome)) == 1
    assert "the prediction says that the compiler refuses input model" in outcome.result["warnings"][0]
    assert outcome.json("prediction.json")["refused"]


# The compiler itself.


def test_no_compiler_is_told_with_where_to_get_one(run_stage, tmp_path):
    (tmp_path / "model.tflite").write_bytes(pair(SMALL).read_bytes())
    inputs = {"model": artifact("convert", "tflite", tmp_path), "others": []}
    outcome = run_stage("compile", PARAMS, inputs, env={"PATH": "/nowhere"})
    assert outcome.code == 1
    assert outcome.error["what"] == "this image has no edgetpu_compiler"
    assert "optional: true" in outcome.error["remedy"]


@pytest.mark.parametrize(
    ("given", "what", "found"),
    [
        ({"version": "14.1.317412892"}, "edgetpu_compiler is of another version than the pipeline asks for", "14.1.317412892"),
        ({"on_version": "print('Segmentation'); sys.exit(3)"}, "edgetpu_compiler does not tell its version", "exit status 3: Segmentation"),
        ({"on_version": "print('hello'); sys.exit(0)"}, "edgetpu_compiler does not tell its version", "exit status 0: hello"),
        ({"program": "\x7fELF of another processor" + "\0" * 100}, "edgetpu_compiler cannot be started", "Exec format error"),
    ],
)
def test_a_compiler_of_the_wrong_version_or_no_compiler_at_all(compile_with, given, what, found):
    outcome = compile_with(GOOD, **given)
    assert outcome.code == 1
    assert outcome.error["what"] == what
    assert found in outcome.error["found"]


NOT_WHOLE = "the compiler left something that is not a whole model for the Edge TPU"


@pytest.mark.parametrize(
    ("script", "what"),
    [
        pytest.param(
            "print('Invalid model: model.tflite\\nModel not quantized')", "the model is not quantized", id="not quantized, exit 0"
        ),
        pytest.param(
            "leave(good); print('Invalid model: x\\nModel not quantized')", "the model is not quantized", id="not quantized, with a model"
        ),
        pytest.param(
            "print('Invalid model: x\\nModel not quantized'); sys.exit(1)", "the model is not quantized", id="not quantized, exit 1"
        ),
        pytest.param("sys.exit(7)", "the compiler failed", id="exit status"),
        pytest.param("os.kill(os.getpid(), signal.SIGSEGV)", "the compiler failed", id="crash"),
        pytest.param("leave(good); sys.exit(7)", "the compiler failed", id="exit status, with a model"),
        pytest.param(GOOD + "; sys.exit(7)", "the compiler failed", id="exit status, with success told"),
        pytest.param(
            GOOD + "; print('Error opening file for writing: x\\nInternal compiler error. Aborting!')",
            "the compiler could not write its model",
            id="cannot write",
        ),
        pytest.param("pass", "the compiler ended well and left no model", id="exit 0, nothing left"),
        pytest.param("print(told)", "the compiler ended well and left no model", id="success told, nothing left"),
        pytest.param("leave(good, 'detect')", "the compiler ended well and left no model", id="another name"),
        pytest.param("leave(b'')", "the compiler left a stub", id="empty file"),
        pytest.param("leave(good[:600])", "the compiler left a stub", id="stub"),
        pytest.param("leave(b'x' + good)", NOT_WHOLE, id="not a model"),
        pytest.param(GOOD + "; leave(good[:5000])", NOT_WHOLE, id="truncated"),
        pytest.param(GOOD + "; leave(good[:779000])", NOT_WHOLE, id="its end missing"),
        pytest.param("shutil.copy(models[0], made)", "the compiler's model is a copy of its input", id="copy of its input"),
        pytest.param("leave(source + b'padding')", "nothing of the model was mapped to the Edge TPU", id="nothing mapped"),
        pytest.param("print(told); leave(other)", "the compiled model's inputs are not the model's", id="another model"),
    ],
)
def test_a_failure_is_not_an_artifact(compile_with, script, what):
    outcome = compile_with(script)
    assert outcome.code == 1
    assert outcome.error["what"] == what
    assert outcome.error["remedy"]
    assert not list(outcome.output.rglob("*.tflite"))
    assert (outcome.output / "compiler.log").stat().st_size > 0
    assert len(outcome.json("compile.json")["tries"]) == 1


def test_a_compiled_model_that_is_cut_off_anywhere_is_refused():
    content, source, options = pair(OTHER, compiled=True).read_bytes(), pair(OTHER).read_bytes(), options_for("coral-runtime-14")
    check(content, source, options)
    ends = [*range(1500, len(content), 1000), len(content) - 1]
    assert len(ends) > 130
    for end in ends:
        with pytest.raises(models_of.StageError):
            check(content[:end], source, options)


def options_for(target, version=VERSION):
    return command_of.Options(version, 20, 15, TARGETS[target], 1, False, 0, ())


def check(content, source, options):
    class Left:
        name = "model_edgetpu.tflite"
        is_file = staticmethod(lambda: True)
        read_bytes = staticmethod(lambda: content)

    return models_of.check_compiled(Left, source, options, "")


def with_boxes(shape, options=None):
    """A model with the outputs of the post-process operator, as TOCO writes it or, with the options of a real package, compiled."""
    model = small_detector()
    if options is not None:
        image, raw = model.inputs, model.operators[-1].inputs[:2]
        kept = model.operators.pop()
        model.operators.clear()
        model.operator(litert.BuiltinOperator.CUSTOM, image, raw, custom="edgetpu-custom-op", custom_options=options)
        model.operators.append(kept)
    model.named("TFLite_Detection_PostProcess").shape = shape
    return model.bytes()


def test_the_compiler_may_fill_in_a_shape_that_the_converter_left_empty():
    options = read_model(pair(SMALL, compiled=True).read_bytes()).operators[0].options
    compiled = with_boxes([1, 10, 4], options)
    assert check(compiled, with_boxes([]), options_for("coral-runtime-14"))[0] == compiled
    with pytest.raises(models_of.StageError, match="the compiled model's outputs are not the model's"):
        check(compiled, with_boxes([1, 20, 4]), options_for("coral-runtime-14"))


def test_a_model_for_a_newer_runtime_than_the_targets_is_refused_with_both_numbers(compile_with):
    outcome = compile_with(GOOD, {"target": "coral-runtime-10"})
    assert outcome.error["what"] == "the compiled model asks for a newer Edge TPU runtime than the target has"
    assert ("10" in outcome.error["expected"], outcome.error["found"]) == (True, "runtime 12")
    assert not list(outcome.output.glob("*.tflite"))
    assert calls(outcome)[0][3:5] == ["--min_runtime_version", "10"]


def test_where_nothing_is_mapped_for_an_old_runtime_it_says_that_a_newer_one_may_help(compile_with):
    script = "print(told); leave(source + b'padding')"
    assert "for runtime 10 the compiler maps less" in compile_with(script, {"target": "coral-runtime-10"}).error["remedy"]
    assert "maps less" not in compile_with(script).error["remedy"]


def test_the_exit_status_is_told(compile_with):
    assert "exit status 7" in compile_with("sys.exit(7)").error["found"]
    assert "exit status -11" in compile_with("os.kill(os.getpid(), signal.SIGSEGV)").error["found"]


def test_a_compiler_that_hangs_is_killed_with_all_that_it_started(compile_with):
    marker = "stand-in-%d" % os.getpid()
    script = (
        "sleeper = [sys.executable, '-c', 'import time; time.sleep(600)', '%s']\n"
        "subprocess.Popen(sleeper); subprocess.Popen(sleeper, start_new_session=True)\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('Compiling', flush=True); time.sleep(600)"
    ) % marker
    outcome = compile_with(script, {"seconds": 2, "try_seconds": 1, "attempts": 3})
    assert outcome.error["what"] == "the compiler did not end and was killed with everything that it had started"
    assert "Compiling" in outcome.error["found"]
    assert alive(marker) == []
    assert [each["timed_out"] for each in outcome.json("compile.json")["tries"]] == [True]


# Its own timer, as the stage sets it: it tells what the real one tells (e21) when that runs out.
TRY = """
seconds = int(arguments[arguments.index("--timeout_sec") + 1])
def run_out(ops):
    print("Started a compilation timeout timer of %d seconds." % seconds, flush=True)
    time.sleep(seconds)
    print("Compilation timeout. This is usually caused by large activations.\\nCompilation failed! ", flush=True)
    print("Try to compile segment with %d ops" % ops, flush=True)
"""


def test_a_try_that_runs_out_of_time_is_followed_by_the_next(compile_with):
    outcome = compile_with(TRY + "run_out(30)\n" + GOOD, {"search_delegate": True, "seconds": 10, "try_seconds": 1})
    assert outcome.code == 0, outcome.error
    (run,) = outcome.json("compile.json")["tries"][0]["log"]["runs"]
    assert (run["outcome"], [each["kind"] for each in run["errors"]], run["timeout_seconds"]) == ("success", ["timeout", "failed"], 1)
    assert "--search_delegate" in calls(outcome)[0]


def test_the_last_try_that_runs_out_of_time_is_told_as_such(compile_with):
    script = TRY + "run_out(30); print('Compilation failed! '); sys.exit(1)"
    outcome = compile_with(script, {"search_delegate": True, "seconds": 10, "try_seconds": 1})
    assert outcome.error["what"] == "the compiler's own timer ran out"
    assert "compile.try_seconds" in outcome.error["remedy"]
    assert outcome.json("compile.json")["tries"][0]["timed_out"] is False


def test_a_child_that_the_compiler_leaves_behind_neither_blocks_nor_survives(compile_with):
    marker = "left-behind-%d" % os.getpid()
    script = "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)', '%s'])\n%s" % (marker, GOOD)
    assert compile_with(script).code == 0
    assert alive(marker) == []


class Stopped(BaseException):
    """What the runtime's signal handler raises, in effect."""


def test_a_stop_from_outside_kills_the_compiler_too():
    marker = "stopped-%d" % os.getpid()

    def stop(_number, _frame):
        raise Stopped

    before = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, 1.0)
        with pytest.raises(Stopped):
            process_of.run_limited([sys.executable, "-c", "import time; time.sleep(600)", marker], 500)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert alive(marker) == []


def test_a_flood_of_output_is_kept_at_both_ends(compile_with):
    outcome = compile_with("sys.stdout.write('flood ' * 2_000_000)\nprint('the end')\n" + GOOD)
    log = (outcome.output / "compiler.log").read_text()
    assert outcome.code == 0
    assert log.startswith("Edge TPU Compiler version")
    assert "the end" in log
    assert "bytes left out" in log
    assert len(log) < 400_000
    assert outcome.json("compile.json")["comparison"] == []


ABORTS = "print('Internal compiler error. Aborting!'); sys.exit(1)"


def test_an_internal_error_is_tried_again_and_each_try_is_kept(compile_with):
    outcome = compile_with("if calls < 3:\n    %s\n%s" % (ABORTS, GOOD), {"attempts": 3})
    assert outcome.code == 0
    told = outcome.json("compile.json")
    assert told["attempts"] == 3
    assert [each["exit_code"] for each in told["tries"]] == [1, 1, 0]
    assert [each["log"]["runs"][0]["outcome"] for each in told["tries"]] == ["failure", "failure", "success"]
    assert told["tries"][0]["log"]["runs"][0]["errors"] == [{"kind": "internal", "text": "Internal compiler error. Aborting!"}]
    assert len(outcome.result["warnings"]) == 2
    assert (outcome.output / "compiler.log").read_text().count("Aborting") == 2


def test_what_an_aborted_try_left_is_not_taken_for_the_next_ones(compile_with):
    outcome = compile_with("if calls < 2:\n    leave(good)\n    %s\nprint(told)" % ABORTS, {"attempts": 2})
    assert outcome.error["what"] == "the compiler ended well and left no model"


def test_an_internal_error_that_stays_is_a_failure(compile_with):
    outcome = compile_with(ABORTS, {"attempts": 2})
    assert outcome.error["what"] == "the compiler aborted with an internal error"
    assert (len(outcome.result["warnings"]), len(calls(outcome))) == (1, 2)


@pytest.mark.parametrize(
    "script",
    [
        "print('Model not quantized')",
        "print('libc++abi: terminating with uncaught exception of type std::out_of_range: vector'); sys.exit(1)",
        "print('Error opening file for writing: x\\nInternal compiler error. Aborting!'); sys.exit(1)",
        "os.kill(os.getpid(), signal.SIGSEGV)",
        "leave(good[:5000])",
    ],
)
def test_other_failures_are_not_tried_again(compile_with, script):
    outcome = compile_with(script, {"attempts": 3})
    assert (outcome.code, len(calls(outcome))) == (1, 1)


def test_an_abort_that_does_not_end_is_not_tried_again(compile_with):
    outcome = compile_with(
        "print('Internal compiler error. Aborting!', flush=True); time.sleep(600)", {"attempts": 3, "seconds": 2, "try_seconds": 1}
    )
    assert outcome.error["what"].startswith("the compiler did not end")
    assert len(calls(outcome)) == 1


# What the compiler really printed, by file: None is success.
SAID = {
    "e01_v15_not_quantized": "the model is not quantized",
    "e03_v14_not_quantized_prompt": "the model is not quantized",
    "e05_v2.0_ice_two_versions": "the compiler aborted with an internal error",
    "e07_v2.1_ice": "the compiler aborted with an internal error",
    "e08_v14_ice_no_blank_line": "the compiler aborted with an internal error",
    "e10_v16_dynamic": "the model has tensors of dynamic size",
    "e12_v16_op_version_tconv": "the compiler does not know an operator's version",
    "e14_v15_op_version_reverse": "the compiler does not know an operator's version",
    "e16_v14_one_line_conv2d5": "the compiler does not know an operator's version",
    "e18_v16_large_activation": "the model's activations are too large for the Edge TPU",
    "e20_v16_libcxx_abort": "the compiler ended with an exception of its own",
    "s01_v16_search_delegate_fail_then": "the model's activations are too large for the Edge TPU",
    "s07_v15_outdir": None,
    "s05_v16_zero_subgraphs_tf2": None,
    "s09_v14_flaky_then_success": None,
    "s13_v16_cocompile_plural": None,
}


@pytest.mark.parametrize(("name", "meaning"), SAID.items())
def test_what_the_real_compiler_said_is_understood(name, meaning):
    text = (shared() / "data" / "edgetpu" / "compiler_logs" / (name + ".txt")).read_text(encoding="utf-8")
    finished = process_of.Finished(0, text, 1.0, False)
    explained = output_of.explain(finished, parse_log(text), 600)
    assert (explained and explained["what"]) == meaning
    assert output_of.is_flaky(finished, parse_log(text)) == ("ice" in name)


def test_the_compilers_own_timer_is_told_as_such():
    text = (shared() / "data" / "edgetpu" / "compiler_logs" / "e21_v16_timeout_search_delegate.txt").read_text(encoding="utf-8")
    explained = output_of.explain(process_of.Finished(1, text, 1.0, False), parse_log(text), 600)
    assert explained["what"] == "the compiler's own timer ran out"


def test_real_compiled_models_pass_and_their_inputs_do_not():
    pairs = sorted((shared() / "data" / "edgetpu" / "pairs").glob("*_edgetpu.tflite"))
    assert len(pairs) >= 5
    options = options_for("coral-runtime-12")
    for path in pairs:
        compiled, source = path.read_bytes(), path.with_name(path.name.replace("_edgetpu", "")).read_bytes()
        content, packages = check(compiled, source, options)
        assert (content, [package.runtime for package in packages]) == (compiled, [12])
        with pytest.raises(models_of.StageError, match="nothing of the model was mapped"):
            check(source, compiled, options)


def test_the_process_limit_does_not_wait_for_a_pipe_that_stays_open():
    finished = process_of.run_limited(["/bin/sh", "-c", "sleep 300 & echo done"], 100)
    assert (finished.exit_code, finished.output, finished.timed_out) == (0, "done\n", False)


def test_the_default_version_is_the_one_that_the_image_pins():
    assert 'edgetpu_compiler: "%s"' % VERSION in (ROOT / "docker" / "images.yaml").read_text()
    assert 'default: "%s"' % VERSION in (ROOT / "stages" / "compile" / "stage.yaml").read_text()
