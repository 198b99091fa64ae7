"""images.lock: every base, list and patch by hash, written by one command, and nothing is built that is not as it says."""

import json
import re

import pytest
import yaml

from edgemill import PROJECT
from edgemill.errors import ImageError, RequestError
from edgemill.image_pins import bases_in, check_pins, pins_of, refresh
from edgemill.images import load_images, load_locked

DIGEST = {letter: "sha256:" + letter * 64 for letter in "ab"}


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "docker"
    (folder / "locks").mkdir(parents=True)
    (folder / "images.yaml").write_text(
        'schema: 1\nimages:\n  one: {help: One., base: "python:3.11", python: "3.11", debs: [tool_1.0_amd64.deb]}\n'
        "  more: {help: More., extends: one}\n"
    )
    for name in ("one", "more"):
        (folder / "locks" / f"{name}.lock").write_text("alpha==1.0 --hash=sha256:" + "0" * 64 + "\n")
    (folder / "one.Dockerfile").write_text("FROM scratch AS wheels\nFROM python:3.11 AS build\nFROM python:3.11\nCOPY --from=build /a /a\n")
    (tmp_path / "patches").mkdir()
    return folder


def images(folder):
    return load_images(folder / "images.yaml", folder.parent / "patches")


def test_a_refresh_pins_everything_and_shows_it(project):
    changes = refresh(images(project).values(), lambda base: DIGEST["a"], folder=project)
    assert f"+  python:3.11: {DIGEST['a']}" in changes
    assert f"+FROM python:3.11@{DIGEST['a']} AS build" in changes
    assert bases_in(project / "one.Dockerfile") == {"python:3.11": DIGEST["a"]}
    locked = load_locked(project / "images.lock")
    assert locked["images"] == {"one": pins_of(images(project)["one"])}  # `more` has no Dockerfile: no engine but the local one makes it
    assert locked["debs"] == {"tool_1.0_amd64.deb": None}
    check_pins(images(project)["one"])
    assert refresh(images(project).values(), lambda base: DIGEST["a"], folder=project) == ""


def test_without_a_registry_the_digests_stay(project):
    refresh(images(project).values(), lambda base: DIGEST["a"], folder=project)
    (project / "locks" / "one.lock").write_text("beta==1.0 --hash=sha256:" + "1" * 64 + "\n")
    with pytest.raises(ImageError, match=r"is not what images\.lock pins"):
        check_pins(images(project)["one"])
    refresh(images(project).values(), None, folder=project)
    assert load_locked(project / "images.lock")["bases"] == {"python:3.11": DIGEST["a"]}
    check_pins(images(project)["one"])


def test_a_new_digest_changes_the_identity(project):
    refresh(images(project).values(), lambda base: DIGEST["a"], folder=project)
    before = images(project)["one"].identity
    refresh(images(project).values(), lambda base: DIGEST["b"], folder=project)
    assert images(project)["one"].identity != before


def test_the_hash_of_a_package_is_recorded(project, tmp_path):
    package = tmp_path / "tool_1.0_amd64.deb"
    package.write_bytes(b"!<arch>\n")
    before = images(project)["one"].identity
    refresh(images(project).values(), lambda base: DIGEST["a"], [package], project)
    assert len(images(project)["one"].debs["tool_1.0_amd64.deb"]) == 64
    assert images(project)["one"].identity != before
    with pytest.raises(ImageError, match="no image takes this package"):
        refresh(images(project).values(), None, [tmp_path / "other.deb"], project)


@pytest.mark.parametrize(
    "text",
    [
        "schema: 1\nbases: {x: latest}\nimages: {}\ndebs: {}\n",
        "schema: 1\nbases: {}\nimages: {one: {requirements: abc, patches: {}}}\ndebs: {}\n",
        "schema: 2\nbases: {}\nimages: {}\ndebs: {}\n",
        "schema: 1\nbases: {}\n",
        "[1]\n",
    ],
)
def test_a_wrong_lock_is_refused_with_its_place(project, text):
    (project / "images.lock").write_text(text)
    with pytest.raises(RequestError) as raised:
        images(project)
    assert "images.lock" in str(raised.value)


def test_the_projects_own_images_are_pinned():
    declared = load_images()
    locked = yaml.safe_load((PROJECT / "docker" / "images.lock").read_text())
    with_dockerfile = {name for name, image in declared.items() if image.dockerfile.is_file()}
    assert with_dockerfile == set(locked["images"]) >= {"data", "train", "train-tf2", "export", "edgetpu"}
    for name in with_dockerfile:
        check_pins(declared[name])
    assert json.dumps(locked).count("latest") == 0


def test_every_dockerfile_installs_the_list_and_the_series_of_its_image():
    """The Dockerfile says so in words of its own; they must be those of images.yaml."""
    for name, image in load_images().items():
        if not image.dockerfile.is_file() or not image.lock.stat().st_size:
            continue
        text = re.sub(r"\$IMAGE\b", name, image.dockerfile.read_text())  # a variant's name is given to the build
        assert f"IMAGE={image.extends}\n" in text if image.gpus else name in text
        wanted = rf"sh /docker/build/install\.sh {name}{f' {image.patches.name}' if image.patches else ''}( \S+)*\n"
        assert re.search(wanted, text), name
