"""Stages that misbehave: nothing of theirs is published, the message says what, and the next build goes on."""

import json
import re

import pytest
from mini import lives, manifest, only, processes_in, wait_until
from wheels import offline

from edgemill.errors import ImageError, StageFailedError

# What the stage does, and what the user reads.
BAD = {
    "nothing": ["it exited with 0, but left nothing", "an artifact of kind model"],
    "stub": ["not a valid model", "model.bin", "at least 16 bytes", "4 bytes"],
    "empty": ["not a valid model", "model.bin", "at least 16 bytes", "0 bytes"],
    "wrong_magic": ["not a valid model", "model.bin", "b'MINI' at byte 4", "b'4567'"],
    "broken_json": ["not a valid model", "info.json", "expected: JSON"],
    "deep_json": ["not a valid model", "info.json", "expected: JSON", "too deep"],
    "json_without_keys": ["not a valid model", "info.json", "schema, words", "without words"],
    "no_info": ["not a valid model", "a file info.json", "model.bin"],
    "link": ["a symbolic link is in its output", "output/extra", "files and folders only"],
    "folder_link": ["a symbolic link is in its output", "output/extra"],
    "fifo": ["cannot be published: neither a file nor a folder", "output/extra"],
    "strange_name": ["the name of a file in its output is not UTF-8", "caf"],
    "own_manifest": ["it wrote a file that the build system writes", "manifest.json"],
    "no_result": ["it exited with 0, but it wrote no result"],
    "result_is_a_list": ["it exited with 0, but its result.json is of another schema"],
    "result_with_nan": ["it exited with 0, but its result.json cannot be read"],
    "result_with_wrong_types": ["it exited with 0, but in its result.json, 'metrics' is of a wrong type"],
    "result_with_text_as_error": ["it exited with 0, but in its result.json, 'error' is of a wrong type"],
    "error_but_exit_0": ["it is wrong after all", "exit status: 0"],
    "result_of_another_schema": ["it exited with 0, but its result.json is of another schema"],
    "result_that_is_deep": ["it exited with 0, but its result.json cannot be read"],
    "exit_3": ["its program ended without saying why", "exit status: 3", "the last words"],
    "result_but_exit_3": ["its program ended without saying why", "exit status: 3"],
    "stage_error": ["the third record is wrong", "records.csv:3", "four fields", "five fields", "remove the comma", "exit status: 1"],
    "crash": ["ZeroDivisionError: division by zero", "behaviour.py:", "looks like a defect", "exit status: 1"],
    "kill_self": ["it was killed by signal 9 (out of memory?)", "exit status: 137", "before the end"],
}


@pytest.mark.parametrize("do", BAD)
def test_a_bad_stage_is_named_and_nothing_of_it_is_published(mini, do):
    with pytest.raises(StageFailedError) as raised:
        mini.build("act", f"act.do={do}")
    message = str(raised.value)
    log = only(list(mini.workspace.runs.glob("*/act.log")))
    assert message.startswith("the stage 'act' failed: ")
    for part in [*BAD[do], f"log: {log}", "command: ", "run.py", "exit status: ", "next:"]:
        assert part in message
    assert list(mini.workspace.artifacts.glob("act/*")) == []
    assert [path.name for path in (mini.workspace.pipelines / "act").iterdir()] == ["read"]
    record = json.loads((log.parent / "run.json").read_text())
    assert (record["state"], record["stages"]["act"]["state"]) == ("failed", "failed")
    assert BAD[do][0] in record["error"]
    assert mini.ran("act") == ["act"]


@pytest.mark.parametrize("do", ["long_line", "odd_events", "warnings"])
def test_odd_output_does_no_harm(mini, do):
    said = mini.said("act", f"act.do={do}")
    log = only(list(mini.workspace.runs.glob("*/act.log"))).read_bytes()
    folder = mini.workspace.pipelines / "act" / "act"
    assert (folder / "model.bin").is_file()
    if do == "long_line":
        assert log == b"x" * (1 << 20)
    if do == "warnings":
        assert "warning: act: the light was bad" in said
        assert manifest(folder)["warnings"] == ["the light was bad"]


def test_what_a_stage_says_of_itself_is_in_the_manifest(mini):
    mini.build("act")
    told = manifest(mini.workspace.pipelines / "act" / "read")
    assert (told["metrics"], told["tools"], told["exit_code"], told["engine"]) == ({"bytes": 14}, {"reader": "1.0"}, 0, "local")
    act = manifest(mini.workspace.pipelines / "act" / "act")
    assert act["inputs"]["text"]["digest"] == told["digest"]
    assert {entry["name"]: key for key, entry in act["lineage"].items()} == {"read": told["key"], "act": act["key"]}
    assert str(mini.root) not in json.dumps(act)


@pytest.fixture
def short_limit(mini):
    path = mini.stages / "act" / "stage.yaml"
    path.write_text(path.read_text().replace("timeout: 20", "timeout: 0.5"))
    return mini


@pytest.fixture
def impatient(monkeypatch):
    """Wait less between the signals that ask a stage to stop."""
    from edgemill.engines import process

    monkeypatch.setattr(process, "PATIENCE_SECONDS", tuple((signum, 0.5) for signum, _ in process.PATIENCE_SECONDS))


@pytest.mark.parametrize("do", ["sleep", "stubborn", "detached_then_sleep"])
def test_a_stage_that_takes_too_long_ends_with_all_its_children(short_limit, impatient, do):
    with pytest.raises(StageFailedError, match=r"it took longer than its limit of 0\.5 s") as raised:
        short_limit.build("act", f"act.do={do}")
    assert re.search(r"exit status: 1(30|37)", str(raised.value))
    assert processes_in(short_limit.workspace) == []


@pytest.mark.parametrize("do", ["detached_then_well", "writes_on"])
def test_what_a_stage_leaves_running_is_ended_before_its_output_is_read(mini, do):
    mini.build("act", f"act.do={do}")
    assert not lives(int((mini.root / "detached").read_text()))
    assert processes_in(mini.workspace) == []
    artifact = only(list(mini.workspace.artifacts.glob("act/*")))
    found = mini.workspace.find("act", artifact.name, verify=True)
    wait_until(lambda: processes_in(mini.workspace) == [], "the end of all processes")
    found.verify()


def test_a_resumable_stage_finds_its_scratch_folder(mini):
    with pytest.raises(StageFailedError, match="killed by signal 9") as raised:
        mini.build("learn", "learn.die_at=3")
    assert "it goes on from its last checkpoint" in raised.value.remedy
    mini.build("learn", "learn.die_at=3")
    assert json.loads((mini.workspace.pipelines / "learn" / "learn" / "notes.json").read_text())["began_at"] == 3
    assert list(mini.workspace.work.glob("learn/*/")) == [] or not any(path.is_dir() for path in mini.workspace.work.glob("learn/*"))


def test_another_stage_finds_a_fresh_one(mini):
    path = mini.stages / "learn" / "stage.yaml"
    path.write_text(path.read_text().replace("resumable: true", "resumable: false"))
    for _ in range(2):
        with pytest.raises(StageFailedError, match="killed by signal 9"):
            mini.build("learn", "learn.die_at=3")


def test_a_changed_parameter_finds_a_fresh_one(mini):
    with pytest.raises(StageFailedError):
        mini.build("learn", "learn.die_at=3")
    mini.build("learn", "learn.steps=4")
    assert json.loads((mini.workspace.pipelines / "learn" / "learn" / "notes.json").read_text())["began_at"] == 0


def test_an_edit_of_its_code_while_a_stage_runs_makes_no_difference(mini):
    """It runs from a copy, so that its artifact is what its key says; `late.py` is imported after the edit."""
    process = mini.start("build", "-p", "act", "--set", "act.do=late_import")
    try:
        wait_until(lambda: mini.tally["act"], "the stage")
        edit(mini.stages / "act" / "late.py", "as its key says", "as edited")
        (mini.root / "go").touch()
        assert process.wait(90) == 0, mini.output
    finally:
        process.kill()
        process.wait()
    assert json.loads((mini.workspace.pipelines / "act" / "act" / "info.json").read_text())["words"] == "as its key says"
    assert mini.ran("act", "act.do=late_import") == ["act"]
    assert json.loads((mini.workspace.pipelines / "act" / "act" / "info.json").read_text())["words"] == "as edited"


def test_what_was_made_from_data_that_changed_meanwhile_is_not_published(mini):
    """What the stage read is not what its key says."""
    process = mini.start("build", "-p", "act", "--set", "read.seconds=2")
    try:
        wait_until(lambda: mini.tally["read"], "the stage")
        edit(mini.words, "three", "four")
        assert process.wait(90) == 1, mini.output
    finally:
        process.kill()
        process.wait()
    assert "what the stage 'read' is made from changed while it ran" in mini.output
    assert str(mini.words) in mini.output
    assert list(mini.workspace.artifacts.glob("*/*")) == []
    edit(mini.words, "four", "three")
    assert mini.ran("act", "read.seconds=2") == ["act", "read"]
    assert (mini.workspace.pipelines / "act" / "read" / "text.txt").read_text() == "one two three\n"


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def tool(mini, monkeypatch, text="echo assayed"):
    """Put the tool that `assay` needs on PATH."""
    import os

    program = mini.root / "bin" / "edgemill-test-tool"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


def unmakeable(mini, monkeypatch):
    """Lock the image `tooled` to a package that cannot be had."""
    offline(monkeypatch, mini.root / "no-wheels", mini.root / "cache")
    (mini.root / "docker" / "locks" / "tooled.lock").write_text("no-such-package==1.0 --hash=sha256:" + "0" * 64 + "\n")


def page(mini):
    return (mini.workspace.pipelines / "chain" / "page" / "page.txt").read_text().splitlines()


def test_an_optional_stage_runs_where_its_tool_is(mini, monkeypatch):
    tool(mini, monkeypatch)
    mini.build()
    assert "assayed" in page(mini)
    assert "assay is ran" in page(mini)


def test_without_its_tool_the_pipeline_goes_on_and_says_so(mini):
    said = mini.said()
    assert re.search(r"assay +unavailable .*edgemill-test-tool 1\.0 is not on this machine's PATH.*\(optional\)", said)
    assert "not assayed" in page(mini)
    assert "assay is unavailable" in page(mini)


def test_a_link_does_not_lead_to_what_an_earlier_build_made(mini, monkeypatch):
    """Somebody would take the compiled model of another training to the device."""
    link = mini.workspace.pipelines / "chain" / "assay"
    with monkeypatch.context() as patch:
        tool(mini, patch)
        mini.build()
        assert link.is_dir()
    mini.build("chain", "shout.times=2")
    assert not link.is_symlink()
    mini.build()
    assert link.is_dir()


@pytest.mark.parametrize(
    ("text", "settings", "says"),
    [("exit 7", [], "CalledProcessError"), ("echo assayed", ["assay.fail=true"], "the assay failed")],
)
def test_where_an_optional_stage_fails_the_pipeline_goes_on_and_says_so(mini, monkeypatch, text, settings, says):
    tool(mini, monkeypatch, text)
    said = mini.said("chain", *settings)
    assert "warning: the optional stage 'assay' failed" in said
    assert says in said
    assert re.search(r"assay +failed", said)
    assert "assay is failed" in page(mini)
    record = json.loads(only(list(mini.workspace.runs.glob("*/run.json"))).read_text())
    assert record["state"] == "done"
    assert says in record["stages"]["assay"]["reason"]


def test_where_an_optional_stages_image_cannot_be_made_the_pipeline_goes_on(mini, monkeypatch):
    tool(mini, monkeypatch)
    unmakeable(mini, monkeypatch)
    said = mini.said()
    assert "warning: the optional stage 'assay' failed" in said
    assert "no-such-package" in said
    assert "not assayed" in page(mini)


def test_without_its_tool_a_stage_that_must_be_there_stops_the_build_before_anything_runs(mini):
    edit(mini.root / "pipelines" / "chain.yaml", ", optional: true", "")
    with pytest.raises(StageFailedError, match="the stage 'assay' is unavailable: edgemill-test-tool") as raised:
        mini.build()
    assert "optional: true" in raised.value.remedy
    assert "chain.yaml:7" in raised.value.where
    assert mini.tally == {}


def test_an_image_that_cannot_be_made_stops_the_build_before_anything_runs(mini, monkeypatch):
    tool(mini, monkeypatch)
    edit(mini.root / "pipelines" / "chain.yaml", ", optional: true", "")
    unmakeable(mini, monkeypatch)
    with pytest.raises(ImageError, match="the image 'tooled' could not be made"):
        mini.build()
    assert mini.tally == {}


def test_a_stage_that_is_published_needs_its_tool_no_more(mini, monkeypatch):
    edit(mini.root / "pipelines" / "chain.yaml", ", optional: true", "")
    with monkeypatch.context() as patch:
        tool(mini, patch)
        mini.build()
    assert mini.ran() == []
    edit(mini.root / "pipelines" / "chain.yaml", "[read, shout, act]", "[read, shout]")
    assert mini.ran() == ["page"]
