"""What a built container image holds, asked of the image itself: for its bill of materials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgemill.engines.container_images import Built
from edgemill.errors import ImageError
from edgemill.sbom import QUESTION, Contents, answer

if TYPE_CHECKING:
    from docker.client import DockerClient

MEMORY = "256m"


def contents(client: DockerClient, built: Built) -> Contents:
    """Start the image, by its ID, with nothing but the question. Raises ImageError where it does not answer."""
    import docker.errors

    try:
        said: bytes = client.containers.run(
            built.id,
            ["-c", QUESTION],
            entrypoint="sh",
            network_mode="none",
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            mem_limit=MEMORY,
            remove=True,
        )
    except docker.errors.DockerException as error:
        raise ImageError("the image cannot be asked what it holds", where=built.id, found=str(error)[-500:]) from None
    return answer(said.decode(errors="replace"), built.id, built.stand_in)
