"""Which paths a bundle may write below the folder that it is installed in. Standard library only: part of install.pyz."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

LONGEST_PATH = 1024  # bytes; what the target folder's own path takes comes on top (PATH_MAX is 4096 on Linux, 1024 on macOS)
LONGEST_NAME = 255  # bytes, NAME_MAX of the common file systems
DEEPEST = 64

WHEELS = ".envs/wheels/"
BOMS = "bundled/sbom/"
DATA = "bundled/data/"
ARTIFACTS = "workspace/artifacts/"
ROOMS = {"wheels": WHEELS, "bills of materials": BOMS, "data": DATA, "artifacts": ARTIFACTS}
# First parts that are not the project's: what the installer, `./mill` and git write there decides which program runs.
RESERVED = frozenset({".git", ".venv", ".envs", "workspace", "bundled"})

_WHEEL = re.compile(r"\.envs/wheels/[A-Za-z0-9_.!+-]+(\.whl|\.tar\.gz)")
_ARTIFACT = re.compile(r"workspace/artifacts/[a-z0-9][a-z0-9-]*/[0-9a-f]{64}/.+", re.DOTALL)


def shown(text: object) -> str:
    """A name as a message can hold it, whatever it is made of."""
    written = ascii(text)
    return written if len(written) <= 200 else written[:200] + "…"


def room_of(path: str) -> str:
    """Which room of the installed folder a path lies in: one of ROOMS, or the project."""
    return next((room for room, prefix in ROOMS.items() if path.startswith(prefix)), "project")


def problem_of(path: str) -> str | None:
    """Why a path may not be written, or None where it may."""
    try:
        encoded = path.encode()
    except UnicodeEncodeError:
        return "a name that is not UTF-8"
    parts = path.split("/")
    if path.startswith("/") or path.endswith("/") or not path:
        return "an absolute path" if path.startswith("/") else "a folder, or nothing"
    if any(part in {"", ".", ".."} for part in parts):
        return "a path that leads elsewhere"
    if "\\" in path or any(unicodedata.category(letter) == "Cc" for letter in path):
        return "a name with a control character or a backslash"
    if len(encoded) > LONGEST_PATH or len(parts) > DEEPEST or any(len(part.encode()) > LONGEST_NAME for part in parts):
        return "a name that is too long"
    return _misplaced(path, parts[0])


def _misplaced(path: str, first: str) -> str | None:
    room = room_of(path)
    if room == "project":
        return "a file where the project has none" if _folded(first) in RESERVED else None
    if room == "wheels" and not _WHEEL.fullmatch(path):
        return "not the name of a wheel or of a source archive"
    if room == "artifacts" and not _ARTIFACT.fullmatch(path):
        return "not the place of an artifact's file"
    return None


def collision(paths: Iterable[str]) -> tuple[str, str] | None:
    """Two paths that cannot lie beside each other, or None.

    The same path twice; names that differ only in case or in how they are composed, which are one file on other file systems;
    a file where another path has a folder.
    """
    spelled: dict[str, tuple[str, bool]] = {}  # folded path: as it is spelled, and whether it is a file
    for path in paths:
        if (known := spelled.get(_folded(path))) is not None:
            return known[0], path
        spelled[_folded(path)] = (path, True)
        folder = path.rpartition("/")[0]
        while folder:
            known = spelled.get(_folded(folder))
            if known == (folder, False):
                break  # and so are the folders above it
            if known is not None:
                return known[0], path
            spelled[_folded(folder)] = (folder, False)
            folder = folder.rpartition("/")[0]
    return None


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
