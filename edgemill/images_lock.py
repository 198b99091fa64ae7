"""Refreshing an image's lock: resolve its requirements with uv, and show what changed for review."""

from __future__ import annotations

import difflib
import re
import subprocess
import tempfile
from pathlib import Path

from edgemill import PROJECT
from edgemill.engines.environments import uv_environment, uv_program
from edgemill.errors import ImageError
from edgemill.files import write_bytes
from edgemill.images import Image

HOST = PROJECT / "requirements.lock"
HOST_PYTHON = "3.10"  # the oldest that the host supports; its lock serves every newer one
RESOLVE_SECONDS = 600
_VERSION = re.compile(r"[A-Za-z0-9][\w.-]*(\[[\w.,-]+\])?==[\w.!+-]+( ; [^/\\]+)?( \\)?")
_HASH = re.compile(r" +--hash=sha256:[0-9a-f]{64}( \\)?")


def lock_image(image: Image, *, upgrade: bool = False) -> str:
    """Write the image's lock anew; returns the changed versions and hashes as a unified diff, empty for none. Raises ImageError."""
    options = ["--python-version", image.python] + ([] if image.resolve else ["--no-deps"])
    return _compile(image.requirements, image.lock, options, upgrade)


def lock_host(*, upgrade: bool = False) -> str:
    """The same for the host's own requirements, for every Python and platform that it supports."""
    return _compile(HOST.with_suffix(".in"), HOST, ["--universal", "--python-version", HOST_PYTHON], upgrade)


def _compile(requirements: Path, lock: Path, options: list[str], upgrade: bool) -> str:
    if not requirements.is_file():
        raise ImageError("there is no list of requirements to lock", where=str(requirements))
    before = lock.read_text(encoding="utf-8") if lock.is_file() else ""
    with tempfile.TemporaryDirectory(prefix="edgemill-lock-") as name:
        fresh = Path(name) / lock.name
        fresh.write_text(before, encoding="utf-8")  # uv keeps the versions that it finds there
        _resolve(requirements, fresh, [*options, *(["--upgrade"] if upgrade else [])])
        after = fresh.read_text(encoding="utf-8")
    wrong = unlocked(after)
    if wrong:
        raise ImageError(
            "the lock would hold something else than exact versions and their hashes",
            where=str(requirements),
            expected="NAME==VERSION, with no download address or folder",
            found=wrong[0],
            remedy="require a version instead of a URL or a path",
        )
    if after != before:
        write_bytes(lock, after.encode())
    return "".join(
        difflib.unified_diff(before.splitlines(True), after.splitlines(True), f"{lock.name} (before)", f"{lock.name} (now)", n=1)
    )


def unlocked(text: str) -> list[str]:
    """The lines of a lock that are neither an exact version nor a hash, and the requirements that have no hash."""
    wrong: list[str] = []
    bare = None  # a version whose hash has not come yet
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if _HASH.fullmatch(line):
            bare = None
            continue
        wrong += [bare] if bare else []
        bare = line if _VERSION.fullmatch(line) else None
        wrong += [] if bare else [line]
    return wrong + ([bare] if bare else [])


def _resolve(requirements: Path, lock: Path, options: list[str]) -> None:
    """Resolve into `lock`: no address of an index and no comment that names a file, for it says what, not from where."""
    plain = ["--quiet", "--generate-hashes", "--no-annotate", "--no-header", "--no-emit-index-url", "--no-emit-find-links"]
    command = [uv_program(), "pip", "compile", *plain, *options, "--output-file", str(lock), str(requirements)]
    env = uv_environment()
    try:
        done = subprocess.run(
            command, cwd=requirements.parent, env=env, capture_output=True, text=True, timeout=RESOLVE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise ImageError("resolving took too long", where=str(requirements), expected=f"at most {RESOLVE_SECONDS} s") from None
    if done.returncode != 0:
        raise ImageError(
            "the requirements could not be resolved",
            where=str(requirements),
            found=done.stderr.strip()[-2000:],
            remedy="where the index cannot be reached, name a mirror with UV_DEFAULT_INDEX",
        )
