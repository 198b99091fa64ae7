"""TFRecord files back in: what is whole is read, and every damage has a name, a record and a place."""

import gzip
import struct
import tracemalloc
import zlib

import pytest
from _detection.tf_example import Feature, NotAnExampleError, parse_features
from _detection.tfrecord import masked_crc32c
from _detection.tfrecord_reader import Shard, payloads, ranges, shard_of, spans
from hypothesis import given
from hypothesis import strategies as st
from record_files import example_bytes, frame, picture

PARTS = [b"first", b"", b"the third"]
WHOLE = b"".join(frame(part) for part in PARTS)
OFFSETS = [0, 21, 37]


def read(path):
    """([data of whole records], {(code, number, offset)}) of a file."""
    groups, ends = ranges(path)
    found, damages = [], [(end.damage.code, end.number, end.offset) for end in ends]
    for group in groups:
        for span, data, damage in payloads(path, group):
            if data is not None:
                found.append(data)
            if damage is not None:
                damages.append((damage.code, span.number, span.offset))
    return found, damages


def written(tmp_path, data):
    path = tmp_path / "x.record"
    path.write_bytes(data)
    return path


def header(length):
    packed = struct.pack("<Q", length)
    return packed + struct.pack("<I", masked_crc32c(packed))


def test_whole_records_come_with_number_offset_and_data(tmp_path):
    path = written(tmp_path, WHOLE)
    assert [(span.number, span.offset, span.length, span.damage) for span in spans(path)] == [
        (number, offset, len(part), None) for number, (offset, part) in enumerate(zip(OFFSETS, PARTS, strict=True), 1)
    ]
    assert read(path) == (PARTS, [])


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_what_was_framed_is_read(tmp_path_factory, parts):
    assert read(written(tmp_path_factory.mktemp("f"), b"".join(frame(part) for part in parts))) == (parts, [])


@pytest.mark.parametrize("place", range(len(WHOLE)))
def test_a_flipped_bit_is_named_with_its_record_and_nothing_false_is_read(tmp_path, place):
    number = sum(place >= offset for offset in OFFSETS)
    for bit in (1, 128):
        data = bytearray(WHOLE)
        data[place] ^= bit
        found, damages = read(written(tmp_path, bytes(data)))
        assert [(where, offset) for _, where, offset in damages] == [(number, OFFSETS[number - 1])]
        assert all(code in ("record-length-crc", "record-data-crc") for code, _, _ in damages)
        assert all(part in PARTS for part in found)
        in_data = place - OFFSETS[number - 1] >= 12
        if in_data:
            assert found == [part for part in PARTS if part != PARTS[number - 1]]


@pytest.mark.parametrize("size", range(len(WHOLE)))
def test_a_cut_is_named_with_its_record_and_what_is_before_is_read(tmp_path, size):
    found, damages = read(written(tmp_path, WHOLE[:size]))
    whole = sum(size >= end for end in [*OFFSETS[1:], len(WHOLE)])
    assert found == PARTS[:whole]
    code = "record-cut" if any(WHOLE[OFFSETS[whole] : size]) else "trailing-bytes"
    # A cut between records cannot be seen in the file alone.
    assert damages == ([] if size in OFFSETS else [(code, whole + 1, OFFSETS[whole])])


def test_a_wrong_checksum_of_a_right_length_loses_nothing(tmp_path):
    data = bytearray(WHOLE)
    data[8] ^= 1
    assert read(written(tmp_path, bytes(data))) == (PARTS, [("record-length-crc", 1, 0)])


@pytest.mark.parametrize(
    ("after", "code"),
    [
        (bytes(3), "trailing-bytes"),
        (bytes(5000), "trailing-bytes"),
        (b"\0\0\1", "record-cut"),
        (b"more than a header", "record-length-crc"),
        (bytes(5000) + b"\1", "record-length-crc"),
    ],
)
def test_what_follows_the_last_record_is_named(tmp_path, after, code):
    assert read(written(tmp_path, WHOLE + after)) == (PARTS, [(code, 4, len(WHOLE))])


@pytest.mark.parametrize(
    ("data", "code", "says"),
    [
        (gzip.compress(WHOLE), "file-compressed", "gunzip"),
        (zlib.compress(WHOLE), "file-compressed", "zlib"),
        (picture(), "file-not-tfrecord", "PNG"),
        (picture(kind="JPEG"), "file-not-tfrecord", "JPEG"),
        (b"filename,class\na.jpg,cat\n", "file-not-tfrecord", "text"),
        (b"<!DOCTYPE html><html></html>", "file-not-tfrecord", "text or web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "file-not-tfrecord", "git lfs pull"),
        (b"PK\x03\x04" + bytes(40), "file-not-tfrecord", "ZIP"),
        (bytes(64), "record-length-crc", "64 bytes"),
        (b"abc", "file-not-tfrecord", "text"),
        (b"\0", "record-cut", "1 of 12"),
    ],
)
def test_what_is_no_tfrecord_file_is_named(tmp_path, data, code, says):
    ((span,), ends) = (list(spans(written(tmp_path, data))), ranges(tmp_path / "x.record")[1])
    assert ends == [span]
    assert (span.length, span.damage.code) == (None, code)
    assert says in span.damage.message


def test_an_empty_file_has_no_records(tmp_path):
    assert read(written(tmp_path, b"")) == ([], [])


@pytest.mark.parametrize("length", [1 << 20, 1 << 40, (1 << 64) - 1])
def test_a_length_that_lies_takes_no_memory(tmp_path, length):
    path = written(tmp_path, header(length) + b"little")
    tracemalloc.start()
    try:
        assert read(path) == ([], [("record-cut", 1, 0)])
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_record_beyond_all_bounds_is_named_and_passed_over(tmp_path):
    path, length = tmp_path / "x.record", (1 << 29) + 1
    with path.open("wb") as stream:
        stream.write(header(length))
        stream.seek(12 + length + 4)  # a hole: no disk is used
        stream.write(frame(b"after"))
    assert read(path) == ([b"after"], [("record-too-large", 1, 0)])


def test_a_file_that_shrinks_while_it_is_read_is_named(tmp_path):
    path = written(tmp_path, WHOLE)
    groups, _ = ranges(path)
    path.write_bytes(WHOLE[:30])
    assert [damage and damage.code for _, _, damage in payloads(path, groups[0])] == [None, "record-cut", "record-cut"]


def test_ranges_hold_every_record_once_in_order(tmp_path):
    path = written(tmp_path, b"".join(frame(b"%d" % number) for number in range(1000)))
    groups, ends = ranges(path)
    assert [len(group) for group in groups] == [256, 256, 256, 232]
    assert ends == []
    assert [span.number for group in groups for span in group] == list(range(1, 1001))
    assert next(payloads(path, groups[2][5:6]))[1] == b"517"


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"\xff\xff", "example-broken"),
        (b"\x0a\x05ab", "example-broken"),
        (b"\x12\x00", "sequence-example"),
        (b"\x0a\x00\x12\x04\x0a\x02\x0a\x00", "sequence-example"),
        (b"\x08\x01", "example-foreign"),
        (b"\x1a\x01a", "example-foreign"),
        (b"\x0a\x02\x10\x01", "example-foreign"),
    ],
)
def test_data_that_is_no_example_is_named(payload, code):
    with pytest.raises(NotAnExampleError) as caught:
        parse_features(payload)
    assert caught.value.code == code


def test_features_keep_their_kind_even_when_they_are_empty():
    none = b"\x0a\x05\x0a\x03\x0a\x01d"  # a feature without any kind: an entry with a key alone
    assert parse_features(example_bytes({"a": ("int64", []), "b": ("bytes", ["x"]), "c": ("float", [0.5])}) + none) == {
        "a": Feature("int64", []),
        "b": Feature("bytes", [b"x"]),
        "c": Feature("float", [0.5]),
        "d": Feature(None, []),
    }
    assert parse_features(b"") == {}


@given(st.binary(max_size=200))
def test_any_bytes_are_features_or_named(data):
    try:
        parsed = parse_features(data)
    except NotAnExampleError:
        return
    assert all(feature.kind in ("bytes", "float", "int64", None) for feature in parsed.values())


@given(st.binary(max_size=300), st.booleans())
def test_any_file_is_read_to_its_end_or_its_damage(tmp_path_factory, data, after_a_record):
    path = written(tmp_path_factory.mktemp("f"), (WHOLE if after_a_record else b"") + data)
    found, damages = read(path)
    assert found[: 3 * after_a_record] == PARTS[: 3 * after_a_record]
    assert damages or sum(16 + len(part) for part in found) == path.stat().st_size


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("train.record", Shard("train.record", None, None)),
        ("x.tfrecord", Shard("x.tfrecord", None, None)),
        ("x.TFRecords", Shard("x.TFRecords", None, None)),
        ("x.tf_record", Shard("x.tf_record", None, None)),
        ("train.record-00003-of-00010", Shard("train.record", 3, 10)),
        ("coco_train.tfrecord-00003-of-00010", Shard("coco_train.tfrecord", 3, 10)),
        ("train-00003-of-00010", Shard("train", 3, 10)),
        ("train-00003-of-00010.tfrecord", Shard("train", 3, 10)),
        ("train.record.gz", Shard("train.record", None, None)),
        ("model.ckpt.data-00000-of-00001", None),
        ("label_map.pbtxt", None),
        ("records.json", None),
        ("record", None),
        ("train.record.bak", None),
    ],
)
def test_names_tell_shards(name, expected):
    assert shard_of(name) == expected
