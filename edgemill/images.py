"""Images: pinned environments, declared in `docker/images.yaml` for every engine."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgemill import PROJECT, SCHEMA
from edgemill.documents import check, load_yaml, unknown_name
from edgemill.errors import ImageError, RequestError
from edgemill.hashing import digest_of, sha256_file

DOCKER = PROJECT / "docker"
PATCHES = PROJECT / "patches"
LOCKED = "images.lock"

_IMAGE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["help"],
    "properties": {
        "help": {"type": "string"},
        "base": {"type": "string"},
        "python": {"type": "string", "pattern": r"^3\.[0-9]+$"},
        "resolve": {"type": "boolean"},
        "sdists": {"type": "array", "items": {"type": "string"}},
        "patches": {"type": "string"},
        "system_packages": {"type": "array", "items": {"type": "string"}},
        "tools": {"type": "object", "additionalProperties": {"type": "string"}},
        "debs": {"type": "array", "items": {"type": "string"}},
        "env": {"type": "object", "additionalProperties": {"type": "string"}},
        "imports": {"type": "array", "items": {"type": "string"}},
        "extends": {"type": "string"},
        "gpus": {"const": "all"},
    },
}
_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["schema", "images"],
    "properties": {"schema": {"const": SCHEMA}, "images": {"type": "object", "additionalProperties": _IMAGE}},
}
_TARGETS = {
    "type": "object",
    "additionalProperties": False,
    "required": ["schema", "targets"],
    "properties": {
        "schema": {"const": SCHEMA},
        "package": {"type": "string"},
        "targets": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "required": ["before", "after"],
                "properties": {name: {"type": "string", "pattern": "^[0-9a-f]{64}$"} for name in ("before", "after")},
            },
        },
    },
}
_DIGEST = {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}
_SHA256 = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_PINS = {
    "type": "object",
    "additionalProperties": False,
    "required": ["requirements", "patches"],
    "properties": {"requirements": _SHA256, "patches": {"type": "object", "additionalProperties": _SHA256}},
}
_LOCKED = {
    "type": "object",
    "additionalProperties": False,
    "required": ["schema", "bases", "images", "debs"],
    "properties": {
        "schema": {"const": SCHEMA},
        "bases": {"type": "object", "additionalProperties": _DIGEST},
        "images": {"type": "object", "additionalProperties": _PINS},
        "debs": {"type": "object", "additionalProperties": {**_SHA256, "type": ["string", "null"]}},
    },
}


@dataclass(frozen=True)
class PatchSeries:
    """A quilt series: patches in order, and the sha256 of each target (relative to site-packages) before and after all of them.

    `package` is the one that they change, where the series says so.
    """

    name: str
    patches: tuple[Path, ...]
    targets: Mapping[str, tuple[str, str]]
    package: str | None = None


@dataclass(frozen=True)
class Image:
    """A declared image.

    `python` is a version such as `3.7`; `sdists` names the packages of the lock that are published as source alone, which the lock's
    setuptools builds; `tools` maps programs from outside PyPI to their exact version; `base_digest` is that of `base` in images.lock;
    `debs` maps Debian packages that come from outside Debian to their sha256, None where it is not known yet. One that `extends` another
    has its Dockerfile only if it is handed `gpus`: then stages run in it where a pipeline asks for it, else only tests do.
    """

    name: str
    help: str
    base: str
    python: str
    resolve: bool
    sdists: tuple[str, ...]
    patches: PatchSeries | None
    system_packages: tuple[str, ...]
    tools: Mapping[str, str]
    env: Mapping[str, str]
    imports: tuple[str, ...]
    lock: Path
    dockerfile: Path
    base_digest: str | None
    debs: Mapping[str, str | None]
    extends: str | None
    gpus: bool = False

    @property
    def requirements(self) -> Path:
        """The hand-written list that the lock is made from."""
        return self.lock.with_suffix(".in")

    @property
    def variables(self) -> dict[str, str]:
        """What every engine sets for the image's Python, so that it computes the same in each."""
        fixed = {"LANG": "C.UTF-8", "PYTHONHASHSEED": "0", "PYTHONNOUSERSITE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        return {**fixed, **self.env}

    @property
    def build_files(self) -> list[Path]:
        """What builds the container image: its Dockerfile, and the scripts that all of them use; nothing for an image without one."""
        return [self.dockerfile, *sorted((self.dockerfile.parent / "build").glob("*"))] if self.dockerfile.is_file() else []

    @functools.cached_property
    def identity(self) -> str:
        """sha256 over everything that the image is made of; the same for every engine. Raises ImageError without a lock."""
        if not self.lock.is_file():
            raise ImageError(f"the image {self.name!r} has no lock", where=str(self.lock), remedy=f"./mill images.lock --image {self.name}")
        series = self.patches
        return digest_of(
            {
                "base": [self.base, self.base_digest],
                "debs": dict(self.debs),
                "python": self.python,
                "system_packages": sorted(self.system_packages),
                "tools": dict(self.tools),
                "env": dict(self.env),
                "lock": lock_meaning(self.lock),
                **({"sdists": sorted(self.sdists)} if self.sdists else {}),
                "patches": series and [[sha256_file(path) for path in series.patches], {k: list(v) for k, v in series.targets.items()}],
                "dockerfile": [sha256_file(path) for path in self.build_files],
            }
        )


def lock_meaning(lock: Path) -> list[str]:
    """The requirements of a hashed pip list, sorted, without comments or line breaks."""
    # As pip reads it: a line that is a comment does not go on, whatever it ends with.
    text = re.sub(r"(?m)^\s*#.*$", "", lock.read_text(encoding="utf-8")).replace("\\\n", " ")
    lines = (re.sub(r"\s#.*", "", line) for line in text.splitlines())
    return sorted(" ".join(sorted(line.split())) for line in lines if line.strip())


def load_series(name: str, folder: Path = PATCHES) -> PatchSeries:
    """A patch series by name. Raises RequestError where its files are missing or wrong."""
    series = folder / name / "series"
    if not series.is_file():
        raise RequestError(f"there is no patch series {name!r}", where=str(series))
    names = [line.split("#")[0].strip() for line in series.read_text(encoding="utf-8").splitlines()]
    patches = tuple(folder / name / patch for patch in names if patch)
    for patch in patches:
        if not patch.is_file():
            raise RequestError("a patch of the series is missing", where=f"{series}: {patch.name}")
    document = load_yaml(folder / name / "targets.json")
    check(document, _TARGETS)
    targets = {path: (sums["before"], sums["after"]) for path, sums in document.data["targets"].items()}
    return PatchSeries(name, patches, targets, document.data.get("package"))


def load_locked(path: Path) -> dict[str, Any]:
    """What images.lock pins: digests of bases, hashes of lists, patches and Debian packages. Raises RequestError where it is wrong."""
    if not path.is_file():
        return {"schema": SCHEMA, "bases": {}, "images": {}, "debs": {}}
    document = load_yaml(path)
    check(document, _LOCKED)
    locked: dict[str, Any] = document.data
    return locked


def load_images(path: Path = DOCKER / "images.yaml", patches: Path = PATCHES) -> dict[str, Image]:
    """All declared images by name. Raises RequestError where the declaration is wrong."""
    document = load_yaml(path)
    check(document, _SCHEMA)
    locked = load_locked(path.with_name(LOCKED))
    declared: dict[str, dict[str, Any]] = document.data["images"]
    images = {}
    for name, own in declared.items():
        fields = dict(own)
        parent = fields.pop("extends", None)
        if parent is not None:
            if parent not in declared or "extends" in declared[parent]:
                raise unknown_name(
                    "image", parent, [n for n in declared if "extends" not in declared[n]], document.where(("images", name, "extends"))
                )
            fields = {**declared[parent], **fields, "imports": [*declared[parent].get("imports", ()), *own.get("imports", ())]}
        elif "gpus" in own:
            raise RequestError(
                f"the image {name!r} has gpus, but is no variant of another",
                where=document.where(("images", name, "gpus")),
                remedy="say extends",
            )
        for key in ("base", "python"):
            if key not in fields:
                raise RequestError(f"the image {name!r} does not say its {key}", where=document.where(("images", name)))
        images[name] = Image(
            name=name,
            help=fields["help"],
            base=fields["base"],
            python=fields["python"],
            resolve=fields.get("resolve", True),
            sdists=tuple(fields.get("sdists", ())),
            patches=load_series(fields["patches"], patches) if "patches" in fields else None,
            system_packages=tuple(fields.get("system_packages", ())),
            tools=fields.get("tools", {}),
            env=fields.get("env", {}),
            imports=tuple(fields.get("imports", ())),
            lock=path.parent / "locks" / f"{name}.lock",
            dockerfile=path.parent / f"{parent if parent and 'gpus' in fields else name}.Dockerfile",
            base_digest=locked["bases"].get(fields["base"]),
            debs={deb: locked["debs"].get(deb) for deb in fields.get("debs", ())},
            extends=parent,
            gpus="gpus" in fields,
        )
    return images
