"""Giving disk space back: `clean` a pipeline's results, `gc` what nothing uses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from edgemill.console import Console
from edgemill.errors import RequestError
from edgemill.files import remove
from edgemill.locks import Lock
from edgemill.runs import is_running, records
from edgemill.workspace import Workspace

RUNS_KEPT = 20


def clean(workspace: Workspace, pipeline: str, console: Console) -> None:
    """Remove a pipeline's links, and the artifacts that no other pipeline links to; work of unfinished stages too.

    Raises:
        RequestError: a build is running.
    """
    _check_idle(workspace)
    remove(workspace.pipelines / pipeline)
    gc(workspace, console, runs_kept=RUNS_KEPT)


def gc(workspace: Workspace, console: Console, *, runs_kept: int = RUNS_KEPT, dry_run: bool = False) -> int:
    """Remove artifacts that no pipeline's links lead to, work that nothing resumes, and all but the newest runs.

    Returns:
        The bytes given back.

    Raises:
        RequestError: a build is running.
    """
    _check_idle(workspace)
    guard = Lock(workspace.root / ".lock")
    if not guard.try_acquire():
        raise _busy(workspace)
    try:
        freed = 0
        for folder in _unused(workspace, runs_kept):
            size = sum(path.lstat().st_size for path in folder.rglob("*"))
            freed += size
            console.say(f"  {'would remove' if dry_run else 'removing'} {folder.relative_to(workspace.root)} ({size / 1e6:.1f} MB)")
            if not dry_run:
                remove(folder)
        console.say(f"{freed / 1e6:.1f} MB {'to give' if dry_run else 'given'} back")
        return freed
    finally:
        guard.release()


def _unused(workspace: Workspace, runs_kept: int) -> Iterator[Path]:
    linked = {Path(os.path.realpath(link)) for link in workspace.pipelines.glob("*/*")}
    for artifact in sorted(workspace.artifacts.glob("*/*")):
        if Path(os.path.realpath(artifact)) not in linked:
            yield artifact
    yield from sorted(path for path in workspace.work.glob("*/*") if path.is_dir())
    runs = [folder for folder, fields in records(workspace.runs) if not is_running(workspace.runs, str(fields.get("id")))]
    yield from runs[runs_kept:]


def _check_idle(workspace: Workspace) -> None:
    if not workspace.root.is_dir():
        raise RequestError("there is no workspace", where=str(workspace.root))
    guard = Lock(workspace.root / ".lock")
    if not guard.try_acquire():
        raise _busy(workspace)
    guard.release()


def _busy(workspace: Workspace) -> RequestError:
    return RequestError("a build is running in this workspace", where=str(workspace.root), remedy="wait for it, or stop it")


def gc_environments(console: Console, *, dry_run: bool = False) -> None:
    """Remove environments of images that are no longer declared so. Raises RequestError where the declarations are wrong."""
    from edgemill.engines.environments import environment_path, removable, remove_environment
    from edgemill.images import load_images

    wanted = {environment_path(image).name for image in load_images().values()}
    for folder in removable(wanted):
        if dry_run:
            console.say(f"  would remove the environment {folder.name}")
        else:
            console.say(f"  {'removed' if remove_environment(folder) else 'kept, because it is in use:'} the environment {folder.name}")
