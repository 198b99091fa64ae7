"""Datasets that other people made, with the counts that their owners publish (SOURCES.md of the shared data)."""

import json
from collections import Counter

import pytest
from _detection import dataset as datasets
from _runtime import StageError
from voc_files import ingest, records

CARDS = {"ace": 118, "jack": 113, "king": 118, "nine": 115, "queen": 106, "ten": 100}
CARD_SPLITS = {"train": {"folder": "train"}, "test": {"folder": "test"}}
BCCD_SPLITS = {split: {"list": "ImageSets/Main/%s.txt" % split} for split in ("train", "val", "test")}


def audit(task):
    return json.loads((task.output / "audit.json").read_text(encoding="utf-8"))


def test_playing_cards(shared_data, tmp_path):
    task = ingest(tmp_path, shared_data("datasets/playing_cards") / "images", cpus=2, splits=CARD_SPLITS)
    dataset, counts = datasets.load(task.output), audit(task)["counts"]
    assert {split: len(dataset.images(split)) for split in dataset.splits} == {"train": 296, "test": 67}
    assert counts["classes"] == CARDS
    assert sum(split["flags"]["truncated"] for split in counts["splits"].values()) == 34
    assert counts["codes"] == {"near-duplicate": 5}  # photos of one scene, and two cards on one spot
    assert Counter((image["width"], image["height"]) for image in dataset.images()).most_common(2)[0][0] in ((378, 504), (960, 540))


def test_playing_cards_with_validation_images(shared_data, tmp_path):
    task = ingest(tmp_path, shared_data("datasets/playing_cards") / "images", cpus=2, splits=CARD_SPLITS, val_fraction=0.15)
    counts = audit(task)["counts"]["splits"]
    assert (counts["train"]["images"], counts["val"]["images"], counts["test"]["images"]) == (251, 45, 67)
    for name in CARDS:
        both = counts["train"]["classes"][name] + counts["val"]["classes"][name]
        assert 0.08 < counts["val"]["classes"][name] / both < 0.22


def test_playing_cards_csv_says_the_same_as_their_xml(shared_data, tmp_path):
    root = shared_data("datasets/playing_cards") / "images"
    from_csv = datasets.load(ingest(tmp_path / "csv", root, cpus=2, splits={"train": {"csv": "test_labels.csv", "images": "test"}}).output)
    from_xml = datasets.load(ingest(tmp_path / "xml", root, cpus=2, splits={"train": {"folder": "test"}}).output)

    def boxes(dataset):
        return {image["name"]: sorted((item["class"], item["bbox"]) for item in image["objects"]) for image in dataset.images()}

    assert boxes(from_csv) == boxes(from_xml)
    assert len(from_csv.images()) == 67


def test_playing_cards_label_map(shared_data, tmp_path):
    root = shared_data("datasets/playing_cards")
    task = ingest(tmp_path, root / "images", cpus=2, splits=CARD_SPLITS, label_map=str(root / "training" / "labelmap.pbtxt"))
    assert datasets.load(task.output).classes == ["nine", "ten", "jack", "queen", "king", "ace"]


def test_blood_cells_are_refused_for_two_boxes_without_area(shared_data, tmp_path):
    with pytest.raises(StageError) as caught:
        ingest(tmp_path, shared_data("datasets/bccd") / "BCCD", cpus=2, splits=BCCD_SPLITS)
    assert caught.value.what == "the dataset has 2 problems: 2 box-empty"
    assert [line.split(":")[0] for line in caught.value.found.splitlines()] == [
        "Annotations/BloodImage_00338.xml",
        "Annotations/BloodImage_00343.xml",
    ]


def test_blood_cells_without_these_two(shared_data, tmp_path):
    task = ingest(tmp_path / "dataset", shared_data("datasets/bccd") / "BCCD", cpus=2, splits=BCCD_SPLITS, on_error="drop")
    counts = audit(task)["counts"]
    assert {split: numbers["images"] for split, numbers in counts["splits"].items()} == {"train": 205, "val": 87, "test": 72}
    assert counts["classes"] == {"RBC": 4155 - 2, "WBC": 372, "Platelets": 361}
    assert sum(split["flags"]["truncated"] for split in counts["splits"].values()) == 1131
    assert counts["codes"] == {"box-empty": 2, "near-duplicate-across-splits": 1}  # 37 and 38 are two exposures of one slide
    made = json.loads((records(tmp_path / "records", task.output, cpus=2, shards=3).output / "records.json").read_text(encoding="utf-8"))
    assert {split: (numbers["images"], numbers["objects"]) for split, numbers in made["splits"].items()} == {
        split: (numbers["images"], numbers["objects"]) for split, numbers in counts["splits"].items()
    }


def test_blood_cells_csv_with_a_column_of_its_own(shared_data, tmp_path):
    """test.csv names classes in `cell_type`, and no sizes."""
    task = ingest(
        tmp_path, shared_data("datasets/bccd"), cpus=2, splits={"train": {"csv": "test.csv", "images": "BCCD/JPEGImages"}}, on_error="drop"
    )
    assert audit(task)["counts"]["codes"]["csv-class-column"] == 1
    assert datasets.load(task.output).classes == ["Platelets", "RBC", "WBC"]


def test_an_official_voc_layout(shared_data, tmp_path):
    """Datumaro's VOC sample, whose objects have parts with boxes of their own, attributes and actions."""
    root = shared_data("datasets/datumaro_assets") / "tests/assets/voc_dataset/voc_dataset1"
    images = datasets.load(ingest(tmp_path, root, splits={"train": {"list": "ImageSets/Main/train.txt"}}).output).images()
    assert [(image["name"], [item["class"] for item in image["objects"]]) for image in images] == [
        ("JPEGImages/2007_000001.jpg", ["cat", "person"])
    ]


def test_roboflows_order_of_corners(shared_data, tmp_path):
    """Roboflow writes xmin, xmax, ymin, ymax: who reads by position gets x1 > x2 or a wrong box."""
    root = shared_data("datasets/datumaro_assets") / "tests/assets/roboflow_dataset/voc"
    dataset = datasets.load(ingest(tmp_path, root, splits={"train": {"folder": "train"}}).output)
    assert dataset.images()[0]["objects"][0]["bbox"] == [2, 1, 5, 2]


def test_annotations_whose_images_are_gone(shared_data, tmp_path):
    root = shared_data("datasets/datumaro_assets") / "tests/assets/voc_dataset/voc_dataset2"
    with pytest.raises(StageError, match="5 image-missing"):
        ingest(tmp_path, root)
