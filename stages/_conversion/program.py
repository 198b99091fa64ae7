"""A converter as a child process: with a time limit, ended with all that it started, its output kept."""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from _runtime import StageError

_LINES = 4  # of a program's output, kept in an error


class Converter(NamedTuple):
    """How errors speak of a converter. name: "TOCO"; where: what is called; remedy: for one that does not finish."""

    name: str
    where: str
    remedy: str


def run_program(converter, command, folder, seconds, environment=None, meanwhile=None):
    """(exit status, output) of a converter's `command`, a list, which runs in `folder`, where its log and temporary files are, too.

    environment: variables that differ; meanwhile: called while the program starts. The program's process group is killed after `seconds`
    (from when `meanwhile` is done), when the stage is stopped, where `meanwhile` fails, and whatever of it is left at the end. Raises
    StageError where it does not finish.
    """
    folder = str(folder)
    with open(str(Path(folder) / "log"), "w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(os.environ, TMPDIR=folder, **(environment or {})),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            if meanwhile is not None:
                meanwhile()
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise StageError(
                "%s did not finish" % converter.name,
                converter.where,
                "at most %d s" % seconds,
                "still running, and killed",
                converter.remedy,
            ) from None
        finally:
            _kill(process)
        log.seek(0)
        return process.returncode, log.read()


def tail(log):
    """The end of a program's output on one line, without TensorFlow's notes."""
    lines = [line for line in log.splitlines() if line.strip() and ": I tensorflow/" not in line]
    return " | ".join(line[:300] for line in lines[-_LINES:])


def model_bytes(converter, model, log):
    """The bytes of the file `model`, which a converter that ended without an error left. Raises StageError where there are none."""
    if model.exists() and model.stat().st_size:
        return model.read_bytes()
    raise StageError(
        "%s ended without an error and left no model" % converter.name,
        converter.where,
        model.name,
        "an empty file" if model.exists() else "no file",
        "read its log: %s" % tail(log),
    )


def _kill(process):
    """End whatever of the program's process group still runs."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
