"""The audit: what it keeps of every problem, in JSON, as a table and as a picture, whether the dataset is refused or not."""

import csv
import json

import numpy as np
import pytest
from _runtime import StageError
from PIL import Image
from voc_files import ingest, voc, write_pair

from stage_helpers import load

load("ingest", "run")
problems = load("ingest", "audit/problems")


@pytest.fixture
def bad_root(tmp_path):
    """A dataset with an empty box, a box that reaches outside, and one that is told twice."""
    root = tmp_path / "root"
    write_pair(root, "a", [("cat", 9, 1, 9, 9), ("cat", 1, 1, 99, 9), ("cat", 1, 1, 9, 9), ("cat", 1, 1, 9, 9)])
    write_pair(root, "b", [("cat", 1, 1, 9, 9)])
    return root


EXPECTED = [
    ("error", "box-empty", "a.xml", 1, "dropped"),
    ("error", "box-outside", "a.xml", 2, "clipped"),
    ("warning", "box-repeated", "a.xml", 4, "dropped"),
]


def test_json_and_table_tell_the_same(tmp_path, bad_root):
    output = ingest(tmp_path / "out", bad_root, on_error="clip").output
    told = json.loads((output / "audit.json").read_text(encoding="utf-8"))
    assert (told["schema"], told["policy"]) == (2, "clip")
    assert [tuple(problem[key] for key in ("severity", "code", "file", "object", "action")) for problem in told["problems"]] == EXPECTED
    assert told["counts"]["codes"] == {"box-empty": 1, "box-outside": 1, "box-repeated": 1}
    with open(output / "audit.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    shown = [{key: "" if value is None else str(value) for key, value in problem.items()} for problem in told["problems"]]
    assert rows == shown
    lines = (output / "audit.txt").read_text(encoding="utf-8").splitlines()
    assert [line.split()[:4] for line in lines[1:]] == [[row[0], row[1], row[4], "1"] for row in EXPECTED]


def test_a_refused_dataset_leaves_its_audit_and_its_contact_sheet(tmp_path, bad_root):
    with pytest.raises(StageError, match="2 problems: 1 box-empty, 1 box-outside") as caught:
        ingest(tmp_path / "out", bad_root)
    output = tmp_path / "out" / "output"
    assert str(output / "audit.csv") in caught.value.remedy
    assert len(json.loads((output / "audit.json").read_text(encoding="utf-8"))["problems"]) == 3
    with Image.open(output / "contact_sheet.jpg") as sheet:
        sheet.load()
        assert sheet.width > 200
    assert not (output / "dataset.json").exists()


@pytest.mark.parametrize(("kind", "suffix"), [("BMP", "bmp"), ("WEBP", "webp"), ("TIFF", "tif")])
def test_the_contact_sheet_shows_converted_images(tmp_path, kind, suffix):
    root = tmp_path / "root"
    root.mkdir()
    Image.new("RGB", (640, 480), (200, 0, 0)).save(root / ("a." + suffix), kind)
    (root / "a.xml").write_text(voc("a." + suffix, [("cat", 10, 10, 900, 90), ("cat", 10, 10, 90, 90)], size=(640, 480)))
    with Image.open(ingest(tmp_path / "out", root, on_error="drop").output / "contact_sheet.jpg") as sheet:
        pixels = np.asarray(sheet.convert("RGB")).astype(int)
    assert (np.abs(pixels - (200, 0, 0)).sum(axis=2) < 40).mean() > 0.1


def test_good_data_have_no_contact_sheet(tmp_path):
    write_pair(tmp_path / "root", "a")
    output = ingest(tmp_path / "out", tmp_path / "root").output
    assert not (output / "contact_sheet.jpg").exists()
    assert (output / "audit.txt").read_text(encoding="utf-8") == "nothing is wrong with the data\n"
    assert json.loads((output / "audit.json").read_text(encoding="utf-8"))["problems"] == []


# policy, mend, the action of an error that could be mended
ACTIONS = [
    ("refuse", None, "refused"),
    ("refuse", "clipped", "refused"),
    ("drop", "clipped", "dropped"),
    ("clip", None, "dropped"),
    ("clip", "clipped", "clipped"),
    ("clip", "fixed", "fixed"),
]


@pytest.mark.parametrize(("policy", "mend", "action"), ACTIONS)
def test_the_policy_decides_what_happens_to_an_error(tmp_path, policy, mend, action):
    audit = problems.Audit(policy, tmp_path / "problems.jsonl")
    assert audit.bad("box-outside", "a.xml", "reaches outside", 3, 1, mend) == action
    assert [problem["action"] for problem in audit.problems()] == [action]


@pytest.mark.parametrize("policy", problems.POLICIES)
def test_some_things_are_refused_whatever_the_policy(tmp_path, policy):
    audit = problems.Audit(policy, tmp_path / "problems.jsonl")
    audit.refuse("xml-entity", "a.xml", "declares an entity", 2)
    audit.doubt("duplicate", "a.jpg", "the same image as b.jpg")
    with pytest.raises(StageError, match="1 problem: 1 xml-entity") as caught:
        audit.raise_if_refused("ingest", tmp_path)
    assert "on_error" not in caught.value.remedy


def test_texts_of_any_kind_can_be_kept(tmp_path):
    audit = problems.Audit("drop", tmp_path / "problems.jsonl")
    audit.bad("label-empty", "caf\udce9.xml", 'quotes ", commas, line\nends and \u2603', 1, 1)
    audit.write(tmp_path, {})
    with open(tmp_path / "audit.csv", encoding="utf-8", newline="") as stream:
        assert next(csv.DictReader(stream))["message"] == 'quotes ", commas, line\nends and \u2603'
    assert json.loads((tmp_path / "audit.json").read_text(encoding="utf-8"))["problems"][0]["file"] == "caf\\udce9.xml"
