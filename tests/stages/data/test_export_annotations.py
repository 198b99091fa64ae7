"""Datasets written back as COCO JSON and Pascal VOC, which `ingest` reads as the same dataset again."""

import hashlib
import json
import math

import numpy as np
import pytest
import synthetic
from _detection import dataset as datasets
from _detection import rle as rles
from _runtime import StageError
from hypothesis import example, given
from hypothesis import strategies as st
from lxml import etree
from pycocotools.coco import COCO
from voc_files import HEIGHT, WIDTH, image_bytes, ingest, run_here

from stage_helpers import artifact, load

coco, names = load("export-annotations", "export_coco"), load("export-annotations", "export_names")

PIXELS = np.zeros((HEIGHT, WIDTH), bool)
PIXELS[10:20, 5:25] = True
MASK = rles.encode(PIXELS)


def picture(number, name, *objects, split="train", seed=None, kind="JPEG", **fields):
    """(an image's entry, its file's bytes)."""
    data = image_bytes(number if seed is None else seed, kind=kind)
    digest = hashlib.sha256(data).hexdigest()
    entry = synthetic.image(number, list(objects), split, WIDTH, HEIGHT)
    entry.update(name=name, format=kind, sha256=digest, bytes=len(data), file="images/%s.%s" % (digest, "jpg" if kind == "JPEG" else "png"))
    return {**entry, **fields}, data


def dataset(folder, *pictures, classes=("cat", "dog")):
    """A dataset artifact; its folder."""
    (folder / "images").mkdir(parents=True)
    for entry, data in pictures:
        (folder / entry["file"]).write_bytes(data)
    synthetic.dataset(folder, [entry for entry, _ in pictures], list(classes))
    return folder


@pytest.fixture
def export(tmp_path):
    """export(layout, pictures, …): the folder that the stage writes from a dataset of them."""

    def call(layout, *pictures, classes=("cat", "dog"), number=[0], **params):  # noqa: B006  counts the calls
        number[0] += 1
        made = dataset(tmp_path / ("dataset%d" % number[0]), *pictures, classes=classes)
        return again(tmp_path / ("export%d" % number[0]), made, layout=layout, **params)

    return call


def again(folder, made, **params):
    return run_here("export-annotations", folder, {"dataset": artifact("ingest", "dataset", made)}, **params).output


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


CAT = synthetic.obj("cat", 5, 10, 25.5, 20)
DOG = synthetic.obj("dog", 0, 0, WIDTH, HEIGHT)


def test_coco_has_a_file_for_each_split_and_images_in_folders_of_these(export):
    made = export("coco", picture(1, "sub/a.jpg", CAT), picture(2, "b.png", kind="PNG"), picture(3, "c.jpg", DOG, split="val"))
    assert files(made) == [
        "annotations/instances_train.json",
        "annotations/instances_val.json",
        "images/train/b.png",
        "images/train/sub/a.jpg",
        "images/val/c.jpg",
    ]
    assert (made / "images/train/sub/a.jpg").read_bytes() == image_bytes(1)


def test_coco_says_what_the_dataset_does(export):
    made = export("coco", picture(1, "sub/a.jpg", CAT, DOG), picture(2, "b.jpg"), picture(3, "c.jpg", CAT, split="val"))
    train = json.loads((made / "annotations/instances_train.json").read_text())
    assert train["categories"] == [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    assert train["images"] == [
        {"id": 1, "file_name": "sub/a.jpg", "width": WIDTH, "height": HEIGHT},
        {"id": 2, "file_name": "b.jpg", "width": WIDTH, "height": HEIGHT},
    ]
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 10, 20.5, 10], "area": 205, "segmentation": [], "iscrowd": 0}
    assert train["annotations"] == [box, dict(box, id=2, category_id=2, bbox=[0, 0, WIDTH, HEIGHT], area=WIDTH * HEIGHT)]
    val = json.loads((made / "annotations/instances_val.json").read_text())
    assert [(item["id"], item["image_id"]) for item in val["annotations"]] == [(3, 3)]


def test_pycocotools_reads_masks_and_crowds(export):
    made = export("coco", picture(1, "a.jpg", dict(CAT, mask=MASK, crowd=True), DOG))
    ground = COCO(str(made / "annotations/instances_train.json"))
    assert (ground.annToMask(ground.anns[1]) == PIXELS).all()
    assert ground.anns[1]["area"] == PIXELS.sum()
    assert [ground.anns[number]["iscrowd"] for number in (1, 2)] == [1, 0]


@pytest.mark.parametrize(
    ("flags", "iscrowd", "attributes"),
    [
        ([], 0, None),
        (["crowd"], 1, None),
        (["group_of"], 1, {"group_of": True}),
        (["group_of", "crowd"], 1, {"group_of": True, "crowd": True}),
        (["difficult", "truncated", "occluded", "depiction"], 0, dict.fromkeys(["difficult", "truncated", "occluded", "depiction"], True)),
    ],
)
def test_flags_in_coco(export, flags, iscrowd, attributes):
    made = export("coco", picture(1, "a.jpg", dict(CAT, **dict.fromkeys(flags, True))))
    told = json.loads((made / "annotations/instances_train.json").read_text())["annotations"][0]
    assert (told["iscrowd"], told.get("attributes")) == (iscrowd, attributes)


@given(st.floats(0, 1000), st.floats(0, 1000))
def test_a_boxs_far_edge_is_never_further_out(low, high):
    low, high = sorted((low, high))
    length = coco._length(low, high)
    assert low + length <= high
    assert math.isclose(low + length, high, abs_tol=1e-9)


def test_voc_has_a_file_for_each_image_and_a_list_for_each_split(export):
    made = export("voc", picture(1, "sub/a.jpg", CAT), picture(2, "b.png", kind="PNG"), picture(3, "c.jpg", DOG, split="val"))
    assert files(made) == [
        "Annotations/a.xml",
        "Annotations/b.xml",
        "Annotations/c.xml",
        "ImageSets/Main/train.txt",
        "ImageSets/Main/val.txt",
        "JPEGImages/a.jpg",
        "JPEGImages/b.png",
        "JPEGImages/c.jpg",
    ]
    assert (made / "ImageSets/Main/train.txt").read_text() == "a\nb\n"


def test_voc_says_what_the_dataset_does(export):
    item = dict(CAT, difficult=True, occluded=True, view="Left")
    root = etree.parse(str(export("voc", picture(1, "a.jpg", item)) / "Annotations/a.xml")).getroot()
    assert [root.findtext(tag) for tag in ("filename", "size/width", "size/height")] == ["a.jpg", str(WIDTH), str(HEIGHT)]
    told = {element.tag: element.text for element in root.find("object") if element.tag != "bndbox"}
    assert told == {"name": "cat", "pose": "Left", "truncated": "0", "difficult": "1", "occluded": "1"}
    assert [(element.tag, element.text) for element in root.find("object/bndbox")] == [
        ("xmin", "5"),
        ("ymin", "10"),
        ("xmax", "25.5"),
        ("ymax", "20"),
    ]


def test_odd_names_survive_xml(export):
    name = '<&> "it\'s"\t\u00e9\r\n\U0001f600'
    made = export("voc", picture(1, "<&>.jpg", synthetic.obj(name, 1, 1, 9, 9)), classes=[name])
    root = etree.parse(str(made / "Annotations/<&>.xml")).getroot()
    assert root.findtext("object/name") == name
    assert root.findtext("filename") == "<&>.jpg"


def test_a_class_that_xml_cannot_hold_is_refused(export):
    with pytest.raises(StageError, match="cannot be written in XML") as error:
        export("voc", picture(1, "a.jpg", synthetic.obj("a\x01", 1, 1, 9, 9)), classes=["a\x01"])
    assert "coco" in error.value.remedy


NAMES = [
    # layout, (split, name, format) …, expected
    ("coco", [("train", "a/x.jpg", "JPEG"), ("train", "b/x.jpg", "JPEG")], ["train/a/x.jpg", "train/b/x.jpg"]),
    ("coco", [("train", "x.jpg", "JPEG"), ("val", "x.jpg", "JPEG")], ["train/x.jpg", "val/x.jpg"]),
    ("coco", [("train", "x.bmp", "PNG"), ("train", "x.png", "PNG")], ["train/x_1.png", "train/x_2.png"]),
    ("coco", [("train", "x.jpg", "JPEG"), ("train", "X.jpg", "JPEG")], ["train/x_1.jpg", "train/X_2.jpg"]),
    (
        "coco",
        [("train", "x.JPEG", "JPEG"), ("train", "y.jpg", "PNG"), ("train", "z", "PNG")],
        ["train/x.JPEG", "train/y.png", "train/z.png"],
    ),
    ("coco", [("train", "a\nb.jpg", "JPEG"), ("train", ".a.jpg", "JPEG")], ["train/a_b.jpg", "train/_a.jpg"]),
    ("coco", [("train", "é" * 120 + ".gif", "PNG")], ["train/" + "é" * 115 + ".png"]),
    (
        "voc",
        [("train", "a" * 200 + "/x.jpg", "JPEG"), ("train", "b" * 200 + "/" + "c" * 99 + "/x.jpg", "JPEG")],
        ["a" * 200 + "_x.jpg", "b" * 128 + "_" + "c" * 99 + "_x.jpg"],
    ),
    ("voc", [("train", "a/x.jpg", "JPEG"), ("train", "b/x.jpg", "JPEG"), ("train", "b/y.jpg", "JPEG")], ["a_x.jpg", "b_x.jpg", "y.jpg"]),
    ("voc", [("train", "x.jpg", "JPEG"), ("val", "v/x.png", "PNG")], ["x.jpg", "v_x.png"]),
    ("voc", [("train", "x.jpg", "JPEG"), ("train", "x.png", "PNG")], ["x_1.jpg", "x_2.png"]),
    (
        "voc",
        [("train", "a/b_x.jpg", "JPEG"), ("train", "a/b/x.jpg", "JPEG"), ("train", "x.jpg", "JPEG")],
        ["b_x.jpg", "a_b_x.jpg", "x.jpg"],
    ),
    ("voc", [("train", "my photo 1.jpg", "JPEG"), ("train", "my photo.jpg", "JPEG")], ["my_photo_1.jpg", "my photo.jpg"]),
]


@pytest.mark.parametrize(("layout", "named", "expected"), NAMES)
def test_names_are_kept_where_they_can_be_and_never_shared(export, layout, named, expected):
    made = export(layout, *[picture(number, name, CAT, split=split, kind=kind) for number, (split, name, kind) in enumerate(named, 1)])
    images = made / ("images" if layout == "coco" else "JPEGImages")
    for number, (name, (_, _, kind)) in enumerate(zip(expected, named, strict=True), 1):
        assert (images / name).read_bytes() == image_bytes(number, kind=kind)
    assert len(files(images)) == len(named)


@given(
    st.dictionaries(
        st.integers(1, 50),
        st.lists(st.sampled_from(["a.jpg", "A.jpg", "a_1.jpg", "a_2.jpg", "a_1_2.jpg", "b.png"]), min_size=2, max_size=2),
    )
)
def test_distinct_names_are_distinct(wanted):
    chosen = names.distinct(list(wanted.items()), str.casefold)
    assert sorted(chosen) == sorted(wanted)
    assert len({name.casefold() for name in chosen.values()}) == len(wanted)


@pytest.mark.parametrize("layout", ["coco", "voc"])
def test_without_images_annotations_name_the_datasets_own(export, layout):
    made = export(layout, picture(1, "sub/a.bmp", CAT, kind="PNG"), images=False)
    assert not [name for name in files(made) if name.startswith(("images", "JPEG"))]
    if layout == "coco":
        told = json.loads((made / "annotations/instances_train.json").read_text())["images"][0]["file_name"]
    else:
        told = etree.parse(str(made / "Annotations/a.xml")).getroot().findtext("filename")
    assert told == "sub/a.bmp"


def test_what_a_layout_cannot_tell_is_said(tmp_path):
    item = dict(CAT, mask=MASK, crowd=True, weight=0.5, view="Left")
    made = dataset(tmp_path / "dataset", picture(1, "a.jpg", item, labels={"present": ["cat"], "absent": []}))
    inputs = {"dataset": artifact("ingest", "dataset", made)}
    told = {layout: run_here("export-annotations", tmp_path / layout, inputs, layout=layout).warnings for layout in ("coco", "voc")}
    assert told == {
        "coco": ["the layout coco cannot tell %s: 1 left out" % what for what in ("labels of whole images", "views", "weights")],
        "voc": [
            "the layout voc cannot tell %s: 1 left out" % what for what in ("labels of whole images", "masks", "the flag crowd", "weights")
        ],
    }


@pytest.mark.parametrize("layout", ["coco", "voc"])
def test_the_same_dataset_gives_the_same_bytes(tmp_path, layout):
    made = dataset(
        tmp_path / "dataset", picture(1, "b.jpg", CAT), picture(2, "a.jpg", dict(DOG, mask=MASK)), picture(3, "c.jpg", split="val")
    )
    first, second = (again(tmp_path / name, made, layout=layout) for name in ("one", "two"))
    assert files(first) == files(second)
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in files(first))


def test_whole_numbers_are_written_as_such():
    assert [repr(coco.plain(value)) for value in (1.0, 1.5, 0.0)] == ["1", "1.5", "0"]


# There and back


FLAGS_TOLD = {"coco": datasets.FLAGS, "voc": ("difficult", "truncated", "occluded")}


def told_by(folder, layout):
    """(classes, {(split, image's sha256): (size, objects)}) of what the layout can tell of a dataset, boxes to a billionth of a pixel."""
    data, found = datasets.load(folder), {}
    for image in data.images():
        objects = [
            (
                item["class"],
                [round(edge, 9) for edge in item["bbox"]],
                [item[flag] for flag in FLAGS_TOLD[layout]],
                item.get("mask") if layout == "coco" else item.get("view", "Unspecified"),
            )
            for item in image["objects"]
        ]
        found[image["split"], image["sha256"]] = ((image["width"], image["height"]), objects)
    return data.classes, found


RICH = [
    picture(1, "sub/a.jpg", dict(CAT, mask=MASK, view="Left"), synthetic.obj("dog", 0.1, 0.2, 0.3 + 1e-16, 47.9, truncated=True)),
    picture(2, "other/a.jpg", synthetic.obj("dog", 1, 1, WIDTH, HEIGHT, difficult=True, occluded=True)),
    picture(3, "b.png", kind="PNG"),
    picture(4, "c 1.jpg", synthetic.obj("cat", 3, 3, 9, 9), synthetic.obj("dog", 63.3, 0.7, WIDTH, 1.1), split="val"),
    picture(5, "d.jpg", synthetic.obj("dog", 3, 3, 9, 9), synthetic.obj("cat", 5, 5, 6, 6), split="test"),
    picture(
        6,
        "e.jpg",
        synthetic.obj("cat", 5, 10, 25, 20, crowd=True, mask=MASK),
        synthetic.obj("dog", 5, 10, 25, 20, group_of=True),
        synthetic.obj("dog", 5, 11, 25, 20, group_of=True, crowd=True, depiction=True),
        split="night",
    ),
]


@pytest.mark.parametrize("layout", ["coco", "voc"])
def test_there_and_back_is_the_same_dataset(tmp_path, layout):
    made = dataset(tmp_path / "dataset", *(RICH if layout == "coco" else RICH[:-1]))  # VOC's lists are of train, val and test
    written = again(tmp_path / "export", made, layout=layout)
    back = ingest(tmp_path / "back", written, near_duplicates=0).output
    assert told_by(back, layout) == told_by(made, layout)


def test_voc_of_any_split_comes_back_by_its_list(tmp_path):
    made = dataset(tmp_path / "dataset", *RICH)
    written = again(tmp_path / "export", made, layout="voc")
    splits = {split: {"list": "ImageSets/Main/%s.txt" % split} for split in ("train", "val", "test", "night")}
    back = ingest(tmp_path / "back", written, near_duplicates=0, splits=splits).output
    assert told_by(back, "voc") == told_by(made, "voc")


@pytest.mark.parametrize("layout", ["coco", "voc"])
def test_there_and_back_with_real_photos(shared_data, tmp_path, layout):
    root, splits = shared_data("datasets/bccd") / "BCCD", {"train": {"list": "ImageSets/Main/test.txt"}}
    made = ingest(tmp_path / "one", root, cpus=2, splits=splits, on_error="drop").output
    back = ingest(tmp_path / "two", again(tmp_path / "export", made, layout=layout), cpus=2).output
    assert told_by(back, layout) == told_by(made, layout)
    assert len(datasets.load(back).images()) == 72


IMAGE_NAMES = st.lists(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\\\0"), min_size=1, max_size=8), min_size=1, max_size=3
)
CLASS_NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).map(str.strip).filter(bool)


@example([["."], [" 0"], ["a", ".jpg"]], "<&>", "voc", 1.5, 0.02)
@example([["."], [" 0"], ["a", ".jpg"]], "a\r\n\t.", "coco", 0.1, 0.2)
@given(st.lists(IMAGE_NAMES, min_size=1, max_size=3), CLASS_NAMES, st.sampled_from(["coco", "voc"]), st.floats(0, 60), st.floats(0.02, 4))
def test_any_names_and_boxes_there_and_back(tmp_path_factory, folders, label, layout, start, length):
    folder = tmp_path_factory.mktemp("any")
    item = synthetic.obj(label, start, 1, min(start + length, WIDTH), 2)
    pictures = [picture(number, "/".join(parts).replace("..", "__"), item) for number, parts in enumerate(folders, 1)]
    made = dataset(folder / "dataset", *pictures, classes=[label])
    if layout == "voc" and any((ord(char) < 32 and char not in "\t\r\n") or char in "\ufffe\uffff" for char in label):
        with pytest.raises(StageError, match="cannot be written in XML"):
            again(folder / "export", made, layout=layout)
        return
    written = again(folder / "export", made, layout=layout)
    back = ingest(folder / "back", written, near_duplicates=0).output
    assert told_by(back, layout) == told_by(made, layout)
