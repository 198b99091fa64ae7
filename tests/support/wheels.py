"""Tiny wheels, so that locks and environments can be tried without a network."""

import base64
import hashlib
import zipfile
from pathlib import Path


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


def _record_hash(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def offline(patch: object, wheels: Path, cache: Path) -> None:
    """Let uv find nothing but the wheels of a folder."""
    wheels.mkdir(parents=True, exist_ok=True)
    for variable, value in (("UV_NO_INDEX", "1"), ("UV_FIND_LINKS", str(wheels)), ("UV_OFFLINE", "1"), ("UV_CACHE_DIR", str(cache))):
        patch.setenv(variable, value)
    for variable in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL"):
        patch.delenv(variable, raising=False)
