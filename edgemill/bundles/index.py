"""The index of a bundle: what it holds, where that goes, and the sha256 and size of everything. Standard library only.

Nothing that an index says is believed before it is checked here: a bundle may come from anybody.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from edgemill import SCHEMA
from edgemill.bundles.names import ARTIFACTS, DATA, collision, problem_of, shown
from edgemill.errors import BundleError

FORMAT = "edgemill-bundle"
INDEX = "bundle.json"
SIGNATURE = "bundle.json.sig"
PROGRAM = "install.pyz"
README = "README.txt"
LAYOUT = "oci-layout"
IMAGES = "index.json"
MEMBERS = (PROGRAM, README, LAYOUT, IMAGES)
MOST_INDEX_BYTES = 256 << 20  # about a million files
MOST_SIGNATURE_BYTES = 64 << 10
MOST_BYTES = 1 << 50  # of one file; a lie beyond it would overflow sums on the way

_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_FORMS = {
    "sha256": _SHA256,
    "name": _NAME,
    "id": re.compile(r"sha256:[0-9a-f]{64}"),
    "revision": re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?"),
    "word": re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,62}"),
    "python": re.compile(r"3\.[0-9]{1,3}"),
    "text": re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,4096}"),
}


@dataclass(frozen=True)
class Blob:
    """Content by its sha256; `size` in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True)
class File:
    """A file of the installed folder: its path there, with `/`."""

    path: str
    sha256: str
    size: int
    executable: bool


@dataclass(frozen=True)
class BundledImage:
    """An image: its ID where it was built, its manifest and config among `blobs`, and what the engine records of it."""

    name: str
    identity: str
    id: str
    manifest: str
    config: str
    blobs: tuple[Blob, ...]
    record: Mapping[str, Any]

    @property
    def tag(self) -> str:
        """The tag that the image gets, for people; it is run by its ID."""
        return f"edgemill/{self.name}:{self.identity[:16]}"


@dataclass(frozen=True)
class Source:
    """A folder or file that a pipeline names, and where it is in the installed folder.

    `path` is relative to the project, or absolute where the pipeline says it so.
    """

    path: str
    place: str  # bundled/data/NAME; several paths may lead to one place


@dataclass(frozen=True)
class Link:
    """A pipeline's step and the artifact that it made."""

    pipeline: str
    step: str
    stage: str
    key: str


@dataclass(frozen=True)
class Index:
    """A checked index; `digest` is the sha256 of its bytes and names the bundle."""

    digest: str
    architecture: str
    base: str | None
    revision: str
    dirty: bool
    version: str
    pythons: tuple[str, ...]
    pipelines: tuple[str, ...]
    members: tuple[tuple[str, Blob], ...]
    blobs: tuple[Blob, ...]
    files: tuple[File, ...]
    images: tuple[BundledImage, ...]
    data: tuple[Source, ...]
    links: tuple[Link, ...]

    def contents(self) -> Iterator[tuple[str, Blob]]:
        """Every file of the bundle but the index and its signature, in the order of an archive."""
        yield from self.members
        for blob in self.blobs:
            yield blob_name(blob.sha256), blob

    def wanted(self) -> dict[str, int]:
        """Sha256 and size of all content that an installation takes, in this bundle or in its base."""
        found = {file.sha256: file.size for file in self.files}
        return found | {blob.sha256: blob.size for image in self.images for blob in image.blobs}

    @property
    def size(self) -> int:
        """Bytes of all that `contents` names."""
        return sum(blob.size for _, blob in self.contents())


def blob_name(sha256: str) -> str:
    """Where content lies in a bundle, as in any OCI image layout."""
    return f"blobs/sha256/{sha256}"


def index_bytes(document: Mapping[str, Any]) -> bytes:
    """The one text of an index: the same document gives the same bytes."""
    return json.dumps(document, indent=1, sort_keys=True, allow_nan=False).encode() + b"\n"


def parse_index(content: bytes, where: str) -> Index:
    """Check an index and everything that can be known from it alone. Raises BundleError."""
    document = load_json(content, where)
    if isinstance(document, dict) and document.get("format") == FORMAT and document.get("schema") != SCHEMA:
        raise BundleError(
            "the bundle is of another format than this EdgeMill reads",
            where=where,
            expected=f"schema {SCHEMA}",
            found=shown(document.get("schema")),
            remedy=f"use the {PROGRAM} that is in the bundle",
        )
    index = _Parser(where).index(document, hashlib.sha256(content).hexdigest())
    _check_paths(index, where)
    _check_content(index, where)
    return index


def load_json(content: bytes, where: str) -> Any:
    """Parse JSON in which no key is given twice. Raises BundleError."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) != len(pairs):
            raise ValueError("a key is given twice")
        return values

    def no_constant(name: str) -> NoReturn:
        raise ValueError(f"{name} is not JSON")

    try:
        return json.loads(content.decode(), object_pairs_hook=unique, parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        raise BundleError("it is not JSON that can be trusted", where=where, found=f"{type(error).__name__}: {shown(str(error))}") from None


class _Parser:
    """Builds an Index from JSON; whatever is not as it must be is refused with its place."""

    def __init__(self, where: str) -> None:
        self._where = where

    def index(self, document: Any, digest: str) -> Index:
        fields = self._fields(
            document,
            "the index",
            *("format", "schema", "architecture", "base", "project", "pythons", "pipelines"),
            *("members", "blobs", "files", "images", "data", "links"),
        )
        if (fields["format"], type(fields["schema"])) != (FORMAT, int):
            self._refuse("format", f"{FORMAT}, schema {SCHEMA}", [fields["format"], fields["schema"]])
        project = self._fields(fields["project"], "project", "revision", "dirty", "version")
        return Index(
            digest=digest,
            architecture=self._text(fields["architecture"], "architecture", "word"),
            base=None if fields["base"] is None else self._text(fields["base"], "base", "sha256"),
            revision=self._text(project["revision"], "project.revision", "revision"),
            dirty=self._flag(project["dirty"], "project.dirty"),
            version=self._text(project["version"], "project.version", "word"),
            pythons=tuple(self._text(item, "pythons", "python") for item in self._list(fields["pythons"], "pythons")),
            pipelines=tuple(self._text(item, "pipelines", "name") for item in self._list(fields["pipelines"], "pipelines")),
            members=tuple(self._member(item) for item in self._list(fields["members"], "members")),
            blobs=tuple(self._blob(item, "blobs") for item in self._list(fields["blobs"], "blobs")),
            files=tuple(self._file(item) for item in self._list(fields["files"], "files")),
            images=tuple(self._image(item) for item in self._list(fields["images"], "images")),
            data=tuple(self._source(item) for item in self._list(fields["data"], "data")),
            links=tuple(self._link(item) for item in self._list(fields["links"], "links")),
        )

    def _member(self, value: Any) -> tuple[str, Blob]:
        fields = self._fields(value, "members", "path", "sha256", "size")
        if fields["path"] not in MEMBERS:
            self._refuse("members", "one of " + ", ".join(MEMBERS), fields["path"])
        return fields["path"], self._blob({"sha256": fields["sha256"], "size": fields["size"]}, "members")

    def _blob(self, value: Any, place: str) -> Blob:
        fields = self._fields(value, place, "sha256", "size")
        return Blob(self._text(fields["sha256"], f"{place}.sha256", "sha256"), self._size(fields["size"], f"{place}.size"))

    def _file(self, value: Any) -> File:
        fields = self._fields(value, "files", "path", "sha256", "size", "executable")
        path = fields["path"]
        problem = problem_of(path) if type(path) is str else "not a text"
        if problem is not None:
            raise BundleError("a path of the bundle is refused", where=self._where, found=f"{shown(path)}: {problem}")
        return File(
            path,
            self._text(fields["sha256"], "files.sha256", "sha256"),
            self._size(fields["size"], "files.size"),
            self._flag(fields["executable"], "files.executable"),
        )

    def _image(self, value: Any) -> BundledImage:
        fields = self._fields(value, "images", "name", "identity", "id", "manifest", "config", "blobs", "record")
        image = BundledImage(
            name=self._text(fields["name"], "images.name", "name"),
            identity=self._text(fields["identity"], "images.identity", "sha256"),
            id=self._text(fields["id"], "images.id", "id"),
            manifest=self._text(fields["manifest"], "images.manifest", "sha256"),
            config=self._text(fields["config"], "images.config", "sha256"),
            blobs=tuple(self._blob(item, "images.blobs") for item in self._list(fields["blobs"], "images.blobs")),
            record=self._record(fields["record"]),
        )
        if any(image.record.get(name) != own for name, own in (("image", image.name), ("identity", image.identity), ("id", image.id))):
            self._refuse("images.record", f"what was recorded of {image.name}", image.record)
        held = [blob.sha256 for blob in image.blobs]
        if not {image.manifest, image.config} <= set(held) or len(set(held)) != len(held):
            self._refuse("images.blobs", "its manifest and its config among them, each once", image.name)
        return image

    def _record(self, value: Any) -> Mapping[str, Any]:
        """What an engine wrote of an image: words, numbers, and at most one level of them below."""
        plain = (str, int, bool, type(None))
        levels = [value, *(item for item in value.values() if type(item) is dict)] if type(value) is dict else [None]
        if not all(
            type(item) in plain or (level is value and type(item) is dict) for level in levels for item in (level or {"": []}).values()
        ):
            self._refuse("images.record", "an object of words and numbers", value)
        return dict(value)

    def _source(self, value: Any) -> Source:
        fields = self._fields(value, "data", "path", "place")
        return Source(self._text(fields["path"], "data.path", "text"), self._text(fields["place"], "data.place", "text"))

    def _link(self, value: Any) -> Link:
        fields = self._fields(value, "links", "pipeline", "step", "stage", "key")
        pipeline, step, stage = (self._text(fields[name], f"links.{name}", "name") for name in ("pipeline", "step", "stage"))
        return Link(pipeline, step, stage, self._text(fields["key"], "links.key", "sha256"))

    def _fields(self, value: Any, place: str, *names: str) -> dict[str, Any]:
        if type(value) is not dict or value.keys() != set(names):
            self._refuse(place, "an object with " + ", ".join(names), sorted(value) if type(value) is dict else value)
        return dict(value)

    def _list(self, value: Any, place: str) -> list[Any]:
        if type(value) is not list:
            self._refuse(place, "a list", value)
        return list(value)

    def _text(self, value: Any, place: str, form: str) -> str:
        if type(value) is not str or not _FORMS[form].fullmatch(value):
            self._refuse(place, f"a {form}", value)
        return str(value)

    def _size(self, value: Any, place: str) -> int:
        if type(value) is not int or not 0 <= value <= MOST_BYTES:
            self._refuse(place, f"bytes, 0 to {MOST_BYTES}", value)
        return int(value)

    def _flag(self, value: Any, place: str) -> bool:
        if type(value) is not bool:
            self._refuse(place, "true or false", value)
        return bool(value)

    def _refuse(self, place: str, expected: str, found: Any) -> NoReturn:
        raise BundleError(
            "the index of the bundle is not as it must be", where=f"{self._where} ({place})", expected=expected, found=shown(found)
        )


def _check_paths(index: Index, where: str) -> None:
    clash = collision(file.path for file in index.files)
    if clash is not None:
        raise BundleError(
            "two paths of the bundle cannot lie beside each other",
            where=where,
            found=f"{shown(clash[0])} and {shown(clash[1])}",
            expected="different names, in every case and composition",
        )
    filled = {"/".join(file.path.split("/")[:3]) for file in index.files if file.path.startswith(DATA)}
    places = {source.place for source in index.data}
    if places != filled or len({source.path for source in index.data}) != len(index.data):
        raise BundleError("data of the bundle and what its pipelines name differ", where=where, found=shown(sorted(places ^ filled)))


def _check_content(index: Index, where: str) -> None:
    """Every content has one size wherever it is named, is there (or in the base), and is there once and for something."""
    for what, names in (
        ("members", [name for name, _ in index.members]),
        ("images", [image.name for image in index.images]),
        ("links", [(link.pipeline, link.step) for link in index.links]),
        ("pipelines", list(index.pipelines)),
    ):
        if len(set(names)) != len(names):
            raise BundleError("the index names something twice", where=f"{where} ({what})", found=shown(names))
    if [name for name, _ in index.members] != [name for name in MEMBERS if name in dict(index.members)] or PROGRAM not in dict(
        index.members
    ):
        raise BundleError("the bundle lacks a part, or has them in another order", where=f"{where} (members)", expected=", ".join(MEMBERS))
    if [blob.sha256 for blob in index.blobs] != sorted({blob.sha256 for blob in index.blobs}):
        raise BundleError("the index names content twice, or in no order", where=f"{where} (blobs)")
    sizes = {blob.sha256: blob.size for blob in index.blobs}
    wanted = index.wanted()
    named = [(file.sha256, file.size) for file in index.files]
    named += [(blob.sha256, blob.size) for image in index.images for blob in image.blobs]
    for sha256, size in named:
        if not sizes.get(sha256, size) == wanted[sha256] == size:
            raise BundleError("the index gives two sizes for one content", where=where, found=sha256)
        if index.base is None and sha256 not in sizes:
            raise BundleError("the bundle lacks content that its index needs", where=where, found=sha256)
    unused = sizes.keys() - wanted.keys()
    if unused:
        raise BundleError("the bundle holds content that nothing uses", where=f"{where} (blobs)", found=min(unused))
    folders = {"/".join(file.path.split("/")[:4]) for file in index.files if file.path.startswith(ARTIFACTS)}
    astray = [link for link in index.links if f"{ARTIFACTS}{link.stage}/{link.key}" not in folders]
    if astray:
        raise BundleError("a pipeline's step leads to an artifact that the bundle lacks", where=f"{where} (links)", found=shown(astray[0]))
