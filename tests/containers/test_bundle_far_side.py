"""Bundles with real images: out of the daemon, away, and back into it with the same IDs; then a build in them, with no network."""

import json
import shutil
import subprocess

import pytest
from docker_mini import docker
from wheels import make_wheel

from edgemill.bundles.index import INDEX, blob_name, parse_index
from edgemill.bundles.install import install
from edgemill.bundles.source import opened

GIT = ("git", "-c", "user.name=Somebody", "-c", "user.email=somebody@example.org", "-c", "commit.gpgsign=false")
FORMS = ["", ".tar", ".tar.zst"]


@pytest.fixture
def project(mini, monkeypatch):
    """The small project in a git repository, with its image built and a wheelhouse; its image is removed in the end."""
    monkeypatch.setenv("EDGEMILL_ENVS", str(mini.root / ".envs"))
    sha256 = make_wheel(mini.root / ".envs" / "wheels", "one")
    (mini.root / "requirements.lock").write_text(f"one==1.0 \\\n    --hash=sha256:{sha256}\n")
    (mini.root / ".gitignore").write_text("/.envs/\n/workspace/\n/tally\n/output\n/docker/stand-ins.yaml\n__pycache__/\n")
    for arguments in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "All of it")):
        subprocess.run([*GIT, *arguments], cwd=mini.root, check=True)
    done = mini.mill("images.build", "--image", "host")
    assert done.returncode == 0, done.stderr
    yield mini
    for record in (mini.root / ".envs" / "docker").glob("*.json"):
        docker("rmi", "-f", json.loads(record.read_text())["id"], check=False)


def make(project, form, *arguments, name="b"):
    place = project.root.parent / f"{name}{form}"
    done = project.mill("bundle.create", "--to", str(place), "-p", "act", "--image", "host", *arguments)
    assert done.returncode == 0, done.stderr
    return place


def image_of(place):
    with opened(place) as bundle:
        (image,) = bundle.index.images
    return image


def forget(image):
    docker("rmi", "-f", image.id)
    assert docker("image", "inspect", image.id, check=False).returncode


@pytest.mark.parametrize("form", FORMS)
def test_an_image_comes_back_with_its_id_and_a_build_runs_in_it(project, form, monkeypatch):
    if form.endswith("zst") and not shutil.which("zstd"):
        pytest.skip("there is no zstd program here")
    place = make(project, form)
    image = image_of(place)
    forget(image)
    target = project.root.parent / "far"
    install(place, target, say=lambda _line: None)
    assert docker("image", "inspect", "-f", "{{.Id}}", image.tag).stdout.strip() == image.id
    project.root = target
    monkeypatch.setenv("EDGEMILL_ENVS", str(target / ".envs"))
    monkeypatch.delenv("EDGEMILL_STAND_INS")
    done = project.mill("build", "-p", "act", "--engine", "docker", env={"EDGEMILL_OFFLINE": "1"})
    assert done.returncode == 0, done.stderr
    assert "building the image" not in done.stderr
    realised = json.loads(next((target / "workspace" / "artifacts" / "act").glob("*/manifest.json")).read_text())
    assert image.id in json.dumps(realised)


def test_the_same_image_gives_the_same_index_twice(project):
    one, two = (make(project, "", name=name) for name in "ab")
    assert (one / INDEX).read_bytes() == (two / INDEX).read_bytes()


def test_a_delta_without_layers_loads_where_the_daemon_has_them(project):
    base = make(project, "")
    image = image_of(base)
    (project.root / "docker" / "host.Dockerfile").open("a").write("LABEL another=1\n")
    project.pin()
    assert project.mill("images.build", "--image", "host").returncode == 0
    subprocess.run([*GIT, "commit", "-q", "-a", "-m", "Another image"], cwd=project.root, check=True)
    delta = make(project, "", "--since", str(base), name="delta")
    fresh = image_of(delta)
    assert (fresh.id != image.id, parse_index((delta / INDEX).read_bytes(), "delta").base is not None) == (True, True)
    layers = {blob.sha256 for blob in fresh.blobs} & {blob.sha256 for blob in image.blobs}
    assert layers
    assert not [sha256 for sha256 in layers if (delta / blob_name(sha256)).exists()]
    forget(fresh)
    install(base, project.root.parent / "old", say=lambda _line: None)
    install(delta, project.root.parent / "far", bases=[project.root.parent / "old"], say=lambda _line: None)
    assert docker("image", "inspect", "-f", "{{.Id}}", fresh.id).stdout.strip() == fresh.id
    docker("rmi", "-f", fresh.id)


def test_the_bill_of_materials_names_the_packages_of_the_image(project):
    target = project.root.parent / "far"
    install(make(project, ""), target, say=lambda _line: None)
    bill = json.loads((target / "bundled" / "sbom" / "host.cdx.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    assert any(component.get("purl", "").startswith("pkg:deb/debian/libc6@") for component in bill["components"])
