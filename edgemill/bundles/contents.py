"""What goes into a bundle, and where it goes in the installed folder: the project, wheels, data and artifacts."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgemill import PROJECT
from edgemill.bundles.index import Link, Source
from edgemill.bundles.names import ARTIFACTS, DATA, RESERVED
from edgemill.documents import as_list, display, load_yaml
from edgemill.engines.seam import Engine
from edgemill.errors import BundleError, RequestError
from edgemill.hashing import walk
from edgemill.pipelines import Pipeline, Step
from edgemill.plan import make_plan
from edgemill.workspace import Workspace

GIT_SECONDS = 600


@dataclass(frozen=True)
class Item:
    """A file of the installed folder, and where its bytes are now."""

    path: str
    source: Path
    executable: bool = False


@dataclass(frozen=True)
class Project:
    """The project's files at a revision; `dirty` where they are those of the working tree."""

    items: tuple[Item, ...]
    revision: str
    dirty: bool


def project_files(spool: Path, *, dirty: bool, root: Path = PROJECT) -> Project:
    """The project at its revision; with `dirty` as it lies there, without what git ignores.

    Raises:
        BundleError: it is no git checkout, it has changes (without `dirty`), or holds what cannot be carried.
    """
    revision = _git(root, "rev-parse", "HEAD").decode().strip()
    changed = _git(root, "status", "--porcelain", "--untracked-files=all", "-z", "--", ".").decode(errors="replace").split("\0")
    changed = [line for line in changed if line]
    if changed and not dirty:
        raise BundleError(
            "the project has changes that are in no revision",
            where=str(root),
            found="\n".join(changed[:10] + (["…"] if len(changed) > 10 else [])),
            remedy="commit them, or take them as they are with --dirty",
        )
    items = _working_files(root) if changed else _committed_files(root, spool)
    return Project(tuple(items), revision, bool(changed))


def _working_files(root: Path) -> Iterator[Item]:
    for name in sorted(set(_git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split(b"\0")) - {b""}):
        path = root / os.fsdecode(name)
        if path.is_symlink():
            raise _uncarried(path, "a link")
        if path.is_file():  # one that was deleted is still listed
            yield Item(os.fsdecode(name), path, os.access(path, os.X_OK))
        elif path.exists():
            raise _uncarried(path, "a repository of its own")


def _committed_files(root: Path, spool: Path) -> Iterator[Item]:
    entries = [entry for entry in _git(root, "ls-tree", "-r", "-z", "HEAD").split(b"\0") if entry]
    spool.mkdir()
    command = ["git", "-C", str(root), "cat-file", "--batch"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        if process.stdin is None or process.stdout is None:
            raise BundleError("git cannot be heard", where=str(root))
        for number, entry in enumerate(entries):
            about, _, name = entry.partition(b"\t")
            mode, kind, sha = about.split()
            if kind != b"blob" or mode not in (b"100644", b"100755"):
                raise _uncarried(root / os.fsdecode(name), "a link" if mode == b"120000" else "a repository of its own")
            process.stdin.write(sha + b"\n")
            process.stdin.flush()
            size = int(process.stdout.readline().split()[2])
            place = spool / str(number)
            place.write_bytes(process.stdout.read(size))
            process.stdout.read(1)
            yield Item(os.fsdecode(name), place, mode == b"100755")
        process.stdin.close()


def _uncarried(path: Path, what: str) -> BundleError:
    return BundleError("the project holds what a bundle cannot carry", where=str(path), found=what, expected="files")


def _git(root: Path, *arguments: str) -> bytes:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, timeout=GIT_SECONDS, check=False)
    except FileNotFoundError:
        raise BundleError("there is no git to read the project with", where="PATH", remedy="install git") from None
    if done.returncode:
        raise BundleError(
            "git cannot read the project",
            where=str(root),
            found=done.stderr.decode(errors="replace").strip(),
            remedy="make bundles in a git checkout of the project",
        )
    return done.stdout


def data_files(pipelines: Iterable[Pipeline], project: Project) -> tuple[list[Item], list[Source]]:
    """What the pipelines' `format: path` parameters name and the project does not hold. Raises RequestError."""
    known = {item.path for item in project.items}
    places: dict[Path, str] = {}
    items: list[Item] = []
    sources: dict[str, Source] = {}
    for pipeline, step, param, number, found in external(pipelines):
        files = {"": found} if found.is_file() else {f"/{name}": Path(entry.path) for name, entry, _ in walk(found)}
        if _of_project(found, files.values(), known):
            continue
        if not files:
            raise RequestError("the folder is empty: there is no data to carry", where=str(found))
        real = found.resolve()
        if real not in places:
            places[real] = DATA + _place(found.name, {place.rpartition("/")[2] for place in places.values()})
            items += [Item(places[real] + name, path) for name, path in files.items()]
        spelled = _spelled(pipeline, step, param, number, found)
        sources[spelled] = Source(spelled, places[real])
    return items, sorted(sources.values(), key=lambda source: source.path)


def external(pipelines: Iterable[Pipeline]) -> Iterator[tuple[Pipeline, Step, str, int, Path]]:
    """Each file or folder that a parameter names, with its pipeline, step, parameter and place in the parameter's list."""
    for pipeline in pipelines:
        for step in pipeline.steps.values():
            for param, number, path in step.sources():
                yield pipeline, step, param, number, path


def _of_project(found: Path, files: Iterable[Path], known: set[str]) -> bool:
    """Whether everything there is carried with the project. Raises RequestError where only a part of it is."""
    inside = [path.is_relative_to(PROJECT) and path.relative_to(PROJECT).as_posix() in known for path in files]
    if found.is_relative_to(PROJECT) and any(inside) and not all(inside):
        raise RequestError(
            "a part of the data is in the project's revision and a part is not, so the far side would see another folder",
            where=str(found),
            remedy="commit all of it, or move it out of the project",
        )
    return bool(inside) and found.is_relative_to(PROJECT) and all(inside)


def _place(name: str, taken: set[str]) -> str:
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-") or "data"
    number = 1
    while (candidate := plain if number == 1 else f"{plain}-{number}").lower() in {other.lower() for other in taken}:
        number += 1
    return candidate


def _spelled(pipeline: Pipeline, step: Step, param: str, number: int, found: Path) -> str:
    """A path as the far side will look for it: absolute if the pipeline says it so, else relative to the project."""
    fields = load_yaml(pipeline.path).data["stages"][step.name] or {}
    written = str(as_list((fields.get("params") or {}).get(param, ""))[number])
    return str(found) if os.path.isabs(os.path.expanduser(written)) else Path(os.path.relpath(found, PROJECT)).as_posix()


def artifact_files(pipelines: Iterable[Pipeline], workspace: Workspace, engine: Engine) -> tuple[list[Item], list[Link], list[str]]:
    """The pipelines' published artifacts, each read and checked, and the steps that have none.

    Raises:
        DamagedArtifactError: an artifact is not as it was published.
    """
    items: dict[str, Item] = {}
    links, lacking = [], []
    for pipeline in pipelines:
        for name, status in make_plan(pipeline, workspace, engine).items():
            if status.artifact is None:
                lacking.append(f"{pipeline.name}: {name}")
                continue
            artifact, stage = status.artifact, status.step.contract.name
            links.append(Link(pipeline.name, name, stage, artifact.key))
            if f"{ARTIFACTS}{stage}/{artifact.key}/manifest.json" not in items:
                artifact.verify()
                for file, entry, _ in walk(artifact.path):
                    path = f"{ARTIFACTS}{stage}/{artifact.key}/{file}"
                    items[path] = Item(path, Path(entry.path))
    return list(items.values()), links, lacking


def check_pipelines(pipelines: Sequence[Pipeline], project: Project) -> None:
    """Raise RequestError where a pipeline's file is not carried with the project."""
    known = {item.path for item in project.items}
    for pipeline in pipelines:
        inside = pipeline.path.is_relative_to(PROJECT) and pipeline.path.relative_to(PROJECT).as_posix()
        if not inside or inside not in known or inside.split("/")[0] in RESERVED:
            raise RequestError(
                "the pipeline is not a file of the project, so the bundle would not hold it",
                where=display(pipeline.path),
                remedy="copy it to pipelines/ and commit it",
            )
