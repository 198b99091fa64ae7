"""Installing a bundle: verified, laid down beside the target, then moved there in one rename. Standard library only; no network."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import platform
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from edgemill.bundles.images import MOST_JSON_BYTES, check_images
from edgemill.bundles.index import INDEX, MOST_INDEX_BYTES, SIGNATURE, Blob, File, Index, blob_name, index_bytes, parse_index
from edgemill.bundles.loading import load_images, write_records
from edgemill.bundles.names import ARTIFACTS, WHEELS
from edgemill.bundles.signature import check_signature
from edgemill.bundles.source import Bundle, UnpackedBundle, ZstdBundle, checked, file_blocks, opened
from edgemill.errors import BundleError
from edgemill.files import flush_folder, flush_path, remove

Say = Callable[[str], None]

KEPT = "bundled"  # the folder of an installation that says what it came from
# What `edgemill.wheels` reads in a wheelhouse: the sha256 of each wheel, and that the network must not be tried.
WHEEL_INDEX, OFFLINE = "wheels.json", "offline"
SPARE_BYTES = 16 << 20  # for folders and what the file system keeps itself
ARCHITECTURES = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64"}  # as OCI and Go name them


def architecture() -> str:
    """The architecture of the machine, as `amd64` or `arm64`."""
    return ARCHITECTURES.get(platform.machine(), platform.machine())


class Installed:
    """An installed folder as the base of a delta: its files, as long as they are what was installed."""

    def __init__(self, folder: Path) -> None:
        self.path = folder
        self.index = parse_index(read_index(folder), str(folder / KEPT / INDEX))
        self._places = {file.sha256: file for file in self.index.files}

    def holds(self, sha256: str) -> bool:
        """Whether the folder had this content when it was installed."""
        return sha256 in self._places

    def blob(self, sha256: str) -> Iterator[bytes]:
        """A content's bytes. Raises BundleError where its file was changed since."""
        file = self._places[sha256]
        try:
            yield from checked(file_blocks(self.path / file.path, file.size, file.size), Blob(sha256, file.size), file.path)
        except (BundleError, OSError) as error:
            raise BundleError(
                "a file of the installed base is not as it was installed",
                where=str(self.path / file.path),
                found=error.found if isinstance(error, BundleError) else error.strerror,
                remedy="give the base's bundle itself with --base",
            ) from None


class Given:
    """An opened bundle as a source of content."""

    def __init__(self, bundle: UnpackedBundle) -> None:
        self.path = bundle.path
        self.index = bundle.index
        self._bundle = bundle

    def holds(self, sha256: str) -> bool:
        """Whether the bundle itself holds this content."""
        return blob_name(sha256) in self._bundle.contents

    def blob(self, sha256: str) -> Iterator[bytes]:
        """A content's bytes, checked."""
        return self._bundle.blob(sha256)


class Sources:
    """The bundle to install and its bases, as one place to take content from."""

    def __init__(self, sources: Sequence[Installed | Given]) -> None:
        self.sources = sources

    def holds(self, sha256: str) -> bool:
        """Whether any of them has this content."""
        return any(source.holds(sha256) for source in self.sources)

    def blob(self, sha256: str) -> Iterator[bytes]:
        """A content's bytes, checked. Raises BundleError."""
        return next(source for source in self.sources if source.holds(sha256)).blob(sha256)

    def small(self, name: str) -> bytes | None:
        """One of the images' JSON files."""
        sha256 = name.rpartition("/")[2]
        if not self.holds(sha256):
            return None
        content = b""
        for block in self.blob(sha256):
            content += block
            if len(content) > MOST_JSON_BYTES:
                raise BundleError("a part of a base is too large for what it is", where=name, expected=f"at most {MOST_JSON_BYTES} bytes")
        return content


def read_index(folder: Path) -> bytes:
    """The index that an installed folder came from. Raises BundleError."""
    place = folder / KEPT / INDEX
    try:
        return b"".join(file_blocks(place, None, MOST_INDEX_BYTES))
    except OSError as error:
        raise BundleError("there is neither a bundle nor an installed one", where=str(folder), found=f"{place}: {error.strerror}") from None


def install(path: Path, target: Path, *, signers: Path | None = None, bases: Sequence[Path] = (), say: Say = print) -> None:
    """Install a bundle as the folder `target`, which must not exist or be empty, and load its images where a daemon answers.

    Where the same bundle is installed there already, only its images are loaded.

    Raises:
        BundleError: with nothing installed and no image loaded that was not there before.
    """
    target = Path(os.path.realpath(target))
    try:
        with opened(path) as bundle, contextlib.ExitStack() as stack:
            _check(bundle, signers, say)
            again = _check_target(target, bundle.index)
            stage = stack.enter_context(staging(target))
            _check_space(stage, 0 if again else sum(file.size for file in bundle.index.files))
            sources = _sources(bundle, [*bases, *([target] if again else [])], stage / ".sources", stack)
            undo = stack.enter_context(contextlib.ExitStack())
            if not again:
                _lay_down(bundle, sources, stage)
            ids = load_images(bundle.index, sources, undo, say)
            if again:
                write_records(bundle.index, ids, target)
            else:
                write_records(bundle.index, ids, stage)
                _finish(stage, target)
            undo.pop_all()
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise BundleError(
            "the disk is full: nothing was installed" if full else f"nothing was installed: {error.strerror or error}",
            where=str(error.filename or target),
            remedy="free space, then run the same command again" if full else "mend that, then run the same command again",
        ) from None
    say(f"{'installed there already' if again else 'installed'}: {target}")


def _check(bundle: Bundle, signers: Path | None, say: Say) -> None:
    if signers is not None:
        say(f"signed by {check_signature(bundle.content, bundle.signature, signers, str(bundle.path))}")
    if bundle.index.architecture != architecture():
        raise BundleError(
            "the bundle is for another machine",
            where=str(bundle.path),
            expected=architecture(),
            found=bundle.index.architecture,
            remedy="have one made on a machine like this one",
        )


def _check_target(target: Path, index: Index) -> bool:
    """Whether this very bundle is installed there. Raises BundleError where anything else is."""
    if not os.path.lexists(target) or (target.is_dir() and not any(target.iterdir())):
        return False
    installed = (target / KEPT / INDEX).is_file()
    if installed and parse_index(read_index(target), str(target)).digest == index.digest:
        return True
    raise BundleError(
        "there is something in the target's place",
        where=str(target),
        expected="no such folder, or an empty one",
        remedy="name another folder; artifacts of an older installation can be used from there with EDGEMILL_WORKSPACE",
    )


@contextlib.contextmanager
def staging(target: Path) -> Iterator[Path]:
    """A fresh folder beside the target; whatever is left of it in the end is removed. Raises BundleError where another one is at work."""
    target.parent.mkdir(parents=True, exist_ok=True)
    stage = target.parent / f".{target.name}.installing"
    stage.mkdir(mode=0o700, exist_ok=True)
    handle = os.open(stage, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not _locked(handle) or not _is(stage, handle):
            raise BundleError("another installation is under way", where=str(stage), remedy="wait for it, or stop it")
        for left in list(stage.iterdir()):  # by a kill
            _remove(left)
        try:
            yield stage
        finally:
            if _is(stage, handle):
                _remove(stage)
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is(folder: Path, handle: int) -> bool:
    """Whether a path still leads to the folder that a descriptor holds."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(folder.lstat(), os.fstat(handle))
    return False


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        remove(path)
    else:
        path.unlink()


def _sources(bundle: Bundle, bases: Sequence[Path], scratch: Path, stack: contextlib.ExitStack) -> Sources:
    """The verified bundle and the bases that it needs. Raises BundleError."""
    index = bundle.index
    given: list[Installed | Given] = []
    for number, place in enumerate(bases if index.base is not None else ()):
        if (place / KEPT / INDEX).is_file():
            given.append(Installed(place))
        else:
            given.append(_unpacked(stack.enter_context(opened(place)), scratch / f"base-{number}"))
    if index.base is not None and not {index.base, index.digest} & {base.index.digest for base in given}:
        raise BundleError(
            "the bundle holds only what another one lacks, and needs that one",
            where=str(bundle.path),
            expected=f"--base with the bundle whose index has the sha256 {index.base}, or with a folder where it is installed",
            found=", ".join(f"{base.path}: {base.index.digest}" for base in given) or "no --base",
        )
    sources = Sources([_unpacked(bundle, scratch / "bundle"), *given])
    lacking = [file for file in index.files if not sources.holds(file.sha256)]
    if lacking:
        raise BundleError(
            "neither the bundle nor its base holds a file",
            where=lacking[0].path,
            expected=lacking[0].sha256,
            remedy="give each bundle that it builds upon, with one --base for each",
        )
    check_images(index, sources.small, str(bundle.path))
    return sources


def _unpacked(bundle: Bundle, scratch: Path) -> Given:
    if isinstance(bundle, ZstdBundle):
        _check_space(scratch.parent.parent, bundle.index.size)
    return Given(bundle.unpacked(scratch))


def _check_space(place: Path, needed: int) -> None:
    free = shutil.disk_usage(place).free
    if free < needed + SPARE_BYTES:
        raise BundleError(
            "there is too little space on the disk",
            where=str(place),
            expected=f"{(needed + SPARE_BYTES) / 1e6:.0f} MB",
            found=f"{free / 1e6:.0f} MB",
            remedy="free space, or name a folder on another disk",
        )


def _lay_down(bundle: Bundle, sources: Sources, stage: Path) -> None:
    index = bundle.index
    for file in index.files:
        place = stage / file.path
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("xb") as stream:
            for block in sources.blob(file.sha256):
                stream.write(block)
        place.chmod(_mode(file))
    kept = stage / KEPT
    kept.mkdir(exist_ok=True)
    (kept / INDEX).write_bytes(bundle.content)
    if bundle.signature is not None:
        (kept / SIGNATURE).write_bytes(bundle.signature)
    (kept / "data.json").write_bytes(index_bytes({"schema": 1, "data": [vars(source) for source in index.data]}))
    (kept / "pythons").write_text(" ".join(index.pythons) + "\n", encoding="ascii")
    wheelhouse = stage / WHEELS
    wheelhouse.mkdir(parents=True, exist_ok=True)
    wheels = {file.path.removeprefix(WHEELS): file.sha256 for file in index.files if file.path.startswith(WHEELS)}
    (wheelhouse / WHEEL_INDEX).write_bytes(index_bytes({"schema": 1, "wheels": wheels}))
    (wheelhouse / OFFLINE).touch()
    for link in index.links:
        place = stage / "workspace" / "pipelines" / link.pipeline / link.step
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(Path("../../artifacts", link.stage, link.key))


def _mode(file: File) -> int:
    """Artifacts are read-only, as wherever they are published."""
    mode = 0o755 if file.executable else 0o644
    return mode & ~0o222 if file.path.startswith(ARTIFACTS) else mode


def _finish(stage: Path, target: Path) -> None:
    scratch = stage / ".sources"
    if scratch.exists():
        remove(scratch)
    for folder, _, _ in os.walk(stage / ARTIFACTS, topdown=False):
        depth = len(Path(folder).relative_to(stage / ARTIFACTS).parts)
        os.chmod(folder, 0o555 if depth >= 2 else 0o755)  # the key's folder and all below it
    stage.chmod(0o755)
    flush_folder(stage)
    stage.rename(target)
    flush_path(target.parent)
