"""The command line of a small project: exit codes, and one message for each failure."""

import json
import re

import pytest

SETS = ("-p", "act", "--set")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["bild"], "bild"),
        (["build", "--pipelin", "act"], "pipelin"),
        (["build", "-p"], "needed value"),
        (["tensorboard", "--port", "many"], "many"),
        (["--nonsense"], "nonsense"),
        (["build", "-p", "akt"], "did you mean 'act'?"),
        (["build", "-p", "nowhere/x.yaml"], "no such file"),
        (["build", *SETS, "act.od=stub"], "did you mean 'do'?"),
        (["build", *SETS, "act.do=3"], "do: wrong type"),
        (["build", *SETS, "act"], "STAGE.PARAM=VALUE"),
        (["build", "-p", "act", "--engine", "docke"], "unknown engine 'docke'"),
        (["train", "-p", "act"], "unknown stage of this pipeline 'train'"),
        (["status", "-p", "akt"], "did you mean 'act'?"),
        (["graph", "-p", "akt"], "did you mean 'act'?"),
        (["logs", "-p", "act"], "no run of this pipeline"),
        (["logs", "-p", "act", "--stage", "atc"], "did you mean 'act'?"),
        (["gc"], "no workspace"),
        (["clean", "-p", "act"], "no workspace"),
        (["images.make", "--image", "hots"], "did you mean 'host'?"),
        (["images.lock", "--image", "hots"], "did you mean 'host'?"),
    ],
)
def test_a_wrong_request_ends_with_2_and_one_message(mini, arguments, says):
    done = mini.mill(*arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stdout + done.stderr
    assert not mini.workspace.root.exists()


def test_what_is_done_ends_with_0(mini):
    for arguments in (
        ["build", "-p", "act"],
        ["build", "-p", "act"],
        ["status", "-p", "act"],
        ["graph", "-p", "act"],
        ["logs", "-p", "act"],
    ):
        done = mini.mill(*arguments)
        assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert mini.tally == {"read": 1, "act": 1}


def test_a_failed_stage_ends_with_1_and_one_message(mini):
    done = mini.mill("build", *SETS, "act.do=stage_error")
    assert done.returncode == 1
    message = done.stderr[done.stderr.index("error: ") :]
    (log,) = mini.workspace.runs.glob("*/act.log")
    assert message.splitlines()[0] == "error: the stage 'act' failed: the third record is wrong"
    for part in ("records.csv:3", "four fields", "five fields", "remove the comma", "run.py", "exit status: 1", f"log: {log}"):
        assert part in message
    assert "Traceback" not in done.stderr


def test_help_and_list_name_every_task(mini):
    done = mini.mill("--list")
    assert done.returncode == 0
    tasks = re.findall(r"^  ([a-z.]+)  ", done.stdout, re.MULTILINE)
    assert {"build", "demo", "train", "export", "compile", "status", "gc", "doctor", "test", "images.lock"} <= set(tasks)
    for task in ("build", "status"):
        described = mini.mill("--help", task)
        assert described.returncode == 0
        assert "STAGE.PARAM=VALUE" in described.stdout


def status(mini, *arguments):
    done = mini.mill("status", "--json", "-p", "chain", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


FIELDS = {"state", "stage", "key", "artifact", "digest", "seconds", "reason"}


def test_status_as_json_says_of_each_stage_where_it_stands(mini):
    before = status(mini)
    assert list(before) == ["read", "shout", "act", "assay", "page"]
    assert all(set(fields) == FIELDS for fields in before.values())
    assert {name: fields["state"] for name, fields in before.items()} == {
        "read": "to run",
        "shout": "waiting",
        "act": "waiting",
        "assay": "unavailable",
        "page": "waiting",
    }
    assert mini.tally == {}
    mini.build()
    after = status(mini)
    assert [fields["state"] for fields in after.values()] == ["published", "published", "published", "unavailable", "published"]
    for name, fields in after.items():
        if name != "assay":
            assert fields["artifact"] == str(mini.workspace.artifact_folder(fields["stage"], fields["key"]))
            assert len(fields["digest"]) == 64
            assert fields["seconds"] > 0
    assert "edgemill-test-tool" in after["assay"]["reason"]
    assert status(mini, "--set", "shout.times=2")["shout"]["state"] == "to run"


def test_a_dry_run_says_what_would_run_and_runs_nothing(mini):
    done = mini.mill("build", "-p", "chain", "--dry-run")
    assert done.returncode == 0
    assert re.search(r"read +to run", done.stdout)
    assert mini.tally == {}
    assert not mini.workspace.artifacts.exists()


def test_the_graph_is_a_mermaid_chart(mini):
    lines = mini.mill("graph", "-p", "chain").stdout.splitlines()
    assert lines[0] == "flowchart LR"
    assert "  read -->|text| shout" in lines
    assert "  assay -.->|page| page" in lines


def test_logs_are_those_of_the_newest_run(mini):
    mini.mill("build", *SETS, "act.do=exit_3")
    assert mini.mill("logs", "-p", "act", "--stage", "act").stdout == "the last words\n"
    mini.mill("build", *SETS, "act.do=kill_self")
    assert mini.mill("logs", "-p", "act").stdout == "before the end\n"


def test_the_workspace_is_named_by_option_or_environment(mini, tmp_path):
    assert mini.mill("build", "-p", "act", "--workspace", str(tmp_path / "one")).returncode == 0
    assert mini.mill("build", "-p", "act", env={"EDGEMILL_WORKSPACE": str(tmp_path / "two")}).returncode == 0
    assert (tmp_path / "one" / "artifacts").is_dir()
    assert (tmp_path / "two" / "artifacts").is_dir()
    assert not mini.workspace.root.exists()


def test_a_workspace_that_cannot_be_made_ends_with_1(mini, tmp_path):
    (tmp_path / "file").write_text("")
    done = mini.mill("build", "-p", "act", "--workspace", str(tmp_path / "file" / "w"))
    assert done.returncode == 1
    assert "error: the pipeline 'act' could not be built: Not a directory" in done.stderr
    assert str(tmp_path / "file") in done.stderr


def test_tasks_build_what_they_need_and_no_more(mini):
    """The project's own tasks ask for stages that the small project lacks: it has a stage of the same name here."""
    mini.write_pipeline(
        "schema: 1\nstages:\n  records: {stage: read, params: {path: ../data/words.txt}}\n"
        "  train: {stage: learn, inputs: {text: records}}\n  report: {stage: join, inputs: {parts: [records, train]}}\n"
    )
    assert mini.mill("data", "-p", "own").returncode == 0
    assert mini.tally == {"records": 1}
    assert mini.mill("train", "-p", "own").returncode == 0
    assert mini.tally == {"records": 1, "train": 1}
    assert mini.mill("report", "-p", "own").returncode == 0
    assert mini.tally == {"records": 1, "train": 1, "report": 1}


def test_doctor_says_what_is_there_and_what_is_missing(mini):
    done = mini.mill("doctor", "-p", "chain")
    assert done.returncode in (0, 1)
    assert "stages are not isolated from this machine" in done.stdout
    assert re.search(r"ok +image host", done.stdout)
    assert re.search(r"note +the stage 'assay' cannot run: edgemill-test-tool", done.stdout)


def test_doctor_ends_with_1_where_something_needed_is_missing(mini):
    pipeline = mini.root / "pipelines" / "chain.yaml"
    pipeline.write_text(pipeline.read_text().replace(", optional: true", ""))
    done = mini.mill("doctor", "-p", "chain")
    assert done.returncode == 1
    assert re.search(r"missing +the stage 'assay' cannot run", done.stdout)
    assert "cannot be built on this machine as it is" in done.stderr
