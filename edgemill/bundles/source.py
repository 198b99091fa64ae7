"""Bundles as they lie on a disk: a folder, a .tar, or a .tar.zst. Standard library only."""

from __future__ import annotations

import abc
import contextlib
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from edgemill.bundles.archive import BLOCK, HEADER, ZSTD_MAGIC, Decompressor, check_header, damaged, ending, head_size, padding, read_head
from edgemill.bundles.images import check_layout, kept_names
from edgemill.bundles.index import INDEX, MOST_INDEX_BYTES, MOST_SIGNATURE_BYTES, SIGNATURE, Blob, Index, blob_name, parse_index
from edgemill.bundles.names import shown
from edgemill.errors import BundleError

WORKERS = 4  # threads that hash; hashlib lets others run meanwhile


class Bundle(abc.ABC):
    """An opened bundle: its index is checked, its contents are not read yet."""

    def __init__(self, path: Path, content: bytes, signature: bytes | None) -> None:
        self.path = path
        self.content = content
        self.signature = signature
        self.index: Index = parse_index(content, f"{path}: {INDEX}")
        self.contents = dict(self.index.contents())
        self._closing = contextlib.ExitStack()

    @abc.abstractmethod
    def verify(self) -> None:
        """Read everything and compare it with the index and with each other. Raises BundleError."""

    @abc.abstractmethod
    def unpacked(self, scratch: Path) -> UnpackedBundle:
        """The verified bundle in a form from which content can be taken in any order; `scratch`, not made yet, is for what that needs."""

    def close(self) -> None:
        """Give up what is held open."""
        self._closing.close()


class UnpackedBundle(Bundle):
    """A bundle whose contents can be read in any order, by several threads."""

    @abc.abstractmethod
    def blocks(self, name: str, size: int) -> Iterator[bytes]:
        """The bytes of one of the bundle's files. Raises BundleError where there are fewer or more than `size`."""

    def verify(self) -> None:
        """Read everything, the largest first, and compare it with the index."""
        wanted = sorted(self.contents.items(), key=lambda item: -item[1].size)
        with ThreadPoolExecutor(min(WORKERS, os.cpu_count() or 1)) as pool:
            _first_failure(pool.submit(self._verify_one, name, blob) for name, blob in wanted)
        self.check_images()

    def check_images(self) -> None:
        """Compare the images with the index. Raises BundleError."""
        check_layout(self.index, self._small, str(self.path))

    def _small(self, name: str) -> bytes | None:
        return b"".join(self.blocks(name, self.contents[name].size)) if name in self.contents else None

    def _verify_one(self, name: str, blob: Blob) -> None:
        for _ in checked(self.blocks(name, blob.size), blob, f"{self.path}: {name}"):
            pass

    def blob(self, sha256: str) -> Iterator[bytes]:
        """The bytes of a content, checked. Raises BundleError."""
        name = blob_name(sha256)
        return checked(self.blocks(name, self.contents[name].size), self.contents[name], f"{self.path}: {name}")

    def unpacked(self, scratch: Path) -> UnpackedBundle:  # noqa: ARG002  needs none
        """Itself, verified."""
        self.verify()
        return self


def checked(blocks: Iterable[bytes], blob: Blob, where: str) -> Iterator[bytes]:
    """Hand on blocks, and raise BundleError after the last one if they were not the content that they should be."""
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
        yield block
    if digest.hexdigest() != blob.sha256:
        raise damaged(where, blob.sha256, digest.hexdigest())


def _first_failure(running: Iterable[Future[None]]) -> None:
    """Wait for all; on the first failure those that have not begun never will."""
    running = list(running)
    try:
        for future in running:
            future.result()
    finally:
        for future in running:
            future.cancel()


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Bundle]:
    """A bundle, opened for the length of a `with` block. Raises BundleError."""
    try:
        bundle = _open(path)
    except OSError as error:
        raise BundleError(f"the bundle cannot be read: {error.strerror or error}", where=str(error.filename or path)) from None
    try:
        yield bundle
    except OSError as error:
        if error.filename is not None and Path(os.fsdecode(error.filename)).is_relative_to(path):
            raise BundleError(f"the bundle cannot be read: {error.strerror}", where=str(error.filename)) from None
        raise
    finally:
        bundle.close()


def _open(path: Path) -> Bundle:
    if path.is_dir():
        return FolderBundle(path)
    if path.exists() and not path.is_file():
        raise BundleError("there is no bundle", where=str(path), found="neither a file nor a folder")
    with path.open("rb") as stream:
        magic = stream.read(4)
    return ZstdBundle(path) if magic == ZSTD_MAGIC else TarBundle(path)


class FolderBundle(UnpackedBundle):
    """A bundle as a folder. Nothing may be in it that the index does not name, and nothing but files and the folders of an OCI layout."""

    def __init__(self, path: Path) -> None:
        if not (path / INDEX).exists():
            raise BundleError(
                "there is no bundle", where=str(path), expected=f"a folder with {INDEX}, or an archive that bundle.create made"
            )
        content = b"".join(file_blocks(path / INDEX, None, MOST_INDEX_BYTES))
        signed = os.path.lexists(path / SIGNATURE)
        super().__init__(path, content, b"".join(file_blocks(path / SIGNATURE, None, MOST_SIGNATURE_BYTES)) if signed else None)
        self._check_names({INDEX, *([SIGNATURE] if signed else [])})

    def _check_names(self, head: set[str]) -> None:
        wanted = self.contents.keys() | head
        found = set()
        for folder, inner in (("", {"blobs"}), ("blobs/", {"sha256"}), ("blobs/sha256/", set[str]())):
            place = self.path / folder
            if folder and not os.path.lexists(place):
                break
            if place.is_symlink():
                raise BundleError("the bundle holds a link", where=str(place))
            for entry in os.scandir(place):
                if entry.name in inner and entry.is_dir(follow_symlinks=False):
                    continue
                if not entry.is_file(follow_symlinks=False):
                    raise BundleError(
                        "the bundle holds what is no file", where=shown(entry.path), found="a link, a folder, a device or the like"
                    )
                found.add(folder + entry.name)
        for name in sorted(found ^ wanted):
            what = "something is missing from the bundle" if name in wanted else "the bundle holds what its index does not name"
            raise BundleError(what, where=f"{self.path}: {shown(name)}", remedy="copy the bundle again, into an empty folder")

    def blocks(self, name: str, size: int) -> Iterator[bytes]:
        """The bytes of one of its files."""
        return file_blocks(self.path / name, size, size)


def file_blocks(path: Path, size: int | None, most: int) -> Iterator[bytes]:
    """A regular file's bytes. Raises BundleError for anything else, for another size than `size`, and beyond `most` bytes."""
    # A FIFO in a file's place would otherwise hold us for ever.
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise BundleError("the bundle holds what is no file", where=str(path))
        if status.st_size > most or (size is not None and status.st_size != size):
            raise damaged(str(path), f"{size} bytes" if size is not None else f"at most {most} bytes", f"{status.st_size} bytes")
        yield from _range(handle, 0, status.st_size, str(path))
    finally:
        os.close(handle)


def _range(handle: int, offset: int, size: int, where: str) -> Iterator[bytes]:
    while size:
        block = os.pread(handle, min(BLOCK, size), offset)
        if not block:
            raise damaged(where, f"{size} bytes more", "the end of the file")
        offset += len(block)
        size -= len(block)
        yield block


class TarBundle(UnpackedBundle):
    """A bundle as an uncompressed archive, read in place."""

    def __init__(self, path: Path) -> None:
        self._end = 0
        with contextlib.ExitStack() as stack:
            self._handle = stack.enter_context(path.open("rb", buffering=0)).fileno()
            super().__init__(path, *read_head(self._read, str(path)))
            self._places: dict[str, int] = {}
            for name, blob in self.contents.items():
                self._places[name] = self._end + HEADER
                self._end += HEADER + blob.size + padding(blob.size)
            size, expected = os.fstat(self._handle).st_size, self._end + ending(self._end)
            if size != expected:
                raise damaged(str(path), f"{expected} bytes", f"{size} bytes")
            self._closing = stack.pop_all()

    def _read(self, size: int) -> bytes:
        block = b"".join(_range(self._handle, self._end, size, "the archive"))
        self._end += size
        return block

    def verify(self) -> None:
        """Read everything: the headers, the zeros between the files, and the files."""
        where = str(self.path)
        for name, place in self._places.items():
            size = self.contents[name].size
            check_header(b"".join(_range(self._handle, place - HEADER, HEADER, where)), name, size, where)
            self._check_zeros(place + size, padding(size))
        self._check_zeros(self._end, ending(self._end))
        super().verify()

    def _check_zeros(self, offset: int, size: int) -> None:
        if b"".join(_range(self._handle, offset, size, str(self.path))).strip(b"\0"):
            raise damaged(f"{self.path}, byte {offset}", "zeros", "other bytes")

    def blocks(self, name: str, size: int) -> Iterator[bytes]:
        """The bytes of one of its files."""
        return _range(self._handle, self._places[name], size, f"{self.path}: {name}")


class ZstdBundle(Bundle):
    """A bundle as an archive that `zstd` compressed. It can only be read from its beginning to its end."""

    def __init__(self, path: Path) -> None:
        with Decompressor(path) as archive:
            super().__init__(path, *read_head(archive.read, str(path)))

    def verify(self) -> None:
        """Read everything."""
        kept = dict.fromkeys(kept_names(self.index), b"")
        self._walk(None, kept)
        check_layout(self.index, kept.get, str(self.path))

    def unpacked(self, scratch: Path) -> UnpackedBundle:
        """The bundle as a folder in `scratch`; compared with the index on the way."""
        (scratch / "blobs" / "sha256").mkdir(parents=True)
        (scratch / INDEX).write_bytes(self.content)
        if self.signature is not None:
            (scratch / SIGNATURE).write_bytes(self.signature)
        self._walk(scratch, {})
        unpacked = FolderBundle(scratch)
        unpacked.check_images()
        return unpacked

    def _walk(self, place: Path | None, kept: dict[str, bytes]) -> None:
        """Read the archive once: write its files below `place`, and fill in those that `kept` names."""
        where = str(self.path)
        with Decompressor(self.path) as archive:
            if read_head(archive.read, where) != (self.content, self.signature):
                raise damaged(where, "the same index as before", "another one")
            total = head_size(self.content, self.signature)
            for name, blob in self.contents.items():
                check_header(archive.read(HEADER), name, blob.size, where)
                with (place / name).open("xb") if place is not None else contextlib.nullcontext() as stream:
                    for block in checked(archive.blocks(blob.size), blob, f"{where}: {name}"):
                        if name in kept:
                            kept[name] += block
                        if stream is not None:
                            stream.write(block)
                if archive.read(padding(blob.size)).strip(b"\0"):
                    raise damaged(f"{where}: {name}", "zeros after it", "other bytes")
                total += HEADER + blob.size + padding(blob.size)
            if archive.read(ending(total)).strip(b"\0"):
                raise damaged(where, "the end of the archive", "other bytes")
            archive.finish()
