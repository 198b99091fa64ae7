"""Every layout through the whole stage, found by looking: sets that other people made, one tiny set in all layouts, and damaged ones."""

import json
import math
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from _detection import dataset as datasets
from _detection import rle
from _runtime import StageError
from hypothesis import given, settings
from hypothesis import strategies as st
from record_files import frame
from small_sets import CAT, CLASSES, DOG, OUTLINE, PICTURES, SETS, TABLE, WITH_MASK, YAML, annotation_files, below, mask, tfrecord_examples
from voc_files import HEIGHT, WIDTH, ingest, voc

ASSETS = "datasets/datumaro_assets/tests/assets/"
LONGEST = 30  # seconds that a set of two pictures may take, whatever is in it


def write(root, files):
    """Write {relative path: text or bytes} below a new folder; the folder."""
    shutil.rmtree(str(root), ignore_errors=True)
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return root


def audit_of(task):
    return json.loads((task.output / "audit.json").read_text(encoding="utf-8"))


def layout_read(capfd):
    """The layout's title, as the stage says it."""
    said = [json.loads(line)["text"] for line in capfd.readouterr().out.splitlines() if '"read as ' in line]
    return said[-1].removeprefix("read as ") if said else None


COCO, VOC, YOLO, CSV = "COCO JSON", "Pascal VOC XML", "YOLO label files (.txt)", "CSV (xml_to_csv, Roboflow)"
CVAT, OPEN_IMAGES = "CVAT for images 1.1 XML", "Open Images V4-V7"
VAL = {"train": {"annotations": "annotations/instances_val.json", "images": "images/val"}}
HEADS = ("b1", "hg", "license plate", "m1", "o1", "q1", "window")
# folder: (splits, layout, {split: images}, {class: objects}, {code: how often}). Where the splits have the same picture, one is named.
REAL = {
    "coco_dataset/coco": ({}, COCO, {"train": 1, "val": 1}, {"b": 2}, {"class-unseen": 1, "class-unused": 1}),
    "coco_dataset/coco_instances": (VAL, COCO, {"train": 1}, {"a": 1, "b": 1}, {"class-unused": 1}),
    "coco_dataset/coco_person_keypoints": ({}, COCO, {"train": 1, "val": 1}, {"b": 2}, {"class-unseen": 1}),
    "coco_dataset/coco_roboflow": ({}, COCO, {"train": 1, "val": 1}, {"b": 2}, {"class-unseen": 1, "class-unused": 1}),
    "coco_dataset/mmdet_coco": ({}, COCO, {"train": 1, "val": 1}, {"b": 2}, {"class-unseen": 1, "class-unused": 1}),
    "yolo_dataset/annotations": ({}, YOLO, {"train": 1}, {"label_2": 1, "label_4": 1}, {"class-unused": 1}),
    "yolo_dataset/labels": (
        {"train": {"annotations": "labels/train"}},
        YOLO,
        {"train": 1},
        {"label_2": 1, "label_4": 1},
        {"class-unused": 1},
    ),
    "yolo_dataset/strict": ({}, YOLO, {"train": 1}, {"label_2": 1, "label_4": 1}, {"class-unused": 1}),
    "roboflow_dataset/coco": ({"train": {"folder": "train"}}, COCO, {"train": 2}, {"label_0": 1, "label_1": 1}, {"duplicate": 1}),
    "roboflow_dataset/voc": ({"train": {"folder": "train"}}, VOC, {"train": 2}, {"label_0": 1, "label_1": 1}, {"duplicate": 1}),
    # Its data.yaml calls a folder valid that is called val.
    "roboflow_dataset/yolo": ({}, YOLO, {"train": 2}, {"label_0": 1, "label_1": 1}, {"duplicate": 1, "split-missing": 1}),
    "open_images_dataset/v6": (
        {},
        OPEN_IMAGES,
        {"train": 2, "test": 1},
        {"Generic label #0": 1},
        {"class-unmeasured": 1, "class-unseen": 1, "class-unused": 1, "label-unboxed": 1, "rotation-unread": 2},
    ),
    "cvat_dataset/for_images/export_project": (
        {"train": {"annotations": "annotations.xml", "subset": "Train"}},
        CVAT,
        {"train": 2},
        {"label1": 2},
        {"box-from-polygon": 1, "class-unused": 1, "shape-unsupported": 2},
    ),
    "cvat_dataset/for_images/export_task": (
        {},
        CVAT,
        {"train": 2},
        {"label1": 1},
        {"class-unused": 1, "label-empty": 2, "shape-unsupported": 1},
    ),
    "labelme_dataset": ({}, "LabelMe JSON and XML", {"train": 1}, dict.fromkeys(HEADS, 1), {}),
    "vott_csv_dataset/dataset": (
        {"train": {"csv": "train-export.csv"}},
        CSV,
        {"train": 2},
        {"helmet": 1},
        {"box-outside": 2, "duplicate": 1, "image-unlabelled": 2},
    ),
    "voc_dataset/voc_dataset1": ({"train": {"list": "ImageSets/Main/train.txt"}}, VOC, {"train": 1}, {"cat": 1, "person": 1}, {}),
    "voc_dataset/voc_dataset3": ({}, VOC, {"train": 1}, {"cat": 1}, {}),
    "tf_detection_api_dataset": (
        {},
        "TFRecords of the Object Detection API",
        {"train": 1, "val": 1, "test": 1},
        {"label_2": 1, "label_3": 2},
        {"class-unmeasured": 3, "class-unused": 1, "label-empty": 1},
    ),
    "bccd/BCCD": (
        {},
        VOC,
        {"train": 205, "val": 87, "test": 72},
        {"RBC": 4153, "WBC": 372, "Platelets": 361},
        {"box-empty": 2, "near-duplicate-across-splits": 1},
    ),
    "playing_cards/images": (
        {},
        CSV,
        {"train": 296, "test": 67},
        {"ace": 118, "jack": 113, "king": 118, "nine": 115, "queen": 106, "ten": 100},
        {"near-duplicate": 5},
    ),
}


def real(shared_data, name):
    return shared_data("datasets/" + name if name.startswith(("bccd", "playing_cards")) else ASSETS + name)


@pytest.mark.parametrize("name", REAL)
def test_a_real_set(shared_data, tmp_path, capfd, name):
    splits, layout, images, classes, codes = REAL[name]
    task = ingest(tmp_path, real(shared_data, name), cpus=2, splits=splits, on_error="drop")
    counts = audit_of(task)["counts"]
    assert layout_read(capfd) == layout
    assert {split: numbers["images"] for split, numbers in counts["splits"].items()} == images
    assert counts["classes"] == classes
    assert counts["codes"] == codes


# folder: words of what is said, of the file where, and of the remedy
REFUSED = {
    "coco_dataset/coco_captions": ("the COCO files hold no boxes", "coco_captions", "instances_train.json"),
    "coco_dataset/coco_panoptic": ("the COCO files hold no boxes", "coco_panoptic", "instances_train.json"),
    "coco_dataset/coco_stuff": ("the COCO files hold no boxes", "coco_stuff", "instances_train.json"),
    "coco_dataset/coco_image_info": ("the COCO files hold no boxes", "coco_image_info", "instances_train.json"),
    "coco_dataset/coco_labels": ("the COCO file holds no boxes", "labels_train.json", "instances_train.json"),
    "cvat_dataset/for_video": ("CVAT for video", "annotations.xml:70", "CVAT for images 1.1"),
    "vott_json_dataset/dataset": ("VoTT's own JSON", "train-export.json", "from VoTT as CSV or Pascal VOC"),
    "vott_json_dataset/dataset_with_meta_file": ("VoTT's own JSON", "train-export.json", "from VoTT as CSV or Pascal VOC"),
    "roboflow_dataset/createml": ("CreateML JSON", "_annotations.createml.json", "COCO JSON or Pascal VOC"),
    "roboflow_dataset/multiclass": ("classes of whole images, and no boxes", "train/_classes.csv:1", "draw boxes"),
    "roboflow_dataset/yolo_obb": ("DOTA's text", "train/labelTxt/train_001.txt", "YOLO oriented boxes"),
    "widerface_dataset": ("a list of WIDER FACE", "wider_face_train_bbx_gt.txt", "COCO JSON or Pascal VOC"),
    "open_images_dataset/v5": ("a list of images, and no boxes", "with-rotation.csv", "train-annotations-bbox.csv"),
    "playing_cards": ("annotations are in sub-folders", "playing_cards", "splits: {train: {folder: images}}"),
    "roboflow_dataset/tfrecord": ("2 split-empty", "train", "correct the split"),  # its records hold no pictures
    "vott_csv_dataset/dataset_with_meta_file": ("no objects", "dataset_with_meta_file", "label some images"),  # boxes of nothing but air
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_real_set_that_is_no_detection_data(shared_data, tmp_path, name):
    what, where, remedy = REFUSED[name]
    with pytest.raises(StageError) as caught:
        ingest(tmp_path, real(shared_data, name), on_error="drop")
    assert what in caught.value.what
    assert where in caught.value.where
    assert remedy in caught.value.remedy


def objects_of(dataset):
    """{image's name without folders: [(class, box)]}."""
    return {Path(image["name"]).name: [(item["class"], item["bbox"]) for item in image["objects"]] for image in dataset.images()}


@pytest.mark.parametrize("layout", SETS)
def test_the_same_pixels_in_every_layout(tmp_path, layout):
    dataset = datasets.load(ingest(tmp_path, write(tmp_path / "root", SETS[layout]())).output)
    names = ("cat_1.jpg", "dog_2.jpg") if layout == "oxford-pets" else ("a.jpg", "b.jpg")
    assert dataset.classes == CLASSES[1:]
    assert objects_of(dataset) == {names[0]: [("cat", CAT)], names[1]: [("dog", DOG)]}
    masks = {item["class"]: rle.decode(item["mask"]) for image in dataset.images() for item in image["objects"] if "mask" in item}
    assert set(masks) == ({"cat"} if layout in WITH_MASK else set())
    assert all((pixels == mask()).all() for pixels in masks.values())


def test_the_same_pixels_by_a_trimap(tmp_path):
    files = SETS["oxford-pets"]()
    spec = {"list": "annotations/one.txt", "boxes": "body", "label": "species"}
    task = ingest(tmp_path, write(tmp_path / "root", {**files, "annotations/one.txt": "cat_1 2 1 2\n"}), splits={"train": spec})
    image = datasets.load(task.output).images()[0]
    assert [(item["class"], item["bbox"]) for item in image["objects"]] == [("cat", CAT)]
    assert (rle.decode(image["objects"][0]["mask"]) == mask()).all()


def test_the_same_pixels_by_labelmes_web_tool(tmp_path):
    points = "".join("<pt><x>%d</x><y>%d</y></pt>" % pair for pair in zip(OUTLINE[::2], OUTLINE[1::2], strict=True))
    size = "<imagesize><nrows>%d</nrows><ncols>%d</ncols></imagesize>" % (HEIGHT, WIDTH)
    text = "<annotation><filename>a.jpg</filename>%s<object><name>cat</name><polygon>%s</polygon></object></annotation>" % (size, points)
    task = ingest(tmp_path, write(tmp_path / "root", {"a.jpg": PICTURES["a.jpg"], "a.xml": text}))
    item = datasets.load(task.output).images()[0]["objects"][0]
    assert (item["class"], item["bbox"]) == ("cat", CAT)
    assert (rle.decode(item["mask"]) == mask()).all()


NOISE = {
    "README.txt": "Labelled by hand.\n",
    "requirements.txt": "numpy==1.26\n",
    "LICENSE.txt": "MIT\n",
    "classes.txt": "bird\ncat\ndog\n",
    "package.json": '{"name": "viewer", "files": ["a.js"], "images": ["logo.png"], "annotations": ["x"]}',
    "settings.yaml": "train: true\n",
    "notes.csv": "who,when\nme,today\n",
    ".idea/misc.xml": "<project/>\n",
}
LEFT = {"data.yaml": "train: ../train/images\nval: ../valid/images\nnames: [a]\n"}  # of an export whose labels are gone
PAIRS = {**PICTURES, "a.xml": voc("a.jpg", [("cat", *CAT)]), "b.xml": voc("b.jpg", [("dog", *DOG)])}
MAP = {"label_map.pbtxt": "item {\n  id: 1\n  name: 'cat'\n}\n"}
# files: the layout that is meant
AMBIGUOUS = {
    "VOC beside whatever": ({**PAIRS, **NOISE, **LEFT, **MAP}, VOC),
    "VOC with the CSV made of it": ({**PAIRS, "train_labels.csv": TABLE}, VOC),
    "VOC in train with somebody's table above": ({**below("train", PAIRS), **NOISE, **LEFT}, VOC),
    "COCO beside whatever": ({**SETS["coco"](), **NOISE, **LEFT, **MAP}, COCO),
    "COCO in train, as Roboflow has it": (
        {
            "train/_annotations.coco.json": SETS["coco"]()["annotations/instances_train2017.json"],
            **below("train", PICTURES),
            **NOISE,
            **LEFT,
        },
        COCO,
    ),
    "COCO above LabelMe's files of the pictures": ({**SETS["coco"](), **below("images", SETS["labelme"]())}, COCO),
    "YOLO beside whatever": ({**SETS["yolo"](), **NOISE, **MAP}, YOLO),
    "YOLO's labels beside the pictures": ({**PICTURES, "a.txt": "1 .25 .5 .25 .8\n", "b.txt": "2 .5 .5 .5 .5\n", **NOISE}, YOLO),
    "CVAT beside whatever": ({**SETS["cvat"](), **NOISE, **MAP}, CVAT),
    "LabelMe beside whatever": ({**SETS["labelme"](), **{name: text for name, text in NOISE.items() if name != "package.json"}}, "LabelMe"),
    "a CSV beside another one": ({"boxes.csv": TABLE, **PICTURES, **NOISE}, CSV),
    "records beside whatever": ({**SETS["tfrecord"](), **NOISE, **LEFT}, "TFRecords"),
    "Open Images beside whatever": ({**SETS["open-images"](), **NOISE}, OPEN_IMAGES),
    "OIDv4 beside whatever": ({**SETS["oidv4"](), **NOISE}, "OIDv4"),
    "pets beside whatever": ({**SETS["oxford-pets"](), **NOISE}, "Oxford"),
}


@pytest.mark.parametrize("case", AMBIGUOUS, ids=lambda case: case.replace(" ", "-"))
def test_the_layout_that_is_meant_is_found(tmp_path, capfd, case):
    files, layout = AMBIGUOUS[case]
    task = ingest(tmp_path, write(tmp_path / "root", files))
    assert layout_read(capfd).startswith(layout)
    assert audit_of(task)["counts"]["objects"] == 2


NUTS = {"images/a.jpg": PICTURES["a.jpg"], "annotations/xmls/a.xml": voc("a.jpg", [("nut", *CAT)]), "annotations/trainval.txt": "a\n"}
ASKED = {
    "LabelMe beside COCO": ({**SETS["labelme"](), "all.json": SETS["coco"]()["annotations/instances_train2017.json"]}, "coco, labelme"),
    "YOLO beside VOC": ({**PAIRS, "a.txt": "1 .25 .5 .25 .8\n", "classes.txt": "a\nb\n"}, "voc, yolo"),
    "VOC in the pets' folders": (NUTS, "annotations"),
    "pictures and a data.yaml": ({"images/train/a.jpg": PICTURES["a.jpg"], "data.yaml": YAML}, "data.yaml"),
    "two CSVs of boxes": ({"one.csv": TABLE, "two.csv": TABLE, **PICTURES}, "one.csv, two.csv"),
}


@pytest.mark.parametrize("case", ASKED, ids=lambda case: case.replace(" ", "-"))
def test_what_is_not_clear_is_asked(tmp_path, case):
    files, found = ASKED[case]
    with pytest.raises(StageError) as caught:
        ingest(tmp_path, write(tmp_path / "root", files))
    assert found in caught.value.found
    assert caught.value.remedy


FOREIGN = {
    "Label Studio's": ({"a.json": '[{"annotations": [{"result": [{"from_name": "label"}]}]}]'}, "Label Studio's own JSON"),
    "the VGG annotator's": (
        {"a.json": '{"a.jpg1": {"regions": [{"shape_attributes": {"name": "rect"}}]}}'},
        "JSON of the VGG Image Annotator",
    ),
    "VoTT's of one picture": ({"a.json": '{"asset": {"name": "a.jpg"}, "regions": [], "version": "2.2.0"}'}, "VoTT's own JSON"),
    "KITTI's": ({"label_2/a.txt": "Car 0.00 0 -1.57 599.41 156.40 629.75 189.25 2.85 2.63 12.34 0.47 1.49 69.44 -1.56\n"}, "KITTI's text"),
    "DOTA's with a head": ({"train/labelTxt/a.txt": "imagesource:x\ngsd:0.1\n1 1 5 1 5 5 1 5 plane 0\n"}, "DOTA's text"),
    "Open Images' labels of whole images": (
        {"train-labels.csv": "ImageID,Source,LabelName,Confidence\na,x,/m/0,1\n"},
        "labels of whole images",
    ),
}


@pytest.mark.parametrize("case", FOREIGN, ids=lambda case: case.replace(" ", "-"))
def test_a_layout_that_is_not_read_is_named(tmp_path, case):
    files, what = FOREIGN[case]
    with pytest.raises(StageError) as caught:
        ingest(tmp_path, write(tmp_path / "root", {"a.jpg": PICTURES["a.jpg"], **files}))
    assert what in caught.value.what
    assert Path(caught.value.where).name == Path(next(iter(files))).name


WORDS = r"""0 -1 0.5 1e308 1e400 nan NaN 99999999999999999999 null true " ' {} [] ] } < </ > & <!-- , ; .. ../ / \ # :
cat dog a.jpg \ud800 \u0000"""
BYTES = [b"", b" ", b"\n", b"\r", b"\t", b"\0", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc3\xa9", b"<!ENTITY a 'b'>"]
TOKENS = st.sampled_from([*(word.encode("ascii") for word in WORDS.split()), *BYTES])
EDITS = st.lists(
    st.tuples(
        st.integers(0, 1 << 20), st.one_of(st.integers(0, 8), st.integers(0, 400)), st.one_of(TOKENS, st.binary(max_size=4)), st.booleans()
    ),
    min_size=1,
    max_size=4,
)


def edited(data, edits):
    """The bytes with some of them replaced, by new ones or, `again`, by a piece of the file itself."""
    for place, length, new, again in edits:
        start = place % (len(data) + 1)
        other = (place * 7919) % (len(data) + 1)
        data = data[:start] + (data[other : other + length] if again else new) + data[start + length :]
    return data


def check_sound(task):
    """Whatever was read: the dataset and the audit are whole, and nothing in them is impossible."""
    dataset, told = datasets.load(task.output), audit_of(task)
    assert {"schema", "policy", "counts", "problems"} <= set(told)
    for image in dataset.images():
        assert (task.output / image["file"]).is_file()
        for item in image["objects"]:
            xmin, ymin, xmax, ymax = item["bbox"]
            assert all(math.isfinite(edge) for edge in item["bbox"])
            assert 0 <= xmin < xmax <= image["width"]
            assert 0 <= ymin < ymax <= image["height"]
            assert item["class"] in dataset.classes
            assert math.isfinite(item.get("weight", 1.0))
            if "mask" in item:
                pixels = rle.decode(item["mask"])
                assert pixels.shape == (image["height"], image["width"])
                assert np.count_nonzero(pixels)


def outcome(workshop, files, policy):
    """Run the stage on the files: a sound dataset, or a StageError that says all it must."""
    root = write(workshop / "root", files)
    shutil.rmtree(str(workshop / "out"), ignore_errors=True)
    start = time.monotonic()
    try:
        task = ingest(workshop / "out", root, on_error=policy)
    except StageError as refused:
        error = refused.as_dict()
    else:
        error = None
        check_sound(task)
    assert time.monotonic() - start < LONGEST
    if error is not None:
        json.dumps(error, ensure_ascii=False).encode("utf-8")
        assert error["what"]
        assert error["where"]
        assert error["remedy"]


@pytest.mark.parametrize(("layout", "name"), [("coco", "annotations/instances_train2017.json"), ("voc", "Annotations/a.xml")])
def test_a_name_of_a_hundred_thousand_characters_takes_no_time(tmp_path, layout, name):
    files = SETS[layout]()
    files[name] = files[name].replace("a.jpg", "a" * 100_000 + ".jpg")
    start = time.process_time()
    task = ingest(tmp_path, write(tmp_path / "root", files), on_error="drop")
    assert time.process_time() - start < 5
    assert {"image-missing", "image-by-stem"} & set(audit_of(task)["counts"]["codes"])


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    return tmp_path_factory.mktemp("layouts")


POLICIES = st.sampled_from(["refuse", "drop", "clip"])
FEW = max(settings.default.max_examples // 3, 1)  # of a run of the whole stage


@pytest.mark.parametrize("layout", SETS)
@given(data=st.data(), edits=EDITS, policy=POLICIES)
@settings(max_examples=FEW)
def test_any_edit_of_an_annotation_file(workshop, layout, data, edits, policy):
    files = SETS[layout]()
    name = data.draw(st.sampled_from(annotation_files(files)))
    content = files[name]
    files[name] = edited(content if isinstance(content, bytes) else content.encode("utf-8"), edits)
    outcome(workshop, files, policy)


@given(edits=EDITS, policy=POLICIES)
@settings(max_examples=FEW)
def test_any_edit_of_a_record_whose_checksums_are_right(workshop, edits, policy):
    first, second = tfrecord_examples()
    outcome(workshop, {**SETS["tfrecord"](), "train.record": frame(edited(first, edits)) + frame(second)}, policy)
