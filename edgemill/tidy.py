"""Giving disk space back: `clean` a pipeline's results, `gc` what nothing uses."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from edgemill.console import Console
from edgemill.errors import RequestError
from edgemill.files import remove
from edgemill.locks import Lock, is_held
from edgemill.runs import EVENTS, is_running, records
from edgemill.workspace import Workspace

RUNS_KEPT = 20


def clean(workspace: Workspace, pipeline: str, console: Console) -> int:
    """Remove a pipeline's links, its unfinished work, and the artifacts of its builds that no other pipeline links to.

    Returns:
        The bytes given back.

    Raises:
        RequestError: a build is running.
    """
    with _alone(workspace):
        own = workspace.pipelines / pipeline
        others = _linked(link for link in workspace.pipelines.glob("*/*") if link.parent != own)
        ours, keys = _linked(own.glob("*")), _keys(workspace, pipeline)
        made = [folder for folder in _folders(workspace.artifacts) if _real(folder) in ours or folder.name in keys]
        unfinished = [folder for folder in _folders(workspace.work) if folder.name in keys]
        remove(own)
        return _remove(workspace, [folder for folder in made if _real(folder) not in others] + unfinished, console)


def gc(workspace: Workspace, console: Console, *, runs_kept: int = RUNS_KEPT, dry_run: bool = False) -> int:
    """Remove artifacts that no pipeline's links lead to, unfinished work, and all but the newest runs.

    Returns:
        The bytes given back.

    Raises:
        RequestError: a build is running.
    """
    with _alone(workspace):
        freed = _remove(workspace, list(_unused(workspace, runs_kept)), console, dry_run=dry_run)
        if not dry_run:
            for lock in workspace.work.glob("*/*.lock"):
                if not is_held(lock):
                    lock.unlink()
            for stray in (path for pattern in ("pipelines/*/.*", "index/.*", "runs/*/.*") for path in workspace.root.glob(pattern)):
                stray.unlink()  # a kill between writing a file or link and moving it to its place
        return freed


def _remove(workspace: Workspace, folders: Iterable[Path], console: Console, *, dry_run: bool = False) -> int:
    freed = 0
    for folder in folders:
        size = sum(path.lstat().st_size for path in folder.rglob("*"))
        freed += size
        console.say(f"  {'would remove' if dry_run else 'removing'} {folder.relative_to(workspace.root)} ({size / 1e6:.1f} MB)")
        if not dry_run:
            # An artifact goes in one rename, so that a kill leaves no half of one.
            remove(workspace.set_aside(folder) if workspace.artifacts in folder.parents else folder)
    console.say(f"{freed / 1e6:.1f} MB {'to give' if dry_run else 'given'} back")
    return freed


def _unused(workspace: Workspace, runs_kept: int) -> Iterator[Path]:
    linked = _linked(workspace.pipelines.glob("*/*"))
    yield from (folder for folder in _folders(workspace.artifacts) if _real(folder) not in linked)
    yield from _folders(workspace.work)
    runs = sorted((folder for folder in workspace.runs.glob("*") if folder.is_dir()), reverse=True)
    yield from [folder for folder in runs if not is_running(workspace.runs, folder.name)][runs_kept:]


def _folders(place: Path) -> list[Path]:
    """The folders of all stages' keys in `artifacts` or `work`."""
    return sorted(folder for folder in place.glob("*/*") if folder.is_dir())


def _real(folder: Path) -> str:
    return os.path.realpath(folder)


def _linked(links: Iterable[Path]) -> set[str]:
    """The folders that links lead to."""
    return {_real(link) for link in links if link.is_symlink() and not link.name.startswith(".")}


def _keys(workspace: Workspace, pipeline: str) -> set[str]:
    """The keys that the recorded builds of a pipeline needed."""
    keys = set()
    for folder, _ in records(workspace.runs, pipeline):
        with contextlib.suppress(OSError):
            for line in (folder / EVENTS).read_text(encoding="utf-8").splitlines():
                with contextlib.suppress(ValueError, AttributeError):
                    keys.add(str(json.loads(line).get("key")))
    return {key for key in keys if len(key) == 64 and key.isalnum()}


@contextlib.contextmanager
def _alone(workspace: Workspace) -> Iterator[None]:
    """Keep builds away for the length of a `with` block. Raises RequestError where one is running."""
    if not workspace.root.is_dir():
        raise RequestError("there is no workspace", where=str(workspace.root))
    guard = Lock(workspace.root / ".lock")
    if not guard.try_acquire():
        raise RequestError("a build is running in this workspace", where=str(workspace.root), remedy="wait for it, or stop it")
    try:
        yield
    finally:
        guard.release()


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


def gc_images(console: Console, *, dry_run: bool = False) -> None:
    """Remove container images that are recorded and no longer declared so, where a daemon answers. Raises RequestError."""
    from edgemill.engines.container_images import outdated, remove_image
    from edgemill.engines.daemon import find_daemon
    from edgemill.images import load_images

    stale = list(outdated(load_images().values()))
    if not stale or find_daemon().problem is not None:
        return
    for record, built in stale:
        if dry_run:
            console.say(f"  would remove the image {record.stem} ({built.id[:19]})")
        else:
            console.say(f"  {'removed' if remove_image(record, built) else 'kept, because it is in use:'} the image {record.stem}")
