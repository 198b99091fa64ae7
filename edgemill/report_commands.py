"""`report --compare`: two runs on one page, made by a stage that no pipeline names from artifacts that are there already."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgemill.build import Build
from edgemill.commands import Request
from edgemill.console import Console
from edgemill.data_commands import alone
from edgemill.documents import display, nearest
from edgemill.engines.process import StopRequests
from edgemill.errors import DamagedArtifactError, RequestError
from edgemill.runs import RUN, records
from edgemill.workspace import Artifact, Workspace, read_manifest

COMPARE = "compare-reports"
SIDES = ("first", "second")
# What the page reads; of the rest, the run's record and the manifests of these tell enough.
READ = frozenset({"dataset", "checkpoint", "tflite", "detections", "evaluation"})
EVALUATION = "evaluation"


@dataclass(frozen=True)
class Found:
    """A run that can be compared: what it is called, its record (run.json's fields), and those of its artifacts that are still there."""

    name: str
    record: Mapping[str, Any]
    artifacts: Mapping[str, Artifact]

    def told(self, name: str) -> dict[str, Any]:
        """What the page says of the run, under another name. A step that failed in a run that ended well was optional."""
        well = self.record.get("state") == "done"
        stages = {
            step: {key: fields.get(key) for key in ("state", "reason", "key", "digest", "seconds")} | {"optional": well}
            for step, fields in self.record.get("stages", {}).items()
        }
        for step, artifact in self.artifacts.items():
            stages.setdefault(step, {}).update(source=artifact.manifest.get("source"), stage=artifact.manifest.get("stage"))
        return {
            "name": name,
            "pipeline": self.record.get("pipeline"),
            "run": self.record.get("id"),
            "state": self.record.get("state"),
            "started": self.record.get("started"),
            "stages": stages,
        }


def compare(request: Request, names: list[str]) -> Path:
    """Write a page about two runs side by side, print where it is, and return its path.

    names: two pipelines, whose last builds with an evaluation are meant, or ids of runs in the workspace.

    Raises:
        RequestError: there are not two names, or one of them names no run of which anything is left.
        EdgeMillError: as `Build.run`.
    """
    if len(names) != len(SIDES):
        raise RequestError(
            "a comparison is of two runs",
            where="--compare",
            expected="two pipelines or ids of runs",
            found=", ".join(names) or "none",
            remedy="./mill report --compare A B",
        )
    workspace = request.place()
    first, second = (find_run(workspace, name) for name in names)
    if first.record.get("id") == second.record.get("id") and first.record.get("id"):
        raise RequestError(
            f"{names[0]!r} and {names[1]!r} are the same run",
            where=display(workspace.runs / str(first.record["id"])),
            remedy="give the id of another run of the pipeline: ls workspace/runs",
        )
    page = _build(request, workspace, dict(zip(SIDES, (first, second), strict=True)))
    print(f"comparison: {display(page)}")
    return page


def _build(request: Request, workspace: Workspace, found: Mapping[str, Found]) -> Path:
    called = _names(found)
    pipeline = alone(COMPARE, {side: run.told(called[side]) for side, run in found.items()})
    inputs = {side: {f"{side}.{name}": each for name, each in run.artifacts.items() if _kind(each) in READ} for side, run in found.items()}
    step = replace(pipeline.steps[COMPARE], inputs={side: tuple(bound) for side, bound in inputs.items()})
    stops = StopRequests()
    engine = request.choose(pipeline, stops)
    given = {**inputs["first"], **inputs["second"]}
    try:
        Build(replace(pipeline, steps={COMPARE: step}), workspace, engine, Console(), stops, given=given).run()
    except DamagedArtifactError as damage:
        whole = (
            run for run in found.values() if any(Path(damage.where or "").is_relative_to(each.path) for each in run.artifacts.values())
        )
        remedy = "".join(f"./mill build -p {run.record.get('pipeline')} makes it again" for run in list(whole)[:1])
        raise DamagedArtifactError(damage.what, where=damage.where, found=damage.found, remedy=remedy or None) from None
    return workspace.pipelines / pipeline.name / COMPARE / "report.html"


def _names(found: Mapping[str, Found]) -> dict[str, str]:
    """What each run is called on the page: its name, and its id where both have the same."""
    same = len({run.name for run in found.values()}) == 1
    return {side: f"{run.name} {run.record.get('id', side)}" if same else run.name for side, run in found.items()}


def find_run(workspace: Workspace, name: str) -> Found:
    """A run by its id, or the last build of a pipeline that has an evaluation; without such a one, the last that made anything.

    Raises:
        RequestError: there is none, or nothing of it is left in the workspace.
    """
    folder = workspace.runs / name
    if name and folder.parent == workspace.runs and (folder / RUN).is_file():
        found = Found(name, _record(folder), _artifacts(workspace, _record(folder)))
        if not found.artifacts:
            raise RequestError(
                f"nothing that the run {name} made is left in the workspace",
                where=display(folder),
                remedy=f"./mill build -p {found.record.get('pipeline')}",
            )
        return found
    pipeline = Path(name).stem if name.endswith((".yaml", ".yml")) else name
    builds = (Found(pipeline, record, _artifacts(workspace, record)) for _, record in records(workspace.runs, pipeline))
    made = [build for build in builds if build.artifacts]
    measured = (build for build in made if any(_kind(each) == EVALUATION for each in build.artifacts.values()))
    last = next(measured, None) or next(iter(made), None)
    if last is None:
        raise _unknown(workspace, name)
    return last


def _unknown(workspace: Workspace, name: str) -> RequestError:
    known = {str(record["pipeline"]) for _, record in records(workspace.runs)}
    guess = nearest(name, [*known, *(folder.name for folder, _ in records(workspace.runs))])
    return RequestError(
        f"there is no build of {name!r} in this workspace",
        where=display(workspace.runs),
        expected="a pipeline that has been built" + (f" ({', '.join(sorted(known))})" if known else "") + ", or the id of a run",
        remedy=f"did you mean {guess!r}?" if guess else f"./mill build -p {name}",
    )


def _record(folder: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        fields = json.loads((folder / RUN).read_bytes())
        if isinstance(fields, dict):
            return fields
    return {}


def _artifacts(workspace: Workspace, record: Mapping[str, Any]) -> dict[str, Artifact]:
    """The artifacts of a run's steps that are still there, in the pipeline's order. A damaged one is left out: a build makes it again."""
    found = {}
    for step, fields in record.get("stages", {}).items():
        for folder in workspace.artifacts.glob(f"*/{fields['key']}") if fields.get("key") and fields.get("digest") else ():
            with contextlib.suppress(DamagedArtifactError):
                found[step] = Artifact(folder, read_manifest(folder))
    return found


def _kind(artifact: Artifact) -> str:
    return str(artifact.manifest["kind"])
