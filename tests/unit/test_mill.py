"""The bootstrap: `./mill` makes .venv from the lock, whole or not at all, and runs the command line in it. Python is a stand-in."""

import shutil
import subprocess

import pytest

from edgemill import PROJECT

# As `python -c probe`, `python -m venv DIR`, `python -m pip install …` and `python -c program ARGUMENTS`.
STAND_IN = """\
#!/bin/sh
echo "$*" >> "$CALLS"
case "$1 $2" in
    "-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    "-m pip") case "$*" in *--no-index*) exit "${WHEELS_EXIT:-0}" ;; *) exit "${PIP_EXIT:-0}" ;; esac ;;
    -c*) case "$2" in *ensurepip*) shift 2; echo "probe: $*" >> "$CALLS"; exit "${PROBE_EXIT:-0}" ;; *) shift 2; echo "run: $*" ;; esac ;;
esac
"""


@pytest.fixture
def mill(tmp_path):
    """mill(ARGUMENTS, VARIABLE=…) runs a copy of ./mill with nothing but a stand-in python3 on PATH; the calls are in `calls`."""
    project = tmp_path / "a project"
    (project / "bin").mkdir(parents=True)
    shutil.copy(PROJECT / "mill", project / "mill")
    (project / "requirements.lock").write_text("one==1.0\n")
    (project / "bin" / "python3").write_text(STAND_IN)
    (project / "bin" / "python3").chmod(0o755)

    def call(*arguments, **variables):
        env = {"PATH": f"{project / 'bin'}:/usr/bin:/bin", "CALLS": str(project / "calls"), **variables}
        return subprocess.run(
            [str(project / "mill"), *arguments], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )

    call.project = project
    return call


def installed(mill):
    """How often packages were installed."""
    return (mill.project / "calls").read_text().count("pip install")


def test_the_environment_is_made_once_and_arguments_are_handed_on(mill):
    for _ in range(2):
        done = mill("build", "-p", "my pipeline")
        assert (done.returncode, done.stdout) == (0, "run: build -p my pipeline\n")
    assert installed(mill) == 1
    calls = (mill.project / "calls").read_text()
    assert "--require-hashes" in calls
    assert str(mill.project / "requirements.lock") in calls


def test_a_changed_lock_makes_it_again(mill):
    mill("--list")
    (mill.project / "requirements.lock").write_text("one==1.1\n")
    stray = mill.project / ".venv" / "stray"
    stray.touch()
    assert mill("--list").returncode == 0
    assert installed(mill) == 2
    assert not stray.exists()


def test_an_installation_that_failed_is_named_and_made_again(mill):
    done = mill("--list", PIP_EXIT="1")
    assert done.returncode == 1
    assert "error: the packages of requirements.lock could not be installed" in done.stderr
    assert "PIP_INDEX_URL" in done.stderr
    assert "run:" not in done.stdout
    assert mill("--list").returncode == 0
    assert installed(mill) == 2


def test_without_a_python_the_way_to_one_is_named(mill):
    """Every python3 that is found is too old, or lacks its venv module."""
    for name in ("python3.10", "python3.11", "python3.12", "python3.13", "python3.14"):
        shutil.copy(mill.project / "bin" / "python3", mill.project / "bin" / name)
    done = mill("--list", PROBE_EXIT="1")
    assert done.returncode == 1
    assert "there is no Python 3.10 or newer with its venv module on this machine" in done.stderr
    assert "EDGEMILL_PYTHON=PATH" in done.stderr
    assert not (mill.project / ".venv").exists()


def test_a_python_can_be_named(mill):
    other = mill.project / "my python"
    other.write_text(STAND_IN.replace("run:", "other:"))
    other.chmod(0o755)
    assert mill("--list", EDGEMILL_PYTHON=str(other)).stdout == "other: --list\n"


def wheelhouse(mill, folder=".envs/wheels"):
    """A wheelhouse in the project."""
    place = mill.project / folder
    place.mkdir(parents=True)
    return place


def pip_calls(mill):
    return [line for line in (mill.project / "calls").read_text().splitlines() if "pip install" in line]


def test_a_wheelhouse_is_used_instead_of_an_index(mill):
    place = wheelhouse(mill)
    assert mill("--list").returncode == 0
    (call,) = pip_calls(mill)
    assert f"--no-index --find-links {place}" in call


def test_a_wheelhouse_can_be_named(mill):
    place = wheelhouse(mill, "my wheels")
    assert mill("--list", EDGEMILL_WHEELS=str(place)).returncode == 0
    assert f"--find-links {place}" in pip_calls(mill)[0]


def test_where_the_wheelhouse_lacks_something_an_index_is_asked(mill):
    wheelhouse(mill)
    assert mill("--list", WHEELS_EXIT="1").returncode == 0
    assert ["--no-index" in call for call in pip_calls(mill)] == [True, False]


@pytest.mark.parametrize("how", ["file", "variable", "no wheelhouse"])
def test_offline_no_index_is_ever_asked(mill, how):
    if how != "no wheelhouse":
        place = wheelhouse(mill)
        if how == "file":
            (place / "offline").touch()
    done = mill("--list", WHEELS_EXIT="1", **({} if how == "file" else {"EDGEMILL_OFFLINE": "1"}))
    assert done.returncode == 1
    assert "nothing is taken from the network here" in done.stderr
    assert ".envs/wheels" in done.stderr
    assert all("--no-index" in call for call in (pip_calls(mill) if how != "no wheelhouse" else []))
    assert "run:" not in done.stdout


def test_the_pythons_that_a_bundles_wheels_serve_are_asked_for(mill):
    (mill.project / "bundled").mkdir()
    (mill.project / "bundled" / "pythons").write_text("3.11 3.12\n")
    assert mill("--list").returncode == 0
    assert "probe: 3.11 3.12" in (mill.project / "calls").read_text()
    (mill.project / "requirements.lock").write_text("two==1.0\n")
    for name in ("python3.10", "python3.11", "python3.12", "python3.13", "python3.14"):
        shutil.copy(mill.project / "bin" / "python3", mill.project / "bin" / name)
    done = mill("--list", PROBE_EXIT="1")
    assert "there is no Python 3.11 or 3.12 with its venv module" in done.stderr
