"""Killing the host at a chosen call that changes the file system: audit events of Python, and fsync, which has none.

Audit events come before what they tell of (https://docs.python.org/3/library/audit_events.html):
a kill at call n leaves the effects of calls 1 to n-1.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

CHANGES = frozenset({"os.rename", "os.chmod", "os.mkdir", "os.rmdir", "os.remove", "os.symlink", "os.link", "os.truncate", "os.utime"})


class Killer:
    """Counts the calls of this process that change the file system below `root`; at the n-th, kills the process with SIGKILL.

    It cannot be taken back: use it in a forked child. `log` gets one line for each call.
    """

    def __init__(self, root: Path, at: int, log: Path) -> None:
        self._root = str(root)
        self._at = at
        self._count = 0
        self._armed = False
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        real = os.fsync

        def fsync(handle: int) -> None:
            self._step("fsync", os.readlink(f"/proc/self/fd/{handle}"))
            real(handle)

        os.fsync = fsync
        sys.addaudithook(self._hook)

    def arm(self) -> None:
        """Begin to count."""
        self._armed = True

    def _hook(self, event: str, args: tuple) -> None:
        if event in CHANGES or (event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)):
            self._step(event, args[0])

    def _step(self, event: str, path: object) -> None:
        if not self._armed or not isinstance(path, str | bytes | os.PathLike) or not os.fsdecode(path).startswith(self._root):
            return
        self._count += 1
        os.write(self._log, f"{event} {os.path.relpath(os.fsdecode(path), self._root)}\n".encode())
        if self._count == self._at:
            os.kill(os.getpid(), signal.SIGKILL)


class KillingEngine:
    """A local engine that lets something happen before and after a stage runs."""

    def __init__(self, engine: object, *, before: Callable[[], object] | None = None, after: Callable[[], object] | None = None) -> None:
        self._engine = engine
        self._before = before
        self._after = after
        self.name = engine.name
        self.isolation = engine.isolation
        self.lacks, self.prepare, self.sweep = engine.lacks, engine.prepare, engine.sweep

    def run(self, job: object, on_output: object) -> object:
        if self._before is not None:
            self._before()
        outcome = self._engine.run(job, on_output)
        if self._after is not None:
            self._after()
        return outcome


def kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
