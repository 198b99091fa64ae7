"""`docker/images.lock`: what the images are made of, by hash. `./mill images.lock` writes it; builds use nothing else."""

from __future__ import annotations

import difflib
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from edgemill import SCHEMA
from edgemill.errors import ImageError
from edgemill.files import write_bytes
from edgemill.hashing import sha256_file
from edgemill.images import DOCKER, LOCKED, Image, load_locked

HEADER = "# What the images are made of, by hash. `./mill images.lock` writes this file; review what it changes.\n"
BASES = "EDGEMILL_BASES"
REFRESH = "./mill images.lock, and review what it changes"
INSPECT_SECONDS = 120
_FROM = re.compile(r"(?m)^(FROM )(\S+?)(?:@(sha256:[0-9a-f]{64}))?( AS \S+)?$")

Resolver = Callable[[str], str]


def pins_of(image: Image) -> dict[str, Any]:
    """The hashes of an image's list of requirements and of its patches, as the files are now."""
    patches = image.patches.patches if image.patches else ()
    return {"requirements": sha256_file(image.lock), "patches": {path.name: sha256_file(path) for path in patches}}


def bases_in(dockerfile: Path) -> dict[str, str | None]:
    """The bases that a Dockerfile starts from, with their digests; its own stages and `scratch` left out."""
    found: dict[str, str | None] = {}
    stages = {"scratch"}
    for _, base, digest, name in _FROM.findall(dockerfile.read_text(encoding="utf-8")):
        if base not in stages:
            found[base] = digest or None
        stages.add(name.removeprefix(" AS "))
    return found


def check_pins(image: Image) -> None:
    """Fail unless images.lock pins the image's base, list of requirements and patches, and all of them are as it says.

    Raises:
        ImageError: something is not pinned, or is not what is pinned.
    """
    path = image.dockerfile.with_name(LOCKED)
    locked = load_locked(path)
    if not image.dockerfile.is_file():
        raise ImageError(f"the image {image.name!r} has no Dockerfile", where=str(image.dockerfile))
    if image.base_digest is None:
        raise ImageError("a base is not pinned", where=f"{path}: bases", expected=f"the digest of {image.base}", remedy=REFRESH)
    found: Mapping[str, object] = bases_in(image.dockerfile)
    if found != {image.base: image.base_digest}:
        raise ImageError(
            "the Dockerfile starts from another base than images.lock pins",
            where=str(image.dockerfile),
            expected=f"FROM {image.base}@{image.base_digest}",
            found=", ".join(f"{base}@{digest}" for base, digest in found.items()),
            remedy=REFRESH,
        )
    expected, actual = locked["images"].get(image.name), pins_of(image)
    if expected != actual:
        raise ImageError(
            f"what the image {image.name!r} is made of is not what images.lock pins",
            where=f"{path}: images: {image.name}",
            expected=json.dumps(expected),
            found=json.dumps(actual),
            remedy=REFRESH,
        )


def refresh(images: Iterable[Image], resolve: Resolver | None, debs: Iterable[Path] = (), folder: Path = DOCKER) -> str:
    """Write images.lock anew, and the bases' digests into the Dockerfiles; returns what changed as a unified diff, empty for nothing.

    `resolve` gives the digest that a registry has for a base; without it the bases stay as they are. `debs` are the Debian packages whose
    hashes are recorded.

    Raises:
        ImageError: a base cannot be resolved, or an unknown package is named.
    """
    path = folder / LOCKED
    images = [image for image in images if image.dockerfile.is_file()]
    before = load_locked(path)
    after: dict[str, Any] = {
        "schema": SCHEMA,
        "bases": {base: resolve(base) if resolve else before["bases"].get(base) for base in sorted({image.base for image in images})},
        "images": {image.name: pins_of(image) for image in images},
        "debs": {deb: before["debs"].get(deb) for image in images for deb in image.debs},
    }
    after["bases"] = {base: digest for base, digest in after["bases"].items() if digest}
    for deb in debs:
        if deb.name not in after["debs"]:
            raise ImageError("no image takes this package", where=str(deb), expected=" or ".join(after["debs"]), found=deb.name)
        after["debs"][deb.name] = sha256_file(deb)
    changes = _write(path, HEADER + yaml.safe_dump(after, sort_keys=False, width=140))
    for image in images:
        text = image.dockerfile.read_text(encoding="utf-8")
        digests = after["bases"]

        def pinned(match: re.Match[str], digests: Mapping[str, str] = digests) -> str:
            base = match[2]
            return f"{match[1]}{base}@{digests[base]}{match[4] or ''}" if base in digests else match[0]

        changes += _write(image.dockerfile, _FROM.sub(pinned, text))
    return changes


def _write(path: Path, after: str) -> str:
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    if after != before:
        write_bytes(path, after.encode())
    return "".join(
        difflib.unified_diff(before.splitlines(True), after.splitlines(True), f"{path.name} (before)", f"{path.name} (now)", n=1)
    )


def mirrored(base: str) -> str | None:
    """The base's name in the mirror that EDGEMILL_BASES names; None where it names none, or an OCI layout."""
    bases = os.environ.get(BASES, "")
    return f"{bases.rstrip('/')}/{base}" if bases and not bases.startswith("oci:") else None


def registry_digest(base: str) -> str:
    """The digest that the registry, or the mirror that EDGEMILL_BASES names, has for a base now. Raises ImageError.

    That of an index, where there is one: it covers every architecture.
    """
    docker = shutil.which("docker")
    if docker is None:
        raise ImageError("there is no docker command to ask a registry with", where="PATH")
    command = [docker, "buildx", "imagetools", "inspect", mirrored(base) or base, "--format", "{{json .Manifest}}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSPECT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise ImageError("the registry did not answer", where=base, expected=f"an answer within {INSPECT_SECONDS} s") from None
    try:
        return str(json.loads(done.stdout)["digest"])
    except (ValueError, KeyError, TypeError):
        raise ImageError(
            "the registry does not tell the base's digest",
            where=shlex.join(command),
            found=done.stderr.strip()[-500:] or f"exit status {done.returncode}",
            remedy="where no registry can be reached: ./mill images.lock --offline keeps the digests as they are",
        ) from None
