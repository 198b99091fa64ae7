"""What ingest refuses, drops or clips: each rule by its code, with the file and line that it names."""

import json
import os
import signal
import sys
import time

import numpy as np
import pytest
from _detection import dataset as datasets
from _runtime import StageError
from voc_files import HEIGHT, WIDTH, image_bytes, ingest, voc, write_pair

from stage_helpers import load

load("ingest", "run")

ENTITY_BOMB = """<?xml version="1.0"?>
<!DOCTYPE annotation [
 <!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">
]>
<annotation><filename>&c;</filename></annotation>"""
EXTERNAL_ENTITY = """<!DOCTYPE annotation [<!ENTITY secret SYSTEM "file:///etc/passwd">]>
<annotation><filename>bad.jpg</filename><object><name>&secret;</name></object></annotation>"""
UNDECLARED_ENTITY = """<!DOCTYPE annotation SYSTEM "http://127.0.0.1:1/voc.dtd">
<annotation><filename>bad.jpg</filename><object><name>&cat;</name></object></annotation>"""


def boxed(*corners):
    return voc("bad.jpg", [("cat", *corners)])


# name: (annotation bad.xml, image bad.jpg, code, line, object, part of the message, action under drop, action under clip)
# An annotation or image of None is absent; True is a good one.
CASES = {
    "not XML": ("annotation: cat", True, "xml-broken", 1, None, "not well-formed", "dropped", "dropped"),
    "empty annotation": ("", True, "xml-broken", 1, None, "not well-formed", "dropped", "dropped"),
    "cut annotation": (voc("bad.jpg")[:-30], True, "xml-broken", 6, None, "not well-formed", "dropped", "dropped"),
    "another XML": ("<html>\n</html>", True, "xml-not-voc", 1, None, "<html>, where <annotation>", "dropped", "dropped"),
    "entity bomb": (ENTITY_BOMB, True, "xml-entity", 3, None, "entity", "refused", "refused"),
    "entity bomb in UTF-16": (
        ENTITY_BOMB.replace('<?xml version="1.0"?>', "").encode("utf-16"),
        True,
        "xml-entity",
        3,
        None,
        "entity",
        "refused",
        "refused",
    ),
    "external entity": (EXTERNAL_ENTITY, True, "xml-entity", 1, None, "entity", "refused", "refused"),
    "entity of an external definition": (UNDECLARED_ENTITY, True, "xml-entity", 2, None, "entity", "refused", "refused"),
    "name leads up": (voc("../bad.jpg"), True, "filename-outside", 2, None, "leads out", "refused", "refused"),
    "name leads up in the middle": (voc("a/../../bad.jpg"), True, "filename-outside", 2, None, "leads out", "refused", "refused"),
    "name leads up as on Windows": (voc("..\\bad.jpg"), True, "filename-outside", 2, None, "leads out", "refused", "refused"),
    "absolute name": (voc("/etc/passwd"), True, "filename-outside", 2, None, "leads out", "refused", "refused"),
    "absolute name as on Windows": (voc("C:\\bad.jpg"), True, "filename-outside", 2, None, "leads out", "refused", "refused"),
    "image missing": (voc("bad.jpg"), None, "image-missing", 2, None, "no image bad.jpg", "dropped", "dropped"),
    "image empty": (voc("bad.jpg"), b"", "image-empty", None, None, "empty file", "dropped", "dropped"),
    "image cut": (voc("bad.jpg"), image_bytes(9)[:-400], "image-damaged", None, None, "truncated", "dropped", "dropped"),
    "a Git LFS pointer": (
        voc("bad.jpg"),
        b"version https://git-lfs.github.com/spec/v1\n",
        "image-type",
        None,
        None,
        "git lfs pull",
        "dropped",
        "dropped",
    ),
    "declared size": (
        voc("bad.jpg", size=(640, 480)),
        True,
        "size-differs",
        2,
        None,
        "640 × 480, but bad.jpg has 64 × 48",
        "dropped",
        "dropped",
    ),
    "declared size turned": (voc("bad.jpg", size=(HEIGHT, WIDTH)), True, "size-differs", 2, None, "EXIF", "dropped", "dropped"),
    "label empty": (voc("bad.jpg", [("", 1, 1, 9, 9)]), True, "label-empty", 4, 1, "no <name>", "dropped", "dropped"),
    "no box": (voc("bad.jpg").replace("bndbox", "polygon"), True, "box-missing", 4, 1, "only <name>, <polygon>", "dropped", "dropped"),
    "corner missing": (voc("bad.jpg").replace("xmax", "x2"), True, "box-incomplete", 6, 1, "xmax is missing", "dropped", "dropped"),
    "corner empty": (boxed("", 1, 9, 9), True, "box-incomplete", 6, 1, "xmin is missing", "dropped", "dropped"),
    "x1 > x2": (boxed(30, 1, 9, 9), True, "box-inverted", 6, 1, "xmin 30 is not less than xmax 9", "dropped", "fixed"),
    "y1 > y2": (boxed(1, 30, 9, 9), True, "box-inverted", 6, 1, "ymin 30 is not less than ymax 9", "dropped", "fixed"),
    "hardly any width": (boxed(9, 1, "9.001", 9), True, "box-empty", 6, 1, "xmin 9 and xmax 9.001 are less than", "dropped", "dropped"),
    "hardly inside": (boxed("63.9999999", 1, 99, 9), True, "box-outside", 6, 1, "(63.9999999, 1, 99, 9) lies", "dropped", "dropped"),
    "x1 = x2": (boxed(9, 1, 9, 9), True, "box-empty", 6, 1, "xmin 9 is not less", "dropped", "dropped"),
    "NaN": (boxed("nan", 1, 9, 9), True, "box-not-a-number", 6, 1, "xmin is nan", "dropped", "dropped"),
    "infinite": (boxed(1, 1, "inf", 9), True, "box-not-a-number", 6, 1, "xmax is inf", "dropped", "dropped"),
    "too large for a float": (boxed(1, 1, "1e999", 9), True, "box-not-a-number", 6, 1, "xmax is 1e999", "dropped", "dropped"),
    "words": (boxed(1, 1, "ten", 9), True, "box-not-a-number", 6, 1, "xmax is ten", "dropped", "dropped"),
    "digits of another script": (boxed(1, 1, "\u0663\u0660", 40), True, "box-not-a-number", 6, 1, "xmax is", "dropped", "dropped"),
    "underscores": (boxed(1, 1, "1_0", 40), True, "box-not-a-number", 6, 1, "xmax is 1_0", "dropped", "dropped"),
    "reaches outside": (boxed(1, 1, WIDTH + 1, 9), True, "box-outside", 6, 1, "reaches outside the image of 64 × 48", "dropped", "clipped"),
    "negative": (boxed(-1, 1, 9, 9), True, "box-outside", 6, 1, "reaches outside", "dropped", "clipped"),
    "wholly outside": (boxed(WIDTH, 1, WIDTH + 9, 9), True, "box-outside", 6, 1, "lies outside", "dropped", "dropped"),
    "label unknown": (
        voc("bad.jpg", [("Kat", 1, 1, 9, 9)]),
        True,
        "label-unknown",
        6,
        1,
        "Kat is not a class; the nearest one is cat",
        "dropped",
        "dropped",
    ),
}


@pytest.fixture
def root(tmp_path):
    """A folder with two good images, one of class cat and one of dog."""
    write_pair(tmp_path / "images", "good1")
    write_pair(tmp_path / "images", "good2", [("dog", 1, 1, 9, 9)])
    return tmp_path / "images"


def add(root, case):
    annotation, image = CASES[case][:2]
    (root / "bad.xml").write_bytes(annotation if isinstance(annotation, bytes) else annotation.encode("utf-8"))
    if image is not None:
        (root / "bad.jpg").write_bytes(image_bytes(9) if image is True else image)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.replace(" ", "-"))
def test_refuses(tmp_path, root, case):
    code, line, number, message = CASES[case][2:6]
    add(root, case)
    with pytest.raises(StageError) as caught:
        ingest(tmp_path / "out", root, classes=["cat", "dog"])
    error = caught.value
    file = "bad.jpg" if code.startswith("image-") and code != "image-missing" else "bad.xml"
    assert error.where == (file if line is None else "%s:%d" % (file, line))
    assert error.what == "the dataset has 1 problem: 1 %s" % code
    assert message in error.found
    assert error.found.endswith("[%s]" % code)
    assert error.found.startswith(error.where + (":" if number is None else ": object %d:" % number))
    assert ("on_error: drop" in error.remedy) == (CASES[case][6] != "refused")
    assert not (tmp_path / "out" / "output" / "dataset.json").exists()


@pytest.mark.parametrize("policy", ["drop", "clip"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.replace(" ", "-"))
def test_drops_or_clips(tmp_path, root, case, policy):
    code, line, number = CASES[case][2:5]
    action = CASES[case][6 if policy == "drop" else 7]
    add(root, case)
    if action == "refused":
        with pytest.raises(StageError, match=code):
            ingest(tmp_path / "out", root, classes=["cat", "dog"], on_error=policy)
        return
    task = ingest(tmp_path / "out", root, classes=["cat", "dog"], on_error=policy)
    problems = [problem for problem in task_json(task, "audit.json")["problems"] if problem["severity"] == "error"]
    assert [(problem["code"], problem["line"], problem["object"], problem["action"]) for problem in problems] == [
        (code, line, number, action)
    ]
    images = {image["name"]: image for image in datasets.load(task.output).images()}
    if number is None:
        assert set(images) == {"good1.jpg", "good2.jpg"}  # the image goes with its annotation
    else:
        assert set(images) == {"good1.jpg", "good2.jpg", "bad.jpg"}
        boxes = [item["bbox"] for item in images["bad.jpg"]["objects"]]
        assert len(boxes) == (action in ("clipped", "fixed"))
        assert all(0 <= box[0] < box[2] <= WIDTH and 0 <= box[1] < box[3] <= HEIGHT for box in boxes)
    assert any(code in warning and action in warning for warning in task.warnings)
    assert not any("image-unlabelled" in warning for warning in task.warnings)  # bad.jpg has an annotation, though an unusable one
    kept = {image["file"] for image in images.values()}
    assert {"images/" + path.name for path in (task.output / "images").iterdir()} == kept


def task_json(task, name):
    return json.loads((task.output / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("corners", "clipped"),
    [
        ((-5, -5, 9, 9), [0, 0, 9, 9]),
        ((50, 40, 99, 99), [50, 40, 64, 48]),
        ((-1e9, 3, 1e9, 5), [0, 3, 64, 5]),
        (("63.5", 0, "64.5", 48), [63.5, 0, 64, 48]),
    ],
)
def test_clips_at_the_edges(tmp_path, root, corners, clipped):
    (root / "bad.xml").write_text(boxed(*corners))
    (root / "bad.jpg").write_bytes(image_bytes(9))
    task = ingest(tmp_path / "out", root, on_error="clip")
    assert datasets.load(task.output).images()[0]["objects"][0]["bbox"] == clipped


def test_all_problems_are_collected_and_the_first_ten_shown(tmp_path, root, capfd):
    for number in range(14):
        write_pair(root, "x%02d" % number, [("cat", 9, 1, 9, 9), ("dog", 1, 1, 99, 9)])
    with pytest.raises(StageError) as caught:
        ingest(tmp_path / "out", root)
    error = caught.value
    assert error.what == "the dataset has 28 problems: 14 box-empty, 14 box-outside"
    assert len(error.found.splitlines()) == 11
    assert error.found.splitlines()[-1] == "… and 18 more"
    assert "`ingest: {params: {on_error: drop}}`" in error.remedy
    log = capfd.readouterr().out
    assert sum(line.startswith("error (refused): x") for line in log.splitlines()) == 28


def test_one_image_annotated_twice(tmp_path, root):
    (root / "copy.xml").write_text(voc("good1.jpg"))
    with pytest.raises(StageError, match="annotated-twice") as caught:
        ingest(tmp_path / "out", root)
    assert "good1.jpg is annotated by copy.xml already" in caught.value.found


CVAT_IMAGE = '<image id="%d" name="good1.jpg" width="64" height="48">\n<box label="cat" xtl="1" ytl="1" xbr="9" ybr="9"/>\n</image>\n'


def test_one_image_told_twice_in_one_file(tmp_path):
    root = tmp_path / "images"
    root.mkdir()
    (root / "good1.jpg").write_bytes(image_bytes())
    text = "<annotations>\n<version>1.1</version>\n" + CVAT_IMAGE % 0 + CVAT_IMAGE % 1 + "</annotations>\n"
    (root / "annotations.xml").write_text(text)
    with pytest.raises(StageError, match="annotated-twice") as caught:
        ingest(tmp_path / "out", root)
    assert caught.value.where == "annotations.xml:6"
    assert "good1.jpg is annotated in line 3 already" in caught.value.found


@pytest.mark.parametrize("other", ["test", "val"])
def test_the_same_image_in_two_splits_is_refused_or_leaves_train(tmp_path, other):
    root = tmp_path / "images"
    write_pair(root / "train", "a", seed=1)
    write_pair(root / "train", "b", seed=2)
    write_pair(root / other, "c", seed=1)
    splits = {"train": {"folder": "train"}, other: {"folder": other}}
    with pytest.raises(StageError, match="duplicate-across-splits") as caught:
        ingest(tmp_path / "out", root, splits=splits)
    assert caught.value.found.endswith("what is trained on must not be measured on [duplicate-across-splits]")
    assert "train/a.jpg: the same image is %s/c.jpg in split %s" % (other, other) in caught.value.found
    task = ingest(tmp_path / "dropped", root, splits=splits, on_error="drop")
    assert {image["name"] for image in datasets.load(task.output).images()} == {"train/b.jpg", other + "/c.jpg"}


def test_the_same_image_in_two_splits_that_measure(tmp_path):
    root = tmp_path / "images"
    for split, seed in (("train", 1), ("test", 2), ("val", 2)):
        write_pair(root / split, "a", seed=seed)
    with pytest.raises(StageError, match="duplicate-across-splits") as caught:
        ingest(tmp_path / "out", root)
    assert "val/a.jpg: the same image is test/a.jpg in split test: it belongs in one of them" in caught.value.found


def test_thousands_of_copies_of_one_image_take_no_more_time_than_others(tmp_path):
    """Each looked at with each other would be 900 million pairs."""
    assembly, splitting, problems = (load("ingest", name) for name in ("assembly", "splitting", "audit/problems"))
    facts = load("ingest", "pictures/image_files").Checked("same", 1, "JPEG", WIDTH, HEIGHT, 1, 0)
    drafts = [assembly.Draft(row, "%05d.jpg" % row, "a.csv", facts, "train", False) for row in range(30000)]
    objects = assembly.Objects(*(np.empty((0, 4)) if name == "box" else np.empty(0, np.int64) for name in assembly.Objects._fields))
    started = time.process_time()
    kept, _ = splitting.settle_duplicates(drafts, objects, problems.Audit("drop", tmp_path / "problems.jsonl"))
    splitting.report_similar(
        [*drafts[1:], assembly.Draft(0, "z.jpg", "a.csv", facts, "val", False)],
        [list(range(30000))],
        problems.Audit("drop", tmp_path / "p"),
    )
    assert time.process_time() - started < 10
    assert len(kept) == 30000


def test_a_label_that_is_no_class_is_compared_with_the_classes_once(tmp_path, root, monkeypatch):
    assembly = sys.modules["assembly"]
    asked, nearest = [], assembly._nearest
    monkeypatch.setattr(assembly, "_nearest", lambda label, classes: asked.append(label) or nearest(label, classes))
    write_pair(root, "emus", [("emu", corner, 1, 30, 30) for corner in range(9)] + [("gnu", 1, 1, 9, 9)])
    task = ingest(tmp_path / "out", root, classes=["cat", "dog"], on_error="drop")
    assert sorted(asked) == ["emu", "gnu"]
    assert task_json(task, "audit.json")["counts"]["codes"] == {"label-unknown": 10}


@pytest.mark.parametrize(
    ("policy", "classes"), [("refuse", []), ("refuse", ["cat", "dog"]), ("drop", ["cat", "dog"]), ("clip", ["cat", "dog"])]
)
def test_a_class_without_training_examples_is_refused(tmp_path, policy, classes):
    root = tmp_path / "images"
    write_pair(root / "train", "a")
    write_pair(root / "test", "b", [("dog", 1, 1, 9, 9)])
    with pytest.raises(StageError, match="class-unseen") as caught:
        ingest(tmp_path / "out", root, on_error=policy, classes=classes)
    assert "the class dog has no example in the train split" in caught.value.found
    assert "leave it out of `classes`" in caught.value.remedy


def test_a_class_without_training_examples_that_nobody_asked_for_can_be_dropped(tmp_path):
    root = tmp_path / "images"
    write_pair(root / "train", "a", [("cat", 1, 1, 9, 9), ("emu", 1, 1, 9, 9)])
    write_pair(root / "test", "b", [("dog", 1, 1, 9, 9), ("emu", 2, 2, 9, 9), ("cat", 3, 3, 9, 9)])
    dataset = datasets.load(ingest(tmp_path / "out", root, on_error="drop").output)
    assert dataset.classes == ["cat", "emu"]
    assert [item["class"] for item in dataset.images("test")[0]["objects"]] == ["emu", "cat"]


def test_a_class_without_test_examples_is_a_warning(tmp_path):
    root = tmp_path / "images"
    write_pair(root / "train", "a", [("dog", 1, 1, 9, 9), ("cat", 1, 1, 9, 9)])
    write_pair(root / "test", "b")
    task = ingest(tmp_path / "out", root, splits={"train": {"folder": "train"}, "test": {"folder": "test"}})
    assert [(problem["code"], problem["severity"], problem["file"]) for problem in task_json(task, "audit.json")["problems"]] == [
        ("class-unmeasured", "warning", "test")
    ]


@pytest.mark.parametrize("policy", ["drop", "clip"])
def test_a_split_of_which_nothing_is_left_is_refused(tmp_path, policy):
    root = tmp_path / "images"
    write_pair(root / "train", "a")
    write_pair(root / "val", "b")
    (root / "val" / "b.jpg").write_bytes(b"")
    with pytest.raises(StageError, match="split-empty"):
        ingest(tmp_path / "out", root, splits={"train": {"folder": "train"}, "val": {"folder": "val"}}, on_error=policy)


def test_images_without_any_object(tmp_path):
    write_pair(tmp_path / "images", "a", [])
    with pytest.raises(StageError, match="no objects"):
        ingest(tmp_path / "out", tmp_path / "images")


def test_a_file_name_that_is_not_utf8(tmp_path, root):
    folder = os.fsencode(str(root))
    with open(os.path.join(folder, b"caf\xe9.jpg"), "wb") as stream:
        stream.write(image_bytes(9))
    with open(os.path.join(folder, b"caf\xe9.xml"), "w") as stream:
        stream.write(voc(""))
    with pytest.raises(StageError, match="name-not-utf8") as caught:
        ingest(tmp_path / "out", root)
    assert caught.value.where == "caf\\udce9.xml"


@pytest.mark.parametrize("policy", ["refuse", "drop"])
def test_an_image_name_that_is_not_utf8(tmp_path, policy):
    """YOLO's images are read though nothing is written about them."""
    root = tmp_path / "images"
    root.mkdir()
    (root / "classes.txt").write_text("cat\n")
    for place, name in enumerate((b"a", b"caf\xe9")):
        for suffix, data in ((b".jpg", image_bytes(place)), (b".txt", b"0 0.5 0.5 0.2 0.2\n")):
            with open(os.path.join(os.fsencode(str(root)), name + suffix), "wb") as stream:
                stream.write(data)
    if policy == "refuse":
        with pytest.raises(StageError, match="2 name-not-utf8") as caught:
            ingest(tmp_path / "out", root)
        assert "caf\\udce9.jpg: the image's name is not UTF-8" in caught.value.found
        return
    task = ingest(tmp_path / "out", root, on_error=policy)
    assert [image["name"] for image in datasets.load(task.output).images()] == ["a.jpg"]


@pytest.mark.parametrize("name", ["x" * 300 + "/bad.jpg", "x/" * 3000 + "bad.jpg"], ids=["name", "path"])
def test_a_name_longer_than_names_of_files_are(tmp_path, root, name):
    (root / "bad.xml").write_text(voc(name))
    with pytest.raises(StageError, match="image-missing"):
        ingest(tmp_path / "out", root)


def test_a_pipe_where_the_image_should_be(tmp_path, root):
    """To open it would wait for ever."""

    def stop(_signal, _frame):
        pytest.fail("it waits")

    (root / "bad.xml").write_text(voc("bad.jpg"))
    os.mkfifo(root / "bad.jpg")
    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(30)
    try:
        task = ingest(tmp_path / "out", root, on_error="drop")
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert task_json(task, "audit.json")["counts"]["codes"] == {"image-unreadable": 1}


def test_a_folder_that_is_not_to_be_read(tmp_path, root, monkeypatch):
    def refuse(folder):
        raise PermissionError(13, "Permission denied", folder)

    monkeypatch.setattr(sys.modules["pictures.image_files"].os, "listdir", refuse)
    with pytest.raises(StageError, match="cannot be read: Permission denied") as caught:
        ingest(tmp_path / "out", root)
    assert caught.value.where == str(root)
    assert "chmod" in caught.value.remedy


def test_a_file_that_is_not_to_be_read(tmp_path, root):
    """As root everything is readable, so a folder stands where the image should be, and a dangling link for the annotation."""
    (root / "bad.xml").write_text(voc("bad.jpg"))
    (root / "bad.jpg").mkdir()
    with pytest.raises(StageError, match="image-unreadable") as caught:
        ingest(tmp_path / "out", root)
    assert "Is a directory" in caught.value.found


def test_a_stage_named_otherwise_is_named_in_the_remedy(run_stage, tmp_path):
    from voc_files import defaults

    write_pair(tmp_path / "images", "a", [("cat", 9, 9, 1, 1)])
    outcome = run_stage("ingest", dict(defaults("ingest"), path=str(tmp_path / "images")), {"images": None})
    assert outcome.code == 1
    assert outcome.error["what"] == "the dataset has 1 problem: 1 box-inverted"
    assert outcome.log.rstrip().endswith("error: the dataset has 1 problem: 1 box-inverted")
    assert "Traceback" not in outcome.log
