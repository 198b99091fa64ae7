"""Built images out of the Docker daemon, as blobs of one OCI layout: what two images share is kept once."""

from __future__ import annotations

import hashlib
import json
import posixpath
import tarfile
from collections.abc import Iterator, Mapping, Sequence
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

BLOBS = "blobs/sha256/"
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


def save_images(daemon: Daemon, wanted: Sequence[tuple[Image, Mapping[str, Any]]], spool: Path) -> list[BundledImage]:
    """Take images out of the daemon by their recorded IDs; their blobs go to files in `spool`, named by sha256.

    Raises:
        BundleError: the daemon does not have one, or gives something else.
    """
    for image, record in wanted:
        if daemon.image_id(str(record["id"])) != record["id"]:
            raise BundleError(
                f"the image {image.name!r} is recorded, but not in the Docker daemon",
                where=daemon.address,
                expected=str(record["id"]),
                remedy=f"./mill images.build --image {image.name}",
            )
    with daemon.save([str(record["id"]) for _, record in wanted]) as stream:
        saved = read_archive(stream, spool)
    described = [*_own_manifests(saved), *_made_manifests(saved, spool)]
    return [_image(image, record, described, spool) for image, record in wanted]


def _image(image: Image, record: Mapping[str, Any], described: Sequence[Blob], spool: Path) -> BundledImage:
    """The image among the manifests of an archive: the one whose digest is its ID, or the last one made for the config that is.

    In Docker's own image store an ID is a config's digest, and Docker 26 describes only one of several images in index.json; so a manifest
    is then always made, and the same image has the same one in every bundle. In containerd's image store an ID is a manifest's digest.
    """
    for manifest in reversed(described):
        fields = json.loads((spool / manifest.sha256).read_bytes())
        config = fields["config"]["digest"].removeprefix("sha256:")
        if record["id"] in (f"sha256:{config}", f"sha256:{manifest.sha256}"):
            parts = {entry["digest"].removeprefix("sha256:"): int(entry["size"]) for entry in (fields["config"], *fields["layers"])}
            blobs = sorted([manifest, *(Blob(*part) for part in parts.items())], key=lambda blob: blob.sha256)
            return BundledImage(image.name, image.identity, record["id"], manifest.sha256, config, tuple(blobs), dict(record))
    raise BundleError("the Docker daemon gave another image than was asked for", where=image.name, expected=str(record["id"]))


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
                elif name.startswith(BLOBS) and (spool / name.removeprefix(BLOBS)).is_file():
                    blobs[name] = Blob(name.removeprefix(BLOBS), member.size)  # another image has it too
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


def _own_manifests(saved: Saved) -> Iterator[Blob]:
    """The OCI manifests that an archive from Docker 25 or newer describes; none for an older one."""
    for described in saved.json("index.json").get("manifests") or [] if "index.json" in saved.small else []:
        if described["mediaType"] == MANIFEST_TYPE:
            yield saved.blob(f"{BLOBS}{described['digest'].removeprefix('sha256:')}")


def _made_manifests(saved: Saved, spool: Path) -> Iterator[Blob]:
    """OCI manifests from an archive's manifest.json, which every Docker and Podman writes."""
    for described in saved.json("manifest.json"):
        config, layers = saved.blob(described["Config"]), [saved.blob(name) for name in described["Layers"]]
        content = canonical(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST_TYPE,
                "config": _entry(CONFIG_TYPE, config),
                "layers": [_entry(LAYER_TYPE, layer) for layer in layers],
            }
        )
        blob = Blob(hashlib.sha256(content).hexdigest(), len(content))
        (spool / blob.sha256).write_bytes(content)
        yield blob


def _entry(kind: str, blob: Blob) -> dict[str, Any]:
    return {"mediaType": kind, "digest": f"sha256:{blob.sha256}", "size": blob.size}
