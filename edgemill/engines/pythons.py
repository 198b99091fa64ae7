"""Finding a Python of an image's version on this machine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from edgemill.errors import ImageError

COMMON_FOLDERS = ("/usr/bin", "/usr/local/bin", "/opt/homebrew/bin", "/opt/local/bin")
PROBE = "import sys, zlib, ssl, ctypes; print('%d.%d' % sys.version_info[:2])"


def candidates(version: str, environ: dict[str, str] | None = None) -> Iterator[Path]:
    """Where a Python `version` (such as `3.7`) may be: PATH, pyenv's versions, uv's own, common folders."""
    environ = dict(os.environ) if environ is None else environ
    name = f"python{version}"
    home = Path(environ.get("HOME", "/"))
    for entry in environ.get("PATH", "").split(os.pathsep):
        if entry and "shims" not in Path(entry).parts:  # a pyenv shim fails where its version is not activated
            yield Path(entry) / name
    pyenv = Path(environ.get("PYENV_ROOT") or home / ".pyenv")
    uv = Path(environ.get("UV_PYTHON_INSTALL_DIR") or Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "uv" / "python")
    for root, pattern in (
        (pyenv / "versions", f"{version}.*"),
        (uv, f"cpython-{version}.*"),
        (Path("/opt/python"), f"{version}*"),
        (Path("/opt"), f"python*{version}*"),
        (home / "miniconda3" / "envs", "*"),
    ):
        for folder in sorted(root.glob(pattern), reverse=True):
            yield folder / "bin" / name
    for common in COMMON_FOLDERS:
        yield Path(common) / name


def is_python(path: Path, version: str) -> bool:
    """Whether the program runs and is a whole Python of the version."""
    if not os.access(path, os.X_OK):
        return False
    try:
        answer = subprocess.run([str(path), "-I", "-c", PROBE], capture_output=True, text=True, errors="replace", timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and answer.stdout.strip() == version


def find_python(version: str, environ: dict[str, str] | None = None) -> Path:
    """A working Python of the version.

    Raises:
        ImageError: there is none; says the three ways to get one, and that Docker needs none.
    """
    seen: set[Path] = set()
    for path in candidates(version, environ):
        if path not in seen and is_python(path, version):
            return path
        seen.add(path)
    raise ImageError(
        f"there is no Python {version} on this machine",
        where="the local engine",
        expected=f"python{version} on PATH, in pyenv's versions, among uv's Pythons, or in {', '.join(COMMON_FOLDERS)}",
        remedy=f"one of three ways:\n"
        f"1. uv:    .venv/bin/uv python install {version}\n"
        f"2. pyenv: pyenv install {version}\n"
        f"3. your system's packages, or a build of your own, with python{version} on PATH\n"
        f"The Docker engine needs none of them.",
    )
