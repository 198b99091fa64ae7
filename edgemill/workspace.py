"""The workspace: published artifacts, work in progress, runs and links. See docs/architecture.md for its layout."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgemill import SCHEMA
from edgemill.contracts import Contract
from edgemill.errors import DamagedArtifactError, RequestError, StageFailedError
from edgemill.files import flush_folder, flush_path, link, remove, set_writable, write_json
from edgemill.hashing import StatIndex, digest_files, digest_of, sha256_file, walk
from edgemill.kinds import Kind

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Artifact:
    """A published folder and its manifest."""

    path: Path
    manifest: Mapping[str, Any]

    @property
    def key(self) -> str:
        """What decided that it was made."""
        return str(self.manifest["key"])

    @property
    def digest(self) -> str:
        """The digest of its content, evidence left out."""
        return str(self.manifest["digest"])

    @property
    def seconds(self) -> float:
        """How long its stage ran."""
        return float(self.manifest["seconds"])

    def verify(self) -> None:
        """Read every byte again.

        Raises:
            DamagedArtifactError: naming the first file that is not as published.
        """
        expected = {entry["path"]: entry for entry in self.manifest["files"]}
        try:
            found = {name: (path, status.st_size) for name, path, status in walk(self.path) if name != MANIFEST}
        except RequestError as error:
            raise DamagedArtifactError("a published artifact is damaged", where=error.where, found=error.what) from None
        for name in sorted(expected.keys() ^ found.keys()):
            raise self._damaged(name, "missing" if name in expected else "not in the manifest")
        for name, entry in expected.items():
            path, size = found[name]
            if size != entry["bytes"]:
                raise self._damaged(name, f"{size} bytes instead of {entry['bytes']}")
            try:
                sha256 = sha256_file(Path(path))
            except OSError as error:
                raise self._damaged(name, error.strerror or "unreadable") from None
            if path.is_symlink() or sha256 != entry["sha256"]:
                raise self._damaged(name, "a link" if path.is_symlink() else "other bytes than were published")

    def check_sizes(self) -> None:
        """The same from the files' sizes alone: quick enough for every plan. Raises DamagedArtifactError."""
        for entry in self.manifest["files"]:
            try:
                size = os.stat(self.path / entry["path"]).st_size
            except OSError as error:
                raise self._damaged(entry["path"], error.strerror or "unreadable") from None
            if size != entry["bytes"]:
                raise self._damaged(entry["path"], f"{size} bytes instead of {entry['bytes']}")

    def _damaged(self, name: str, how: str) -> DamagedArtifactError:
        return DamagedArtifactError("a published artifact is damaged", where=str(self.path / name), found=how)


class Workspace:
    """A folder of artifacts, work and runs. Making the object touches nothing."""

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.abspath(root))
        self.artifacts = self.root / "artifacts"
        self.work = self.root / "work"
        self.runs = self.root / "runs"
        self.pipelines = self.root / "pipelines"

    def stat_index(self, *, verify: bool = False) -> StatIndex:
        """Digests of source files, kept in the workspace."""
        return StatIndex(self.root / "index", verify=verify)

    def artifact_folder(self, stage: str, key: str) -> Path:
        """Where the artifact of a key is, once it is published."""
        return self.artifacts / stage / key

    def work_folder(self, stage: str, key: str) -> Path:
        """Where the artifact of a key is made."""
        return self.work / stage / key

    def key_lock(self, stage: str, key: str) -> Path:
        """The lock of a key: whoever holds it may make or set aside its artifact."""
        return self.work / stage / f"{key}.lock"

    @property
    def damaged(self) -> Path:
        """Where damaged artifacts are moved; `gc` removes them."""
        return self.work / "damaged"

    def find(self, stage: str, key: str, *, verify: bool = False) -> Artifact | None:
        """The published artifact of a key, or None.

        Raises:
            DamagedArtifactError: it is there, but its manifest or a file's size (with `verify`, any byte) is not as published.
        """
        folder = self.artifact_folder(stage, key)
        if not folder.is_dir():
            return None
        artifact = Artifact(folder, read_manifest(folder))
        if artifact.key != key:
            raise DamagedArtifactError("a published artifact is damaged", where=str(folder / MANIFEST), expected=key, found=artifact.key)
        if verify:
            artifact.verify()
        else:
            artifact.check_sizes()
        return artifact

    def set_aside(self, folder: Path) -> Path:
        """Move an artifact out of the way in one rename; `gc` removes it. Its key's lock must be held."""
        aside = self.damaged / f"{folder.parent.name}-{folder.name[:16]}-{os.getpid()}"
        aside.parent.mkdir(parents=True, exist_ok=True)
        remove(aside)
        folder.chmod(0o755)  # moving a folder to another parent writes to it
        folder.rename(aside)
        return aside

    def unlink_pipeline(self, pipeline: str, step: str) -> None:
        """Remove `pipelines/<pipeline>/<step>`, which would lead to an artifact of another build."""
        place = self.pipelines / pipeline / step
        if place.is_symlink():
            place.unlink()

    def link_pipeline(self, pipeline: str, step: str, artifact: Artifact) -> None:
        """Point `pipelines/<pipeline>/<step>` at an artifact."""
        place = self.pipelines / pipeline / step
        with contextlib.suppress(OSError):
            if place.readlink() == Path(os.path.relpath(artifact.path, place.parent)):
                return
        link(place, artifact.path)


def read_manifest(folder: Path) -> dict[str, Any]:
    """A manifest, checked against its own checksum. Raises DamagedArtifactError."""
    path = folder / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_bytes())
        checksum = manifest.pop("checksum")
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise DamagedArtifactError(
            "a published artifact has no readable manifest", where=str(path), found=f"{type(error).__name__}: {error}"
        ) from None
    if digest_of(manifest) != checksum:
        raise DamagedArtifactError("a manifest is not as it was published", where=str(path), expected=checksum, found=digest_of(manifest))
    if manifest.get("schema") != SCHEMA:
        raise DamagedArtifactError(
            "a manifest has another schema", where=str(path), expected=str(SCHEMA), found=str(manifest.get("schema"))
        )
    return manifest


def list_files(folder: Path) -> list[str]:
    """Relative paths of the files below a stage's output. Raises StageFailedError for links and the like."""
    for here, folders, names in os.walk(folder):
        for path in (os.path.join(here, name) for name in (*folders, *names)):
            if os.path.islink(path):
                raise StageFailedError("a symbolic link is in its output", where=path, expected="files and folders only")
    try:
        found = [name for name, _, _ in walk(folder)]
    except RequestError as error:
        raise StageFailedError(f"its output holds what cannot be published: {error.what}", where=error.where) from None
    for name in found:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise StageFailedError("the name of a file in its output is not UTF-8", where=str(folder), found=ascii(name)) from None
    return found


def publish(workspace: Workspace, contract: Contract, kind: Kind, key: str, output: Path, facts: Mapping[str, Any]) -> Artifact:
    """Validate a stage's output and make it the artifact of `key`, in one rename of a flushed folder.

    `facts` go into the manifest. A kill at any instant leaves either the whole artifact or none.

    Raises:
        StageFailedError: the output is not a valid artifact of its kind.
        OSError: the disk is full or failing; nothing is published then.
    """
    names = list_files(output)
    if not names:
        raise StageFailedError("it exited with 0, but left nothing", where=str(output), expected=f"an artifact of kind {kind.name}")
    kind.validate(output, names)
    files = [{"path": name, "sha256": sha256_file(output / name), "bytes": (output / name).stat().st_size} for name in names]
    digest = content_digest(kind, files)
    own = {**facts["lineage"][key], "digest": digest}
    manifest = {
        **facts,
        "lineage": {**facts["lineage"], key: own},
        "schema": SCHEMA,
        "stage": contract.name,
        "kind": kind.name,
        "key": key,
        "digest": digest,
        "files": files,
        "evidence": list(kind.evidence),
    }
    write_json(output / MANIFEST, {**manifest, "checksum": digest_of(manifest)})
    set_writable(output, writable=False)
    output.chmod(0o755)  # moving a folder to another parent writes to it
    flush_folder(output)
    place = workspace.artifact_folder(contract.name, key)
    place.parent.mkdir(parents=True, exist_ok=True)
    output.rename(place)
    for folder in (place.parent, workspace.artifacts, workspace.root):
        flush_path(folder)
    place.chmod(0o555)
    return Artifact(place, manifest)


def content_digest(kind: Kind, files: Sequence[Mapping[str, Any]]) -> str:
    """An artifact's digest: over its files, evidence left out."""
    return digest_files((entry["path"], entry["sha256"], entry["bytes"]) for entry in files if not kind.is_evidence(entry["path"]))
