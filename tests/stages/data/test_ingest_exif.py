"""Photos with an EXIF orientation: the dataset's pictures are upright, and the boxes lie on what they were drawn on."""

import io
import json

import numpy as np
import pytest
from _detection import dataset as datasets
from PIL import Image, ImageColor, ImageOps
from voc_files import ingest, voc

WIDTH, HEIGHT = 80, 48  # as stored
MARK = (16, 8, 40, 24)  # a bright patch in the stored pixels, in whole JPEG blocks


def photo(orientation):
    """JPEG bytes of a dark picture with a bright patch, stored so that a viewer must turn it."""
    pixels = np.full((HEIGHT, WIDTH, 3), 20, np.uint8)
    pixels[MARK[1] : MARK[3], MARK[0] : MARK[2]] = 230
    image, encoded = Image.fromarray(pixels), io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(encoded, "JPEG", quality=95, exif=exif)
    return encoded.getvalue()


def shown_mark(orientation):
    """(box of the patch in the upright picture, its size)."""
    image = Image.open(io.BytesIO(photo(orientation)))
    image = ImageOps.exif_transpose(image).convert("L").point(lambda value: 255 if value > 128 else 0)
    return image.getbbox(), image.size


def read(tmp_path, orientation, box, size, **params):
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.jpg").write_bytes(photo(orientation))
    (root / "a.xml").write_text(voc("a.jpg", [("mark", *box)], size=size))
    task = ingest(tmp_path / "out", root, **params)
    dataset = datasets.load(task.output)
    audit = json.loads((task.output / "audit.json").read_text(encoding="utf-8"))
    return dataset, dataset.images()[0], [problem["code"] for problem in audit["problems"]]


def bright(dataset, image):
    """The bounding box of the bright patch in the dataset's own picture, which must carry no orientation."""
    with Image.open(dataset.path(image)) as picture:
        assert picture.getexif().get(0x0112, 1) == 1
        assert picture.size == (image["width"], image["height"])
        return picture.convert("L").point(lambda value: 255 if value > 128 else 0).getbbox()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_drawn_on_the_upright_picture_stay(tmp_path, orientation):
    box, size = shown_mark(orientation)
    dataset, image, codes = read(tmp_path, orientation, box, size)
    assert tuple(image["objects"][0]["bbox"]) == box == bright(dataset, image)
    assert ("exif-unclear" in codes) == (orientation in (2, 3, 4))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_drawn_on_the_stored_pixels_are_turned_with_them(tmp_path, orientation):
    told = {} if orientation in (1, 5, 6, 7, 8) else {"exif": "stored"}  # no declared size can tell 2, 3 and 4
    dataset, image, codes = read(tmp_path, orientation, MARK, (WIDTH, HEIGHT), **told)
    assert tuple(image["objects"][0]["bbox"]) == shown_mark(orientation)[0] == bright(dataset, image)
    assert "exif-unclear" not in codes


def test_photos_that_cannot_tell_are_read_as_those_that_can(tmp_path):
    """Orientation 3 keeps the size; that of 6 shows that this labeller worked on stored pixels."""
    root = tmp_path / "root"
    root.mkdir()
    for name, orientation in (("a", 3), ("b", 6)):
        (root / (name + ".jpg")).write_bytes(photo(orientation))
        (root / (name + ".xml")).write_text(voc(name + ".jpg", [("mark", *MARK)], size=(WIDTH, HEIGHT)))
    images = datasets.load(ingest(tmp_path / "out", root).output).images()
    assert [tuple(image["objects"][0]["bbox"]) for image in images] == [shown_mark(3)[0], shown_mark(6)[0]]


@pytest.mark.parametrize("orientation", [3, 6])
def test_the_audit_shows_and_tells_boxes_as_the_pipeline_says_they_were_drawn(tmp_path, orientation):
    """Of the contact sheet: the patch is hidden by nothing, and the good box lies around it."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.jpg").write_bytes(photo(orientation))
    (root / "a.xml").write_text(voc("a.jpg", [("mark", *MARK), ("mark", 0, 0, WIDTH + 9, 9)], size=(0, 0)))
    task = ingest(tmp_path / "out", root, exif="stored", on_error="drop")
    problem = next(each for each in json.loads((task.output / "audit.json").read_text())["problems"] if each["severity"] == "error")
    assert problem["message"].endswith(", when turned upright")
    with Image.open(task.output / "contact_sheet.jpg") as sheet:
        pixels = np.asarray(sheet.convert("RGB")).astype(int)
    good = np.abs(pixels - ImageColor.getrgb("#56b4e9")).sum(axis=2) < 90
    inner = pixels[np.nonzero(good.any(axis=1))[0][[0, -1]].mean().astype(int), np.nonzero(good.any(axis=0))[0][[0, -1]].mean().astype(int)]
    assert (inner > 200).all()


def test_the_pipeline_can_say_it(tmp_path):
    _, image, codes = read(tmp_path, 3, MARK, (WIDTH, HEIGHT), exif="displayed")
    assert tuple(image["objects"][0]["bbox"]) == MARK
    assert "exif-unclear" not in codes


def test_all_photos_of_the_collection_come_out_upright_with_right_boxes(shared_data, tmp_path):
    """18 photos of the same two scenes: wherever the box is put in the upright scene, its pixels are the same in all of them."""
    root = tmp_path / "root"
    root.mkdir()
    originals = sorted(path for path in shared_data("datasets/exif").glob("*.jpg"))
    assert len(originals) == 18
    for path in originals:
        with Image.open(path) as image:
            width, height = ImageOps.exif_transpose(image).size
        (root / path.name).write_bytes(path.read_bytes())
        box = (width // 8, height // 8, width // 2, height // 3)
        (root / (path.stem + ".xml")).write_text(voc(path.name, [("scene", *box)], size=(width, height)))
    dataset = datasets.load(ingest(tmp_path / "out", root, cpus=2).output)
    patches = {}
    for image in dataset.images():
        with Image.open(dataset.path(image)) as picture:
            patch = picture.convert("RGB").crop([int(edge) for edge in image["objects"][0]["bbox"]]).resize((32, 32))
        patches.setdefault(image["name"].split("_")[0].lower(), []).append(np.asarray(patch, np.float64))
    assert {scene: len(found) for scene, found in patches.items()} == {"landscape": 9, "portrait": 9}
    for found in patches.values():
        for patch in found[1:]:
            assert np.abs(patch - found[0]).mean() < 12
