"""Child processes: argument lists, live output, time limits, and a staged stop of the whole process tree."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

from edgemill.engines.seam import Ending, Outcome
from edgemill.errors import StoppedError

POLL_SECONDS = 0.1
PATIENCE_SECONDS = ((signal.SIGINT, 15.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))
DRAIN_SECONDS = 1.0
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class StopRequests:
    """Counts Ctrl-C and SIGTERM while a build runs: once asks nicely, twice kills."""

    def __init__(self) -> None:
        self.count = 0
        self.supervising = False

    def _handle(self, signum: int, _frame: FrameType | None) -> None:
        self.count += 1
        if self.count == 1:  # not `print`, which may be interrupted by this very signal
            with contextlib.suppress(OSError):
                os.write(2, b"\nstopping; Ctrl-C once more kills what runs\n")
        if self.count > 1 and not self.supervising:
            raise StoppedError("stopped", found=signal.Signals(signum).name)

    @contextlib.contextmanager
    def caught(self) -> Iterator[None]:
        """Catch the signals for the length of a `with` block."""
        before = {signum: signal.signal(signum, self._handle) for signum in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)

    def check(self) -> None:
        """Raise StoppedError if a stop was asked for."""
        if self.count:
            raise StoppedError("stopped", remedy="the same command goes on from here")


class StagedStop:
    """Which signal a job is due, once its time is up or a stop is asked for: each more pressing than the one before.

    `deadline` is a value of time.monotonic().
    """

    def __init__(self, deadline: float, stops: StopRequests) -> None:
        self._deadline = deadline
        self._stops = stops
        self._stage = 0
        self._next = deadline
        self.ending = Ending.EXITED

    def due(self) -> signal.Signals | None:
        """The signal to send now, if any; `ending` says why."""
        now, last = time.monotonic(), len(PATIENCE_SECONDS) - 1
        if self.ending is Ending.EXITED and (self._stops.count or now >= self._deadline):
            self.ending = Ending.STOPPED if self._stops.count else Ending.TIMEOUT
            self._next = now
        if self._stops.count > 1:
            self._stage = last
        if self.ending is Ending.EXITED or (now < self._next and self._stops.count <= 1):
            return None
        signum, patience = PATIENCE_SECONDS[min(self._stage, last)]
        self._stage, self._next = self._stage + 1, now + patience
        return signum


def supervise(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    on_output: Callable[[bytes], None],
    timeout: float,
    stops: StopRequests,
    keep_open: Sequence[int] = (),
) -> Outcome:
    """Run a command in a session of its own until it ends, its time is up, or a stop is asked for.

    Standard output and error go to `on_output`, in the order in which they were written. Whatever the command leaves running in its
    session is killed. On Linux the command dies with this process.

    Raises:
        OSError: the command cannot be started.
    """
    begin = time.monotonic()
    process = subprocess.Popen(
        command,
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=tuple(keep_open),
        preexec_fn=functools.partial(_die_with, os.getpid()) if _libc is not None else None,  # noqa: PLW1509  this program has one thread
    )
    stops.supervising = True
    try:
        ending = _watch(process, on_output, begin + timeout, stops)
    finally:
        _signal_group(process, signal.SIGKILL)
        process.wait()
        stops.supervising = False
        if process.stdout is not None:
            process.stdout.close()
    code = process.returncode
    if code < 0:
        code = 128 - code
        ending = Ending.KILLED if ending is Ending.EXITED else ending
    return Outcome(code, ending, list(command), time.monotonic() - begin)


def _die_with(parent: int) -> None:
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before it could be watched
            os._exit(1)


def _watch(process: subprocess.Popen[bytes], on_output: Callable[[bytes], None], deadline: float, stops: StopRequests) -> Ending:
    if process.stdout is None:
        raise ValueError("the process has no pipe for its output")
    pipe = process.stdout.fileno()
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)

        def pump(seconds: float) -> bool:
            """Hand on output that comes within `seconds`; False at its end."""
            if not selector.select(seconds):
                return True
            block = os.read(pipe, 1 << 16)
            on_output(block) if block else selector.unregister(pipe)
            return bool(block)

        is_open = True
        staged = StagedStop(deadline, stops)
        while process.poll() is None:
            if is_open:
                is_open = pump(POLL_SECONDS)
            else:
                time.sleep(POLL_SECONDS)
            signum = staged.due()
            if signum is not None:
                _signal_group(process, signum)
        drained = time.monotonic() + DRAIN_SECONDS
        while is_open and time.monotonic() < drained and selector.select(0):
            is_open = pump(0)
    return staged.ending


def _signal_group(process: subprocess.Popen[bytes], signum: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signum)
