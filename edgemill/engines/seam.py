"""The engine seam: realise an image, run a job in it, report how it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Protocol

from edgemill.contracts import Contract
from edgemill.images import Image

Say = Callable[[str], None]


class Ending(str, Enum):
    """How a job ended."""

    EXITED = "exited"
    KILLED = "killed by a signal that this run did not send"
    OUT_OF_MEMORY = "out of memory"
    LOST = "the engine was lost"
    TIMEOUT = "timeout"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Job:
    """A stage to run. `task` is its task.json inside `work`, the only folder that it may write; `reads` are its inputs.

    `lock` is the descriptor of the key's lock: whatever the job leaves running keeps it held.
    """

    contract: Contract
    image: Image
    work: Path
    task: Path
    reads: Sequence[Path]
    lock: int | None = None

    @property
    def source(self) -> Path:
        """The folder that holds copies of the stage's folder and of the shared ones; its programs import from there."""
        return self.work / "source"

    @property
    def program(self) -> Path:
        """The program to run."""
        return self.source / self.contract.name / self.contract.program.name

    @property
    def timeout(self) -> float:
        """Seconds after which the job is stopped."""
        return self.contract.timeout


@dataclass(frozen=True)
class Outcome:
    """How a job ended: its exit status (128 + signal where a signal ended it), its command, and the seconds that it took.

    `note`: what the engine has to say of it, one sentence without a full stop. `realised`: what the engine ran it in, for the manifest.
    """

    exit_code: int
    ending: Ending
    command: Sequence[str]
    seconds: float
    note: str | None = None
    realised: Mapping[str, str | None] = field(default_factory=dict)


class Engine(Protocol):
    """A way to run stages."""

    name: str
    isolation: str

    def lacks(self, image: Image, tools: Sequence[str]) -> str | None:
        """Why the image cannot serve a stage that needs `tools`, or None. Quick: asked in every plan."""
        ...

    def prepare(self, image: Image, say: Say) -> None:
        """Realise the image if it is not there yet. Raises ImageError."""
        ...

    def run(self, job: Job, on_output: Callable[[bytes], None]) -> Outcome:
        """Run a job to its end, handing on its output as it comes. Raises nothing for a job that fails."""
        ...

    def sweep(self, work: Path) -> None:
        """End what a dead run left running on a work folder."""
        ...
