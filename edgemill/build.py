"""Building a pipeline: each step is published already, or run, validated and published; a failure ends in one message."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from edgemill.console import Console
from edgemill.engines.choice import sweep_all
from edgemill.engines.process import StopRequests
from edgemill.engines.seam import Engine
from edgemill.errors import DamagedArtifactError, EdgeMillError, ImageError, StageFailedError, StoppedError
from edgemill.keys import KeyMaker
from edgemill.locks import Lock, held, holders
from edgemill.outcome import unwritten
from edgemill.pipelines import Pipeline
from edgemill.plan import State, StepStatus, make_plan, resolve
from edgemill.runs import RunRecord, is_running
from edgemill.step import StepRun
from edgemill.workspace import Artifact, Workspace

REPAIRS = 8  # how often, besides once for each step, one run rebuilds damaged inputs before it gives up


@dataclass
class Build:
    """One build of a pipeline in a workspace with an engine; `given` are artifacts of other builds that its steps may name as inputs."""

    pipeline: Pipeline
    workspace: Workspace
    engine: Engine
    console: Console
    stops: StopRequests
    verify: bool = False
    given: Mapping[str, Artifact] = field(default_factory=dict)

    def run(self) -> dict[str, StepStatus]:
        """Build every step; returns where each stands.

        Raises:
            StageFailedError: a step failed that is not optional, or is unavailable, or the workspace cannot be written.
            StoppedError: the user asked for a stop.
            EdgeMillError: as the step that failed raised it.
        """
        try:
            self.workspace.root.mkdir(parents=True, exist_ok=True)
            in_use = Lock(self.workspace.root / ".lock")
            waited = False
            while not in_use.try_acquire(shared=True):
                if not waited:
                    self.console.say(f"waiting until space is given back in {self.workspace.root} (./mill gc or clean)")
                waited = True
                time.sleep(0.1)
            try:
                return self._run_recorded()
            finally:
                in_use.release()
        except OSError as error:
            raise unwritten(f"the pipeline {self.pipeline.name!r} could not be built", error, self.workspace.root) from error

    def _run_recorded(self) -> dict[str, StepStatus]:
        record = RunRecord(self.workspace.runs, self.pipeline.name, self.engine.name)
        state, message = "failed", None
        try:
            with self.stops.caught():
                statuses = self._repairing(record)
        except StoppedError as error:
            state, message = "stopped", str(error)
            raise
        except (EdgeMillError, OSError) as error:
            message = str(error)
            raise
        else:
            state = "done"
            return statuses
        finally:
            record.close(state, message)

    def _repairing(self, record: RunRecord) -> dict[str, StepStatus]:
        """Build; where an input turns out to be damaged when it is needed, set it aside and build it again."""
        for _ in range(REPAIRS + len(self.pipeline.steps)):
            try:
                return self._pass(record)
            except DamagedArtifactError as damage:
                if any(Path(damage.where or "").is_relative_to(artifact.path) for artifact in self.given.values()):
                    raise  # what made it is not in this pipeline
                self.tell_damage(damage, record)
        raise StageFailedError("artifacts are damaged again and again", where=str(self.workspace.root), remedy="check the disk")

    def _pass(self, record: RunRecord) -> dict[str, StepStatus]:
        keys = KeyMaker(self.workspace.stat_index(verify=self.verify))
        width = max(len(name) for name in self.pipeline.steps)
        statuses: dict[str, StepStatus] = {}
        foreseen = False
        for name, step in self.pipeline.steps.items():
            self.stops.check()
            status = resolve(step, statuses, self.workspace, keys, self.engine, verify=self.verify, given=self.given)
            if status.state in (State.TO_RUN, State.DAMAGED):
                if not foreseen:
                    foreseen = self._foresee(keys)
                status = self._make(status, statuses, record, keys)
            if status.state is State.UNAVAILABLE and not step.optional:
                record.step(name, status)
                raise _unavailable(status)
            statuses[name] = status
            record.step(name, status)
            if status.artifact is not None:
                self.workspace.link_pipeline(self.pipeline.name, name, status.artifact)
            else:
                self.workspace.unlink_pipeline(self.pipeline.name, name)
            self.console.finish(status, width)
        return statuses

    def _foresee(self, keys: KeyMaker) -> bool:
        """Before anything runs, fail where a later step cannot: it lacks a tool, or its image cannot be realised."""
        for status in make_plan(self.pipeline, self.workspace, self.engine, keys, given=self.given).values():
            if status.step.optional:
                continue
            if status.state is State.UNAVAILABLE:
                raise _unavailable(status)
            if status.state is not State.PUBLISHED:
                self.engine.prepare(status.step.image, self.console.say)
                self.stops.check()
        return True

    def _make(self, status: StepStatus, before: Mapping[str, StepStatus], record: RunRecord, keys: KeyMaker) -> StepStatus:
        """Run a step under its key's lock, unless another run was faster."""
        step, stage, key = status.step, status.step.contract.name, str(status.key)
        with held(self.workspace.key_lock(stage, key), record.id, self._waiting(step.name, stage, key)) as lock:
            try:
                artifact = self.workspace.find(stage, key, verify=status.state is State.DAMAGED)
            except DamagedArtifactError as damage:
                self.tell_damage(damage, record)
                self.workspace.set_aside(self.workspace.artifact_folder(stage, key))
                artifact = None
            if artifact is not None:
                return replace(status, state=State.PUBLISHED, artifact=artifact, reason=None)
            try:
                self.console.start(step.name, max(len(name) for name in self.pipeline.steps))
                return replace(status, state=State.RAN, artifact=self._run(StepRun(self, status, before, record, keys, lock)), reason=None)
            except (StageFailedError, ImageError) as error:
                if not step.optional:
                    record.step(step.name, replace(status, state=State.FAILED, reason=error.what))
                    raise
                record.event("optional step failed", name=step.name, error=str(error))
                self.console.warn(f"the optional stage {step.name!r} failed:\n{error}")
                return replace(status, state=State.FAILED, reason=error.what)

    def _run(self, runner: StepRun) -> Artifact:
        try:
            return runner.run()
        except OSError as error:
            step = runner.status.step
            raise unwritten(f"the stage {step.name!r} could not be run or published", error, self.workspace.root) from error

    def retire(self, artifact: Artifact, record: RunRecord) -> None:
        """Set a damaged artifact aside, unless somebody else has done so and made it again."""
        stage, key = str(artifact.manifest["stage"]), artifact.key
        with held(self.workspace.key_lock(stage, key), record.id, self._waiting(stage, stage, key)):
            try:
                self.workspace.find(stage, key, verify=True)
            except DamagedArtifactError:
                self.workspace.set_aside(artifact.path)

    def tell_damage(self, damage: DamagedArtifactError, record: RunRecord) -> None:
        """Tell the user and the record of an artifact that is built again."""
        self.console.warn(f"{damage.what}: {damage.where}: {damage.found}; it is moved to {self.workspace.damaged} and built again")
        record.event("damaged", where=damage.where, found=damage.found)

    def _waiting(self, name: str, stage: str, key: str) -> Callable[[str], None]:
        """What to do while somebody else holds a key's lock: wait for a live run; end what a dead one left behind."""
        told: set[str] = set()
        # How often a holder was seen dead: between taking the lock and signing it, one still shows the signature of the one before.
        dead: dict[str, int] = {}

        def waiting(holder: str) -> None:
            self.stops.check()
            if is_running(self.workspace.runs, holder):
                dead.clear()
                if holder not in told:
                    told.add(holder)
                    self.console.say(f"  {name}: waiting for the run {holder}, which is making the same artifact")
                return
            dead[holder] = dead.get(holder, 0) + 1
            if dead[holder] > 1:
                sweep_all(self.workspace.work_folder(stage, key), self.engine)
            if dead[holder] == 4:
                lock: Path = self.workspace.key_lock(stage, key)
                self.console.warn(
                    f"{name}: something that a dead run left behind still holds {lock}: process {', '.join(map(str, holders(lock)))}; "
                    "end it, or wait for its end"
                )

        return waiting


def _unavailable(status: StepStatus) -> StageFailedError:
    return StageFailedError(
        f"the stage {status.step.name!r} is unavailable: {status.reason}",
        where=status.step.where,
        remedy="provide it, or say `optional: true` in the pipeline",
    )
