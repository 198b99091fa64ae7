"""The stage `detect` gives what the package's own detect.py gives, with progress, and fails only where nothing can be looked at."""

import json
import subprocess

import pytest
from detect_runs import CLASSES, files
from films import film, pictures
from PIL import Image

from stage_helpers import artifact


@pytest.fixture
def stage(run_stage, package):
    """stage(paths, …) runs the stage on the package."""

    def call(*paths, names=None, threshold=None, every=1, folder=package):
        params = {"paths": [str(path) for path in paths], "names": names, "threshold": threshold, "every": every}
        return run_stage("detect", params, {"package": artifact("package", "package", folder)})

    return call


@pytest.fixture
def photos(tmp_path):
    """A folder of three pictures and a video."""
    for number, name in enumerate(("a.png", "sub/a.jpg", "sub/b.png"), 1):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pictures(4)[number]).save(path)
    film(tmp_path / "photos" / "clip.mp4", pictures(5))
    return tmp_path / "photos"


def test_it_finds_what_detect_finds_by_itself(stage, detect, photos):
    outcome = stage(photos, names=["photos"])
    assert outcome.code == 0, outcome.log
    assert detect(photos, "--csv", "found.csv", "--json", "found.json", "--output", "found")[0] == 0
    ours, theirs = outcome.json("detections.json"), json.loads((detect.work / "found.json").read_text())
    for image in theirs["images"]:
        image["file_name"] = image["file_name"].replace(str(photos), "photos")
    assert ours == theirs
    assert (outcome.output / "detections.csv").read_text() == (detect.work / "found.csv").read_text().replace(str(photos), "photos")
    drawn = ["a_detections.jpg", "clip_detections.mp4", "sub/a_detections.jpg", "sub/b_detections.jpg"]
    assert files(outcome.output) == sorted([*drawn, "detections.csv", "detections.json", "summary.json"])
    assert all((outcome.output / name).read_bytes() == (detect.work / "found" / name).read_bytes() for name in drawn)


def test_the_summary_and_the_metrics_count_what_there_was(stage, photos):
    outcome = stage(photos)
    summary, told = outcome.json("summary.json"), outcome.json("detections.json")
    assert (summary["pictures"], summary["videos"], summary["frames"]) == (3, 1, 5)
    assert sum(summary["objects"].values()) == len(told["annotations"]) == outcome.result["metrics"]["objects"]
    assert set(summary["objects"]) <= set(CLASSES)
    assert (summary["notes"], summary["problems"], outcome.result["warnings"]) == ([], [], [])
    assert {"ai-edge-litert", "av", "numpy", "pillow"} == set(outcome.result["tools"])


def test_progress_counts_pictures_and_frames(stage, photos):
    events = [json.loads(line) for line in stage(photos).log.splitlines() if line.startswith('{"edgemill"')]
    assert {event["edgemill"] for event in events} == {"progress"}
    assert (events[-1]["done"], events[-1]["total"], events[-1]["unit"]) == (8, 8, "picture")


def test_the_results_hold_no_path_of_this_machine_and_are_the_same_each_time(stage, photos, tmp_path):
    first, second = stage(photos, names=["mine"]), stage(photos, names=["mine"])
    assert all((first.output / name).read_bytes() == (second.output / name).read_bytes() for name in files(first.output))
    assert not any(str(tmp_path).encode() in (first.output / name).read_bytes() for name in files(first.output))


def test_paths_without_names_are_told_by_their_numbers(stage, photos):
    outcome = stage(photos / "sub", photos / "a.png")
    assert [image["file_name"] for image in outcome.json("detections.json")["images"]] == ["1/a.jpg", "1/b.png", "2"]
    assert "2_detections.jpg" in files(outcome.output)


def test_pictures_of_one_name_from_different_folders_are_kept_apart(stage, photos):
    outcome = stage(photos / "a.png", photos / "sub" / "a.jpg", names=["one/a.png", "two/a.jpg"])
    drawn = [image["drawn"] for image in outcome.json("detections.json")["images"]]
    assert drawn == ["a_detections.jpg", "a_detections-2.jpg"]
    assert set(drawn) <= set(files(outcome.output))


def test_the_parameters_are_those_of_detect(stage, photos):
    everything, nothing = stage(photos / "clip.mp4", threshold=0.0), stage(photos / "clip.mp4", threshold=1.0, every=2)
    assert everything.json("summary.json")["frames"] == 5
    assert nothing.json("summary.json")["frames"] == 3
    assert not nothing.json("summary.json")["objects"]


def test_what_cannot_be_read_is_told_and_the_rest_is_done(stage, photos):
    (photos / "bad.jpg").write_text("no picture")
    (photos / "notes.txt").write_text("notes")
    data = film(photos / "cut.mkv", pictures(60)).read_bytes()
    (photos / "cut.mkv").write_bytes(data[: len(data) // 2])
    outcome = stage(photos, names=["p"])
    assert outcome.code == 0, outcome.log
    summary = outcome.json("summary.json")
    assert (summary["pictures"], summary["videos"]) == (3, 2)
    assert [problem.split(" (")[0] for problem in summary["problems"]] == [
        "p/bad.jpg: the picture cannot be decoded",
        "p/cut.mkv: the video is cut off or damaged",
    ]
    assert summary["notes"] == ["p: passed over, for they are neither pictures nor videos: 1 (.txt 1)"]
    assert outcome.result["warnings"] == summary["notes"] + summary["problems"]


def test_where_nothing_can_be_read_it_fails(stage, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.jpg").write_text("no picture")
    outcome = stage(tmp_path / "empty", tmp_path / "bad.jpg", names=["empty", "bad.jpg"])
    assert outcome.code == 1
    assert outcome.error["what"] == "there is nothing that could be looked at"
    assert "empty: there is no picture and no video in the folder" in outcome.error["where"]
    assert "bad.jpg: the picture cannot be decoded" in outcome.error["where"]


@pytest.mark.parametrize(
    ("change", "what", "where"),
    [
        ({"names": ["one", "two"]}, "the paths have not one name each", "names"),
        ({"paths": []}, "there is nothing to look at", "paths"),
        ({"labels.txt": "ace\nking\n"}, "the labels are not those of the model", "labels.txt"),
        ({"model.tflite": "no model"}, "the model cannot be loaded", "model.tflite"),
        ({"model.json": "{"}, "the file cannot be read", "model.json"),
    ],
)
def test_what_is_wrong_is_a_named_error(stage, photos, package, tmp_path, change, what, where):
    folder = tmp_path / "changed"
    subprocess.run(["cp", "-r", str(package), str(folder)], check=True)
    for name, text in change.items():
        if "." in name:
            (folder / name).write_text(text)
    outcome = stage(*change.get("paths", [photos]), names=change.get("names"), folder=folder)
    assert outcome.code == 1
    assert (outcome.error["what"], where in outcome.error["where"]) == (what, True)
    assert outcome.error["remedy"]


def test_a_package_without_an_evaluation_is_told(stage, photos, package, tmp_path):
    folder = tmp_path / "changed"
    subprocess.run(["cp", "-r", str(package), str(folder)], check=True)
    facts = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**facts, "threshold": None}))
    assert "the model was not evaluated" in stage(photos, folder=folder).json("summary.json")["notes"][0]
