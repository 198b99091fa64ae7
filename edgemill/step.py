"""Running one step: from verified inputs to a published artifact."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgemill import SCHEMA, VERSION
from edgemill.console import OutputSplitter
from edgemill.engines.choice import ENGINE, sweep_all
from edgemill.engines.seam import Ending, Job, Outcome
from edgemill.errors import DamagedArtifactError, StageFailedError, StoppedError
from edgemill.files import remove, write_bytes, write_json
from edgemill.keys import KeyMaker
from edgemill.lineage import Entry, entries, trace
from edgemill.locks import Lock
from edgemill.outcome import failure, invalid, read_result
from edgemill.plan import StepStatus
from edgemill.provenance import FILE, builder_id, bundle
from edgemill.runs import RunRecord, now
from edgemill.workspace import Artifact, publish

if TYPE_CHECKING:
    from edgemill.build import Build


@dataclass
class StepRun:
    """One step's run. `keys` made its key; `lock` is that key's, and held."""

    build: Build
    status: StepStatus
    before: Mapping[str, StepStatus]
    record: RunRecord
    keys: KeyMaker
    lock: Lock

    def run(self) -> Artifact:
        """Run the step and publish what it made.

        Raises:
            DamagedArtifactError: an input is not as published (it has been set aside).
            StageFailedError: the program failed or left an invalid artifact, or what it was made from changed meanwhile.
            StoppedError: the user asked for a stop.
        """
        build, step = self.build, self.status.step
        builder = builder_id(build.engine.name)
        self._verify_inputs()
        build.engine.prepare(step.image, build.console.say)
        build.stops.check()
        work = self._prepare_work()
        task = work / "task.json"
        write_json(task, self._task(work))
        if step.contract.sees_provenance:
            write_bytes(work / "scratch" / FILE, self._provenance())
        self.record.event("started", name=step.name, stage=step.contract.name, key=self.status.key)
        started = now()
        log = self.record.log_path(step.name)
        with log.open("ab") as stream:  # a repaired input can make a step run twice in one build
            splitter = OutputSplitter(stream, self._on_event)
            job = Job(step.contract, step.image, work, task, self._reads(), self.lock.fileno())
            outcome = build.engine.run(job, splitter.feed)
            splitter.close()
        result = self._result(outcome, work, log)
        self._check_unchanged()
        facts = self._facts(outcome, result, started, builder)
        try:
            artifact = publish(build.workspace, step.contract, step.kind, str(self.status.key), work / "output", facts)
        except StageFailedError as error:
            raise invalid(step, error, outcome, log) from None
        with contextlib.suppress(OSError):  # the artifact is published; `gc` removes what is left
            remove(work)
        return artifact

    def _verify_inputs(self) -> None:
        """Read every input again. Raises DamagedArtifactError for the first that is damaged, with all such set aside."""
        damages = []
        for bound in self.status.inputs.values():
            for _, artifact in bound:
                self.build.stops.check()
                try:
                    artifact.verify()
                except DamagedArtifactError as damage:
                    self.build.retire(artifact, self.record)
                    damages.append(damage)
        for another in damages[1:]:
            self.build.tell_damage(another, self.record)
        if damages:
            raise damages[0]

    def _prepare_work(self) -> Path:
        """The work folder: a resumable stage finds its scratch folder as it left it; everything else is fresh."""
        contract = self.status.step.contract
        work = self.build.workspace.work_folder(contract.name, str(self.status.key))
        sweep_all(work, self.build.engine)
        for name in ("output", "home", "source") if contract.resumable else ("",):
            remove(work / name)
        for name in ("result.json", "task.json"):
            (work / name).unlink(missing_ok=True)
        (work / "output").mkdir(parents=True)
        (work / "scratch").mkdir(exist_ok=True)
        (work / ENGINE).write_text(self.build.engine.name, encoding="ascii")
        # The program runs from a copy, so that an edit while it runs cannot make its artifact something else than its key says.
        contract.copy_source(work / "source")
        if contract.source(work / "source") != self.keys.source(contract):
            raise self._changed()
        return work

    def _check_unchanged(self) -> None:
        """Raise StageFailedError where what its paths lead to is no longer what the key says."""
        params = KeyMaker(self.build.workspace.stat_index()).params(self.status.step)
        if params != self.keys.params(self.status.step):
            raise self._changed()

    def _changed(self) -> StageFailedError:
        step = self.status.step
        return StageFailedError(
            f"what the stage {step.name!r} is made from changed while it ran, so its result is not published",
            where=", ".join([str(step.contract.folder), *(str(path) for path in self._sources())]),
            remedy="run the same command again",
        )

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
        stages = [
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
            for name, status in self.before.items()
        ]
        return {"id": self.record.id, "pipeline": self.build.pipeline.name, "engine": self.build.engine.name, "stages": stages}

    def _provenance(self) -> bytes:
        """The statements of all that went into the inputs, as far as the workspace still has it."""
        made: dict[str, Artifact] = {}
        for _, bound in sorted(self.status.inputs.items()):
            for _, artifact in bound:
                for origin in trace(self.build.workspace, artifact):
                    if origin.artifact is None:
                        self.build.console.warn(f"{self.status.step.name}: {origin.gone}, so its provenance is not taken along")
                    else:
                        made[origin.key] = origin.artifact
        return bundle((artifact.manifest for artifact in made.values()), brief=True)

    def _sources(self) -> list[Path]:
        return [path for _, _, path in self.status.step.sources()]

    def _reads(self) -> list[Path]:
        return [artifact.path for bound in self.status.inputs.values() for _, artifact in bound] + self._sources()

    def _on_event(self, event: Mapping[str, Any]) -> None:
        if event.get("edgemill") == "progress":
            self.build.console.progress(event)
        elif event.get("level") == "warning":
            self.build.console.warn(f"{self.status.step.name}: {event.get('text')}")
        else:
            self.build.console.say(f"  {self.status.step.name}: {event.get('text')}")

    def _result(self, outcome: Outcome, work: Path, log: Path) -> Mapping[str, Any]:
        """The program's own result. Raises StageFailedError or StoppedError where the job did not end well."""
        step = self.status.step
        if outcome.ending is Ending.STOPPED:
            goes_on = "goes on from the last checkpoint" if step.contract.resumable else "goes on from here"
            raise StoppedError(f"stopped while {step.name!r} ran", where=f"log: {log}", remedy=f"the same command {goes_on}")
        result, problem = read_result(work / "result.json")
        if outcome.ending is Ending.EXITED and outcome.exit_code == 0 and problem is None and not result["error"]:
            return result
        raise failure(step, outcome, result, problem, log)

    def _facts(self, outcome: Outcome, result: Mapping[str, Any], started: str, builder: str) -> dict[str, Any]:
        """What the manifest says of how the artifact was made."""
        step = self.status.step
        params = self.keys.params(step)
        inputs: dict[str, Any] = {}
        lineage: dict[str, Entry] = {}
        for name, bound in self.status.inputs.items():
            told = [
                {"name": feeder, "stage": artifact.manifest["stage"], "key": artifact.key, "digest": artifact.digest}
                for feeder, artifact in bound
            ]
            inputs[name] = told if step.contract.inputs[name].many else (told[0] if told else None)
            for _, artifact in bound:
                lineage |= entries(artifact.manifest)
        key = str(self.status.key)
        lineage[key] = {
            "name": step.name,
            "stage": step.contract.name,
            "key": key,
            "image": step.image.identity,
            "params": params,
            "inputs": {name: [artifact.key for _, artifact in bound] for name, bound in self.status.inputs.items()},
        }
        return {
            "name": step.name,
            "pipeline": self.build.pipeline.name,
            "run": self.record.id,
            "edgemill": VERSION,
            "builder": builder,
            "engine": self.build.engine.name,
            "realised": dict(outcome.realised),
            "image": step.image.identity,
            "image_name": step.image.name,
            "source": self.keys.source(step.contract),
            "params": params,
            "inputs": inputs,
            "lineage": lineage,
            "tools": result["tools"],
            "metrics": result["metrics"],
            "warnings": result["warnings"],
            "started": started,
            "seconds": round(outcome.seconds, 3),
            "exit_code": outcome.exit_code,
        }
