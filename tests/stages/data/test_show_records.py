"""Records drawn: the same ones each time, with boxes and masks where they are, and every feature in words."""

import io
import json

import numpy as np
import pytest
from _detection.drawing import Shape, contact_sheet, draw_shapes, placard, scaled_to
from _detection.tf_example import Feature, parse_features
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from record_files import HEIGHT, LABEL_MAP, WIDTH, example_bytes, features, frame, mask, picture, record, write

from stage_helpers import artifact, load

shown = load("show-records", "shown_record")


def show(run_stage, path=None, records=None, cpus=1, **params):
    params = {"path": path and str(path), "label_map": None, "number": 12, "seed": 1, "split": None, **params}
    return run_stage("show-records", params, {"records": records and artifact("records", "records", records)}, cpus=cpus)


def plain(size=(200, 100)):
    stream = io.BytesIO()
    Image.new("RGB", size, "white").save(stream, "PNG")
    return stream.getvalue()


def parsed(**other):
    return parse_features(example_bytes(features(**other)))


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "data"
    write(place / "train.record-00000-of-00002", [record(number) for number in range(20)])
    write(place / "train.record-00001-of-00002", [record(number) for number in range(20, 40)])
    write(place / "val.record", [record(number) for number in range(40, 45)])
    return place


def test_pictures_a_sheet_and_features_are_written(folder, run_stage):
    outcome = show(run_stage, folder, number=5)
    assert (outcome.code, outcome.result["metrics"]) == (0, {"pictures": 5})
    told = outcome.json("pictures.json")["records"]
    assert [each["picture"] for each in told] == ["record-%04d.png" % number for number in range(1, 6)]
    for each in told:
        assert Image.open(outcome.output / each["picture"]).size == (480, 320)
        assert each["remarks"] == []
    assert Image.open(outcome.output / "sheet.png").width > 1000
    text = (outcome.output / "features.txt").read_text()
    assert text.count("image/object/bbox/xmin") == 5
    assert '"cat"' in text
    assert "bytes: 89 50 4e 47" in text


def test_the_same_seed_chooses_the_same_records(folder, run_stage):
    def chosen(**params):
        return [(each["file"], each["record"]) for each in show(run_stage, folder, **params).json("pictures.json")["records"]]

    first = chosen(number=8)
    assert first == chosen(number=8, cpus=2)
    assert first == sorted(first)
    assert first != chosen(number=8, seed=2)
    assert set(first) < set(chosen(number=20))
    assert len(chosen(number=1000)) == 45


def test_a_split_alone_can_be_shown(folder, run_stage):
    told = show(run_stage, folder, split="val").json("pictures.json")["records"]
    assert {each["file"] for each in told} == {"val.record"}
    error = show(run_stage, folder, split="vla").error
    assert error["what"] == "there are no records of the split vla"
    assert error["expected"] == "train, val"


def test_records_come_from_a_file_or_an_artifact(folder, run_stage):
    assert show(run_stage, folder / "val.record").json("pictures.json")["records"][0]["file"] == "val.record"
    assert len(show(run_stage, records=folder).json("pictures.json")["records"]) == 12
    assert show(run_stage).error["what"] == "there is nothing to show"


def test_damaged_records_are_shown_as_such(tmp_path, run_stage):
    bad = [record(1, image__encoded=("bytes", [picture()[:200]])), frame(b"\xff"), record(2, boxes=[(0.5, 0.1, 0.2, 0.9)])]
    outcome = show(run_stage, write(tmp_path / "x.record", [*bad, b"left over, and no record"]))
    assert outcome.code == 0
    remarks = [each["remarks"] for each in outcome.json("pictures.json")["records"]]
    assert [len(each) for each in remarks] == [1, 1, 1]
    assert "cannot be decoded" in remarks[0][0]
    assert "no tf.Example" in remarks[1][0]
    assert "box 1 (1 cat) is odd" in remarks[2][0]
    assert "checksum of its length" in outcome.result["warnings"][0]


def test_no_records_is_an_error(tmp_path, run_stage):
    assert show(run_stage, write(tmp_path / "x.record", [])).error["what"] == "there are no records to show"
    assert show(run_stage, tmp_path).code == 1


def test_the_names_of_classes_come_from_text_or_the_label_map(folder, run_stage, tmp_path):
    image = ("bytes", [plain()])
    labels = tmp_path / "labels.pbtxt"
    labels.write_text(LABEL_MAP)
    from _detection.record_folder import read_labels

    told = read_labels(labels)
    assert shown._class(parsed(), None, 0) == ("1 cat", 0)
    assert shown._class(parsed(texts=(), labels=(2,), image__encoded=image), told, 0) == ("2 dog", 1)
    assert shown._class(parsed(texts=(), labels=(9,)), told, 0) == ("9", 8)
    assert shown._class(parsed(image__object__is_crowd=("int64", [1])), None, 0) == ("1 cat [is_crowd]", 0)


def test_a_box_is_drawn_along_its_edges_in_its_colour():
    image, remarks = shown.draw(parsed(boxes=[(0.25, 0.2, 0.75, 0.8)], image__encoded=("bytes", [plain((480, 400))])), None)
    pixels = np.asarray(image)
    coloured = (pixels == (0xE6, 0x9F, 0x00)).all(axis=2)
    assert remarks == []
    # Below the label: 480 x 400, so the box is 120..360 x 80..320, its outline two pixels inside.
    columns, rows = np.nonzero(coloured[200])[0], np.nonzero(coloured[:, 300])[0]
    assert columns.tolist() == [120, 121, 358, 359]
    assert rows.tolist()[-4:] == [80, 81, 318, 319]


def test_masks_are_tinted_where_they_are():
    drawn = features(boxes=[(0, 0, 1, 1)], image__encoded=("bytes", [plain((WIDTH, HEIGHT))]), image__object__mask=("bytes", [mask()]))
    image, _ = shown.draw(parse_features(example_bytes(drawn)), None)
    tinted = np.asarray(image)[image.height // 2 + 40, [image.width // 4, 3 * image.width // 4]]
    assert tinted.tolist() == [[244, 212, 140], [255, 255, 255]]
    values = [float(place % WIDTH < WIDTH // 2) for place in range(WIDTH * HEIGHT)]
    drawn["image/object/mask"] = ("float", values)
    again, _ = shown.draw(parse_features(example_bytes(drawn)), None)
    assert again.tobytes() == image.tobytes()


def test_features_are_listed_short():
    told = {each["name"]: each for each in shown.describe(parsed(image__object__area=("float", [0.5] * 20)))}
    assert told["image/object/area"]["count"] == 20
    assert told["image/object/area"]["values"] == ["0.5"] * 8 + ["…"]
    assert told["image/encoded"]["values"][0].endswith("…")
    assert len(told["image/encoded"]["values"][0]) < 60
    assert shown.describe({"a": Feature(None, [])}) == [{"name": "a", "type": "none", "count": 0, "values": []}]
    json.dumps(told)


@given(st.lists(st.tuples(*[st.floats(width=32)] * 4), max_size=4), st.binary(max_size=12))
def test_any_boxes_and_texts_can_be_drawn(boxes, text):
    given = parsed(boxes=boxes, labels=(2**62,) * len(boxes), texts=(text,) * len(boxes), image__encoded=("bytes", [plain((30, 20))]))
    image, remarks = shown.draw(given, None)
    assert image.size == (480, 320)
    assert len(remarks) <= len(boxes)


@pytest.mark.parametrize(
    ("size", "expected"), [((100, 50), (400, 200)), ((500, 20), (500, 20)), ((4000, 1000), (1280, 320)), ((1, 9999), (1, 1280))]
)
def test_pictures_get_a_size_to_look_at(size, expected):
    assert scaled_to(Image.new("RGB", size), 480, 1280)[0].size == expected


def test_drawing_leaves_its_picture_alone_and_a_sheet_holds_all():
    image = Image.new("RGB", (50, 40), "white")
    assert draw_shapes(image, [Shape((1, 1, 30, 30), "x", 3)]).tobytes() != image.tobytes()
    assert image.getextrema() == ((255, 255),) * 3
    assert contact_sheet([(image, "a name " * 40)] * 9, side=60).size == (280, 272)
    assert placard("why " * 200, (100, 60)).size == (100, 60)
