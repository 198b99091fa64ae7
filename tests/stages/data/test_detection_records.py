"""Detections as records: which records a shard holds, what a record holds, and what is said of a damaged one."""

import hashlib
import json
import struct

import numpy as np
import pytest
from _detection.detection_records import (
    add_detections,
    found_in,
    read_index,
    serialized,
    share_examples,
    share_plan,
    stream_detections,
    write_shard,
)
from _detection.example_message import Example
from _detection.postprocess import Detections
from _detection.tf_example import parse_features
from _detection.tfrecord_reader import payloads, spans
from _runtime import StageError
from hypothesis import given
from hypothesis import strategies as some
from record_files import frame

import detection_samples
import detector_images


def index_of(*counts, split="val"):
    shards = [{"file": "%s.record-%05d-of-%05d" % (split, place, len(counts)), "records": count} for place, count in enumerate(counts)]
    return {"splits": {split: {"shards": shards}}}


def sizes(counts, shards):
    return [share.records for share in share_plan(index_of(*counts), "val", shards)]


@pytest.mark.parametrize(
    ("counts", "shards", "expected"),
    [
        ([10], 1, [10]),
        ([10], 3, [4, 3, 3]),
        ([3], 7, [1, 1, 1]),
        ([1], 0, [1]),
        ([50], 0, [50]),
        ([51], 0, [26, 25]),
        ([10, 10, 10], 0, [10, 10, 10]),
        ([0, 4, 0, 3], 2, [4, 3]),
        ([0, 0, 1], 0, [1]),
        ([100_000], 0, [1563] * 32 + [1562] * 32),
        ([1] * 70, 0, [1] * 70),
    ],
    ids=[
        "one",
        "three of ten",
        "more than records",
        "one record",
        "fifty in one",
        "fifty-one in two",
        "as many as the records have",
        "empty shards of the records",
        "and only one record",
        "no more than 64",
        "but as many as the records have",
    ],
)
def test_records_are_dealt_to_shards_that_are_about_as_large(counts, shards, expected):
    assert sizes(counts, shards) == expected


@given(some.lists(some.integers(0, 400), min_size=1, max_size=12).filter(any), some.integers(0, 500))
def test_each_record_is_in_one_shard_in_the_records_order(counts, shards):
    shares = share_plan(index_of(*counts), "val", shards)
    dealt = [(file, first + step) for share in shares for file, first, records in share.parts for step in range(records)]
    assert dealt == [("val.record-%05d-of-%05d" % (place, len(counts)), row) for place, count in enumerate(counts) for row in range(count)]
    assert all(share.records == sum(part[2] for part in share.parts) >= 1 for share in shares)
    assert max(share.records for share in shares) - min(share.records for share in shares) <= 1
    assert [share.file for share in shares] == ["val.detections-%05d-of-%05d" % (place, len(shares)) for place in range(len(shares))]


def test_an_unknown_split_and_an_empty_one_are_refused():
    with pytest.raises(StageError) as unknown:
        share_plan(index_of(3, split="train"), "val", 0)
    assert (unknown.value.what, unknown.value.expected) == ("the records have no split val", "one of train")
    for counts in ([], [0], [0, 0]):
        with pytest.raises(StageError, match="the split has no images"):
            share_plan(index_of(*counts), "val", 3)


@pytest.fixture
def records(tmp_path):
    """(folder, index) of records of ten images in three shards."""
    made = detector_images.write_records(tmp_path, ["a", "b"], count=10, shards=3)
    return tmp_path, json.loads((tmp_path / "records.json").read_text()), made


def test_a_share_is_read_across_the_files_of_the_records(records):
    folder, index, _ = records
    shares = share_plan(index, "val", 4)
    read = [(where, example) for share in shares for where, example in share_examples(folder, share)]
    ids = [example.features.feature["image/source_id"].bytes_list.value[0] for _, example in read]
    assert ids == [b"%d" % number for number in range(1, 11)]
    assert [where.rpartition("/")[2] for where, _ in read[2:5]] == [
        "val.record-00000-of-00003, record 3",
        "val.record-00001-of-00003, record 1",
        "val.record-00001-of-00003, record 2",
    ]


def flip(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def second_record(path):
    return list(spans(path))[1]


@pytest.mark.parametrize(
    ("damage", "says", "where", "found"),
    [
        (lambda path: flip(path, second_record(path).offset + 20), "a record is damaged", "record 2", "checksum"),
        (lambda path: flip(path, second_record(path).offset), "a file of the records is damaged", "record 2", "checksum of its length"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "a file of the records is damaged", "record 3", "ends in its data"),
        (
            lambda path: path.write_bytes(path.read_bytes()[: second_record(path).offset]),
            "file of the records",
            "record 2",
            "the end of the",
        ),
        (lambda path: path.unlink(), "a file of the records is damaged", "record 1", "no such file"),
        (lambda path: path.write_bytes(frame(b"\xff\xff") * 3), "a record is no tf.Example", "record 1", "2 bytes"),
    ],
    ids=["data changed", "length changed", "cut short", "records missing", "file missing", "something else"],
)
def test_a_damaged_source_record_is_named_with_its_file(records, damage, says, where, found):
    folder, index, _ = records
    path = folder / "val.record-00000-of-00003"
    damage(path)
    with pytest.raises(StageError) as caught:
        [list(share_examples(folder, share)) for share in share_plan(index, "val", 2)]
    assert says in caught.value.what
    assert caught.value.where == "%s, %s" % (path, where)
    assert found in caught.value.found
    assert caught.value.remedy


FOUND = Detections(np.array([[0.1, 0.2, 0.3, 0.4], [-0.5, 0.0, 1.5, 1.0]], np.float32), np.array([2, 0]), np.array([0.75, 0.5], np.float32))
NOTHING = Detections(np.zeros([0, 4], np.float32), np.zeros([0], np.int64), np.zeros([0], np.float32))
IMAGE = {"id": 7, "name": "a.png", "width": 40, "height": 30, "sha256": "ab" * 32}


def features(example):
    return parse_features(serialized(example))


def with_more(objects=2):
    """An image's record with features that EdgeMill does not know."""
    example = detector_images.example(IMAGE, b"\x89PNG", [(1, 0.25, 0.25, 0.75, 0.5)] * objects)
    example.features.feature["their/text"].bytes_list.value.extend([b"\xff\x00", b""])
    example.features.feature["their/numbers"].int64_list.value.extend([-1, 1 << 62])
    example.features.feature["their/floats"].float_list.value.extend([float("nan"), float("-inf"), 1e-45])
    example.features.feature["image/detections_of_theirs"].int64_list.value.append(3)
    example.features.feature["their/unset"].SetInParent()
    return example


@pytest.mark.parametrize("pixels", [False, True])
def test_all_features_are_kept_and_the_pixels_where_they_are_asked_for(pixels):
    before, after = features(with_more()), features(add_detections(with_more(), FOUND, pixels=pixels))
    kept = {name: feature for name, feature in after.items() if not name.startswith("image/detection/")}
    assert ("image/encoded" in kept) is pixels
    expected = {name: feature for name, feature in before.items() if name != "image/encoded" or pixels}
    assert repr(sorted(kept.items())) == repr(sorted(expected.items()))  # NaN is not equal to itself


def test_detections_go_by_the_apis_names_with_labels_from_1():
    made = features(add_detections(with_more(), FOUND, input_sha256="cd" * 32))
    assert made["image/detection/bbox/ymin"].values == [np.float32(0.1), -0.5]
    assert made["image/detection/bbox/xmin"].values == [np.float32(0.2), 0.0]
    assert made["image/detection/bbox/ymax"].values == [np.float32(0.3), 1.5]
    assert made["image/detection/bbox/xmax"].values == [np.float32(0.4), 1.0]
    assert made["image/detection/label"] == ("int64", [3, 1])
    assert made["image/detection/score"] == ("float", [0.75, 0.5])
    assert made["image/detection/input_sha256"] == ("bytes", [b"cd" * 32])
    assert "image/detection/mask" not in made


def test_an_earlier_models_detections_are_replaced():
    first = add_detections(with_more(), FOUND, masks=[b"1", b"2"], input_sha256="cd" * 32)
    first.features.feature["image/detection/class/text"].bytes_list.value.append(b"circle")  # another program's
    again = features(add_detections(first, NOTHING))
    assert {name for name in again if name.startswith("image/detection/")} == {
        "image/detection/%s" % name for name in ("bbox/ymin", "bbox/xmin", "bbox/ymax", "bbox/xmax", "label", "score")
    }
    assert again["image/detection/score"].values == []


@given(
    some.lists(some.tuples(*[some.floats(-2, 3, width=32)] * 4, some.integers(0, 89), some.floats(0, 1, width=32)), max_size=20),
    some.booleans(),
    some.booleans(),
)
def test_what_is_written_is_read(rows, masked, told):
    boxes = np.array([row[:4] for row in rows], np.float32).reshape(-1, 4)
    given_ = Detections(boxes, np.array([row[4] for row in rows], np.int64), np.array([row[5] for row in rows], np.float32))
    masks = [b"PNG%d" % place for place in range(len(rows))] if masked else None
    example = add_detections(detector_images.example(IMAGE, b""), given_, masks, "cd" * 32 if told else None)
    found = found_in(Example.FromString(serialized(example)), "here")
    assert (found.image_id, found.sha256, found.width, found.height, found.where) == (7, "ab" * 32, 40, 30, "here")
    assert found.input_sha256 == ("cd" * 32 if told else None)
    np.testing.assert_array_equal(found.detections.boxes, given_.boxes)
    np.testing.assert_array_equal(found.detections.classes, given_.classes)
    np.testing.assert_array_equal(found.detections.scores, given_.scores)
    assert found.masks == (masks if rows or masks is None else found.masks)
    assert found.detections.boxes.shape == (len(rows), 4)


@given(some.dictionaries(some.text(max_size=6), some.lists(some.integers(-5, 5), max_size=3), max_size=12))
def test_features_are_written_in_the_order_of_their_names_and_none_is_lost(values):
    example = Example()
    for name, numbers in values.items():
        example.features.feature[name].int64_list.value.extend(numbers)
    data = serialized(example)
    assert {name: list(feature.values) for name, feature in parse_features(data).items()} == values
    places = [data.find(b"\x0a" + bytes([len(name.encode())]) + name.encode() + b"\x12") for name in sorted(values)]
    assert places == sorted(places)


def test_bytes_are_those_of_every_image(tmp_path):
    # The same test runs in the TensorFlow 1 images: protobuf 3 and 7 order a map differently where one key begins with another.
    assert detection_samples.shard_digest(tmp_path / "shard") == detection_samples.SHARD


def test_a_shards_entry_tells_what_is_in_it(tmp_path):
    entry = write_shard(tmp_path / "val.detections-00000-of-00001", [with_more(), with_more(0)])
    data = (tmp_path / entry["file"]).read_bytes()
    frames, place = hashlib.sha256(), 0
    while place < len(data):
        (length,) = struct.unpack_from("<Q", data, place)
        frames.update(data[place : place + 12] + data[place + 12 + length : place + 16 + length])
        place += 16 + length
    assert entry == {"file": "val.detections-00000-of-00001", "records": 2, "bytes": len(data), "frames": frames.hexdigest()}
    assert [damage for _, _, damage in payloads(tmp_path / entry["file"], spans(tmp_path / entry["file"]))] == [None, None]


def test_a_shard_that_could_not_be_finished_is_not_there(tmp_path):
    def examples():
        yield with_more()
        raise StageError("stop")

    with pytest.raises(StageError):
        write_shard(tmp_path / "shard", examples())
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def written(tmp_path):
    """The folder of detections of three images in two shards."""
    examples = [add_detections(detector_images.example(dict(IMAGE, id=number), b""), FOUND) for number in (1, 2, 3)]
    shards = [
        write_shard(tmp_path / ("val.detections-%05d-of-00002" % place), part) for place, part in ((0, examples[:2]), (1, examples[2:]))
    ]
    (tmp_path / "inference.json").write_text(json.dumps({"schema": 2, "shards": shards}))
    return tmp_path


def test_detections_are_read_in_order_one_after_another(written):
    stream = stream_detections(written, read_index(written))
    assert next(stream).image_id == 1
    assert [found.image_id for found in stream] == [2, 3]


@pytest.mark.parametrize(
    ("damage", "says", "where"),
    [
        (lambda path: flip(path, 40), "a record of detections is damaged", ", record 1"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "a shard of detections is not whole", ", record 2"),
        (lambda path: path.write_bytes(path.read_bytes() * 2), "a shard of detections is not whole", ", record 5"),
        (lambda path: path.unlink(), "a shard of detections is not whole", ", record 1"),
        (lambda path: path.write_bytes(frame(b"\xff") * 2), "a record is no tf.Example", ", record 1"),
        (
            lambda path: path.write_bytes(frame(serialized(Example())) * 2),
            "a record does not tell its image",
            ", record 1: image/source_id",
        ),
    ],
    ids=["changed", "cut short", "too long", "missing", "something else", "nothing in it"],
)
def test_a_damaged_record_of_detections_is_named(written, damage, says, where):
    path = written / "val.detections-00000-of-00002"
    damage(path)
    with pytest.raises(StageError) as caught:
        list(stream_detections(written, read_index(written)))
    assert (caught.value.what, caught.value.where) == (says, str(path) + where)


@pytest.mark.parametrize("name", ["bbox/ymin", "bbox/xmax", "label", "score", "mask"])
def test_lists_of_different_lengths_are_refused(name):
    example = add_detections(detector_images.example(IMAGE, b""), FOUND, masks=[b"1", b"2"])
    feature = example.features.feature["image/detection/" + name]
    getattr(feature, feature.WhichOneof("kind")).value.pop()
    with pytest.raises(StageError) as caught:
        found_in(example, "x, record 4")
    assert (caught.value.what, caught.value.where, caught.value.found) == (
        "a record's detections do not fit together",
        "x, record 4",
        "1, 2",
    )


@pytest.mark.parametrize("source", [None, "", "p7.png", "-7", "7.0", "²", "0x7"])
def test_an_image_that_is_not_told_by_its_id_is_refused(source):
    example = add_detections(detector_images.example(IMAGE, b""), FOUND)
    del example.features.feature["image/source_id"]
    if source is not None:
        example.features.feature["image/source_id"].bytes_list.value.append(source.encode())
    with pytest.raises(StageError, match="does not tell its image"):
        found_in(example, "here")


@pytest.mark.parametrize(
    ("text", "says", "found"),
    [
        (None, "the detections cannot be read", None),
        ("{", "the detections cannot be read", None),
        ("[]", "the detections have another schema", "list"),
        ('{"schema": 1}', "the detections have another schema", "1"),
    ],
)
def test_an_index_of_another_form_is_refused(tmp_path, text, says, found):
    if text is not None:
        (tmp_path / "inference.json").write_text(text)
    with pytest.raises(StageError) as caught:
        read_index(tmp_path)
    assert caught.value.what == says
    assert found in (None, caught.value.found)
