"""Pascal VOC annotations: what is read, by tag, from files as people have them."""

import json

import pytest
from _detection import dataset as datasets
from voc_files import HEIGHT, WIDTH, image_bytes, ingest, voc, write_pair


def built(tmp_path, root, **params):
    """(Dataset, audit) of the folder `root`."""
    task = ingest(tmp_path / "ingested", root, **params)
    return datasets.load(task.output), json.loads((task.output / "audit.json").read_text(encoding="utf-8"))


def one(tmp_path, xml, image="a.jpg", content=None, name="a.xml", **params):
    """(the objects, audit) of a dataset with one training image and its annotation, given as text or bytes."""
    root = tmp_path / "images"
    root.mkdir()
    (root / name).write_bytes(xml if isinstance(xml, bytes) else xml.encode("utf-8"))
    (root / image).write_bytes(content or image_bytes(kind="PNG" if image.lower().endswith("png") else "JPEG"))
    dataset, audit = built(tmp_path, root, **params)
    return dataset.images()[0]["objects"], audit


CAT = {"class": "cat", "bbox": [10.0, 10.0, 30.0, 40.0], **dict.fromkeys(datasets.FLAGS, False)}


def test_the_canonical_dataset(tmp_path):
    root = tmp_path / "images"
    write_pair(
        root / "train", "b", [("cat", 0, 0, WIDTH, HEIGHT), ("dog", 1.5, 2, 3, 4)], extra="<truncated>1</truncated><difficult>1</difficult>"
    )
    write_pair(root / "train", "a", [])
    write_pair(root / "test", "c")
    dataset, audit = built(tmp_path, root, splits={"train": {"folder": "train"}, "test": {"folder": "test"}})
    assert dataset.classes == ["cat", "dog"]
    assert [(image["id"], image["name"], image["split"], image["annotation"]) for image in dataset.images()] == [
        (1, "test/c.jpg", "test", "test/c.xml"),
        (2, "train/a.jpg", "train", "train/a.xml"),
        (3, "train/b.jpg", "train", "train/b.xml"),
    ]
    assert dataset.images()[2]["objects"] == [
        dict(CAT, bbox=[0, 0, WIDTH, HEIGHT], truncated=True, difficult=True),
        dict(CAT, bbox=[1.5, 2, 3, 4], truncated=True, difficult=True, **{"class": "dog"}),
    ]
    for image in dataset.images():
        original = (root / image["name"]).read_bytes()
        assert dataset.path(image).read_bytes() == original
        assert (image["bytes"], image["format"], image["width"], image["height"]) == (len(original), "JPEG", WIDTH, HEIGHT)
        assert image["file"] == "images/%s.jpg" % image["sha256"]
    assert len(list((dataset.folder / "images").iterdir())) == 3
    assert audit["counts"]["splits"]["train"] == {
        "images": 2,
        "background": 1,
        "objects": 2,
        "classes": {"cat": 1, "dog": 1},
        "flags": dict(dict.fromkeys(datasets.FLAGS, 0), difficult=2, truncated=2),
    }
    assert audit["counts"]["classes"] == {"cat": 2, "dog": 1}
    assert [problem["code"] for problem in audit["problems"]] == ["class-unmeasured"]  # no dog in test
    assert (dataset.folder / "label_map.pbtxt").read_text() == "item {\n  id: 1\n  name: 'cat'\n}\n\nitem {\n  id: 2\n  name: 'dog'\n}\n"


BODY = voc()
SHUFFLED = """<annotation><object><bndbox><ymax>40</ymax><xmax> 30 </xmax><ymin>10.0</ymin><xmin>1e1</xmin></bndbox><name>
 cat </name></object><size><depth>3</depth><height>48</height><width>64</width></size><filename> a.jpg </filename></annotation>"""
READ_ALIKE = {
    "LabelImg's order": BODY,
    "any other order": SHUFFLED,
    "byte order mark": b"\xef\xbb\xbf" + BODY.encode(),
    "XML declaration": '<?xml version="1.0" encoding="utf-8"?>\n' + BODY,
    "UTF-16": BODY.encode("utf-16"),
    "doctype without entities": '<!DOCTYPE annotation SYSTEM "voc.dtd">\n' + BODY,
    "doctype with element rules": "<!DOCTYPE annotation [<!ELEMENT annotation ANY>]>\n" + BODY,
    "comments inside values": BODY.replace("cat", "c<!-- a pet -->at"),
    "processing instructions": "<?xml-stylesheet href='x'?>" + BODY.replace("cat", "c<?x y?>at"),
    "character data sections": BODY.replace("cat", "<![CDATA[cat]]>"),
    "an absolute path that does not exist": BODY.replace("<filename>", "<path>C:\\tensorflow\\train\\a.jpg</path><filename>"),
    "unknown tags": BODY.replace("<name>", "<mood>glad</mood><attributes><attribute/></attributes><name>"),
    "parts with boxes of their own": BODY.replace("<name>", "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part><name>"),
    "flags spelled out": BODY.replace("<name>", "<truncated>False</truncated><difficult>no</difficult><name>"),
    "pose Unspecified as a flag": BODY.replace("<name>", "<difficult>Unspecified</difficult><name>"),
}


@pytest.mark.parametrize("case", READ_ALIKE, ids=lambda case: case.replace(" ", "-"))
def test_reads_by_tag(tmp_path, case):
    objects, audit = one(tmp_path, READ_ALIKE[case])
    assert objects == [CAT]
    assert audit["problems"] == []


# <filename>, the image beside the annotation a.xml, whether the annotation's own name decided
FOUND = {
    "exactly": ("a.jpg", "a.jpg", False),
    "extension in capitals on disk": ("a.jpg", "a.JPG", False),
    "extension in capitals in the annotation": ("a.JPG", "a.jpg", False),
    "name in another case": ("Photo.jpg", "PHOTO.JPG", False),
    "no extension in the annotation": ("photo", "photo.jpg", False),
    "composed and decomposed letters": ("caf\u00e9.jpg", "cafe\u0301.jpg", False),
    "another extension than on disk": ("a.jpg", "a.png", True),
    "a name from before renaming": ("IMG_0001.jpg", "a.jpg", True),
    "no name": ("", "a.jpeg", True),
}


@pytest.mark.parametrize("case", FOUND, ids=lambda case: case.replace(" ", "-"))
def test_finds_the_image(tmp_path, case):
    filename, image, by_stem = FOUND[case]
    objects, audit = one(tmp_path, voc(filename), image=image)
    assert objects == [CAT]
    assert [problem["code"] for problem in audit["problems"]] == ["image-by-stem"] * by_stem


def test_finds_the_image_in_a_sub_folder_that_the_annotation_names(tmp_path):
    root = tmp_path / "images"
    (root / "deep").mkdir(parents=True)
    (root / "deep" / "b.jpg").write_bytes(image_bytes())
    (root / "a.xml").write_text(voc("deep/b.jpg"))
    assert built(tmp_path, root)[0].images()[0]["name"] == "deep/b.jpg"


@pytest.mark.parametrize(
    "size",
    [
        "",
        "<size/>",
        "<size><width>0</width><height>0</height></size>",
        "<size><width>64</width></size>",
        "<size><width>wide</width><height>48</height></size>",
    ],
)
def test_a_size_that_is_not_declared_is_taken_from_the_file(tmp_path, size):
    xml = voc().replace("<size><width>64</width><height>48</height><depth>3</depth></size>", size)
    objects, audit = one(tmp_path, xml)
    assert objects == [CAT]
    assert [(problem["code"], problem["action"]) for problem in audit["problems"]] == [("size-undeclared", "kept")]


def test_an_unclear_flag_is_taken_as_no(tmp_path):
    objects, audit = one(tmp_path, voc(extra="<difficult>maybe</difficult>"))
    assert objects == [CAT]
    assert [(problem["code"], problem["object"]) for problem in audit["problems"]] == [("flag-unclear", 1)]


def test_images_without_an_annotation_are_reported_and_left_out(tmp_path):
    root = tmp_path / "images"
    write_pair(root, "a")
    (root / "b.jpg").write_bytes(image_bytes(5))
    dataset, audit = built(tmp_path, root)
    assert [image["name"] for image in dataset.images()] == ["a.jpg"]
    assert [(problem["code"], problem["file"]) for problem in audit["problems"]] == [("image-unlabelled", "b.jpg")]


def test_hidden_files_are_not_looked_at(tmp_path):
    """macOS leaves ._a.xml and ._a.jpg beside a.xml and a.jpg on foreign disks."""
    root = tmp_path / "images"
    write_pair(root, "a")
    for name in ("._a.xml", "._a.jpg"):
        (root / name).write_bytes(b"\0\5\x16\7 Mac OS X")
    dataset, audit = built(tmp_path, root)
    assert [image["name"] for image in dataset.images()] == ["a.jpg"]
    assert audit["problems"] == []


def test_the_same_box_twice_is_reported(tmp_path):
    objects, audit = one(tmp_path, voc(boxes=[("cat", 10, 10, 30, 40)] * 2))
    assert len(objects) == 1
    assert [(problem["code"], problem["object"], problem["action"]) for problem in audit["problems"]] == [("box-repeated", 2, "dropped")]


def test_the_same_image_twice_in_a_split_is_reported(tmp_path):
    root = tmp_path / "images"
    write_pair(root, "a", seed=1)
    write_pair(root, "b", seed=1)
    dataset, audit = built(tmp_path, root)
    assert len(dataset.images()) == 2
    assert len(list((dataset.folder / "images").iterdir())) == 1
    assert [(problem["code"], problem["file"]) for problem in audit["problems"]] == [("duplicate", "b.jpg")]


def test_classes_that_differ_in_case_only_are_reported(tmp_path):
    _, audit = one(tmp_path, voc(boxes=[("cat", 1, 1, 9, 9), ("Cat", 1, 1, 9, 9)]))
    assert [problem["message"] for problem in audit["problems"]] == [
        "Cat and cat differ only in case, spaces, hyphens or underscores: one class or several?"
    ]


def test_a_turned_photo_is_reported_by_name(tmp_path):
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    _, audit = one(tmp_path, voc(), content=image_bytes(exif=exif))
    assert [(problem["code"], problem["file"], problem["action"]) for problem in audit["problems"]] == [
        ("exif-orientation", "a.jpg", "fixed"),
    ]


def test_the_result_does_not_depend_on_the_number_of_processes(tmp_path):
    root = tmp_path / "images"
    for number in range(50):
        write_pair(root, "i%02d" % number, [("cat", 1, 1, 9 + number % 3, 9)] if number % 7 else [("dog", 5, 5, 3, 9)])
    write_pair(root, "z", [("dog", 1, 1, 9, 9)])
    results = []
    for cpus in (1, 2, 3):
        task = ingest(tmp_path / str(cpus), root, cpus=cpus, on_error="drop", val_fraction=0.2)
        results.append({path.relative_to(task.output).as_posix(): path.read_bytes() for path in task.output.rglob("*") if path.is_file()})
    assert len(results[0]) == 51 + len(
        ["dataset.json", "train.jsonl", "val.jsonl", "label_map.pbtxt", "audit.json", "audit.csv", "audit.txt", "contact_sheet.jpg"]
    )
    assert results[0] == results[1] == results[2]
