"""What a person sees while a build runs: one line for each step, and one live line for the step that runs."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import sys
import time
from collections.abc import Mapping
from typing import Any, TextIO

from edgemill.plan import State, StepStatus

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
PLAIN_SECONDS = 20.0  # between progress lines where there is no terminal


class Console:
    """Writes to standard error, so that standard output stays for what a command answers."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._shown = 0
        self._last_plain = 0.0
        self._step = ""
        self._began = 0.0

    def say(self, text: str) -> None:
        """One line that stays."""
        self._clear()
        print(printable(text), file=self._stream, flush=True)

    def warn(self, text: str) -> None:
        """One line that stays, marked as a warning."""
        self.say(f"  warning: {text}")

    def start(self, step: str, width: int) -> None:
        """A step begins to run."""
        self._step, self._began, self._last_plain = step.ljust(width), time.monotonic(), time.monotonic()
        if self._live:
            self._show(f"  {self._step}  running")
        else:
            self.say(f"  {self._step}  running")

    def progress(self, event: Mapping[str, Any]) -> None:
        """A step's progress event: one live line in a terminal; else a plain one now and then."""
        line = f"  {self._step}  {describe_progress(event, time.monotonic() - self._began)}"
        if self._live:
            self._show(line)
        elif time.monotonic() - self._last_plain >= PLAIN_SECONDS:
            self._last_plain = time.monotonic()
            self.say(line)

    def finish(self, status: StepStatus, width: int) -> None:
        """A step has its state."""
        self.say(f"  {status.step.name.ljust(width)}  {describe(status)}")

    def _show(self, line: str) -> None:
        line = printable(line)[: max(20, shutil.get_terminal_size().columns - 1)]
        self._stream.write("\r" + line.ljust(self._shown))
        self._stream.flush()
        self._shown = len(line)

    def _clear(self) -> None:
        if self._shown:
            self._stream.write("\r" + " " * self._shown + "\r")
            self._shown = 0


def describe(status: StepStatus) -> str:
    """A status in a line: state, key, seconds, reason."""
    parts = [f"{status.state.value:<11}"]
    if status.key is not None:
        parts.append(status.key[:12])
    if status.artifact is not None:
        parts.append(seconds(status.artifact.seconds).rjust(8))
        metrics = status.artifact.manifest.get("metrics") or {}
        parts.append(", ".join(f"{name} {number(value)}" for name, value in metrics.items()))
    if status.reason:
        parts.append(status.reason)
    if status.state is State.UNAVAILABLE and status.step.optional:
        parts.append("(optional)")
    return "  ".join(parts).rstrip()


def describe_progress(event: Mapping[str, Any], elapsed: float) -> str:
    """`step 120/700  loss 1.2  3.4 steps/s  2 min left`, from what the stage tells."""
    done, total = (_number(event.get(name)) or 0 for name in ("done", "total"))
    told = event.get("values")
    values = dict(told) if isinstance(told, Mapping) else {}
    parts = [f"{event.get('unit', '')} {number(done)}/{number(total)}"]
    left = _number(values.pop("eta_s", None))
    if left is None and done:
        left = elapsed / done * (total - done)
    parts += [f"{name.replace('_per_s', '/s')} {number(value)}" for name, value in values.items()]
    if left is not None and done < total:
        parts.append(f"{seconds(left)} left")
    return "  ".join(parts)


def _number(value: Any) -> float | None:
    """A finite number, or None for whatever else a stage may have sent."""
    return value if isinstance(value, int | float) and math.isfinite(value) else None


def printable(text: str) -> str:
    """Text without what would steer a terminal."""
    return _CONTROL.sub("?", text)


def number(value: Any) -> str:
    """A number with as many digits as a person wants."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def seconds(value: float) -> str:
    """A time span: `0.8 s`, `42 s`, `3 min 05 s`, `2 h 10 min`."""
    if value < 10:
        return f"{value:.1f} s"
    if value < 120:
        return f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


class OutputSplitter:
    """Splits a stage's output into its events and its log.

    Bytes come in as the pipe gives them; lines that begin with the mark are events, everything else goes to the log as it is.
    """

    MARK = b'{"edgemill":'

    def __init__(self, log: Any, on_event: Any) -> None:
        self._log = log
        self._on_event = on_event
        self._rest = b""

    def feed(self, block: bytes) -> None:
        """Take a block of output."""
        *lines, self._rest = (self._rest + block).split(b"\n")
        for line in lines:
            self._line(line + b"\n")
        if len(self._rest) > 1 << 20:  # a line without end
            self._line(self._rest)
            self._rest = b""
        self._log.flush()

    def close(self) -> None:
        """The output has ended."""
        if self._rest:
            self._line(self._rest)
        self._rest = b""

    def _line(self, line: bytes) -> None:
        if line.startswith(self.MARK):
            try:
                event = json.loads(line)
            except (ValueError, RecursionError):
                event = None
            if isinstance(event, dict):
                self._on_event(event)
                return
        self._log.write(line)
