"""Bundles made by hand, right or wrong in any one place, so that what reads them can be tried."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edgemill.bundles.images import CONFIG_TYPE, LAYER_TYPE, LAYOUT_BYTES, MANIFEST_TYPE, images_bytes
from edgemill.bundles.index import FORMAT, INDEX, SIGNATURE, Blob, BundledImage, blob_name, index_bytes, parse_index
from edgemill.bundles.install import architecture
from edgemill.bundles.write import Part, program_bytes, write_bundle

KEY = "ab" * 32
REVISION = "12" * 20
FORMS = ("", ".tar", ".tar.zst")
FILES = {
    "mill": b"#!/bin/sh\necho mill\n",
    "docs/a page.md": "Größe\n".encode(),
    ".envs/wheels/one-1.0-py3-none-any.whl": b"a wheel",
    "bundled/data/cards/1.jpg": b"a picture",
    "bundled/data/cards/sub/2.jpg": b"a picture",
    f"workspace/artifacts/read/{KEY}/manifest.json": b"{}",
    f"workspace/artifacts/read/{KEY}/words.txt": b"one two",
}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def blob(content: bytes) -> Blob:
    return Blob(sha256(content), len(content))


class SmallBundle:
    """A bundle of a few small files and images; `write` makes it as a folder or archive."""

    def __init__(self, files: dict[str, bytes] | None = None, images: Sequence[str] = ()) -> None:
        self.files = dict(FILES if files is None else files)
        self.images: list[BundledImage] = []
        self.contents: dict[str, bytes] = {}
        self.base: str | None = None
        self.known: set[str] = set()
        for name in images:
            self.add_image(name)

    def add_image(self, name: str, layers: Sequence[bytes] = (b"shared layer", b""), machine: str | None = None) -> BundledImage:
        layers = [layer or f"layer of {name}".encode() for layer in layers]
        config = json.dumps({"architecture": machine or architecture(), "os": "linux", "name": name}).encode()
        entries = [(CONFIG_TYPE, config), *((LAYER_TYPE, layer) for layer in layers)]
        described = [{"mediaType": kind, "digest": f"sha256:{sha256(part)}", "size": len(part)} for kind, part in entries]
        manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": described[0], "layers": described[1:]}).encode()
        self.contents |= {sha256(part): part for part in (manifest, config, *layers)}
        identity = sha256(name.encode())
        record = {"schema": 1, "image": name, "identity": identity, "id": f"sha256:{sha256(config)}", "stand_in": None}
        blobs = sorted({blob(part) for part in (manifest, config, *layers)}, key=lambda item: item.sha256)
        image = BundledImage(name, identity, record["id"], sha256(manifest), sha256(config), tuple(blobs), record)
        self.images.append(image)
        return image

    def since(self, content: bytes) -> SmallBundle:
        """Make it a delta of the bundle whose index this is."""
        base = parse_index(content, "base")
        self.base, self.known = base.digest, set(base.wanted())
        return self

    @property
    def members(self) -> dict[str, bytes]:
        found = {"install.pyz": program_bytes(), "README.txt": b"Read me.\n"}
        return found | ({"oci-layout": LAYOUT_BYTES, "index.json": images_bytes(self.images)} if self.images else {})

    def document(self) -> dict[str, Any]:
        everything = {sha256(part): part for part in self.files.values()} | self.contents
        return {
            "format": FORMAT,
            "schema": 1,
            "architecture": architecture(),
            "base": self.base,
            "project": {"revision": REVISION, "dirty": False, "version": "0.1.0"},
            "pythons": ["3.11"],
            "pipelines": ["demo"],
            "members": [{"path": name, **vars(blob(part))} for name, part in self.members.items()],
            "blobs": [vars(blob(part)) for digest, part in sorted(everything.items()) if digest not in self.known],
            "files": [{"path": path, **vars(blob(part)), "executable": path == "mill"} for path, part in sorted(self.files.items())],
            "images": [{**vars(image), "blobs": [vars(item) for item in image.blobs]} for image in self.images],
            "data": [{"path": "../cards", "place": "bundled/data/cards"}] if "bundled/data/cards/1.jpg" in self.files else [],
            "links": [{"pipeline": "demo", "step": "read", "stage": "read", "key": KEY}]
            if f"workspace/artifacts/read/{KEY}/manifest.json" in self.files
            else [],
        }

    def parts(self, document: dict[str, Any]) -> list[Part]:
        """The parts that a document names, in its order; what it names and nobody has is made up."""
        known = {sha256(part): part for part in (*self.files.values(), *self.contents.values(), *self.members.values())}
        named = [(entry["path"], entry) for entry in document["members"]]
        named += [(blob_name(entry["sha256"]), entry) for entry in document["blobs"]]
        return [Part(name, blob(known.get(entry["sha256"], b"?")), known.get(entry["sha256"], b"?")) for name, entry in named]

    def write(self, place: Path, change: Callable[[dict[str, Any]], object] | None = None, signature: bytes | None = None) -> Path:
        """Write it, with `change` made to its index; returns `place`."""
        document = self.document()
        if change is not None:
            change(document)
        place.parent.mkdir(parents=True, exist_ok=True)
        head = [index_bytes(document)] + ([signature] if signature is not None else [])
        named = [Part(name, blob(part), part) for name, part in zip((INDEX, SIGNATURE), head, strict=False)]
        write_bundle(place, named, self.parts(document))
        return place


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file below a folder, links as where they lead: its bytes and its mode."""
    return {
        path.relative_to(folder).as_posix(): (path.readlink().as_posix().encode(), 0)
        if path.is_symlink()
        else (path.read_bytes(), path.stat().st_mode & 0o777)
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }
