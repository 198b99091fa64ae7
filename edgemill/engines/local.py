"""The local engine: a virtual environment for each image, a process for each stage. It cannot isolate, and says so."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from edgemill.engines import environments
from edgemill.engines.process import StopRequests, supervise
from edgemill.engines.seam import Job, Outcome, Say
from edgemill.images import Image

WORK_VARIABLE = "EDGEMILL_WORK"  # marks the processes of a job, so that those of a dead run can be found
SWEEP_SECONDS = 5.0


class LocalEngine:
    """Runs stages as processes of this machine."""

    name = "local"
    isolation = (
        "stages are not isolated from this machine: they can read its files and reach its network "
        "(credentials and proxies are hidden from them)"
    )

    def __init__(self, stops: StopRequests | None = None) -> None:
        self._stops = stops or StopRequests()

    def lacks(self, image: Image, tools: Sequence[str]) -> str | None:
        """The first tool that is not on PATH."""
        for tool in tools:
            if shutil.which(tool) is None:
                return f"{tool} {image.tools.get(tool, '')} is not on this machine's PATH, and the local engine cannot install it".replace(
                    "  ", " "
                )
        return None

    def prepare(self, image: Image, say: Say) -> None:
        """Make the image's environment if it is not there."""
        environments.make(image, say, self._stops)

    def run(self, job: Job, on_output: Callable[[bytes], None]) -> Outcome:
        """Run the stage's program with the image's Python."""
        home = job.work / "home"
        home.mkdir(exist_ok=True)
        folder = environments.environment_path(job.image)
        env = environments.stage_environment(folder, job.image)
        env["PATH"] += "".join(os.pathsep + str(Path(found).parent) for tool in job.contract.tools if (found := shutil.which(tool)))
        env |= {"HOME": str(home), "TMPDIR": str(home), "PYTHONPATH": str(job.source), WORK_VARIABLE: str(job.work)}
        command = [str(folder / "bin" / "python"), str(job.program), str(job.task)]
        try:
            with environments.in_use(job.image, self._stops):
                return supervise(
                    command,
                    env=env,
                    cwd=home,
                    on_output=on_output,
                    timeout=job.timeout,
                    stops=self._stops,
                    keep_open=() if job.lock is None else (job.lock,),
                )
        finally:
            self.sweep(job.work)  # what left the job's session must not go on writing
            shutil.rmtree(home, ignore_errors=True)

    def sweep(self, work: Path) -> None:
        """Kill the processes that carry the work folder's mark (Linux; elsewhere their lock keeps them away)."""
        deadline = time.monotonic() + SWEEP_SECONDS
        while (left := _marked(f"{WORK_VARIABLE}={work}")) and time.monotonic() < deadline:
            for process in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(process, signal.SIGKILL)
            time.sleep(0.05)


def _marked(mark: str) -> list[int]:
    """Processes of this user whose environment holds the variable, zombies left out."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found
