"""Giving space back: what nothing uses goes, what something uses stays."""

import io
import os
import re

import pytest
from mini import in_child, wait_until

from edgemill import tidy
from edgemill.console import Console
from edgemill.engines import environments
from edgemill.errors import RequestError
from edgemill.locks import Lock
from edgemill.runs import RunRecord


def quiet():
    return Console(io.StringIO())


def artifacts(mini):
    return sorted(path.parent.name for path in mini.workspace.artifacts.glob("*/*"))


def test_gc_keeps_what_pipelines_link_to(mini):
    mini.build()
    mini.build("chain", "shout.times=2")
    assert artifacts(mini) == ["act", "act", "join", "join", "read", "shout", "shout"]
    assert tidy.gc(mini.workspace, quiet()) > 0
    assert artifacts(mini) == ["act", "join", "read", "shout"]
    assert mini.ran("chain", "shout.times=2") == []
    assert mini.ran() == ["act", "page", "shout"]


def test_gc_keeps_what_another_pipeline_links_to(mini):
    mini.build()
    mini.build("learn")
    mini.words.write_text("other words\n")
    mini.build("learn")
    tidy.gc(mini.workspace, quiet())
    assert artifacts(mini) == ["act", "join", "learn", "read", "read", "shout"]


def test_gc_removes_unfinished_work_damaged_artifacts_locks_and_old_runs(mini):
    mini.build("act")
    for name in ("work/act/old/output", "work/damaged/read-x", "runs/without-a-record", "artifacts/act/half"):
        (mini.workspace.root / name).mkdir(parents=True)
    strays = [mini.workspace.root / name for name in ("pipelines/act/.act.4711", "index/.x.json.ab", "runs/without-a-record/.run.json.ab")]
    for stray in strays:
        stray.symlink_to("../../artifacts/act/half")
    for _ in range(4):
        RunRecord(mini.workspace.runs, "act", "local").close("done")
    tidy.gc(mini.workspace, quiet(), runs_kept=2)
    assert list(mini.workspace.work.glob("*/*")) == []
    assert not any(stray.is_symlink() for stray in strays)
    assert len(list(mini.workspace.runs.iterdir())) == 2
    assert artifacts(mini) == ["act", "read"]


def test_gc_keeps_the_record_of_a_run_that_goes_on(mini):
    mini.build("act")
    record = RunRecord(mini.workspace.runs, "act", "local")
    tidy.gc(mini.workspace, quiet(), runs_kept=0)
    assert list(mini.workspace.runs.iterdir()) == [record.folder]
    record.close("done")


def test_a_dry_run_removes_nothing(mini):
    mini.build("act")
    mini.build("act", "act.do=warnings")
    stream = io.StringIO()
    assert tidy.gc(mini.workspace, Console(stream), dry_run=True) > 0
    assert re.search(r"would remove artifacts/act/[0-9a-f]{64}", stream.getvalue())
    assert artifacts(mini) == ["act", "act", "read"]


@pytest.mark.parametrize("tidied", [tidy.gc, lambda workspace, console: tidy.clean(workspace, "act", console)], ids=["gc", "clean"])
def test_nothing_is_removed_while_a_build_runs(mini, tidied):
    mini.build("act")
    building = Lock(mini.workspace.root / ".lock")
    building.try_acquire(shared=True)
    with pytest.raises(RequestError, match="a build is running"):
        tidied(mini.workspace, quiet())
    assert artifacts(mini) == ["act", "read"]
    building.release()
    tidied(mini.workspace, quiet())


def test_a_build_waits_while_space_is_given_back(mini):
    mini.build("act")
    tidying = Lock(mini.workspace.root / ".lock")
    assert tidying.try_acquire()
    process = mini.start("build", "-p", "act", "--set", "act.do=warnings")
    wait_until(lambda: "local engine" in mini.output, "the build's begin")
    assert mini.tally == {"read": 1, "act": 1}
    tidying.release()
    assert process.wait(90) == 0
    assert mini.tally == {"read": 1, "act": 2}


def test_there_must_be_a_workspace(mini):
    with pytest.raises(RequestError, match="no workspace"):
        tidy.gc(mini.workspace, quiet())
    assert not mini.workspace.root.exists()


def test_clean_removes_what_one_pipeline_built_and_no_other_uses(mini):
    mini.build("act")
    mini.build("learn")
    mini.build("act", "act.do=warnings")
    tidy.clean(mini.workspace, "act", quiet())
    assert artifacts(mini) == ["learn", "read"]
    assert not (mini.workspace.pipelines / "act").exists()
    assert (mini.workspace.pipelines / "learn" / "learn").is_dir()


def test_clean_leaves_the_unfinished_work_of_other_pipelines(mini):
    """A training that was stopped goes on from there."""
    from edgemill.errors import StageFailedError

    for name, setting in (("learn", "learn.die_at=2"), ("act", "act.do=exit_3")):
        with pytest.raises(StageFailedError):
            mini.build(name, setting)
    tidy.clean(mini.workspace, "act", quiet())
    (scratch,) = mini.workspace.work.glob("*/*/scratch/step")
    assert scratch.read_text() == "2"
    tidy.clean(mini.workspace, "learn", quiet())
    assert list(mini.workspace.work.glob("*/*/scratch")) == []


def test_a_kill_while_artifacts_are_removed_leaves_no_half_of_one(mini, monkeypatch):
    mini.build("act")
    tidy.clean(mini.workspace, "nothing", quiet())
    (mini.workspace.pipelines / "act" / "act").unlink()

    def die(*_args):
        os.kill(os.getpid(), 9)

    monkeypatch.setattr("shutil.rmtree", die)
    assert in_child(lambda: tidy.gc(mini.workspace, quiet())) == -9
    monkeypatch.undo()
    assert artifacts(mini) == ["read"]
    assert mini.ran("act") == ["act"]


def environment(name, *, made=True):
    folder = environments.environments_folder() / name
    (folder / "bin").mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text("")
    if made:
        (folder / environments.MARKER).write_text("{}")
    return folder


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEMILL_ENVS", str(tmp_path / "envs"))
    return tmp_path / "envs"


def test_only_environments_that_no_image_wants_are_removed(own_folder, mini):
    image = mini.pipeline().steps["read"].image
    wanted = environments.environment_path(image).name
    names = ["old-0123456789abcdef", wanted, "my-other-things", "cafe-0123456789abcdef"]
    for name in names:
        environment(name, made=name != "cafe-0123456789abcdef")
    environment("half-0123456789abcdef.making", made=False)
    (own_folder / "file-0123456789abcdef").write_text("")
    assert [folder.name for folder in environments.removable({wanted})] == ["half-0123456789abcdef.making", "old-0123456789abcdef"]


def test_an_environment_that_is_in_use_or_being_made_stays(own_folder):
    folder = environment("old-0123456789abcdef")
    for shared in (True, False):
        lock = Lock(own_folder / "old-0123456789abcdef.lock")
        lock.try_acquire(shared=shared)
        assert not environments.remove_environment(folder)
        assert folder.is_dir()
        lock.release()
    assert environments.remove_environment(folder)
    assert not folder.exists()


def test_a_kill_while_an_environment_is_removed_leaves_none_that_passes_for_made(own_folder, monkeypatch):
    folder = environment("old-0123456789abcdef")
    monkeypatch.setattr("shutil.rmtree", lambda *_args: os.kill(os.getpid(), 9))
    assert in_child(lambda: environments.remove_environment(folder)) == -9
    assert folder.is_dir()
    assert not (folder / environments.MARKER).exists()


def test_an_environment_in_which_a_stage_runs_is_in_use(mini):
    process = mini.start("build", "-p", "act", "--set", "act.do=sleep")
    try:
        wait_until(lambda: mini.tally["act"], "the stage")
        image = mini.pipeline().steps["act"].image
        folder = environments.environment_path(image)
        assert not environments.remove_environment(folder)
    finally:
        process.kill()
        process.wait()
    assert environments.is_made(image)
