"""`data.audit`, `data.export`, `data.verify`, `data.show`: data told, written back, checked and drawn by stages that no pipeline names."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgemill.build import Build
from edgemill.commands import Request
from edgemill.console import Console, printable
from edgemill.documents import Document, display, load_yaml, unknown_name
from edgemill.engines.process import StopRequests
from edgemill.errors import EdgeMillError, RequestError
from edgemill.pipelines import Pipeline, check_pipeline, find_pipeline
from edgemill.plan import make_plan

VERIFY, SHOW, EXPORT = "verify-records", "show-records", "export-annotations"
LABEL_MAP = "label_map.pbtxt"
AUDIT_TABLE = "audit.txt"  # in artifacts of the kinds that declare it


def audit(request: Request) -> None:
    """Print what the audit of a pipeline's data found, whether they were taken or refused.

    Raises:
        RequestError: the data, as they are, have not been read yet.
    """
    pipeline, workspace = request.load(), request.place()
    for name, status in make_plan(pipeline, workspace, request.choose(pipeline)).items():
        if status.key is None or all(rule.path != AUDIT_TABLE for rule in status.step.kind.files):
            continue
        folder = status.artifact.path if status.artifact else workspace.work_folder(status.step.contract.name, status.key) / "output"
        if (folder / AUDIT_TABLE).is_file():
            print_file(folder / AUDIT_TABLE)
            for file, what in (("audit.csv", "every problem"), ("contact_sheet.jpg", "the worst pictures")):
                if (folder / file).is_file():
                    print(f"{name}: {what}: {display(folder / file)}")
            return
    raise RequestError("the data have not been read as they are", where=display(pipeline.path), remedy=f"./mill data -p {request.pipeline}")


def export(request: Request, stage: str, layout: str, *, images: bool) -> None:
    """Write a pipeline's dataset back in a layout that other tools read, and print where it is. Raises EdgeMillError."""
    pipeline = beyond(request, "dataset", stage, EXPORT, {"layout": layout, "images": images}, "add a stage that makes one: ingest, say")
    print(f"{layout}: {display(build_step(request, pipeline, EXPORT))}")


def verify(request: Request, path: str, label_map: str = "") -> None:
    """Check TFRecords, and print the table of what was found. Raises EdgeMillError, also where there are errors in them."""
    records = existing(path)
    params = {"path": str(records), **_labels(records, label_map)}
    print(f"records of {path}\n")
    tell_step(request, alone(VERIFY, params), VERIFY, "check.txt")


def show(request: Request, stage: str, path: str, label_map: str, params: Mapping[str, Any]) -> None:
    """Draw records of a pipeline, or of `path` where that is given, and print where the pictures are. Raises EdgeMillError."""
    if path:
        records = existing(path)
        pipeline = alone(SHOW, {**params, "path": str(records), **_labels(records, label_map)})
    else:
        given = {"label_map": str(existing(label_map))} if label_map else {}
        pipeline = beyond(request, "records", stage, SHOW, {**params, **given}, "./mill data.show --path FILE shows a file's")
    folder = build_step(request, pipeline, SHOW)
    for picture in sorted(folder.glob("record-*.png")):
        print(display(picture))
    print(f"all on one sheet: {display(folder / 'sheet.png')}")
    print(f"their features:   {display(folder / 'features.txt')}")


def alone(stage: str, params: Mapping[str, Any]) -> Pipeline:
    """A pipeline of one stage, named like it. Raises RequestError where a parameter is wrong."""
    return check_pipeline(Document(Path(stage).absolute(), {"schema": 1, "stages": {stage: {"params": dict(params)}}}, {}))


def beyond(request: Request, kind: str, stage: str, added: str, params: Mapping[str, Any], remedy: str) -> Pipeline:
    """The request's pipeline up to the artifact of a kind, and one more stage that takes it as the input of that name.

    stage: the step that makes the artifact; needed only where there are several; remedy: what to do where there is none.

    Raises:
        RequestError: there is no such pipeline or stage, or it makes no such artifact.
    """
    made = [name for name, step in request.load().steps.items() if step.kind.name == kind]
    document = load_yaml(find_pipeline(request.pipeline))
    if not made:
        raise RequestError(f"the pipeline makes no {kind}", where=display(document.path), remedy=remedy)
    if stage and stage not in made:
        raise unknown_name(f"stage that makes {kind}", stage, made, display(document.path))
    if len(made) > 1 and not stage:
        raise RequestError(
            f"several stages make {kind}", where=display(document.path), expected=", ".join(made), remedy=f"--stage {made[0]}"
        )
    document.data["stages"][added] = {"inputs": {kind: stage or made[0]}, "params": dict(params)}
    return check_pipeline(document, request.settings).select([added])


def build_step(request: Request, pipeline: Pipeline, step: str) -> Path:
    """Build, and return the link that leads to a step's artifact."""
    stops = StopRequests()
    workspace = request.place()
    statuses = Build(pipeline, workspace, request.choose(pipeline, stops), Console(), stops).run()
    artifact = statuses[step].artifact
    if artifact is None:
        raise RequestError(f"the stage {step!r} made nothing", where=display(pipeline.path))
    return workspace.pipelines / pipeline.name / step


def tell_step(request: Request, pipeline: Pipeline, step: str, table: str) -> None:
    """Build, and print a table of the step's artifact and where that is; where the step refuses what it looked at, the table it left.

    Raises:
        EdgeMillError: as in `Build.run`.
    """
    try:
        folder = build_step(request, pipeline, step)
    except EdgeMillError:
        # What is refused is not published: the table is in the work folder.
        status = make_plan(pipeline, request.place(), request.choose(pipeline))[step]
        if status.key is not None:
            print_file(request.place().work_folder(status.step.contract.name, status.key) / "output" / table)
        raise
    print_file(folder / table)
    print(f"all of it: {display(folder)}")


def existing(path: str, remedy: str = "give a TFRecord file, or a folder of them") -> Path:
    """Without links, because an engine shows a stage the place that a path names and no other. Raises RequestError with the remedy."""
    found = Path(path).expanduser().resolve()
    if not found.exists():
        raise RequestError("no such file or folder", where=path, remedy=remedy)
    return found


def _labels(records: Path, label_map: str) -> dict[str, str]:
    """The parameter `label_map`: the one named, or what lies beside a single file; in a folder the stage looks itself."""
    beside = records.parent / LABEL_MAP
    if label_map:
        return {"label_map": str(existing(label_map))}
    return {"label_map": str(beside.resolve())} if records.is_file() and beside.is_file() else {}


def print_file(path: Path) -> None:
    """Print a text file, where it is there, without what would steer a terminal."""
    if path.is_file():
        sys.stdout.write("\n".join(printable(line) for line in path.read_text(encoding="utf-8").split("\n")))
