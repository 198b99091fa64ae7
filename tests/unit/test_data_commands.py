"""`data.audit`, `export`, `verify` and `show`: stages that no pipeline file names; and `data`, which still builds the data."""

import re

import pytest

KINDS = {
    "dataset": {"help": "Data.", "files": [{"path": "audit.txt"}, {"path": "audit.csv", "optional": True}]},
    "labelled-images": {"help": "Data for others.", "files": [{"path": "data.txt"}]},
    "records": {"help": "Records.", "files": [{"path": "a.record"}]},
    "records-check": {"help": "A check.", "files": [{"path": "check.txt"}]},
    "pictures": {"help": "Pictures.", "files": [{"path": "sheet.png"}, {"path": "features.txt"}, {"path": "record-*.png"}]},
}
PATH = {"type": "string", "format": "path", "description": "Where."}
NUMBER = {"type": "integer", "default": 1, "description": "A number."}
PROGRAMS = {
    "ingest": """
    (task.output / "audit.txt").write_text("of %s\\n" % given)
    (task.output / "audit.csv").write_text("all")
    if "bad" in given:
        raise StageError("the dataset has 1 problem: bad 1", "x.xml")
""",
    "export-annotations": """
    data = (task.input("dataset").path / "audit.txt").read_text()
    (task.output / "data.txt").write_text("%s %s %s" % (task.params["layout"], task.params["images"], data))
""",
    "records": "(task.output / 'a.record').write_text(given)",
    "verify-records": """
    labels = task.params["label_map"]
    (task.output / "check.txt").write_text("the table: %s, %s\\n" % (given, Path(labels).read_text() if labels else "no labels"))
    if "bad" in given:
        raise StageError("the records have 1 errors: bad 1", "x.record")
""",
    "show-records": """
    records = task.input("records")
    text = (records.path / "a.record").read_text() if records else given
    for name in ["sheet.png"] + ["record-%d.png" % each for each in range(task.params["number"])]:
        (task.output / name).write_text(text)
    (task.output / "features.txt").write_text("%s %s %s" % (text, task.params["seed"], task.params["split"]))
""",
}
SHOWN = {"number": NUMBER, "seed": NUMBER, "split": {"type": "string", "description": "Split."}}
WRITTEN = {"layout": {"type": "string", "description": "Layout."}, "images": {"type": "boolean", "description": "Images."}}
STAGES = {
    "ingest": ({}, {"path": PATH}, "dataset"),
    "export-annotations": ({"dataset": {"kind": "dataset"}}, {"path": PATH, **WRITTEN}, "labelled-images"),
    "records": ({}, {"path": PATH}, "records"),
    "verify-records": ({}, {"path": PATH, "label_map": PATH}, "records-check"),
    "show-records": ({"records": {"kind": "records", "optional": True}}, {"path": PATH, "label_map": PATH, **SHOWN}, "pictures"),
}
PROGRAM = """from pathlib import Path
from _runtime import StageError, run
def main(task):
    given = Path(task.params["path"] or "/dev/null").read_text()
    BODY
run(main)
"""


@pytest.fixture
def project(mini):
    """The small project, with stages of these names that do little."""
    mini.add_stages(KINDS, STAGES, {name: PROGRAM.replace("BODY", PROGRAMS[name]) for name in STAGES})
    (mini.root / "pipelines" / "demo.yaml").write_text("schema: 1\nstages: {records: {params: {path: ../data/words.txt}}}\n")
    mini.file = mini.root / "data" / "x.record"
    mini.file.write_text("good")
    return mini


def done(project, *arguments, status=0):
    result = project.mill(*arguments)
    assert result.returncode == status, result.stderr
    return result


def test_verify_prints_the_table_and_where_it_is(project):
    said = done(project, "data.verify", str(project.file)).stdout
    assert said.startswith(f"records of {project.file}\n\nthe table: good, no labels\n")
    assert (project.root / said.rpartition("all of it: ")[2].strip() / "check.txt").read_text() == "the table: good, no labels\n"


def test_verify_ends_with_1_and_still_prints_the_table(project):
    project.file.write_text("bad")
    result = done(project, "data.verify", str(project.file), status=1)
    assert "the table: bad, no labels\n" in result.stdout
    assert "error: the stage 'verify-records' failed: the records have 1 errors: bad 1" in result.stderr


def test_what_was_verified_is_not_read_again(project):
    done(project, "data.verify", str(project.file))
    again = done(project, "data.verify", str(project.file))
    assert "published" in again.stderr
    assert "the table: good" in again.stdout
    project.file.write_text("good too")
    assert "the table: good too" in done(project, "data.verify", str(project.file)).stdout


def test_a_label_map_is_the_named_one_or_that_beside_the_file(project):
    beside = project.file.parent / "label_map.pbtxt"
    beside.write_text("beside")
    assert "good, beside" in done(project, "data.verify", str(project.file)).stdout
    (project.root / "other.pbtxt").write_text("another")
    assert "good, another" in done(project, "data.verify", str(project.file), "--label-map", "other.pbtxt").stdout


def test_a_link_leads_to_the_records(project):
    (project.root / "link").symlink_to(project.file)
    assert "the table: good" in done(project, "data.verify", "link").stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["data.verify", "nowhere.record"], "no such file or folder"),
        (["data.verify", "data/x.record", "--label-map", "nowhere.pbtxt"], "no such file or folder"),
        (["data.verify"], "path"),
        (["data.show", "--path", "nowhere.record"], "no such file or folder"),
        (["data.show", "-p", "dmeo"], "did you mean 'demo'?"),
        (["data.show", "-p", "act"], "the pipeline makes no records"),
        (["data.show", "--stage", "recods"], "did you mean 'records'?"),
        (["data.show", "--number", "many"], "many"),
        (["data.show", "--set", "records.pahts=x"], "did you mean 'path'?"),
    ],
)
def test_a_wrong_request_ends_with_2(project, arguments, says):
    assert says in done(project, *arguments, status=2).stderr


def test_show_draws_a_pipelines_records_and_prints_the_pictures(project):
    said = done(project, "data.show", "--number", "2", "--seed", "7", "--split", "val").stdout
    pictures = re.findall(r"^\S+record-\d\.png$", said, re.MULTILINE)
    assert len(pictures) == 2
    assert all((project.root / picture).is_file() for picture in pictures)
    assert (project.root / said.rpartition("their features:")[2].strip()).read_text().endswith(" 7 val")
    assert "sheet.png" in said
    assert "records" in done(project, "status").stdout


def test_show_builds_the_records_once_and_nothing_else(project):
    project.write_pipeline(
        "schema: 1\nstages:\n  read: {params: {path: ../data/words.txt}}\n  records: {params: {path: ../data/words.txt}}\n", "demo"
    )
    done(project, "data.show")
    assert project.tally == {}  # `read`, which would have noted its run, feeds no records


def test_show_takes_a_file_without_any_pipeline(project):
    said = done(project, "data.show", "--path", "data/x.record", "--number", "1").stdout
    assert (project.root / said.rpartition("their features:")[2].strip()).read_text() == "good 1 None"


def test_of_several_records_one_must_be_named(project):
    project.write_pipeline(
        "schema: 1\nstages:\n  one: {stage: records, params: {path: ../data/words.txt}}\n"
        "  two: {stage: records, params: {path: ../data/x.record}}\n"
    )
    assert "--stage one" in done(project, "data.show", "-p", "own", status=2).stderr
    said = done(project, "data.show", "-p", "own", "--stage", "two").stdout
    assert (project.root / said.rpartition("their features:")[2].strip()).read_text().startswith("good")


INGEST = "schema: 1\nstages: {ingest: {params: {path: ../data/x.record}}}\n"


def test_the_audit_of_a_dataset_is_printed_with_where_the_rest_is(project):
    project.write_pipeline(INGEST)
    assert "./mill data -p own" in done(project, "data.audit", "-p", "own", status=2).stderr
    done(project, "build", "-p", "own")
    said = done(project, "data.audit", "-p", "own").stdout
    assert said.startswith("of good\n")
    assert (project.root / said.rpartition("every problem: ")[2].strip()).read_text() == "all"
    assert "contact_sheet" not in said


def test_the_audit_of_refused_data_is_printed_too_until_the_data_change(project):
    project.write_pipeline(INGEST)
    project.file.write_text("bad")
    done(project, "build", "-p", "own", status=1)
    assert done(project, "data.audit", "-p", "own").stdout.startswith("of bad\n")
    project.file.write_text("worse")
    done(project, "data.audit", "-p", "own", status=2)


def test_a_dataset_is_written_back_for_other_tools(project):
    project.write_pipeline(INGEST)
    said = done(project, "data.export", "-p", "own", "--layout", "voc", "--no-images").stdout
    folder = project.root / said.partition("voc: ")[2].strip()
    assert (folder / "data.txt").read_text() == "voc False of good\n"
    assert "makes no dataset" in done(project, "data.export", status=2).stderr


def test_data_builds_the_data_and_lists_its_other_tasks(project):
    assert "records  ran" in done(project, "data").stderr
    listed = done(project, "--list").stdout
    assert {"data.verify", "data.show"} <= set(re.findall(r"^  ([a-z.]+) ", listed, re.MULTILINE))
