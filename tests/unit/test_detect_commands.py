"""`detect`: a pipeline's package on pictures, with the results in a folder of the user's; the stage itself is a small one here."""

import re

import pytest
import yaml

from edgemill.cli import with_option

KINDS = {
    "package": {"help": "A package.", "files": [{"path": "detect.py"}]},
    "found-objects": {
        "help": "What was found.",
        "files": [{"path": "detections.csv"}, {"path": "detections.json"}, {"path": "summary.json"}],
    },
}
PARAMS = {
    "paths": {"type": "array", "items": {"type": "string", "format": "path"}, "description": "Paths."},
    "names": {"type": "array", "items": {"type": "string"}, "description": "Names."},
    "threshold": {"type": "number", "minimum": 0, "maximum": 1, "description": "Least score."},
    "every": {"type": "integer", "minimum": 1, "default": 1, "description": "Every Nth frame."},
}
STAGES = {
    "package": ({}, {"path": {"type": "string", "format": "path", "description": "Where."}}, "package"),
    "detect": ({"package": {"kind": "package"}}, PARAMS, "found-objects"),
}
PROGRAMS = {
    "package": "(task.output / 'detect.py').write_text(Path(task.params['path']).read_text())",
    # Each file is a picture, but for those of which the name holds `bad`.
    "detect": r"""
    files = []
    for path, name in zip(task.params["paths"], task.params["names"]):
        below = sorted(each for each in Path(path).rglob("*") if each.is_file()) if Path(path).is_dir() else [Path(path)]
        files += [(each, "%s/%s" % (name, each.relative_to(path)) if Path(path).is_dir() else name) for each in below]
    problems = ["%s: it cannot be decoded" % name for path, name in files if "bad" in name]
    if len(problems) == len(files):
        raise StageError("there is nothing that could be looked at", "; ".join(problems))
    for path, name in files:
        (task.output / "sub").mkdir(exist_ok=True)
        (task.output / "sub" / ("%s_detections.jpg" % path.stem)).write_text(path.read_text())
    (task.output / "detections.csv").write_text("\n".join(name for path, name in files))
    write_json(task.output / "detections.json", task.params)
    objects = {"king": 1, "ace": len(files)} if task.params["threshold"] != 1.0 else {}
    notes = ["one was passed over"] if len(files) > 2 else []
    counts = {"pictures": len(files) - len(problems), "videos": 0, "frames": 0, "objects": objects}
    write_json(task.output / "summary.json", {"schema": 1, "notes": notes, "problems": problems, **counts})
""",
}
PROGRAM = """from pathlib import Path
from _runtime import StageError, run, write_json
def main(task):
    BODY
run(main)
"""


@pytest.fixture
def project(mini):
    """The small project with a pipeline that makes a package, and a folder `photos` of two pictures."""
    mini.add_stages(KINDS, STAGES, {name: PROGRAM.replace("BODY", PROGRAMS[name]) for name in STAGES})
    (mini.root / "pipelines" / "cards.yaml").write_text("schema: 1\nstages: {package: {params: {path: ../data/words.txt}}}\n")
    mini.photos = mini.root / "photos"
    mini.photos.mkdir()
    for name in ("a.jpg", "b.jpg"):
        (mini.photos / name).write_text(name)
    return mini


def done(project, *arguments, status=0):
    result = project.mill("detect", "-p", "cards", *arguments)
    assert result.returncode == status, result.stderr
    return result


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


RESULTS = ["detections.csv", "detections.json", "sub/a_detections.jpg", "sub/b_detections.jpg"]


def test_the_results_are_copied_into_the_folder_and_counted(project):
    said = done(project, "photos", "--output", "found").stdout
    assert files(project.root / "found") == RESULTS
    assert said.splitlines() == [
        "2 pictures, 3 objects: ace 2, king 1",
        "with boxes: found",
        "table:      found/detections.csv",
        "COCO JSON:  found/detections.json",
    ]
    (project.root / "found" / "detections.csv").write_text("theirs to change")


def test_any_number_of_paths_are_told_as_they_were_typed(project):
    done(project, "photos/b.jpg", "--output", "found", "./photos/a.jpg", str(project.photos / "a.jpg"))
    assert (project.root / "found" / "detections.csv").read_text().split() == [
        "photos/b.jpg",
        "./photos/a.jpg",
        str(project.photos / "a.jpg"),
    ]


def test_the_package_is_built_once_and_what_was_detected_is_not_detected_again(project):
    first = done(project, "photos").stderr
    assert re.search(r"package +ran", first)
    again = done(project, "photos").stderr
    assert re.search(r"package +published", again)
    assert re.search(r"detect +published", again)
    (project.photos / "a.jpg").write_text("another picture")
    assert re.search(r"detect +ran", done(project, "photos").stderr)


def test_a_picture_by_another_name_is_told_by_that_name(project):
    done(project, "photos/a.jpg", "--output", "one")
    (project.photos / "a.jpg").rename(project.photos / "c.jpg")
    done(project, "photos/c.jpg", "--output", "two")
    assert (project.root / "two" / "detections.csv").read_text() == "photos/c.jpg"


def test_without_a_folder_named_a_new_one_is_made_each_time(project):
    said = [done(project, "photos").stdout for _ in range(3)]
    assert [re.search(r"with boxes: (\S+)", each)[1] for each in said] == ["detections", "detections-2", "detections-3"]


def test_nothing_is_written_over_without_a_word(project):
    (project.root / "found" / "sub").mkdir(parents=True)
    for name in ("detections.csv", "mine.txt"):
        (project.root / "found" / name).write_text("mine")
    refused = done(project, "photos", "--output", "found", status=2).stderr
    assert "the folder for the results holds something already" in refused
    assert "--overwrite" in refused
    done(project, "photos", "--output", "found", "--overwrite")
    assert files(project.root / "found") == sorted([*RESULTS, "mine.txt"])
    assert (project.root / "found" / "mine.txt").read_text() == "mine"
    assert (project.root / "found" / "detections.csv").read_text() != "mine"


def test_options_are_the_stages_parameters(project):
    said = done(project, "photos", "--threshold", "1", "--every", "3", "--output", "found").stdout
    assert said.startswith("2 pictures, 0 objects\n")
    told = yaml.safe_load((project.root / "found" / "detections.json").read_text())
    assert (told["threshold"], told["every"]) == (1, 3)


def test_what_could_not_be_read_ends_with_1_after_the_others_were_done(project):
    for number in range(12):
        (project.photos / f"bad{number:02}.jpg").write_text("")
    result = done(project, "photos", "--output", "found", status=1)
    assert result.stdout.startswith("2 pictures, ")
    assert (project.root / "found" / "detections.csv").exists()
    assert "note: one was passed over\n" in result.stderr
    message = result.stderr[result.stderr.index("error: ") :]
    assert message.startswith("error: not everything could be read (12)\n")
    assert "photos/bad00.jpg: it cannot be decoded" in message
    assert "and 2 more" in message
    assert "what the others gave is in found" in message


def test_where_nothing_can_be_read_nothing_is_left(project):
    (project.photos / "bad.jpg").write_text("")
    result = done(project, "photos/bad.jpg", status=1)
    assert "there is nothing that could be looked at" in result.stderr
    assert not (project.root / "detections").exists()


def test_a_folder_that_cannot_be_written_to_is_told(project):
    result = done(project, "photos", "--output", "data/words.txt/found", status=1)
    assert "error: the command failed: Not a directory" in result.stderr
    assert "data/words.txt/found" in result.stderr


def test_a_link_leads_to_the_picture_and_has_its_own_name(project):
    (project.root / "link.jpg").symlink_to(project.photos / "a.jpg")
    done(project, "link.jpg", "--output", "found")
    assert (project.root / "found" / "detections.csv").read_text() == "link.jpg"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "there is nothing to look at"),
        (["nowhere.jpg"], "no such file or folder"),
        (["photos", "nowhere.jpg"], "nowhere.jpg"),
        (["photos", "--threshold", "2"], "threshold"),
        (["photos", "--threshold", "much"], "threshold"),
        (["photos", "--every", "0"], "every"),
        (["photos", "--every", "many"], "many"),
        (["photos", "--output", "photos"], "the results would go among the pictures"),
        (["photos", "--output", "photos/found"], "the results would go among the pictures"),
        (["."], "the results would go among the pictures"),
        (["photos", "--output", "data/words.txt"], "the results go into a folder, and this is a file"),
        (["photos", "--stage", "packge"], "did you mean 'package'?"),
        (["photos", "--nonsense"], "nonsense"),
        (["photos", "--output"], "output"),
    ],
)
def test_a_wrong_request_ends_with_2_and_runs_nothing(project, arguments, says):
    result = done(project, *arguments, status=2)
    assert says in result.stderr
    assert result.stderr.startswith("error: ")
    assert not project.workspace.root.exists()


def test_a_path_that_is_no_text_is_a_wrong_request(project):
    (project.root / "a\udcff.jpg").write_text("")
    assert "the path is not UTF-8" in done(project, "a\udcff.jpg", status=2).stderr


def test_a_pipeline_without_a_package_is_a_wrong_request(project):
    result = project.mill("detect", "-p", "act", "photos")
    assert result.returncode == 2
    assert "the pipeline makes no package" in result.stderr
    assert "add the stage `package`" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["detect"], ["detect"]),
        (["detect", "a", "b"], ["detect", "--path", "a", "--path", "b"]),
        (["detect", "-p", "cards", "a"], ["detect", "-p", "cards", "--path", "a"]),
        (["detect", "a", "-p", "a", "a"], ["detect", "--path", "a", "-p", "a", "--path", "a"]),
        (["detect", "--path", "a", "b", "-pcards"], ["detect", "--path", "a", "--path", "b", "-pcards"]),
        (["detect", "-p=cards", "a", "--overwrite", "b"], ["detect", "-p=cards", "--path", "a", "--overwrite", "--path", "b"]),
        (["detect", "-p", "-p", "a"], ["detect", "-p", "-p", "--path", "a"]),
        (["detect", "data", "build"], ["detect", "--path", "data", "--path", "build"]),
    ],
)
def test_what_is_neither_an_option_nor_its_value_is_a_path(arguments, expected):
    assert with_option(arguments, "--path", {"-p", "--path"}.__contains__) == expected
