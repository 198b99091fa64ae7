"""Loading a bundle's images into the machine's Docker daemon, and recording them for the Docker engine. Standard library only."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from edgemill.bundles.archive import ending, header, padding
from edgemill.bundles.daemon import Daemon
from edgemill.bundles.images import LAYOUT_BYTES, images_bytes, layers
from edgemill.bundles.index import IMAGES, LAYOUT, BundledImage, Index, blob_name, index_bytes, load_json
from edgemill.errors import BundleError
from edgemill.files import write_bytes

RECORDS = ".envs/docker"
GIVE_BASE = "give the base's bundle itself with --base"


class Source(Protocol):
    """Where content comes from; the bytes are checked."""

    def holds(self, sha256: str) -> bool:
        """Whether this content can be had."""

    def blob(self, sha256: str) -> Iterator[bytes]:
        """A content's bytes. Raises BundleError."""


def load_images(index: Index, source: Source, undo: contextlib.ExitStack, say: Callable[[str], None]) -> dict[str, str]:
    """Load the images that the daemon lacks; returns the ID there of each image by name, nothing where no daemon answers.

    `undo` is given what removes them again. Raises BundleError.
    """
    if not index.images:
        return {}
    daemon = Daemon()
    silence = daemon.silence()
    if silence is not None:
        say(f"{len(index.images)} images are not loaded: {silence}. The local engine needs none.")
        say("  when a daemon answers, the same command again loads them")
        return {}
    if daemon.architecture() != index.architecture:
        raise BundleError(
            "the Docker daemon is on another machine", where=daemon.address, expected=index.architecture, found=daemon.architecture()
        )
    missing = [image for image in index.images if _known(daemon, image) is None]
    if missing:
        say(f"loading {', '.join(image.name for image in missing)} into the Docker daemon")
        for image in missing:
            undo.callback(_unload, daemon, image)
        _load(daemon, missing, source)
    ids = {}
    for image in index.images:
        found = _known(daemon, image)
        if found is None:
            raise BundleError(
                "the Docker daemon loaded an image, but does not know it by its digest",
                where=f"{daemon.address}: {image.tag}",
                expected=f"{image.id}, sha256:{image.config} or sha256:{image.manifest}",
            )
        daemon.tag(found, image.tag)
        ids[image.name] = found
    return ids


def _load(daemon: Daemon, images: Sequence[BundledImage], source: Source) -> None:
    lacking = [blob for image in images for blob in image.blobs if not source.holds(blob.sha256)]
    try:
        daemon.load(_archive(images, source))
    except BundleError as error:
        if lacking:
            error.remedy = f"the daemon may no longer have layers of the base: {GIVE_BASE}"
        raise


def write_records(index: Index, ids: Mapping[str, str], folder: Path) -> None:
    """Write what the Docker engine reads to find an image by its identity: one file for each, in `.envs/docker`."""
    for image in index.images:
        if image.name in ids:
            place = folder / RECORDS / f"{image.name}-{image.identity[:16]}.json"
            place.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(place, index_bytes({**image.record, "id": ids[image.name]}))


def _known(daemon: Daemon, image: BundledImage) -> str | None:
    """The daemon's ID of an image. It is the config's digest, or with containerd's image store the manifest's."""
    return daemon.image_id(image.id, f"sha256:{image.config}", f"sha256:{image.manifest}")


def _unload(daemon: Daemon, image: BundledImage) -> None:
    with contextlib.suppress(BundleError):  # the failure that led here is the one to tell
        found = _known(daemon, image)
        if found is not None:
            daemon.remove(found)


def _archive(images: Sequence[BundledImage], source: Source) -> Iterator[bytes]:
    """The images as one archive: an OCI layout, and the manifest.json that older daemons read. Raises BundleError.

    Layers that the source lacks are left out: those of a delta's base, which the daemon has where the base was installed.
    """
    manifests = [json.dumps(_legacy(image, source)) for image in images]
    small = {LAYOUT: LAYOUT_BYTES, IMAGES: images_bytes(images), "manifest.json": ("[" + ",".join(manifests) + "]").encode()}
    total = 0
    for name, content in small.items():
        yield header(name, len(content)) + content + bytes(padding(len(content)))
        total += len(header(name, len(content))) + len(content) + padding(len(content))
    sizes = {blob.sha256: blob.size for image in images for blob in image.blobs}
    for sha256, size in sorted(sizes.items()):
        if source.holds(sha256):
            yield header(blob_name(sha256), size)
            yield from source.blob(sha256)
            yield bytes(padding(size))
            total += len(header(blob_name(sha256), size)) + size + padding(size)
    yield bytes(ending(total))


def _legacy(image: BundledImage, source: Source) -> dict[str, object]:
    """An entry of manifest.json (https://github.com/moby/moby, image/spec/v1.2.md)."""
    if not source.holds(image.manifest) or not source.holds(image.config):
        raise BundleError(
            "an image of the base is no longer in the Docker daemon",
            where=image.tag,
            expected=image.id,
            remedy=GIVE_BASE,
        )
    manifest = load_json(b"".join(source.blob(image.manifest)), image.tag)
    return {"Config": blob_name(image.config), "RepoTags": [image.tag], "Layers": [blob_name(sha256) for sha256 in layers(manifest)]}
