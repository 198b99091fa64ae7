"""The project's own images as they are built: what they say that they can import, they import in a container."""

import pytest
from docker_mini import docker

from edgemill.engines import container_images
from edgemill.engines.docker_engine import DockerEngine
from edgemill.images import load_images

IMAGES = {name: image for name, image in load_images().items() if image.extends is None and image.imports}
PROGRAM = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"


@pytest.mark.slow
@pytest.mark.parametrize("name", IMAGES)
def test_an_image_imports_what_it_declares(name):
    image = IMAGES[name]
    DockerEngine().prepare(image, print)
    built = container_images.recorded(image)
    options = ["--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--env", "HOME=/nonexistent"]
    done = docker("run", *options, built.id, "python", "-c", PROGRAM, *image.imports, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
