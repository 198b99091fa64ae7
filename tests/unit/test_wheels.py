"""The wheelhouse: filled by the real pip from files at hand; wheels, and the sources of packages that have none."""

import json

import pytest
from wheels import make_sdist, make_setuptools, make_wheel

from edgemill import wheels
from edgemill.errors import ImageError

PYTHON = "3.12"


@pytest.fixture
def published(tmp_path, monkeypatch):
    """All that pip finds: alpha as a wheel, beta as a source, and the setuptools that builds it."""
    folder = tmp_path / "published"
    for variable, value in (("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", str(folder)), (wheels.VARIABLE, str(tmp_path / "house"))):
        monkeypatch.setenv(variable, value)
    monkeypatch.delenv(wheels.OFFLINE, raising=False)
    return folder


@pytest.fixture
def lock(published, tmp_path):
    path = tmp_path / "image.lock"
    sums = {"alpha": make_wheel(published, "alpha"), "beta": make_sdist(published, "beta"), "setuptools": make_setuptools(published)}
    path.write_text("".join(f"{name}==1.0 \\\n    --hash=sha256:{digest}\n" for name, digest in sums.items()))
    return path


def fill(lock, sdists=("beta",)):
    return wheels.fill("image", lock, [PYTHON], sdists)


def files():
    return {path.name for path in wheels.wheels_folder().iterdir() if path.name != wheels.INDEX}


def test_wheels_and_sources_lie_there_as_they_were_published(lock, published):
    assert wheels.source_for(lock) is None
    assert fill(lock) == 3
    assert files() == {"alpha-1.0-py3-none-any.whl", "beta-1.0.tar.gz", "setuptools-1.0-py3-none-any.whl"}
    for name in files():
        assert (wheels.wheels_folder() / name).read_bytes() == (published / name).read_bytes()
    assert wheels.source_for(lock) == wheels.wheels_folder()


def test_the_index_tells_the_hash_of_each(lock):
    fill(lock)
    index = json.loads((wheels.wheels_folder() / wheels.INDEX).read_text())["wheels"]
    assert set(index) == files()
    assert all(digest in lock.read_text() for digest in index.values())


def test_nothing_is_downloaded_again(lock, monkeypatch):
    fill(lock)
    monkeypatch.setenv("PIP_FIND_LINKS", "/nonexistent")
    assert fill(lock) == 0


def test_a_source_that_is_lost_is_missed_and_comes_again(lock):
    fill(lock)
    (wheels.wheels_folder() / "beta-1.0.tar.gz").unlink()
    (missing,) = wheels.lacking(lock)
    assert "beta==1.0" in missing
    assert fill(lock) == 1


def test_a_source_of_a_package_that_is_not_named_is_not_taken(lock):
    with pytest.raises(ImageError, match=r"the wheels of 'image' .* could not be had") as raised:
        fill(lock, sdists=())
    assert "beta" in raised.value.found
    assert "beta-1.0.tar.gz" not in files()


def test_a_wheel_does_not_pass_for_a_source(lock):
    with pytest.raises(ImageError, match="sources of 'image' could not be had"):
        fill(lock, sdists=("alpha", "beta"))


def test_a_source_with_another_hash_is_refused(lock, published):
    text = lock.read_text()
    digest = make_sdist(published, "beta")
    lock.write_text(text.replace(digest, "1" * 64))
    with pytest.raises(ImageError, match="sources of 'image' could not be had") as raised:
        fill(lock)
    assert "HASHES" in raised.value.found.upper()
    assert "beta-1.0.tar.gz" not in files()


def test_a_source_needs_setuptools_in_the_same_list(lock):
    lines = lock.read_text().split("setuptools")
    lock.write_text(lines[0])
    with pytest.raises(ImageError, match="needs setuptools in the same list") as raised:
        fill(lock)
    assert raised.value.where == str(lock)


def test_a_damaged_setuptools_builds_nothing_and_comes_again(lock, published):
    fill(lock)
    name = "setuptools-1.0-py3-none-any.whl"
    (wheels.wheels_folder() / "beta-1.0.tar.gz").unlink()
    (wheels.wheels_folder() / name).write_bytes(b"")
    assert fill(lock) == 1
    assert (wheels.wheels_folder() / name).read_bytes() == (published / name).read_bytes()
