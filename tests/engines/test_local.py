"""The local engine: what a stage sees of this machine, and what it cannot hide."""

import json
import os
import subprocess

import pytest

from edgemill.engines.local import WORK_VARIABLE, LocalEngine


def seen(mini):
    """The environment and the current folder that a stage saw."""
    mini.build("act", "act.do=environment")
    return json.loads((mini.workspace.pipelines / "act" / "act" / "notes.json").read_text())


def test_a_stage_sees_none_of_the_users_variables(mini, monkeypatch):
    secrets = {
        "AWS_SECRET_ACCESS_KEY",
        "GITHUB_TOKEN",
        "SSH_AUTH_SOCK",
        "HTTP_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "PIP_INDEX_URL",
        "VIRTUAL_ENV",
    }
    for name in secrets | {"PYTHONSTARTUP"}:
        monkeypatch.setenv(name, "secret")
    environ = seen(mini)["environ"]
    assert not (secrets | {"EDGEMILL_ENVS"}) & set(environ)
    assert "secret" not in "".join(environ.values())
    allowed = {"PATH", "HOME", "TMPDIR", "LANG", "LC_CTYPE", "PYTHONPATH", "PYTHONHASHSEED", "PYTHONNOUSERSITE", "PYTHONDONTWRITEBYTECODE"}
    assert set(environ) <= allowed | {WORK_VARIABLE}


def test_its_home_is_its_own_and_gone_afterwards(mini):
    told = seen(mini)
    home = told["environ"]["HOME"]
    assert home == told["cwd"] == told["environ"]["TMPDIR"]
    assert home.startswith(str(mini.workspace.work))
    assert not os.path.exists(home)


def test_it_runs_from_a_copy_of_its_source(mini):
    library = seen(mini)["environ"]["PYTHONPATH"]
    assert library.startswith(str(mini.workspace.work))
    assert not list(mini.stages.rglob("__pycache__"))


def test_its_programs_come_first_from_its_environment(mini):
    path = seen(mini)["environ"]["PATH"].split(":")
    assert path[0].startswith(os.environ["EDGEMILL_ENVS"])
    assert path[1:] == ["/usr/local/bin", "/usr/bin", "/bin"]


def test_a_declared_tool_is_found_where_the_user_has_it(mini, monkeypatch):
    program = mini.root / "bin" / "edgemill-test-tool"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho $PATH\n")
    program.chmod(0o755)
    engine, step = LocalEngine(), mini.pipeline().steps["assay"]
    assert "is not on this machine's PATH" in engine.lacks(step.image, step.contract.tools)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    assert engine.lacks(step.image, step.contract.tools) is None
    mini.build()
    page = mini.workspace.pipelines / "chain" / "assay" / "page.txt"
    assert page.read_text().strip().endswith(str(program.parent))


def test_inputs_and_published_files_cannot_be_written(mini):
    mini.build("act")
    for folder in mini.workspace.artifacts.glob("*/*"):
        assert all(not path.stat().st_mode & 0o222 for path in [folder, *folder.rglob("*")])


def test_it_says_that_it_cannot_isolate():
    assert "not isolated" in LocalEngine().isolation


@pytest.fixture
def marked(tmp_path):
    """Processes that carry the marks of two work folders."""
    processes = {
        name: subprocess.Popen(["sleep", "60"], env={WORK_VARIABLE: str(tmp_path / name)}, start_new_session=True)
        for name in ("one", "one-more")
    }
    yield processes
    for process in processes.values():
        process.kill()
        process.wait()


def test_a_sweep_ends_the_processes_of_one_work_folder_alone(marked, tmp_path):
    LocalEngine().sweep(tmp_path / "one")
    assert marked["one"].wait(10) == -9
    assert marked["one-more"].poll() is None


def test_a_sweep_of_nothing_does_nothing(tmp_path):
    LocalEngine().sweep(tmp_path / "nothing")


def test_a_stage_dies_with_a_host_that_died_before_it_could_watch(tmp_path):
    """Between fork and prctl the parent may be gone; the child must notice."""
    from edgemill.engines.process import _die_with

    child = os.fork()
    if child == 0:
        _die_with(os.getppid() + 1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
