"""Whether an image is built the same twice, and where it is not."""

from __future__ import annotations

import hashlib
import itertools
import re
import tarfile
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from edgemill.engines import container_images
from edgemill.engines.process import StopRequests
from edgemill.engines.seam import Say
from edgemill.errors import ImageError
from edgemill.images import Image

if TYPE_CHECKING:
    from docker.client import DockerClient

    from edgemill.engines.docker_engine import DockerEngine

# What the daemon itself puts into every container's root; no part of an image.
OF_THE_DAEMON = re.compile(r"(dev|proc|sys)(/.*)?|\.dockerenv|etc(/(hosts|hostname|resolv\.conf|mtab))?")


def verify(engine: DockerEngine, image: Image, say: Say) -> str:
    """Build an image again from nothing; returns its ID, which is that of the recorded one.

    Raises:
        ImageError: the image is not built, cannot be built, or is not the same: its first path that differs is named.
    """
    client = engine.connect()
    built = engine.built(image, say)
    tag = f"edgemill-verify/{image.name}:{image.identity[:16]}"
    again = container_images.build(image, say, StopRequests(), cache=False, tag=tag)
    try:
        if again != built.id:
            place, expected, found = first_difference(client, built.id, again)
            raise ImageError(
                f"the image {image.name!r} is not the same when it is built again",
                where=place,
                expected=expected,
                found=found,
                remedy=f"mend {image.dockerfile.name} or docker/build so that this is the same each time",
            )
    finally:
        client.images.remove(tag)
    return again


def first_difference(client: DockerClient, one: str, other: str) -> tuple[str, str, str]:
    """The first path, in order, at which two images differ, and what each has there; else the first setting of their configurations."""
    pairs = itertools.zip_longest(_entries(client, one), _entries(client, other))
    for first, second in pairs:
        if first != second:
            if first is None or (second is not None and second[0] < first[0]):
                return f"/{second[0]}", "nothing", second[1]
            if second is None or first[0] < second[0]:
                return f"/{first[0]}", first[1], "nothing"
            return f"/{first[0]}", first[1], second[1]
    configs = [_config(client, name) for name in (one, other)]
    for key in sorted(configs[0].keys() | configs[1].keys()):
        if configs[0].get(key) != configs[1].get(key):
            return f"the image's configuration: {key}", str(configs[0].get(key)), str(configs[1].get(key))
    return "the layers", one, other


def _entries(client: DockerClient, name: str) -> Iterator[tuple[str, str]]:
    """(path, what is there) of every path of an image, sorted."""
    container = client.containers.create(name, command=["none"])
    try:
        with tempfile.TemporaryFile() as room:
            for block in container.export():
                room.write(cast(bytes, block))  # the stubs say str
            room.seek(0)
            with tarfile.open(fileobj=room, mode="r|") as archive:
                found = [(entry.name, _described(archive, entry)) for entry in archive if not OF_THE_DAEMON.fullmatch(entry.name)]
    finally:
        container.remove(force=True)
    yield from sorted(found)


def _described(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> str:
    content = archive.extractfile(entry) if entry.isreg() else None
    digest = hashlib.sha256(content.read()).hexdigest() if content else entry.linkname
    kind = entry.type.decode()
    return f"type {kind} mode {entry.mode:o} owner {entry.uid}:{entry.gid} time {int(entry.mtime)} size {entry.size} {digest}"


def _config(client: DockerClient, name: str) -> dict[str, Any]:
    attributes = client.images.get(name).attrs
    return {key: attributes.get(key) for key in ("Architecture", "Config", "Created", "Os", "RootFS")}
