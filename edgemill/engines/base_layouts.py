"""A base out of an OCI image layout: checked from its pinned digest down to the last layer, then loaded into the daemon.

The layout's format: https://github.com/opencontainers/image-spec (image-layout, index, manifest). A daemon that keeps images in its own
store cannot build from a layout directly, and one that loads an archive does not check it against a digest; so the check is done here.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgemill.engines.daemon import find_daemon
from edgemill.errors import EngineError, ImageError
from edgemill.hashing import sha256_file

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
MOST_JSON_BYTES = 4 << 20
INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")


def load_base(folder: Path, digest: str) -> str:
    """Load the image of a digest (of a manifest, or of an index, whose image for this machine is taken); returns its ID in the daemon.

    Raises:
        ImageError: the layout lacks it, or something in it is not what its digest says.
        EngineError: the daemon does not take it.
    """
    import docker

    entry: dict[str, Any] = {"digest": digest}
    document = _document(folder, entry)
    if document.get("mediaType") in INDEXES or "manifests" in document:
        entry = _for_this_machine(document, folder)
        document = _document(folder, entry)
    try:
        parts = [document["config"], *document["layers"]]
        blobs = [_blob(folder, part) for part in parts]
    except (KeyError, TypeError):
        raise ImageError("a manifest in the layout lists no config and layers", where=f"{folder}: {entry['digest']}") from None
    client = docker.DockerClient(base_url=find_daemon().address)
    with tempfile.TemporaryFile() as archive:
        _pack(archive, entry, [_blob(folder, entry), *blobs])
        archive.seek(0)
        loaded = client.images.load(archive)
    ids = {image.id for image in loaded}
    wanted = {str(entry["digest"]), str(document["config"]["digest"])}
    for found in ids & wanted:
        return str(found)
    raise EngineError(
        "the daemon made another image of a base than the layout holds", where=str(folder), expected=" or ".join(wanted), found=str(ids)
    )


def _pack(archive: Any, entry: dict[str, Any], blobs: list[Path]) -> None:
    """An archive that `docker load` takes: a layout of one manifest, which also says so in Docker's older way."""
    media = "application/vnd.oci.image.manifest.v1+json"
    described = {**entry, "mediaType": entry.get("mediaType", media), "size": blobs[0].stat().st_size}
    names = [f"blobs/sha256/{path.name}" for path in blobs]
    files = {
        "oci-layout": {"imageLayoutVersion": "1.0.0"},
        "index.json": {"schemaVersion": 2, "manifests": [described]},
        "manifest.json": [{"Config": names[1], "RepoTags": None, "Layers": names[2:]}],
    }
    with tarfile.open(fileobj=archive, mode="w") as packed:
        for name, value in files.items():
            content = json.dumps(value).encode()
            info = tarfile.TarInfo(name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
        for name, path in zip(names, blobs, strict=True):
            packed.add(path, name, recursive=False)


def _for_this_machine(index: dict[str, Any], folder: Path) -> dict[str, Any]:
    wanted = ARCHITECTURES.get(os.uname().machine, os.uname().machine)
    for entry in index.get("manifests", ()):
        platform = entry.get("platform") or {}
        if (platform.get("os"), platform.get("architecture")) == ("linux", wanted):
            return dict(entry)
    found = ", ".join(_platforms(index))
    raise ImageError("the base in the layout is not for this machine", where=str(folder), expected=f"linux/{wanted}", found=found)


def _platforms(index: dict[str, Any]) -> Iterator[str]:
    for entry in index.get("manifests", ()):
        platform = entry.get("platform") or {}
        yield f"{platform.get('os')}/{platform.get('architecture')}"


def _document(folder: Path, entry: dict[str, Any]) -> dict[str, Any]:
    path = _blob(folder, entry)
    problem: object = "too large" if path.stat().st_size > MOST_JSON_BYTES else "no JSON object"
    try:
        document = {} if problem == "too large" else json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        document, problem = {}, error
    if isinstance(document, dict) and document:
        return document
    raise ImageError("a manifest in the layout cannot be read", where=str(path), found=str(problem))


def _blob(folder: Path, entry: dict[str, Any]) -> Path:
    """The file of a digest, its content checked. Raises ImageError."""
    digest = str(entry["digest"])
    path = folder / "blobs" / "sha256" / digest.removeprefix("sha256:")
    if len(path.name) != 64 or not path.name.isalnum() or not path.is_file():
        raise ImageError("an OCI layout does not hold what is asked for", where=str(folder), expected=digest, found="no such blob")
    found = f"sha256:{sha256_file(path)}"
    if found != digest:
        raise ImageError("a blob of an OCI layout is not what its name says", where=str(path), expected=digest, found=found)
    return path
