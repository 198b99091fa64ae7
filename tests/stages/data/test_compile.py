"""The compiler may hang, crash, lie about its success or leave rubbish: nothing of that becomes an artifact.

The compiler cannot be had here. A scripted stand-in plays its faults; what the real one printed and made is in the shared data.
"""

import os
import signal
import stat
import sys
from pathlib import Path

import pytest

from stage_helpers import artifact, load, shared

output_of = load("compile", "compiler_output")
process_of = load("compile", "compiler_process")

VERSION = "16.0.384591198"
PARAMS = {"version": VERSION, "seconds": 20, "attempts": 1}
SOURCE = b"\x1c\0\0\0TFL3" + bytes(range(256)) * 8
COMPILED = SOURCE + b"edgetpu-custom-op" + b"\1" * 400

STAND_IN = """#!{python}
import os, shutil, signal, subprocess, sys, time
if "--version" in sys.argv:
    {on_version}
    print("Edge TPU Compiler version {version}")
    sys.exit(0)
arguments = sys.argv[1:]
out, model = arguments[arguments.index("-o") + 1], arguments[-1]
made = os.path.join(out, "model_edgetpu.tflite")
count = "calls"
open(count, "a").write("x")
calls = len(open(count).read())
def leave(data):
    open(made, "wb").write(data)
good = open(model, "rb").read() + b"edgetpu-custom-op" + b"\\1" * 400
print("Edge TPU Compiler version {version}", *arguments[:-2], flush=True)
{script}
"""
GOOD = "print('Model compiled successfully in 12 ms.'); leave(good)"


@pytest.fixture
def compile_with(run_stage, tmp_path):
    """compile_with(SCRIPT, …) runs the stage with a stand-in compiler that does SCRIPT after it has printed its version and options."""

    def call(script, params=PARAMS, version=VERSION, on_version="pass", program=None, timeout=60):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        stand_in = folder / "edgetpu_compiler"
        stand_in.write_text(program or STAND_IN.format(python=sys.executable, version=version, on_version=on_version, script=script))
        stand_in.chmod(stand_in.stat().st_mode | stat.S_IXUSR)
        model = tmp_path / "model"
        model.mkdir(exist_ok=True)
        (model / "model.tflite").write_bytes(SOURCE)
        return run_stage(
            "compile", params, {"model": artifact("convert", "tflite", model)}, env={"PATH": "%s:/usr/bin:/bin" % folder}, timeout=timeout
        )

    return call


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


def test_a_compiled_model_its_log_and_how_it_was_made_are_kept(compile_with):
    outcome = compile_with(GOOD)
    assert outcome.code == 0
    assert (outcome.output / "model_edgetpu.tflite").read_bytes() == COMPILED
    told = outcome.json("compile.json")
    assert told["compiler"] == {"name": "edgetpu_compiler", "version": VERSION}
    assert told["command"] == ["edgetpu_compiler", "-s", "--timeout_sec", "20", "-o", "OUT", "model.tflite"]
    assert (told["exit_code"], told["attempts"]) == (0, 1)
    assert "Model compiled successfully" in (outcome.output / "compiler.log").read_text()
    assert outcome.result["tools"] == {"edgetpu_compiler": VERSION}


def test_the_compilers_own_timer_is_set_only_where_it_has_one(compile_with):
    old = compile_with(GOOD, {**PARAMS, "version": "15.0.340273435"}, version="15.0.340273435")
    assert old.json("compile.json")["command"] == ["edgetpu_compiler", "-s", "-o", "OUT", "model.tflite"]


def test_no_compiler_is_told_with_where_to_get_one(run_stage, tmp_path):
    (tmp_path / "model.tflite").write_bytes(SOURCE)
    outcome = run_stage("compile", PARAMS, {"model": artifact("convert", "tflite", tmp_path)}, env={"PATH": "/nowhere"})
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


@pytest.mark.parametrize(
    ("script", "what"),
    [
        pytest.param(
            "print('Invalid model: model.tflite\\nModel not quantized')", "the model is not quantized", id="not quantized, exit 0"
        ),
        pytest.param(
            "print('Invalid model: x\\nModel not quantized'); sys.exit(1)", "the model is not quantized", id="not quantized, exit 1"
        ),
        pytest.param("sys.exit(7)", "the compiler failed", id="exit status"),
        pytest.param("os.kill(os.getpid(), signal.SIGSEGV)", "the compiler failed", id="crash"),
        pytest.param("leave(good); sys.exit(7)", "the compiler failed", id="exit status, with a model"),
        pytest.param("pass", "the compiler ended well and left no model", id="exit 0, nothing left"),
        pytest.param("leave(b'')", "the compiler left a stub", id="empty file"),
        pytest.param("leave(good[:600])", "the compiler left a stub", id="stub"),
        pytest.param("leave(b'x' + good)", "the compiler left something that is not a TensorFlow Lite model", id="not a model"),
        pytest.param("shutil.copy(model, made)", "the compiler's model is a copy of its input", id="copy of its input"),
        pytest.param(
            "leave(open(model, 'rb').read() + b'padding')", "nothing of the model was mapped to the Edge TPU", id="nothing mapped"
        ),
    ],
)
def test_a_failure_is_not_an_artifact(compile_with, script, what):
    outcome = compile_with(script)
    assert outcome.code == 1
    assert outcome.error["what"] == what
    assert outcome.error["remedy"]
    assert not (outcome.output / "model_edgetpu.tflite").exists()
    assert (outcome.output / "compiler.log").stat().st_size > 0


def test_the_exit_status_is_told(compile_with):
    assert "exit status 7" in compile_with("sys.exit(7)").error["found"]
    assert "exit status -11" in compile_with("os.kill(os.getpid(), signal.SIGSEGV)").error["found"]


def test_a_compiler_that_hangs_is_killed_with_all_that_it_started(compile_with, tmp_path):
    marker = "stand-in-%d" % os.getpid()
    script = (
        "sleeper = [sys.executable, '-c', 'import time; time.sleep(600)', '%s']\n"
        "subprocess.Popen(sleeper); subprocess.Popen(sleeper, start_new_session=True)\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('Compiling', flush=True); time.sleep(600)"
    ) % marker
    outcome = compile_with(script, {**PARAMS, "seconds": 2})
    assert outcome.error["what"] == "the compiler did not end and was killed with everything that it had started"
    assert "Compiling" in outcome.error["found"]
    assert alive(marker) == []


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


FLAKY = "print('Internal compiler error. Aborting!')\nsys.exit(1)"


def test_an_internal_error_is_tried_again(compile_with):
    outcome = compile_with(
        "if calls < 3:\n    print('Internal compiler error. Aborting!'); sys.exit(1)\n" + GOOD, {**PARAMS, "attempts": 3}
    )
    assert outcome.code == 0
    assert outcome.json("compile.json")["attempts"] == 3
    assert len(outcome.result["warnings"]) == 2
    assert (outcome.output / "compiler.log").read_text().count("Aborting") == 2


def test_an_internal_error_that_stays_is_a_failure(compile_with):
    outcome = compile_with(FLAKY, {**PARAMS, "attempts": 2})
    assert outcome.error["what"] == "the compiler aborted with an internal error"
    assert len(outcome.result["warnings"]) == 1


def test_other_failures_are_not_tried_again(compile_with):
    outcome = compile_with("print('Model not quantized')", {**PARAMS, "attempts": 3})
    assert (outcome.output / "compiler.log").read_text().count("Edge TPU Compiler version") == 1


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
    "e20_v16_libcxx_abort": "the compiler failed",
    "e21_v16_timeout_search_delegate": "the compiler's own timer ran out",
    "s07_v15_outdir": None,
    "s05_v16_zero_subgraphs_tf2": None,
    "s09_v14_flaky_then_success": None,
}


@pytest.mark.parametrize(("name", "meaning"), SAID.items())
def test_what_the_real_compiler_said_is_understood(name, meaning):
    text = (shared() / "data" / "edgetpu" / "compiler_logs" / (name + ".txt")).read_text(encoding="utf-8")
    explained = output_of.explain(process_of.Finished(0, text, 1.0, False), 600)
    assert (explained and explained["what"]) == meaning


def test_real_compiled_models_pass_and_their_inputs_do_not():
    pairs = sorted((shared() / "data" / "edgetpu" / "pairs").glob("*_edgetpu.tflite"))
    assert len(pairs) >= 5
    for compiled in pairs:
        source = compiled.with_name(compiled.name.replace("_edgetpu", ""))
        output_of.check_compiled(compiled, source, "")
        with pytest.raises(output_of.StageError, match="nothing of the model was mapped"):
            output_of.check_compiled(source, compiled, "")


def test_the_process_limit_does_not_wait_for_a_pipe_that_stays_open():
    finished = process_of.run_limited(["/bin/sh", "-c", "sleep 300 & echo done"], 100)
    assert (finished.exit_code, finished.output, finished.timed_out) == (0, "done\n", False)


def test_the_default_version_is_the_one_that_the_image_pins():
    root = Path(__file__).resolve().parents[3]
    assert 'edgetpu_compiler: "%s"' % VERSION in (root / "docker" / "images.yaml").read_text()
    assert 'default: "%s"' % VERSION in (root / "stages" / "compile" / "stage.yaml").read_text()
