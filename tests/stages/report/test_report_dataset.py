"""The page's part on the dataset: what each split holds, and what the audit found."""

import base64
import io

import pytest
from page_text import chart, chart_rows, description, heads, rows, words
from PIL import Image
from run_files import dataset, image, obj, problem, write

from stage_helpers import artifact, load

dataset_part = load("report", "report_dataset")

NAMES = ["cat", "dog", "eel"]
IMAGES = [
    image(1, [obj("cat", 0, 0, 50, 40), obj("cat", 0, 0, 10, 8, crowd=True)], split="train"),
    image(2, [obj("dog", 0, 0, 10, 8, mask={"size": [80, 100], "counts": "Pm1"})], split="train"),
    image(3, [], split="train"),
    image(4, [obj("dog", 0, 0, 100, 80, difficult=True)], split="test"),
    image(5, [obj("dog", 0, 0, 5, 5)], split="extra"),
]
EMPTY = problem("error", "box-empty", "dropped", "a.xml", 7, 2, "dog: xmin 3 is not less than xmax 3")
TURNED = problem("warning", "exif-orientation", "fixed", "b.jpg", None, None, "turned by 90 degrees")
UNSEEN = problem("note", "class-unused", "kept", "classes", None, None, "no object is a bird")


@pytest.fixture
def dataset_section(report, tmp_path):
    """dataset_section(problems, …) makes a report of a dataset artifact alone; returns its section on the dataset."""

    def call(problems=(), images=IMAGES, classes=NAMES, sheet=None, policy="drop", count=1):
        entries = []
        for number in range(count):
            entries.append({**dataset(tmp_path / ("set%d" % number), images, classes, problems, policy), "name": "ingest%d" % number})
            if sheet is not None:
                (tmp_path / ("set%d" % number) / "contact_sheet.jpg").write_bytes(sheet)
        return report(entries).part("dataset")

    return call


def test_each_split_is_counted_with_the_flags_that_occur_the_usual_splits_first(dataset_section):
    section = dataset_section()
    assert heads(section, "Images and objects") == ["Split", "Images", "Background", "Objects", "Difficult", "Crowd", "With a mask"]
    assert rows(section, "Images and objects") == [
        ["train", "3", "1", "3", "0", "1", "1"],
        ["test", "1", "0", "1", "1", "0", "0"],
        ["extra", "1", "0", "1", "0", "0", "0"],
    ]


def test_images_with_labels_of_their_own_are_counted(dataset_section):
    section = dataset_section(images=[{**IMAGES[0], "labels": {"present": ["cat"], "absent": []}}])
    assert heads(section, "Images and objects")[-1] == "Images with labels"
    assert rows(section, "Images and objects")[0][-1] == "1"


def test_each_splits_classes_are_told_with_objects_and_images_the_most_frequent_class_first(dataset_section):
    section = dataset_section()
    told = (
        "Objects of each class in the split train, and images that show it. In each row objects, images. dog: 1, 1; cat: 2, 1; eel: 0, 0."
    )
    assert description(chart(section, "train: classes")) == told
    assert rows(section, "Objects of each class") == [
        ["dog", "1", "1", "1", "1", "1", "1"],
        ["cat", "2", "1", "0", "0", "0", "0"],
        ["eel", "0", "0", "0", "0", "0", "0"],
    ]


def test_box_sizes_are_told(dataset_section):
    section = dataset_section()
    sizes = {size: number for size, number in chart_rows(chart(section, "train: sizes of the boxes")) if number != "0"}
    assert sizes == {"10–15 %": "2", "50–70 %": "1"}
    assert chart_rows(chart(section, "test: sizes of the boxes"))[-1] == ["70 % and more", "1"]


def test_of_many_classes_the_chart_shows_the_first_and_the_table_all(dataset_section):
    section = dataset_section(classes=[*NAMES, *("class %d" % number for number in range(50))])
    assert "and 18 more." in description(chart(section, "train: classes (the first 30 of 53)"))
    assert len(rows(section, "Objects of each class")) == 53


def test_a_split_without_boxes_has_no_chart(dataset_section):
    section = dataset_section(images=[*IMAGES, image(6, [], split="val")])
    assert [words(each) for each in section.xpath(".//figcaption") if words(each).startswith("val")] == []


def test_problems_are_counted_by_code_and_what_was_done_errors_first(dataset_section):
    section = dataset_section([TURNED, EMPTY, TURNED, {**EMPTY, "action": "clipped"}])
    assert rows(section, "What the audit of the annotations found, under on_error: drop.") == [
        ["box-empty", "error", "dropped", "1"],
        ["box-empty", "error", "clipped", "1"],
        ["exif-orientation", "warning", "fixed", "2"],
    ]


def test_the_first_problems_of_each_code_are_told_with_place_and_object(dataset_section):
    section = dataset_section([*({**EMPTY, "line": line} for line in range(1, 13)), TURNED])
    told = {words(each.xpath("./summary")[0]): [words(item) for item in each.xpath(".//li")] for each in section.xpath(".//details")}
    first = told["box-empty, dropped: the first 10 of 12 (audit.csv has all)"]
    assert first == ["a.xml:%d object 2: dog: xmin 3 is not less than xmax 3" % line for line in range(1, 11)]
    assert told["exif-orientation, fixed: 1"] == ["b.jpg turned by 90 degrees"]


def test_notes_stand_apart_and_are_nothing_wrong(dataset_section):
    section = dataset_section([UNSEEN])
    assert "The audit of the annotations found nothing wrong." in words(section)
    assert rows(section, "Notes") == [["class-unused", "note", "kept", "1"]]
    assert "no object is a bird" in words(section)


def test_without_problems_nothing_is_said_of_notes(dataset_section):
    section = dataset_section()
    assert "found nothing wrong" in words(section)
    assert "Notes" not in words(section)
    assert not section.xpath(".//img")


def jpeg(size=(30, 20), colour=(200, 30, 30)):
    stream = io.BytesIO()
    Image.new("RGB", size, colour).save(stream, "JPEG")
    return stream.getvalue()


def test_a_small_contact_sheet_is_embedded_as_it_is(dataset_section):
    sheet = jpeg()
    (picture,) = dataset_section([EMPTY], sheet=sheet).xpath(".//img")
    assert base64.b64decode(picture.get("src").removeprefix("data:image/jpeg;base64,")) == sheet
    assert picture.get("alt").startswith("Contact sheet")


def test_a_large_contact_sheet_is_made_smaller(dataset_section):
    noise = io.BytesIO()
    Image.effect_noise((1600, 1200), 90).convert("RGB").save(noise, "JPEG", quality=90)
    (picture,) = dataset_section([EMPTY], sheet=noise.getvalue()).xpath(".//img")
    assert (
        len(base64.b64decode(picture.get("src").removeprefix("data:image/jpeg;base64,")))
        <= dataset_part.SHEET_BYTES
        < len(noise.getvalue())
    )


def test_several_datasets_are_told_apart(dataset_section):
    section = dataset_section(count=2)
    assert [words(each) for each in section.xpath(".//h3")] == ["ingest0", "ingest1"]
    ids = section.xpath(".//@id")
    assert len(ids) == len(set(ids)) > 4


def test_a_dataset_of_another_schema_is_refused(run_here, tmp_path):
    write(tmp_path / "set" / "dataset.json", {"schema": 1, "classes": [], "images": []})
    outcome = run_here("report", {"pictures": 1, "picture_bytes": 10000}, {"artifacts": [artifact("ingest", "dataset", tmp_path / "set")]})
    assert outcome.error["what"] == "the dataset has another schema"


@pytest.mark.parametrize(
    ("bbox", "place"),
    [
        ((0, 0, 1, 1), 1),  # 1 of 200 x 50 pixels: 1 %
        ((0, 0, 0.9, 0.9), 0),
        ((0, 0, 2, 2), 2),
        ((0, 0, 20, 5), 6),  # a tenth of each side: 10 %
        ((0, 0, 100, 1), 6),  # the same area
        ((0, 0, 200, 50), 11),
    ],
)
def test_a_boxs_size_is_the_root_of_its_share_of_the_image(bbox, place):
    assert dataset_part.size_bin(bbox, 200, 50) == place
