"""The wheelhouse: a folder of wheels by their published names, from which environments and images are made without a network."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgemill import PROJECT, SCHEMA
from edgemill.errors import ImageError
from edgemill.files import write_json
from edgemill.hashing import sha256_file
from edgemill.images import Image, lock_meaning

INDEX = "wheels.json"
VARIABLE = "EDGEMILL_WHEELS"
OFFLINE = "EDGEMILL_OFFLINE"
HOST_PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
GLIBC = (5, 12, 17, 27, 28, 31, 34, 35)  # what the wheels' manylinux tags name; Debian 12, which the bases are, has glibc 2.36
ALIASES = {"manylinux1": 5, "manylinux2010": 12, "manylinux2014": 17}
DOWNLOAD_SECONDS = 3600
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def wheels_folder() -> Path:
    """Where wheels are kept: EDGEMILL_WHEELS, or `.envs/wheels` in the project."""
    return Path(os.environ.get(VARIABLE) or PROJECT / ".envs" / "wheels").absolute()


def is_offline() -> bool:
    """Whether nothing may try the network: EDGEMILL_OFFLINE=1, or a file `offline` in the wheelhouse, which `bundle.install` puts there."""
    return os.environ.get(OFFLINE, "") not in ("", "0") or (wheels_folder() / "offline").exists()


def lacking(lock: Path) -> list[str]:
    """The requirements of a hashed list of which the wheelhouse has no file."""
    have = set(listed().values())
    return [line for line in lock_meaning(lock) if not have & set(_HASH.findall(line))]


def source_for(lock: Path) -> Path | None:
    """The wheelhouse, where it has all that the list asks for; None where an index has to be asked.

    Raises:
        ImageError: wheels are missing, and the network must not be tried.
    """
    missing = lacking(lock)
    if not missing:
        return wheels_folder()
    if is_offline():
        raise ImageError(
            f"{len(missing)} wheels are missing, and nothing is taken from the network here",
            where=str(wheels_folder()),
            expected=f"all of {lock.name}",
            found="without " + ", ".join(re.findall(r"(\S+)==", " ".join(missing))[:8]) + (" …" if len(missing) > 8 else ""),
            remedy="install a bundle that has them, or, where there is a network, ./mill images.wheels (and unset EDGEMILL_OFFLINE)",
        )
    return None


def fill(name: str, lock: Path, pythons: Sequence[str]) -> int:
    """Download the wheels of a hashed list for the Python versions, each checked against its hash; returns how many are new.

    Raises:
        ImageError: a wheel cannot be had.
    """
    folder = wheels_folder()
    folder.mkdir(parents=True, exist_ok=True)
    before = {path.name for path in folder.glob("*.whl")}
    if lacking(lock):
        with tempfile.TemporaryDirectory(prefix="edgemill-wheels-") as room:
            for python in pythons:
                plain = Path(room) / f"{python}.txt"
                plain.write_text("\n".join(_for_python(lock, python)) + "\n", encoding="utf-8")
                _download(name, plain, python, folder)
    _write_index(folder)
    return len({path.name for path in folder.glob("*.whl")} - before)


def fill_image(image: Image) -> int:
    """The same for an image's list."""
    return fill(image.name, image.lock, [image.python])


def _download(name: str, lock: Path, python: str, folder: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--require-hashes",
        "--ignore-requires-python",
    ]
    command += ["--only-binary=:all:", "--dest", str(folder), "--python-version", python, "--implementation", "cp"]
    command += [part for platform in _platforms() for part in ("--platform", platform)]
    command += [part for abi in _abis(python) for part in ("--abi", abi)]
    try:
        done = subprocess.run([*command, "-r", str(lock)], capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise ImageError("downloading wheels took too long", where=name, expected=f"at most {DOWNLOAD_SECONDS} s") from None
    if done.returncode != 0:
        raise ImageError(
            f"the wheels of {name!r} for Python {python} could not be had",
            where=shlex.join(command[:6]) + " …",
            found=done.stderr.strip()[-1500:],
            remedy="mend the network, or name a mirror with PIP_INDEX_URL; then run the same command again",
        )


def _abis(python: str) -> list[str]:
    tag = "cp" + python.replace(".", "")
    return [tag + ("m" if python in ("3.6", "3.7") else ""), "abi3", "none"]


def _platforms() -> Iterator[str]:
    machine = os.uname().machine
    yield from (f"manylinux_2_{minor}_{machine}" for minor in GLIBC)
    yield from (f"{alias}_{machine}" for alias in ALIASES)
    yield f"linux_{machine}"


def _for_python(lock: Path, python: str) -> Iterator[str]:
    """The list's requirements that hold for a Python version: pip would decide their markers for the version that runs it."""
    from packaging.markers import Marker

    for line in lock.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        found = re.fullmatch(r"(?P<name>[^;#\s][^;\s]*)\s*(?:;(?P<marker>.*?))?\s*(?P<hashes>--hash=.*)", line.strip())
        if found is None:
            continue
        holds = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux", "platform_system": "Linux"}
        if not found["marker"] or Marker(found["marker"]).evaluate(holds):
            yield f"{found['name']} {found['hashes']}"


def listed() -> dict[str, str]:
    """The sha256 of each file that the wheelhouse's index lists and that is there, by its name; empty where there is no wheelhouse."""
    folder = wheels_folder()
    try:
        index: dict[str, str] = json.loads((folder / INDEX).read_bytes())["wheels"]
        return {name: sums for name, sums in index.items() if (folder / name).is_file()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _write_index(folder: Path) -> None:
    known = {}
    if (folder / INDEX).is_file():
        known = json.loads((folder / INDEX).read_bytes())["wheels"]
    wheels = {path.name: known.get(path.name) or sha256_file(path) for path in sorted(folder.glob("*.whl"))}
    write_json(folder / INDEX, {"schema": SCHEMA, "wheels": wheels})
