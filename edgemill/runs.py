"""Run records: one folder for each build, with its events, its state and each stage's log."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edgemill import SCHEMA
from edgemill.files import write_json
from edgemill.locks import Lock, is_held
from edgemill.plan import StepStatus

RUN = "run.json"
EVENTS = "events.jsonl"
LOCK = "lock"


def now() -> str:
    """The time in UTC, ISO 8601, seconds."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class RunRecord:
    """The record of the run that is going on. Its lock is held as long as its process lives."""

    def __init__(self, runs: Path, pipeline: str, engine: str) -> None:
        # Ids sort by time, also of runs that follow within a second.
        self.id = datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S-%f-") + secrets.token_hex(2)
        self.folder = runs / self.id
        self.folder.mkdir(parents=True)
        self._lock = Lock(self.folder / LOCK)
        self._lock.try_acquire(self.id)
        self._fields: dict[str, Any] = {
            "schema": SCHEMA,
            "id": self.id,
            "pipeline": pipeline,
            "engine": engine,
            "started": now(),
            "state": "running",
            "stages": {},
        }
        self._save()

    def log_path(self, step: str) -> Path:
        """The log of a step's program in this run."""
        return self.folder / f"{step}.log"

    def event(self, event: str, **fields: Any) -> None:
        """Append one event; a full disk must not hide what it tells of."""
        with contextlib.suppress(OSError), (self.folder / EVENTS).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"time": now(), "event": event, **fields}) + "\n")

    def step(self, name: str, status: StepStatus) -> None:
        """Record where a step stands."""
        fields = {
            "state": status.state.value,
            "key": status.key,
            "reason": status.reason,
            "digest": status.artifact and status.artifact.digest,
            "seconds": status.artifact and status.artifact.seconds,
        }
        self._fields["stages"][name] = fields
        self.event("step", name=name, **fields)

    def close(self, state: str, error: str | None = None) -> None:
        """Write how the run ended, and let go of its lock."""
        self._fields |= {"state": state, "ended": now(), "error": error}
        self._save()
        self._lock.release()

    def _save(self) -> None:
        with contextlib.suppress(OSError):
            write_json(self.folder / RUN, self._fields)


def is_running(runs: Path, run_id: str) -> bool:
    """Whether the process of a run still lives."""
    return bool(run_id) and "/" not in run_id and is_held(runs / run_id / LOCK)


def records(runs: Path, pipeline: str | None = None) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Finished and running runs, newest first, with their folder; of one pipeline where one is named."""
    for folder in sorted(runs.glob("*/"), reverse=True):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            fields = json.loads((folder / RUN).read_bytes())
            if pipeline is None or fields["pipeline"] == pipeline:
                yield folder, fields
