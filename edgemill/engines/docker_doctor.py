"""What `doctor` looks at where stages run in containers."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from edgemill.engines import container_images, ownership
from edgemill.engines.daemon import find_daemon
from edgemill.engines.docker_engine import has_init, is_rootless
from edgemill.errors import EdgeMillError
from edgemill.images import Image
from edgemill.wheels import is_offline, lacking

LEAST_FREE_BYTES = 8 << 30  # all images together take 4.6 GB, and building one needs room beside them

Said = tuple[bool, str, bool]  # good, text, whether it is fatal where it is not good


def examine_daemon() -> Iterator[Said]:
    """The daemon, its kind and whom stages run as in it, BuildKit, and its disk."""
    daemon = find_daemon()
    if daemon.problem:
        yield False, f"Docker daemon at {daemon.address} ({daemon.found}): {daemon.problem}", True
        return
    version, info = daemon.get("/version"), daemon.get("/info")
    rootless = is_rootless(info)
    yield True, f"Docker daemon {version.get('Version')} at {daemon.address} ({daemon.found}){', rootless' if rootless else ''}", True
    user = (0, 0) if rootless else ownership.unprivileged()
    whom = (
        "root of this user's namespace"
        if rootless
        else "this user"
        if user[0] == os.getuid()
        else "nobody in particular, because you are root"
    )
    yield True, f"stages run as {user[0]}:{user[1]}, {whom}", True
    yield _buildkit()
    root = Path(str(info.get("DockerRootDir") or "/"))
    while not root.exists():
        root = root.parent
    free = shutil.disk_usage(root).free
    yield free >= LEAST_FREE_BYTES, f"{free / 2**30:.0f} GiB free for Docker in {root}", True
    if not has_init(info):
        yield True, "this daemon has no docker-init: EdgeMill's own first process hands signals on", True
    for name, missing in (("memory", not info.get("MemoryLimit", True)), ("processes", not info.get("PidsLimit", True))):
        if missing:
            yield False, f"this daemon cannot limit {name}: a stage can take all of this machine's", False


def _buildkit() -> Said:
    try:
        command = [container_images.docker_program(), "buildx", "version"]
    except EdgeMillError as error:
        return False, error.what, False
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = done.stdout.strip().split(" ")
    if done.returncode:
        return False, "docker has no buildx plugin (BuildKit): images cannot be built here, only loaded from a bundle", False
    return True, f"BuildKit through buildx {found[1] if len(found) > 1 else done.stdout.strip()}", True


def examine_image(image: Image) -> Iterator[Said]:
    """Whether an image is built, or what it will be built from."""
    try:
        built = container_images.recorded(image)
        own = container_images.stand_ins().get(image.base)
    except EdgeMillError as error:
        yield False, f"image {image.name}: {error}", True
        return
    if built is not None:
        if container_images.image_id(built.id) == built.id:
            yield (
                True,
                f"image {image.name}: built: {built.id[:19]}" + (f", on the stand-in {built.stand_in[:19]}" if built.stand_in else ""),
                True,
            )
        else:
            yield True, f"image {image.name}: was built, and the daemon has it no longer; it will be built again", True
        return
    missing = lacking(image.lock)
    wheels = f"the package index ({len(missing)} wheels are not in the wheelhouse)" if missing else "the wheelhouse"
    good = not (missing and is_offline())
    base = f"the stand-in {own.image}" if own else f"{image.base}@{(image.base_digest or 'not pinned')[:19]}"
    yield (
        good,
        f"image {image.name}: will be built on {base} from {wheels}" + ("" if good else ", and nothing is taken from the network here"),
        True,
    )
