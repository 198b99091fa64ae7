"""What went into an artifact: the entries that its manifest keeps of it, and the artifacts themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edgemill.errors import DamagedArtifactError
from edgemill.workspace import Artifact, Workspace

Entry = dict[str, Any]


def entries(manifest: Mapping[str, Any]) -> dict[str, Entry]:
    """{key: what decided the artifact of that key} of an artifact and of all that went into it; `inputs` name keys.

    Not by the step's name: an artifact can be shared by pipelines that call their steps otherwise. Manifests were once written
    by name; those are read as well.
    """
    told: Mapping[str, Entry] = manifest["lineage"]
    keys = {name: entry["key"] for name, entry in told.items()}
    return {
        entry["key"]: {
            "name": name,
            **entry,
            "inputs": {into: [keys.get(feeder, feeder) for feeder in feeders] for into, feeders in entry["inputs"].items()},
        }
        for name, entry in told.items()
    }


@dataclass(frozen=True)
class Origin:
    """An artifact that went into another: its stage and key, and the artifact, or None where the workspace no longer has it whole."""

    stage: str
    key: str
    artifact: Artifact | None

    @property
    def gone(self) -> str:
        """That it is not there, as the beginning of a sentence."""
        return f"the artifact {self.stage}/{self.key[:16]} is no longer in the workspace"


def trace(workspace: Workspace, artifact: Artifact) -> list[Origin]:
    """An artifact and all that went into it, each once and before what was made of it; the artifact itself is the last."""
    found: dict[str, Origin] = {}
    _trace(workspace, Origin(str(artifact.manifest["stage"]), artifact.key, artifact), found)
    return list(found.values())


def _trace(workspace: Workspace, origin: Origin, found: dict[str, Origin]) -> None:
    if origin.key in found:
        return
    if origin.artifact is not None:
        for stage, key in inputs(origin.artifact.manifest):
            _trace(workspace, Origin(stage, key, _find(workspace, stage, key)), found)
    found[origin.key] = origin


def inputs(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The stage and the key of each artifact that went straight into this one, by the inputs' names."""
    for _, bound in sorted(manifest["inputs"].items()):
        for each in bound if isinstance(bound, list) else [bound] if bound else []:
            yield str(each["stage"]), str(each["key"])


def _find(workspace: Workspace, stage: str, key: str) -> Artifact | None:
    try:
        return workspace.find(stage, key)
    except DamagedArtifactError:
        return None
