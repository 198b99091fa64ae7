"""Whom a container's files belong to, and whose containers are whose."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

NOBODY = (65532, 65532)  # whom stages run as where this user is root


def unprivileged() -> tuple[int, int]:
    """The uid and gid of this user; root's stages run as nobody in particular."""
    return NOBODY if os.getuid() == 0 else (os.getuid(), os.getgid())


@contextlib.contextmanager
def lent(work: Path, user: tuple[int, int]) -> Iterator[None]:
    """Where this user is root and the stages are not: give them the work folder, and take it back with all that is in it."""
    if os.getuid() != 0 or user[0] == 0:
        yield
        return
    _give(work, user)
    try:
        yield
    finally:
        _give(work, (os.getuid(), os.getgid()))


def _give(folder: Path, user: tuple[int, int]) -> None:
    os.chown(folder, *user)
    for here, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.chown(os.path.join(here, name), *user, follow_symlinks=False)


def this_process() -> str:
    """A name of this process that no other one has, now or later."""
    return f"{_boot()}/{os.getpid()}/{_started(os.getpid())}"


def is_alive(process: str, *, running: bool) -> bool:
    """Whether the process of this name runs; one of another boot or machine counts as alive while its container is `running`."""
    boot, pid, started = process.split("/")
    return running if boot != _boot() else _started(int(pid)) == started


def _boot() -> str:
    """What tells this boot of this machine from every other."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return "unknown"


def _started(pid: int) -> str | None:
    """When a process started, in clock ticks after boot (field 22 of /proc/PID/stat, proc(5)); None where it has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] == "Z" else fields[19]
