"""The wheelhouse: a folder of wheels by their published names, from which environments and images are made without a network.

Of a package that is published as source alone (an image's `sdists`), the source lies there as it was published: a wheel of one's own
making would have a hash that nobody else can check. Where it is installed, the setuptools of the same list builds it.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from packaging.utils import canonicalize_name

from edgemill import PROJECT, SCHEMA
from edgemill.errors import ImageError
from edgemill.files import write_json
from edgemill.hashing import sha256_file
from edgemill.images import Image, lock_meaning
from edgemill.requirements import pins

INDEX = "wheels.json"
VARIABLE = "EDGEMILL_WHEELS"
OFFLINE = "EDGEMILL_OFFLINE"
HOST_PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
GLIBC = (5, 12, 17, 27, 28, 31, 34, 35)  # what the wheels' manylinux tags name; Debian 12, which the bases are, has glibc 2.36
ALIASES = {"manylinux1": 5, "manylinux2010": 12, "manylinux2014": 17}
DOWNLOAD_SECONDS = 3600
PATTERNS = ("*.whl", "*.tar.gz")
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


def fill(name: str, lock: Path, pythons: Sequence[str], sdists: Collection[str] = ()) -> int:
    """Download the wheels of a hashed list for the Python versions, each checked against its hash; returns how many files are new.

    Of the packages `sdists`, which have no wheel, it is their source.

    Raises:
        ImageError: something cannot be had.
    """
    folder = wheels_folder()
    folder.mkdir(parents=True, exist_ok=True)
    before = set(_files(folder))
    if lacking(lock):
        with tempfile.TemporaryDirectory(prefix="edgemill-wheels-") as room:
            for python in pythons:
                lines = list(_for_python(lock, python))
                sources = [line for line in lines if _name(line) in {canonicalize_name(sdist) for sdist in sdists}]
                _download_wheels(name, _list(Path(room), [line for line in lines if line not in sources]), python)
                if sources:
                    _download_sources(name, _list(Path(room), sources), _setuptools(lock, Path(room)))
    _write_index(folder)
    return len(set(_files(folder)) - before)


def fill_image(image: Image) -> int:
    """The same for an image's list."""
    return fill(image.name, image.lock, [image.python], image.sdists)


def _list(room: Path, lines: Sequence[str]) -> Path:
    path = room / "requirements.txt"
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def _name(line: str) -> str:
    return canonicalize_name(re.split(r"[=\[ ]", line, maxsplit=1)[0])


def _download_wheels(name: str, lock: Path, python: str) -> None:
    options = ["--only-binary=:all:", "--ignore-requires-python", "--python-version", python, "--implementation", "cp"]
    options += [part for platform in _platforms() for part in ("--platform", platform)]
    options += [part for abi in _abis(python) for part in ("--abi", abi)]
    _download(f"the wheels of {name!r} for Python {python}", lock, options, {})


def _download_sources(name: str, lock: Path, setuptools: Path) -> None:
    # pip asks a source for its name and version, which takes setuptools: the one that builds it later, and no other.
    options = ["--no-binary=:all:", "--no-build-isolation", "--ignore-requires-python"]
    _download(f"the sources of {name!r}", lock, options, {"PYTHONPATH": str(setuptools)})


def _setuptools(lock: Path, room: Path) -> Path:
    """A folder with the setuptools of a list, from its wheel in the wheelhouse. Raises ImageError where the list has none."""
    sums = {found for pin in pins(lock) if canonicalize_name(pin.requirement.name) == "setuptools" for found in pin.sha256}
    for wheel in wheels_folder().glob("setuptools-*.whl"):
        if sha256_file(wheel) in sums:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(room / "setuptools")
            return room / "setuptools"
    raise ImageError(
        "a package without a wheel needs setuptools in the same list",
        where=str(lock),
        remedy=f"add setuptools to {lock.with_suffix('.in').name}, and run ./mill images.lock",
    )


def _download(what: str, lock: Path, options: Sequence[str], env: Mapping[str, str]) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
    command += ["--dest", str(wheels_folder()), *options, "-r", str(lock)]
    try:
        done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise ImageError("downloading took too long", where=what, expected=f"at most {DOWNLOAD_SECONDS} s") from None
    if done.returncode != 0:
        raise ImageError(
            f"{what} could not be had",
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


def _files(folder: Path) -> list[str]:
    return sorted(path.name for pattern in PATTERNS for path in folder.glob(pattern))


def _write_index(folder: Path) -> None:
    known = {}
    if (folder / INDEX).is_file():
        known = json.loads((folder / INDEX).read_bytes())["wheels"]
    wheels = {name: known.get(name) or sha256_file(folder / name) for name in _files(folder)}
    write_json(folder / INDEX, {"schema": SCHEMA, "wheels": wheels})
