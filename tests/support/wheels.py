"""Tiny wheels, so that locks and environments can be tried without a network."""

import base64
import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

# A module of a `setuptools` that no other has: a source that asks for it can be built by nothing else. See PEP 517 for its functions.
BACKEND = """\
import pathlib, zipfile

def prepare_metadata_for_build_wheel(folder, config_settings=None):
    name = pathlib.Path("NAME").read_text()
    info = pathlib.Path(folder, name + "-1.0.dist-info")
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: %s\\nVersion: 1.0\\n" % name)
    return info.name

def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = pathlib.Path("NAME").read_text()
    info = name + "-1.0.dist-info"
    with zipfile.ZipFile(pathlib.Path(folder, name + "-1.0-py3-none-any.whl"), "w") as wheel:
        wheel.writestr(name + ".py", 'WORD = "built by %s"\\n' % VERSION)
        wheel.writestr(info + "/METADATA", "Metadata-Version: 2.1\\nName: %s\\nVersion: 1.0\\n" % name)
        wheel.writestr(info + "/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "/RECORD", "")
    return name + "-1.0-py3-none-any.whl"
"""
PYPROJECT = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.for_tests"\n'


def make_wheel(folder: Path, name: str, version: str = "1.0", files: dict[str, str] | None = None) -> str:
    """Write a pure Python wheel with one module (or `files`) into `folder`; returns its sha256."""
    info = f"{name}-{version}.dist-info"
    contents = {
        **(files or {f"{name}.py": f'VERSION = "{version}"\n'}),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},sha256={_record_hash(text)},{len(text.encode())}\n" for path, text in contents.items())
    contents[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in contents.items():
            archive.writestr(zipfile.ZipInfo(path, (2024, 1, 1, 0, 0, 0)), text)
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


def make_setuptools(folder: Path, version: str = "1.0") -> str:
    """Write the wheel of a `setuptools` that builds what make_sdist makes; returns its sha256."""
    files = {"setuptools/__init__.py": "", "setuptools/for_tests.py": f'VERSION = "{version}"\n{BACKEND}'}
    return make_wheel(folder, "setuptools", version, files)


def make_sdist(folder: Path, name: str) -> str:
    """Write the source of version 1.0 of a package with one module into `folder`; returns its sha256."""
    folder.mkdir(parents=True, exist_ok=True)
    sdist = folder / f"{name}-1.0.tar.gz"
    contents = {"pyproject.toml": PYPROJECT, "NAME": name, "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"}
    with tarfile.open(sdist, "w:gz") as archive:
        for path, text in contents.items():
            member = tarfile.TarInfo(f"{name}-1.0/{path}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return hashlib.sha256(sdist.read_bytes()).hexdigest()


def _record_hash(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def offline(patch: object, wheels: Path, cache: Path) -> None:
    """Let uv find nothing but the wheels of a folder."""
    wheels.mkdir(parents=True, exist_ok=True)
    for variable, value in (("UV_NO_INDEX", "1"), ("UV_FIND_LINKS", str(wheels)), ("UV_OFFLINE", "1"), ("UV_CACHE_DIR", str(cache))):
        patch.setenv(variable, value)
    for variable in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL"):
        patch.delenv(variable, raising=False)
