"""Digests: of values, files, folders; and the stat index that spares reading what has not changed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from edgemill import SCHEMA
from edgemill.errors import RequestError
from edgemill.files import write_json

# A file changed within this time of being hashed may change again without its time stamp showing it.
TIMESTAMP_GRANULARITY_NS = 50_000_000

Stat = tuple[int, int, int, int]  # size in bytes, mtime and ctime in ns, inode


def canonical(value: Any) -> bytes:
    """The one JSON text of a value: sorted keys, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest_of(value: Any) -> str:
    """Hex sha256 of a value's canonical JSON."""
    return hashlib.sha256(canonical(value)).hexdigest()


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as stream:
        digest = hashlib.sha256()
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def digest_files(files: Iterable[tuple[str, str, int]]) -> str:
    """The digest of a folder: sha256 over its sorted (relative path, sha256, size in bytes).

    A name that is not UTF-8 counts with its bytes; each ends with a zero byte, which no name holds.
    """
    digest = hashlib.sha256()
    for path, sha256, size in sorted(files):
        digest.update(f"{sha256} {size} {path}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()


def walk(folder: Path) -> Iterator[tuple[str, os.DirEntry[str], os.stat_result]]:
    """Every file below a folder, links followed: its relative path with `/`, its entry and its stat.

    Raises:
        RequestError: a link to an enclosing folder or to nothing, something that is neither file nor folder, an unreadable folder.
    """
    yield from _walk(str(folder), "", frozenset())


def _walk(folder: str, prefix: str, above: frozenset[tuple[int, int]]) -> Iterator[tuple[str, os.DirEntry[str], os.stat_result]]:
    try:
        here = os.stat(folder)
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise RequestError(f"the folder cannot be read: {error.strerror}", where=folder) from None
    if (here.st_dev, here.st_ino) in above:
        raise RequestError("a link leads back to a folder that contains it", where=folder, remedy="remove the link")
    above |= {(here.st_dev, here.st_ino)}
    for entry in entries:
        try:
            status = entry.stat()
        except OSError as error:
            raise RequestError(f"the file cannot be read: {error.strerror}", where=entry.path) from None
        if stat.S_ISDIR(status.st_mode):
            yield from _walk(entry.path, f"{prefix}{entry.name}/", above)
        elif stat.S_ISREG(status.st_mode):
            yield prefix + entry.name, entry, status
        else:
            raise RequestError("neither a file nor a folder", where=entry.path, remedy="remove it from the data")


def _stat(source: Path) -> os.stat_result:
    """The stat of a source, links followed. Raises RequestError for what is neither a file nor a folder."""
    try:
        status = source.stat()
    except OSError as error:
        raise RequestError(
            "no such file or folder" if isinstance(error, FileNotFoundError) else f"it cannot be read: {error.strerror}", where=str(source)
        ) from None
    if not stat.S_ISDIR(status.st_mode) and not stat.S_ISREG(status.st_mode):
        raise RequestError("neither a file nor a folder", where=str(source))
    return status


class StatIndex:
    """Digests of source files and folders, re-read only where size, times or inode changed.

    One JSON file in the workspace's `index/` for each source. With `verify` every byte is read again.
    """

    def __init__(self, folder: Path, *, verify: bool = False) -> None:
        self._folder = folder
        self._verify = verify
        self._known: dict[str, str] = {}

    def digest(self, source: Path) -> str:
        """The content digest of a file or folder. Raises RequestError where it does not exist or cannot be read."""
        source = Path(os.path.abspath(source))
        if str(source) not in self._known:
            self._known[str(source)] = self._digest(source)
        return self._known[str(source)]

    def _digest(self, source: Path) -> str:
        status = _stat(source)
        index = self._folder / (hashlib.sha256(os.fsencode(source)).hexdigest()[:32] + ".json")
        before = {} if self._verify else self._load(index, source)
        after: dict[str, list[Any]] = {}
        changed = False
        found: Iterator[tuple[str, Path, os.stat_result]]
        if stat.S_ISDIR(status.st_mode):
            found = ((name, Path(entry.path), status) for name, entry, status in walk(source))
        else:
            found = iter([("", source, status)])
        for name, path, status in found:
            print_of = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
            old = before.get(name)
            if old is not None and tuple(old[:4]) == print_of and old[5]:
                after[name] = old
                continue
            changed = True
            # The ctime alone, because a user can set any mtime; and as it was before the first byte was read.
            settled = status.st_ctime_ns + TIMESTAMP_GRANULARITY_NS < time.time_ns()
            try:
                sha256 = sha256_file(path)
            except OSError as error:
                raise RequestError(f"the file cannot be read: {error.strerror}", where=str(path)) from None
            after[name] = [*print_of, sha256, settled]
        if changed or len(before) != len(after):
            with contextlib.suppress(OSError):  # it only spares work
                self._folder.mkdir(parents=True, exist_ok=True)
                write_json(index, {"schema": SCHEMA, "source": str(source), "files": after}, flush=False)
        if "" in after:
            return str(after[""][4])
        return digest_files((name, entry[4], entry[0]) for name, entry in after.items())

    @staticmethod
    def _load(index: Path, source: Path) -> dict[str, list[Any]]:
        try:
            content = json.loads(index.read_bytes())
            if content["schema"] != SCHEMA or content["source"] != str(source):
                return {}
            return {name: entry for name, entry in content["files"].items() if len(entry) == 6}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}
