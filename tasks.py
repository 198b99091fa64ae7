"""The tasks: each parses its arguments and calls one function of `edgemill`. `./mill --list` shows them.

Those with a prefix are in edgemill/tasks/, a module for each.
"""

from __future__ import annotations

import sys
from typing import Any

from invoke import Collection, Context, task

from edgemill import commands
from edgemill.tasks import BUILD_HELP, PIPELINE_HELP, PLACE_HELP, build_task, bundle, data, edgetpu, images, request_of, run

build = build_task("build", "Build a whole pipeline.")
train = build_task("train", "Train, with what training needs and no more.", "train")
evaluate = build_task("evaluate", "Evaluate every model of the pipeline, by each of its protocols.", "evaluation")
export = build_task("export", "Freeze and convert to .tflite.", "freeze", "convert")
compile_ = build_task("compile", "Compile for the Edge TPU.", "compile")
package = build_task("package", "Collect what goes to the device.", "package")


@task(
    iterable=["set", "compare"],
    help={**BUILD_HELP, "compare": "Two pipelines (their last builds) or ids of runs: a page about both, as in --compare A B."},
)
def report(
    _c: Context,
    pipeline: str = "demo",
    engine: str = "",
    workspace: str = "",
    set: Any = None,
    dry_run: bool = False,
    verify: bool = False,
    compare: Any = None,
) -> None:
    """Write the report page, or a page about two runs side by side."""
    from edgemill import report_commands

    request = request_of(pipeline, engine, workspace, set)
    if compare:
        run(lambda: report_commands.compare(request, compare))
    else:
        run(lambda: commands.build(request, ["report"], dry_run=dry_run, verify=verify))


@task(iterable=["set"], help=BUILD_HELP)
def demo(
    _c: Context, pipeline: str = "demo", engine: str = "", workspace: str = "", set: Any = None, dry_run: bool = False, verify: bool = False
) -> None:
    """Run the whole chain on a dataset that it draws itself, and show what came out."""
    request = request_of(pipeline, engine, workspace, set)
    run(lambda: commands.demo(request, dry_run=dry_run, verify=verify))


@task(
    help={
        "path": "A pipeline.config, or a folder of *.config files.",
        "engine": PIPELINE_HELP["engine"],
        "workspace": PLACE_HELP["workspace"],
    },
)
def configs(_c: Context, path: str, engine: str = "", workspace: str = "") -> None:
    """Say of each pipeline.config whether it trains with TensorFlow 1, with TensorFlow 2, or what it needs instead."""
    from edgemill import config_commands

    run(lambda: config_commands.classify(request_of("demo", engine, workspace), path))


@task(
    iterable=["path", "set"],
    help={
        **PIPELINE_HELP,
        "path": "A picture, a video, or a folder; `--path` may be left out, and several be given.",
        "output": "Folder for the results (else the first of detections, detections-2, … that is not there).",
        "threshold": "Least score of an object, 0 to 1 (else each class's own, from the evaluation).",
        "every": "Of a video, every Nth frame alone.",
        "overwrite": "Write into a folder that holds something, over files of the same names.",
        "stage": "The stage that makes the package, where a pipeline has several.",
    },
)
def detect(
    _c: Context,
    pipeline: str = "demo",
    path: Any = None,
    output: str = "",
    threshold: str = "",
    every: int = 1,
    overwrite: bool = False,
    stage: str = "",
    engine: str = "",
    workspace: str = "",
    set: Any = None,
) -> None:
    """Find objects in pictures, videos and folders of them with a pipeline's package: ./mill detect -p NAME PATH [PATH …]."""
    from edgemill import detect_commands

    request = request_of(pipeline, engine, workspace, set)
    options: dict[str, Any] = {"stage": stage, "threshold": threshold, "every": every, "overwrite": overwrite}
    run(lambda: detect_commands.detect(request, path or (), output, **options))


# Tasks whose other arguments are a list, which Invoke does not know: the option that each of them is.
LISTS = {"detect": "--path", "report": "--compare"}


@task(iterable=["set"], help={**PIPELINE_HELP, "json": "As JSON.", "verify": "Read every byte of sources and artifacts again."})
def status(
    _c: Context, pipeline: str = "demo", engine: str = "", workspace: str = "", set: Any = None, json: bool = False, verify: bool = False
) -> None:
    """Print where each stage stands: state, key, artifact folder and seconds."""
    run(lambda: commands.status(request_of(pipeline, engine, workspace, set), as_json=json, verify=verify))


@task(help=PLACE_HELP)
def graph(_c: Context, pipeline: str = "demo", workspace: str = "") -> None:
    """Print the pipeline as a Mermaid flow chart."""
    run(lambda: commands.graph(request_of(pipeline, workspace=workspace)))


@task(help={**PLACE_HELP, "stage": "The stage's name in the pipeline; else the one that ran last."})
def logs(_c: Context, pipeline: str = "demo", stage: str = "", workspace: str = "") -> None:
    """Print the newest log of a stage."""
    run(lambda: commands.logs(request_of(pipeline, workspace=workspace), stage or None))


@task(
    iterable=["set"],
    help={
        **PIPELINE_HELP,
        "stage": "The stage's name in the pipeline.",
        "lineage": "Of everything that went into it too, one statement a line (.intoto.jsonl).",
    },
)
def provenance(
    _c: Context, stage: str, pipeline: str = "demo", engine: str = "", workspace: str = "", set: Any = None, lineage: bool = False
) -> None:
    """Print how a stage's artifact was made, as an in-toto statement (SLSA provenance v1)."""
    run(lambda: commands.provenance(request_of(pipeline, engine, workspace, set), stage, lineage=lineage))


@task(iterable=["set"], help={**PIPELINE_HELP, "port": "Where to listen, on this machine only."})
def tensorboard(_c: Context, pipeline: str = "demo", engine: str = "", workspace: str = "", set: Any = None, port: int = 6006) -> None:
    """Show a training in TensorBoard, finished or going on."""
    run(lambda: commands.tensorboard(request_of(pipeline, engine, workspace, set), port))


@task(help=PLACE_HELP)
def clean(_c: Context, pipeline: str = "demo", workspace: str = "") -> None:
    """Remove what a pipeline built and no other pipeline uses."""
    run(lambda: commands.clean(request_of(pipeline, workspace=workspace)))


@task(help={"workspace": PLACE_HELP["workspace"], "dry-run": "Only say what would be removed."})
def gc(_c: Context, workspace: str = "", dry_run: bool = False) -> None:
    """Remove artifacts that no pipeline uses, unfinished work, old runs, and environments of images that are no longer declared."""
    run(lambda: commands.gc(request_of("demo", workspace=workspace), dry_run=dry_run))


@task(help={**PLACE_HELP, "engine": PIPELINE_HELP["engine"], "verify": "Read every file of the environments again."})
def doctor(_c: Context, pipeline: str = "demo", engine: str = "", workspace: str = "", verify: bool = False) -> None:
    """Say which engine is chosen and why, and check this machine: daemon, Pythons, images, tools, disk, readiness without a network."""
    run(lambda: commands.doctor(request_of(pipeline, engine, workspace), verify=verify))


@task
def docs(_c: Context) -> None:
    """Write docs/reference.md and the pipelines' JSON Schema from the declarations."""
    run(commands.docs)


@task(
    help={
        "fast": "Leave out the slow tests.",
        "only": "A part of tests/, as in unit or stages/data.",
        "args": "More arguments for pytest, as one string.",
    }
)
def test(_c: Context, fast: bool = False, only: str = "", args: str = "") -> None:
    """Lint, type-check, and run the tests, each part in its image."""
    from edgemill.testing import run_tests

    sys.exit(run_tests(fast=fast, only=only, arguments=args))


namespace = Collection(
    build,
    train,
    evaluate,
    export,
    package,
    report,
    demo,
    configs,
    status,
    graph,
    logs,
    provenance,
    tensorboard,
    clean,
    gc,
    doctor,
    docs,
    test,
)
namespace.add_task(detect)
namespace.add_task(compile_, "compile")
for each in (data, images, bundle, edgetpu):
    namespace.add_collection(each.collection)
