"""The plan: which steps are published, which must run, and which cannot, without running anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from edgemill.engines.seam import Engine
from edgemill.errors import DamagedArtifactError
from edgemill.keys import Inputs, KeyMaker
from edgemill.pipelines import Pipeline, Step
from edgemill.workspace import Artifact, Workspace


class State(str, Enum):
    """Where a step stands."""

    PUBLISHED = "published"  # its artifact is there
    TO_RUN = "to run"  # its key is known and not published
    DAMAGED = "damaged"  # published, but not as it was; it will be made again
    WAITING = "waiting"  # its key is known once the steps before it are published
    UNAVAILABLE = "unavailable"  # the image lacks a tool, or an input will not come
    RAN = "ran"  # published by this run
    FAILED = "failed"  # failed in this run


@dataclass(frozen=True)
class StepStatus:
    """A step's state; `reason` says why it is unavailable, damaged or failed."""

    step: Step
    state: State
    key: str | None = None
    artifact: Artifact | None = None
    reason: str | None = None
    inputs: Inputs = field(default_factory=dict)

    @property
    def absent(self) -> bool:
        """Whether nothing will come from this step in this run."""
        return self.state in (State.UNAVAILABLE, State.FAILED)


Statuses = Mapping[str, StepStatus]
NOTHING_GIVEN: Mapping[str, Artifact] = MappingProxyType({})


def resolve(
    step: Step,
    before: Statuses,
    workspace: Workspace,
    keys: KeyMaker,
    engine: Engine,
    *,
    verify: bool = False,
    given: Mapping[str, Artifact] = NOTHING_GIVEN,
) -> StepStatus:
    """The status of one step, given those of the steps that feed it. Raises RequestError where a source cannot be read.

    `given` are artifacts that are there already, and that a step may name like a step that feeds it.
    """
    inputs: dict[str, list[tuple[str, Artifact]]] = {}
    waiting = False
    for name, rule in step.contract.inputs.items():
        inputs[name] = []
        missing = None
        for feeder in step.inputs.get(name, ()):
            if feeder in given:
                inputs[name].append((feeder, given[feeder]))
                continue
            status = before[feeder]
            if status.artifact is not None and status.state in (State.PUBLISHED, State.RAN):
                inputs[name].append((feeder, status.artifact))
            elif status.absent:
                missing = feeder
            else:
                waiting = True
        if missing is not None and not rule.optional and not inputs[name] and not waiting:
            return StepStatus(
                step, State.UNAVAILABLE, reason=f"its input {name!r} comes from {missing}, which is {before[missing].state.value}"
            )
    if waiting:
        lacking = engine.lacks(step.image, step.contract.tools)
        return StepStatus(step, State.WAITING) if lacking is None else StepStatus(step, State.UNAVAILABLE, reason=lacking)
    key = keys.key(step, inputs)
    try:
        artifact = workspace.find(step.contract.name, key, verify=verify)
    except DamagedArtifactError as damage:
        return StepStatus(step, State.DAMAGED, key, reason=f"{damage.where}: {damage.found}", inputs=inputs)
    if artifact is not None:
        return StepStatus(step, State.PUBLISHED, key, artifact, inputs=inputs)
    lacking = engine.lacks(step.image, step.contract.tools)
    if lacking is not None:
        return StepStatus(step, State.UNAVAILABLE, key, reason=lacking, inputs=inputs)
    return StepStatus(step, State.TO_RUN, key, inputs=inputs)


def make_plan(
    pipeline: Pipeline,
    workspace: Workspace,
    engine: Engine,
    keys: KeyMaker | None = None,
    *,
    verify: bool = False,
    given: Mapping[str, Artifact] = NOTHING_GIVEN,
) -> dict[str, StepStatus]:
    """The status of every step, in order; `given` as in `resolve`."""
    keys = keys or KeyMaker(workspace.stat_index(verify=verify))
    statuses: dict[str, StepStatus] = {}
    for name, step in pipeline.steps.items():
        statuses[name] = resolve(step, statuses, workspace, keys, engine, verify=verify, given=given)
    return statuses
