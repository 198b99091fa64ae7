"""Keys: what decides whether a stage must run. Never a path, a time, a tag or a host name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from edgemill import SCHEMA
from edgemill.contracts import Contract
from edgemill.hashing import StatIndex, digest_of
from edgemill.pipelines import Step
from edgemill.workspace import Artifact

# What feeds each input, in the pipeline's order: the step's name and its artifact; an absent optional one is left out.
Inputs = Mapping[str, Sequence[tuple[str, Artifact]]]


class KeyMaker:
    """Makes keys within one command: a stage's source and a path's contents are read once."""

    def __init__(self, index: StatIndex) -> None:
        self._index = index
        self._sources: dict[Path, str] = {}

    def source(self, contract: Contract) -> str:
        """The digest of a stage's source."""
        if contract.folder not in self._sources:
            self._sources[contract.folder] = contract.source()
        return self._sources[contract.folder]

    def params(self, step: Step) -> dict[str, object]:
        """Normalized parameters: a `format: path` one counts with the digest of its contents, a list of such with each one's, in order."""
        found: dict[str, list[dict[str, str]]] = {}
        for name, _, path in step.sources():
            found.setdefault(name, []).append({"sha256": self._index.digest(path)})
        digests = {name: values if isinstance(step.params[name], list) else values[0] for name, values in found.items()}
        return {**step.params, **digests}

    def key(self, step: Step, inputs: Inputs) -> str:
        """sha256 over schema, contract, source, image, output kind, parameters and the inputs' digests.

        The feeders' names count where the stage sees several and tells them apart.
        """
        many = {name for name, rule in step.contract.inputs.items() if rule.many}
        return digest_of(
            {
                "schema": SCHEMA,
                "contract": step.contract.meaning(),
                "source": self.source(step.contract),
                "image": step.image.identity,
                "kind": step.kind.meaning(),
                "params": self.params(step),
                "inputs": {
                    name: [[feeder, artifact.digest] if name in many else artifact.digest for feeder, artifact in bound]
                    for name, bound in inputs.items()
                },
            }
        )
