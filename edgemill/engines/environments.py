"""Virtual environments that realise images for the local engine: made once, whole or not at all, and shared by all pipelines."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import sys
import time
from collections.abc import Container, Iterator, Sequence
from pathlib import Path

from edgemill import PROJECT, SCHEMA
from edgemill.engines.patching import apply_series
from edgemill.engines.process import StopRequests, supervise
from edgemill.engines.pythons import find_python
from edgemill.engines.seam import Ending, Say
from edgemill.errors import ImageError
from edgemill.files import flush_folder, flush_path, write_json
from edgemill.hashing import digest_files, sha256_file
from edgemill.images import Image
from edgemill.locks import POLL_SECONDS, Lock, held
from edgemill.wheels import source_for

MARKER = "edgemill.json"
INSTALL_SECONDS = 3600.0
SYSTEM_CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
# A user's settings that would let uv install elsewhere, or something else than the lock says.
UV_ELSEWHERE = frozenset(
    "UV_" + name
    for name in (
        *("PYTHON", "SYSTEM_PYTHON", "TARGET", "PREFIX", "PROJECT", "WORKING_DIR", "MANAGED_PYTHON", "NO_MANAGED_PYTHON"),
        *("PYTHON_PREFERENCE", "CONSTRAINT", "BUILD_CONSTRAINT", "OVERRIDE", "EXCLUDE", "EXCLUDE_NEWER", "LINK_MODE", "TORCH_BACKEND"),
    )
)


def environments_folder() -> Path:
    """Where environments are: EDGEMILL_ENVS, or `.envs` in the project."""
    return Path(os.environ.get("EDGEMILL_ENVS") or PROJECT / ".envs").absolute()


def environment_path(image: Image) -> Path:
    """The environment of an image, made or not; its name holds the image's identity."""
    return environments_folder() / f"{image.name}-{image.identity[:16]}"


def is_made(image: Image) -> bool:
    """Whether the environment is there, of this identity and able to start."""
    folder = environment_path(image)
    try:
        marker = json.loads((folder / MARKER).read_bytes())
        return marker["identity"] == image.identity and os.access(folder / "bin" / "python", os.X_OK)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def make(image: Image, say: Say, stops: StopRequests) -> Path:
    """Make the environment if it is not there: lock, patches, then a check of the imports; then one rename.

    Raises:
        ImageError: no Python of the version, a wheel that cannot be had or has another hash, a patch target that is not the
            expected one, a failing import.
    """
    folder = environment_path(image)
    if is_made(image):
        return folder
    with held(_lock_of(folder), str(os.getpid()), _patience(image, say, stops)):
        if is_made(image):
            return folder
        say(f"making the environment of the image {image.name} (Python {image.python}; once)")
        python = find_python(image.python)
        fresh = folder.with_name(folder.name + ".making")
        for stale in (fresh, folder):
            if stale.exists():
                shutil.rmtree(stale)
        _install(image, python, fresh, stops)
        site = site_packages(fresh)
        if image.patches is not None:
            apply_series(image.patches, site)
        _check_imports(image, fresh, stops)
        write_json(
            fresh / MARKER,
            {"schema": SCHEMA, "image": image.name, "identity": image.identity, "python": str(python), "content": content(fresh)},
        )
        flush_folder(fresh)
        fresh.rename(folder)
        flush_path(folder.parent)
    return folder


@contextlib.contextmanager
def in_use(image: Image, stops: StopRequests) -> Iterator[Path]:
    """Keep an image's environment from being removed while something runs in it. Raises ImageError where it is gone."""
    folder = environment_path(image)
    lock = Lock(_lock_of(folder))
    while not lock.try_acquire(shared=True):
        stops.check()
        time.sleep(POLL_SECONDS)
    try:
        if not is_made(image):
            raise ImageError(f"the environment of the image {image.name!r} is gone", where=str(folder), remedy="run the same command again")
        yield folder
    finally:
        lock.release()


def removable(wanted: Container[str]) -> list[Path]:
    """Environments, made or half made, whose names are not among `wanted`; nothing else that lies in their folder."""
    found = []
    for folder in sorted(environments_folder().glob("*/")):
        name = folder.name.removesuffix(".making")
        ours = (folder / ("pyvenv.cfg" if folder.name.endswith(".making") else MARKER)).is_file()
        if ours and re.fullmatch(r".+-[0-9a-f]{16}", name) and folder.name not in wanted:
            found.append(folder)
    return found


def remove_environment(folder: Path) -> bool:
    """Remove an environment; False where it is being made or something runs in it."""
    lock = Lock(_lock_of(folder.with_name(folder.name.removesuffix(".making"))))
    if not lock.try_acquire():
        return False
    try:
        (folder / MARKER).unlink(missing_ok=True)  # first, so that a half removed one does not pass for made
        shutil.rmtree(folder)
    finally:
        lock.release()
    return True


def _lock_of(folder: Path) -> Path:
    return folder.with_name(folder.name + ".lock")


def site_packages(folder: Path) -> Path:
    """The site-packages folder of an environment. Raises ImageError where there is none."""
    found = sorted(folder.glob("lib/python3.*/site-packages"))
    if len(found) != 1:
        raise ImageError("the environment has no site-packages", where=str(folder), remedy=f"remove {folder} and run the command again")
    return found[0]


def content(folder: Path) -> str:
    """Digest of all that is installed, byte code left out."""
    site = site_packages(folder)
    files = (path for path in site.rglob("*") if path.suffix != ".pyc" and path.is_file())
    return digest_files((path.relative_to(site).as_posix(), sha256_file(path), path.stat().st_size) for path in files)


def verify(image: Image) -> None:
    """Read every installed file again. Raises ImageError where one is not as it was installed."""
    folder = environment_path(image)
    recorded = json.loads((folder / MARKER).read_bytes())["content"]
    found = content(folder)
    if found != recorded:
        raise ImageError(
            f"the environment of the image {image.name!r} was changed after it was made",
            where=str(folder),
            expected=recorded,
            found=found,
            remedy=f"rm -r {folder}, and run the command again",
        )


def uv_program() -> str:
    """The uv of this program's own environment. Raises ImageError."""
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.is_file() else shutil.which("uv")
    if found is None:
        raise ImageError("uv is not installed", where=sys.executable, remedy="run ./mill, which installs it")
    return found


def uv_environment() -> dict[str, str]:
    """The user's environment for uv, so that it downloads no Python, and trusts whom this machine trusts, as pip does."""
    trust = {"UV_SYSTEM_CERTS": "1"} if any(map(os.path.exists, SYSTEM_CERTIFICATES)) else {}
    return {**trust, **os.environ, "UV_PYTHON_DOWNLOADS": "never"}


def _patience(image: Image, say: Say, stops: StopRequests) -> Say:
    told: list[str] = []

    def waiting(holder: str) -> None:
        stops.check()
        if not told:
            told.append(holder)
            say(f"waiting for process {holder}, which makes the environment of the image {image.name}")

    return waiting


def _install(image: Image, python: Path, fresh: Path, stops: StopRequests) -> None:
    uv = uv_program()
    env = {name: value for name, value in uv_environment().items() if name not in UV_ELSEWHERE}
    env |= {"VIRTUAL_ENV": str(fresh), "PYTHONHASHSEED": "0"}
    wheels = source_for(image.lock)
    source = ["--offline", "--no-index", "--find-links", str(wheels)] if wheels else []
    _run([uv, "venv", "--quiet", "--relocatable", "--no-project", "--python", str(python), str(fresh)], image, env, stops)
    if image.lock.stat().st_size:
        command = [uv, "pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode", *source, *_building(image)]
        _run([*command, str(image.lock)], image, env, stops)


def _building(image: Image) -> list[str]:
    """Options of uv: wheels alone, but for the packages without one, which are built with what the same lock names, hashes included."""
    named = [part for name in image.sdists for part in ("--no-binary", name)]
    return ["--only-binary", ":all:", *named, *(["--build-constraints", str(image.lock), "--require-build-hashes"] if named else [])]


def _check_imports(image: Image, fresh: Path, stops: StopRequests) -> None:
    if image.imports:
        program = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"
        env = stage_environment(fresh, image)  # and not in the project's folder, whose own folders could pass for modules
        _run([str(fresh / "bin" / "python"), "-c", program, *image.imports], image, env, stops)


def stage_environment(folder: Path, image: Image) -> dict[str, str]:
    """The environment variables that every program in the image gets: none of this user's, so no credentials and no proxies."""
    return {
        "PATH": os.pathsep.join([str(folder / "bin"), "/usr/local/bin", "/usr/bin", "/bin"]),
        "HOME": "/nonexistent",
        **image.variables,
    }


def _run(command: Sequence[str], image: Image, env: dict[str, str], stops: StopRequests) -> None:
    """Run one step of making an environment. Raises ImageError with the last lines that it printed."""
    output = bytearray()
    try:
        outcome = supervise(command, env=env, cwd=environments_folder(), on_output=output.extend, timeout=INSTALL_SECONDS, stops=stops)
    except OSError as error:
        raise ImageError(f"{command[0]} cannot be started: {error.strerror}", where=f"image {image.name}") from None
    stops.check()
    if outcome.exit_code != 0 or outcome.ending is not Ending.EXITED:
        tail = "\n".join(output.decode(errors="replace").strip().splitlines()[-12:])
        shown = shlex.join(command if len(command) < 12 else [*command[:12], "…"])
        raise ImageError(
            f"the image {image.name!r} could not be made ({outcome.ending.value}, exit status {outcome.exit_code})",
            where=shown,
            found=tail or "no output",
            remedy="where the network or a mirror is the cause, mend it and run the same command again; UV_DEFAULT_INDEX names a mirror",
        )
