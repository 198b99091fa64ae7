"""Refreshing locks: by the real uv from wheels at hand, and what is refused."""

import subprocess

import pytest
from wheels import make_wheel, offline

from edgemill import images_lock
from edgemill.errors import ImageError
from edgemill.images import load_images
from edgemill.images_lock import lock_image


@pytest.fixture
def image(mini, tmp_path, monkeypatch):
    """An image that wants `alpha`; uv finds the wheels of `tmp_path/wheels` and nothing else."""
    offline(monkeypatch, tmp_path / "wheels", tmp_path / "cache")
    make_wheel(tmp_path / "wheels", "alpha", "1.0")
    found = load_images(mini.root / "docker" / "images.yaml", mini.root / "patches")["host"]
    found.requirements.write_text("alpha\n")
    return found


def test_a_lock_names_version_and_hash_and_what_changed(image, tmp_path):
    digest = make_wheel(tmp_path / "wheels", "alpha", "1.0")
    changes = lock_image(image)
    assert image.lock.read_text() == f"alpha==1.0 \\\n    --hash=sha256:{digest}\n"
    assert "+alpha==1.0 \\" in changes
    assert lock_image(image) == ""


def test_versions_stay_until_an_upgrade_is_asked_for(image, tmp_path):
    lock_image(image)
    make_wheel(tmp_path / "wheels", "alpha", "2.0")
    assert lock_image(image) == ""
    changes = lock_image(image, upgrade=True)
    assert "-alpha==1.0 \\" in changes
    assert "+alpha==2.0 \\" in changes


@pytest.mark.parametrize("locked_before", [True, False])
def test_a_lock_with_an_address_is_refused_and_nothing_is_written(image, tmp_path, locked_before):
    if locked_before:
        lock_image(image)
    else:
        image.lock.unlink()
    before = image.lock.read_text() if locked_before else None
    (wheel,) = (tmp_path / "wheels").iterdir()
    image.requirements.write_text(f"alpha @ {wheel.as_uri()}\n")
    with pytest.raises(ImageError, match="something else than exact versions") as raised:
        lock_image(image)
    assert wheel.as_uri() in raised.value.found
    assert (image.lock.read_text() if image.lock.exists() else None) == before


@pytest.mark.parametrize("locked_before", [True, False])
def test_what_cannot_be_resolved_leaves_the_lock_as_it_was(image, locked_before):
    if locked_before:
        lock_image(image)
    else:
        image.lock.unlink()
    before = image.lock.read_text() if locked_before else None
    image.requirements.write_text("absent-package\n")
    with pytest.raises(ImageError, match="could not be resolved") as raised:
        lock_image(image)
    assert "absent-package" in raised.value.found
    assert (image.lock.read_text() if image.lock.exists() else None) == before


def test_no_list_of_requirements(image):
    image.requirements.unlink()
    with pytest.raises(ImageError, match="no list of requirements"):
        lock_image(image)


def test_resolving_has_a_limit(image, monkeypatch):
    def slow(*_args, **_options):
        raise subprocess.TimeoutExpired("uv", 600)

    monkeypatch.setattr(images_lock.subprocess, "run", slow)
    with pytest.raises(ImageError, match="took too long"):
        lock_image(image)
    assert image.lock.read_text() == ""
