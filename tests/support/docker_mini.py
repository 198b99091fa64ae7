"""The small project with an image that the real Docker engine builds, on this site's own stand-in for a base."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from mini import VERSION, Mini

from edgemill.engines.daemon import find_daemon

BASE = f"python:{VERSION}-slim-bookworm"
DIGEST = "sha256:" + "0" * 64  # no registry has it: only the stand-in can be meant
DOCKERFILE = f"""\
FROM scratch AS wheels

FROM {BASE}@{DIGEST}
ARG SOURCE REVISION VERSION IDENTITY
LABEL org.edgemill.image=host org.edgemill.identity=$IDENTITY
USER 65532:65532
"""


def require_daemon() -> None:
    """Skip where no daemon answers or the stand-in is missing; under CI, where there must be one, fail."""
    daemon = find_daemon()
    problem = daemon.problem and f"no Docker daemon answers at {daemon.address}: {daemon.problem}"
    if problem is None and docker("image", "inspect", BASE, check=False).returncode:
        problem = f"the daemon has no image {BASE} to build on"
    if problem is not None:
        pytest.fail(problem) if os.environ.get("CI") == "true" else pytest.skip(problem)


def docker(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=check)


class DockerMini(Mini):
    """A small project whose builds use the Docker engine."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        folder = root / "docker"
        images = folder / "images.yaml"
        images.write_text(images.read_text().replace("base: none", f"base: {BASE}"))
        (folder / "host.Dockerfile").write_text(DOCKERFILE)
        (folder / "build").mkdir()
        self.pin()
        self.stand_in()

    def pin(self) -> None:
        """Write images.lock from the files as they are."""
        from edgemill.image_pins import refresh
        from edgemill.images import load_images

        (self.root / "docker" / "images.lock").write_text(json.dumps({"schema": 1, "bases": {BASE: DIGEST}, "images": {}, "debs": {}}))
        refresh(load_images(self.root / "docker" / "images.yaml", self.root / "patches").values(), None, folder=self.root / "docker")

    def stand_in(self, image: str = BASE) -> None:
        """Record an image of the daemon's for the base; EDGEMILL_STAND_INS must name `root/docker/stand-ins.yaml`."""
        found = docker("image", "inspect", "-f", "{{.Id}}", image).stdout.strip()
        fields = {"image": image, "id": found, "reason": "a test"}
        (self.root / "docker" / "stand-ins.yaml").write_text(json.dumps({"schema": 1, "stand_ins": {BASE: fields}}))

    def image(self):
        return self.pipeline("act").steps["act"].image

    def job(self, *arguments, **options):
        from edgemill.engines.docker_engine import DockerEngine
        from edgemill.engines.process import StopRequests

        stops = options.pop("stops", None) or StopRequests()
        job = super().job(*arguments, engine=options.pop("engine", None) or DockerEngine(stops), **options)
        job.stops = stops
        return job

    def containers(self) -> list[str]:
        """The IDs of all containers that work for this project."""
        found = docker("ps", "-aq", "--no-trunc", "--filter", "label=org.edgemill.work").stdout.split()
        labels = (docker("inspect", "-f", '{{index .Config.Labels "org.edgemill.work"}}', name, check=False).stdout for name in found)
        return [name for name, label in zip(found, labels, strict=True) if label.startswith(str(self.root))]
