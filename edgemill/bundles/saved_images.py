"""Built images out of the Docker daemon, as blobs of one OCI layout: what two images share is kept once."""

from __future__ import annotations

import hashlib
import json
import posixpath
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from edgemill.bundles.archive import BLOCK
from edgemill.bundles.daemon import Daemon
from edgemill.bundles.images import CONFIG_TYPE, LAYER_TYPE, MANIFEST_TYPE, MOST_JSON_BYTES
from edgemill.bundles.index import Blob, BundledImage
from edgemill.bundles.names import shown
from edgemill.errors import BundleError
from edgemill.hashing import canonical
from edgemill.images import Image

LINKS = 16  # more in a row lead nowhere


@dataclass(frozen=True)
class Saved:
    """An archive of `docker save`: where its files are kept by content, its small files, and its links."""

    blobs: Mapping[str, Blob]
    small: Mapping[str, bytes]
    links: Mapping[str, str]

    def blob(self, name: str) -> Blob:
        """A file of the archive. Raises BundleError."""
        for _ in range(LINKS):
            if name in self.blobs:
                return self.blobs[name]
            name = self.links.get(name, "")
        raise BundleError("the archive of an image lacks a part", where=shown(name))

    def json(self, name: str) -> Any:
        """One of its JSON files. Raises BundleError."""
        try:
            return json.loads(self.small[name])
        except (KeyError, ValueError):
            raise BundleError("the archive of an image lacks a part", where=shown(name)) from None


def save_image(daemon: Daemon, image: Image, record: Mapping[str, Any], spool: Path) -> BundledImage:
    """Take an image out of the daemon by its recorded ID; its blobs go to files in `spool`, named by sha256.

    Raises:
        BundleError: the daemon does not have it, or gives something else.
    """
    image_id = str(record["id"])
    if daemon.image_id(image_id) != image_id:
        raise BundleError(
            f"the image {image.name!r} is recorded, but not in the Docker daemon",
            where=daemon.address,
            expected=image_id,
            remedy=f"./mill images.build --image {image.name}",
        )
    with daemon.save(image_id) as stream:
        saved = read_archive(stream, spool)
    manifest = _own_manifest(saved) if "index.json" in saved.small else None
    if manifest is None:
        manifest = _made_manifest(saved, spool)
    fields = json.loads((spool / manifest.sha256).read_bytes())
    parts = {entry["digest"].removeprefix("sha256:"): int(entry["size"]) for entry in (fields["config"], *fields["layers"])}
    config = fields["config"]["digest"].removeprefix("sha256:")
    if image_id not in (f"sha256:{config}", f"sha256:{manifest.sha256}"):
        raise BundleError("the Docker daemon gave another image than was asked for", where=image.name, expected=image_id, found=config)
    blobs = sorted([manifest, *(Blob(sha256, size) for sha256, size in parts.items())], key=lambda blob: blob.sha256)
    return BundledImage(image.name, image.identity, image_id, manifest.sha256, config, tuple(blobs), dict(record))


def read_archive(stream: IO[bytes], spool: Path) -> Saved:
    """Read what `docker save` gives, in one pass. Raises BundleError."""
    blobs: dict[str, Blob] = {}
    small: dict[str, bytes] = {}
    links: dict[str, str] = {}
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                name = posixpath.normpath(member.name)
                if member.issym() or member.islnk():
                    target = member.linkname if member.islnk() else posixpath.join(posixpath.dirname(name), member.linkname)
                    links[name] = posixpath.normpath(target)
                elif member.isfile():
                    content = archive.extractfile(member)
                    if content is not None:
                        blobs[name] = _keep(content, member.size, spool)
                        if name.endswith(".json") and member.size <= MOST_JSON_BYTES:
                            small[name] = (spool / blobs[name].sha256).read_bytes()
    except tarfile.TarError as error:
        raise BundleError("the Docker daemon broke off while it gave an image", where=str(spool), found=str(error)) from None
    return Saved(blobs, small, links)


def _keep(content: IO[bytes], size: int, spool: Path) -> Blob:
    digest, fresh = hashlib.sha256(), spool / "fresh"
    with fresh.open("wb") as stream:
        while block := content.read(BLOCK):
            digest.update(block)
            stream.write(block)
    fresh.replace(spool / digest.hexdigest())
    return Blob(digest.hexdigest(), size)


def _own_manifest(saved: Saved) -> Blob | None:
    """The OCI manifest of an archive from Docker 25 or newer; None where it names none."""
    described = saved.json("index.json").get("manifests") or []
    if not described:
        return None
    if len({entry["digest"] for entry in described}) != 1 or described[0]["mediaType"] != MANIFEST_TYPE:
        raise BundleError(
            "the image is not one image",
            where=shown([entry.get("mediaType") for entry in described]),
            expected="one manifest, without attestations",
            remedy="./mill images.build builds such images",
        )
    return saved.blob(f"blobs/sha256/{described[0]['digest'].removeprefix('sha256:')}")


def _made_manifest(saved: Saved, spool: Path) -> Blob:
    """An OCI manifest for an archive of an older Docker or of Podman, from its manifest.json."""
    (described,) = saved.json("manifest.json")
    config, layers = saved.blob(described["Config"]), [saved.blob(name) for name in described["Layers"]]

    def entry(kind: str, blob: Blob) -> dict[str, Any]:
        return {"mediaType": kind, "digest": f"sha256:{blob.sha256}", "size": blob.size}

    content = canonical(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": entry(CONFIG_TYPE, config),
            "layers": [entry(LAYER_TYPE, layer) for layer in layers],
        }
    )
    blob = Blob(hashlib.sha256(content).hexdigest(), len(content))
    (spool / blob.sha256).write_bytes(content)
    return blob
