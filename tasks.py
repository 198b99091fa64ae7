"""The tasks: each parses its arguments and calls one function of `edgemill`. `./mill --list` shows them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from invoke import Collection, Context, task

from edgemill import commands
from edgemill.commands import Request, run_guarded

PLACE_HELP = {
    "pipeline": "A name in pipelines/, or a path to a YAML file.",
    "workspace": "Where artifacts, work and runs are (else EDGEMILL_WORKSPACE, else `workspace` in the project).",
}
PIPELINE_HELP = {
    **PLACE_HELP,
    "engine": "How stages are run: docker or local (else EDGEMILL_ENGINE, else the pipeline; else docker where a daemon answers).",
    "set": "STAGE.PARAM=VALUE instead of what the pipeline says; may be given several times.",
}
BUILD_HELP = {**PIPELINE_HELP, "dry-run": "Only say what would run.", "verify": "Read every byte of sources and artifacts again."}


def _run(call: Callable[[], object]) -> None:
    status = run_guarded(call)
    if status:
        sys.exit(status)


def _request(pipeline: str, engine: str = "", workspace: str = "", settings: Sequence[str] | None = None) -> Request:
    return Request(pipeline, engine or None, workspace or None, tuple(settings or ()))


def _build_task(name: str, help_text: str, *targets: str) -> Any:
    """A task that builds the part of a pipeline that makes `targets`; all of it for none."""

    def body(
        _c: Context,
        pipeline: str = "demo",
        engine: str = "",
        workspace: str = "",
        set: Any = None,
        dry_run: bool = False,
        verify: bool = False,
    ) -> None:
        _run(lambda: commands.build(_request(pipeline, engine, workspace, set), targets, dry_run=dry_run, verify=verify))

    body.__doc__ = help_text
    return task(body, name=name, iterable=["set"], help=BUILD_HELP)


build = _build_task("build", "Build a whole pipeline.")
data_build = _build_task("build", "Read, audit and pack the data, and no more.", "records")
train = _build_task("train", "Train, with what training needs and no more.", "train")
evaluate = _build_task("evaluate", "Evaluate every model of the pipeline, by each of its protocols.", "evaluation")
export = _build_task("export", "Freeze and convert to .tflite.", "freeze", "convert")
compile_ = _build_task("compile", "Compile for the Edge TPU.", "compile")
package = _build_task("package", "Collect what goes to the device.", "package")


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

    request = _request(pipeline, engine, workspace, set)
    if compare:
        _run(lambda: report_commands.compare(request, compare))
    else:
        _run(lambda: commands.build(request, ["report"], dry_run=dry_run, verify=verify))


@task(iterable=["set"], help=BUILD_HELP)
def demo(
    _c: Context, pipeline: str = "demo", engine: str = "", workspace: str = "", set: Any = None, dry_run: bool = False, verify: bool = False
) -> None:
    """Run the whole chain on a dataset that it draws itself, and show what came out."""
    request = _request(pipeline, engine, workspace, set)
    _run(lambda: commands.demo(request, dry_run=dry_run, verify=verify))


@task(
    name="verify",
    help={
        "path": "A TFRecord file, or a folder of them.",
        "label-map": "The label map that training would use (else the one beside the records).",
        "engine": PIPELINE_HELP["engine"],
        "workspace": PLACE_HELP["workspace"],
    },
)
def data_verify(_c: Context, path: str, label_map: str = "", engine: str = "", workspace: str = "") -> None:
    """Check TFRecords, EdgeMill's or anybody's, and print what is in them and everything wrong with them."""
    from edgemill import data_commands

    _run(lambda: data_commands.verify(_request("demo", engine, workspace), path, label_map))


@task(name="audit", iterable=["set"], help=PIPELINE_HELP)
def data_audit(_c: Context, pipeline: str = "demo", engine: str = "", workspace: str = "", set: Any = None) -> None:
    """Print what the audit found in a pipeline's data, whether they were taken or refused."""
    from edgemill import data_commands

    _run(lambda: data_commands.audit(_request(pipeline, engine, workspace, set)))


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

    _run(lambda: config_commands.classify(_request("demo", engine, workspace), path))


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
def data_export(
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

    _run(lambda: data_commands.export(_request(pipeline, engine, workspace, set), stage, layout, images=images))


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
def data_show(
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
    _run(lambda: data_commands.show(_request(pipeline, engine, workspace, set), stage, path, label_map, params))


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

    request = _request(pipeline, engine, workspace, set)
    options: dict[str, Any] = {"stage": stage, "threshold": threshold, "every": every, "overwrite": overwrite}
    _run(lambda: detect_commands.detect(request, path or (), output, **options))


# Tasks whose other arguments are a list, which Invoke does not know: the option that each of them is.
LISTS = {"detect": "--path", "report": "--compare"}


@task(iterable=["set"], help={**PIPELINE_HELP, "json": "As JSON.", "verify": "Read every byte of sources and artifacts again."})
def status(
    _c: Context, pipeline: str = "demo", engine: str = "", workspace: str = "", set: Any = None, json: bool = False, verify: bool = False
) -> None:
    """Print where each stage stands: state, key, artifact folder and seconds."""
    _run(lambda: commands.status(_request(pipeline, engine, workspace, set), as_json=json, verify=verify))


@task(help=PLACE_HELP)
def graph(_c: Context, pipeline: str = "demo", workspace: str = "") -> None:
    """Print the pipeline as a Mermaid flow chart."""
    _run(lambda: commands.graph(_request(pipeline, workspace=workspace)))


@task(help={**PLACE_HELP, "stage": "The stage's name in the pipeline; else the one that ran last."})
def logs(_c: Context, pipeline: str = "demo", stage: str = "", workspace: str = "") -> None:
    """Print the newest log of a stage."""
    _run(lambda: commands.logs(_request(pipeline, workspace=workspace), stage or None))


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
    _run(lambda: commands.provenance(_request(pipeline, engine, workspace, set), stage, lineage=lineage))


@task(iterable=["set"], help={**PIPELINE_HELP, "port": "Where to listen, on this machine only."})
def tensorboard(_c: Context, pipeline: str = "demo", engine: str = "", workspace: str = "", set: Any = None, port: int = 6006) -> None:
    """Show a training in TensorBoard, finished or going on."""
    _run(lambda: commands.tensorboard(_request(pipeline, engine, workspace, set), port))


@task(help=PLACE_HELP)
def clean(_c: Context, pipeline: str = "demo", workspace: str = "") -> None:
    """Remove what a pipeline built and no other pipeline uses."""
    _run(lambda: commands.clean(_request(pipeline, workspace=workspace)))


@task(help={"workspace": PLACE_HELP["workspace"], "dry-run": "Only say what would be removed."})
def gc(_c: Context, workspace: str = "", dry_run: bool = False) -> None:
    """Remove artifacts that no pipeline uses, unfinished work, old runs, and environments of images that are no longer declared."""
    _run(lambda: commands.gc(_request("demo", workspace=workspace), dry_run=dry_run))


@task(help={**PLACE_HELP, "engine": PIPELINE_HELP["engine"], "verify": "Read every file of the environments again."})
def doctor(_c: Context, pipeline: str = "demo", engine: str = "", workspace: str = "", verify: bool = False) -> None:
    """Say which engine is chosen and why, and check this machine: daemon, Pythons, images, tools, disk, readiness without a network."""
    _run(lambda: commands.doctor(_request(pipeline, engine, workspace), verify=verify))


@task(
    name="lock",
    iterable=["deb"],
    help={
        "image": "One image (or `host`); all of them otherwise.",
        "upgrade": "Take newer versions where the .in file allows them.",
        "offline": "Ask no index and no registry: only record the hashes of the files as they are.",
        "deb": "A Debian package whose sha256 is recorded; may be given several times.",
    },
)
def images_lock(_c: Context, image: str = "", upgrade: bool = False, offline: bool = False, deb: Any = None) -> None:
    """Resolve requirements and bases anew, record every hash in images.lock, and show what changed."""
    _run(lambda: commands.lock_images(image or None, upgrade=upgrade, offline=offline, debs=deb or ()))


@task(name="build", help={"image": "One image; all of them otherwise."})
def images_build(_c: Context, image: str = "") -> None:
    """Build the container images from what images.lock pins, and from nothing else."""
    _run(lambda: commands.build_images(image or None))


@task(name="verify", help={"image": "One image; all of them otherwise."})
def images_verify(_c: Context, image: str = "") -> None:
    """Build container images again from nothing, and name the first path that differs if one does."""
    _run(lambda: commands.verify_images(image or None))


@task(name="wheels", help={"image": "One image (or `host`); all of them otherwise."})
def images_wheels(_c: Context, image: str = "") -> None:
    """Download every wheel into the wheelhouse (EDGEMILL_WHEELS, or .envs/wheels), from which everything is made without a network."""
    _run(lambda: commands.fill_wheels(image or None))


@task(
    name="stand-in",
    help={
        "base": "The base that this site cannot have, as in images.lock.",
        "image": "This site's own image.",
        "reason": "Why, for the record.",
    },
)
def images_stand_in(_c: Context, base: str, image: str, reason: str) -> None:
    """Record an image of this site's own that is used instead of a pinned base; every image built on it says so."""
    _run(lambda: commands.stand_in(base, image, reason))


@task(name="make", help={"image": "One image; all of them otherwise."})
def images_make(_c: Context, image: str = "") -> None:
    """Make the images' environments for the local engine ahead of time."""
    _run(lambda: commands.make_images(image or None))


@task(name="sbom", help={"image": "The image.", "declared": "Only what is declared: do not ask the container image that is built here."})
def images_sbom(_c: Context, image: str, declared: bool = False) -> None:
    """Print what an image is made of, as a CycloneDX bill of materials."""
    _run(lambda: commands.image_bill(image, declared=declared))


@task
def docs(_c: Context) -> None:
    """Write docs/reference.md and the pipelines' JSON Schema from the declarations."""
    _run(commands.docs)


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


@task(
    name="create",
    iterable=["pipeline", "image"],
    help={
        "to": "What to make: a folder, or a .tar or .tar.zst by its name.",
        "pipeline": "A pipeline that must run on the far side (else demo); may be given several times.",
        "image": "An image to carry (else those of the pipelines); may be given several times.",
        "images": "Carry container images; without them the far side has the local engine alone.",
        "data": "Carry the files and folders outside the project that the pipelines name.",
        "artifacts": "Carry what is published of the pipelines.",
        "since": "An older bundle, its bundle.json, or where it is installed: carry only what that one lacks.",
        "sign": "A private key of ssh-keygen's to sign the index with.",
        "dirty": "Carry the project as it lies there, changes that are in no revision included.",
        "workspace": PLACE_HELP["workspace"],
    },
)
def bundle_create(
    _c: Context,
    to: str,
    pipeline: Any = None,
    image: Any = None,
    images: bool = True,
    data: bool = False,
    artifacts: bool = False,
    since: str = "",
    sign: str = "",
    dirty: bool = False,
    workspace: str = "",
) -> None:
    """Make one folder or archive of all that a machine without a network needs."""
    from edgemill.bundles.commands import create_bundle

    _run(
        lambda: create_bundle(
            to,
            pipeline or (),
            image or (),
            no_images=not images,
            data=data,
            artifacts=artifacts,
            since=since,
            sign=sign,
            dirty=dirty,
            workspace=workspace,
        )
    )


@task(
    name="verify", help={"path": "A bundle: folder or archive.", "signers": "A file of allowed signers; one of them must have signed it."}
)
def bundle_verify(_c: Context, path: str, signers: str = "") -> None:
    """Read a whole bundle and compare it with its index."""
    from edgemill.bundles.commands import verify_bundle

    _run(lambda: verify_bundle(path, signers))


@task(
    name="install",
    iterable=["base"],
    help={
        "path": "A bundle: folder or archive.",
        "to": "The folder to make; it must not exist, or be empty.",
        "base": "For a bundle made with --since: its base, as a bundle or an installed folder; may be given several times.",
        "signers": "A file of allowed signers; one of them must have signed it.",
    },
)
def bundle_install(_c: Context, path: str, to: str, base: Any = None, signers: str = "") -> None:
    """Verify a bundle, install it as a folder, and load its images where a Docker daemon answers. Uses no network."""
    from edgemill.bundles.commands import install_bundle

    _run(lambda: install_bundle(path, to, base or (), signers))


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
_data = Collection("data")
_data.add_task(data_build, "build", default=True)
_data.add_task(data_audit, "audit")
_data.add_task(data_export, "export")
_data.add_task(data_verify, "verify")
_data.add_task(data_show, "show")
namespace.add_collection(_data)
_images = Collection("images")
_images.add_task(images_lock, "lock")
_images.add_task(images_make, "make")
_images.add_task(images_build, "build")
_images.add_task(images_verify, "verify")
_images.add_task(images_wheels, "wheels")
_images.add_task(images_stand_in, "stand-in")
_images.add_task(images_sbom, "sbom")
namespace.add_collection(_images)
_bundle = Collection("bundle")
_bundle.add_task(bundle_create, "create")
_bundle.add_task(bundle_verify, "verify")
_bundle.add_task(bundle_install, "install")
namespace.add_collection(_bundle)
