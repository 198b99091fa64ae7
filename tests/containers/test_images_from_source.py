"""Container images with a package that is published as source alone. All of it with a real daemon and no network."""

import hashlib
import json
import shutil

import pytest
from docker_mini import BASE, DIGEST, docker
from wheels import make_sdist, make_setuptools

from edgemill import PROJECT
from edgemill import wheels as wheelhouse
from edgemill.engines import container_images, image_compare
from edgemill.engines.docker_engine import DockerEngine
from edgemill.errors import ImageError

DOCKERFILE = f"""\
FROM scratch AS wheels

FROM {BASE}@{DIGEST} AS build
ARG SOURCE_DATE_EPOCH
RUN --mount=type=bind,source=docker,target=/docker --mount=type=bind,from=wheels,target=/wheels sh /docker/build/install.sh host '' alpha

FROM {BASE}@{DIGEST}
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH
ARG SOURCE REVISION VERSION IDENTITY
LABEL org.edgemill.image=host org.edgemill.identity=$IDENTITY
USER 65532:65532
"""


@pytest.fixture
def project(mini, tmp_path, monkeypatch):
    """A project whose image has alpha, of which the wheelhouse has the source; of two setuptools there, the lock names the older one."""
    shutil.copytree(PROJECT / "docker" / "build", mini.root / "docker" / "build", dirs_exist_ok=True)
    house = tmp_path / "house"
    sums = {"alpha": make_sdist(house, "alpha"), "setuptools": make_setuptools(house)}
    make_setuptools(house, "2.0")
    names = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in house.iterdir()}
    (house / wheelhouse.INDEX).write_text(json.dumps({"schema": 1, "wheels": names}))
    monkeypatch.setenv(wheelhouse.VARIABLE, str(house))
    lock = "".join(f"{name}==1.0 \\\n    --hash=sha256:{digest}\n" for name, digest in sums.items())
    (mini.root / "docker" / "locks" / "host.lock").write_text(lock)
    (mini.root / "docker" / "host.Dockerfile").write_text(DOCKERFILE)
    images = mini.root / "docker" / "images.yaml"
    images.write_text(images.read_text().replace("    imports: [json]", "    sdists: [alpha]\n    imports: [json]"))
    mini.pin()
    return mini


def build(mini):
    DockerEngine().prepare(mini.image(), print)
    return container_images.recorded(mini.image())


def test_it_is_built_by_the_setuptools_of_the_lock(project):
    program = "import alpha; print(alpha.WORD)"
    assert docker("run", "--rm", "--network", "none", build(project).id, "python", "-c", program).stdout == "built by 1.0\n"


def test_the_same_image_twice_from_nothing(project):
    assert image_compare.verify(DockerEngine(), project.image(), print) == build(project).id


def test_a_package_that_the_dockerfile_does_not_name_is_not_built(project):
    (project.root / "docker" / "host.Dockerfile").write_text(DOCKERFILE.replace(" '' alpha", ""))
    project.pin()
    with pytest.raises(ImageError, match="could not be built") as raised:
        build(project)
    assert "No matching distribution found for alpha" in raised.value.found


@pytest.mark.parametrize("name", ["alpha", "setuptools"])
def test_a_source_or_its_setuptools_with_a_wrong_hash(project, name):
    lock = project.root / "docker" / "locks" / "host.lock"
    (found,) = (project.root.parent / "house").glob(f"{name}-1.0*")
    index = found.with_name(wheelhouse.INDEX)
    for path in (lock, index):  # the wheelhouse claims to have it
        path.write_text(path.read_text().replace(hashlib.sha256(found.read_bytes()).hexdigest(), "1" * 64))
    project.pin()
    with pytest.raises(ImageError, match="could not be built") as raised:
        build(project)
    assert "HASHES" in raised.value.found.upper()
