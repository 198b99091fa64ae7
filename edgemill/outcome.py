"""How a stage's program ended: its result, and the one message of a failure."""

from __future__ import annotations

import errno
import json
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgemill import SCHEMA
from edgemill.console import printable
from edgemill.engines.seam import Ending, Outcome
from edgemill.errors import EdgeMillError, StageFailedError
from edgemill.hashing import canonical
from edgemill.pipelines import Step

TAIL_LINES = 15
FULL_BYTES = 1 << 20  # with less than this left, a full disk is the likely cause of a failure
FREE_SPACE = "free space (./mill gc removes what no pipeline uses), then run the same command again"
_RESULT_TYPES: Mapping[str, Any] = {"metrics": dict, "tools": dict, "warnings": list, "error": (dict, type(None))}


def read_result(path: Path) -> tuple[dict[str, Any], str | None]:
    """What a program wrote into its result.json, complete; and what is wrong with it, where the program ended without one that holds."""
    empty: dict[str, Any] = {"metrics": {}, "tools": {}, "warnings": [], "error": None}
    try:
        result = json.loads(path.read_bytes())
        canonical(result)
    except FileNotFoundError:
        return empty, "it wrote no result"
    except (OSError, ValueError, RecursionError) as error:
        return empty, f"its result.json cannot be read ({type(error).__name__})"
    if not isinstance(result, dict) or result.get("schema") != SCHEMA:
        return empty, "its result.json is of another schema"
    result = empty | result
    wrong = [name for name, kind in _RESULT_TYPES.items() if not isinstance(result[name], kind)]
    return (empty, f"in its result.json, {wrong[0]!r} is of a wrong type") if wrong else (result, None)


def failure(step: Step, outcome: Outcome, result: Mapping[str, Any], problem: str | None, log: Path) -> StageFailedError:
    """The error for a job that did not end well; `problem` is what `read_result` found wrong."""
    error: Mapping[str, Any] = result["error"] or {}
    if outcome.ending is Ending.TIMEOUT:
        what = f"it took longer than its limit of {step.contract.timeout:g} s"
    elif outcome.ending is Ending.OUT_OF_MEMORY:
        what = f"it needed more memory than its limit of {step.contract.memory / 2**30:g} GiB and was killed"
    elif outcome.ending is Ending.LOST:
        what = "its engine went away while it ran, so how it ended is not known"
    elif outcome.ending is Ending.KILLED:
        what = f"it was killed by signal {outcome.exit_code - 128}" + (" (out of memory?)" if outcome.exit_code == 137 else "")
    elif error:
        what = str(error.get("what"))
    elif outcome.exit_code == 0:
        what = f"it exited with 0, but {problem}"
    else:
        what = "its program ended without saying why"
    details = [f"command: {shlex.join(outcome.command)}", f"exit status: {outcome.exit_code}", f"log: {log}"]
    details += [outcome.note] if outcome.note else []
    tail = [] if error else last_lines(log)
    remedy = [str(error["remedy"])] if error.get("remedy") else []
    if shutil.disk_usage(log.parent).free < FULL_BYTES:
        remedy.append(f"the disk is full: {FREE_SPACE}")
    return StageFailedError(
        f"the stage {step.name!r} failed: {what}",
        where="\n".join([*([str(error["where"])] if error.get("where") else []), *details]),
        expected=error.get("expected"),
        found=error.get("found") or ("\n".join(["the last lines of its log:", *tail]) if tail else None),
        remedy="\n".join([*remedy, f"then run the same command again; {kept(step)}"]),
    )


def kept(step: Step) -> str:
    """What a failure of the step leaves for the next run."""
    if step.contract.resumable:
        return "it goes on from its last checkpoint unless the change makes another artifact of it"
    return "everything before this stage is kept"


def invalid(step: Step, error: StageFailedError, outcome: Outcome, log: Path) -> StageFailedError:
    """The error for a program that exited with 0 and left an invalid artifact; `error` says what is wrong with it."""
    details = [f"command: {shlex.join(outcome.command)}", f"exit status: {outcome.exit_code}", f"log: {log}"]
    return StageFailedError(
        f"the stage {step.name!r} failed: {error.what}",
        where="\n".join([*([error.where] if error.where else []), *details]),
        expected=error.expected,
        found=error.found,
        remedy=error.remedy or f"this is a defect in its program: read its log; {kept(step)}",
    )


def unwritten(what: str, error: OSError, place: Path) -> EdgeMillError:
    """The error for what the system refused: a full disk, no permission, a broken device."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return StageFailedError(
        f"{what}: {error.strerror or error}",
        where=str(error.filename or place),
        remedy=FREE_SPACE if full else "mend that, then run the same command again",
    )


def last_lines(log: Path, count: int = TAIL_LINES) -> Sequence[str]:
    """The end of a log: of each line what a terminal would show last, without what would steer it."""
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - 16384))
        lines = stream.read().decode(errors="replace").split("\n")
    return [printable(line.rstrip().split("\r")[-1])[:500] for line in lines if line.strip()][-count:]
