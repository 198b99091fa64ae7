"""`report --compare A B`: two runs that are there already go into one page; and `report` alone still builds the report."""

import json
import shutil

import pytest
from mini import flip_byte, only

KINDS = {"dataset": {"help": "Data.", "files": [{"path": "told.txt"}]}, "evaluation": {"help": "Numbers.", "files": [{"path": "told.txt"}]}}
KINDS["records"], KINDS["report"] = (
    {"help": "More.", "files": [{"path": "told.txt"}]},
    {"help": "A page.", "files": [{"path": "report.html"}]},
)
PATH = {"type": "string", "format": "path", "description": "Where."}
RUN = {"type": "object", "default": {}, "description": "A run."}
MANY = {"kind": "any", "many": True, "optional": True}
STAGES = {
    "ingest": ({}, {"path": PATH}, "dataset"),
    "records": ({"dataset": {"kind": "dataset"}}, {"path": PATH}, "records"),
    "evaluate": ({"dataset": {"kind": "dataset"}}, {"path": PATH}, "evaluation"),
    "report": ({"artifacts": MANY}, {}, "report"),
    "compare-reports": ({"first": MANY, "second": MANY}, {"first": RUN, "second": RUN}, "report"),
}
WORD = "(task.output / 'told.txt').write_text(Path(task.params['path']).read_text())"
PROGRAMS = {
    "report": "(task.output / 'report.html').write_text('the report')",
    "compare-reports": """
    told = {side: {"run": task.params[side], "artifacts": {each.name: (each.path / "told.txt").read_text() for each in task.inputs(side)}}
            for side in ("first", "second")}
    (task.output / "report.html").write_text(json.dumps(told))
""",
}
PROGRAM = """import json
from pathlib import Path
from _runtime import StageError, run
def main(task):
    BODY
run(main)
"""
PIPELINE = """schema: 1
stages:
  ingest: {params: {path: ../data/NAME.txt}}
  records: {inputs: {dataset: ingest}, params: {path: ../data/NAME.txt}}
  evaluate: {inputs: {dataset: ingest}, params: {path: ../data/NAME.txt}}
"""


@pytest.fixture
def project(mini):
    """The small project, with stages of these names that do little, and the pipelines `one` and `two`, which are not built."""
    mini.add_stages(KINDS, STAGES, {name: PROGRAM.replace("BODY", PROGRAMS.get(name, WORD)) for name in STAGES})
    for name in ("one", "two"):
        (mini.root / "data" / f"{name}.txt").write_text(f"of {name}")
        mini.write_pipeline(PIPELINE.replace("NAME", name), name)
    return mini


def done(project, *arguments, status=0):
    result = project.mill(*arguments)
    assert result.returncode == status, result.stderr
    return result


@pytest.fixture
def built(project):
    """Both pipelines are built."""
    for name in ("one", "two"):
        done(project, "build", "-p", name)
    return project


def page(project, *names):
    """Compare; what the page's stage was given."""
    said = done(project, "report", "--compare", *names).stdout
    return json.loads((project.root / said.removeprefix("comparison: ").strip()).read_text())


def runs(project, pipeline):
    """The ids of a pipeline's runs, oldest first."""
    found = [json.loads((folder / "run.json").read_text()) for folder in sorted(project.workspace.runs.iterdir())]
    return [run["id"] for run in found if run["pipeline"] == pipeline]


def test_the_last_builds_of_two_pipelines_are_compared(built):
    told = page(built, "one", "two")
    assert told["first"]["artifacts"] == {"first.ingest": "of one", "first.evaluate": "of one"}
    assert told["second"]["artifacts"] == {"second.ingest": "of two", "second.evaluate": "of two"}


def test_the_page_is_told_what_the_runs_records_say(built):
    told = page(built, "one", "two")["first"]["run"]
    assert (told["name"], told["pipeline"], told["run"], told["state"]) == ("one", "one", only(runs(built, "one")), "done")
    assert set(told["stages"]) == {"ingest", "records", "evaluate"}
    records = told["stages"]["records"]
    assert (records["state"], records["optional"], records["stage"]) == ("ran", True, "records")
    assert all(len(records[key]) == 64 for key in ("key", "digest", "source"))


def test_runs_are_named_by_id_too_even_of_one_pipeline(built):
    (built.root / "data" / "one.txt").write_text("of one, changed")
    done(built, "build", "-p", "one")
    before, after = runs(built, "one")
    told = page(built, before, after)
    assert [told[side]["artifacts"][f"{side}.evaluate"] for side in ("first", "second")] == ["of one", "of one, changed"]
    assert [told[side]["run"]["name"] for side in ("first", "second")] == [before, after]
    told = page(built, before, "one")
    assert told["second"]["artifacts"]["second.evaluate"] == "of one, changed"


def test_the_same_comparison_again_runs_nothing(built):
    page(built, "one", "two")
    assert "published" in done(built, "report", "--compare", "one", "two").stderr


def test_the_last_build_that_has_an_evaluation_is_meant(built):
    (built.root / "data" / "one.txt").write_text("of one, changed")
    done(built, "data", "-p", "one")  # a later run, without an evaluation
    assert len(runs(built, "one")) == 2
    assert page(built, "one", "two")["first"]["artifacts"]["first.evaluate"] == "of one"


def test_a_build_without_an_evaluation_is_compared_where_there_is_no_other(project):
    done(project, "data", "-p", "one")
    done(project, "build", "-p", "two")
    assert page(project, "one", "two")["first"]["artifacts"] == {"first.ingest": "of one"}


def test_a_pipeline_can_be_named_by_its_file(built):
    assert page(built, "pipelines/one.yaml", "two")["first"]["run"]["name"] == "one"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["one"], "a comparison is of two runs"),
        (["one", "two", "three"], "a comparison is of two runs"),
        (["one", "tow"], "did you mean 'two'?"),
        (["one", "nothing-like-it"], "expected: a pipeline that has been built (one, two), or the id of a run"),
        (["one", "one"], "are the same run"),
        (["one", ""], "there is no build of ''"),
        (["one", ".."], "there is no build of '..'"),
        (["one", "../runs"], "there is no build of '../runs'"),
    ],
)
def test_what_cannot_be_compared_is_said(built, arguments, says):
    assert says in done(built, "report", "--compare", *arguments, status=2).stderr


def test_a_run_of_which_nothing_is_left_is_said(built):
    run = only(runs(built, "one"))
    for folder in built.workspace.artifacts.iterdir():
        folder.chmod(0o755)
    for path in [*built.workspace.artifacts.rglob("*")]:
        path.chmod(0o755)
    shutil.rmtree(built.workspace.artifacts)
    error = done(built, "report", "--compare", run, "two", status=2).stderr
    assert f"nothing that the run {run} made is left in the workspace" in error
    assert "./mill build -p one" in error
    assert "there is no build of 'two'" in done(built, "report", "--compare", "two", run, status=2).stderr


def test_what_a_build_lost_is_left_out(built):
    folder = (built.workspace.pipelines / "one" / "ingest").resolve()
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755)
    shutil.rmtree(folder)
    assert page(built, "one", "two")["first"]["artifacts"] == {"first.evaluate": "of one"}


def test_a_damaged_artifact_is_said_with_the_pipeline_that_makes_it_again(built):
    flip_byte((built.workspace.pipelines / "one" / "evaluate").resolve() / "told.txt")
    error = done(built, "report", "--compare", "one", "two", status=1).stderr
    assert "a published artifact is damaged" in error
    assert "./mill build -p one makes it again" in error
    done(built, "build", "-p", "one")
    assert page(built, "one", "two")["first"]["artifacts"]["first.evaluate"] == "of one"


def test_report_alone_still_builds_the_report(built):
    built.write_pipeline(PIPELINE.replace("NAME", "one") + "  report: {inputs: {artifacts: [evaluate]}}\n", "three")
    assert "report" in done(built, "report", "-p", "three", "--dry-run").stdout
    done(built, "report", "-p", "three")
    assert (built.workspace.pipelines / "three" / "report" / "report.html").read_text() == "the report"


def test_the_options_value_may_be_written_in_every_way(built):
    for arguments in (["--compare", "one", "two"], ["--compare=one", "two"], ["--compare", "one", "--compare", "two"]):
        assert "comparison: " in done(built, "report", *arguments).stdout
