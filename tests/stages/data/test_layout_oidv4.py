"""OIDv4 ToolKit's folders of classes: an image for all its files, and classes of several words."""

import pytest
from _runtime import StageError
from hypothesis import given
from hypothesis import strategies as st
from layout_reading import outcome, read, write
from layouts.oidv4 import OidV4

LAYOUT = OidV4()
PICTURE = b"a picture"
APPLE = "Apple 12.0 34.5 100.0 200.1\n"
APPLE_BOX = [12, 34.5, 100, 200.1]
DESCRIPTIONS = {"csv_folder/class-descriptions-boxable.csv": "/m/014j1m,Apple\n/m/015qff,Traffic light\n/m/0x,Cat_fish\n"}
TRAIN = {"folder": "train"}


def images(*names):
    """train/NAME.jpg for each name, CLASS/ID."""
    return {"train/%s.jpg" % name: PICTURE for name in names}


def labels(**texts):
    """train/CLASS/Label/a.txt for each class."""
    return {"train/%s/Label/a.txt" % name: text for name, text in texts.items()}


# a line of the label file -> class, with and without the ToolKit's table of names
NAMES = {
    "one word": ("Apple 1 2 3 4", "Apple", "Apple"),
    "several words": ("Traffic light 1 2 3 4", "Traffic light", "Traffic light"),
    "more space than needed": ("Traffic  light   1  2 3 4 ", "Traffic light", "Traffic light"),
    "an underscore for the space": ("Traffic_light 1 2 3 4", "Traffic_light", "Traffic light"),
    "an underscore of its own": ("Cat_fish 1 2 3 4", "Cat_fish", "Cat_fish"),
    "a name that the table does not know": ("My_thing 1 2 3 4", "My_thing", "My_thing"),
    "a name that ends in a number": ("Boeing 747 1 2 3 4", "Boeing 747", "Boeing 747"),
}


@pytest.mark.parametrize("case", NAMES, ids=lambda case: case.replace(" ", "-"))
def test_class_names(tmp_path, case):
    line, plain, described = NAMES[case]
    files = {**images("Apple/a"), **labels(Apple=line)}
    assert read(LAYOUT, write(tmp_path / "plain", files), tmp_path, TRAIN).objects == [("Apple/a.jpg", plain, [1, 2, 3, 4], 0)]
    with_table = write(tmp_path / "described", {**files, **DESCRIPTIONS})
    assert read(LAYOUT, with_table, tmp_path, TRAIN).objects == [("Apple/a.jpg", described, [1, 2, 3, 4], 0)]


def test_several_classes_in_one_folder(tmp_path):
    text = "Orange 1 2 3 4\nTraffic light 5 6 7 8\n"
    root = write(tmp_path / "root", {**images("Orange_Traffic light/a"), "train/Orange_Traffic light/Label/a.txt": text})
    reading = read(LAYOUT, root, tmp_path, TRAIN)
    assert [(label, box) for _, label, box, _ in reading.objects] == [("Orange", [1, 2, 3, 4]), ("Traffic light", [5, 6, 7, 8])]
    assert reading.lines == [(1, 1), (2, 2)]
    assert reading.images[0].path == str(root / "train/Orange_Traffic light/a.jpg")


def test_an_image_in_several_folders_is_one_image(tmp_path):
    files = {**images("Apple/a", "Orange/a", "Orange/b"), **labels(Apple=APPLE, Orange="Orange 1 2 3 4\n"), "train/Orange/Label/b.txt": ""}
    reading = read(LAYOUT, write(tmp_path / "root", files), tmp_path, TRAIN)
    assert [image.name for image in reading.images] == ["Apple/a.jpg", "Orange/b.jpg"]
    assert reading.objects == [("Apple/a.jpg", "Apple", APPLE_BOX, 0), ("Apple/a.jpg", "Orange", [1, 2, 3, 4], 0)]
    assert reading.images[0].file == "train/Apple/Label/a.txt and train/Orange/Label/a.txt"
    assert reading.lines == [(0, 1), (0, 2)]
    assert reading.findings == []


def test_a_box_in_several_files_is_taken_once(tmp_path):
    files = {**images("Apple/a", "Apple_Orange/a"), **labels(Apple=APPLE, Apple_Orange="Orange 1 2 3 4\n" + APPLE)}
    reading = read(LAYOUT, write(tmp_path / "root", files), tmp_path, TRAIN)
    assert [label for _, label, *_ in reading.objects] == ["Apple", "Orange"]
    assert reading.codes() == [("note", "box-merged")]


def test_a_box_twice_in_one_file_is_left_to_the_judgement_of_boxes(tmp_path):
    reading = read(LAYOUT, write(tmp_path / "root", {**images("Apple/a"), **labels(Apple=APPLE * 2)}), tmp_path, TRAIN)
    assert len(reading.objects) == 2
    assert reading.findings == []


def test_an_image_of_another_folder_than_its_labels(tmp_path):
    files = {**images("Orange/a"), **labels(Apple=APPLE, Orange="Orange 1 2 3 4")}
    assert [image.name for image in read(LAYOUT, write(tmp_path / "root", files), tmp_path, TRAIN).images] == ["Orange/a.jpg"]


def test_images_in_a_folder_that_the_pipeline_names(tmp_path):
    root = write(tmp_path / "root", {**labels(Apple=APPLE), "photos/a.jpg": PICTURE})
    reading = read(LAYOUT, root, tmp_path, {"folder": "train", "images": "photos"})
    assert [(image.name, image.path) for image in reading.images] == [("a", None)]
    assert reading.source.images == [root / "photos"]


def test_one_class_by_itself(tmp_path):
    root = write(tmp_path / "root", {**images("Apple/a"), **labels(Apple=APPLE)})
    assert read(LAYOUT, root, tmp_path, {"folder": "train/Apple"}).objects == [("a.jpg", "Apple", APPLE_BOX, 0)]


# files -> findings
PARTNERS = {
    "labels without an image": ({"train/Apple/Label/b.txt": APPLE}, ("bad", "image-missing", "train/Apple/Label/b.txt")),
    "an image without labels": (images("Apple/b"), ("doubt", "image-unlabelled", "train/Apple/b.jpg")),
    "a folder without labels": (images("Pear/a", "Pear/b", "Pear/c"), ("doubt", "image-unlabelled", "train/Pear")),
    "labels that are no text": (
        {**images("Apple/b"), "train/Apple/Label/b.txt": b"\xff\xfe"},
        ("bad", "txt-broken", "train/Apple/Label/b.txt"),
    ),
}


@pytest.mark.parametrize("case", PARTNERS, ids=lambda case: case.replace(" ", "-"))
def test_what_has_no_partner(tmp_path, case):
    files, expected = PARTNERS[case]
    reading = read(LAYOUT, write(tmp_path / "root", {**images("Apple/a"), **labels(Apple=APPLE), **files}), tmp_path, TRAIN)
    assert [(finding.way, finding.code, finding.file) for finding in reading.findings] == [expected]
    assert [image.name for image in reading.images] == ["Apple/a.jpg"]


LINES = {
    "three numbers": ("Apple 1 2 3", "label-line", "4 words"),
    "no class": ("1 2 3 4", "label-line", "4 words"),
    "a word among the numbers": ("Apple 1 2 three 4", "box-not-a-number", "right is three"),
    "nan": ("Apple 1 nan 3 4", "box-not-a-number", "top is nan"),
}


@pytest.mark.parametrize("case", LINES, ids=lambda case: case.replace(" ", "-"))
def test_lines_that_are_left_out(tmp_path, case):
    line, code, message = LINES[case]
    root = write(tmp_path / "root", {**images("Apple/a"), **labels(Apple=APPLE + line + "\n" + APPLE)})
    reading = read(LAYOUT, root, tmp_path, TRAIN)
    assert len(reading.objects) == 2
    finding = reading.findings[0]
    assert (finding.way, finding.code, finding.file, finding.line, finding.number) == ("bad", code, "train/Apple/Label/a.txt", 2, 2)
    assert message in finding.message


SPLIT = {**images("Apple/a"), **labels(Apple=APPLE)}


def below(folder):
    files = {"%s/%s" % (folder, name): content for name, content in SPLIT.items()}
    return {**files, **{name.replace("/train/", "/validation/"): content for name, content in files.items()}}


# files -> fits, splits
FITTING = {
    "a split's folder": ({name[6:]: content for name, content in SPLIT.items()}, True, None),
    "sub-folders for the splits, which are found by name": (SPLIT, False, None),
    "the ToolKit's folder": (
        below("OID/Dataset"),
        True,
        {"train": {"folder": "OID/Dataset/train"}, "val": {"folder": "OID/Dataset/validation"}},
    ),
    "OID": (below("Dataset"), True, {"train": {"folder": "Dataset/train"}, "val": {"folder": "Dataset/validation"}}),
    "folders of images": (images("Apple/a"), False, None),
    "an empty Label": ({"Apple/Label/.keep": "", "Apple/a.jpg": PICTURE}, False, None),
    "YOLO": ({"labels/a.txt": "0 0.5 0.5 0.1 0.1", "images/a.jpg": PICTURE}, False, None),
}


@pytest.mark.parametrize("case", FITTING, ids=lambda case: case.replace(" ", "-"))
def test_whether_a_folder_fits(tmp_path, case):
    files, fits, splits = FITTING[case]
    write(tmp_path, files)
    assert LAYOUT.fits(tmp_path) is fits
    assert LAYOUT.splits(tmp_path) == splits


REFUSED = {
    "no label files": (images("Apple/a"), TRAIN, "no label files"),
    "no folder": (SPLIT, {"folder": "test"}, "does not exist"),
    "a table that is no CSV": ({**SPLIT, "csv_folder/class-descriptions-boxable.csv": '"' + "x" * 200_000}, TRAIN, "cannot be read"),
    "a table that is no text": ({**SPLIT, "csv_folder/class-descriptions-boxable.csv": b"\xff"}, TRAIN, "not UTF-8"),
}


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.replace(" ", "-"))
def test_refused(tmp_path, case):
    files, spec, what = REFUSED[case]
    error = outcome(LAYOUT, write(tmp_path / "root", files), tmp_path, {"train": spec})
    assert isinstance(error, StageError)
    assert what in error.what


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("oidv4")
    write(folder / "root", {**images("Apple/a", "Orange/a"), **labels(Orange=APPLE)})
    return folder


WORDS = st.sampled_from(
    ["Apple", "Traffic_light", "1", "2.5", "-3", "1e400", "nan", "\u0661", "\x00", "\u2028", "\n", "\r", "\ufeff", ",", '"']
)
TEXTS = st.one_of(st.binary(max_size=80), st.lists(WORDS, max_size=15).map(lambda words: " ".join(words).encode("utf-8")))


@given(TEXTS, TEXTS)
def test_any_bytes(workshop, data, table):
    root = write(workshop / "root", {"train/Apple/Label/a.txt": data, "csv_folder/class-descriptions-boxable.csv": table})
    outcome(LAYOUT, root, workshop, {"train": TRAIN})
    outcome(LAYOUT, root, workshop)
