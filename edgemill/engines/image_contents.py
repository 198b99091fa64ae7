"""What a built container image holds, asked of the image itself: for its bill of materials."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from edgemill.engines import ownership
from edgemill.engines.container_images import LABEL, Built
from edgemill.engines.docker_engine import losses
from edgemill.errors import ImageError
from edgemill.sbom import QUESTION, Contents, answer

if TYPE_CHECKING:
    from docker.client import DockerClient

MEMORY = "256m"
SECONDS = 60


def contents(client: DockerClient, built: Built) -> Contents:
    """Start the image, by its ID, with nothing but the question. Raises ImageError where it does not answer."""
    try:
        container = client.containers.create(
            built.id,
            ["-c", QUESTION],
            entrypoint="sh",
            network_mode="none",
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            mem_limit=MEMORY,
            labels={f"{LABEL}owner": ownership.this_process()},  # so that a later run finds it, should this process be killed
        )
        try:
            container.start()
            code = container.wait(timeout=SECONDS)["StatusCode"]
            said = container.logs(stdout=True, stderr=False).decode(errors="replace")
            problem = container.logs(stdout=False, stderr=True).decode(errors="replace") if code else ""
        finally:
            with contextlib.suppress(*losses()):
                container.remove(force=True)
    except losses() as error:
        raise _silent(built, str(error)) from None
    if code:
        raise _silent(built, f"exit status {code}: {problem.strip()}")
    return answer(said, built.id, built.stand_in)


def _silent(built: Built, found: str) -> ImageError:
    return ImageError(
        "the image cannot be asked what it holds",
        where=built.id,
        found=found[-500:],
        remedy=f"./mill images.build --image {built.image}, or take the bill with --declared",
    )
