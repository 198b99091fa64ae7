"""What a real container image says that it holds, and what is told of an artifact that was made in one."""

import json
import subprocess

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from docker_mini import docker

from edgemill.engines.container_images import Built, recorded
from edgemill.engines.docker_engine import DockerEngine
from edgemill.engines.image_contents import contents
from edgemill.errors import ImageError
from edgemill.provenance import statement
from edgemill.sbom import bill
from edgemill.workspace import read_manifest


@pytest.fixture
def nothing():
    """The ID of an image that holds no shell."""
    done = subprocess.run(["docker", "import", "-"], input=bytes(1024), capture_output=True, check=True)
    image = done.stdout.decode().strip()
    yield image
    docker("rmi", image, check=False)


def test_an_image_tells_its_packages_its_system_and_its_python(mini):
    engine = DockerEngine()
    engine.prepare(mini.image(), lambda _: None)
    built = recorded(mini.image())
    found = contents(engine.connect(), built)
    packages = docker(
        "run", "--rm", "--network", "none", "--entrypoint", "dpkg-query", built.id, "-W", "-f", "${Package}\\n"
    ).stdout.split()
    assert sorted(deb.name for deb in found.debs) == sorted(packages)
    assert (found.system, found.codename) == ("debian", "bookworm")
    assert found.python.startswith(mini.image().python + ".")
    assert (found.image_id, found.stand_in) == (built.id, built.stand_in)
    text = bill(mini.image(), contents=found)
    assert text == bill(mini.image(), contents=contents(engine.connect(), built))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text.decode()) is None


def test_an_image_without_a_shell_is_refused_and_leaves_no_container(mini, nothing):
    with pytest.raises(ImageError, match="the image cannot be asked what it holds") as raised:
        contents(DockerEngine().connect(), Built("host", "0" * 64, nothing, None))
    assert raised.value.where == nothing
    assert "sh" in raised.value.found
    assert not docker("ps", "-aq", "--filter", f"ancestor={nothing}").stdout.strip()


def test_an_image_that_is_gone_is_refused(mini):
    gone = "sha256:" + "0" * 64
    with pytest.raises(ImageError, match="the image cannot be asked what it holds") as raised:
        contents(DockerEngine().connect(), Built("host", "0" * 64, gone, None))
    assert gone in raised.value.found
    assert "images.build --image host" in raised.value.remedy


def test_an_image_that_cannot_answer_is_refused_with_what_it_said(mini, monkeypatch):
    engine = DockerEngine()
    engine.prepare(mini.image(), lambda _: None)
    monkeypatch.setattr("edgemill.engines.image_contents.QUESTION", "echo 'no such program' >&2; exit 3")
    with pytest.raises(ImageError) as raised:
        contents(engine.connect(), recorded(mini.image()))
    assert raised.value.found == "exit status 3: no such program"


def test_the_statement_of_what_was_made_in_a_container_names_its_image_and_base(mini, monkeypatch):
    monkeypatch.setenv("EDGEMILL_BUILDER", "https://ci.example.org/edgemill")
    mini.build("act")
    told = json.loads(json.dumps(statement(read_manifest(mini.workspace.pipelines / "act" / "act"))))
    built = recorded(mini.image())
    dependencies = {each["name"]: each for each in told["predicate"]["buildDefinition"]["resolvedDependencies"]}
    assert dependencies["image"]["annotations"]["image_id"] == built.id
    assert dependencies["image"]["digest"] == {"edgemill_image": mini.image().identity}
    assert dependencies["base"]["annotations"] == {"stand_in": built.stand_in}
    assert "digest" not in dependencies["base"]
    assert told["predicate"]["runDetails"]["builder"]["id"] == "https://ci.example.org/edgemill#docker"
