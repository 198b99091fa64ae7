"""The Invoke tasks, a module for each collection; those without a prefix are in tasks.py. Here: what they share.

A task parses its arguments and calls one function of `edgemill`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from invoke import Context, task

from edgemill import commands
from edgemill.commands import Request, run_guarded

PLACE_HELP = {
    "pipeline": "A name in pipelines/, or a path to a YAML file.",
    "workspace": "Where artifacts, work and runs are (else EDGEMILL_WORKSPACE, else `workspace` in the project).",
}
PIPELINE_HELP = {
    **PLACE_HELP,
    "engine": "How stages are run: docker or local (else EDGEMILL_ENGINE, else the pipeline; else docker where a daemon answers).",
    "set": "STAGE.PARAM=VALUE instead of what the pipeline says; may be given several times.",
}
BUILD_HELP = {**PIPELINE_HELP, "dry-run": "Only say what would run.", "verify": "Read every byte of sources and artifacts again."}


def run(call: Callable[[], object]) -> None:
    """Call it, tell its errors, and end with its exit status."""
    status = run_guarded(call)
    if status:
        sys.exit(status)


def request_of(pipeline: str, engine: str = "", workspace: str = "", settings: Sequence[str] | None = None) -> Request:
    """What the common arguments ask for."""
    return Request(pipeline, engine or None, workspace or None, tuple(settings or ()))


def build_task(name: str, help_text: str, *targets: str) -> Any:
    """A task that builds the part of a pipeline that makes `targets`; all of it for none."""

    def body(
        _c: Context,
        pipeline: str = "demo",
        engine: str = "",
        workspace: str = "",
        set: Any = None,
        dry_run: bool = False,
        verify: bool = False,
    ) -> None:
        run(lambda: commands.build(request_of(pipeline, engine, workspace, set), targets, dry_run=dry_run, verify=verify))

    body.__doc__ = help_text
    return task(body, name=name, iterable=["set"], help=BUILD_HELP)
