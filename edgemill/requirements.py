"""Hashed lists of requirements: `docker/locks/NAME.lock`, `requirements.lock`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class Pin:
    """A line of a hashed list: what it asks for, and the wheels that serve it."""

    requirement: Requirement
    sha256: frozenset[str]

    @property
    def version(self) -> str:
        """The exact version that it asks for."""
        (only,) = self.requirement.specifier
        return only.version


def pins(lock: Path) -> list[Pin]:
    """The lines of a hashed list of requirements."""
    text = lock.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return [Pin(Requirement(line.partition("--hash")[0].strip()), frozenset(_HASH.findall(line))) for line in lines]
