"""Building a pipeline: each step is published already, or run, validated and published; a failure ends in one message."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgemill import SCHEMA
from edgemill.console import Console, OutputSplitter
from edgemill.engines.process import StopRequests
from edgemill.engines.seam import Ending, Engine, Job, Outcome
from edgemill.errors import DamagedArtifactError, EdgeMillError, StageFailedError, StoppedError
from edgemill.files import remove, write_json
from edgemill.keys import KeyMaker
from edgemill.locks import Lock, held
from edgemill.pipelines import Pipeline, Step
from edgemill.plan import State, StepStatus, resolve
from edgemill.runs import RunRecord, is_running, now
from edgemill.workspace import Artifact, Workspace, publish

REPAIRS = 8  # damaged inputs that one run rebuilds before it gives up
TAIL_LINES = 15


@dataclass
class Build:
    """One build of a pipeline in a workspace with an engine."""

    pipeline: Pipeline
    workspace: Workspace
    engine: Engine
    console: Console
    stops: StopRequests
    verify: bool = False

    def run(self) -> dict[str, StepStatus]:
        """Build every step; returns where each stands.

        Raises:
            StageFailedError: a step failed that is not optional, or is unavailable.
            StoppedError: the user asked for a stop.
            EdgeMillError, OSError: as the step that failed raised it.
        """
        self.workspace.root.mkdir(parents=True, exist_ok=True)
        in_use = Lock(self.workspace.root / ".lock")
        while not in_use.try_acquire(shared=True):
            self.stops.check()
            time.sleep(0.1)
        try:
            return self._run_recorded()
        finally:
            in_use.release()

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
        for _ in range(REPAIRS):
            try:
                return self._pass(record)
            except DamagedArtifactError as damage:
                self.console.warn(f"{damage.what}: {damage.where}: {damage.found}; it is built again")
                record.event("damaged", where=damage.where, found=damage.found)
        raise StageFailedError("artifacts are damaged again and again", where=str(self.workspace.root), remedy="check the disk")

    def _pass(self, record: RunRecord) -> dict[str, StepStatus]:
        keys = KeyMaker(self.workspace.stat_index(verify=self.verify))
        width = max(len(name) for name in self.pipeline.steps)
        statuses: dict[str, StepStatus] = {}
        for name, step in self.pipeline.steps.items():
            self.stops.check()
            status = resolve(step, statuses, self.workspace, keys, self.engine, verify=self.verify)
            if status.state in (State.TO_RUN, State.DAMAGED):
                status = self._make(status, statuses, record, width)
            if status.state is State.UNAVAILABLE and not step.optional:
                record.step(name, status)
                raise StageFailedError(
                    f"the stage {name!r} is unavailable: {status.reason}",
                    where=step.where,
                    remedy="provide it, or say `optional: true` in the pipeline",
                )
            statuses[name] = status
            record.step(name, status)
            if status.artifact is not None:
                self.workspace.link_pipeline(self.pipeline.name, name, status.artifact)
            self.console.finish(status, width)
        return statuses

    def _make(self, status: StepStatus, before: Mapping[str, StepStatus], record: RunRecord, width: int) -> StepStatus:
        """Run a step under its key's lock, unless another run was faster."""
        step, key = status.step, str(status.key)
        place = self.workspace.work / step.contract.name / f"{key}.lock"
        with held(place, record.id, self._waiting(step, key)) as lock:
            try:
                artifact = self.workspace.find(step.contract.name, key, verify=status.state is State.DAMAGED)
            except DamagedArtifactError as damage:
                aside = self.workspace.set_aside(self.workspace.artifact_folder(step.contract.name, key))
                self.console.warn(f"{step.name}: {damage.what}: {damage.where}: {damage.found}; moved to {aside} and built again")
                artifact = None
            if artifact is not None:
                return replace(status, state=State.PUBLISHED, artifact=artifact)
            try:
                runner = StepRun(self, status, before, record, lock)
                self.console.start(step.name, width)
                return replace(status, state=State.RAN, artifact=runner.run(), reason=None)
            except (StageFailedError, OSError) as error:
                if not step.optional:
                    raise
                record.event("optional step failed", name=step.name, error=str(error))
                self.console.warn(f"the optional stage {step.name!r} failed:\n{error}")
                return replace(status, state=State.FAILED, reason=str(error).splitlines()[0])

    def _waiting(self, step: Step, key: str) -> Any:
        """What to do while somebody else holds a key's lock: wait for a live run; end what a dead one left behind."""
        told: set[str] = set()
        dead: list[
            str
        ] = []  # seen dead before: between taking the lock and signing it, a holder still shows the signature of the one before

        def waiting(holder: str) -> None:
            self.stops.check()
            if not is_running(self.workspace.runs, holder):
                if holder in dead:
                    self.engine.sweep(self.workspace.work_folder(step.contract.name, key))
                dead[:] = [holder]
            elif holder not in told:
                told.add(holder)
                self.console.say(f"  {step.name}: waiting for the run {holder}, which is making the same artifact")

        return waiting


@dataclass
class StepRun:
    """One step's run: from a verified input to a published artifact."""

    build: Build
    status: StepStatus
    before: Mapping[str, StepStatus]
    record: RunRecord
    lock: Lock

    def run(self) -> Artifact:
        """Run the step and publish what it made.

        Raises:
            DamagedArtifactError: an input is not as published (it has been set aside).
            StageFailedError: the program failed or left an invalid artifact.
            StoppedError: the user asked for a stop.
        """
        build, step = self.build, self.status.step
        self._verify_inputs()
        build.engine.prepare(step.image, build.console.say)
        build.stops.check()
        work = self._prepare_work()
        task = work / "task.json"
        write_json(task, self._task(work))
        self.record.event("started", name=step.name, key=self.status.key)
        started = now()
        log = self.record.log_path(step.name)
        with log.open("wb") as stream:
            splitter = OutputSplitter(stream, self._on_event)
            job = Job(step.contract, step.image, work, task, self._reads(), self.lock.fileno())
            outcome = build.engine.run(job, splitter.feed)
            splitter.close()
        result = self._result(outcome, work, log)
        facts = self._facts(outcome, result, started)
        try:
            artifact = publish(build.workspace, step.contract, step.kind, str(self.status.key), work / "output", facts)
        except StageFailedError as error:
            error.remedy = error.remedy or "the stage ended with exit status 0, so this is a defect in its program"
            error.remedy += f"\nlog: {log}"
            raise
        remove(work)
        return artifact

    def _verify_inputs(self) -> None:
        for bound in self.status.inputs.values():
            for _, artifact in bound:
                try:
                    artifact.verify()
                except DamagedArtifactError:
                    self.build.workspace.set_aside(artifact.path)
                    raise

    def _prepare_work(self) -> Path:
        """The work folder: a resumable stage finds its scratch folder as it left it; everything else is fresh."""
        contract = self.status.step.contract
        work = self.build.workspace.work_folder(contract.name, str(self.status.key))
        self.build.engine.sweep(work)
        for name in ("output", "home") if contract.resumable else ("",):
            remove(work / name)
        for name in ("result.json", "task.json"):
            (work / name).unlink(missing_ok=True)
        (work / "output").mkdir(parents=True)
        (work / "scratch").mkdir(exist_ok=True)
        return work

    def _task(self, work: Path) -> dict[str, Any]:
        step = self.status.step
        inputs: dict[str, Any] = {}
        for name, rule in step.contract.inputs.items():
            bound = [
                {
                    "name": feeder,
                    "kind": artifact.manifest["kind"],
                    "path": str(artifact.path),
                    "key": artifact.key,
                    "digest": artifact.digest,
                }
                for feeder, artifact in self.status.inputs.get(name, ())
            ]
            inputs[name] = bound if rule.many else (bound[0] if bound else None)
        return {
            "schema": SCHEMA,
            "stage": step.contract.name,
            "name": step.name,
            "params": dict(step.params),
            "inputs": inputs,
            "output": str(work / "output"),
            "scratch": str(work / "scratch"),
            "result": str(work / "result.json"),
            "cpus": min(step.contract.cpus, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1),
            "run": self._run_context() if step.contract.sees_run else None,
        }

    def _run_context(self) -> dict[str, Any]:
        stages = []
        for name, status in self.before.items():
            stages.append(
                {
                    "name": name,
                    "stage": status.step.contract.name,
                    "state": status.state.value,
                    "key": status.key,
                    "reason": status.reason,
                    "image": status.step.image.name,
                    "digest": status.artifact and status.artifact.digest,
                    "seconds": status.artifact and status.artifact.seconds,
                    "optional": status.step.optional,
                    "inputs": {key: list(value) for key, value in status.step.inputs.items()},
                }
            )
        return {"id": self.record.id, "pipeline": self.build.pipeline.name, "engine": self.build.engine.name, "stages": stages}

    def _reads(self) -> list[Path]:
        step = self.status.step
        inputs = [artifact.path for bound in self.status.inputs.values() for _, artifact in bound]
        return inputs + [Path(value) for name, value in step.params.items() if value is not None and step.contract.is_path(name)]

    def _on_event(self, event: Mapping[str, Any]) -> None:
        if event.get("edgemill") == "progress":
            self.build.console.progress(event)
        elif event.get("level") == "warning":
            self.build.console.warn(f"{self.status.step.name}: {event.get('text')}")
        else:
            self.build.console.say(f"  {self.status.step.name}: {event.get('text')}")

    def _result(self, outcome: Outcome, work: Path, log: Path) -> Mapping[str, Any]:
        """The stage's own result. Raises StageFailedError or StoppedError where the job did not end well."""
        if outcome.ending is Ending.STOPPED:
            raise StoppedError(f"stopped while {self.status.step.name!r} ran", where=f"log: {log}", remedy=self._after_stop())
        result: Mapping[str, Any] = {}
        try:
            result = json.loads((work / "result.json").read_bytes())
        except (OSError, ValueError):
            result = {}
        error = result.get("error")
        if outcome.ending is Ending.EXITED and outcome.exit_code == 0 and result and not error:
            return result
        raise self._failure(outcome, error or {}, log)

    def _after_stop(self) -> str:
        return (
            "the same command goes on from the last checkpoint"
            if self.status.step.contract.resumable
            else "the same command goes on from here"
        )

    def _failure(self, outcome: Outcome, error: Mapping[str, Any], log: Path) -> StageFailedError:
        step = self.status.step
        if outcome.ending is Ending.TIMEOUT:
            what = f"it took longer than its limit of {step.contract.timeout:g} s"
        elif outcome.ending is Ending.KILLED:
            what = f"it was killed by signal {outcome.exit_code - 128}" + (" (out of memory?)" if outcome.exit_code == 137 else "")
        elif error:
            what = str(error.get("what"))
        elif outcome.exit_code == 0:
            what = "it exited with 0 but wrote no result"
        else:
            what = "its program ended without saying why"
        details = [f"command: {subprocess.list2cmdline(outcome.command)}", f"exit status: {outcome.exit_code}", f"log: {log}"]
        tail = [] if error else last_lines(log)
        remedy = [str(error["remedy"])] if error.get("remedy") else []
        return StageFailedError(
            f"the stage {step.name!r} failed: {what}",
            where="\n".join([*([str(error["where"])] if error.get("where") else []), *details]),
            expected=error.get("expected"),
            found=error.get("found") or ("\n".join(["the last lines of its log:", *tail]) if tail else None),
            remedy="\n".join([*remedy, f"then run the same command again; {self._kept()}"]),
        )

    def _kept(self) -> str:
        if self.status.step.contract.resumable:
            return "it goes on from its last checkpoint unless the change makes another artifact of it"
        return "everything before this stage is kept"

    def _facts(self, outcome: Outcome, result: Mapping[str, Any], started: str) -> dict[str, Any]:
        """What the manifest says of how the artifact was made."""
        step = self.status.step
        keys = KeyMaker(self.build.workspace.stat_index())
        params = keys.params(step)
        inputs: dict[str, Any] = {}
        lineage: dict[str, Any] = {}
        for name, bound in self.status.inputs.items():
            told = [
                {"name": feeder, "stage": artifact.manifest["stage"], "key": artifact.key, "digest": artifact.digest}
                for feeder, artifact in bound
            ]
            inputs[name] = told if step.contract.inputs[name].many else (told[0] if told else None)
            for _, artifact in bound:
                lineage |= artifact.manifest["lineage"]
        lineage[step.name] = {
            "stage": step.contract.name,
            "key": self.status.key,
            "image": step.image.identity,
            "params": params,
            "inputs": {name: [feeder for feeder, _ in bound] for name, bound in self.status.inputs.items()},
        }
        return {
            "name": step.name,
            "engine": self.build.engine.name,
            "image": step.image.identity,
            "image_name": step.image.name,
            "params": params,
            "inputs": inputs,
            "lineage": lineage,
            "tools": result.get("tools") or {},
            "metrics": result.get("metrics") or {},
            "warnings": result.get("warnings") or [],
            "started": started,
            "seconds": round(outcome.seconds, 3),
            "exit_code": outcome.exit_code,
        }


def last_lines(log: Path, count: int = TAIL_LINES) -> Sequence[str]:
    """The end of a log, without the lines' terminal control."""
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - 16384))
        lines = stream.read().decode(errors="replace").splitlines()
    return [line.split("\r")[-1].rstrip() for line in lines if line.strip()][-count:]
