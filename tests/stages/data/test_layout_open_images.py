"""The reader of Open Images' tables."""

import json

import pytest
from _runtime import StageError
from hypothesis import example, given
from hypothesis import strategies as st
from table_parts import check_error, check_parts, module, read_parts, told, write

csv_blocks, layouts, masks, places = module("formats.csv_blocks"), module("layouts"), module("layouts.open_images_masks"), module("places")
LAYOUT = layouts.BY_NAME["open-images"]
HEADER = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside\n"
ROW = "aa,xclick,/m/cat,1,0.125,0.5,0.25,1,0,0,0,0,0\n"
CAT = ("aa", "Cat", (0.125, 0.25, 0.5, 1.0), 0, 2, None)
NAMES = "/m/cat,Cat\n/m/dog,Dog\n/m/pet,Pet\n"
LABELS = "ImageID,Source,LabelName,Confidence\n"
MASKS = "MaskPath,ImageID,LabelName,BoxID,BoxXMin,BoxXMax,BoxYMin,BoxYMax,PredictedIoU,Clicks\n"
TRUNCATED, GROUP_OF, OCCLUDED, DEPICTION = 2, 4, 16, 32
BOXES = "train-annotations-bbox.csv"
USUAL = {BOXES: HEADER + ROW, "class-descriptions-boxable.csv": NAMES}


def read(tmp_path, files, spec=None, split="train"):
    """(images, objects, findings) of a folder with USUAL and the files."""
    root = write(tmp_path / "root", {**USUAL, **files})
    return told(read_parts("open-images", root, tmp_path, spec, split))


def source(tmp_path, files, spec=None, split="train"):
    root = write(tmp_path / "root", files)
    return LAYOUT.source(places.Places(root, "ingest"), split, {"folder": "."} if spec is None else spec)


def test_boxes_are_fractions_by_column_name_and_labels_are_names(tmp_path):
    assert read(tmp_path, {}) == ({"aa": (0, 0, ())}, [CAT], [])
    parts = read_parts("open-images", tmp_path / "root", tmp_path)
    assert {part.unit for part in parts} == {"fraction"}


READ_ALIKE = {
    "V7's columns of extreme points": (HEADER.strip() + ",XClick1X,XClick2X\n" + ROW.strip() + ",0.1,-1\n", NAMES),
    "descriptions with a header": (HEADER + ROW, "LabelName,DisplayName\n" + NAMES),
    "a quoted name": (HEADER + ROW, '/m/cat,"Cat"\n/m/dog,"Dog, wild"\n'),
    "the challenge's columns": ("ImageID,LabelName,XMin,XMax,YMin,YMax,IsGroupOf\naa,/m/cat,0.125,0.5,0.25,1,0\n", NAMES),
    "unknown flags": (HEADER + ROW.replace("0,0,0,0,0", "-1,-1,-1,-1,-1"), NAMES),
    "no flags": (HEADER + ROW.replace("0,0,0,0,0", ",,,,"), NAMES),
}


@pytest.mark.parametrize("case", READ_ALIKE, ids=lambda case: case.replace(" ", "-"))
def test_reads_the_versions_alike(tmp_path, case):
    boxes, names = READ_ALIKE[case]
    assert read(tmp_path, {BOXES: boxes, "class-descriptions-boxable.csv": names})[1:] == ([CAT], [])


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("1,0,0,0,0", OCCLUDED),
        ("0,1,0,0,0", TRUNCATED),
        ("0,0,1,0,0", GROUP_OF),
        ("0,0,0,1,0", DEPICTION),
        ("0,0,0,0,1", 0),
        ("1,1,1,1,1", 54),
    ],
)
def test_flags(tmp_path, flags, expected):
    assert read(tmp_path, {BOXES: HEADER + ROW.replace("0,0,0,0,0", flags)})[1][0][3] == expected


# a further line, way, code, part of the message
BAD_LINES = {
    "too few cells": ("aa,xclick,/m/cat\n", "bad", "csv-line", "3 cells, where the header has 13"),
    "not a number": (ROW.replace("0.125", "left"), "bad", "box-not-a-number", "/m/cat: XMin is left"),
    "missing": (ROW.replace("0.25", ""), "bad", "box-incomplete", "/m/cat: YMin is missing"),
    "no label": (ROW.replace("/m/cat", ""), "bad", "label-empty", "no LabelName"),
    "leads out": (ROW.replace("aa", "../aa"), "refuse", "filename-outside", "ImageID ../aa leads out"),
}


@pytest.mark.parametrize("case", BAD_LINES, ids=lambda case: case.replace(" ", "-"))
def test_names_the_line_and_goes_on(tmp_path, case):
    line, way, code, message = BAD_LINES[case]
    _, objects, findings = read(tmp_path, {BOXES: HEADER + ROW + line + ROW})
    assert [item[4] for item in objects] == [2, 4]
    assert [item[:3] + item[4:] for item in findings] == [(way, code, BOXES, 3, None)]
    assert message in findings[0][3]


@pytest.mark.parametrize("value", ["2", "yes"])
def test_a_flag_that_is_none_is_doubted(tmp_path, value):
    _, objects, findings = read(tmp_path, {BOXES: HEADER + ROW + ROW.replace("0,0,0,0,0", "0,0,%s,0,0" % value)})
    assert [item[3] for item in objects] == [0, 0]
    assert [(item[1], item[3], item[4]) for item in findings] == [
        ("flag-unclear", "IsGroupOf is %s, where 1, 0 or -1 was expected; taken as 0" % value, 3)
    ]


def test_a_label_without_a_description_is_told_once_with_its_number(tmp_path):
    unknown = ROW.replace("/m/cat", "/m/0x")
    images, objects, findings = read(tmp_path, {BOXES: HEADER + unknown + ROW.replace("aa", "bb") + unknown * 2})
    assert [item[0] for item in objects] == ["bb"]
    assert list(images) == ["aa", "bb"]
    assert findings == [
        ("bad", "label-undescribed", BOXES, "LabelName /m/0x is not in class-descriptions-boxable.csv: 3 lines are left out", 2, None)
    ]


def test_what_one_run_knows_is_not_taken_for_the_next(tmp_path):
    for name in ("Cat", "Chat"):
        assert read(tmp_path, {"class-descriptions-boxable.csv": "/m/cat,%s\n" % name})[1][0][1] == name


def test_without_descriptions_the_labels_are_the_names(tmp_path):
    root = write(tmp_path / "root", {BOXES: HEADER + ROW})
    _, objects, findings = told(read_parts("open-images", root, tmp_path))
    assert [item[1] for item in objects] == ["/m/cat"]
    assert [item[:2] for item in findings] == [("doubt", "classes-undescribed")]


def test_classes_are_in_the_order_of_the_descriptions_and_each_has_its_name(tmp_path):
    names = "LabelName,DisplayName\n/m/dog,Mouse\n/m/cat,Cat\n/m/x,Mouse\n/m/y,\n/m/cat,Chat\n"
    found = source(tmp_path, {**USUAL, "class-descriptions-boxable.csv": names})
    assert found.options["classes"] == ["Mouse", "Cat", "Mouse (/m/x)", " (/m/y)"]


def test_the_hierarchy_has_kinds_without_parts_and_without_the_root(tmp_path):
    eye = {"LabelName": "/m/eye", "Subcategory": [{"LabelName": "/m/lens"}]}
    pet = {"LabelName": "/m/pet", "Subcategory": [{"LabelName": "/m/cat", "Part": [eye]}, {"LabelName": "/m/dog"}]}
    tree = {"LabelName": "/m/0bl9f", "Subcategory": [pet, {"LabelName": "/m/cat"}]}
    found = source(tmp_path, {**USUAL, "bbox_labels_600_hierarchy.json": json.dumps(tree)})
    assert found.options["hierarchy"] == {"Pet": ["Cat", "Dog"], "/m/eye": ["/m/lens"]}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"LabelName": 1, "Subcategory": 2}', '{"LabelName": "a", "Part": [3]}', "[" * 100000])
def test_a_hierarchy_that_is_none(tmp_path, text):
    with pytest.raises(StageError, match="hierarchy cannot be read") as caught:
        source(tmp_path, {**USUAL, "hierarchy.json": text})
    assert caught.value.where == "hierarchy.json"


def test_labels_of_images_are_there_or_not(tmp_path):
    table = LABELS + "aa,verification,/m/dog,0\nbb,verification,/m/cat,1\naa,verification,/m/cat,1\naa,machine,/m/pet,0.7\n"
    images, objects, findings = read(tmp_path, {"train-annotations-human-imagelabels.csv": table})
    assert images == {"aa": (0, 0, (("Dog", False), ("Cat", True))), "bb": (0, 0, (("Cat", True),))}
    assert objects == [CAT]
    assert [(item[1], item[4]) for item in findings] == [("label-unsure", 5)]


def test_labels_of_machines_are_not_read(tmp_path):
    images, _, _ = read(tmp_path, {"train-annotations-machine-imagelabels.csv": LABELS + "bb,machine,/m/dog,0.9\n"})
    assert list(images) == ["aa"]


def test_a_list_chooses_images(tmp_path):
    files = {
        BOXES: HEADER + ROW + ROW.replace("aa", "bb") + ROW.replace("aa", "cc"),
        "train-annotations-human-imagelabels.csv": LABELS + "bb,v,/m/dog,1\ndd,v,/m/dog,1\n",
        "list.txt": "train/aa\ncc.jpg\ndd\n",
    }
    images, objects, _ = read(tmp_path, files, {"list": "list.txt", "annotations": "."})
    assert sorted(images) == ["aa", "cc", "dd"]
    assert [item[0] for item in objects] == ["aa", "cc"]


def mask(name="m.png", image="aa", label="/m/cat", box="0.125,0.5,0.25,1"):
    return "%s,%s,%s,1234,%s,0.9,\n" % (name, image, label, box)


def masked(tmp_path, boxes, rows, pictures=("m.png",)):
    """(objects as (line, label, mask's picture), findings)."""
    files = {BOXES: HEADER + boxes, "train-annotations-object-segmentation.csv": MASKS + rows}
    files.update({"train-masks-0/" + name: b"" for name in pictures})
    _, objects, findings = read(tmp_path, files)
    folder = str(tmp_path / "root" / "train-masks-0") + "/"
    assert all(item[5] is None or item[5]["mask"]["values"] is None for item in objects)
    return [(item[4], item[1], item[5] and item[5]["mask"]["picture"].replace(folder, "")) for item in objects], findings


# rows of boxes, rows of masks, (line, class, picture) of the objects
MASKED = {
    "the same box": (ROW, mask(), [(2, "Cat", "m.png")]),
    "rounded otherwise": (ROW, mask(box="0.1251,0.4999,0.25,0.9995"), [(2, "Cat", "m.png")]),
    "another label": (ROW, mask(label="/m/dog"), [(2, "Cat", None), (2, "Dog", "m.png")]),
    "another image": (ROW, mask(image="bb"), [(2, "Cat", None), (2, "Cat", "m.png")]),
    "another box": (ROW, mask(box="0.13,0.5,0.25,1"), [(2, "Cat", None), (2, "Cat", "m.png")]),
    "the nearest of two boxes": (
        ROW + ROW.replace("0.125", "0.3"),
        mask("n.png", box="0.3,0.5,0.25,1") + mask(),
        [(2, "Cat", "m.png"), (3, "Cat", "n.png")],
    ),
    "the nearest of two masks": (ROW, mask("n.png", box="0.1255,0.5,0.25,1") + mask(), [(2, "Cat", "m.png"), (2, "Cat", "n.png")]),
    "a bad box": (ROW.replace("0.125", "x"), mask(), [(2, "Cat", "m.png")]),
}


@pytest.mark.parametrize("case", MASKED, ids=lambda case: case.replace(" ", "-"))
def test_a_mask_belongs_to_the_box_that_it_was_drawn_in(tmp_path, case):
    boxes, rows, expected = MASKED[case]
    assert masked(tmp_path, boxes, rows, ["m.png", "n.png"])[0] == expected


def test_a_mask_of_no_box_brings_its_own(tmp_path):
    files = {"train-annotations-object-segmentation.csv": MASKS + mask(), "masks/m.png": b"", "class-descriptions.csv": NAMES}
    root = write(tmp_path / "root", files)
    images, objects, findings = told(read_parts("open-images", root, tmp_path))
    assert [item[:5] for item in objects] == [CAT[:5]]
    assert (images, findings) == ({"aa": (0, 0, ())}, [])


# rows of masks, code, part of the message, line
BAD_MASKS = {
    "pictures missing": (mask("x.png") + mask("y.png", image="bb") + mask("z.png", image="bb"), "mask-missing", "no mask picture x.png", 2),
    "a path that leads out": (mask("../m.png"), "mask-missing", "MaskPath ../m.png is no file's name", 2),
    "a number that is none": (mask() + mask("n.png", box="a,0.5,0.25,1"), "box-not-a-number", "BoxXMin is a", 3),
    "a label without a description": (mask() + mask("n.png", label="/m/0x"), "label-undescribed", "/m/0x is not in", 3),
}


@pytest.mark.parametrize("case", BAD_MASKS, ids=lambda case: case.replace(" ", "-"))
def test_a_mask_that_is_of_no_use(tmp_path, case):
    rows, code, message, line = BAD_MASKS[case]
    objects, findings = masked(tmp_path, ROW, rows)
    assert objects[0][:2] == (2, "Cat")
    assert (findings[0][1], findings[0][4]) == (code, line)
    assert message in findings[0][3]


def test_masks_without_pictures_are_a_note(tmp_path):
    _, objects, findings = read(tmp_path, {"train-annotations-object-segmentation.csv": MASKS + mask()})
    assert objects == [CAT]
    assert [item[:3] for item in findings] == [("note", "masks-unread", "train-annotations-object-segmentation.csv")]


def test_rotation_is_a_note(tmp_path):
    findings = read(tmp_path, {"train-images-with-rotation.csv": "ImageID,Subset,Rotation\naa,train,90.0\n"})[2]
    assert [item[:3] for item in findings] == [("note", "rotation-unread", "train-images-with-rotation.csv")]


# files, natural splits
SPLITS = {
    "V6's names": (
        ["oidv6-train-annotations-bbox.csv", "validation-annotations-bbox.csv", "test-annotations-bbox.csv"],
        ["test", "train", "val"],
    ),
    "the challenge's names": (
        ["challenge-2019-train-detection-bbox.csv", "challenge-2019-validation-detection-bbox.csv"],
        ["train", "val"],
    ),
    "in a folder": (["annotations/train-annotations-bbox.csv", "annotations/test-annotations-bbox.csv"], ["test", "train"]),
    "no train": (["test-annotations-bbox.csv"], None),
    "no split": (["labels/detections.csv"], None),
}


@pytest.mark.parametrize("case", SPLITS, ids=lambda case: case.replace(" ", "-"))
def test_splits_by_the_tables_names(tmp_path, case):
    files, splits = SPLITS[case]
    write(tmp_path, dict.fromkeys(files, HEADER))
    assert LAYOUT.fits(tmp_path)
    found = LAYOUT.splits(tmp_path)
    assert found == (splits and {split: {"folder": "."} for split in splits})
    for split in splits or ():
        assert len(LAYOUT.source(places.Places(tmp_path, "ingest"), split, found[split]).files) == 1


# files, specification, split, the table, the folders of images
PLACES = {
    "images in the split's folder": ([BOXES, "train/a.jpg"], {"folder": "."}, "train", BOXES, ["train", "."]),
    "images in images": (
        ["annotations/" + BOXES, "images/train/a.jpg"],
        {"annotations": "annotations/" + BOXES},
        "train",
        "annotations/" + BOXES,
        ["annotations", "images/train", "images", "."],
    ),
    "the split val is validation": (
        ["validation-annotations-bbox.csv", "validation/a.jpg"],
        {"folder": "."},
        "val",
        "validation-annotations-bbox.csv",
        ["validation", "."],
    ),
    "FiftyOne's": (
        ["train/labels/detections.csv", "train/data/a.jpg"],
        {"folder": "train"},
        "train",
        "train/labels/detections.csv",
        ["train/data", "train", "."],
    ),
    "another split is all there is": (
        ["validation-annotations-bbox.csv"],
        {"folder": "."},
        "train",
        "validation-annotations-bbox.csv",
        ["."],
    ),
    "told": ([BOXES, "photos/a.jpg"], {"folder": ".", "images": "photos"}, "train", BOXES, ["photos"]),
}


@pytest.mark.parametrize("case", PLACES, ids=lambda case: case.replace(" ", "-"))
def test_finds_tables_and_images(tmp_path, case):
    files, spec, split, table, images = PLACES[case]
    found = source(tmp_path, {name: HEADER if name.endswith("csv") else b"" for name in files}, spec, split)
    root = tmp_path / "root"
    assert found.files == [root / table]
    assert sorted(found.images) == sorted(root / name for name in images)


# files, specification, what is said, part of the remedy
NO_SOURCE = {
    "two tables for a split": ({BOXES: HEADER, "oidv6-" + BOXES: HEADER}, {"folder": "."}, "several tables of boxes", "annotations: FILE"),
    "two tables of labels": (
        {BOXES: HEADER, "train-a.csv": LABELS, "train-b.csv": LABELS},
        {"folder": "."},
        "several tables of image labels",
        "image_labels: FILE",
    ),
    "no table": ({"a.csv": "a,b\n"}, {"folder": "."}, "no table of boxes for the split train", "annotations: FILE"),
    "a table of another kind": ({"a.csv": LABELS}, {"annotations": "a.csv"}, "no table of boxes", "annotations: FILE"),
    "descriptions without names": (
        {BOXES: HEADER, "class-descriptions.csv": "/m/cat\n"},
        {"folder": "."},
        "descriptions have no names",
        "download",
    ),
}


@pytest.mark.parametrize("case", NO_SOURCE, ids=lambda case: case.replace(" ", "-"))
def test_a_split_that_cannot_be_found(tmp_path, case):
    files, spec, what, remedy = NO_SOURCE[case]
    with pytest.raises(StageError, match=what) as caught:
        source(tmp_path, files, spec)
    assert remedy in caught.value.remedy


# key, files, what it changes
OPTIONS = {
    "image_labels": ({"x/l.csv": LABELS + "zz,v,/m/dog,1\n"}, "x/l.csv"),
    "masks": ({"x/m.csv": MASKS + mask(image="zz"), "masks/m.png": b""}, "x/m.csv"),
}


@pytest.mark.parametrize("key", OPTIONS)
def test_tables_that_the_pipeline_names(tmp_path, key):
    files, value = OPTIONS[key]
    assert "zz" in read(tmp_path, files, {"folder": ".", key: value})[0]


def test_the_folder_of_masks_and_the_names_that_the_pipeline_names(tmp_path):
    files = {
        "train-annotations-object-segmentation.csv": MASKS + mask(),
        "pictures/m.png": b"",
        "x/names.csv": "/m/cat,Katze\n",
        "x/tree.json": '{"LabelName": "/m/cat", "Subcategory": [{"LabelName": "/m/dog"}]}',
    }
    spec = {"folder": ".", "mask_images": "pictures", "class_descriptions": "x/names.csv", "hierarchy": "x/tree.json"}
    _, objects, _ = read(tmp_path, files, spec)
    assert [(item[1], item[5]["mask"]["picture"]) for item in objects] == [("Katze", str(tmp_path / "root" / "pictures" / "m.png"))]
    assert source(tmp_path, {}, spec).options["hierarchy"] == {"Katze": ["/m/dog"]}


def test_the_dataset_that_others_test_with(shared_data, tmp_path):
    root = shared_data("datasets") / "datumaro_assets/tests/assets/open_images_dataset/v6"
    images, objects, _ = told(read_parts("open-images", root, tmp_path))
    assert images == {"a": (0, 0, (("Generic label #0", True),)), "b": (0, 0, (("Generic label #0", False),))}
    picture = {"picture": str(root / "masks/train/b_m0_01234567.png"), "values": None}
    assert objects == [("b", "Generic label #0", (0.2, 0.3, 1.0, 0.5), 0, 2, {"mask": picture})]
    assert LAYOUT.source(places.Places(root, "ingest"), "test", {"folder": "."}).options["hierarchy"] == {
        "Generic label #0": ["Generic label #1"]
    }


FRACTIONS = st.sampled_from(["0", "0.1", "0.1004", "0.5", "1", "", "x"])
LINES = st.tuples(st.sampled_from("ab"), st.sampled_from(["/m/cat", "/m/dog", ""]), FRACTIONS, FRACTIONS)
BOX_LINES = st.lists(LINES.map(lambda row: "%s,x,%s,1,%s,1,%s,1,0,1,-1,0,0\n" % row), max_size=10).map("".join)
MASK_LINES = st.lists(LINES.map(lambda row: "m.png,%s,%s,1,%s,1,%s,1,0.5,\n" % row), max_size=5).map("".join)


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    folder = tmp_path_factory.mktemp("open-images")
    write(folder / "root", {**USUAL, "masks/m.png": b""})
    return folder


@given(BOX_LINES, MASK_LINES, st.integers(1, 150))
@example(ROW * 3, mask() * 2, 20)
def test_blocks_that_end_anywhere_say_the_same(room, boxes, rows, size):
    write(room / "root", {BOXES: HEADER + boxes, "train-masks.csv": MASKS + rows})
    whole = told(read_parts("open-images", room / "root", room))
    before, csv_blocks.BLOCK = csv_blocks.BLOCK, size
    try:
        pieces = told(read_parts("open-images", room / "root", room))
    finally:
        csv_blocks.BLOCK = before
    assert pieces[:2] == whole[:2]
    assert sorted(pieces[2], key=str) == sorted(whole[2], key=str)


@given(st.sampled_from([BOXES, "class-descriptions-boxable.csv", "train-labels.csv", "train-masks.csv", "hierarchy.json"]), st.data())
def test_any_bytes_are_read_or_refused(room, name, data):
    good = {BOXES: HEADER + ROW, "class-descriptions-boxable.csv": NAMES, "train-labels.csv": LABELS + "aa,v,/m/dog,1\n"}
    good.update({"train-masks.csv": MASKS + mask(), "hierarchy.json": '{"LabelName": "/m/cat", "Subcategory": [{"LabelName": "/m/dog"}]}'})
    root = write(room / "fuzz", {**good, "masks/m.png": b""})
    old = good[name].encode()
    place, length, new = data.draw(st.tuples(st.integers(0, len(old)), st.integers(0, 30), st.binary(max_size=20)))
    write(root, {name: old[:place] + new + old[place + length :]})
    LAYOUT.fits(root)
    LAYOUT.splits(root)
    try:
        parts = read_parts("open-images", root, room)
    except StageError as error:
        check_error(error)
        return
    check_parts(parts)
