"""Environments: made from the lock and the patches, whole or not at all."""

import hashlib
import json
import os
import signal
import subprocess

import pytest
from mini import in_child, wait_until
from wheels import make_sdist, make_setuptools, make_wheel, offline

from edgemill.engines import environments
from edgemill.engines.environments import MARKER, content, environment_path, environments_folder, is_made, make
from edgemill.engines.process import StopRequests
from edgemill.errors import ImageError, StoppedError
from edgemill.images import load_images
from edgemill.locks import Lock

MODULE = 'WORD = "as published"\n'


@pytest.fixture
def project(mini, tmp_path, monkeypatch):
    """A project whose image `host` has the package alpha; its wheel is at hand."""
    offline(monkeypatch, tmp_path / "wheels", tmp_path / "cache")
    digest = make_wheel(tmp_path / "wheels", "alpha", files={"alpha.py": MODULE})
    (mini.root / "docker" / "locks" / "host.lock").write_text(f"alpha==1.0 \\\n    --hash=sha256:{digest}\n")
    images = mini.root / "docker" / "images.yaml"
    images.write_text(images.read_text().replace("[json]", "[json, alpha]"))
    return mini


def image_of(project):
    return load_images(project.root / "docker" / "images.yaml", project.root / "patches")["host"]


def made(project, said=None):
    return make(image_of(project), (said if said is not None else []).append, StopRequests())


def word(folder):
    """What the installed package says."""
    return subprocess.check_output([folder / "bin" / "python", "-c", "import alpha; print(alpha.WORD)"], text=True).strip()


def nothing_is_made(project):
    image = image_of(project)
    return not is_made(image) and not environment_path(image).exists()


def test_it_is_made_once_and_then_found(project):
    said = []
    folder = made(project, said)
    assert word(folder) == "as published"
    assert is_made(image_of(project))
    marker = (folder / MARKER).stat()
    assert made(project, said) == folder
    assert (folder / MARKER).stat() == marker
    assert len(said) == 1
    assert not folder.with_name(folder.name + ".making").exists()


def patch(project, after):
    """Give the image a patch that changes the package's word."""
    series = project.root / "patches" / "words"
    series.mkdir()
    (series / "series").write_text("word.patch\n")
    (series / "word.patch").write_text('--- a/alpha.py\n+++ b/alpha.py\n@@ -1 +1 @@\n-WORD = "as published"\n+WORD = "as patched"\n')
    before = hashlib.sha256(MODULE.encode()).hexdigest()
    (series / "targets.json").write_text(f"schema: 1\ntargets:\n  alpha.py: {{before: '{before}', after: '{after}'}}\n")
    images = project.root / "docker" / "images.yaml"
    images.write_text(images.read_text().replace("imports:", "patches: words\n    imports:"))


def test_patches_are_part_of_it_and_leave_the_cache_alone(project):
    unpatched = made(project)
    patch(project, hashlib.sha256(b'WORD = "as patched"\n').hexdigest())
    patched = made(project)
    assert patched != unpatched
    assert (word(patched), word(unpatched)) == ("as patched", "as published")


def test_a_patch_with_another_result_stops_it(project):
    patch(project, "0" * 64)
    with pytest.raises(ImageError, match="a patched file is not the expected one"):
        made(project)
    assert nothing_is_made(project)


def test_a_wheel_of_another_hash_stops_it(project, tmp_path):
    make_wheel(tmp_path / "wheels", "alpha", files={"alpha.py": 'WORD = "from elsewhere"\n'})
    with pytest.raises(ImageError, match="'host' could not be made") as raised:
        made(project)
    assert "hash" in raised.value.found.lower()
    assert "exit status" in raised.value.what
    assert nothing_is_made(project)


def test_a_wheel_of_another_hash_is_not_taken_from_the_cache_either(project, tmp_path):
    made(project)
    digest = make_wheel(tmp_path / "wheels", "alpha", files={"alpha.py": 'WORD = "from elsewhere"\n'})
    lock = project.root / "docker" / "locks" / "host.lock"
    old = lock.read_text()
    lock.write_text(f"alpha==1.0 \\\n    --hash=sha256:{digest}\n")
    assert word(made(project)) == "from elsewhere"
    lock.write_text(old.replace("sha256:", "sha256:" + "0" * 8)[: len(old)])
    with pytest.raises(ImageError, match="could not be made"):
        made(project)


@pytest.mark.parametrize("lock", ["alpha==1.0\n", "alpha\n", ""])
def test_a_lock_without_hashes_or_without_the_package_stops_it(project, lock):
    (project.root / "docker" / "locks" / "host.lock").write_text(lock)
    with pytest.raises(ImageError, match="could not be made"):
        made(project)
    assert nothing_is_made(project)


def test_a_wheel_that_cannot_be_had_stops_it_with_a_way_out(project, tmp_path):
    (tmp_path / "wheels" / "alpha-1.0-py3-none-any.whl").unlink()
    with pytest.raises(ImageError, match="could not be made") as raised:
        made(project)
    assert "UV_DEFAULT_INDEX" in raised.value.remedy
    assert nothing_is_made(project)


@pytest.fixture
def built(project, tmp_path):
    """The project's alpha is published as source alone; of the two setuptools at hand, the lock names the older one."""
    folder = tmp_path / "wheels"
    (folder / "alpha-1.0-py3-none-any.whl").unlink()
    sums = {"alpha": make_sdist(folder, "alpha"), "setuptools": make_setuptools(folder)}
    make_setuptools(folder, "2.0")
    text = "".join(f"{name}==1.0 \\\n    --hash=sha256:{digest}\n" for name, digest in sums.items())
    (project.root / "docker" / "locks" / "host.lock").write_text(text)
    return project


def name_source(project):
    images = project.root / "docker" / "images.yaml"
    images.write_text(images.read_text().replace("    imports: [json, alpha]", "    sdists: [alpha]\n    imports: [json, alpha]"))


def test_a_package_without_a_wheel_is_built_by_the_setuptools_of_the_lock(built):
    name_source(built)
    assert word(made(built)) == "built by 1.0"


def test_a_package_without_a_wheel_that_is_not_named_stops_it(built):
    with pytest.raises(ImageError, match="could not be made"):
        made(built)
    assert nothing_is_made(built)


@pytest.mark.parametrize("name", ["alpha", "setuptools"])
def test_a_source_or_its_setuptools_with_another_hash_stops_it(built, tmp_path, name):
    name_source(built)
    (found,) = (tmp_path / "wheels").glob(f"{name}-1.0*")
    lock = built.root / "docker" / "locks" / "host.lock"
    lock.write_text(lock.read_text().replace(hashlib.sha256(found.read_bytes()).hexdigest(), "1" * 64))
    with pytest.raises(ImageError, match="could not be made") as raised:
        made(built)
    assert "ash mismatch" in raised.value.found
    assert nothing_is_made(built)


def test_an_import_that_fails_stops_it(project):
    images = project.root / "docker" / "images.yaml"
    images.write_text(images.read_text().replace("alpha]", "alpha, beta]"))
    with pytest.raises(ImageError, match="could not be made") as raised:
        made(project)
    assert "No module named 'beta'" in raised.value.found
    assert nothing_is_made(project)


def test_a_folder_of_the_project_does_not_pass_for_a_module(project, monkeypatch):
    """`docker`, `data` and `patches` are folders here, and would be namespace packages."""
    monkeypatch.setattr(environments, "PROJECT", project.root)
    monkeypatch.chdir(project.root)
    images = project.root / "docker" / "images.yaml"
    images.write_text(images.read_text().replace("alpha]", "alpha, patches]"))
    with pytest.raises(ImageError, match="could not be made"):
        made(project)


def test_no_python_of_the_version_stops_it(project):
    images = project.root / "docker" / "images.yaml"
    version = image_of(project).python
    images.write_text(images.read_text().replace(f'"{version}"', '"3.99"'))
    with pytest.raises(ImageError, match=r"there is no Python 3\.99"):
        made(project)
    assert nothing_is_made(project)


@pytest.mark.parametrize(
    "variable", ["UV_PYTHON", "UV_TARGET", "UV_PREFIX", "UV_CONSTRAINT", "UV_OVERRIDE", "UV_EXCLUDE_NEWER", "UV_LINK_MODE"]
)
def test_a_users_settings_of_uv_do_not_lead_it_elsewhere(project, tmp_path, monkeypatch, variable):
    other = tmp_path / "other"
    subprocess.run([environments.uv_program(), "venv", "-q", str(other / "venv")], check=True)
    (other / "list.txt").write_text("alpha==9.9\n")
    values = {
        "UV_PYTHON": other / "venv",
        "UV_CONSTRAINT": other / "list.txt",
        "UV_OVERRIDE": other / "list.txt",
        "UV_EXCLUDE_NEWER": "2001-01-01",
        "UV_LINK_MODE": "symlink",
    }
    before = sorted(other.rglob("*"))
    monkeypatch.setenv(variable, str(values.get(variable, other / "place")))
    folder = made(project)
    monkeypatch.delenv(variable)
    assert word(folder) == "as published"
    assert sorted(other.rglob("*")) == before
    assert not any(path.is_symlink() for path in environments.site_packages(folder).rglob("*"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / MARKER).unlink(),
        lambda folder: (folder / MARKER).write_text(""),
        lambda folder: (folder / MARKER).write_text("[]"),
        lambda folder: (folder / MARKER).write_text("{}"),
        lambda folder: (folder / MARKER).write_text(json.dumps({"identity": "0" * 64})),
        lambda folder: ((folder / "bin" / "python").unlink(), (folder / "bin" / "python").symlink_to("/gone")),
    ],
)
def test_one_that_is_not_whole_is_made_again(project, damage):
    folder = made(project)
    (folder / "stray").write_text("")
    damage(folder)
    assert not is_made(image_of(project))
    assert made(project) == folder
    assert not (folder / "stray").exists()
    assert word(folder) == "as published"


def test_verify_finds_a_change(project):
    folder = made(project)
    image = image_of(project)
    environments.verify(image)
    recorded = json.loads((folder / MARKER).read_text())["content"]
    assert content(folder) == recorded
    place = environments.site_packages(folder) / "alpha.py"
    place.unlink()
    place.write_text('WORD = "changed"\n')
    with pytest.raises(ImageError, match="changed after it was made") as raised:
        environments.verify(image)
    assert (raised.value.expected, raised.value.found) == (recorded, content(folder))
    assert f"rm -r {folder}" in raised.value.remedy


# Where the maker is killed: at the first call of a function of `environments`, before it does anything.
STEPS = ["find_python", "_install", "apply_series", "_check_imports", "content", "write_json", "flush_folder", "flush_path"]


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_of_the_maker_leaves_nothing_that_passes_for_made(project, monkeypatch, step):
    patch(project, hashlib.sha256(b'WORD = "as patched"\n').hexdigest())

    def die(*_args, **_options):
        os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as injected:
        injected.setattr(environments, step, die)
        assert in_child(lambda: made(project)) == -signal.SIGKILL
    if step == "flush_path":  # after the rename
        assert is_made(image_of(project))
    else:
        assert nothing_is_made(project)
    assert word(made(project)) == "as patched"


def stand_in(tmp_path, monkeypatch, text):
    """A program in place of uv; $UV is the real one."""
    program = tmp_path / "uv"
    real = environments.uv_program()
    program.write_text(f"#!/bin/sh\nUV={real}\n{text}\n")
    program.chmod(0o755)
    monkeypatch.setattr(environments, "uv_program", lambda: str(program))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("echo no room >&2; exit 4", "exited, exit status 4"),
        ('$UV "$@" && kill -9 $$', "exit status 137"),
        ('if [ "$1" = pip ]; then mkdir -p $VIRTUAL_ENV/lib/python3.x; kill -9 $$; fi; exec $UV "$@"', "exit status 137"),
    ],
)
def test_an_installer_that_fails_or_dies_leaves_nothing(project, tmp_path, monkeypatch, text, says):
    with monkeypatch.context() as injected:
        stand_in(tmp_path, injected, text)
        with pytest.raises(ImageError) as raised:
            made(project)
    assert says in raised.value.what
    assert nothing_is_made(project)
    assert word(made(project)) == "as published"


def test_an_installer_that_installs_nothing_is_found_out(project, tmp_path, monkeypatch):
    stand_in(tmp_path, monkeypatch, '[ "$1" = pip ] && exit 0; exec $UV "$@"')
    with pytest.raises(ImageError, match="could not be made") as raised:
        made(project)
    assert "alpha" in raised.value.found
    assert nothing_is_made(project)


def test_no_installer_at_all(project, monkeypatch, tmp_path):
    monkeypatch.setattr(environments.sys, "executable", str(tmp_path / "bin" / "python"))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ImageError, match="uv is not installed"):
        environments.uv_program()


def test_two_makers_at_once_make_it_once(project, tmp_path, monkeypatch):
    stand_in(tmp_path, monkeypatch, f'echo "$1" >> {tmp_path}/calls; sleep 0.3; exec $UV "$@"')
    child = os.fork()
    if child == 0:
        os._exit(in_child(lambda: made(project)))
    wait_until((tmp_path / "calls").exists, "the first maker")
    said = []
    folder = made(project, said)
    assert os.waitpid(child, 0)[1] == 0
    assert word(folder) == "as published"
    assert (tmp_path / "calls").read_text().split() == ["venv", "pip"]
    assert "waiting for process" in said[0]


def test_who_waits_for_another_maker_can_be_stopped(project):
    stops = StopRequests()
    folder = environment_path(image_of(project))
    other = Lock(folder.with_name(folder.name + ".lock"))
    assert other.try_acquire("4711")

    def say(text):
        assert "4711" in text
        stops.count += 1

    with pytest.raises(StoppedError):
        make(image_of(project), say, stops)


def test_a_stop_while_it_is_made_leaves_nothing(project, tmp_path, monkeypatch):
    stand_in(tmp_path, monkeypatch, f"touch {tmp_path}/begun; sleep 60")
    stops = StopRequests()
    import threading

    def ask():
        wait_until((tmp_path / "begun").exists, "the installer")
        stops.count += 2

    asking = threading.Thread(target=ask)
    asking.start()
    with pytest.raises(StoppedError):
        make(image_of(project), print, stops)
    asking.join()
    assert nothing_is_made(project)


def test_the_folder_is_the_users_choice(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEMILL_ENVS", str(tmp_path / "x"))
    assert environments_folder() == tmp_path / "x"
    monkeypatch.delenv("EDGEMILL_ENVS")
    assert environments_folder() == environments.PROJECT / ".envs"
