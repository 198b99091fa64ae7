"""Where steps stand, engines, runs: decided without running anything."""

import json

import pytest

from edgemill.engines.local import LocalEngine
from edgemill.plan import State, make_plan
from edgemill.runs import RunRecord, is_running, records


def states(mini, pipeline="chain"):
    return {name: status.state.value for name, status in make_plan(mini.pipeline(pipeline), mini.workspace, LocalEngine()).items()}


def test_what_a_step_needs_decides_where_it_stands(mini):
    assert states(mini) == {"read": "to run", "shout": "waiting", "act": "waiting", "assay": "unavailable", "page": "waiting"}
    mini.build()
    assert states(mini) == {"read": "published", "shout": "published", "act": "published", "assay": "unavailable", "page": "published"}


def test_a_plan_writes_no_artifact_and_no_work(mini):
    states(mini)
    assert not mini.workspace.artifacts.exists()
    assert not mini.workspace.work.exists()
    assert not mini.workspace.runs.exists()


def test_what_feeds_on_the_unavailable_is_unavailable(mini):
    pipeline = mini.root / "pipelines" / "chain.yaml"
    pipeline.write_text(pipeline.read_text() + "  sealed: {stage: join, inputs: {parts: [assay]}, optional: true}\n")
    mini.build()
    plan = make_plan(mini.pipeline(), mini.workspace, LocalEngine())
    assert plan["sealed"].state is State.UNAVAILABLE
    assert plan["sealed"].reason == "its input 'parts' comes from assay, which is unavailable"


def test_a_list_goes_on_without_what_is_unavailable(mini):
    pipeline = mini.root / "pipelines" / "chain.yaml"
    pipeline.write_text(pipeline.read_text().replace("[read, shout, act]", "[read, assay]"))
    mini.build()
    page = (mini.workspace.pipelines / "chain" / "page" / "page.txt").read_text()
    assert page.splitlines()[0].startswith("read text ")
    assert not page.splitlines()[1].startswith("assay")
    assert "assay is unavailable" in page


def test_a_run_is_recorded_from_its_begin_to_its_end(tmp_path):
    record = RunRecord(tmp_path, "chain", "local")
    assert is_running(tmp_path, record.id)
    assert json.loads((record.folder / "run.json").read_text())["state"] == "running"
    record.event("something", path="caf\udce9")
    record.close("failed", "why")
    assert not is_running(tmp_path, record.id)
    ((folder, fields),) = records(tmp_path)
    assert folder == record.folder
    assert (fields["state"], fields["error"], fields["pipeline"]) == ("failed", "why", "chain")
    assert json.loads((folder / "events.jsonl").read_text())["event"] == "something"


@pytest.mark.parametrize("name", ["", "../x", "never"])
def test_what_is_no_run_does_not_run(tmp_path, name):
    assert not is_running(tmp_path, name)


def test_runs_come_newest_first_and_damaged_records_are_passed_over(tmp_path):
    for number, text in enumerate(["{}", "[]", "", None]):
        folder = tmp_path / f"20240101-00000{number}-abc"
        folder.mkdir()
        if text is not None:
            (folder / "run.json").write_text(text)
    ids = []
    for pipeline in ("one", "other", "one"):
        record = RunRecord(tmp_path, pipeline, "local")
        record.close("done")
        ids.append(record.id)
    assert sorted((fields["id"] for _, fields in records(tmp_path, "one")), reverse=True) == sorted({ids[0], ids[2]}, reverse=True)
    assert list(records(tmp_path / "absent")) == []


def test_runs_within_a_second_are_told_newest_first(tmp_path):
    ids = []
    for _ in range(20):
        record = RunRecord(tmp_path, "chain", "local")
        record.close("done")
        ids.append(record.id)
    assert [folder.name for folder, _ in records(tmp_path)] == ids[::-1]
