"""Which engine runs the stages, and why."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgemill.documents import unknown_name
from edgemill.engines.daemon import find_daemon
from edgemill.engines.local import LocalEngine
from edgemill.engines.process import StopRequests
from edgemill.engines.seam import Engine

VARIABLE = "EDGEMILL_ENGINE"
ENGINE = "engine"  # the file of a work folder that names the engine that works on it


def _docker(stops: StopRequests) -> Engine:
    from edgemill.engines.docker_engine import DockerEngine

    return DockerEngine(stops)


ENGINES: Mapping[str, Callable[[StopRequests], Engine]] = {"local": LocalEngine, "docker": _docker}


@dataclass(frozen=True)
class Choice:
    """An engine's name, and why it was chosen."""

    name: str
    why: str


def decide(named: str | None, by_pipeline: str | None) -> Choice:
    """The engine named on the command line, in EDGEMILL_ENGINE, in the pipeline; else Docker where a daemon answers, else the local one.

    Raises:
        RequestError: there is no engine of that name.
    """
    for name, where in ((named, "--engine"), (os.environ.get(VARIABLE), VARIABLE), (by_pipeline, "the pipeline's `engine`")):
        if name:
            if name not in ENGINES:
                raise unknown_name("engine", name, ENGINES, where)
            return Choice(name, f"{where} says so")
    daemon = find_daemon()
    if daemon.problem is None:
        return Choice("docker", f"a Docker daemon answers at {daemon.address} ({daemon.found})")
    return Choice("local", f"no Docker daemon answers: {daemon.address} ({daemon.found}): {daemon.problem}")


def choose_engine(named: str | None, by_pipeline: str | None, stops: StopRequests) -> Engine:
    """The engine that `decide` decides for. Raises RequestError."""
    return ENGINES[decide(named, by_pipeline).name](stops)


def sweep_all(work: Path, engine: Engine) -> None:
    """End what a dead run left running on a work folder, be it of this engine or of another one."""
    engine.sweep(work)
    try:
        other = (work / ENGINE).read_text(encoding="ascii")
    except (OSError, ValueError):
        return
    if other != engine.name and other in ENGINES:
        ENGINES[other](StopRequests()).sweep(work)
