"""Compile the .tflite for the Edge TPU."""

import json
import re
import shutil
from collections import Counter
from typing import NamedTuple

from compiled_models import check_compiled, compared, describe
from compiler_command import FOLDER, PROGRAM, read_options
from compiler_inputs import link, read_sources
from compiler_output import explain, is_flaky, said_success
from compiler_process import run_limited

from _edgetpu.compiler_log import as_one_run, parse_log
from _edgetpu.words import MAPPED
from _runtime import StageError, atomic_write, run, write_json, write_text

VERSION_SECONDS = 60
TOGETHER = "co_compiled"  # folder of the artifact for the models that are compiled together with the first
NOT_REPRODUCIBLE = (
    "edgetpu_compiler writes some other bytes each time that it is run on the same model (identifiers in the packages); this artifact "
    "holds what the first run for its key wrote, and everything after it uses these bytes"
)


class Try(NamedTuple):
    """One run of the compiler: how the process `Finished`, and what it printed, parsed."""

    finished: object
    log: dict


def main(task):
    """Predict, run the compiler, check what it left. compiler.log and compile.json are kept whatever happens, a model only if it is one."""
    options = read_options(task)
    sources = read_sources(task, options)
    for source in sources:
        write_json(task.output / _prediction_file(source), source.prediction)
        if source.prediction["refused"]:
            task.warn("the prediction says that the compiler refuses %s: %s" % (source.where, source.prediction["refused"]["what"]))
    program = _find()
    task.tools[PROGRAM] = _version(program, options.version)
    command = options.command(link(sources, task.scratch))
    tries = []
    record = {
        "schema": 2,
        "compiler": {"name": PROGRAM, "version": options.version},
        "target": {"name": options.target.name, "runtime": options.target.runtime},
        "command": command,
        "reproducible": False,
        "reproducible_because": NOT_REPRODUCIBLE,
    }
    try:
        _compile(task, program, command, tries)
        problem = explain(*tries[-1], task.params["seconds"])
        if problem:
            raise StageError(where=PROGRAM, **problem)
        compiled = [_judge(task, source, options, tries[-1]) for source in sources]
        record.update(compiled[0], co_compiled=compiled[1:])
    finally:
        write_json(task.output / "compile.json", dict(record, **_told(tries)))
    _warn(task, tries[-1], compiled)
    _measure(task, compiled[0])


def _prediction_file(source):
    return "prediction.json" if source.name == "model" else "%s/%s_prediction.json" % (TOGETHER, source.name)


def _compile(task, program, command, tries):
    """Run the compiler until it does not abort in the way that may pass, or the attempts are used up; each run is added to `tries`."""
    attempts = task.params["attempts"]
    while len(tries) < attempts:
        shutil.rmtree(task.scratch / FOLDER, ignore_errors=True)
        (task.scratch / FOLDER).mkdir(parents=True)
        finished = run_limited([program, *command[1:]], task.params["seconds"], cwd=task.scratch)
        tries.append(Try(finished, parse_log(finished.output)))
        print(finished.output, flush=True)
        write_text(task.output / "compiler.log", _printed(tries, task.scratch / FOLDER))
        if not is_flaky(*tries[-1]):
            return
        if len(tries) < attempts:
            task.warn("the compiler aborted with an internal error (attempt %d of %d): running it again" % (len(tries), attempts))


def _printed(tries, folder):
    """All that the compiler printed; where it printed no operator table, also the log files that it wrote."""
    text = "\n".join(each.finished.output for each in tries) or "(the compiler printed nothing)\n"
    if not any(model["operators"] for run in tries[-1].log["runs"] for model in run["models"]):
        for path in sorted(folder.glob("*.log")):
            text += "\n%s:\n%s" % (path.name, path.read_text(encoding="utf-8", errors="replace"))
    return text


def _judge(task, source, options, last):
    """Check a model's compiled files, keep them, and return what compile.json tells of them."""
    folder, names = task.scratch / FOLDER, options.compiled_names(source.name)
    logs = {name: _log_file(folder, name) for name in names}
    place = task.output if source.name == "model" else task.output / TOGETHER
    checked = [check_compiled(folder / name, source.content, options, last.finished.output) for name in names]
    files = [describe(name, content, packages, last.log, logs[name]) for name, (content, packages) in zip(names, checked)]
    for name, (content, _) in zip(names, checked):
        with atomic_write(place / name) as stream:
            stream.write(content)
    return {
        "name": source.name,
        "input": {"key": source.key, "digest": source.digest},
        "files": files,
        "operators": _summed([file["operators"] for file in files]),
        "comparison": compared(source.prediction, names, options, last.log, logs),
    }


def _log_file(folder, name):
    """The text of the operation log file that the compiler writes beside its model, or None."""
    path = folder / (name[: -len(".tflite")] + ".log")
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None


def _summed(tables):
    """The operator tables of a model's segments as one; None where one of them is not known."""
    if any(table is None for table in tables):
        return None
    counts = Counter()
    for row in (row for table in tables for row in table):
        counts[row["op"], row["status"]] += row["count"]
    return [{"op": op, "status": status, "count": count} for (op, status), count in counts.items()]


def _told(tries):
    """What compile.json tells of the runs; `seconds` and `exit_code` are the last one's."""
    runs = [
        {
            "exit_code": finished.exit_code,
            "seconds": round(finished.seconds, 3),
            "timed_out": finished.timed_out,
            "log": log,
        }
        for finished, log in tries
    ]
    last = runs[-1] if runs else {"exit_code": None, "seconds": None}
    return {"seconds": last["seconds"], "exit_code": last["exit_code"], "attempts": len(runs), "tries": runs}


def _warn(task, last, compiled):
    if not said_success(last.log):
        task.warn("the compiler did not say that it compiled; its files are models for the Edge TPU all the same")
    for told in (as_one_run(last.log) or {"warnings": []})["warnings"]:
        task.warn("the compiler warns: %s" % told)
    unknown = last.log["unknown_lines"]
    if unknown:
        task.warn("the compiler printed %d lines that are not known; the first: %s" % (len(unknown), json.dumps(unknown[0][:200])))
    for told in compiled:
        different = [each for each in told["comparison"] if each["kind"] == "different"]
        if different:
            task.warn("%s: %d counts are not as predicted; the first: %s" % (told["name"], len(different), different[0]["text"]))
        if told["operators"] is None:
            task.warn("%s: the compiler told no operator table, neither printed nor in its log file" % told["name"])


def _measure(task, told):
    task.metrics["bytes"] = sum(file["bytes"] for file in told["files"])
    if told["operators"] is not None:
        mapped = sum(row["count"] for row in told["operators"] if row["status"] == MAPPED)
        task.metrics.update({"mapped": mapped, "cpu": sum(row["count"] for row in told["operators"]) - mapped})


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
