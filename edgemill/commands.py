"""What each task does, as functions that can be called without Invoke."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgemill import PROJECT
from edgemill.build import Build
from edgemill.console import Console, describe, printable
from edgemill.documents import display, unknown_name
from edgemill.engines.choice import choose_engine
from edgemill.engines.process import StopRequests
from edgemill.engines.seam import Engine
from edgemill.errors import EdgeMillError, RequestError
from edgemill.images import Image
from edgemill.outcome import unwritten
from edgemill.pipelines import Pipeline, find_pipeline, load_pipeline
from edgemill.plan import StepStatus, make_plan
from edgemill.runs import records
from edgemill.workspace import Workspace

EVENTS = "events/"  # where a checkpoint of any kind has what TensorBoard shows


@dataclass(frozen=True)
class Request:
    """What the user asked for: a pipeline's name or path, an engine, a workspace, settings."""

    pipeline: str = "demo"
    engine: str | None = None
    workspace: str | None = None
    settings: Sequence[str] = ()

    def load(self) -> Pipeline:
        """The checked pipeline. Raises RequestError."""
        return load_pipeline(find_pipeline(self.pipeline), self.settings)

    def place(self) -> Workspace:
        """The workspace: the one named, EDGEMILL_WORKSPACE, or `workspace` in the project. Raises RequestError where it cannot be one."""
        path = Path(self.workspace or os.environ.get("EDGEMILL_WORKSPACE") or PROJECT / "workspace").absolute()
        if os.pathsep in str(path):  # it separates the folders that a stage's Python imports from
            raise RequestError(f"a workspace's path must not hold {os.pathsep!r}", where=str(path), remedy="--workspace names another one")
        return Workspace(path)

    def choose(self, pipeline: Pipeline, stops: StopRequests | None = None) -> Engine:
        """The engine: the one named, EDGEMILL_ENGINE, the pipeline's, or the default."""
        return choose_engine(self.engine, pipeline.engine, stops or StopRequests())


def build(request: Request, targets: Sequence[str] = (), *, dry_run: bool = False, verify: bool = False) -> dict[str, StepStatus]:
    """Build a pipeline, or the part that makes `targets`; with `dry_run` only say what would run.

    Raises:
        EdgeMillError: as in `Build.run`.
    """
    pipeline = request.load().select(targets)
    stops = StopRequests()
    engine = request.choose(pipeline, stops)
    console = Console()
    workspace = request.place()
    if dry_run:
        statuses = make_plan(pipeline, workspace, engine, verify=verify)
        for line in status_lines(statuses):
            print(line)
        return statuses
    console.say(f"{pipeline.name}: {engine.name} engine, workspace {display(workspace.root)}")
    return Build(pipeline, workspace, engine, console, stops, verify).run()


def status_lines(statuses: Mapping[str, StepStatus]) -> Iterator[str]:
    """A line for each step."""
    width = max(len(name) for name in statuses)
    for name, status in statuses.items():
        yield f"  {name.ljust(width)}  {describe(status)}"


def status(request: Request, *, as_json: bool = False, verify: bool = False) -> None:
    """Print where each step stands; as JSON: state, key, artifact folder, digest, seconds and reason of each."""
    pipeline = request.load()
    statuses = make_plan(pipeline, request.place(), request.choose(pipeline), verify=verify)
    if not as_json:
        for line in status_lines(statuses):
            print(line)
        return
    answer = {
        name: {
            "state": status.state.value,
            "stage": status.step.contract.name,
            "key": status.key,
            "artifact": status.artifact and str(status.artifact.path),
            "digest": status.artifact and status.artifact.digest,
            "seconds": status.artifact and status.artifact.seconds,
            "reason": status.reason,
        }
        for name, status in statuses.items()
    }
    print(json.dumps(answer, indent=1))


def graph(request: Request) -> None:
    """Print the pipeline as a Mermaid flow chart."""
    pipeline = request.load()
    print("flowchart LR")
    for name, step in pipeline.steps.items():
        print(f'  {name}["{name} ({step.image.name})"]')
        for key, feeders in step.inputs.items():
            optional = step.contract.inputs[key].optional
            for feeder in feeders:
                print(f"  {feeder} {'-.->' if optional else '-->'}|{pipeline.steps[feeder].kind.name}| {name}")


def logs(request: Request, step: str | None = None) -> None:
    """Print the newest log of a step, or of the last step that ran."""
    pipeline = request.load()
    if step is not None and step not in pipeline.steps:
        raise unknown_name("stage of this pipeline", step, pipeline.steps, display(pipeline.path))
    for folder, _ in records(request.place().runs, pipeline.name):
        found = sorted(folder.glob(f"{step or '*'}.log"), key=lambda path: path.stat().st_mtime)
        if found:
            print(f"# {found[-1]}", file=sys.stderr)
            with found[-1].open("rb") as stream:
                shutil.copyfileobj(stream, sys.stdout.buffer)
            return
    raise RequestError(
        "no run of this pipeline has left a log", where=display(request.place().runs), remedy=f"./mill build -p {request.pipeline}"
    )


def artifact_path(request: Request, kind: str) -> Path:
    """The published artifact of a kind, of a pipeline. Raises RequestError where it is not built."""
    pipeline = request.load()
    statuses = make_plan(pipeline, request.place(), request.choose(pipeline))
    for status in reversed(list(statuses.values())):
        if status.step.kind.name == kind and status.artifact is not None:
            return request.place().pipelines / pipeline.name / status.step.name
    raise RequestError(
        f"the pipeline {pipeline.name!r} has no {kind} yet", where=display(pipeline.path), remedy=f"./mill build -p {request.pipeline}"
    )


def provenance(request: Request, step: str, *, lineage: bool = False) -> None:
    """Print the statement of how a step's artifact was made; with `lineage`, of all that went into it too, one JSON object a line.

    Raises:
        RequestError: there is no such step, or it is not built.
    """
    from edgemill.lineage import trace
    from edgemill.provenance import bundle

    pipeline, workspace = request.load(), request.place()
    if step not in pipeline.steps:
        raise unknown_name("stage of this pipeline", step, pipeline.steps, display(pipeline.path))
    artifact = make_plan(pipeline, workspace, request.choose(pipeline))[step].artifact
    if artifact is None:
        raise RequestError(
            f"the stage {step!r} of the pipeline {pipeline.name!r} is not built",
            where=display(pipeline.path),
            remedy=f"./mill build -p {request.pipeline}",
        )
    origins = trace(workspace, artifact) if lineage else []
    for origin in origins:
        if origin.artifact is None:
            print(f"warning: {origin.gone}, so its statement is left out", file=sys.stderr)
    made = [origin.artifact for origin in origins if origin.artifact is not None] or [artifact]
    sys.stdout.buffer.write(bundle(each.manifest for each in made))


def tensorboard(request: Request, port: int, *, program: str = "tensorboard") -> int:
    """Run TensorBoard on a pipeline's training, finished or going on; returns its exit status. Raises EdgeMillError."""
    from edgemill.engines import environments

    pipeline, workspace = request.load(), request.place()
    statuses = make_plan(pipeline, workspace, request.choose(pipeline))
    for name, status in statuses.items():
        if not status.step.kind.is_evidence(EVENTS) or status.key is None:
            continue
        folder = status.artifact.path if status.artifact else workspace.work_folder(status.step.contract.name, status.key) / "scratch"
        if not folder.is_dir():
            break
        environments.make(status.step.image, print, StopRequests())
        home = environments.environment_path(status.step.image)
        command = [str(home / "bin" / program), "--logdir", str(folder), "--host", "127.0.0.1", "--port", str(port)]
        print(f"TensorBoard of {name}: http://127.0.0.1:{port} (Ctrl-C ends it)")
        return subprocess.run(command, env=environments.stage_environment(home, status.step.image), check=False).returncode
    raise RequestError("there is no training to show yet", where=display(pipeline.path), remedy=f"./mill train -p {request.pipeline}")


def run_guarded(call: Callable[[], object]) -> int:
    """Run a command to its exit status: 0 done, 1 failed, 2 wrong request, 130 stopped; its error is one message on standard error."""
    try:
        call()
    except EdgeMillError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        print(f"error: {unwritten('the command failed', error, PROJECT)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0


def demo(request: Request, *, dry_run: bool = False, verify: bool = False) -> None:
    """Build a pipeline and say where to look. Raises EdgeMillError."""
    statuses = build(request, dry_run=dry_run, verify=verify)
    if dry_run:
        return
    place = request.place().pipelines / Path(request.pipeline).stem
    kinds = {status.step.kind.name: name for name, status in statuses.items() if status.artifact is not None}
    for kind, label, file in (("report", "report", "report.html"), ("package", "package", "")):
        if kind in kinds:
            print(f"{label + ':':<9}{display(place / kinds[kind] / file)}")
    if "package" in kinds:
        python = _interpreter_of(statuses[kinds["package"]])
        print(f"try it:  {python} {display(place / kinds['package'] / 'detect.py')} IMAGE --threshold 0.3")


def _interpreter_of(status: StepStatus) -> str:
    """A command that runs Python with what a stage has: its environment's, or else its container image's, which sees the current folder."""
    from edgemill.engines import container_images, environments

    image = status.step.image
    if environments.is_made(image) or container_images.recorded(image) is None:
        return display(environments.environment_path(image) / "bin" / "python")
    return f'docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:$PWD" -w "$PWD" {container_images.tag_of(image)} python'


def clean(request: Request) -> None:
    """Remove what a pipeline built, its preflight included, and no other uses. Raises RequestError."""
    from edgemill import tidy
    from edgemill.preflight_commands import preflight_name

    workspace, name, console = request.place(), find_pipeline(request.pipeline).stem, Console()
    if (workspace.pipelines / preflight_name(name)).is_dir():
        tidy.clean(workspace, preflight_name(name), console)
    tidy.clean(workspace, name, console)


def gc(request: Request, *, dry_run: bool = False) -> None:
    """Give disk space back. Raises RequestError while a build runs."""
    from edgemill import tidy

    tidy.gc(request.place(), Console(), dry_run=dry_run)
    tidy.gc_environments(Console(), dry_run=dry_run)
    tidy.gc_images(Console(), dry_run=dry_run)


def doctor(request: Request, *, verify: bool = False) -> None:
    """Check the machine. Raises EdgeMillError where something that the pipeline needs is missing."""
    from edgemill.doctor import examine

    pipeline = request.load()
    examine(pipeline, request.place(), request.choose(pipeline), request.engine, verify=verify)


def lock_images(image: str | None, *, upgrade: bool = False, offline: bool = False, debs: Sequence[str] = ()) -> None:
    """Refresh locks and the images' pins, and print what changed. Raises EdgeMillError."""
    from edgemill.image_pins import refresh, registry_digest
    from edgemill.images import load_images
    from edgemill.images_lock import lock_host, lock_image

    images = load_images()
    if image is not None and image not in (*images, "host"):
        raise unknown_name("image", image, (*images, "host"), "--image")
    for name in [] if offline else [image] if image else ["host", *images]:
        changes = lock_host(upgrade=upgrade) if name == "host" else lock_image(images[name], upgrade=upgrade)
        print(changes or f"{name}: unchanged")
    asked = None if offline or image is not None else registry_digest
    print(refresh(load_images().values(), asked, [Path(deb) for deb in debs]) or "images.lock: unchanged")


def build_images(image: str | None) -> None:
    """Build container images ahead of time, from what images.lock pins. Raises EdgeMillError."""
    from edgemill.engines.docker_engine import DockerEngine

    engine = DockerEngine()
    for declared in _declared(image):
        if image is None and (reason := engine.lacks(declared, list(declared.tools))):
            print(f"{declared.name}: not built: {reason}")
            continue
        print(f"{declared.name}: {engine.describe(engine.built(declared, print))}")


def verify_images(image: str | None) -> None:
    """Build images again from nothing and compare. Raises EdgeMillError where one is not the same."""
    from edgemill.engines.docker_engine import DockerEngine
    from edgemill.engines.image_compare import verify

    engine = DockerEngine()
    for declared in _declared(image):
        if image is None and engine.lacks(declared, list(declared.tools)):
            continue
        print(f"{declared.name}: built twice, the same image: {verify(engine, declared, print)}")


def fill_wheels(image: str | None) -> None:
    """Download all wheels into the wheelhouse. Raises EdgeMillError."""
    from edgemill.images import load_images
    from edgemill.images_lock import HOST
    from edgemill.wheels import HOST_PYTHONS, fill, fill_image, wheels_folder

    if image in (None, "host"):
        print(f"host: {fill('host', HOST, HOST_PYTHONS)} new wheels")
    for declared in [] if image == "host" else _declared(image, tests=True):
        print(f"{declared.name}: {fill_image(declared)} new wheels")
    if image is None:
        images = load_images()
        lock = images["data"].lock.with_name("patching.lock")
        print(f"patching: {fill('patching', lock, [declared.python for declared in images.values()][:1])} new wheels")
    print(display(wheels_folder()))


def stand_in(base: str, image: str, reason: str) -> None:
    """Record an image of this site's own for a base. Raises EdgeMillError."""
    from edgemill.engines.container_images import write_stand_in
    from edgemill.engines.docker_engine import DockerEngine
    from edgemill.images import load_images

    DockerEngine().connect()
    bases = sorted({declared.base for declared in load_images().values()})
    if base not in bases:
        raise unknown_name("base", base, bases, "--base")
    print(f"{base}: {write_stand_in(base, image, reason).id} stands in for it")


def image_bill(image: str, *, declared: bool = False) -> None:
    """Print an image's bill of materials; with `declared`, without asking the container image. Raises EdgeMillError."""
    from edgemill.bundles import seams
    from edgemill.engines.container_images import recorded
    from edgemill.wheels import listed

    (found,) = _declared(image)
    built = not declared and recorded(found) is not None
    sys.stdout.buffer.write(seams.image_bill(found, listed(), built=built))


def _declared(image: str | None, *, tests: bool = False) -> list[Image]:
    """The image of a name, or all of them but those that only add tests, and variants, which are large. Raises RequestError."""
    from edgemill.images import load_images

    images = load_images()
    if image is not None and image not in images:
        raise unknown_name("image", image, images, "--image")
    return (
        [images[image]]
        if image
        else [declared for declared in images.values() if declared.extends is None or (tests and not declared.gpus)]
    )


def make_images(image: str | None) -> None:
    """Make environments ahead of time. Raises EdgeMillError."""
    from edgemill.engines import environments

    for declared in _declared(image):
        print(f"{declared.name}: {display(environments.make(declared, print, StopRequests()))}")


def docs() -> None:
    """Write what follows from the declarations. Raises RequestError where one is wrong."""
    from edgemill.reference import write_reference

    for path in write_reference():
        print(display(path))
