"""A child process with a hard limit: all that it starts dies with it, and its output cannot fill the memory.

Linux only (it reads /proc), as is the compiler.
"""

import contextlib
import os
import selectors
import signal
import subprocess
import time
from pathlib import Path

# Of a flood, the beginning and the end are kept: the version and the first error, and how it ended.
HEAD_BYTES = 64 * 1024
TAIL_BYTES = 192 * 1024
BLOCK = 64 * 1024


class Finished:
    """How a process ended: `exit_code` (minus the signal if one killed it), `output` (both streams, text), `seconds`, `timed_out`."""

    def __init__(self, exit_code, output, seconds, timed_out):
        self.exit_code = exit_code
        self.output = output
        self.seconds = seconds
        self.timed_out = timed_out


class _Output:
    """The first HEAD_BYTES and the last TAIL_BYTES of what is added."""

    def __init__(self):
        self._head = b""
        self._tail = b""
        self._dropped = 0

    def add(self, block):
        room = HEAD_BYTES - len(self._head)
        self._head += block[:room]
        tail = self._tail + block[room:] if room < len(block) else self._tail
        self._dropped += max(0, len(tail) - TAIL_BYTES)
        self._tail = tail[-TAIL_BYTES:]

    def text(self):
        gap = b"\n[... %d bytes left out ...]\n" % self._dropped if self._dropped else b""
        return (self._head + gap + self._tail).decode("utf-8", "replace")


def run_limited(command, seconds, cwd=None):
    """Run `command` (a list) for at most `seconds`; no process that it started is left, however this ends.

    The process gets a session of its own and no standard input.
    """
    started = time.monotonic()
    deadline = started + seconds
    output = _Output()
    process = subprocess.Popen(
        command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0, start_new_session=True
    )
    try:
        timed_out = not _read(process, output, deadline)
    finally:
        _kill_tree(process.pid)
        process.wait()
    with process.stdout:
        # Every writer is dead: what the pipe still holds is finite.
        for block in iter(lambda: process.stdout.read(BLOCK) or b"", b""):
            output.add(block)
    return Finished(process.returncode, output.text(), time.monotonic() - started, timed_out)


def _read(process, output, deadline):
    """Collect output until the process ends; False if `deadline` passes first.

    The end of the process counts, not that of the pipe: a forgotten grandchild may hold the pipe open for ever.
    """
    os.set_blocking(process.stdout.fileno(), False)
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while time.monotonic() < deadline:
            # Not reaped here (WNOWAIT): its number must stay its own until the whole tree is dead.
            if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                return True
            if selector.get_map() and not selector.select(0.05):
                continue
            block = process.stdout.read(BLOCK)
            if block:
                output.add(block)
            elif selector.get_map():
                selector.unregister(process.stdout)
            else:
                time.sleep(0.01)
    return False


def _kill_tree(root):
    """Kill `root` and all below it, again until nothing is left: a victim may just have started another."""
    pids = {root, *_living_below(root)}
    while pids:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        pids = _living_below(root)


def _living_below(root):
    """Processes below `root`, or of its session: a child that outlives its parent keeps the session. Zombies are left out."""
    children, queue, living = {}, [root], set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # pid (comm) state ppid pgrp session …; comm may hold spaces and brackets.
            state, parent, _, session = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[:4]
        except (FileNotFoundError, ProcessLookupError):
            continue
        pid = int(entry.name)
        children.setdefault(int(parent), []).append(pid)
        if state != "Z":
            living.add(pid)
        if int(session) == root:
            queue.append(pid)
    below = set()
    while queue:
        pid = queue.pop()
        if pid not in below:
            below.add(pid)
            queue.extend(children.get(pid, []))
    return (below & living) - {root}
