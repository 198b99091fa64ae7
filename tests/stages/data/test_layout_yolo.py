"""YOLO label files: the ways people keep them, the lines they hold, and what is wrong with them."""

import pytest
from _runtime import StageError
from hypothesis import example, given
from hypothesis import strategies as st
from layout_reading import natural, outcome, read, write
from layouts.yolo import Yolo
from layouts.yolo_description import read_description

LAYOUT = Yolo()
LINE = "1 0.5 0.5 0.2 0.4\n"  # with the names cat and dog: a dog at BOX
BOX = [0.4, 0.3, 0.6, 0.7]
NAMES = "names: [cat, dog]\n"
PICTURE = b"a picture"  # readers open no images


def split(folder, suffix=".jpg"):
    """FOLDER/images with a.jpg and b.jpg, of which only a is labelled."""
    return {
        folder + "/images/a" + suffix: PICTURE,
        folder + "/images/b" + suffix: PICTURE,
        folder + "/labels/a.txt": LINE,
    }


def trees(*splits):
    """images/SPLIT/a.jpg with labels/SPLIT/a.txt."""
    files = {}
    for name in splits:
        files.update({"images/%s/a.jpg" % name: PICTURE, "labels/%s/a.txt" % name: LINE})
    return files


DATA = "classes = 2\ntrain = data/train.txt\nvalid = data/valid.txt\nnames = data/obj.names\nbackup = backup/\n"
DARKNET = {
    "obj.data": DATA,
    "obj.names": "cat\ndog\n",
    "train.txt": "data/obj_train_data/a.jpg\n",
    "valid.txt": "data/obj_valid_data/b.jpg\n",
    "obj_train_data/a.jpg": PICTURE,
    "obj_train_data/a.txt": LINE,
    "obj_valid_data/b.jpg": PICTURE,
    "obj_valid_data/b.txt": LINE,
}
BESIDE = {"a.jpg": PICTURE, "a.txt": LINE, "classes.txt": "cat\ndog\n"}
# files -> {split: (names of its images, names of the images that have the dog)}
LAYOUTS = {
    "data.yaml names folders": (
        {"data.yaml": NAMES + "train: images/train\nval: images/val\n", **trees("train", "val")},
        {"train": ["images/train/a.jpg"], "val": ["images/val/a.jpg"]},
    ),
    "with its root as path": (
        {"data.yaml": NAMES + "path: .\ntrain: images/train\nval: images/val\n", **trees("train", "val")},
        {"train": ["images/train/a.jpg"], "val": ["images/val/a.jpg"]},
    ),
    "with a root below": (
        {"data.yaml": NAMES + "path: ./set\ntrain: images/train\n", **{"set/" + name: content for name, content in trees("train").items()}},
        {"train": ["set/images/train/a.jpg"]},
    ),
    "a list of folders": (
        {"data.yaml": NAMES + "train:\n  - images/one\n  - images/two\n", **trees("one", "two")},
        {"train": ["images/one/a.jpg", "images/two/a.jpg"]},
    ),
    "a list of images": (
        {
            "data.yaml": NAMES + "train: train.txt\n",
            "train.txt": "./images/one/a.jpg\n\nimages/two/a.jpg\n",
            **trees("one", "two", "three"),
        },
        {"train": ["images/one/a.jpg", "images/two/a.jpg"]},
    ),
    "names with numbers": (
        {"data.yaml": "train: images/train\nnames:\n  1: dog\n  0: cat\nnc: 2\n", **trees("train")},
        {"train": ["images/train/a.jpg"]},
    ),
    "the split's folder holds images and labels": (
        {"data.yaml": NAMES + "train: train\n", "train/images/a.png": PICTURE, "train/labels/a.txt": LINE},
        {"train": ["train/images/a.png"]},
    ),
    "Roboflow's paths from one folder above": (
        {
            "data.yaml": "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\nnc: 2\nnames: ['cat', 'dog']\n",
            "train/images/a.jpg": PICTURE,
            "train/labels/a.txt": LINE,
            "valid/images/b.jpg": PICTURE,
            "valid/labels/b.txt": LINE,
            "test/images/c.jpg": PICTURE,
            "test/labels/c.txt": LINE,
        },
        {"train": ["train/images/a.jpg"], "val": ["valid/images/b.jpg"], "test": ["test/images/c.jpg"]},
    ),
    "images and labels in parallel, the names in classes.txt": (
        {"classes.txt": "cat\ndog\n", **trees("train", "validation")},
        {"train": ["images/train/a.jpg"], "val": ["images/validation/a.jpg"]},
    ),
    "Darknet's obj.data": (DARKNET, {"train": ["obj_train_data/a.jpg"], "val": ["obj_valid_data/b.jpg"]}),
    "sub-folders of the images": (
        {"data.yaml": NAMES + "train: images\n", "images/x/y/a.jpg": PICTURE, "labels/x/y/a.txt": LINE},
        {"train": ["images/x/y/a.jpg"]},
    ),
}


@pytest.mark.parametrize("case", LAYOUTS, ids=lambda case: case.replace(" ", "-"))
def test_splits_that_the_files_tell(tmp_path, case):
    files, expected = LAYOUTS[case]
    root = write(tmp_path / "root", files)
    assert LAYOUT.fits(root)
    found = natural(LAYOUT, root, tmp_path)
    assert {name: [image.name for image in reading.images] for name, reading in found.items()} == expected
    for reading in found.values():
        assert reading.objects == [(image.name, "dog", BOX, 0) for image in reading.images]
        assert reading.source.options["classes"] == ["cat", "dog"]
        assert [image.path for image in reading.images] == [str(root / image.name) for image in reading.images]
        assert reading.findings == []


# files, the split's specification -> the labelled images
FOLDERS = {
    "labels beside the images": (BESIDE, None, ["a.jpg"]),
    "a names file of another name": ({"a.jpg": PICTURE, "a.txt": LINE, "pets.names": "cat\ndog\n"}, None, ["a.jpg"]),
    "LabelImg's classes.txt among the labels": (
        {"images/a.jpg": PICTURE, "labels/a.txt": LINE, "labels/classes.txt": "cat\ndog\n"},
        None,
        ["images/a.jpg"],
    ),
    "the names above the split's folder": ({**split("train"), "classes.txt": "cat\ndog"}, {"folder": "train"}, ["train/images/a.jpg"]),
    "the names in a data.yaml above": ({**split("train"), "data.yaml": NAMES}, {"folder": "train"}, ["train/images/a.jpg"]),
    "names that the pipeline names": (
        {**BESIDE, "other/my-names.txt": "bolt\ndog\n"},
        {"folder": ".", "names": "other/my-names.txt"},
        ["a.jpg"],
    ),
    "both folders named": (
        {"photos/a.jpg": PICTURE, "boxes/a.txt": LINE, "classes.txt": "cat\ndog\n"},
        {"annotations": "boxes", "images": "photos"},
        ["photos/a.jpg"],
    ),
    "labels named, images in the parallel tree": (
        {"classes.txt": "cat\ndog\n", **trees("train")},
        {"annotations": "labels/train"},
        ["images/train/a.jpg"],
    ),
    "a list with labels in a folder of their own": (
        {"photos/a.jpg": PICTURE, "boxes/a.txt": LINE, "classes.txt": "cat\ndog\n", "chosen.txt": "photos/a.jpg\n"},
        {"list": "chosen.txt", "annotations": "boxes"},
        ["photos/a.jpg"],
    ),
    "a list with paths of another machine": (
        {"classes.txt": "cat\ndog\n", "chosen.txt": "C:\\data\\set\\images\\train\\a.jpg\n", **trees("train")},
        {"list": "chosen.txt"},
        ["images/train/a.jpg"],
    ),
    "a list with other letter cases": (
        {"classes.txt": "cat\ndog\n", "chosen.txt": "images/train/A.JPG\n", **trees("train")},
        {"list": "chosen.txt"},
        ["images/train/a.jpg"],
    ),
    "a key of data.yaml for another split": (
        {"data.yaml": NAMES + "train: images/train\nval: images/val\n", **trees("train", "val")},
        {"annotations": "data.yaml", "subset": "val"},
        ["images/val/a.jpg"],
    ),
    "the names of another file than data.yaml's": (
        {"data.yaml": "names: [a, b]\ntrain: images/train\n", "right.txt": "cat\ndog\n", **trees("train")},
        {"annotations": "data.yaml", "names": "right.txt"},
        ["images/train/a.jpg"],
    ),
    "a data.yaml without names beside classes.txt": (
        {"data.yaml": "nc: 2\nnames:\ntrain: images/train\n", "classes.txt": "cat\ndog\n", **trees("train")},
        {"annotations": "data.yaml"},
        ["images/train/a.jpg"],
    ),
}


@pytest.mark.parametrize("case", FOLDERS, ids=lambda case: case.replace(" ", "-"))
def test_splits_that_the_pipeline_tells(tmp_path, case):
    files, spec, expected = FOLDERS[case]
    reading = read(LAYOUT, write(tmp_path / "root", files), tmp_path, spec)
    assert reading.objects == [(name, "dog", BOX, 0) for name in expected]
    assert {finding.code for finding in reading.findings} <= {"image-unlabelled"}


FITTING = {
    "labels beside images": (BESIDE, True),
    "data.yaml": ({"data.yaml": NAMES + "train: x\n", "x/y/z/labels/a.txt": LINE}, True),
    "a data.yaml in one line": ({"data.yaml": "{train: x, names: [a]}", "x/a.txt": LINE}, True),
    "a data.yaml without labels, as of another export": ({"data.yaml": NAMES + "train: x\n", "x/a.xml": "<annotation/>"}, False),
    "another YAML": ({"settings.yaml": "names: [a]\n", "a.jpg": PICTURE}, False),
    "obj.data": (DARKNET, True),
    "trees for the splits": (trees("train", "val"), True),
    "sub-folders for the splits": ({**split("train"), **split("val")}, False),
    "only classes.txt": ({"classes.txt": "cat\n"}, False),
    "lists of images": ({"train.txt": "images/a.jpg\n"}, False),
    "labels with words, as KITTI's and OIDv4's": ({"labels/a.txt": "Car 0.00 0 -1.57 5 6 7 8\n"}, False),
    "VOC's lists": ({"Annotations/a.xml": "<annotation/>", "ImageSets/Main/train.txt": "a\n"}, False),
    "DOTA's labels": ({"labels/a.txt": "0 0 5 0 5 5 0 5 plane 0\n"}, False),
    "a polygon longer than a look": ({"a.txt": "0 " + "1e-05 " * 1999 + "0.5\n"}, True),
    "nothing": ({"README.md": "x"}, False),
}


@pytest.mark.parametrize("case", FITTING, ids=lambda case: case.replace(" ", "-"))
def test_whether_a_folder_fits(tmp_path, case):
    files, expected = FITTING[case]
    assert LAYOUT.fits(write(tmp_path, files)) is expected


# a line of the label file -> box and mask, or the finding's code and a part of its message
LINES = {
    "a box": ("1 0.5 0.5 0.2 0.4", (BOX, None)),
    "a class number with a fraction of nothing": ("1.0 0.5 0.5 0.2 0.4", (BOX, None)),
    "tabs and exponents": ("1\t5e-1\t.5   2E-1 0.40", (BOX, None)),
    "a polygon": ("1 0.1 0.2 0.5 0.3 0.3 0.9", ([0.1, 0.2, 0.5, 0.9], [0.1, 0.2, 0.5, 0.3, 0.3, 0.9])),
    "an oriented box": ("1 0.5 0.1 0.9 0.5 0.5 0.9 0.1 0.5", ([0.1, 0.1, 0.9, 0.9], [0.5, 0.1, 0.9, 0.5, 0.5, 0.9, 0.1, 0.5])),
    "a box that reaches outside is judged later": ("1 0.9 0.5 0.4 0.4", ([0.7, 0.3, 1.1, 0.7], None)),
    "negative numbers are judged later": ("1 0.5 0.5 -0.2 0.4", ([0.6, 0.3, 0.4, 0.7], None)),
    "a confidence": ("1 0.5 0.5 0.2 0.4 0.93", ("label-line", "sixth number")),
    "two points": ("1 0.5 0.5 0.2", ("label-line", "4 numbers")),
    "half a point": ("1 0.1 0.2 0.5 0.3 0.3 0.9 0.4", ("label-line", "8 numbers")),
    "a class alone": ("1", ("label-line", "1 numbers")),
    "commas": ("1,0.5,0.5,0.2,0.4", ("class-number", "whole number")),
    "a class beyond the names": ("2 0.5 0.5 0.2 0.4", ("class-number", "numbered 0 to 1")),
    "a negative class": ("-1 0.5 0.5 0.2 0.4", ("class-number", "whole number")),
    "half a class": ("0.5 0.5 0.5 0.2 0.4", ("class-number", "whole number")),
    "a class by name": ("dog 0.5 0.5 0.2 0.4", ("class-number", "dog")),
    "pixels": ("1 320 240 64 48", ("box-not-a-fraction", "look like pixels")),
    "pixels of a polygon": ("1 0 0 64 0 64 48", ("box-not-a-fraction", "look like pixels")),
    "a centre outside": ("1 1.3 0.5 0.2 0.4", ("box-not-a-fraction", "outside")),
    "no number": ("1 0.5 nan 0.2 0.4", ("box-not-a-number", "cy is nan")),
}


@pytest.mark.parametrize("case", LINES, ids=lambda case: case.replace(" ", "-"))
def test_lines(tmp_path, case):
    line, expected = LINES[case]
    # A good line before and after: a bad one takes nothing else with it.
    root = write(tmp_path / "root", {**BESIDE, "a.txt": LINE + "\r\n" + line + "\r\n" + LINE})
    reading = read(LAYOUT, root, tmp_path)
    boxes = [box for _, _, box, _ in reading.objects]
    if isinstance(expected[0], str):
        finding = reading.findings[0]
        assert boxes == [BOX, BOX]
        assert (finding.way, finding.code, finding.file, finding.line, finding.number) == ("bad", expected[0], "a.txt", 3, 2)
        assert expected[1] in finding.message
    else:
        box, polygon = expected
        assert boxes == [BOX, box, BOX]
        assert reading.lines == [(1, 1), (3, 2), (4, 3)]
        assert reading.extra == ({} if polygon is None else {1: {"mask": {"polygons": [polygon], "unit": "fraction"}}})
        assert reading.codes() == ([] if polygon is None else [("note", "box-from-polygon")])


def test_keypoints_are_left_out_where_a_folder_is_named(tmp_path):
    """The line has as many numbers as a polygon of five points: the data.yaml that has the names tells that it is none."""
    line = "1 0.5 0.5 0.2 0.4 0.5 0.5 2 0.6 0.6 2\n"
    files = {"data.yaml": NAMES + "kpt_shape: [2, 3]\ntrain: train/images\n", "train/images/a.jpg": PICTURE, "train/labels/a.txt": line}
    reading = read(LAYOUT, write(tmp_path / "root", files), tmp_path, {"folder": "train"})
    assert reading.objects == [("train/images/a.jpg", "dog", BOX, 0)]
    assert reading.extra == {}


def test_keypoints_after_a_box_are_left_out(tmp_path):
    files = {"data.yaml": NAMES + "kpt_shape: [2, 3]\ntrain: images/train\n", **trees("train")}
    root = write(tmp_path / "root", {**files, "labels/train/a.txt": "1 0.5 0.5 0.2 0.4 0.1 0.1 2 0.2 0.2 0\n"})
    assert read(LAYOUT, root, tmp_path, {"annotations": "data.yaml"}).objects == [("images/train/a.jpg", "dog", BOX, 0)]


def test_an_empty_label_file_is_a_background_image(tmp_path):
    root = write(tmp_path / "root", {**BESIDE, "b.jpg": PICTURE, "b.txt": "\n"})
    reading = read(LAYOUT, root, tmp_path)
    assert [image.name for image in reading.images] == ["a.jpg", "b.jpg"]
    assert reading.codes() == []


def test_an_image_without_a_label_file_is_background_where_a_description_chose_it(tmp_path):
    root = write(tmp_path / "root", {"data.yaml": NAMES + "train: train/images\n", **split("train")})
    reading = read(LAYOUT, root, tmp_path, {"annotations": "data.yaml"})
    assert [image.name for image in reading.images] == ["train/images/a.jpg", "train/images/b.jpg"]
    assert reading.codes() == [("doubt", "label-file-missing")]
    assert "1 of 2 images" in reading.findings[0].message


def test_an_image_without_a_label_file_is_unlabelled_where_a_folder_was_looked_at(tmp_path):
    reading = read(LAYOUT, write(tmp_path / "root", {**BESIDE, "b.webp": PICTURE}), tmp_path)
    assert [image.name for image in reading.images] == ["a.jpg"]
    assert [(finding.way, finding.code, finding.file) for finding in reading.findings] == [("doubt", "image-unlabelled", "b.webp")]


def test_labels_without_an_image_are_told(tmp_path):
    reading = read(LAYOUT, write(tmp_path / "root", {**BESIDE, "b.txt": LINE, "notes.txt": "to do\n"}), tmp_path)
    assert [(finding.way, finding.code, finding.file) for finding in reading.findings] == [("bad", "image-missing", "b.txt")]


def test_names_that_two_numbers_share_are_one_class(tmp_path):
    reading = read(LAYOUT, write(tmp_path / "root", {**BESIDE, "classes.txt": "dog\ndog\n"}), tmp_path)
    assert reading.source.options["classes"] == ["dog"]
    assert reading.codes() == [("doubt", "names-repeated")]


def test_an_empty_line_among_the_names_counts(tmp_path):
    reading = read(LAYOUT, write(tmp_path / "root", {**BESIDE, "classes.txt": "\ndog\n\n"}), tmp_path)
    assert reading.objects == [("a.jpg", "dog", BOX, 0)]


def test_names_are_taken_as_they_are_written(tmp_path):
    """YAML 1.1 takes no, 1 and 2024-01-01 for a truth value, a number and a day."""
    write(tmp_path, {"data.yaml": "names: [no, 1, 2024-01-01, ~x, 'it''s']\ntrain: x\n"})
    assert list(read_description(tmp_path / "data.yaml").names.values()) == ["no", "1", "2024-01-01", "~x", "it's"]


def test_a_split_of_data_yaml_that_is_not_there_is_left_out_and_told(tmp_path):
    """Roboflow writes test: ../test/images even where there is no test split."""
    root = write(tmp_path / "root", {"data.yaml": NAMES + "train: ../train/images\ntest: ../test/images\n", **split("train")})
    found = natural(LAYOUT, root, tmp_path)
    assert list(found) == ["train"]
    assert [(finding.code, finding.line) for finding in found["train"].findings if finding.code != "label-file-missing"] == [
        ("split-missing", 3)
    ]


def test_a_root_on_another_machine_is_told(tmp_path):
    root = write(tmp_path / "root", {"data.yaml": NAMES + "path: /content/datasets/pets\ntrain: images/train\n", **trees("train")})
    reading = read(LAYOUT, root, tmp_path, {"annotations": "data.yaml"})
    assert reading.objects == [("images/train/a.jpg", "dog", BOX, 0)]
    assert reading.codes() == [("note", "yaml-path")]


# lines of a list -> (way, code, line) of the findings
LISTS = {
    "an image that is not there": ("images/train/z.jpg\nimages/train/a.jpg\n", [("bad", "image-missing", 1)]),
    "a path that leads out": ("../../elsewhere.jpg\nimages/train/a.jpg\n", [("refuse", "filename-outside", 1)]),
    "twice": ("images/train/a.jpg\n./images/train/a.jpg\n", [("doubt", "listed-twice", 2)]),
    "a file that is no image": ("images/train/a.jpg\nlabels/train/a.txt\n", [("bad", "image-missing", 2)]),
}


@pytest.mark.parametrize("case", LISTS, ids=lambda case: case.replace(" ", "-"))
def test_lists(tmp_path, case):
    text, expected = LISTS[case]
    write(tmp_path, {"elsewhere.jpg": PICTURE, "elsewhere.txt": LINE})
    root = write(tmp_path / "root", {"chosen.txt": text, "classes.txt": "cat\ndog\n", **trees("train")})
    reading = read(LAYOUT, root, tmp_path, {"list": "chosen.txt"})
    assert [(finding.way, finding.code, finding.line) for finding in reading.findings] == expected
    assert [image.name for image in reading.images] == ["images/train/a.jpg"]


BOMB = "a: &a [x, x]\n" + "".join("%s: &%s [*%s, *%s, *%s]\n" % (b, b, a, a, a) for a, b in zip("abcdefghijklmnop", "bcdefghijklmnopq"))
MERGES = "m: &m {x: y}\n" + "".join("k%d: &k%d {<<: [*m, *m]}\n" % (n, n) for n in range(50))
# data.yaml -> parts of the StageError
REFUSED = {
    "nc that is not the number of names": ("train: images/train\nnc: 3\nnames: [cat, dog]\n", "nc is not the number of names", ":2"),
    "no names at all": ("train: images/train\nnames:\nnc: 2\n", "no class names", "data.yaml"),
    "names of numbers that are none": ("train: images/train\nnames: {first: cat}\n", "no whole number", ":2"),
    "names twice": ("train: images/train\nnames: [a]\nnames: [b]\n", "a key is there twice", ":3"),
    "a number twice": ("train: images/train\nnames: {0: a, 0: b}\n", "there twice in names", ":2"),
    "a name that is a list": ("train: images/train\nnames: [[cat]]\n", "a class name is no text", ":2"),
    "names as a text": ("train: images/train\nnames: cat\n", "no list of class names", ":2"),
    "not YAML": ("train: images/train\nnames: [cat\nnc: 1\n", "cannot be read", ":3"),
    "a list": ("- names: x\n- train: x\n", "has no keys", "data.yaml"),
    "empty": ("", "has no keys", "data.yaml"),
    "deep": ("names: " + "[" * 5000, "", "data.yaml"),
    "aliases that grow": (BOMB + "train: images/train\nnames: *q\n", "a class name is no text", "data.yaml"),
    "merges that grow": (MERGES + "train: images/train\nnames: *k9\n", "no whole number", "data.yaml"),
    "a folder that is not there": (NAMES + "train: images/none\n", "names what is not there", ":2"),
    "a folder above": (NAMES + "train: ../../outside/images\n", "names what is not there", ":2"),
    "an absolute folder": (NAMES + "train: /etc\n", "leads out of the dataset's folder", ":2"),
    "a drive": (NAMES + "train: D:\\set\\images\n", "leads out of the dataset's folder", ":2"),
    "a path with a list": (NAMES + "train: [[images]]\n", "train is no path", ":2"),
    "another split": (NAMES + "val: images/train\n", "the split is not there", "data.yaml"),
    "keypoints of no shape": (NAMES + "kpt_shape: many\ntrain: images/train\n", "kpt_shape", ":2"),
    "too large": (NAMES + "train: images/train\n" + "#" * (1 << 20), "too large", "data.yaml"),
}


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.replace(" ", "-"))
def test_refused_descriptions(tmp_path, case):
    text, what, where = REFUSED[case]
    write(tmp_path, {"outside/images/a.jpg": PICTURE, "outside/labels/a.txt": LINE})
    root = write(tmp_path / "root", {"data.yaml": text, **trees("train")})
    with pytest.raises(StageError) as caught:
        read(LAYOUT, root, tmp_path, {"annotations": "data.yaml"})
    assert what in caught.value.what
    assert where in caught.value.where
    assert caught.value.remedy


# files, spec -> parts of the StageError
UNUSABLE = {
    "images without any label file": ({"data.yaml": NAMES + "train: images\n", "images/a.jpg": PICTURE}, None, "no label files", "labels"),
    "labels in a folder of another name": (
        {"data.yaml": NAMES + "train: train/images\n", "train/images/a.jpg": PICTURE, "train/labelTxt/a.txt": LINE},
        None,
        "no label files",
        "labels",
    ),
    "labels without any image": ({"a.txt": LINE, "classes.txt": "cat\ndog\n"}, {"folder": "."}, "no images", "images"),
    "no names": ({"a.txt": LINE, "a.jpg": PICTURE}, {"folder": "."}, "class names are not told", "names"),
    "several names files": (
        {"a.txt": LINE, "a.jpg": PICTURE, "a.names": "x", "b.names": "y"},
        {"folder": "."},
        "several files may tell the class names",
        "names",
    ),
    "several data.yaml": ({"one.yaml": NAMES + "train: a\n", "two.yaml": NAMES + "train: b\n"}, None, "several files", "annotations"),
    "an empty names file": ({"a.txt": LINE, "a.jpg": PICTURE, "classes.txt": "\n"}, {"folder": "."}, "no class names", "names"),
    "a folder of images alone": ({"a.jpg": PICTURE}, {"folder": "."}, "no label files", "annotations"),
    "a list of nothing": ({"l.txt": "", "a.jpg": PICTURE}, {"list": "l.txt"}, "no images", "path"),
}


@pytest.mark.parametrize("case", UNUSABLE, ids=lambda case: case.replace(" ", "-"))
def test_what_cannot_be_read_at_all(tmp_path, case):
    files, spec, what, remedy = UNUSABLE[case]
    error = outcome(LAYOUT, write(tmp_path / "root", files), tmp_path, spec and {"train": spec})
    assert isinstance(error, StageError)
    assert what in error.what
    assert remedy in error.remedy + error.expected


def test_label_files_that_are_no_text(tmp_path):
    root = write(
        tmp_path / "root",
        {**BESIDE, "b.jpg": PICTURE, "b.txt": LINE.encode("utf-16"), "c.jpg": PICTURE, "c.txt": b"\xef\xbb\xbf" + LINE.encode()},
    )
    reading = read(LAYOUT, root, tmp_path)
    assert [name for name, *_ in reading.objects] == ["a.jpg", "c.jpg"]
    assert [(finding.code, finding.file) for finding in reading.findings] == [("txt-broken", "b.txt")]


def test_roboflows_export(shared_data, tmp_path):
    root = shared_data("datasets") / "datumaro_assets/tests/assets/roboflow_dataset/yolo"
    reading = natural(LAYOUT, root, tmp_path)["train"]
    assert reading.objects == [
        ("train/images/train_001.jpg", "label_0", [0.2, 0.2, 0.5, 0.4], 0),
        ("train/images/train_002.jpg", "label_1", [0, 0, 0.2, 0.8], 0),
    ]


CELLS = st.sampled_from(
    ["0", "1", "2", "-1", "0.5", "1.0", "1e400", "nan", "320", "cat", "", "\u0661", "0x1", "1_0", "\x00", "\x85", "9" * 200]
)
LABELS = st.lists(st.lists(CELLS, max_size=12).map(" ".join), max_size=6).map("\n".join)
BYTES = st.one_of(st.binary(max_size=200), LABELS.map(lambda text: text.encode("utf-8")))
WORDS = st.sampled_from(
    [
        "train",
        "val",
        "test",
        "path",
        "names",
        "nc",
        "kpt_shape",
        "..",
        "/etc",
        "images",
        "0",
        "a",
        "[a, b]",
        "{0: a}",
        "&a",
        "*a",
        "<<",
        "~",
        "\x00",
        "!!python/object:os.system",
        "? ",
        "- ",
    ]
)
YAMLS = st.one_of(
    st.binary(max_size=200),
    st.lists(st.tuples(WORDS, st.sampled_from([": ", ":\n  ", ", ", "\n"]), WORDS).map("".join), max_size=8).map(
        lambda lines: "\n".join(lines).encode()
    ),
)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("yolo")
    write(folder / "root", {"images/train/a.jpg": PICTURE, "images/train/b.jpg": PICTURE, "labels/train/b.txt": LINE})
    return folder


@given(BYTES, st.sampled_from(["[cat, dog]", "{0: cat, 7: dog}"]))
def test_any_bytes_as_labels(workshop, data, names):
    root = write(workshop / "root", {"labels/train/a.txt": data, "data.yaml": "names: %s\ntrain: images/train\n" % names, "train.txt": b""})
    assert isinstance(outcome(LAYOUT, root, workshop), list)


@given(YAMLS)
@example(b"names: [a]\ntrain: .\n")
@example(b"names: [a]\ntrain: train.txt\n")
def test_any_bytes_as_data_yaml(workshop, data):
    write(workshop / "root", {"labels/train/a.txt": LINE, "train.txt": b"images/train/a.jpg"})
    outcome(LAYOUT, write(workshop / "root", {"data.yaml": data}), workshop)
    outcome(LAYOUT, workshop / "root", workshop, {"train": {"annotations": "data.yaml"}})


@given(
    st.one_of(
        st.binary(max_size=80),
        st.lists(st.sampled_from(["..", "images", "train", "a.jpg", "/", "\\", "C:", ".", "\x00", "\n", "a" * 300, "~"])).map(
            lambda parts: "/".join(parts).encode()
        ),
    )
)
def test_any_bytes_as_a_list(workshop, data):
    root = write(workshop / "root", {"chosen.txt": data, "labels/train/a.txt": LINE, "data.yaml": NAMES})
    outcome(LAYOUT, root, workshop, {"train": {"list": "chosen.txt"}})


@given(st.binary(max_size=120), st.binary(max_size=60))
def test_any_bytes_as_obj_data_and_names(workshop, data, names):
    folder = workshop / "darknet"
    write(folder, {**DARKNET, "obj.data": DATA.encode() + data, "obj.names": names})
    outcome(LAYOUT, folder, workshop)
