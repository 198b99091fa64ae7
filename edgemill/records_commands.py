"""`data.verify` and `data.show`: TFRecords checked and drawn by stages that need not be in any pipeline file."""

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

VERIFY, SHOW = "verify-records", "show-records"
LABEL_MAP = "label_map.pbtxt"


def verify(request: Request, path: str, label_map: str = "") -> None:
    """Check TFRecords, and print the table of what was found. Raises EdgeMillError, also where there are errors in them."""
    records = _existing(path)
    params = {"path": str(records), **_labels(records, label_map)}
    pipeline = alone(VERIFY, params)
    print(f"records of {path}\n")
    try:
        folder = _build(request, pipeline, VERIFY)
    except EdgeMillError:
        # A check that found errors is not published: what it wrote is in its work folder.
        status = make_plan(pipeline, request.place(), request.choose(pipeline))[VERIFY]
        if status.key is not None:
            _print_file(request.place().work_folder(VERIFY, status.key) / "output" / "check.txt")
        raise
    _print_file(folder / "check.txt")
    print(f"all of it: {display(folder)}")


def show(request: Request, stage: str, path: str, label_map: str, params: Mapping[str, Any]) -> None:
    """Draw records of a pipeline, or of `path` where that is given, and print where the pictures are. Raises EdgeMillError."""
    if path:
        records = _existing(path)
        pipeline = alone(SHOW, {**params, "path": str(records), **_labels(records, label_map)})
    else:
        given = {"label_map": str(_existing(label_map))} if label_map else {}
        pipeline = beyond_records(request, stage, {**params, **given})
    folder = _build(request, pipeline, SHOW)
    for picture in sorted(folder.glob("record-*.png")):
        print(display(picture))
    print(f"all on one sheet: {display(folder / 'sheet.png')}")
    print(f"their features:   {display(folder / 'features.txt')}")


def alone(stage: str, params: Mapping[str, Any]) -> Pipeline:
    """A pipeline of one stage, named like it. Raises RequestError where a parameter is wrong."""
    return check_pipeline(Document(Path(stage).absolute(), {"schema": 1, "stages": {stage: {"params": dict(params)}}}, {}))


def beyond_records(request: Request, stage: str, params: Mapping[str, Any]) -> Pipeline:
    """The request's pipeline up to its records, and a stage that shows them.

    stage: the one that makes the records; needed only where there are several.

    Raises:
        RequestError: there is no such pipeline or stage, or it makes no records.
    """
    made = [name for name, step in request.load().steps.items() if step.kind.name == "records"]
    document = load_yaml(find_pipeline(request.pipeline))
    if not made:
        raise RequestError(
            "the pipeline makes no records", where=display(document.path), remedy="./mill data.show --path FILE shows a file's"
        )
    if stage and stage not in made:
        raise unknown_name("stage that makes records", stage, made, display(document.path))
    if len(made) > 1 and not stage:
        raise RequestError(
            "several stages make records", where=display(document.path), expected=", ".join(made), remedy=f"--stage {made[0]}"
        )
    document.data["stages"][SHOW] = {"inputs": {"records": stage or made[0]}, "params": dict(params)}
    return check_pipeline(document, request.settings).select([SHOW])


def _build(request: Request, pipeline: Pipeline, step: str) -> Path:
    """Build, and return the link that leads to a step's artifact."""
    stops = StopRequests()
    workspace = request.place()
    statuses = Build(pipeline, workspace, request.choose(pipeline, stops), Console(), stops).run()
    artifact = statuses[step].artifact
    if artifact is None:
        raise RequestError(f"the stage {step!r} made nothing", where=display(pipeline.path))
    return workspace.pipelines / pipeline.name / step


def _existing(path: str) -> Path:
    """Without links, because an engine shows a stage the place that a path names and no other."""
    found = Path(path).expanduser().resolve()
    if not found.exists():
        raise RequestError("no such file or folder", where=path, remedy="give a TFRecord file, or a folder of them")
    return found


def _labels(records: Path, label_map: str) -> dict[str, str]:
    """The parameter `label_map`: the one named, or what lies beside a single file; in a folder the stage looks itself."""
    beside = records.parent / LABEL_MAP
    if label_map:
        return {"label_map": str(_existing(label_map))}
    return {"label_map": str(beside.resolve())} if records.is_file() and beside.is_file() else {}


def _print_file(path: Path) -> None:
    if path.is_file():
        sys.stdout.write("\n".join(printable(line) for line in path.read_text(encoding="utf-8").split("\n")))
