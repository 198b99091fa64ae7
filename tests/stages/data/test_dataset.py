"""Reading a dataset artifact: what records, inference, evaluation and the report see."""

import contextlib
import io
import json
import subprocess
import sys

import numpy as np
import pytest
from _detection import dataset as datasets
from _runtime import StageError
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from stage_helpers import STAGES

DISC = np.add.outer((np.arange(48) - 20) ** 2, (np.arange(64) - 30) ** 2) < 100


def rle(mask):
    """COCO's compressed run-length encoding of a mask, with its counts as text."""
    encoded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {**encoded, "counts": encoded["counts"].decode("ascii")}


def image(number, objects, **more):
    """An image's line, as `ingest` writes it."""
    facts = {"file": "images/%d.png" % number, "name": "%d.png" % number, "sha256": "%064d" % number, "bytes": 9, "format": "PNG"}
    return {"id": number, **facts, "width": 64, "height": 48, "annotation": "%d.xml" % number, "objects": objects, **more}


TRAIN = [
    image(4, [{"class": "cat", "bbox": [0.0, 0.0, 64.0, 48.0]}]),
    image(1, [{"class": "dog", "bbox": [1.0, 2.0, 11.0, 22.0]}, {"class": "cat", "bbox": [0.0, 0.0, 64.0, 48.0], "crowd": True}]),
]
VAL = [
    image(2, [{"class": "cat", "bbox": [2.5, 3.0, 4.0, 5.0], "difficult": True, "view": "left", "weight": 0.5}]),
    image(3, [], labels={"present": ["cat"], "absent": ["dog"]}),
]
SPLITS = {"val": VAL, "train": TRAIN}


@pytest.fixture
def make(tmp_path):
    """make(splits, …) writes a dataset; returns its folder."""

    def call(splits=SPLITS, **more):
        for split, images in splits.items():
            (tmp_path / (split + ".jsonl")).write_text("".join(json.dumps(each) + "\n" for each in images), encoding="utf-8")
        counts = {
            split: {"images": len(images), "objects": sum(len(each["objects"]) for each in images), "bytes": 9 * len(images), "masks": 0}
            for split, images in splits.items()
        }
        value = {"schema": 2, "classes": ["cat", "dog"], "splits": counts, "hierarchy": {}, **more}
        (tmp_path / "dataset.json").write_text(json.dumps(value), encoding="utf-8")
        return tmp_path

    return call


def test_the_facts_of_a_dataset(make):
    dataset = datasets.load(str(make(hierarchy={"animal": ["cat", "dog"]})))
    assert dataset.classes == ["cat", "dog"]
    assert (dataset.class_id("cat"), dataset.class_id("dog")) == (1, 2)
    assert dataset.splits == ["train", "val"]
    assert dataset.counts("train") == {"images": 2, "objects": 3, "bytes": 18, "masks": 0}
    assert dataset.hierarchy == {"animal": ["cat", "dog"]}
    assert dataset.path(VAL[0]) == dataset.folder / "images" / "2.png"


def test_images_come_by_id_and_a_stream_in_the_order_of_its_file(make):
    dataset = datasets.load(make())
    assert [each["id"] for each in dataset.images()] == [1, 2, 3, 4]
    assert [each["id"] for each in dataset.images("train")] == [1, 4]
    assert [each["id"] for each in dataset.stream("train")] == [4, 1]


def test_an_image_is_its_line_with_its_split_and_every_flag(make):
    first, second = datasets.load(make()).images("val")
    flags = {"truncated": False, "group_of": False, "crowd": False, "occluded": False, "depiction": False}
    assert first == {**VAL[0], "split": "val", "objects": [{**VAL[0]["objects"][0], **flags}]}
    assert second == {**VAL[1], "split": "val"}


def test_what_is_not_a_flag_is_not_filled_in(make):
    item = datasets.load(make()).images("train")[0]["objects"][0]
    assert set(item) == {"class", "bbox", *datasets.FLAGS}


def test_a_stream_reads_only_as_far_as_it_is_asked(make):
    folder = make()
    with open(folder / "train.jsonl", "a", encoding="utf-8") as stream:
        stream.write("no JSON\n")
    assert next(datasets.load(folder).stream("train"))["id"] == 4


@pytest.mark.parametrize("read", ["images", "counts", "coco", "stream"])
def test_an_unknown_split_names_those_there_are(make, read):
    with pytest.raises(StageError, match="no split test") as caught:
        list(getattr(datasets.load(make()), read)("test"))
    assert caught.value.expected == "one of train, val"


def test_ground_truth_as_coco(make):
    truth = datasets.load(make()).coco()
    assert truth["categories"] == [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    assert truth["images"] == [{"id": number, "file_name": "images/%d.png" % number, "width": 64, "height": 48} for number in (1, 2, 3, 4)]
    assert truth["annotations"] == [
        {"id": 1, "image_id": 1, "category_id": 2, "bbox": [1, 2, 10, 20], "area": 200, "iscrowd": 0, "difficult": 0},
        {"id": 2, "image_id": 1, "category_id": 1, "bbox": [0, 0, 64, 48], "area": 3072, "iscrowd": 1, "difficult": 0},
        {"id": 3, "image_id": 2, "category_id": 1, "bbox": [2.5, 3, 1.5, 2], "area": 3, "iscrowd": 0, "difficult": 1},
        {"id": 4, "image_id": 4, "category_id": 1, "bbox": [0, 0, 64, 48], "area": 3072, "iscrowd": 0, "difficult": 0},
    ]


def test_ground_truth_of_a_split_counts_from_one(make):
    truth = datasets.load(make()).coco("val")
    assert [each["id"] for each in truth["images"]] == [2, 3]
    assert [each["id"] for each in truth["annotations"]] == [1]


@pytest.mark.parametrize(
    ("flag", "crowd"), [("crowd", 1), ("group_of", 1), ("difficult", 0), ("truncated", 0), ("occluded", 0), ("depiction", 0)]
)
def test_crowds_and_groups_are_crowds_to_coco(make, flag, crowd):
    folder = make({"val": [image(1, [{"class": "cat", "bbox": [0.0, 0.0, 8.0, 8.0], flag: True}])]})
    assert [annotation["iscrowd"] for annotation in datasets.load(folder).coco("val")["annotations"]] == [crowd]


def test_a_mask_is_the_segmentation_and_the_area_stays_the_boxs(make):
    objects = [{"class": "cat", "bbox": [20.0, 10.0, 41.0, 31.0], "mask": rle(DISC)}, {"class": "dog", "bbox": [20.0, 10.0, 41.0, 31.0]}]
    folder = make({"val": [image(1, objects)]})
    with_mask, without = datasets.load(folder).coco("val")["annotations"]
    assert with_mask["segmentation"] == {"size": [48, 64], "counts": rle(DISC)["counts"]}
    assert "segmentation" not in without
    assert with_mask["area"] == without["area"] == 441


def test_pycocotools_takes_it_masks_included(make):
    objects = [{"class": "cat", "bbox": [20.0, 10.0, 41.0, 31.0], "mask": rle(DISC)}]
    coco = COCO()
    coco.dataset = datasets.load(make({"val": [image(1, objects)]})).coco()
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    (annotation,) = coco.loadAnns(coco.getAnnIds(imgIds=[1]))
    assert (coco.annToMask(annotation) == DISC).all()


@pytest.mark.parametrize(
    ("content", "what", "found"),
    [
        (None, "cannot be read", "No such file"),
        ("{", "cannot be read", "Expecting"),
        ("[]", "another schema", "list"),
        ('{"schema": 2}', "another schema", "2"),
        ('{"schema": 2, "classes": []}', "another schema", "2"),
        ('{"schema": 1, "classes": [], "images": []}', "another schema", "1"),
        ('{"schema": 3, "classes": [], "splits": {}}', "another schema", "3"),
    ],
)
def test_what_is_no_dataset(tmp_path, content, what, found):
    if content is not None:
        (tmp_path / "dataset.json").write_text(content)
    with pytest.raises(StageError, match=what) as caught:
        datasets.load(tmp_path)
    assert caught.value.where == str(tmp_path / "dataset.json")
    assert found in str(caught.value.found)
    assert "build the dataset again" in caught.value.remedy


def test_the_module_needs_nothing_but_the_standard_library():
    program = "import sys, _detection.dataset; print(*sorted({'numpy', 'PIL', 'pycocotools'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", program], env={"PYTHONPATH": str(STAGES)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
