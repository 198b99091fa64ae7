"""Locks between processes: who runs, who builds a key, who makes an environment. Kept by the kernel, so a kill frees them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

POLL_SECONDS = 0.2


def _just_wait(_holder: str) -> None:
    """Nothing else to do while waiting."""


class Lock:
    """An advisory lock (flock) on a file. Its text says who holds it.

    `fileno` can be handed to a child process: the lock is then held until both have ended.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    def try_acquire(self, holder: str = "", *, shared: bool = False) -> bool:
        """Take the lock if nobody else has it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        if holder:
            try:
                os.ftruncate(handle, 0)
                os.pwrite(handle, holder.encode(), 0)
            except OSError:  # a full disk: unsigned, the lock would pass for a dead run's
                os.close(handle)
                raise
        self._handle = handle
        return True

    def acquire(self, holder: str = "", while_waiting: Callable[[str], None] = _just_wait) -> None:
        """Wait for the lock; `while_waiting` is called with the text of its holder every fifth of a second."""
        while not self.try_acquire(holder):
            while_waiting(self.holder())
            time.sleep(POLL_SECONDS)

    def holder(self) -> str:
        """What the last holder wrote."""
        with contextlib.suppress(OSError):
            return self.path.read_text(encoding="utf-8", errors="replace")
        return ""

    def fileno(self) -> int:
        """The held lock's file descriptor."""
        if self._handle is None:
            raise ValueError("the lock is not held")
        return self._handle

    def release(self) -> None:
        """Close this process's hold; a child that was given the descriptor keeps its own."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


@contextlib.contextmanager
def held(path: Path, holder: str = "", while_waiting: Callable[[str], None] = _just_wait) -> Iterator[Lock]:
    """Hold a lock for the length of a `with` block."""
    lock = Lock(path)
    lock.acquire(holder, while_waiting)
    try:
        yield lock
    finally:
        lock.release()


def holders(path: Path) -> list[int]:
    """The processes that have a lock's file open, as far as this user may see (Linux; none elsewhere)."""
    found = []
    with contextlib.suppress(OSError):
        wanted = path.stat()
        for entry in Path("/proc").glob("[0-9]*/fd/*"):
            with contextlib.suppress(OSError):
                status = entry.stat()
                if (status.st_dev, status.st_ino) == (wanted.st_dev, wanted.st_ino) and int(entry.parts[2]) != os.getpid():
                    found.append(int(entry.parts[2]))
    return sorted(set(found))


def is_held(path: Path) -> bool:
    """Whether anybody holds the lock at this moment."""
    if not path.exists():
        return False
    lock = Lock(path)
    if lock.try_acquire():
        lock.release()
        return False
    return True
