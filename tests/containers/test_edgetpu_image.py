"""The image of a vendor's Debian package, built by the project's own Dockerfile; the package here is one of ours."""

import functools
import hashlib
import http.server
import json
import shutil
import subprocess
import threading

import pytest
import yaml
from docker_mini import BASE, DIGEST, docker

from edgemill import PROJECT
from edgemill.engines import container_images
from edgemill.engines.docker_engine import DockerEngine
from edgemill.errors import ImageError
from edgemill.image_pins import refresh
from edgemill.images import load_images

DEB = "edgetpu-compiler_16.0_amd64.deb"


@pytest.fixture
def project(mini, tmp_path, monkeypatch):
    """The small project with the image `edgetpu` as the product declares it, and a folder for packages that is empty."""
    folder = mini.root / "docker"
    shutil.copytree(PROJECT / "docker" / "build", folder / "build", dirs_exist_ok=True)
    text = (PROJECT / "docker" / "edgetpu.Dockerfile").read_text()
    pinned = yaml.safe_load((PROJECT / "docker" / "images.lock").read_text())["bases"]
    for base, digest in pinned.items():
        text = text.replace(f"{base}@{digest}", f"{BASE}@{DIGEST}")
    (folder / "edgetpu.Dockerfile").write_text(text)
    (folder / "locks" / "edgetpu.lock").write_text("")
    declared = yaml.safe_load((folder / "images.yaml").read_text())
    own = yaml.safe_load((PROJECT / "docker" / "images.yaml").read_text())["images"]["edgetpu"]
    declared["images"]["edgetpu"] = {**own, "base": BASE, "python": declared["images"]["host"]["python"]}
    (folder / "images.yaml").write_text(yaml.safe_dump(declared))
    (tmp_path / "debs").mkdir()
    monkeypatch.setenv("EDGEMILL_DEBS", str(tmp_path / "debs"))
    monkeypatch.delenv("EDGEMILL_APT_REPOSITORY", raising=False)
    mini.pin()
    return mini


@pytest.fixture
def package(tmp_path):
    """A Debian package of the compiler's name, with a program that says what it was asked."""
    tree = tmp_path / "tree"
    program = tree / "usr" / "bin" / "edgetpu_compiler"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho asked $*\n")
    program.chmod(0o755)
    (tree / "DEBIAN").mkdir()
    (tree / "DEBIAN" / "control").write_text(
        "Package: edgetpu-compiler\nVersion: 16.0\nArchitecture: amd64\nMaintainer: nobody <nobody@example.org>\nDescription: a test\n"
    )
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", str(tree), str(tmp_path / DEB)], check=True, capture_output=True)
    return tmp_path / DEB


def image(mini):
    return load_images(mini.root / "docker" / "images.yaml", mini.root / "patches")["edgetpu"]


def pin(mini, *debs):
    declared = load_images(mini.root / "docker" / "images.yaml", mini.root / "patches").values()
    refresh(declared, None, debs, mini.root / "docker")


def test_the_compiler_comes_from_a_package_that_is_here(project, package, tmp_path):
    pin(project, package)
    shutil.copy(package, tmp_path / "debs")
    engine = DockerEngine()
    assert engine.lacks(image(project), ["edgetpu_compiler"]) is None
    engine.prepare(image(project), print)
    built = container_images.recorded(image(project))
    assert docker("run", "--rm", built.id, "edgetpu_compiler", "-v").stdout == "asked -v\n"
    assert engine.lacks(image(project), ["edgetpu_compiler"]) is None


def test_without_a_pinned_hash_it_says_how_to_pin_it(project):
    assert "./mill images.lock --deb FILE" in DockerEngine().lacks(image(project), ["edgetpu_compiler"])
    with pytest.raises(ImageError, match="could not be built") as raised:
        DockerEngine().prepare(image(project), print)
    assert "is not pinned" in raised.value.found


def test_with_neither_package_nor_repository_it_says_which_are_missing(project, package):
    pin(project, package)
    assert f"{DEB}, which is not in docker/debs, and EDGEMILL_APT_REPOSITORY" in DockerEngine().lacks(image(project), ["edgetpu_compiler"])
    with pytest.raises(ImageError, match="could not be built") as raised:
        DockerEngine().prepare(image(project), print)
    for part in (DEB, "--build-context deb=FOLDER", "--build-arg APT_REPOSITORY"):
        assert part in raised.value.found


def test_another_package_under_its_name_is_refused(project, package, tmp_path):
    pin(project, package)
    other = tmp_path / "debs" / DEB
    other.write_bytes(package.read_bytes() + b"\n")
    with pytest.raises(ImageError, match="could not be built") as raised:
        DockerEngine().prepare(image(project), print)
    assert hashlib.sha256(package.read_bytes()).hexdigest() in raised.value.found


def test_a_repository_that_has_not_the_package_is_named(project, package):
    pin(project, package)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEMILL_APT_REPOSITORY", "http://127.0.0.1:9/debian stable main")
        engine = DockerEngine()
        assert engine.lacks(image(project), ["edgetpu_compiler"]) is None
        with pytest.raises(ImageError, match="could not be built") as raised:
            engine.prepare(image(project), print)
    assert "http://127.0.0.1:9/debian stable main has no edgetpu-compiler 16.0" in raised.value.found


@pytest.fixture
def repository(package, tmp_path):
    """The package in an apt repository on loopback; its line for sources.list."""
    folder, sums = tmp_path / "repository", hashlib.sha256(package.read_bytes()).hexdigest()
    listed = folder / "dists" / "stable" / "main" / "binary-amd64" / "Packages"
    listed.parent.mkdir(parents=True)
    shutil.copy(package, folder / DEB)
    control = subprocess.run(["dpkg-deb", "-f", str(package)], check=True, capture_output=True, text=True).stdout
    listed.write_text(f"{control}Filename: {DEB}\nSize: {package.stat().st_size}\nSHA256: {sums}\n")
    digest = hashlib.sha256(listed.read_bytes()).hexdigest()
    (folder / "dists" / "stable" / "Release").write_text(
        f"Suite: stable\nComponents: main\nArchitectures: amd64\nSHA256:\n {digest} {listed.stat().st_size} main/binary-amd64/Packages\n"
    )
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]} stable main"
        server.shutdown()


@pytest.mark.parametrize(("right", "said"), [(True, "asked hello"), (False, "has another sha256 than the pinned one")])
def test_a_package_from_a_repository_is_checked_and_unpacked(package, repository, right, said):
    """What the Dockerfile runs, in a container that sees this machine's loopback; a build's own network does not."""
    sums = hashlib.sha256(package.read_bytes()).hexdigest() if right else "5" * 64
    command = ["run", "--rm", "--network", "host", "-v", f"{PROJECT / 'docker' / 'build'}:/build:ro"]
    command += ["-e", f"DEB={DEB}", "-e", f"DEB_SHA256={sums}", "-e", f"APT_REPOSITORY={repository}", BASE]
    done = docker(*command, "sh", "-c", "mkdir /deb && sh /build/unpack-deb.sh && /edgetpu/usr/bin/edgetpu_compiler hello", check=False)
    assert said in done.stdout + done.stderr
    assert (done.returncode == 0) == right


def test_its_identity_counts_the_hash(project, package):
    before = image(project).identity
    pin(project, package)
    assert image(project).identity != before
    assert json.loads(json.dumps(dict(image(project).debs)))[DEB] == hashlib.sha256(package.read_bytes()).hexdigest()
