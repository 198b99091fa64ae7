"""Compile the .tflite for the Edge TPU."""

import re
import shutil

from compiler_output import check_compiled, explain, is_flaky
from compiler_process import run_limited

from _runtime import StageError, atomic_write, run, write_json, write_text

PROGRAM = "edgetpu_compiler"
MODEL = "model_edgetpu.tflite"
# From this major version on the compiler has a timer of its own, 180 s unless told otherwise.
OWN_TIMER_FROM = 16
VERSION_SECONDS = 60


def main(task):
    """Run the compiler on model.tflite; the log is kept whatever happens, the model only if it is one for the Edge TPU."""
    source = task.input("model").path / "model.tflite"
    program = _find()
    version = _version(program, task.params["version"])
    task.tools[PROGRAM] = version
    workplace = task.scratch / "compiled"
    command = _command(version, task.params["seconds"], workplace, source)
    finished, attempt = _compile(task, program, command, workplace)
    problem = explain(finished, task.params["seconds"])
    if problem:
        raise StageError(where=PROGRAM, **problem)
    compiled = workplace / MODEL
    check_compiled(compiled, source, finished.output)
    with atomic_write(task.output / MODEL) as stream, open(compiled, "rb") as made:
        shutil.copyfileobj(made, stream)
    # The command is told with bare names: where the files lay says nothing, and differs from machine to machine.
    write_json(
        task.output / "compile.json",
        {
            "schema": 1,
            "compiler": {"name": PROGRAM, "version": version},
            "command": _command(version, task.params["seconds"], "OUT", "model.tflite"),
            "seconds": round(finished.seconds, 3),
            "exit_code": finished.exit_code,
            "attempts": attempt,
        },
    )
    task.metrics["bytes"] = compiled.stat().st_size


def _compile(task, program, command, workplace):
    log = []
    for attempt in range(1, task.params["attempts"] + 1):
        shutil.rmtree(workplace, ignore_errors=True)
        workplace.mkdir(parents=True)
        finished = run_limited([program, *command[1:]], task.params["seconds"], cwd=task.scratch)
        log.append(finished.output)
        print(finished.output, flush=True)
        write_text(task.output / "compiler.log", "\n".join(log) or "(the compiler printed nothing)\n")
        if not is_flaky(finished) or attempt == task.params["attempts"]:
            break
        task.warn("the compiler aborted with an internal error (attempt %d of %d): running it again" % (attempt, task.params["attempts"]))
    return finished, attempt


def _command(version, seconds, folder, model):
    timer = ["--timeout_sec", str(seconds)] if int(version.split(".")[0]) >= OWN_TIMER_FROM else []
    return [PROGRAM, "-s", *timer, "-o", str(folder), str(model)]


def _find():
    program = shutil.which(PROGRAM)
    if program is None:
        raise StageError(
            "this image has no %s" % PROGRAM,
            where="PATH",
            expected=PROGRAM,
            found="nothing of that name",
            remedy="the compiler is proprietary: neither PyPI nor Debian has it. Google gives it out as a Debian package for x86-64 (see "
            "coral.ai/docs/edgetpu/compiler); the edgetpu Docker image installs that package, or the .deb that you supply. A pipeline "
            "that can do without declares the stage `optional: true`",
        )
    return program


def _version(program, wanted):
    try:
        finished = run_limited([program, "--version"], VERSION_SECONDS)
    except OSError as error:
        raise StageError(
            "%s cannot be started" % PROGRAM,
            where=program,
            expected="an x86-64 program",
            found=error,
            remedy="install the compiler for this machine's processor, or compile on an x86-64 machine",
        ) from error
    told = re.search(r"version (\d+(?:\.\d+)*)", finished.output)
    if finished.timed_out or finished.exit_code or told is None:
        raise StageError(
            "%s does not tell its version" % PROGRAM,
            where="%s --version" % PROGRAM,
            expected="version %s" % wanted,
            found="no end within %d s" % VERSION_SECONDS
            if finished.timed_out
            else "exit status %d: %s" % (finished.exit_code, finished.output.strip()[:200]),
            remedy="run it by hand in the image: its installation may be damaged",
        )
    if told.group(1) != wanted:
        raise StageError(
            "%s is of another version than the pipeline asks for" % PROGRAM,
            where="%s --version" % PROGRAM,
            expected=wanted,
            found=told.group(1),
            remedy="install that version in the edgetpu image, or set compile.version: %s" % told.group(1),
        )
    return told.group(1)


if __name__ == "__main__":
    run(main)
