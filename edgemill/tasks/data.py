"""The tasks `data.*`."""

from __future__ import annotations

from typing import Any

from invoke import Collection, Context, task

from edgemill.tasks import PIPELINE_HELP, PLACE_HELP, build_task, request_of, run

build = build_task("build", "Read, audit and pack the data, and no more.", "records")


@task(
    name="verify",
    help={
        "path": "A TFRecord file, or a folder of them.",
        "label-map": "The label map that training would use (else the one beside the records).",
        "engine": PIPELINE_HELP["engine"],
        "workspace": PLACE_HELP["workspace"],
    },
)
def verify(_c: Context, path: str, label_map: str = "", engine: str = "", workspace: str = "") -> None:
    """Check TFRecords, EdgeMill's or anybody's, and print what is in them and everything wrong with them."""
    from edgemill import data_commands

    run(lambda: data_commands.verify(request_of("demo", engine, workspace), path, label_map))


@task(name="audit", iterable=["set"], help=PIPELINE_HELP)
def audit(_c: Context, pipeline: str = "demo", engine: str = "", workspace: str = "", set: Any = None) -> None:
    """Print what the audit found in a pipeline's data, whether they were taken or refused."""
    from edgemill import data_commands

    run(lambda: data_commands.audit(request_of(pipeline, engine, workspace, set)))


@task(
    name="export",
    iterable=["set"],
    help={
        **PIPELINE_HELP,
        "layout": "coco or voc.",
        "images": "Copy the images along; --no-images leaves them where they are.",
        "stage": "The stage that makes the dataset, where a pipeline has several.",
    },
)
def export(
    _c: Context,
    pipeline: str = "demo",
    layout: str = "coco",
    images: bool = True,
    stage: str = "",
    engine: str = "",
    workspace: str = "",
    set: Any = None,
) -> None:
    """Write a pipeline's dataset back as COCO JSON or Pascal VOC XML."""
    from edgemill import data_commands

    run(lambda: data_commands.export(request_of(pipeline, engine, workspace, set), stage, layout, images=images))


@task(
    name="show",
    iterable=["set"],
    help={
        **PIPELINE_HELP,
        "path": "A TFRecord file, or a folder of them, instead of a pipeline.",
        "label-map": "A label map for the names of classes (else the one beside the records).",
        "number": "How many records, chosen at random.",
        "seed": "Another seed chooses others.",
        "split": "Only records of this split.",
        "stage": "The stage that makes the records, where a pipeline has several.",
    },
)
def show(
    _c: Context,
    pipeline: str = "demo",
    path: str = "",
    label_map: str = "",
    number: int = 12,
    seed: int = 1,
    split: str = "",
    stage: str = "",
    engine: str = "",
    workspace: str = "",
    set: Any = None,
) -> None:
    """Draw some of a pipeline's records, or of a file's, with boxes, labels and masks, and list all their features."""
    from edgemill import data_commands

    params = {"number": number, "seed": seed, **({"split": split} if split else {})}
    run(lambda: data_commands.show(request_of(pipeline, engine, workspace, set), stage, path, label_map, params))


collection = Collection("data")
collection.add_task(build, default=True)
for each in (audit, export, verify, show):
    collection.add_task(each)
