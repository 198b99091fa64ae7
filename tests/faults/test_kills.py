"""kill -9 of the host at every step, and of the stage: nothing is half published, nothing published is lost, the next build completes."""

import io
import itertools
import json
import os
import re
import signal

import pytest
from killing import Killer, KillingEngine, kill_self
from mini import end, in_child, lives, only, processes_in, snapshot, wait_until

from edgemill import tidy
from edgemill.console import Console
from edgemill.engines.local import LocalEngine
from edgemill.errors import DamagedArtifactError, StageFailedError
from edgemill.workspace import MANIFEST


def check_published(mini):
    """Every folder among the artifacts is a whole artifact."""
    for folder in mini.workspace.artifacts.glob("*/*"):
        assert mini.workspace.find(folder.parent.name, folder.name, verify=True) is not None


def build_and_die(mini, at, *, from_stage_end):
    """Build `act` in a child that is killed at the n-th change of the file system; its exit status, and the calls that it made."""
    log = mini.root / "calls"

    def work():
        killer = Killer(mini.workspace.root, at, log)
        engine = LocalEngine()
        if not from_stage_end:
            killer.arm()
        mini.build("act", engine=KillingEngine(engine, after=killer.arm if from_stage_end else None))

    status = in_child(work)
    return status, log.read_text().splitlines()


def check_after_a_kill(mini, digest):
    """What must hold after a kill at any step; `digest` is what `act` has when nothing goes wrong."""
    check_published(mini)
    mini.build("act")
    assert (mini.tally["read"], processes_in(mini.workspace)) == (1, [])
    act = mini.workspace.find("act", only(list(mini.workspace.artifacts.glob("act/*"))).name, verify=True)
    assert act.digest == digest
    assert (mini.workspace.pipelines / "act" / "act").resolve() == act.path
    # A kill after the rename can leave a work folder; nothing else is left for `gc`.
    tidy.gc(mini.workspace, Console(io.StringIO()))
    assert list(mini.workspace.work.glob("*/*")) == []
    check_published(mini)


@pytest.fixture
def with_read(mini):
    """A project in which `read` is published and `act` is not; the kill comes while `act` is made."""
    mini.write_pipeline("schema: 1\nstages: {read: {params: {path: ../data/words.txt}}}\n", "read")
    mini.build("read")
    return mini


def fresh(mini, before):
    """Take the workspace back to where `act` was not built."""
    from edgemill.files import remove

    for folder in (mini.workspace.artifacts / "act", mini.workspace.work, mini.workspace.runs):
        remove(folder)
    assert snapshot(mini.workspace.artifacts) == before
    (mini.root / "tally").write_text("read\n")


@pytest.mark.slow
def test_a_kill_at_every_change_from_the_stages_end_on(with_read):
    mini = with_read
    before = snapshot(mini.workspace.artifacts)
    status, calls = build_and_die(mini, 0, from_stage_end=True)
    assert status == 0
    digest = mini.workspace.find("act", only(list(mini.workspace.artifacts.glob("act/*"))).name).digest
    assert {"fsync", "os.rename", "os.chmod", "open", "os.mkdir"} <= {call.split()[0] for call in calls}
    assert any(call.startswith("os.rename work/act/") and call.endswith("/output") for call in calls)
    published = 0
    for at in itertools.count(1):
        fresh(mini, before)
        if build_and_die(mini, at, from_stage_end=True)[0] != -signal.SIGKILL:
            break
        assert {name: content for name, content in snapshot(mini.workspace.artifacts).items() if name.startswith("read/")} == before
        published += (mini.workspace.artifacts / "act").is_dir() and any((mini.workspace.artifacts / "act").iterdir())
        check_after_a_kill(mini, digest)
    assert at > 20
    assert 0 < published < at


@pytest.mark.slow
def test_a_kill_at_every_change_of_a_whole_build(with_read):
    mini = with_read
    before = snapshot(mini.workspace.artifacts)
    status, _ = build_and_die(mini, 0, from_stage_end=False)
    assert status == 0
    digest = mini.workspace.find("act", only(list(mini.workspace.artifacts.glob("act/*"))).name).digest
    for at in itertools.count(1):
        fresh(mini, before)
        if build_and_die(mini, at, from_stage_end=False)[0] != -signal.SIGKILL:
            break
        check_after_a_kill(mini, digest)
    assert at > 50


@pytest.mark.slow
def test_a_kill_at_every_change_while_a_damaged_artifact_is_replaced(mini):
    """The damaged one is set aside and made again: it may be missing for a while, but never passes for good."""
    from mini import flip_byte

    mini.build("act")
    folder = only(list(mini.workspace.artifacts.glob("act/*")))
    good = snapshot(folder)
    log = mini.root / "calls"

    def damage():
        for path in folder.rglob("*"):
            if path.is_file():
                path.chmod(0o644)
                path.write_bytes(good[path.relative_to(folder).as_posix()][0])
                path.chmod(0o444)
        flip_byte(folder / "model.bin", 10)

    def work(at):
        killer = Killer(mini.workspace.root, at, log)
        killer.arm()
        mini.build("act", verify=True)

    damage()
    assert in_child(lambda: work(0)) == 0
    digest = mini.workspace.find("act", folder.name, verify=True).digest
    for at in itertools.count(1, 3):
        good = snapshot(folder)
        damage()
        if in_child(lambda at=at: work(at)) != -signal.SIGKILL:
            break
        for artifact in mini.workspace.artifacts.glob("act/*"):
            try:
                assert mini.workspace.find("act", artifact.name, verify=True).digest == digest
            except DamagedArtifactError:
                assert artifact == folder
        mini.build("act", verify=True)
        assert mini.workspace.find("act", folder.name, verify=True).digest == digest
    assert at > 50


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_before_or_after_a_stage_runs(mini, when):
    assert in_child(lambda: mini.build("act", engine=KillingEngine(LocalEngine(), **{when: kill_self}))) == -signal.SIGKILL
    assert list(mini.workspace.artifacts.glob("*/*")) == []
    assert mini.ran("act") == ["act", "read"]
    check_published(mini)


def test_a_kill_while_a_stage_runs_ends_the_stage(mini):
    process = mini.start("build", "-p", "act", "--set", "act.do=stubborn")
    wait_until(lambda: mini.tally["act"], "the stage")
    (stage,) = processes_in(mini.workspace)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    wait_until(lambda: not lives(stage), "the stage's end")
    check_published(mini)
    assert mini.ran("act") == ["act"]


@pytest.fixture
def detached(mini):
    """A build was killed; a child of its stage, which left the session, goes on and keeps the key's lock."""
    pids = []

    def begin(do):
        process = mini.start("build", "-p", "act", "--set", f"act.do={do}")
        place = mini.root / "detached"
        wait_until(lambda: place.is_file() and place.read_text() and "sleeping" in mini.output, "the detached child")
        process.kill()
        process.wait()
        pids.append(int(place.read_text()))
        wait_until(lambda: len(processes_in(mini.workspace)) <= 1, "the stage's end")
        assert lives(pids[0])
        return pids[0]

    yield begin
    for pid in pids:
        end(pid)


@pytest.mark.parametrize("do", ["detached_once", "stray_once"], ids=["with the key's lock", "without it"])
def test_what_a_dead_run_left_behind_is_ended_by_the_next(mini, detached, do):
    left = detached(do)
    said = mini.said("act", f"act.do={do}")
    assert not lives(left)
    assert re.search(r"act +ran", said)
    assert json.loads((mini.workspace.pipelines / "act" / "act" / "info.json").read_text())["words"] == "alone"
    assert mini.tally["act"] == 2
    check_published(mini)


def test_what_cannot_be_told_for_a_dead_runs_is_named_and_waited_for(mini, detached):
    left = detached("anonymous_once")
    process = mini.start("build", "-p", "act", "--set", "act.do=anonymous_once")
    try:
        wait_until(lambda: "left behind" in mini.output, "the warning")
        assert f"process {left};" in mini.output
        assert process.poll() is None
        end(left)
        assert process.wait(90) == 0
    finally:
        process.kill()
        process.wait()
    check_published(mini)


def test_a_kill_of_the_stage_alone_is_named_and_the_next_build_goes_on(mini):
    process = mini.start("build", "-p", "act", "--set", "act.do=stubborn")
    wait_until(lambda: mini.tally["act"], "the stage")
    (stage,) = processes_in(mini.workspace)
    os.kill(stage, signal.SIGKILL)
    assert process.wait(90) == 1
    assert "the stage 'act' failed: it was killed by signal 9 (out of memory?)" in mini.output
    assert "exit status: 137" in mini.output
    check_published(mini)
    assert mini.ran("act") == ["act"]


@pytest.mark.parametrize("place", ["model.bin", "notes.json", MANIFEST])
def test_a_half_published_folder_would_be_found(mini, place):
    """The checks of these tests can fail: an artifact that lacks a file, or has half of one, is no artifact."""
    mini.build("act")
    folder = only(list(mini.workspace.artifacts.glob("act/*")))
    folder.chmod(0o755)
    (folder / place).chmod(0o644)
    os.truncate(folder / place, 5)
    with pytest.raises(DamagedArtifactError):
        check_published(mini)


def test_a_failed_stage_leaves_its_work_for_a_look_and_the_next_run_clears_it(mini):
    with pytest.raises(StageFailedError):
        mini.build("act", "act.do=stub")
    (stub,) = mini.workspace.work.glob("act/*/output/model.bin")
    assert stub.read_bytes() == b"stub"
    with pytest.raises(StageFailedError):
        mini.build("act", "act.do=stub")
    assert mini.tally["act"] == 2
