"""Other programs' detections, whatever is in the files: a StageError that says where, or detections; nothing else."""

import base64
import contextlib
import json
import math
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from _runtime import StageError
from hypothesis import example, given, settings
from hypothesis import strategies as some
from record_files import example_bytes, frame

from stage_helpers import load

load("read-detections", "run")  # its folder joins sys.path

import json_elements  # noqa: E402
from bad_rows import BadRows  # noqa: E402
from class_names import ClassNames, read_names  # noqa: E402
from coco_results import CocoReader, read_files  # noqa: E402
from found_files import find  # noqa: E402
from open_images_rows import OpenImagesReader  # noqa: E402
from record_rows import RecordReader  # noqa: E402
from rows import Rows  # noqa: E402
from split_images import Image, SplitImages  # noqa: E402

CLASSES = ["circle", "square"]
SIDES = [(4, 3), (10, 10), (7, 20)]
IMAGES = SplitImages([(number, "%064x" % number, Image(number - 1, "%d.jpg" % number, *SIDES[number - 1])) for number in (1, 2, 3)])


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "theirs"


def refused(error, path, says=""):
    """What every refusal tells."""
    assert says in error.what
    assert str(path) in error.where
    assert error.remedy


def read(make, path, content):
    """The `Rows` of a file, or None where the content is refused, which must be said with a place."""
    path.write_bytes(content)
    bad = BadRows(leave_out=False)
    rows = Rows(IMAGES, bad)
    said = []
    try:
        make(rows, bad).read(path)
        rows.check_whole()
        with contextlib.redirect_stdout(None):
            bad.finish(SimpleNamespace(warn=said.append), len(rows))
    except StageError as error:
        refused(error, path)
        return None
    for detections, masks in rows.of_images():
        assert np.isfinite(detections.boxes).all()
        assert ((detections.scores >= 0) & (detections.scores <= 1)).all()
        assert (detections.boxes[:, :2] <= detections.boxes[:, 2:]).all()
        assert (np.diff(detections.scores) <= 0).all()
        assert set(detections.classes.tolist()) <= {0, 1}
        assert masks is None or len(masks) == len(detections.scores)
    return rows


def coco(rows, bad):
    return CocoReader(IMAGES, None, ClassNames(CLASSES), rows, bad)


def open_images(rows, bad):
    return OpenImagesReader(IMAGES, ClassNames(CLASSES), rows, bad)


def records(rows, bad):
    return RecordReader(IMAGES, ClassNames(CLASSES), rows, bad)


numbers = some.one_of(some.integers(), some.floats(), some.integers(-3, 30), some.floats(-1, 2))
anything = some.recursive(
    some.one_of(some.none(), some.booleans(), numbers, some.text(max_size=5)),
    lambda inner: some.one_of(some.lists(inner, max_size=5), some.dictionaries(some.text(max_size=5), inner, max_size=4)),
    max_leaves=6,
)
counts = some.one_of(some.text(some.characters(codec="utf-8"), max_size=8), some.lists(some.integers(-3, 99), max_size=6), anything)
sizes = some.one_of(some.sampled_from([[3, 4], [10, 10], [20, 7]]), some.lists(some.integers(-5, 1 << 40), max_size=3), anything)
entries = some.fixed_dictionaries(
    {},
    optional={
        "image_id": some.one_of(some.integers(0, 4), some.sampled_from(["1", "2.jpg", "x/3"]), anything),
        "category_id": some.one_of(some.integers(0, 3), anything),
        "bbox": some.one_of(some.lists(numbers, min_size=4, max_size=4), anything),
        "score": some.one_of(some.floats(0, 1), anything),
        "segmentation": some.one_of(some.fixed_dictionaries({"size": sizes, "counts": counts}), anything),
    },
)


@settings(max_examples=300)
@given(
    some.one_of(
        some.lists(some.one_of(entries, anything), max_size=5), some.fixed_dictionaries({"annotations": some.lists(entries)}), anything
    )
)
def test_any_json(file, value):
    read(coco, file, json.dumps(value).encode("utf-8", "surrogatepass"))


GOOD_JSON = json.dumps(
    [{"image_id": 1, "category_id": 2, "bbox": [0, 1, 2, 3.5], "score": 0.25, "segmentation": {"size": [3, 4], "counts": [2, 5, 5]}}] * 3
).encode()


def mutated(data):
    """`data` with some bytes changed, taken away or added."""

    def change(edits):
        made = bytearray(data)
        for place, kind, value in edits:
            start = place % (len(made) + 1)
            made[start : start + (kind != 2)] = b"" if kind == 1 else value
        return bytes(made)

    edit = some.tuples(
        some.integers(0, len(data)),
        some.integers(0, 2),
        some.one_of(some.binary(max_size=3), some.sampled_from([b"NaN", b'"', b"[", b"}"])),
    )
    return some.one_of(
        some.lists(edit, min_size=1, max_size=4).map(change),
        some.integers(0, len(data)).map(lambda end: data[:end]),
        some.binary(max_size=40),
    )


@settings(max_examples=300)
@given(mutated(GOOD_JSON))
def test_damaged_json(file, content):
    read(coco, file, content)


def test_the_undamaged_files_are_read(file):
    assert len(read(coco, file, GOOD_JSON)) == 3
    assert len(read(open_images, file, GOOD_CSV)) == 2
    assert len(read(records, file, GOOD_RECORDS)) == 2


@given(some.one_of(some.lists(anything, max_size=6), some.dictionaries(some.text(max_size=4), anything, max_size=4)), some.integers(1, 9))
@example([1.5e300, 12, -7], 1)
@example({"a": [], "b": 3}, 2)
def test_elements_are_those_of_the_whole_however_little_is_read_at_once(file, value, block):
    file.write_bytes(json.dumps(value, ensure_ascii=block % 2 == 0).encode("utf-8", "surrogatepass"))
    before, json_elements._BLOCK = json_elements._BLOCK, block
    try:
        found = list(json_elements.elements(file))
    except StageError as error:
        refused(error, file, "the JSON is not UTF-8")  # half a surrogate pair
        return
    finally:
        json_elements._BLOCK = before
    again = json.loads(json.dumps(value))
    expected = []
    for key, held in [(None, again)] if isinstance(again, list) else again.items():
        each = held if isinstance(held, list) and held else None
        expected += [(key, 0, held)] if each is None else [(key, number, item) for number, item in enumerate(each, 1)]
    assert repr(found) == repr(expected)


HEADER = "ImageID,LabelName,Score,XMin,XMax,YMin,YMax,ImageWidth,ImageHeight,Mask"
MASK = base64.b64encode(zlib.compress(b"053")).decode()
GOOD_CSV = ("%s\n1,circle,0.5,0,1,0,0.5,,,\n2,square,1,0.25,1e0,.5,0.75,,,\n" % HEADER).encode()
cells = some.one_of(
    some.sampled_from(["1", "2", "circle", "square", "0.5", "1", "0", "", "4", "3", "10", MASK, "nan", "1e999", '"']), some.text(max_size=4)
)


@settings(max_examples=300)
@given(some.lists(some.lists(cells, min_size=10, max_size=10), max_size=4), some.sampled_from(["\n", "\r\n", "\r", "\n\n"]))
def test_any_csv(file, rows, end):
    read(open_images, file, end.join([HEADER, *map(",".join, rows)]).encode("utf-8", "surrogatepass"))


@settings(max_examples=300)
@given(mutated(GOOD_CSV))
def test_damaged_csv(file, content):
    read(open_images, file, content)


def found_record(number, **features):
    made = {"image/source_id": ("bytes", [str(number)]), "image/detection/label": ("int64", [1]), "image/detection/score": ("float", [0.5])}
    made.update(
        {
            "image/detection/bbox/" + corner: ("float", [value])
            for corner, value in zip(("ymin", "xmin", "ymax", "xmax"), (0, 0, 1, 1), strict=True)
        }
    )
    return example_bytes({**made, **features})


GOOD_RECORDS = frame(found_record(1)) + frame(found_record(2))
floats = some.lists(some.floats(width=32), max_size=2)
features = some.dictionaries(
    some.sampled_from(
        [
            "image/source_id",
            "image/filename",
            "image/key/sha256",
            *("image/detection/" + name for name in ("label", "score", "mask", "bbox/ymin", "bbox/xmax")),
        ]
    ),
    some.one_of(
        some.tuples(some.just("float"), floats),
        some.tuples(some.just("int64"), some.lists(some.integers(-(1 << 63), (1 << 63) - 1), max_size=2)),
        some.tuples(some.just("bytes"), some.lists(some.binary(max_size=6), max_size=2)),
    ),
)


@settings(max_examples=200)
@given(features)
def test_any_features(file, changed):
    read(records, file, frame(found_record(1, **changed)))


@settings(max_examples=200)
@given(mutated(GOOD_RECORDS))
def test_damaged_records(file, content):
    read(records, file, content)


@given(mutated(found_record(3)))
def test_damaged_examples(file, content):
    read(records, file, frame(content))


rows_of = some.lists(
    some.tuples(some.integers(1, 3), some.integers(1, 2), *[some.floats(0, 50, width=16)] * 4, some.floats(0, 1, width=16)),
    min_size=1,
    max_size=20,
)


@given(rows_of)
def test_what_is_good_comes_through_as_it_is(file, given_rows):
    entries_ = [
        {"image_id": image, "category_id": label, "bbox": [x, y, width, height], "score": score}
        for image, label, x, y, width, height, score in given_rows
    ]
    found = read(coco, file, json.dumps(entries_).encode())
    for number, (detections, masks) in enumerate(found.of_images(), 1):
        own = sorted((row for row in given_rows if row[0] == number), key=lambda row: -row[6])
        width, height = SIDES[number - 1]
        boxes = [[y / height, x / width, (y + h) / height, (x + w) / width] for _, _, x, y, w, h, _ in own]
        np.testing.assert_allclose(detections.boxes, np.array(boxes).reshape(-1, 4), rtol=1e-6)
        assert detections.classes.tolist() == [row[1] - 1 for row in own]
        assert detections.scores.tolist() == [row[6] for row in own]
        assert masks is None


@given(mutated(b'{"images": [{"id": 1, "file_name": "a.jpg"}], "categories": [{"id": 1, "name": "b"}]}'))
def test_files_that_explain_ids(file, content):
    for path, reader in (
        (file.with_suffix(".json"), read_files),
        (file.with_suffix(".json"), read_names),
        (file.with_suffix(".csv"), read_names),
    ):
        path.write_bytes(content)
        try:
            assert reader(path)
        except StageError as error:
            refused(error, path)


@given(some.one_of(mutated(GOOD_JSON), mutated(GOOD_CSV), mutated(GOOD_RECORDS)))
def test_looking_what_a_file_is(file, content):
    file.write_bytes(content)
    try:
        layout, files = find(file, "auto")
    except StageError as error:
        refused(error, file)
    else:
        assert (layout in {"coco", "open-images", "tfrecord"}, files) == (True, [file])


def test_numbers_that_python_alone_knows_are_no_scores(file):
    for text in ("NaN", "Infinity", "-Infinity", "1e999"):
        content = GOOD_JSON.replace(b"0.25", text.encode())
        assert read(coco, file, content) is None
    assert math.isnan(json.loads("NaN"))
