"""COCO JSON: which files are read, what they say, and what is wrong with them."""

import json

import pytest
from _detection import rle as rles
from _runtime import StageError
from hypothesis import example, given
from hypothesis import strategies as st
from layout_reading import natural, outcome, read, write
from layouts.coco import Coco
from masks import MaskError, to_rle
from places import Places

LAYOUT = Coco()
PICTURE = b"a picture"  # readers open no images
CATEGORIES = [{"id": 1, "name": "cat"}, {"id": 7, "name": "dog", "supercategory": "animal"}]
IMAGES = [{"id": 5, "file_name": "a.jpg", "width": 64, "height": 48}, {"id": 40, "file_name": "b.jpg", "width": 64, "height": 48}]
DIFFICULT, TRUNCATED, GROUP_OF, CROWD, OCCLUDED = 1, 2, 4, 8, 16


def annotation(number=1, **fields):
    made = {"id": number, "image_id": 5, "category_id": 7, "bbox": [10, 20, 30.5, 5], "segmentation": [], "area": 152.5, "iscrowd": 0}
    return {name: value for name, value in {**made, **fields}.items() if value is not ...}


def coco(*annotations, **sections):
    sections = {"info": {}, "licenses": [], "images": IMAGES, "annotations": list(annotations), "categories": CATEGORIES, **sections}
    return json.dumps({name: value for name, value in sections.items() if value is not ...})


BOX = [10, 20, 40.5, 25]
GOOD = coco(annotation())


@pytest.fixture
def reading(tmp_path):
    """reading(text of instances.json, …): the `Reading` of a folder that holds it."""

    def call(text, spec=None):
        root = write(tmp_path / "root", {"instances.json": text})
        return read(LAYOUT, root, tmp_path, spec)

    return call


def refused(reading, text):
    with pytest.raises(StageError) as error:
        reading(text)
    assert error.value.remedy
    return error.value


# Which files


TREES = {
    "COCO's own": (
        ["annotations/instances_train2017.json", "annotations/instances_val2017.json", "train2017/a.jpg", "val2017/a.jpg"],
        {"train": "train2017", "val": "val2017"},
    ),
    "images in images": (
        ["annotations/instances_train.json", "annotations/instances_val.json", "images/train/a.jpg", "images/val/a.jpg"],
        {"train": "images/train", "val": "images/val"},
    ),
    "mmdetection": (
        ["annotations/instances_train.json", "annotations/instances_test.json", "train/a.jpg", "test/a.jpg"],
        {"train": "train", "test": "test"},
    ),
    "files named by the split alone": (["train.json", "valid.json", "train/a.jpg", "valid/a.jpg"], {"train": "train", "val": "valid"}),
    "labels": (["labels_train.json", "labels_val.json", "train/a.jpg", "val/a.jpg"], {"train": "train", "val": "val"}),
    "a split of a name of its own": (
        ["annotations/instances_train.json", "annotations/instances_night.json", "images/train/a.jpg", "images/night/a.jpg"],
        {"train": "images/train", "night": "images/night"},
    ),
    "val and test without train": (
        ["instances_val.json", "instances_test.json", "val/a.jpg", "test/a.jpg"],
        {"val": "val", "test": "test"},
    ),
}


@pytest.mark.parametrize("name", TREES)
def test_splits_by_the_files_names_and_images_in_folders_of_these(tmp_path, name):
    paths, expected = TREES[name]
    root = write(tmp_path / "root", {path: PICTURE if path.endswith(".jpg") else GOOD for path in paths})
    assert LAYOUT.fits(root)
    found = natural(LAYOUT, root, tmp_path)
    assert sorted(found) == sorted(expected)
    for split, made in found.items():
        assert made.objects == [("a.jpg", "dog", BOX, 0)]
        holding = [folder for folder in made.source.images if (folder / "a.jpg").exists()]
        assert holding[0] == root / expected[split]


@pytest.mark.parametrize(
    "files",
    [
        {"annotations.json": GOOD, "a.jpg": PICTURE},
        {"_annotations.coco.json": GOOD, "a.jpg": PICTURE},
        {"instances_default.json": GOOD, "a.jpg": PICTURE},
        {"annotations/instances_default.json": GOOD, "images/a.jpg": PICTURE},
        {"annotations/instances_default.json": GOOD, "images/default/a.jpg": PICTURE},
        {"instances_val2017.json": GOOD, "val2017/a.jpg": PICTURE},
        {"result.json": GOOD, "images/a.jpg": PICTURE},
        {"labels.json": GOOD, "data/b.txt": b"", "a.jpg": PICTURE},
    ],
)
def test_one_file_is_one_split(tmp_path, files):
    root = write(tmp_path / "root", files)
    assert LAYOUT.fits(root)
    assert LAYOUT.splits(root) is None
    found = read(LAYOUT, root, tmp_path)
    assert found.objects == [("a.jpg", "dog", BOX, 0)]
    assert any((folder / "a.jpg").exists() for folder in found.source.images)


def test_a_folder_for_each_split_is_found_by_others(tmp_path):
    root = write(tmp_path / "root", {"train/_annotations.coco.json": GOOD, "valid/_annotations.coco.json": GOOD})
    assert not LAYOUT.fits(root)
    assert LAYOUT.fits(root / "train")
    assert read(LAYOUT, root, tmp_path, {"folder": "valid"}).source.images[0] == root / "valid"


CHOICES = {
    "instances before all": (
        ["captions_a.json", "instances_a.json", "person_keypoints_a.json", "stuff_a.json", "other.json"],
        "instances_a.json",
    ),
    "any other before keypoints": (["person_keypoints_a.json", "mine.json"], "mine.json"),
    "keypoints have boxes": (["captions_a.json", "image_info_a.json", "person_keypoints_a.json"], "person_keypoints_a.json"),
}


@pytest.mark.parametrize("name", CHOICES)
def test_of_several_files_that_with_the_boxes_is_chosen(tmp_path, name):
    files, chosen = CHOICES[name]
    root = write(tmp_path / "root", {"annotations/" + file: GOOD for file in files})
    assert read(LAYOUT, root, tmp_path).source.files == [root / "annotations" / chosen]


CAPTIONS = coco({"id": 1, "image_id": 5, "caption": "a cat"}, categories=...)
PANOPTIC = coco({"image_id": 5, "file_name": "a.png", "segments_info": [{"id": 7, "category_id": 1, "bbox": [0, 0, 3, 3]}]})
OTHERS = [
    ("captions_train.json", CAPTIONS, "captions"),
    ("mine.json", CAPTIONS, "captions"),
    ("panoptic_train.json", PANOPTIC, "panoptic"),
    ("mine.json", PANOPTIC, "panoptic"),
    ("image_info_test.json", coco(annotations=...), "without annotations"),
    ("mine.json", coco(annotations=...), "without annotations"),
    ("mine.json", coco(categories=[]), "without annotations"),
    ("stuff_train.json", GOOD, "regions without objects"),
    ("mine.json", coco(annotation(bbox=..., segmentation=...)), "labels of whole images"),
]


@pytest.mark.parametrize(("name", "text", "told"), OTHERS)
def test_a_file_without_boxes_is_refused_by_what_it_is(tmp_path, name, text, told):
    root = write(tmp_path / "root", {name: text})
    assert LAYOUT.fits(root)
    with pytest.raises(StageError) as error:
        read(LAYOUT, root, tmp_path)
    assert "hold no boxes" in error.value.what or "holds no boxes" in error.value.what
    assert told in error.value.found
    assert "instances" in error.value.remedy


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"a.json": "[]"},
        {"a.json": "{}"},
        {"a.json": '{"version": "5", "shapes": [], "images": []}'},
        {"a.json": '{"images": 3}'},
        {"a.txt": GOOD},
        {".hidden.json": GOOD},
    ],
)
def test_what_is_no_coco_does_not_fit(tmp_path, files):
    (tmp_path / "root").mkdir()
    assert not LAYOUT.fits(write(tmp_path / "root", files))


def test_a_file_is_known_by_its_end_too(tmp_path):
    text = '{"info": "%s", "images": []}' % ("x" * 200_000)
    assert LAYOUT.fits(write(tmp_path / "root", {"a.json": text}))


def test_two_files_of_one_split_are_refused(tmp_path):
    root = write(tmp_path / "root", {"instances_train2014.json": GOOD, "instances_train2017.json": GOOD})
    with pytest.raises(StageError, match="two COCO files are of one split") as error:
        LAYOUT.splits(root)
    assert "instances_train2014.json and instances_train2017.json" in error.value.found


@pytest.mark.parametrize("odd", ["all.json", "instances_.json"])
def test_a_file_of_no_split_beside_others_is_refused(tmp_path, odd):
    beside = "instances_train.json" if odd.startswith("instances") else "train.json"
    root = write(tmp_path / "root", {beside: GOOD, odd: GOOD})
    with pytest.raises(StageError, match="of no split that its name tells") as error:
        LAYOUT.splits(root)
    assert error.value.found == odd


def test_a_folder_without_a_coco_file_says_so(tmp_path):
    with pytest.raises(StageError, match="there is no COCO file"):
        read(LAYOUT, write(tmp_path / "root", {"a.txt": "a"}), tmp_path)


def test_files_of_no_split_are_read_together(tmp_path):
    other = coco(annotation(9), images=[{"id": 5, "file_name": "c.jpg"}], categories=[{"id": 7, "name": "bird"}])
    found = read(LAYOUT, write(tmp_path / "root", {"task1.json": GOOD, "task2.json": other}), tmp_path)
    assert found.objects == [("a.jpg", "dog", BOX, 0), ("c.jpg", "bird", BOX, 0)]
    assert found.source.options["classes"] == ["cat", "dog", "bird"]


def test_a_list_chooses_images(tmp_path):
    text = coco(annotation(1), annotation(2, image_id=40))
    root = write(tmp_path / "root", {"all.json": text, "train.txt": "a\nsub/missing.jpg\n"})
    found = read(LAYOUT, root, tmp_path, {"annotations": "all.json", "list": "train.txt"})
    assert [image.name for image in found.images] == ["a.jpg", "a.jpg"]
    assert found.objects == [("a.jpg", "dog", BOX, 0)]
    assert found.source.listed
    assert [(finding.code, finding.file, finding.line) for finding in found.findings] == [("annotation-missing", "train.txt", 2)]


# What they say


def test_images_boxes_classes_and_numbers(reading):
    found = reading(coco(annotation(11), annotation(12, image_id=40, category_id=1, bbox=[-1, 0, 3, 4])))
    assert found.objects == [("a.jpg", "dog", BOX, 0), ("b.jpg", "cat", [-1, 0, 2, 4], 0)]
    assert found.lines == [(0, 1), (0, 2)]
    assert {(image.name, image.width, image.height, image.file) for image in found.images} == {
        ("a.jpg", 64, 48, "instances.json"),
        ("b.jpg", 64, 48, "instances.json"),
    }
    assert found.findings == []


def test_images_without_annotations_are_told(reading):
    assert [image.name for image in reading(coco()).images] == ["a.jpg", "b.jpg"]


def test_classes_are_in_the_order_of_their_ids(reading):
    categories = [{"id": 10, "name": "ten"}, {"id": 0, "name": "nought"}, {"id": "b", "name": "text"}, {"id": 9, "name": " nine "}]
    found = reading(coco(annotation(category_id=0), annotation(2, category_id=9), categories=categories))
    assert found.source.options["classes"] == ["nought", "nine", "ten", "text"]
    assert [item[1] for item in found.objects] == ["nought", "nine"]


def test_the_order_of_sections_does_not_matter(reading):
    text = '{"annotations": [%s], "categories": %s, "images": %s}'
    assert reading(text % (json.dumps(annotation()), json.dumps(CATEGORIES), json.dumps(IMAGES))).objects == [("a.jpg", "dog", BOX, 0)]


@pytest.mark.parametrize("ids", [(0, 0), ("x", "x"), ("5", 5), (5.0, 5), (2**53 + 1, 2**53 + 1), (-3, -3)])
def test_ids_may_be_numbers_or_texts(reading, ids):
    images = [dict(IMAGES[0], id=ids[0])]
    assert reading(coco(annotation(image_id=ids[1]), images=images)).objects == [("a.jpg", "dog", BOX, 0)]


def test_file_names_keep_their_folders(reading):
    images = [dict(IMAGES[0], file_name="train2017\\.\\é ü.jpg")]
    assert reading(coco(annotation(), images=images)).objects == [("train2017/é ü.jpg", "dog", BOX, 0)]
    unescaped = coco(annotation(), images=images).replace("\\u00e9 \\u00fc", "é ü")
    assert len(unescaped.encode()) > len(unescaped)
    assert reading(unescaped).objects[0][0] == "train2017/é ü.jpg"


FLAGS = [
    ({"iscrowd": 1}, CROWD),
    ({"iscrowd": True}, CROWD),
    ({"iscrowd": None}, 0),
    ({"ignore": 1}, DIFFICULT),
    ({"attributes": {"occluded": True, "truncated": False, "colour": "red"}}, OCCLUDED),
    ({"attributes": {"truncated": True, "difficult": True}}, TRUNCATED | DIFFICULT),
    ({"iscrowd": 1, "attributes": {"group_of": True}}, GROUP_OF),
    ({"iscrowd": 1, "attributes": {"group_of": True, "crowd": True}}, GROUP_OF | CROWD),
    ({"attributes": [1]}, 0),
]


@pytest.mark.parametrize(("fields", "flags"), FLAGS)
def test_flags(reading, fields, flags):
    found = reading(coco(annotation(**fields)))
    assert [item[3] for item in found.objects] == [flags]
    assert found.findings == []


POLYGON = [10, 20, 10, 25, 40, 25, 40, 20]
BLOCK = rles.encode([[10 <= x < 40 and 20 <= y < 25 for x in range(64)] for y in range(48)])
LENGTHS = rles.run_lengths(BLOCK)[2].tolist()
SEGMENTATIONS = [
    [POLYGON],
    POLYGON,
    BLOCK,
    {"size": [48, 64], "counts": LENGTHS},
]


@pytest.mark.parametrize("segmentation", SEGMENTATIONS)
def test_masks_of_every_form(reading, segmentation):
    found = reading(coco(annotation(segmentation=segmentation)))
    assert to_rle(found.extra[0]["mask"], 64, 48) == BLOCK
    assert found.findings == []


@pytest.mark.parametrize("segmentation", [..., None, [], [[]], {}])
def test_no_mask(reading, segmentation):
    found = reading(coco(annotation(segmentation=segmentation)))
    assert found.extra == {}
    assert found.findings == []


def test_a_mask_that_is_no_good_is_left_to_be_told_with_its_image(reading):
    found = reading(coco(annotation(segmentation=[[1, 2, 3]])))
    assert found.objects == [("a.jpg", "dog", BOX, 0)]
    with pytest.raises(MaskError):
        to_rle(found.extra[0]["mask"], 64, 48)


@pytest.mark.parametrize("segmentation", SEGMENTATIONS)
@pytest.mark.parametrize("bbox", [..., None, []])
def test_a_box_that_is_missing_is_taken_from_the_mask(reading, segmentation, bbox):
    found = reading(coco(annotation(bbox=bbox, segmentation=segmentation)))
    assert found.objects == [("a.jpg", "dog", [10, 20, 40, 25], 0)]
    assert found.codes() == [("fixed", "box-from-mask")]


# What is wrong with them


def one(name, value=...):
    return coco(annotation(3, **{name: value}))


WRONG = [
    (one("image_id", 6), "bad", "image-unknown", "annotation 3: no image has the id 6"),
    (one("image_id", "a.jpg"), "bad", "image-unknown", "no image has the id a.jpg"),
    (one("image_id"), "bad", "entry-broken", "has no image_id"),
    (one("image_id", [5]), "bad", "entry-broken", "has no image_id that is an id"),
    (one("category_id", 2), "bad", "category-unknown", "annotation 3: no category has the id 2"),
    (one("category_id", [7]), "bad", "category-unknown", "no category has the id [7]"),
    (one("category_id"), "bad", "label-empty", "annotation 3: the annotation has no category_id"),
    (one("bbox"), "bad", "box-missing", "annotation 3: dog: the annotation has neither bbox nor segmentation"),
    (
        coco(annotation(3, bbox=..., segmentation=[[1, 2]])),
        "bad",
        "box-missing",
        "none can be taken from the segmentation: a polygon has 1 points",
    ),
    (one("bbox", [1, 2, 3]), "bad", "box-incomplete", "bbox is [1, 2, 3]"),
    (one("bbox", [1, 2, 3, None]), "bad", "box-incomplete", "bbox is [1, 2, 3, None]"),
    (one("bbox", [1, 2, 3, "4"]), "bad", "box-not-a-number", "bbox is [1, 2, 3, '4']"),
    (one("bbox", [1, 2, 3, True]), "bad", "box-not-a-number", "True"),
    (one("bbox", [1, 2, 3, float("nan")]), "bad", "box-not-a-number", "bbox is [1, 2, 3, nan]"),
    (one("bbox", [1e308, 2, 1e308, 1]), "bad", "box-not-a-number", "bbox is [1e+308, 2"),
    (one("bbox", [1, 2, 3, 10**400]), "bad", "box-not-a-number", "bbox is [1, 2, 3, 1000"),
    (one("bbox", "1 2 3 4"), "bad", "box-not-a-number", "bbox is 1 2 3 4"),
    (coco(7), "bad", "entry-broken", "annotations: 7 is no object"),
    (coco(annotation(), None), "bad", "entry-broken", "annotations: None is no object"),
    (one("iscrowd", "yes"), "doubt", "flag-unclear", "iscrowd is yes"),
    (one("attributes", {"rotation": 30.5}), "doubt", "box-turned", "turned by 30.5 degrees"),
    (coco(annotation(), annotation(2), annotation(2)), "doubt", "annotation-id-twice", "1 ids are those of several annotations, as 2"),
    (coco(annotation(), images=[*IMAGES, {"id": 9}]), "bad", "entry-broken", "images: an image has no file_name: {'id': 9}"),
    (coco(annotation(), images=[*IMAGES, {"file_name": "c.jpg"}]), "bad", "entry-broken", "images: an image has no id"),
    (coco(annotation(), images=[*IMAGES, 5]), "bad", "entry-broken", "images: an image has no id: 5"),
    (
        coco(annotation(), images=[*IMAGES, dict(IMAGES[0], file_name="c.jpg")]),
        "bad",
        "image-id-twice",
        "image 5 (c.jpg): another image has this id",
    ),
    (
        coco(annotation(), images=[*IMAGES, dict(IMAGES[0], id=6)]),
        "bad",
        "annotated-twice",
        "image 6 (a.jpg) is listed already, as image 5",
    ),
    (coco(annotation(), images=[*IMAGES, {"id": 6, "file_name": "../a.jpg"}]), "refuse", "filename-outside", "image 6 (../a.jpg)"),
    (coco(annotation(), images=[*IMAGES, {"id": 6, "file_name": "\ud800.jpg"}]), "bad", "name-not-utf8", "image 6"),
    (
        coco(annotation(), images=[*IMAGES, {"id": 6, "file_name": "c.jpg", "width": "64"}]),
        "doubt",
        "size-undeclared",
        "1 images declare no size",
    ),
    (
        coco(annotation(), categories=[*CATEGORIES, {"id": 7, "name": "dog"}]),
        "doubt",
        "category-duplicate",
        "category 7 (dog): this id is dog already",
    ),
    (
        coco(annotation(), categories=[*CATEGORIES, {"id": 7, "name": "cow"}]),
        "refuse",
        "category-duplicate",
        "category 7 (cow): this id is dog already",
    ),
    (
        coco(annotation(), categories=[*CATEGORIES, {"id": 8, "name": "dog"}]),
        "doubt",
        "category-duplicate",
        "category 8 (dog): another category has this name",
    ),
    (coco(annotation(), categories=[*CATEGORIES, {"id": 8}]), "bad", "entry-broken", "categories: a category has no name"),
    (coco(annotation(), categories=[*CATEGORIES, {"name": "cow"}]), "bad", "entry-broken", "categories: a category has no id"),
    (
        coco(annotation(), categories=[*CATEGORIES, {"id": 8, "name": "\ud800"}]),
        "bad",
        "entry-broken",
        "categories: a category has no name",
    ),
]


@pytest.mark.parametrize(("text", "way", "code", "told"), WRONG)
def test_what_is_wrong_is_told(reading, text, way, code, told):
    found = reading(text)
    assert found.codes() == [(way, code)]
    assert told in found.findings[0].message
    assert found.findings[0].file == "instances.json"


def test_what_is_wrong_names_its_place_in_the_list(reading):
    found = reading(coco(annotation(1), annotation(2, bbox=[1]), annotation(3)))
    assert [finding.number for finding in found.findings] == [2]
    assert found.lines == [(0, 1), (0, 3)]


def test_annotations_of_an_image_that_was_left_out_are_not_told_one_by_one(reading):
    found = reading(coco(annotation(), annotation(2, image_id=6), images=[*IMAGES, {"id": 6, "file_name": "/etc/a.jpg"}]))
    assert found.codes() == [("refuse", "filename-outside")]
    assert found.objects == [("a.jpg", "dog", BOX, 0)]


BROKEN = [
    ("", "the JSON file is empty", "byte 0", "cut short"),
    (GOOD[:-1], "the JSON ends in the middle", "byte %d" % (len(GOOD) - 1), "cut short"),
    (GOOD[:200], "the JSON ends in the middle", "byte 200", "cut short"),
    (GOOD[: GOOD.index("a.jpg") + 2], "the JSON ends in the middle", "", "cut short"),
    (GOOD + "x", "the JSON goes on after its end", "byte %d" % len(GOOD), "correct the file"),
    (GOOD.replace('"bbox": [10,', '"bbox": [10;'), "the JSON is broken", "byte %d" % (GOOD.index('"bbox": [10,') + 11), "correct the file"),
    (GOOD.replace('"info": {}', '"info" {}'), "the JSON is broken", "byte 8", "correct the file"),
    (GOOD.replace('"info"', "info"), "the JSON is broken", "byte 1", "correct the file"),
    ("[1]", "the JSON is not an object", "byte 0", ""),
    ('{3: 4, "images": []}', "the JSON has an object whose key is not a text", "byte 1", ""),
    ('{"annotations": [%s1%s]}' % ("[" * 100_000, "]" * 100_000), "nested too deeply", "byte 17", ""),
    ('{"annotations": [%s]}' % ("9" * 5000), "a number that is too long", "byte 17", ""),
    ('{"images": {}, "annotations": []}', "the COCO file's images are no list", "byte 11", ""),
    (GOOD.encode("utf-16"), "the JSON is not UTF-8", "byte 0", "save it as UTF-8"),
]


@pytest.mark.parametrize(("text", "what", "where", "remedy"), BROKEN)
def test_broken_json_is_refused_with_its_place_in_bytes(reading, text, what, where, remedy):
    error = refused(reading, text)
    assert what in error.what
    assert error.where.startswith("instances.json: byte ")
    assert where in error.where
    assert remedy in error.remedy


def test_a_byte_order_mark_is_no_fault(reading):
    assert reading(b"\xef\xbb\xbf" + GOOD.encode()).objects == [("a.jpg", "dog", BOX, 0)]


def test_annotations_are_read_in_pieces(reading, monkeypatch):
    monkeypatch.setattr("layouts.coco_index._CHUNK", 1000)
    monkeypatch.setattr("layouts.coco._IMAGES", 3)
    monkeypatch.setattr("formats.json_elements._BLOCK", 700)
    monkeypatch.setattr("formats.json_elements._AHEAD", 64)
    images = [{"id": 3 * number, "file_name": "é%d.jpg" % number} for number in range(40)]
    entries = [annotation(number, image_id=3 * (number * 7 % 40), bbox=[number, 0, 1, 1]) for number in range(100)]
    text = json.dumps({"images": images, "annotations": entries, "categories": CATEGORIES}, ensure_ascii=False, indent=1)
    found = reading(text)
    assert len(found.source.options["indexes"][str(found.source.files[0])].pieces) > 10
    assert [item[0] for item in found.objects] == ["é%d.jpg" % (number * 7 % 40) for number in range(100)]
    assert [item[2][0] for item in found.objects] == list(range(100))
    assert found.lines == [(0, number) for number in range(1, 101)]
    assert [image.name for image in found.images[:40]] == [image["file_name"] for image in images]


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path):
    root = write(tmp_path / "root", {"instances.json": GOOD})
    places = Places(root, "ingest")
    jobs = list(LAYOUT.jobs(LAYOUT.source(places, "train", {"folder": "."}), places, tmp_path))
    write(root, {"instances.json": GOOD[20:]})
    with pytest.raises(StageError, match="cannot be read again"):
        [LAYOUT.read(job) for job in jobs]


# Real files, and any


REAL = {
    "coco_dataset/coco": {
        "train": ([("a.jpg", "b", [2, 2, 5, 3], 0)], 0),
        "val": ([("b.jpg", "a", [0, 0, 1, 2], 0), ("b.jpg", "b", [0, 0, 1, 9], CROWD)], 2),
    },
    "coco_dataset/mmdet_coco": {
        "train": ([("a.jpg", "b", [2, 2, 5, 3], 0)], 0),
        "val": ([("b.jpg", "a", [0, 0, 1, 2], 0), ("b.jpg", "b", [0, 0, 1, 9], CROWD)], 2),
    },
    "coco_dataset/coco_person_keypoints": {
        "train": ([("a.jpg", "b", [2, 2, 5, 3], 0)], 0),
        "val": ([("b.jpg", "a", [0, 0, 1, 2], 0), ("b.jpg", "b", [0, 0, 1, 9], CROWD)], 2),
    },
}


@pytest.mark.parametrize("name", REAL)
def test_files_as_datumaro_writes_them(shared_data, tmp_path, name):
    root = shared_data("datasets/datumaro_assets/tests/assets/" + name)
    assert LAYOUT.fits(root)
    found = natural(LAYOUT, root, tmp_path)
    assert {split: (made.objects, len(made.extra)) for split, made in found.items()} == REAL[name]
    for made in found.values():
        assert made.findings == []
        assert any((folder / made.images[0].name).is_file() for folder in made.source.images)


def test_files_as_roboflow_writes_them(shared_data, tmp_path):
    root = shared_data("datasets/datumaro_assets/tests/assets/roboflow_dataset/coco")
    found = read(LAYOUT, root, tmp_path, {"folder": "train"})
    assert found.objects == [("train_001.jpg", "label_0", [2, 1, 5, 2], 0), ("train_002.jpg", "label_1", [0, 0, 2, 4], 0)]
    assert found.source.options["classes"] == ["label_0", "label_1"]


@pytest.mark.parametrize("kind", ["captions", "image_info", "labels", "panoptic", "stuff"])
def test_datumaros_files_without_boxes_are_refused(shared_data, tmp_path, kind):
    root = shared_data("datasets/datumaro_assets/tests/assets/coco_dataset/coco_" + kind)
    assert LAYOUT.fits(root)
    with pytest.raises(StageError, match="no boxes"):
        read(LAYOUT, root, tmp_path)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    return tmp_path_factory.mktemp("coco")


EDITED = coco(annotation(), annotation(2, segmentation=[POLYGON]), annotation(3, segmentation=BLOCK), annotation(4, iscrowd=1)).encode()
EDITS = st.lists(
    st.tuples(
        st.integers(0, len(EDITED)),
        st.integers(0, 12),
        st.binary(max_size=6) | st.sampled_from([b"NaN", b"null", b"[", b"}", b'"', b"-1e999"]),
    ),
    max_size=4,
)


@given(EDITS)
def test_any_edit_of_a_good_file(workshop, edits):
    data = EDITED
    for place, length, new in edits:
        data = data[:place] + new + data[place + length :]
    outcome(LAYOUT, write(workshop / "root", {"instances_train.json": data}), workshop)


@given(st.binary(max_size=200))
@example(b"")
@example(b"{")
@example(b'{"images": [')
@example(b'\xef\xbb\xbf{"a": 1')
def test_any_bytes(workshop, data):
    outcome(LAYOUT, write(workshop / "root", {"instances_train.json": data}), workshop)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "a.jpg", "..", "cat", "5"])
    | st.sampled_from([0, 1, 5, 7, 40]),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(["size", "counts", "occluded", "rotation"]), inner, max_size=2)
    ),
    max_leaves=8,
)
ENTRIES = st.lists(
    VALUES
    | st.dictionaries(
        st.sampled_from(
            ["id", "image_id", "category_id", "bbox", "segmentation", "iscrowd", "attributes", "file_name", "name", "width", "height"]
        ),
        VALUES,
        max_size=7,
    ),
    max_size=5,
)


@given(ENTRIES, ENTRIES, ENTRIES)
def test_any_values(workshop, images, entries, categories):
    value = {"images": IMAGES + images, "annotations": [annotation(), *entries], "categories": CATEGORIES + categories}
    outcome(LAYOUT, write(workshop / "root", {"instances_train.json": json.dumps(value)}), workshop)


@given(st.binary(max_size=80))
def test_any_bytes_as_a_list(workshop, data):
    root = write(workshop / "listed", {"instances_train.json": GOOD, "train.txt": data})
    outcome(LAYOUT, root, workshop, {"train": {"annotations": "instances_train.json", "list": "train.txt"}})
