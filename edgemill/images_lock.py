"""Refreshing an image's lock: resolve its requirements with uv, and show what changed for review."""

from __future__ import annotations

import difflib
import os
import re
import subprocess
from pathlib import Path

from edgemill import PROJECT
from edgemill.engines.environments import uv_program
from edgemill.errors import ImageError
from edgemill.files import write_bytes
from edgemill.images import Image

HOST = PROJECT / "requirements.lock"
HOST_PYTHON = "3.10"  # the oldest that the host supports; its lock serves every newer one
RESOLVE_SECONDS = 600


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
    # No address of an index and no comment that names a file: the lock says what, not from where.
    command = [
        uv_program(),
        "pip",
        "compile",
        "--quiet",
        "--generate-hashes",
        "--no-annotate",
        "--no-header",
        "--no-emit-index-url",
        "--no-emit-find-links",
    ]
    command += [*options, *(["--upgrade"] if upgrade else []), "--output-file", str(lock), str(requirements)]
    env = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
    try:
        done = subprocess.run(
            command, cwd=requirements.parent, env=env, capture_output=True, text=True, timeout=RESOLVE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise ImageError("resolving took too long", where=str(requirements), expected=f"at most {RESOLVE_SECONDS} s") from None
    if done.returncode != 0:
        write_bytes(lock, before.encode())
        raise ImageError(
            "the requirements could not be resolved",
            where=str(requirements),
            found=done.stderr.strip()[-2000:],
            remedy="where the index cannot be reached, name a mirror with UV_DEFAULT_INDEX",
        )
    after = lock.read_text(encoding="utf-8")
    address = re.search(r"https?://\S+", after)
    if address:
        write_bytes(lock, before.encode())
        raise ImageError(
            "the lock would name a download address",
            where=str(requirements),
            found=address.group(),
            remedy="require a version instead of a URL",
        )
    return "".join(
        difflib.unified_diff(before.splitlines(True), after.splitlines(True), f"{lock.name} (before)", f"{lock.name} (now)", n=1)
    )
