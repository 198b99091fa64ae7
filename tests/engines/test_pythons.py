"""Finding a Python of a version: in which places, and what is said where there is none."""

import os
import sys

import pytest

from edgemill.engines import pythons
from edgemill.engines.pythons import candidates, find_python
from edgemill.errors import ImageError

VERSION = "3.7"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with nothing on it: its environment variables, and place(path, answer) that puts a stand-in program there."""
    monkeypatch.setattr(pythons, "COMMON_FOLDERS", (str(tmp_path / "usr"),))
    environ = {"PATH": "", "HOME": str(tmp_path / "home")}

    def place(path, answer=f"echo {VERSION}", mode=0o755):
        program = tmp_path / path
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f"#!/bin/sh\n{answer}\n")
        program.chmod(mode)
        return program

    return environ, place


@pytest.mark.parametrize(
    ("path", "variables"),
    [
        ("bin/python3.7", {"PATH": "TMP/empty:TMP/bin"}),
        ("usr/python3.7", {}),
        ("home/.pyenv/versions/3.7.16/bin/python3.7", {}),
        ("other/versions/3.7.1/bin/python3.7", {"PYENV_ROOT": "TMP/other"}),
        ("home/.local/share/uv/python/cpython-3.7.9-linux-x86_64-gnu/bin/python3.7", {}),
        ("data/uv/python/cpython-3.7.9-linux-x86_64-gnu/bin/python3.7", {"XDG_DATA_HOME": "TMP/data"}),
        ("mine/cpython-3.7.9-linux-x86_64-gnu/bin/python3.7", {"UV_PYTHON_INSTALL_DIR": "TMP/mine"}),
        ("home/miniconda3/envs/old/bin/python3.7", {}),
    ],
)
def test_a_python_is_found_where_people_have_it(machine, tmp_path, path, variables):
    environ, place = machine
    program = place(path)
    environ |= {name: value.replace("TMP", str(tmp_path)) for name, value in variables.items()}
    assert find_python(VERSION, environ) == program


@pytest.mark.parametrize(
    ("answer", "mode"),
    [
        ("echo 3.8", 0o755),
        ("echo 'pyenv: python3.7: command not found' >&2; exit 127", 0o755),
        ("echo 3.7; exit 1", 0o755),
        ("printf '\\377\\376'", 0o755),
        ("kill -9 $$", 0o755),
        ("", 0o755),
        ("echo 3.7", 0o644),
    ],
    ids=["of another version", "a shim of what is not activated", "without a module", "not text", "killed", "silent", "not a program"],
)
def test_a_program_that_is_no_whole_python_is_passed_over(machine, tmp_path, answer, mode):
    environ, place = machine
    place("bin/python3.7", answer, mode)
    good = place("usr/python3.7")
    environ["PATH"] = str(tmp_path / "bin")
    if mode == 0o644 and os.getuid() == 0:
        assert not os.access(tmp_path / "bin" / "python3.7", os.X_OK)
    assert find_python(VERSION, environ) == good


def test_what_is_no_program_at_all_is_passed_over(machine, tmp_path):
    environ, place = machine
    (tmp_path / "bin" / "python3.7").mkdir(parents=True)
    broken = tmp_path / "other" / "python3.7"
    broken.parent.mkdir()
    broken.write_bytes(b"\x7fELF nonsense")
    broken.chmod(0o755)
    environ["PATH"] = f"{tmp_path}/bin:{tmp_path}/other:{tmp_path}/absent"
    good = place("usr/python3.7")
    assert find_python(VERSION, environ) == good


def test_a_shims_folder_is_not_even_tried(machine, tmp_path):
    environ, place = machine
    place("pyenv/shims/python3.7")
    environ["PATH"] = str(tmp_path / "pyenv" / "shims")
    assert tmp_path / "pyenv" / "shims" / "python3.7" not in list(candidates(VERSION, environ))


def test_a_slow_program_is_passed_over(machine, tmp_path, monkeypatch):
    import subprocess

    environ, place = machine
    slow, good = place("bin/python3.7", "sleep 60"), place("usr/python3.7")
    environ["PATH"] = str(tmp_path / "bin")
    real = subprocess.run
    monkeypatch.setattr(
        subprocess, "run", lambda command, **options: real(command, **(options | {"timeout": 0.2 if command[0] == str(slow) else 30}))
    )
    assert find_python(VERSION, environ) == good


def test_where_there_is_none_the_ways_to_get_one_are_named(machine):
    environ, _ = machine
    with pytest.raises(ImageError, match=r"there is no Python 3\.7 on this machine") as raised:
        find_python(VERSION, environ)
    for word in ("uv python install 3.7", "pyenv install 3.7", "system's packages", "Docker"):
        assert word in raised.value.remedy


def test_the_python_of_these_tests_is_found():
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert os.access(find_python(version), os.X_OK)
