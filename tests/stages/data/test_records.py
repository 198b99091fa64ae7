"""TFRecord shards: framing, features, order, and the same bytes each time.

That TensorFlow 1.13 and the Object Detection API read them is tested in tests/stages/train/test_records_decode.py, on the file
tests/stages/golden/two.record that a test here keeps true.
"""

import hashlib
import json
import os
import struct

import pytest
from _detection import dataset as datasets
from _detection.tfrecord import example_bytes, frame, masked_crc32c, parse_example
from _runtime import StageError
from hypothesis import given
from hypothesis import strategies as st
from voc_files import HEIGHT, WIDTH, image_bytes, ingest, records, voc, write_pair

from stage_helpers import ROOT, load

GOLDEN = ROOT / "tests" / "stages" / "golden"
run = load("records", "run")

# RFC 3720, appendix B.4
VECTORS = [
    (bytes(32), 0x8A9136AA),
    (b"\xff" * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E),
    (bytes(range(31, -1, -1)), 0x113FDB5C),
    (b"123456789", 0xE3069283),
]


@pytest.mark.parametrize(("data", "crc"), VECTORS)
def test_checksums_are_masked_crc32c(data, crc):
    rotated = ((crc >> 15) | (crc << 17)) & 0xFFFFFFFF
    assert masked_crc32c(data) == (rotated + 0xA282EAD8) % 2**32


def payloads(data):
    """The payloads of a TFRecord file's bytes; both checksums of each must be right."""
    place = 0
    while place < len(data):
        length = struct.unpack_from("<Q", data, place)[0]
        payload = data[place + 12 : place + 12 + length]
        assert struct.unpack_from("<I", data, place + 8)[0] == masked_crc32c(data[place : place + 8])
        assert struct.unpack_from("<I", data, place + 12 + length)[0] == masked_crc32c(payload)
        yield payload
        place += 16 + length


@given(st.lists(st.binary(max_size=50), max_size=5))
def test_frames_can_be_read_back(parts):
    assert list(payloads(b"".join(frame(part) for part in parts))) == parts


def test_an_example_is_the_protocol_buffer_that_tensorflow_defines():
    """Worked out by hand: Example.features = 1, Features.feature = 1 (map), Feature.{bytes,float,int64}_list = 1, 2, 3, packed numbers."""
    entry = b"\x0a\x01a" + b"\x12\x06" + b"\x1a\x04" + b"\x0a\x02\x01\x02"
    assert example_bytes({"a": ("int64", [1, 2])}) == b"\x0a" + bytes([len(entry) + 2]) + b"\x0a" + bytes([len(entry)]) + entry
    assert parse_example(example_bytes({"x": ("float", [0.5]), "y": ("bytes", [b"\xff", "\u00e9"]), "z": ("int64", [])})) == {
        "x": [0.5],
        "y": [b"\xff", "\u00e9".encode()],
        "z": [],
    }


def test_an_example_does_not_depend_on_the_order_of_its_features():
    one = {"a": ("int64", [1]), "b": ("float", [2.0]), "c": ("bytes", [b"3"])}
    assert example_bytes(one) == example_bytes(dict(reversed(one.items())))


@pytest.fixture
def dataset(tmp_path):
    """Twenty training images, three validation images; one without objects."""
    root = tmp_path / "root"
    for number in range(20):
        write_pair(
            root / "train",
            "i%02d" % number,
            [("cat", 16, 12, 32, 24), ("dog", 0, 0, 64, 48)][: 1 + number % 2] if number else [],
            extra="<truncated>1</truncated>",
        )
    for number in range(3):
        write_pair(root / "val", "v%d" % number, [("dog", 1, 2, 3, 4)])
    return ingest(tmp_path / "dataset", root, splits={"train": {"folder": "train"}, "val": {"folder": "val"}}).output


def test_every_key_of_an_example(dataset, tmp_path):
    made = records(tmp_path / "records", dataset).output
    by_name = {}
    for payload in payloads((made / "train.record-00000-of-00001").read_bytes()):
        example = parse_example(payload)
        by_name[example["image/filename"][0]] = example
    image = next(image for image in datasets.load(dataset).images() if image["name"] == "train/i03.jpg")
    assert by_name[b"train/i03.jpg"] == {
        "image/encoded": [(dataset / image["file"]).read_bytes()],
        "image/format": [b"jpeg"],
        "image/filename": [b"train/i03.jpg"],
        "image/source_id": [str(image["id"]).encode()],
        "image/key/sha256": [image["sha256"].encode()],
        "image/height": [HEIGHT],
        "image/width": [WIDTH],
        "image/object/bbox/xmin": [0.25, 0.0],
        "image/object/bbox/ymin": [0.25, 0.0],
        "image/object/bbox/xmax": [0.5, 1.0],
        "image/object/bbox/ymax": [0.5, 1.0],
        "image/object/class/text": [b"cat", b"dog"],
        "image/object/class/label": [1, 2],
        "image/object/difficult": [0, 0],
        "image/object/truncated": [1, 1],
        "image/object/is_crowd": [0, 0],
        "image/object/group_of": [0, 0],
        "image/object/view": [b"Unspecified"] * 2,
    }
    empty = by_name[b"train/i00.jpg"]
    assert set(empty) == set(by_name[b"train/i03.jpg"])
    assert all(values == [] for key, values in empty.items() if key.startswith("image/object/"))


@pytest.mark.parametrize(("shards", "sizes"), [(1, [20]), (3, [7, 7, 6]), (20, [1] * 20), (50, [1] * 20)])
def test_shards_share_the_records_evenly_and_none_is_empty(dataset, tmp_path, shards, sizes):
    made = records(tmp_path / "records", dataset, shards=shards).output
    told = json.loads((made / "records.json").read_text())
    assert told["classes"] == ["cat", "dog"]
    assert told["splits"]["train"]["per_class"] == {"cat": 19, "dog": 10}
    assert (told["splits"]["train"]["images"], told["splits"]["train"]["objects"]) == (20, 29)
    assert [shard["records"] for shard in told["splits"]["train"]["shards"]] == sizes
    names = []
    for split, numbers in told["splits"].items():
        for number, shard in enumerate(numbers["shards"]):
            data = (made / shard["file"]).read_bytes()
            assert shard["file"] == "%s.record-%05d-of-%05d" % (split, number, len(numbers["shards"]))
            assert (shard["bytes"], shard["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
            found = [parse_example(payload)["image/filename"][0] for payload in payloads(data)]
            assert len(found) == shard["records"]
            names += found
    assert sorted(names) == sorted(image["name"].encode() for image in datasets.load(dataset).images())
    assert (made / "label_map.pbtxt").read_bytes() == (dataset / "label_map.pbtxt").read_bytes()


def test_training_records_are_mixed_and_others_in_order(dataset, tmp_path):
    made = records(tmp_path / "records", dataset).output
    order = {}
    for split in ("train", "val"):
        data = (made / ("%s.record-00000-of-00001" % split)).read_bytes()
        order[split] = [int(parse_example(payload)["image/source_id"][0]) for payload in payloads(data)]
    assert order["train"] != sorted(order["train"])
    assert order["val"] == sorted(order["val"])


def test_the_same_bytes_whatever_the_number_of_processes(dataset, tmp_path):
    results = []
    for cpus in (1, 2, 3):
        output = records(tmp_path / str(cpus), dataset, cpus=cpus, shards=2).output
        results.append({path.name: path.read_bytes() for path in output.iterdir()})
    assert len(results[0]) == 6
    assert results[0] == results[1] == results[2]


def test_an_image_that_changed_since_is_refused(dataset, tmp_path):
    image = datasets.load(dataset).images("train")[4]
    data = bytearray((dataset / image["file"]).read_bytes())
    data[-10] ^= 1
    (dataset / image["file"]).write_bytes(bytes(data))
    with pytest.raises(StageError, match="has changed") as caught:
        records(tmp_path / "records", dataset)
    assert image["sha256"] in caught.value.expected
    assert caught.value.where.endswith(image["file"])


def test_the_golden_file_is_what_this_code_writes(tmp_path):
    """UPDATE_GOLDEN=1 writes it anew, after a change that is meant."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.png").write_bytes(image_bytes(1, (8, 4), "PNG"))
    (root / "a.xml").write_text(
        voc("a.png", [("na\u00efve", 1, 1, 7, 3), ("a", 0, 0, 8, 4)], (8, 4), "<difficult>1</difficult>"), encoding="utf-8"
    )
    (root / "b.png").write_bytes(image_bytes(2, (5, 7), "PNG", "L"))
    (root / "b.xml").write_text(voc("b.png", [], (5, 7)))
    made = records(tmp_path / "records", ingest(tmp_path / "dataset", root).output).output
    for name, source in (("two.record", "train.record-00000-of-00001"), ("two.pbtxt", "label_map.pbtxt")):
        if os.environ.get("UPDATE_GOLDEN"):
            GOLDEN.mkdir(exist_ok=True)
            (GOLDEN / name).write_bytes((made / source).read_bytes())
        assert (GOLDEN / name).read_bytes() == (made / source).read_bytes()
