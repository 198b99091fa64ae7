"""Writing a bundle: a folder, a .tar, or a .tar.zst, whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edgemill.bundles.archive import BLOCK, HEADER, LARGEST_MEMBER, ending, header, padding
from edgemill.bundles.index import INDEX, SIGNATURE, Blob
from edgemill.errors import BundleError
from edgemill.files import flush_folder, flush_path, remove

# What install.pyz consists of: every module that the far side needs, with nothing but the standard library below it.
FAR_SIDE = (
    "edgemill/__init__.py",
    "edgemill/errors.py",
    "edgemill/files.py",
    "edgemill/engines/__init__.py",
    "edgemill/engines/daemon.py",
    *(
        f"edgemill/bundles/{name}.py"
        for name in ("__init__", "archive", "daemon", "images", "index", "install", "loading", "names", "program", "signature", "source")
    ),
)
_MAIN = """\
import sys

if sys.version_info < (3, 10):
    sys.exit("error: this needs Python 3.10 or newer, and is run with " + sys.version.split()[0])
from edgemill.bundles.program import main

sys.exit(main())
"""
CODE = Path(__file__).parents[2]  # where this program itself is
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip archive can say
LEVEL = "-3"  # of zstd: higher ones gain a few per cent for many times the time


@dataclass(frozen=True)
class Part:
    """A file of a bundle: its name there, what it must be, and where its bytes are; a `spare` source is moved where that can be."""

    name: str
    blob: Blob
    source: Path | bytes
    spare: bool = False


def program_bytes() -> bytes:
    """install.pyz: a zip archive that Python runs (zipapp, PEP 441); the same modules give the same bytes."""
    stream = io.BytesIO()
    stream.write(b"#!/usr/bin/env python3\n")
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in (("__main__.py", _MAIN.encode()), *((name, (CODE / name).read_bytes()) for name in FAR_SIDE)):
            info = zipfile.ZipInfo(name, EPOCH)
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, content)
    return stream.getvalue()


def write_bundle(place: Path, head: Iterable[Part], parts: Iterable[Part]) -> None:
    """Write a bundle to `place`; `head` is its index, and its signature where it has one.

    Raises:
        BundleError: a source changed meanwhile, is too large for an archive, or zstd failed; nothing is left then.
        OSError: the disk is full or failing; nothing is left then either.
    """
    fresh = place.with_name(f".{place.name}.making")
    with contextlib.ExitStack() as stack:
        stack.callback(_discard, fresh)
        if place.name.endswith((".tar", ".tar.zst")):
            _write_archive(fresh, [*head], parts, compress=place.name.endswith(".zst"))
            flush_path(fresh)
        else:
            _write_folder(fresh, [*head, *parts])
            flush_folder(fresh)
        fresh.rename(place)
        flush_path(place.parent)


def _discard(fresh: Path) -> None:
    if fresh.is_dir():
        remove(fresh)
    else:
        fresh.unlink(missing_ok=True)


def _write_folder(folder: Path, parts: Iterable[Part]) -> None:
    folder.mkdir()
    for part in parts:
        place = folder / part.name
        place.parent.mkdir(parents=True, exist_ok=True)
        if part.spare and isinstance(part.source, Path):
            part.source.rename(place)
            continue
        with place.open("xb") as stream:
            for block in _blocks(part):
                stream.write(block)


def _write_archive(file: Path, head: list[Part], parts: Iterable[Part], *, compress: bool) -> None:
    if [part.name for part in head] == [INDEX]:  # an unsigned one has an empty signature: what an archive begins with is always the same
        head.append(Part(SIGNATURE, Blob(hashlib.sha256().hexdigest(), 0), b""))
    total = 0
    with _compressor(file) if compress else file.open("xb") as stream:
        for part in (*head, *parts):
            size = part.blob.size
            if size > LARGEST_MEMBER:
                raise BundleError(
                    "a file is too large for an archive", where=str(part.source), expected="8 GiB at most", remedy="make a folder"
                )
            stream.write(header(part.name, size))
            for block in _blocks(part):
                stream.write(block)
            stream.write(bytes(padding(size)))
            total += HEADER + size + padding(size)
        stream.write(bytes(ending(total)))


@contextlib.contextmanager
def _compressor(file: Path) -> Iterator[IO[bytes]]:
    program = shutil.which("zstd")
    if program is None:
        raise BundleError("there is no zstd to compress with", where="PATH", remedy="install zstd, or make a .tar or a folder")
    with file.open("xb") as target, tempfile.TemporaryFile() as complaints:
        command = [program, "--quiet", "--threads=0", LEVEL, "--stdout"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=target, stderr=complaints, pipesize=BLOCK)
        stream = process.stdin
        if stream is None:
            raise BundleError("zstd cannot be spoken to", where=program)
        try:
            with contextlib.suppress(BrokenPipeError):  # it ended early: its status says so
                yield stream
                stream.close()
            if process.wait():
                complaints.seek(0)
                raise BundleError("zstd could not write the archive", where=str(file), found=complaints.read(500).decode(errors="replace"))
        finally:
            process.kill()
            process.wait()
            with contextlib.suppress(BrokenPipeError):
                stream.close()


def _blocks(part: Part) -> Iterator[bytes]:
    """A part's bytes. Raises BundleError where they are no longer what was read before."""
    digest, size = hashlib.sha256(), 0
    with io.BytesIO(part.source) if isinstance(part.source, bytes) else part.source.open("rb") as stream:
        while block := stream.read(min(BLOCK, part.blob.size - size)):
            digest.update(block)
            size += len(block)
            yield block
        more = stream.read(1)
    if digest.hexdigest() != part.blob.sha256 or more:
        raise BundleError("a file was changed while the bundle was made", where=str(part.source), remedy="run the same command again")


def sha256_and_size(path: Path) -> Blob:
    """What a file holds now."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
        return Blob(digest.hexdigest(), os.fstat(stream.fileno()).st_size)
