"""Making a bundle: gather, hash, write the index, sign it, write the bundle."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgemill import SCHEMA, VERSION
from edgemill.bundles import seams
from edgemill.bundles.contents import Item, Project, artifact_files, check_pipelines, data_files, project_files
from edgemill.bundles.daemon import Daemon
from edgemill.bundles.images import LAYOUT_BYTES, images_bytes
from edgemill.bundles.index import (
    FORMAT,
    IMAGES,
    INDEX,
    LAYOUT,
    PROGRAM,
    README,
    SIGNATURE,
    Blob,
    BundledImage,
    Index,
    Link,
    Source,
    blob_name,
    index_bytes,
    parse_index,
)
from edgemill.bundles.install import architecture, read_index
from edgemill.bundles.names import BOMS, WHEELS
from edgemill.bundles.saved_images import save_images
from edgemill.bundles.signature import sign
from edgemill.bundles.source import opened
from edgemill.bundles.write import Part, program_bytes, sha256_and_size, write_bundle
from edgemill.documents import unknown_name
from edgemill.engines.local import LocalEngine
from edgemill.errors import BundleError
from edgemill.images import Image, load_images
from edgemill.pipelines import Pipeline, find_pipeline, load_pipeline
from edgemill.workspace import Workspace

HASHERS = 4
_README = """\
An EdgeMill bundle. On a machine with Python 3.10 or newer, and with no network:

    python3 install.pyz verify BUNDLE --signers ALLOWED_SIGNERS
    python3 install.pyz install BUNDLE --to FOLDER --signers ALLOWED_SIGNERS

BUNDLE is the archive, or the folder that this file is in. install.pyz is in the archive too: tar -xf BUNDLE install.pyz
It is a zip archive of plain Python; bundle.json names its sha256, and bundle.json.sig is a signature over bundle.json:

    ssh-keygen -Y verify -n edgemill -I SIGNER -f ALLOWED_SIGNERS -s bundle.json.sig < bundle.json

docs/air-gap.md in the installed folder tells the rest.
"""


@dataclass(frozen=True)
class Order:
    """What a bundle is to hold. `images` None: those of the pipelines; empty: none. `since` is an older bundle or its index."""

    place: Path
    pipelines: Sequence[str] = ("demo",)
    images: Sequence[str] | None = None
    data: bool = False
    artifacts: bool = False
    since: Path | None = None
    key: Path | None = None
    dirty: bool = False
    workspace: Workspace | None = None


@dataclass
class _Contents:
    """What was gathered so far."""

    items: list[Item] = field(default_factory=list)
    images: list[BundledImage] = field(default_factory=list)
    data: list[Source] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    pythons: Sequence[str] = ()


def create(order: Order, say: Callable[[str], None] = print) -> Index:
    """Make a bundle; returns its index. What is published, built and in the wheelhouse is taken; nothing is made or downloaded.

    Raises:
        EdgeMillError: something is missing or not as it should be; nothing is left then.
    """
    if order.place.exists():
        raise BundleError("there is something in the bundle's place", where=str(order.place), remedy="remove it, or name another place")
    order.place.parent.mkdir(parents=True, exist_ok=True)
    pipelines = [load_pipeline(find_pipeline(name)) for name in order.pipelines]
    base = None if order.since is None else _base(order.since)
    with tempfile.TemporaryDirectory(prefix=f".{order.place.name}.gathered-", dir=order.place.parent) as name:
        spool = Path(name)
        project = project_files(spool / "project", dirty=order.dirty)
        check_pipelines(pipelines, project)
        contents = _gather(order, pipelines, project, spool, say)
        blobs = _hashed(contents.items)
        sources = {blob.sha256: item.source for item, blob in zip(contents.items, blobs, strict=True)}
        places = {blob.sha256: spool / "images" / blob.sha256 for image in contents.images for blob in image.blobs}
        places |= sources
        members = _members(contents.images)
        document = _document(order, project, contents, blobs, members, base)
        content = index_bytes(document)
        index = parse_index(content, INDEX)
        head = [_part(INDEX, content), *_signature(order, content, spool)]
        parts = [_part(name, body) for name, body in members.items()]
        parts += [Part(blob_name(blob.sha256), blob, places[blob.sha256], blob.sha256 not in sources) for blob in index.blobs]
        write_bundle(order.place, head, parts)
    say(f"{order.place}: {index.size / 1e6:.1f} MB before compression, index {index.digest}")
    return index


def _base(since: Path) -> Index:
    """The index of an older bundle: the bundle, its bundle.json, or a folder where it is installed. Raises BundleError."""
    if since.is_file() and since.suffix == ".json":
        return parse_index(since.read_bytes(), str(since))
    if (since / "bundled" / INDEX).is_file():
        return parse_index(read_index(since), str(since))
    with opened(since) as bundle:
        return bundle.index


def _gather(order: Order, pipelines: Sequence[Pipeline], project: Project, spool: Path, say: Callable[[str], None]) -> _Contents:
    contents = _Contents(list(project.items))
    images = _wanted_images(order, pipelines)
    wheels = seams.wheelhouse()
    sums = dict(zip(wheels, (blob.sha256 for blob in _hashed([Item(name, path) for name, path in wheels.items()])), strict=True))
    chosen, contents.pythons = seams.host_wheels(sums)
    for image in _environments(pipelines, images):
        chosen |= seams.wheels_of(image, sums)
    contents.items += [Item(WHEELS + name, wheels[name]) for name in sorted(chosen)]
    data, sources = data_files(pipelines, project)
    if order.data:
        contents.items += data
        contents.data = sources
    elif sources:
        say(f"data that is not carried (--data carries it): {', '.join(source.path for source in sources)}")
    if order.artifacts:
        found, contents.links, lacking = artifact_files(pipelines, order.workspace or Workspace(Path("workspace")), LocalEngine())
        contents.items += found
        if lacking:
            say(f"not published, so not carried: {', '.join(lacking)}")
    if order.images is None or order.images:
        contents.images = _save(order, pipelines, images, spool / "images", say)
    contents.items += _bills(_environments(pipelines, images), contents.images, sums, spool / "bills")
    return contents


def _bills(images: Iterable[Image], carried: Iterable[BundledImage], wheels: Mapping[str, str], spool: Path) -> Iterator[Item]:
    """A bill of materials for each image; of its whole contents where the built image is carried."""
    spool.mkdir()
    built = {image.name for image in carried}
    for image in images:
        place = spool / f"{image.name}.cdx.json"
        place.write_bytes(seams.image_bill(image, wheels, built=image.name in built))
        yield Item(BOMS + place.name, place)


def _environments(pipelines: Iterable[Pipeline], images: Iterable[Image]) -> list[Image]:
    """The images whose wheels the far side needs for its local engine."""
    used = {step.image.name: step.image for pipeline in pipelines for step in pipeline.steps.values()}
    return [image for _, image in sorted((used | {image.name: image for image in images}).items())]


def _wanted_images(order: Order, pipelines: Sequence[Pipeline]) -> list[Image]:
    """The images to carry. Raises RequestError for an unknown name."""
    if order.images is None:
        return _environments(pipelines, [])
    declared = load_images()
    unknown = [name for name in order.images if name not in declared]
    if unknown:
        raise unknown_name("image", unknown[0], declared, "--image")
    return [declared[name] for name in sorted(set(order.images))]


def _save(
    order: Order, pipelines: Sequence[Pipeline], images: Sequence[Image], spool: Path, say: Callable[[str], None]
) -> list[BundledImage]:
    """The built images, out of the daemon. Raises BundleError where one is not built, unless only optional steps need it."""
    needed = set(order.images or ()) | {step.image.name for pipeline in pipelines for step in pipeline.steps.values() if not step.optional}
    records: dict[str, Mapping[str, Any]] = {}
    for image in images:
        record = seams.built_record(image)
        if record is not None:
            records[image.name] = record
        elif image.name in needed:
            raise BundleError(
                f"the image {image.name!r} is not built",
                remedy=f"./mill images.build --image {image.name}; or --no-images, for a bundle that only serves the local engine",
            )
        else:
            say(f"the image {image.name} is not built, and only optional stages use it: left out")
    if records:
        daemon = Daemon()
        silence = daemon.silence()
        if silence is not None:
            raise BundleError("the images cannot be taken", where=daemon.address, found=silence, remedy="start the daemon, or --no-images")
        spool.mkdir()
        return save_images(daemon, [(image, records[image.name]) for image in images if image.name in records], spool)
    return []


def _hashed(items: Sequence[Item]) -> list[Blob]:
    """What each file holds. Raises BundleError where one cannot be read."""
    with ThreadPoolExecutor(HASHERS) as pool:
        try:
            return list(pool.map(sha256_and_size, (item.source for item in items)))
        except OSError as error:
            raise BundleError(f"a file cannot be read: {error.strerror}", where=str(error.filename)) from None


def _members(images: Sequence[BundledImage]) -> dict[str, bytes]:
    members = {PROGRAM: program_bytes(), README: _README.encode()}
    return members | ({LAYOUT: LAYOUT_BYTES, IMAGES: images_bytes(images)} if images else {})


def _document(
    order: Order, project: Project, contents: _Contents, blobs: Sequence[Blob], members: Mapping[str, bytes], base: Index | None
) -> dict[str, Any]:
    files = sorted(zip(contents.items, blobs, strict=True), key=lambda pair: pair[0].path)
    everything = {blob.sha256: blob.size for blob in blobs}
    everything |= {blob.sha256: blob.size for image in contents.images for blob in image.blobs}
    there = base.wanted() if base is not None else {}
    return {
        "format": FORMAT,
        "schema": SCHEMA,
        "architecture": architecture(),
        "base": base and base.digest,
        "project": {"revision": project.revision, "dirty": project.dirty, "version": VERSION},
        "pythons": list(contents.pythons),
        "pipelines": sorted({find_pipeline(name).stem for name in order.pipelines}),
        "members": [{"path": name, **vars(_part(name, body).blob)} for name, body in members.items()],
        "blobs": [{"sha256": sha256, "size": size} for sha256, size in sorted(everything.items()) if sha256 not in there],
        "files": [{"path": item.path, **vars(blob), "executable": item.executable} for item, blob in files],
        "images": [{**vars(image), "blobs": [vars(blob) for blob in image.blobs]} for image in contents.images],
        "data": [vars(source) for source in contents.data],
        "links": [vars(link) for link in sorted(contents.links, key=lambda link: (link.pipeline, link.step))],
    }


def _part(name: str, content: bytes) -> Part:
    return Part(name, Blob(hashlib.sha256(content).hexdigest(), len(content)), content)


def _signature(order: Order, content: bytes, spool: Path) -> Iterator[Part]:
    if order.key is not None:
        (spool / INDEX).write_bytes(content)
        yield _part(SIGNATURE, sign(spool / INDEX, order.key).read_bytes())
