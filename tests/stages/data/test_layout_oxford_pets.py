"""Oxford-IIIT Pet: heads from XML or whole animals from trimaps, breeds or species."""

import io

import numpy as np
import pytest
from _detection import rle as rles
from _runtime import StageError
from hypothesis import given
from hypothesis import strategies as st
from layout_reading import natural, outcome, read, write
from layouts.oxford_pets import OxfordPets
from PIL import Image
from voc_files import voc

LAYOUT = OxfordPets()
TRAINVAL = "Abyssinian_100 1 1 1\ngreat_pyrenees_12 16 2 9\npug_7 25 2 18\n"
TEST = "Abyssinian_201 1 1 1\npug_8 25 2 18\n"
HEADER = "#Image CLASS-ID SPECIES BREED ID\n#ID: 1:37 Class ids\n"
BOX = [10, 10, 30, 40]


def trimap(size=(6, 5), kind="PNG", mode="L"):
    """An animal at x 1 to 3 and y 2, its outline one pixel around it to the right."""
    pixels = np.full((size[1], size[0]), 2, np.uint8)
    pixels[2, 1:4] = 1
    pixels[2, 4] = 3
    encoded = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(encoded, kind)
    return encoded.getvalue()


def pets(**others):
    """The dataset with heads for two of trainval.txt's three images and none of test.txt's."""
    files = {"annotations/list.txt": HEADER + TRAINVAL + TEST, "annotations/trainval.txt": TRAINVAL, "annotations/test.txt": TEST}
    for name, species in (("Abyssinian_100", "cat"), ("great_pyrenees_12", "dog")):
        files["annotations/xmls/%s.xml" % name] = voc(name + ".jpg", [(species, *BOX)])
    for name in ("Abyssinian_100", "great_pyrenees_12", "pug_7", "Abyssinian_201", "pug_8"):
        files["annotations/trimaps/%s.png" % name] = trimap()
        files["annotations/trimaps/._%s.png" % name] = b"\0\5\x16\7"  # as in the published archive
        files["images/%s.jpg" % name] = b"a picture"
    return {name: content for name, content in {**files, **others}.items() if content is not None}


TRAIN, TESTED = {"list": "annotations/trainval.txt"}, {"list": "annotations/test.txt"}


def test_heads_and_breeds_of_trainval_are_what_is_read_without_a_word(tmp_path):
    root = write(tmp_path / "root", pets())
    assert LAYOUT.fits(root)
    assert LAYOUT.splits(root) == {"train": TRAIN}  # no head is marked in test.txt's images
    reading = natural(LAYOUT, root, tmp_path)["train"]
    assert reading.objects == [
        ("Abyssinian_100.jpg", "Abyssinian", BOX, 0),
        ("great_pyrenees_12.jpg", "great_pyrenees", BOX, 0),
    ]
    assert [(finding.way, finding.code, finding.file, finding.line) for finding in reading.findings] == [
        ("doubt", "image-unlabelled", "annotations/trainval.txt", 3)
    ]
    assert reading.extra == {}
    assert reading.source.images[0] == root / "images"
    assert reading.source.listed


def test_a_test_list_with_heads_is_a_split(tmp_path):
    heads = {"annotations/xmls/pug_8.xml": voc("pug_8.jpg", [("dog", *BOX)])}
    root = write(tmp_path / "root", pets(**heads))
    assert LAYOUT.splits(root) == {"train": TRAIN, "test": TESTED}


# options of the split -> objects of trainval.txt, classes of the layout
OPTIONS = {
    "breeds": ({}, ["Abyssinian", "great_pyrenees"], ["Abyssinian", "great_pyrenees", "pug"]),
    "species": ({"label": "species"}, ["cat", "dog"], ["cat", "dog"]),
    "bodies": ({"boxes": "body"}, ["Abyssinian", "great_pyrenees", "pug"], ["Abyssinian", "great_pyrenees", "pug"]),
    "bodies by species": ({"boxes": "body", "label": "species"}, ["cat", "dog", "dog"], ["cat", "dog"]),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_options(tmp_path, case):
    options, labels, classes = OPTIONS[case]
    reading = read(LAYOUT, write(tmp_path / "root", pets()), tmp_path, {**TRAIN, **options})
    assert [label for _, label, *_ in reading.objects] == labels
    assert reading.source.options["classes"] == classes


def test_classes_are_in_the_order_of_their_ids(tmp_path):
    files = pets(**{"annotations/list.txt": HEADER + "pug_1 2 2 1\nBengal_3 1 1 2\nnonsense\nodd x 1\n"})
    assert read(LAYOUT, write(tmp_path / "root", files), tmp_path, TRAIN).source.options["classes"] == ["Bengal", "pug"]


def test_a_body_is_the_box_around_all_but_the_background(tmp_path):
    reading = read(LAYOUT, write(tmp_path / "root", pets()), tmp_path, {**TESTED, "boxes": "body"})
    assert reading.objects == [("Abyssinian_201.jpg", "Abyssinian", [1, 2, 5, 3], 0), ("pug_8.jpg", "pug", [1, 2, 5, 3], 0)]
    expected = np.zeros((5, 6), bool)
    expected[2, 1:5] = True
    assert np.array_equal(rles.decode(reading.extra[0]["mask"]["rle"]), expected)
    assert [(image.width, image.height) for image in reading.images] == [(6, 5), (6, 5)]
    assert reading.findings == []


def test_the_species_of_an_animal_that_no_list_tells(tmp_path):
    root = write(tmp_path / "root", pets())
    reading = read(LAYOUT, root, tmp_path, {"folder": ".", "boxes": "body", "label": "species"})
    assert {name: label for name, label, *_ in reading.objects} == {
        "Abyssinian_100.jpg": "cat",
        "Abyssinian_201.jpg": "cat",
        "great_pyrenees_12.jpg": "dog",
        "pug_7.jpg": "dog",
        "pug_8.jpg": "dog",
    }


# options, files that differ -> (way, code) of the findings, number of objects
FINDINGS = {
    "a list with a name twice": ({}, {"annotations/trainval.txt": TRAINVAL[:21] * 2}, [("doubt", "listed-twice")], 1),
    "a list with extensions": ({}, {"annotations/trainval.txt": "Abyssinian_100.jpg\n"}, [], 1),
    "a comment": ({}, {"annotations/trainval.txt": "#Image x\nAbyssinian_100\n"}, [], 1),
    "no trimap": (
        {"boxes": "body"},
        {"annotations/trimaps/pug_7.png": None},
        [("bad", "annotation-missing")],
        2,
    ),
    "a trimap cut short": ({"boxes": "body"}, {"annotations/trimaps/pug_7.png": trimap()[:40]}, [("bad", "mask-broken")], 2),
    "a trimap in colours": ({"boxes": "body"}, {"annotations/trimaps/pug_7.png": trimap(mode="RGB")}, [("bad", "mask-broken")], 2),
    "broken XML": ({}, {"annotations/xmls/Abyssinian_100.xml": "<annotation>"}, [("doubt", "image-unlabelled"), ("bad", "xml-broken")], 1),
    "XML without a box": (
        {},
        {
            "annotations/xmls/Abyssinian_100.xml": voc("Abyssinian_100.jpg", [("cat", *BOX)]).replace("bndbox", "polygon"),
        },
        [("doubt", "image-unlabelled"), ("bad", "box-missing")],
        1,
    ),
    "a name without a number": (
        {},
        {"annotations/trainval.txt": "pug\nAbyssinian_100\n", "annotations/xmls/pug.xml": voc("pug.jpg")},
        [("bad", "label-empty")],
        1,
    ),
}


@pytest.mark.parametrize("case", FINDINGS, ids=lambda case: case.replace(" ", "-"))
def test_findings(tmp_path, case):
    options, others, codes, objects = FINDINGS[case]
    reading = read(LAYOUT, write(tmp_path / "root", pets(**others)), tmp_path, {**TRAIN, **options})
    assert reading.codes() == codes
    assert len(reading.objects) == objects


def test_a_trimap_without_an_animal(tmp_path):
    encoded = io.BytesIO()
    Image.fromarray(np.full((5, 6), 2, np.uint8)).save(encoded, "PNG")
    root = write(tmp_path / "root", pets(**{"annotations/trimaps/pug_7.png": encoded.getvalue()}))
    assert read(LAYOUT, root, tmp_path, {**TRAIN, "boxes": "body"}).codes() == [("bad", "mask-empty")]


# files that differ, specification -> parts of the StageError's what and remedy
REFUSED = {
    "a label that is not known": ({}, {**TRAIN, "label": "colour"}, "does not know", "breed"),
    "boxes that are not known": ({}, {**TRAIN, "boxes": "tail"}, "does not know", "head"),
    "heads of the test list": ({}, TESTED, "no image of the list has the box of a head", "boxes: body"),
    "a list that is not there": ({}, {"list": "annotations/val.txt"}, "does not exist", "list"),
    "a list of nothing": ({"annotations/trainval.txt": "\n"}, TRAIN, "empty", "names"),
}


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.replace(" ", "-"))
def test_refused(tmp_path, case):
    others, spec, what, remedy = REFUSED[case]
    error = outcome(LAYOUT, write(tmp_path / "root", pets(**others)), tmp_path, {"train": spec})
    assert isinstance(error, StageError)
    assert what in error.what
    assert remedy in error.remedy


def test_a_dataset_without_heads(tmp_path):
    files = {name: content for name, content in pets().items() if "xmls" not in name}
    error = outcome(LAYOUT, write(tmp_path / "root", files), tmp_path)
    assert "boxes: body" in error.remedy


def test_the_annotations_in_a_folder_of_another_name(tmp_path):
    root = write(tmp_path / "root", {name.replace("annotations/", "told/"): content for name, content in pets().items()})
    reading = read(LAYOUT, root, tmp_path, {"annotations": "told", "images": "images"})
    assert len(reading.objects) == 2
    assert reading.source.images == [root / "images"]


FITTING = {
    "the dataset": (pets(), True),
    "its annotations alone": ({name[12:]: content for name, content in pets().items() if name.startswith("annotations")}, True),
    "VOC": ({"Annotations/a.xml": voc(), "ImageSets/Main/train.txt": "a\n"}, False),
    "XML in xmls without a list": ({"annotations/xmls/a.xml": voc()}, False),
    "a list alone": ({"annotations/list.txt": TRAINVAL}, False),
}


@pytest.mark.parametrize("case", FITTING, ids=lambda case: case.replace(" ", "-"))
def test_whether_a_folder_fits(tmp_path, case):
    files, expected = FITTING[case]
    assert LAYOUT.fits(write(tmp_path, files)) is expected


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    return tmp_path_factory.mktemp("pets")


WORDS = st.sampled_from(
    ["Abyssinian_100", "pug_7", "../pug_7", "pug", "_1", "#", "1", "2", "99999", "\n", " ", "\u00e9", "\x00", ".jpg", "/"]
)
LISTS = st.one_of(st.binary(max_size=60), st.lists(WORDS, max_size=12).map(lambda words: " ".join(words).encode("utf-8")))
SPECS = st.sampled_from([TRAIN, {**TRAIN, "boxes": "body"}, {**TRAIN, "label": "species"}, {**TRAIN, "label": "species", "boxes": "body"}])


@given(LISTS, st.binary(max_size=60), SPECS)
def test_any_bytes(workshop, data, other, spec):
    files = {"annotations/trainval.txt": data, "annotations/list.txt": data[::-1], "annotations/trimaps/pug_7.png": trimap()[:40] + other}
    root = write(workshop / "root", pets(**files, **{"annotations/xmls/pug_7.xml": other}))
    outcome(LAYOUT, root, workshop, {"train": spec})
    outcome(LAYOUT, root, workshop)
