"""What making a bundle takes from the wheelhouse, from the Docker engine and from the bills of materials: the one place that knows them."""

from __future__ import annotations

import platform
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from packaging.tags import Tag, compatible_tags, cpython_tags, platform_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from edgemill import SCHEMA
from edgemill.errors import BundleError
from edgemill.images import Image
from edgemill.images_lock import HOST
from edgemill.requirements import Pin, pins
from edgemill.wheels import HOST_PYTHONS, PATTERNS, wheels_folder

FILL = "./mill images.wheels, where there is a network"


def built_record(image: Image) -> dict[str, Any] | None:
    """What the Docker engine recorded of a built image, as it stands in its file; None where it is not built."""
    from edgemill.engines.container_images import recorded

    built = recorded(image)
    return None if built is None else {"schema": SCHEMA, **asdict(built)}


def wheelhouse() -> dict[str, Path]:
    """The wheels at hand, and the sources of what has none, by file name. Raises BundleError where there are none."""
    folder = wheels_folder()
    wheels = {path.name: path for pattern in PATTERNS for path in sorted(folder.glob(pattern))}
    if not wheels:
        raise BundleError("there is no wheelhouse to take wheels from", where=str(folder), remedy=FILL)
    return wheels


def wheels_of(image: Image, wheels: Mapping[str, str]) -> set[str]:
    """The names among `wheels` (name to sha256) that an image's environment is made from. Raises BundleError where one is missing."""
    return _chosen(pins(image.lock), wheels, image.python, f"image {image.name}", image.sdists)


def host_wheels(wheels: Mapping[str, str], versions: Sequence[str] = HOST_PYTHONS) -> tuple[set[str], list[str]]:
    """The wheels for EdgeMill's own environment, and the Python versions that they serve. Raises BundleError where they serve none."""
    found: set[str] = set()
    served, problem = [], None
    locked = pins(HOST)
    for version in versions:
        try:
            found |= _chosen(locked, wheels, version, HOST.name)
            served.append(version)
        except BundleError as error:
            problem = problem or error
    if not served and problem is not None:
        raise problem
    return found, served


def image_bill(image: Image, wheels: Mapping[str, str], *, built: bool) -> bytes:
    """An image's CycloneDX bill of materials; with `built`, of what the built image says that it holds. Raises EdgeMillError."""
    from edgemill.sbom import bill

    tags = _tags(image.python)  # a lock allows wheels of other Pythons too
    wheels = {name: sha256 for name, sha256 in wheels.items() if not name.endswith(".whl") or _tags_of(name) & tags}
    if not built:
        return bill(image, wheels=wheels)
    from edgemill.engines.container_images import recorded
    from edgemill.engines.docker_engine import DockerEngine
    from edgemill.engines.image_contents import contents

    found = recorded(image)
    return bill(image, wheels=wheels, contents=contents(DockerEngine().connect(), found) if found else None)


def _chosen(locked: Sequence[Pin], wheels: Mapping[str, str], python: str, where: str, sdists: Collection[str] = ()) -> set[str]:
    """The wheels of a list that a Python version takes; of the packages `sdists` their source. Raises BundleError where one is missing."""
    fitting, environment = _tags(python), _environment(python)
    unbuilt = {canonicalize_name(name) for name in sdists}
    chosen = set()
    for pin in locked:
        if pin.requirement.marker is not None and not pin.requirement.marker.evaluate(environment):
            continue
        matching = {name for name, sha256 in wheels.items() if sha256 in pin.sha256}
        if canonicalize_name(pin.requirement.name) in unbuilt:
            found = {name for name in matching if not name.endswith(".whl")}
        else:
            found = {name for name in matching if _tags_of(name) & fitting}
        if not found:
            raise BundleError(
                "a wheel is missing from the wheelhouse",
                where=f"{where}, Python {python}",
                expected=str(pin.requirement),
                remedy=FILL,
            )
        chosen |= found
    return chosen


def _tags_of(name: str) -> frozenset[Tag]:
    try:
        return parse_wheel_filename(name)[3]
    except InvalidWheelFilename:
        return frozenset()


def _tags(python: str) -> frozenset[Tag]:
    """The tags that a CPython of this machine takes (https://packaging.python.org/en/latest/specifications/platform-compatibility-tags)."""
    major, minor = (int(part) for part in python.split("."))
    platforms = list(platform_tags())

    def tags() -> Iterator[Tag]:
        yield from cpython_tags((major, minor), [f"cp{major}{minor}{'m' if (major, minor) < (3, 8) else ''}"], platforms)
        yield from compatible_tags((major, minor), f"cp{major}{minor}", platforms)

    return frozenset(tags())


def _environment(python: str) -> dict[str, str]:
    return {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": platform.machine(),
        "os_name": "posix",
    }
