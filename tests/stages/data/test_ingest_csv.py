"""The CSV of xml_to_csv: a line for each box, columns by name."""

import json

import pytest
from _detection import dataset as datasets
from _runtime import StageError
from voc_files import HEIGHT, WIDTH, image_bytes, ingest

HEADER = "filename,width,height,class,xmin,ymin,xmax,ymax\n"
ROW = "a.jpg,64,48,cat,10,10,30,40\n"
CAT = {"class": "cat", "bbox": [10.0, 10.0, 30.0, 40.0], **dict.fromkeys(datasets.FLAGS, False)}


def build(tmp_path, text, images=("a.jpg",), **params):
    """(Dataset, audit) of a folder with labels.csv and images."""
    root = tmp_path / "images"
    root.mkdir()
    (root / "labels.csv").write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    for number, name in enumerate(images):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(image_bytes(number))
    task = ingest(tmp_path / "ingested", root, **params)
    return datasets.load(task.output), json.loads((task.output / "audit.json").read_text(encoding="utf-8"))


READ_ALIKE = {
    "a declared size": HEADER + ROW,
    "no declared size": "filename,class,xmin,ymin,xmax,ymax\na.jpg,cat,10,10,30,40\n",
    "empty lines": HEADER + "\n" + ROW + "\n\n",
}


@pytest.mark.parametrize("case", READ_ALIKE, ids=lambda case: case.replace(" ", "-"))
def test_reads_by_column_name(tmp_path, case):
    dataset, audit = build(tmp_path, READ_ALIKE[case])
    assert [image["objects"] for image in dataset.images()] == [[CAT]]
    assert audit["problems"] == []


def test_lines_of_an_image_belong_together_wherever_they_are(tmp_path):
    dataset, _ = build(tmp_path, HEADER + ROW + "b.jpg,64,48,dog,1,1,9,9\n" + "a.jpg,64,48,dog,2,2,9,9\n", images=["a.jpg", "b.jpg"])
    assert [(image["name"], [item["class"] for item in image["objects"]]) for image in dataset.images()] == [
        ("a.jpg", ["cat", "dog"]),
        ("b.jpg", ["dog"]),
    ]


def test_a_line_with_a_name_alone_is_an_image_without_objects(tmp_path):
    dataset, audit = build(tmp_path, HEADER + ROW + "b.jpg,64,48,,,,,\n", images=["a.jpg", "b.jpg"])
    assert [len(image["objects"]) for image in dataset.images()] == [1, 0]
    assert audit["counts"]["splits"]["train"]["background"] == 1


def test_flags_are_read_where_there_are_columns(tmp_path):
    dataset, _ = build(tmp_path, "filename,class,xmin,ymin,xmax,ymax,truncated,difficult\na.jpg,cat,10,10,30,40,1,true\n")
    assert dataset.images()[0]["objects"] == [dict(CAT, truncated=True, difficult=True)]


def test_one_unknown_column_of_words_stands_in_for_class(tmp_path):
    dataset, audit = build(tmp_path, "filename,cell_type,xmin,xmax,ymin,ymax\na.jpg,cat,10,30,10,40\n")
    assert dataset.images()[0]["objects"] == [CAT]
    assert [problem["message"] for problem in audit["problems"]] == ["there is no column `class`; took `cell_type` for it"]


# a further line, code, object, part of the message
BAD_LINES = {
    "too few cells": ("b.jpg,64,48,cat\n", "csv-line", None, "4 cells, where the header has 8"),
    "too many cells": ("b.jpg,64,48,cat,1,1,9,9,9\n", "csv-line", None, "9 cells"),
    "image missing": ("c.jpg,64,48,cat,1,1,9,9\n", "image-missing", None, "no image c.jpg in images"),
    "no image name": (",64,48,cat,1,1,9,9\n", "image-missing", None, "(no file name)"),
    "name leads up": ("../a.jpg,64,48,cat,1,1,9,9\n", "filename-outside", None, "leads out"),
    "no class": ("b.jpg,64,48,,1,1,9,9\n", "label-empty", 1, "no class"),
    "not a number": ("b.jpg,64,48,cat,1,1,nine,9\n", "box-not-a-number", 1, "xmax is nine"),
    "corner empty": ("b.jpg,64,48,cat,1,1,,9\n", "box-incomplete", 1, "xmax is missing"),
    "inverted": ("b.jpg,64,48,cat,9,1,1,9\n", "box-inverted", 1, "xmin 9 is not less"),
    "outside": ("b.jpg,64,48,cat,1,1,9,49\n", "box-outside", 1, "reaches outside"),
    "declared size": ("b.jpg,640,480,cat,1,1,9,9\n", "size-differs", None, "640 × 480"),
}


@pytest.mark.parametrize("case", BAD_LINES, ids=lambda case: case.replace(" ", "-"))
def test_names_the_line(tmp_path, case):
    line, code, number, message = BAD_LINES[case]
    with pytest.raises(StageError, match=code) as caught:
        build(tmp_path, HEADER + ROW + line, images=["a.jpg", "b.jpg"])
    assert caught.value.where == "labels.csv:3"
    assert caught.value.found.startswith("labels.csv:3:" + ("" if number is None else " object %d:" % number))
    assert message in caught.value.found


def test_lines_that_declare_several_sizes(tmp_path):
    dataset, audit = build(tmp_path, HEADER + ROW + "a.jpg,640,480,cat,1,1,9,9\n")
    assert (dataset.images()[0]["width"], dataset.images()[0]["height"]) == (WIDTH, HEIGHT)
    assert [(problem["code"], problem["line"]) for problem in audit["problems"]] == [("size-unclear", 3)]


# splits, where the CSV files and images are
LAYOUTS = {
    "a CSV beside each split's folder": (
        {"train": {"csv": "train_labels.csv"}, "test": {"csv": "test_labels.csv"}},
        {"train": ("train_labels.csv", "train"), "test": ("test_labels.csv", "test")},
    ),
    "CSV files in one folder, images in another": (
        {"train": {"csv": "csv/train.csv", "images": "all"}, "test": {"csv": "csv/test.csv", "images": "all"}},
        {"train": ("csv/train.csv", "all"), "test": ("csv/test.csv", "all")},
    ),
    "a CSV in each split's folder": (
        {"train": {"folder": "train"}, "test": {"folder": "test"}},
        {"train": ("train/labels.csv", "train"), "test": ("test/labels.csv", "test")},
    ),
    "a folder with CSV and images": (
        {"train": {"folder": "train"}, "test": {"csv": "t/x.csv"}},
        {"train": ("train/labels.csv", "train/images"), "test": ("t/x.csv", "t/JPEGImages")},
    ),
}


@pytest.mark.parametrize("case", LAYOUTS, ids=lambda case: case.replace(" ", "-"))
def test_finds_csv_and_images(tmp_path, case):
    splits, places = LAYOUTS[case]
    root = tmp_path / "images"
    for number, (split, (table, folder)) in enumerate(sorted(places.items())):
        (root / table).parent.mkdir(parents=True, exist_ok=True)
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / table).write_text(HEADER + ROW.replace("a.jpg", split + ".jpg"))
        (root / folder / (split + ".jpg")).write_bytes(image_bytes(number))
    dataset = datasets.load(ingest(tmp_path / "out", root, splits=splits).output)
    assert {image["split"]: image["name"] for image in dataset.images()} == {
        split: "%s/%s.jpg" % (folder, split) for split, (_, folder) in places.items()
    }


def test_a_folder_with_several_csv_files_is_refused(tmp_path):
    root = tmp_path / "images"
    root.mkdir()
    for name in ("a.csv", "b.csv"):
        (root / name).write_text(HEADER + ROW)
    with pytest.raises(StageError, match="several CSV files") as caught:
        ingest(tmp_path / "out", root)
    assert caught.value.found == "a.csv, b.csv"
    assert "splits: {train: {csv: FILE}}" in caught.value.remedy


def test_a_file_that_is_named_in_several_ways_is_one_image(tmp_path):
    rows = ["a.jpg,64,48,cat,1,1,9,9", "A.JPG,64,48,dog,2,2,9,9", "b.jpg,64,48,cat,1,1,9,9", "a,64,48,cat,3,3,9,9"]
    dataset, audit = build(tmp_path, HEADER + "\n".join(rows) + "\n", images=("a.jpg", "b.jpg"))
    assert [[(item["class"], item["bbox"][0]) for item in image["objects"]] for image in dataset.images()] == [
        [("cat", 1), ("dog", 2), ("cat", 3)],
        [("cat", 1)],
    ]
    assert audit["problems"] == []
