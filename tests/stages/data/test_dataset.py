"""Reading dataset.json: what inference, evaluation and the report see."""

import json

import pytest
from _detection import dataset as datasets
from _runtime import StageError
from voc_files import ingest, write_pair


@pytest.fixture
def folder(tmp_path):
    write_pair(tmp_path / "root" / "train", "a", [("dog", 1, 2, 11, 22), ("cat", 0, 0, 64, 48)])
    write_pair(tmp_path / "root" / "val", "b", [("cat", 2.5, 3, 4, 5)], extra="<difficult>1</difficult>")
    write_pair(tmp_path / "root" / "val", "c", [])
    return ingest(tmp_path / "out", tmp_path / "root", splits={"train": {"folder": "train"}, "val": {"folder": "val"}}).output


def test_images_of_a_split(folder):
    dataset = datasets.load(str(folder))
    assert dataset.classes == ["cat", "dog"]
    assert dataset.splits == ["train", "val"]
    assert [image["id"] for image in dataset.images()] == [1, 2, 3]
    assert [image["id"] for image in dataset.images("val")] == [2, 3]
    assert dataset.path(dataset.images()[0]).is_file()
    assert (dataset.class_id("cat"), dataset.class_id("dog")) == (1, 2)


def test_an_unknown_split_names_those_there_are(folder):
    with pytest.raises(StageError, match="no split test") as caught:
        datasets.load(folder).images("test")
    assert caught.value.expected == "one of train, val"


def test_ground_truth_as_coco(folder):
    dataset = datasets.load(folder)
    truth = dataset.coco()
    assert truth["categories"] == [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    assert [(image["id"], image["width"], image["height"], image["file_name"]) for image in truth["images"]] == [
        (image["id"], 64, 48, image["file"]) for image in dataset.images()
    ]
    assert truth["annotations"] == [
        {"id": 1, "image_id": 1, "category_id": 2, "bbox": [1, 2, 10, 20], "area": 200, "iscrowd": 0, "difficult": 0},
        {"id": 2, "image_id": 1, "category_id": 1, "bbox": [0, 0, 64, 48], "area": 3072, "iscrowd": 0, "difficult": 0},
        {"id": 3, "image_id": 2, "category_id": 1, "bbox": [2.5, 3, 1.5, 2], "area": 3, "iscrowd": 0, "difficult": 1},
    ]
    assert [image["id"] for image in dataset.coco("val")["images"]] == [2, 3]
    assert [annotation["id"] for annotation in dataset.coco("val")["annotations"]] == [1]


@pytest.mark.parametrize("flag", ["crowd", "group_of"])
def test_crowds_and_groups_are_crowds_to_coco(folder, flag):
    value = json.loads((folder / "dataset.json").read_text())
    value["images"][0]["objects"][0][flag] = True
    (folder / "dataset.json").write_text(json.dumps(value))
    assert [annotation["iscrowd"] for annotation in datasets.load(folder).coco("train")["annotations"]] == [1, 0]


def test_pycocotools_takes_it(folder, capsys):
    from pycocotools.coco import COCO

    coco = COCO()
    coco.dataset = datasets.load(folder).coco()
    coco.createIndex()
    assert len(coco.getAnnIds(imgIds=[1])) == 2
    capsys.readouterr()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "cannot be read"),
        ("{", "cannot be read"),
        ("[]", "another schema"),
        ('{"schema": 2}', "another schema"),
        ('{"schema": 1, "classes": []}', "another schema"),
    ],
)
def test_what_is_no_dataset(tmp_path, content, what):
    if content is not None:
        (tmp_path / "dataset.json").write_text(content)
    with pytest.raises(StageError, match=what) as caught:
        datasets.load(tmp_path)
    assert caught.value.where == str(tmp_path / "dataset.json")
