"""Full disks, kills, two at once, and daemons that fail, while a bundle is made or installed: all of it or nothing."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
from fake_daemon import FakeDaemon
from mini import in_child, wait_until
from small_bundle import FILES, FORMS, SmallBundle, tree

from edgemill import files
from edgemill.bundles import install as install_module
from edgemill.bundles.index import INDEX
from edgemill.bundles.install import install, staging
from edgemill.bundles.write import Part, write_bundle
from edgemill.errors import BundleError

SIZE = 4 << 20  # bytes of the small disk


@pytest.fixture(autouse=True)
def no_daemon(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/d.sock")


def quiet(_line):
    """Say nothing."""


def large(megabytes=6):
    return SmallBundle({**FILES, "large": os.urandom(megabytes << 20)})


@pytest.mark.parametrize("form", FORMS)
def test_too_little_space_is_known_before_anything_is_written(tmp_path, small_disk, form):
    place = large().write(tmp_path / f"b{form}")
    with pytest.raises(BundleError, match="too little space"):
        install(place, small_disk / "far", say=quiet)
    assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize("form", FORMS)
def test_a_disk_that_fills_up_meanwhile_leaves_nothing(tmp_path, small_disk, form, monkeypatch):
    place = large().write(tmp_path / f"b{form}")
    monkeypatch.setattr(install_module, "_check_space", lambda *_arguments: None)
    with pytest.raises(BundleError, match="the disk is full: nothing was installed") as error:
        install(place, small_disk / "far", say=quiet)
    assert "free space" in error.value.remedy
    assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize("form", FORMS)
def test_making_one_on_a_full_disk_leaves_nothing(small_disk, form):
    with pytest.raises((OSError, BundleError)) as error:
        large().write(small_disk / f"b{form}")
    assert "No space left" in str(error.value)
    assert list(small_disk.iterdir()) == []


def test_a_source_that_changes_while_a_bundle_is_made_leaves_nothing(tmp_path):
    bundle = SmallBundle()
    (tmp_path / "source").write_bytes(b"after")
    parts = bundle.parts(bundle.document())
    parts[-1] = Part(parts[-1].name, parts[-1].blob, tmp_path / "source")
    for form in FORMS:
        with pytest.raises(BundleError, match="was changed while"):
            write_bundle(tmp_path / f"b{form}", [Part(INDEX, parts[0].blob, parts[0].source)], parts)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize("moment", ["mkdir", "open", "chmod", "symlink_to", "rename"])
def test_a_kill_at_any_step_leaves_no_half_installation_and_the_next_one_succeeds(tmp_path, moment, monkeypatch):
    place = SmallBundle(images=["train"]).write(tmp_path / "b.tar")
    target = tmp_path / "far" / "side"
    path_class = type(target)
    own = getattr(path_class, moment)
    count = []

    def deadly(self, *arguments, **options):
        if "side" in str(self):
            count.append(self)
            if len(count) == at:
                os.kill(os.getpid(), signal.SIGKILL)
        return own(self, *arguments, **options)

    for at in range(1, 40):  # noqa: B007  `deadly` reads it
        count.clear()
        with monkeypatch.context() as patch:
            patch.setattr(path_class, moment, deadly)
            status = in_child(lambda: install(place, target, say=quiet))
        if status == 0:
            break
        assert status == -signal.SIGKILL
        assert not target.exists()
    assert (status, at > 1) == (0, True)
    assert {path.name for path in target.parent.iterdir()} == {"side"}
    assert set(FILES) <= tree(target).keys()


def test_ctrl_c_leaves_nothing(tmp_path):
    place = large(200).write(tmp_path / "b.tar")
    command = [sys.executable, str(place.with_name("install.pyz")), "install", str(place), "--to", str(tmp_path / "far" / "side")]
    place.with_name("install.pyz").write_bytes(SmallBundle().members["install.pyz"])
    for signum in (signal.SIGINT, signal.SIGTERM):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_until((tmp_path / "far" / ".side.installing").exists, "the installation to begin")
        process.send_signal(signum)
        _, said = process.communicate(timeout=60)
        assert (process.returncode, said.strip()) == (130, "stopped: nothing was installed")
        assert list((tmp_path / "far").iterdir()) == []


def test_two_at_once_do_not_meet(tmp_path):
    place = SmallBundle().write(tmp_path / "b")
    with staging(tmp_path / "far"), pytest.raises(BundleError, match="another installation is under way"):
        install(place, tmp_path / "far", say=quiet)
    install(place, tmp_path / "far", say=quiet)


def test_a_stage_that_somebody_else_put_there_is_not_followed(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("mine")
    (tmp_path / ".far.installing").symlink_to(tmp_path / "precious")
    with pytest.raises(BundleError):
        install(SmallBundle().write(tmp_path / "b"), tmp_path / "far", say=quiet)
    assert (tmp_path / "precious" / "file").read_text() == "mine"


class TestDaemon:
    @pytest.fixture
    def daemon(self, tmp_path):
        made = []

        def make(manner=""):
            made.append(FakeDaemon(tmp_path / "d.sock", manner))
            return made[0]

        yield make
        for daemon in made:
            daemon.stop()

    @pytest.mark.parametrize("form", FORMS)
    def test_images_are_loaded_and_recorded(self, tmp_path, daemon, form):
        answering = daemon()
        bundle = SmallBundle(images=["train", "data"])
        install(bundle.write(tmp_path / f"b{form}"), tmp_path / "far", say=quiet)
        assert answering.images.keys() == {image.id for image in bundle.images}
        assert answering.tags.keys() == {image.tag for image in bundle.images}
        for image in bundle.images:
            record = tmp_path / "far" / ".envs" / "docker" / f"{image.name}-{image.identity[:16]}.json"
            assert json.loads(record.read_bytes()) == image.record

    @pytest.mark.parametrize(
        ("manner", "says"),
        [
            ("full", "no space left on device"),
            ("break", "broke off"),
            ("refuse", "permission denied"),
            ("mute", "does not know it"),
            ("another", "does not know it"),
            ("s390x", "on another machine"),
        ],
    )
    def test_a_daemon_that_fails_leaves_nothing_installed(self, tmp_path, daemon, manner, says):
        answering = daemon(manner)
        with pytest.raises(BundleError) as error:
            install(SmallBundle(images=["train"]).write(tmp_path / "b"), tmp_path / "far" / "side", say=quiet)
        assert says in str(error.value)
        assert list((tmp_path / "far").iterdir()) == []
        assert manner == "another" or not answering.images

    def test_images_go_again_where_the_folder_cannot_be_put_in_place(self, tmp_path, daemon, monkeypatch):
        answering = daemon()
        monkeypatch.setattr(install_module, "flush_folder", lambda folder: files.flush_path(folder / "nowhere"))
        with pytest.raises(BundleError, match="nothing was installed"):
            install(SmallBundle(images=["train"]).write(tmp_path / "b"), tmp_path / "far", say=quiet)
        assert (answering.loads, answering.images) == (1, {})

    def test_images_that_are_there_already_are_kept_and_not_loaded_again(self, tmp_path, daemon, monkeypatch):
        answering = daemon()
        place = SmallBundle(images=["train"]).write(tmp_path / "b")
        install(place, tmp_path / "one", say=quiet)
        monkeypatch.setattr(install_module, "flush_folder", lambda folder: files.flush_path(folder / "nowhere"))
        with pytest.raises(BundleError):
            install(place, tmp_path / "two", say=quiet)
        assert (answering.loads, len(answering.images)) == (1, 1)

    @pytest.mark.parametrize("form", FORMS)
    def test_a_daemon_that_comes_later_gets_the_images_by_the_same_command(self, tmp_path, daemon, form):
        said = []
        place = SmallBundle(images=["train"]).write(tmp_path / f"b{form}")
        install(place, tmp_path / "far", say=said.append)
        assert any("1 images are not loaded: no Docker daemon answers" in line for line in said)
        assert not (tmp_path / "far" / ".envs" / "docker").exists()
        answering = daemon()
        install(place, tmp_path / "far", say=quiet)
        assert len(answering.images) == 1
        assert len(list((tmp_path / "far" / ".envs" / "docker").iterdir())) == 1

    def test_a_delta_leaves_out_what_the_daemon_has(self, tmp_path, daemon):
        answering = daemon()
        base = SmallBundle(images=["train"]).write(tmp_path / "base")
        install(base, tmp_path / "old", say=quiet)
        delta = SmallBundle({**FILES, "new": b"new"}, images=["train"]).since((base / INDEX).read_bytes()).write(tmp_path / "delta.tar")
        install(delta, tmp_path / "far", bases=[tmp_path / "old"], say=quiet)
        assert answering.loads == 1
        assert len(list((tmp_path / "far" / ".envs" / "docker").iterdir())) == 1

    def test_a_delta_whose_images_are_gone_asks_for_its_base(self, tmp_path, daemon):
        answering = daemon()
        base = SmallBundle(images=["train"]).write(tmp_path / "base")
        install(base, tmp_path / "old", say=quiet)
        answering.images.clear()
        delta = SmallBundle({**FILES, "new": b"new"}, images=["train"]).since((base / INDEX).read_bytes()).write(tmp_path / "delta.tar")
        with pytest.raises(BundleError, match="no longer in the Docker daemon"):
            install(delta, tmp_path / "far", bases=[tmp_path / "old"], say=quiet)
        assert not (tmp_path / "far").exists()
        install(delta, tmp_path / "far", bases=[base], say=quiet)
        assert len(answering.images) == 1


def test_the_zstd_program_that_dies_is_named(tmp_path, monkeypatch):
    if not shutil.which("zstd"):
        pytest.skip("there is no zstd program here")
    place = SmallBundle().write(tmp_path / "b.tar.zst")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "zstd").write_text("#!/bin/sh\necho 'cannot allocate' >&2\nexit 70\n")
    (tmp_path / "bin" / "zstd").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    with pytest.raises(BundleError, match="damaged") as error:
        install(place, tmp_path / "far", say=quiet)
    assert "cannot allocate" in error.value.found
    with pytest.raises(BundleError, match="zstd could not write") as error:
        large().write(tmp_path / "c.tar.zst")
    assert "cannot allocate" in error.value.found
    assert not (tmp_path / "c.tar.zst").exists()
