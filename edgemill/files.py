"""Files that appear whole or not at all, and folders that are flushed before they are relied on."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Any

MANY_FILES = 200  # beyond this many, one sync of the whole system is cheaper than one for each file


def write_bytes(path: Path, content: bytes, *, flush: bool = True) -> None:
    """Write beside the file's place, flush, then move in."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            if flush:
                stream.flush()
                os.fsync(stream.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def write_json(path: Path, value: Any, *, flush: bool = True) -> None:
    """Write JSON with sorted keys, whole or not at all."""
    text = json.dumps(value, indent=None if not flush else 1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    try:
        content = text.encode()
    except UnicodeEncodeError:  # a file name that is not UTF-8
        content = json.dumps(value, sort_keys=True, allow_nan=False).encode()
    write_bytes(path, content + b"\n", flush=flush)


def link(path: Path, target: Path) -> None:
    """Make or move a symbolic link in one step; it is relative, so that the tree can be moved."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.parent / f".{path.name}.{os.getpid()}"
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()
    fresh.symlink_to(os.path.relpath(target, path.parent))
    os.replace(fresh, path)


def flush_folder(folder: Path) -> None:
    """Flush a folder's files and entries to disk."""
    files: list[str] = []
    folders: list[str] = []
    for here, _, names in os.walk(folder):
        folders.append(here)
        files.extend(os.path.join(here, name) for name in names)
    if len(files) > MANY_FILES:
        os.sync()
        return
    for path in [*files, *reversed(folders)]:
        flush_path(path)


def flush_path(path: str | Path) -> None:
    """Flush one file or folder to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def set_writable(folder: Path, *, writable: bool) -> None:
    """Set or take away the write permission of everything below a folder, and of the folder; set, folders can be entered too."""
    _set_mode(str(folder), writable=writable)
    for here, folders, names in os.walk(folder):
        for name in (*folders, *names):
            _set_mode(os.path.join(here, name), writable=writable)


def _set_mode(path: str, *, writable: bool) -> None:
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        return
    if writable:
        os.chmod(path, mode | (stat.S_IRWXU if stat.S_ISDIR(mode) else stat.S_IWUSR))
    else:
        os.chmod(path, mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))


def remove(folder: Path) -> None:
    """Remove a folder, published (read-only) or not; no error where there is none."""
    if folder.exists():
        set_writable(folder, writable=True)
        shutil.rmtree(folder)
