"""Where splits are, and the choice of validation images."""

import json
from collections import Counter

import pytest
import yaml
from _detection import dataset as datasets
from _runtime import StageError
from hypothesis import given, settings
from hypothesis import strategies as st
from voc_files import image_bytes, ingest, run_here, voc, write_pair

from stage_helpers import artifact, load

load("ingest", "run")
split_choice = load("ingest", "split_choice")


def put(root, annotation, image, seed=0):
    """One annotated image, its two files at the given places."""
    for place, content in ((annotation, voc(image.split("/")[-1]).encode()), (image, image_bytes(seed))):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_bytes(content)


# splits, {annotation file: (image file, split)}
LAYOUTS = {
    "one folder": ({}, {"a.xml": ("a.jpg", "train")}),
    "one folder with VOC's two folders": ({}, {"Annotations/a.xml": ("JPEGImages/a.jpg", "train")}),
    "one folder with annotations and images": ({}, {"annotations/a.xml": ("images/a.jpg", "train")}),
    "folders": (
        {"train": {"folder": "train"}, "test": {"folder": "test"}},
        {"train/a.xml": ("train/a.jpg", "train"), "test/b.xml": ("test/b.jpg", "test")},
    ),
    "folders below a folder": (
        {"train": {"folder": "images/train"}, "val": {"folder": "images/val"}},
        {"images/train/a.xml": ("images/train/a.jpg", "train"), "images/val/b.xml": ("images/val/b.jpg", "val")},
    ),
    "folders with folders": (
        {"train": {"folder": "one"}, "val": {"folder": "two"}},
        {"one/labels/a.xml": ("one/images/a.jpg", "train"), "two/xml/b.xml": ("two/imgs/b.jpg", "val")},
    ),
    "annotations and images apart": (
        {"train": {"annotations": "xml/train", "images": "img/train"}, "val": {"annotations": "xml/val", "images": "img/val"}},
        {"xml/train/a.xml": ("img/train/a.jpg", "train"), "xml/val/b.xml": ("img/val/b.jpg", "val")},
    ),
    "annotations apart, images in a usual place": ({"train": {"annotations": "labels"}}, {"labels/a.xml": ("images/a.jpg", "train")}),
    "folder and images": ({"train": {"folder": "xml", "images": "all/pictures"}}, {"xml/a.xml": ("all/pictures/a.jpg", "train")}),
    "image beside the annotation though images are elsewhere": (
        {"train": {"folder": "xml", "images": "all"}},
        {"xml/a.xml": ("xml/a.jpg", "train"), "xml/b.xml": ("all/b.jpg", "train")},
    ),
    "folder of any name for a split": ({"train": {"folder": "2019 (final)"}}, {"2019 (final)/a b.xml": ("2019 (final)/a b.jpg", "train")}),
}


@pytest.mark.parametrize("case", LAYOUTS, ids=lambda case: case.replace(" ", "-"))
def test_finds_annotations_and_images(tmp_path, case):
    splits, places = LAYOUTS[case]
    for seed, (annotation, (image, _)) in enumerate(places.items()):
        put(tmp_path / "root", annotation, image, seed)
    task = ingest(tmp_path / "out", tmp_path / "root", splits=splits)
    found = {image["annotation"]: (image["name"], image["split"]) for image in datasets.load(task.output).images()}
    assert found == places
    assert task.warnings == []


# {annotation file: split} of what is found without a word in the pipeline
NATURAL = {
    "folders": {"train/a.xml": "train", "test/b.xml": "test"},
    "Roboflow's folders": {"train/a.xml": "train", "valid/b.xml": "val", "test/c.xml": "test"},
    "folders in capitals": {"Train/a.xml": "train", "Validation/b.xml": "val"},
    "a folder for train, and others": {"train/a.xml": "train", "drafts/b.xml": None},
}


@pytest.mark.parametrize("case", NATURAL, ids=lambda case: case.replace(" ", "-"))
def test_splits_are_found_by_their_names(tmp_path, case):
    for seed, annotation in enumerate(NATURAL[case]):
        put(tmp_path / "root", annotation, annotation.replace(".xml", ".jpg"), seed)
    task = ingest(tmp_path / "out", tmp_path / "root")
    found = {image["annotation"]: image["split"] for image in datasets.load(task.output).images()}
    assert found == {annotation: split for annotation, split in NATURAL[case].items() if split is not None}


def test_two_folders_for_one_split_are_refused(tmp_path):
    for seed, file in enumerate(("train/a", "val/b", "valid/c")):
        put(tmp_path / "root", file + ".xml", file + ".jpg", seed)
    with pytest.raises(StageError, match="several folders are named like the split val") as caught:
        ingest(tmp_path / "out", tmp_path / "root")
    assert caught.value.found == "val, valid"
    assert "splits: {val: {folder: val}, valid: {folder: valid}}" in caught.value.remedy


def test_of_two_folders_for_one_split_that_with_annotations_is_meant(tmp_path):
    for seed, file in enumerate(("train/a", "valid/c")):
        put(tmp_path / "root", file + ".xml", file + ".jpg", seed)
    (tmp_path / "root" / "val").mkdir()
    task = ingest(tmp_path / "out", tmp_path / "root")
    assert {image["name"]: image["split"] for image in datasets.load(task.output).images()} == {
        "train/a.jpg": "train",
        "valid/c.jpg": "val",
    }


def test_what_is_left_out_beside_the_folders_of_splits_is_told(tmp_path):
    root = tmp_path / "root"
    put(root, "train/a.xml", "train/a.jpg", 1)
    put(root, "b.xml", "b.jpg", 2)
    (root / "test").mkdir()
    (root / "test" / "c.jpg").write_bytes(image_bytes(3))
    problems = json.loads((ingest(tmp_path / "out", root).output / "audit.json").read_text())["problems"]
    assert [(problem["severity"], problem["code"], problem["file"]) for problem in problems] == [
        ("warning", "annotations-unread", "."),
        ("warning", "split-unlabelled", "test"),
    ]


@pytest.mark.parametrize(
    "folders",
    [("tr ain ü", "2019"), ("a b", "a-b", "a b "), ("日本", "中国"), ("a, b: {c}", "yes"), ("x" * 90, "y")],
    ids=lambda folders: folders[-1],
)
def test_what_is_said_of_sub_folders_can_be_written_in_the_pipeline(tmp_path, folders):
    for seed, folder in enumerate(folders):
        put(tmp_path / "root", folder + "/a.xml", folder + "/a.jpg", seed)
    with pytest.raises(StageError, match="annotations are in sub-folders") as caught:
        ingest(tmp_path / "out", tmp_path / "root")
    params = yaml.safe_load(caught.value.remedy.split("`")[1])["ingest"]["params"]
    task = ingest(tmp_path / "again", tmp_path / "root", on_error="drop", **params)
    assert {image["name"] for image in datasets.load(task.output).images()} == {folder + "/a.jpg" for folder in folders}


def test_vocs_own_lists_are_the_splits(tmp_path):
    for seed, stem in enumerate("abc"):
        put(tmp_path / "root", "Annotations/%s.xml" % stem, "JPEGImages/%s.jpg" % stem, seed)
    for split, stem in (("train", "a"), ("val", "b")):
        (tmp_path / "root" / "ImageSets" / "Main").mkdir(parents=True, exist_ok=True)
        (tmp_path / "root" / "ImageSets" / "Main" / (split + ".txt")).write_text(stem + "\n")
    task = ingest(tmp_path / "out", tmp_path / "root")
    assert {image["annotation"]: image["split"] for image in datasets.load(task.output).images()} == {
        "Annotations/a.xml": "train",
        "Annotations/b.xml": "val",
    }


# the list's text
LISTS = {
    "stems": "a\nb\n",
    "file names": "a.jpg\nb.jpg\n",
    "names of annotations": "a.xml\nb.xml\n",
    "VOC's lists of one class": "a  1\nb -1\n",
    "Windows line ends and a byte order mark": "\ufeffa\r\nb\r\n",
    "empty lines": "\na\n\n  b  \n\n",
}


@pytest.mark.parametrize("case", LISTS, ids=lambda case: case.replace(" ", "-"))
def test_a_list_names_images(tmp_path, case):
    root = tmp_path / "root"
    for seed, stem in enumerate("abc"):
        put(root, "Annotations/%s.xml" % stem, "JPEGImages/%s.jpg" % stem, seed)
    (root / "ImageSets").mkdir()
    (root / "ImageSets" / "train.txt").write_bytes(LISTS[case].encode("utf-8"))
    task = ingest(tmp_path / "out", root, splits={"train": {"list": "ImageSets/train.txt"}})
    assert [image["name"] for image in datasets.load(task.output).images()] == ["JPEGImages/a.jpg", "JPEGImages/b.jpg"]
    assert task.warnings == []  # c is left out on purpose


def test_a_list_with_folders_of_its_own(tmp_path):
    root = tmp_path / "root"
    put(root, "one/a.xml", "two/a.jpg")
    put(root, "Annotations/a.xml", "JPEGImages/a.jpg", 1)
    (root / "train.txt").write_text("a\n")
    task = ingest(tmp_path / "out", root, splits={"train": {"list": "train.txt", "annotations": "one", "images": "two"}})
    assert [image["name"] for image in datasets.load(task.output).images()] == ["two/a.jpg"]


def test_a_list_that_names_what_there_is_not_and_one_thing_twice(tmp_path):
    root = tmp_path / "root"
    put(root, "Annotations/a.xml", "JPEGImages/a.jpg")
    (root / "train.txt").write_text("a\nb\na\n")
    splits = {"train": {"list": "train.txt"}}
    with pytest.raises(StageError, match="annotation-missing") as caught:
        ingest(tmp_path / "out", root, splits=splits)
    assert caught.value.where == "train.txt:2"
    task = ingest(tmp_path / "dropped", root, splits=splits, on_error="drop")
    problems = json.loads((task.output / "audit.json").read_text())["problems"]
    assert [(problem["code"], problem["line"]) for problem in problems] == [("annotation-missing", 2), ("listed-twice", 3)]


# splits or other parameters, what is said, part of what was found, part of the remedy
REFUSED = {
    "no such folder": ({"splits": {"train": {"folder": "trian"}}}, "folder does not exist", "train/", "splits: {train: {folder: NAME}}"),
    "a file for a folder": ({"splits": {"train": {"folder": "train/a.xml"}}}, "folder is a file", "something else", "folder: NAME"),
    "no such list": ({"splits": {"train": {"list": "train/a.txt"}}}, "list does not exist", "a.jpg, a.xml", "list: FILE"),
    "no such CSV": ({"splits": {"train": {"csv": "x/y.csv"}}}, "CSV does not exist", "train/", "csv: FILE"),
    "an empty list": ({"splits": {"train": {"list": "empty.txt"}}}, "list is empty", "1 lines", "names"),
    "a folder without annotations": ({"splits": {"train": {"folder": "bare"}}}, "no annotations", ".jpg", "folder: NAME"),
    "an empty folder": ({"splits": {"train": {"annotations": "none"}}}, "no annotations", "no files", "folder: NAME"),
    "annotations in sub-folders": ({"path": "deep"}, "annotations are in sub-folders", "one", "splits: {train: {folder: one}}"),
    "an unknown key": ({"splits": {"train": {"folder": "train", "imags": "x"}}}, "does not know", "imags", "images: x"),
    "two ways at once": ({"splits": {"train": {"folder": "train", "csv": "a.csv"}}}, "told twice", "csv, folder", "folder: train"),
    "no way at all": ({"splits": {"train": {"images": "train"}}}, "not told where", "images", "folder: train"),
    "outside": ({"splits": {"train": {"folder": "../other"}}}, "outside the dataset's folder", "../other", "path"),
    "absolute": ({"splits": {"train": {"list": "/etc/passwd"}}}, "outside the dataset's folder", "/etc/passwd", "path"),
    "a split's name with a slash": ({"splits": {"a/b": {"folder": "train"}}}, "name is not usable", "a/b", "rename"),
    "VOC asked for, CSV given": ({"splits": {"train": {"csv": "a.csv"}}, "layout": "voc"}, "does not fit the layout", "voc", "leave"),
    "CSV asked for, a list given": (
        {"splits": {"train": {"list": "empty.txt"}}, "layout": "csv"},
        "does not fit the layout",
        "csv",
        "leave",
    ),
    "CSV asked for, none there": ({"splits": {"train": {"folder": "train"}}, "layout": "csv"}, "no CSV", "none", "csv: FILE"),
    "val_fraction and a val split": (
        {"splits": {"train": {"folder": "train"}, "val": {"folder": "train"}}, "val_fraction": 0.1},
        "val_fraction",
        "train, val",
        "take out",
    ),
    "val_fraction without a train split": (
        {"splits": {"test": {"folder": "train"}}, "val_fraction": 0.1},
        "val_fraction",
        "test",
        "take out",
    ),
    "no path": ({"path": None}, "told nowhere", "neither", "path: FOLDER"),
}


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.replace(" ", "-"))
def test_refuses(tmp_path, case):
    params, what, found, remedy = REFUSED[case]
    root = tmp_path / "root"
    put(root, "train/a.xml", "train/a.jpg")
    put(tmp_path / "deep", "one/a.xml", "one/a.jpg")
    (root / "bare").mkdir()
    (root / "bare" / "b.jpg").write_bytes(image_bytes())
    (root / "none").mkdir()
    (root / "empty.txt").write_text("\n")
    path = {"path": str(tmp_path / params["path"])} if params.get("path") else {}
    params = dict({"path": str(root)}, **dict(params, **path))
    with pytest.raises(StageError, match=what) as caught:
        run_here("ingest", tmp_path / "out", {"images": None}, **params)
    assert found in caught.value.found
    assert remedy in caught.value.remedy


def test_a_root_that_does_not_exist(tmp_path):
    with pytest.raises(StageError, match="folder does not exist") as caught:
        ingest(tmp_path / "out", tmp_path / "nowhere")
    assert caught.value.where == str(tmp_path / "nowhere")


def test_images_from_a_stage_and_a_path_at_once(tmp_path):
    write_pair(tmp_path / "root", "a")
    images = artifact("shapes", "labelled-images", tmp_path / "root")
    with pytest.raises(StageError, match="told twice"):
        run_here("ingest", tmp_path / "out", {"images": images}, path=str(tmp_path / "root"))
    assert run_here("ingest", tmp_path / "good", {"images": images}).metrics["images"] == 1


def test_annotations_in_a_sub_folder_beside_others_are_reported(tmp_path):
    write_pair(tmp_path / "root", "a")
    write_pair(tmp_path / "root" / "old", "b")
    task = ingest(tmp_path / "out", tmp_path / "root")
    assert [warning for warning in task.warnings if "subfolder-unread" in warning and "old: 1 annotation files" in warning]


# the label map's text, classes, what comes of it
def test_classes_in_the_order_that_the_pipeline_gives(tmp_path):
    write_pair(tmp_path / "root", "a", [("cat", 1, 1, 9, 9), ("dog", 1, 1, 9, 9)])
    (tmp_path / "map.pbtxt").write_text("item { id: 2 name: 'cat' } item { id: 1 name: 'dog' }")
    label_map = str(tmp_path / "map.pbtxt")
    for number, params in enumerate(
        ({"classes": ["dog", "cat"]}, {"label_map": label_map}, {"label_map": label_map, "classes": ["dog", "cat"]})
    ):
        task = ingest(tmp_path / str(number), tmp_path / "root", **params)
        assert datasets.load(task.output).classes == ["dog", "cat"]
    with pytest.raises(StageError, match="`classes` and `label_map` differ"):
        ingest(tmp_path / "x", tmp_path / "root", classes=["cat", "dog"], label_map=label_map)
    with pytest.raises(StageError, match="label map cannot be read: No such file"):
        ingest(tmp_path / "y", tmp_path / "root", label_map=label_map + "x")


def test_val_fraction_takes_its_part_of_every_class(tmp_path):
    root = tmp_path / "root"
    for number in range(60):
        write_pair(root, "i%02d" % number, [("rare" if number % 6 == 0 else "often", 1, 1, 9, 9)] if number % 10 != 9 else [])
    counts = json.loads((ingest(tmp_path / "out", root, val_fraction=0.25).output / "audit.json").read_text())["counts"]["splits"]
    # 10 rare, 44 often and 6 images without objects: a quarter of each
    assert counts["val"]["classes"] == {"rare": 3, "often": 11}
    assert counts["val"]["background"] == 2
    assert counts["train"]["classes"] == {"rare": 7, "often": 33}
    assert counts["train"]["background"] == 4


def test_val_fraction_leaves_other_splits_alone(tmp_path):
    for number in range(8):
        write_pair(tmp_path / "root" / "train", "a%d" % number)
        write_pair(tmp_path / "root" / "test", "b%d" % number)
    task = ingest(tmp_path / "out", tmp_path / "root", splits={"train": {"folder": "train"}, "test": {"folder": "test"}}, val_fraction=0.25)
    assert Counter((image["split"], image["name"][:4]) for image in datasets.load(task.output).images()) == {
        ("train", "trai"): 6,
        ("val", "trai"): 2,
        ("test", "test"): 8,
    }


def many(number, classes=3):
    return [("%064x" % (place * 7919), {"c%d" % (place % classes)} | ({"common"} if place % 2 else set())) for place in range(number)]


def alone(images):
    """Each content a group of its own."""
    return [(sha256, sha256, classes) for sha256, classes in images]


IMAGES = st.lists(st.tuples(st.integers(0, 40).map("{:064x}".format), st.sets(st.sampled_from("abc"))), max_size=40)


@given(IMAGES, st.floats(0.01, 0.9), st.integers(0, 5))
def test_a_choice_leaves_every_group_some_training_images(images, fraction, seed):
    images = alone(images)
    chosen = split_choice.choose(images, fraction, seed)
    assert chosen < {sha256 for _, sha256, _ in images} or not images
    assert chosen == split_choice.choose(list(reversed(images)), fraction, seed)


@settings(max_examples=50)
@given(st.integers(30, 120), st.integers(0, 3))
def test_adding_an_image_hardly_changes_the_choice(number, seed):
    before, after = (split_choice.choose(alone(many(size)), 0.2, seed) for size in (number, number + 1))
    assert len(before ^ after) <= 3


def test_another_seed_chooses_others():
    assert split_choice.choose(alone(many(90)), 0.2, 1) != split_choice.choose(alone(many(90)), 0.2, 2)


def test_no_fraction_chooses_nothing():
    assert split_choice.choose(alone(many(90)), 0, 1) == set()


@pytest.mark.parametrize("layout", ["cvat", "oidv4", "csv"])
def test_a_list_is_refused_where_the_layout_knows_none(tmp_path, layout):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "list.txt").write_text("a\n")
    with pytest.raises(StageError, match="does not fit the layout") as caught:
        ingest(tmp_path / "out", tmp_path / "root", layout=layout, splits={"train": {"list": "list.txt"}})
    assert caught.value.found == "layout: " + layout
