"""TFRecord shards: framing, features, order, sizes, and the same bytes each time.

That TensorFlow 1.13 and the Object Detection API read them is tested in tests/stages/train/test_records_decode.py, on the file
tests/stages/golden/two.record that a test here keeps true.
"""

import hashlib
import io
import json
import os
import struct
import tracemalloc

import numpy as np
import pytest
from _detection import dataset as datasets
from _detection import rle as rles
from _detection.tf_example import parse_features
from _detection.tfrecord import BYTES, FLOAT, INT64, entry, example_start, frame, masked_crc32c, packed, text, varint
from _runtime import StageError
from dataset_files import picture, write_dataset
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from record_files import example_bytes
from synthetic import obj
from voc_files import HEIGHT, WIDTH, image_bytes, records

from stage_helpers import ROOT, load

GOLDEN = ROOT / "tests" / "stages" / "golden"
run = load("records", "run")
import example  # noqa: E402  a module of the stage
import record_shards  # noqa: E402

# RFC 3720, appendix B.4
VECTORS = [
    (bytes(32), 0x8A9136AA),
    (b"\xff" * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E),
    (bytes(range(31, -1, -1)), 0x113FDB5C),
    (b"123456789", 0xE3069283),
]


@pytest.mark.parametrize(("data", "crc"), VECTORS)
def test_checksums_are_masked_crc32c_of_all_pieces(data, crc):
    rotated = ((crc >> 15) | (crc << 17)) & 0xFFFFFFFF
    assert masked_crc32c(data) == masked_crc32c(data[:5], b"", data[5:]) == (rotated + 0xA282EAD8) % 2**32


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


def examples(folder, split):
    """{file name: {key: values}} of a split's records."""
    found = {}
    for path in sorted(folder.glob(split + ".record-*")):
        for payload in payloads(path.read_bytes()):
            values = {name: feature.values for name, feature in parse_features(payload).items()}
            found[values["image/filename"][0].decode()] = values
    return found


@given(st.lists(st.lists(st.binary(max_size=50), max_size=3), max_size=5))
def test_frames_can_be_read_back(parts):
    data = b"".join(frame(*pieces)[0] + b"".join(pieces) + frame(*pieces)[1] for pieces in parts)
    assert list(payloads(data)) == [b"".join(pieces) for pieces in parts]


FEATURES = st.one_of(
    st.tuples(st.just("bytes"), st.lists(st.one_of(st.binary(max_size=300), st.text(max_size=20)), max_size=5)),
    st.tuples(st.just("float"), st.lists(st.floats(width=32, allow_nan=False), max_size=40)),
    st.tuples(st.just("int64"), st.lists(st.integers(0, 2**63 - 1), max_size=40)),
)


# No key begins another, as none of the API's does: protobuf's libraries differ about the order of such.
KEYS = st.text(st.characters(min_codepoint=1, exclude_categories=("Cs",)), max_size=150).map(lambda key: key + "\0")


@given(st.dictionaries(KEYS, FEATURES, min_size=1, max_size=6))
def test_an_example_is_what_the_protobuf_library_serializes(features):
    encode = {
        "bytes": lambda values: (BYTES, b"".join(text(value) for value in values)),
        "float": lambda values: (FLOAT, packed(struct.pack("<%df" % len(values), *values))),
        "int64": lambda values: (INT64, packed(b"".join(varint(value) for value in values))),
    }
    in_order = sorted(features.items(), key=lambda item: item[0].encode())
    entries = b"".join(entry(key, *encode[kind](values)) for key, (kind, values) in in_order)
    assert example_start(len(entries)) + entries == example_bytes(features)


SIDE = st.integers(1, 5000)
CLASSES = ["cat", "na\u00efve", "x" * 200]
MORE = st.fixed_dictionaries(
    {}, optional={**{flag: st.just(True) for flag in datasets.FLAGS}, "view": st.text(max_size=9), "weight": st.floats(0, 9, width=32)}
)
OBJECTS = st.lists(st.tuples(st.sampled_from(CLASSES), st.lists(st.floats(0, 1), min_size=4, max_size=4), MORE), max_size=30)


@given(SIDE, SIDE, OBJECTS, st.binary(max_size=40000), st.text(min_size=1, max_size=200), st.none() | st.lists(st.sampled_from(CLASSES)))
def test_a_record_is_what_the_protobuf_library_serializes(width, height, objects, data, name, present):
    sides = (width, height, width, height)
    held = [{"class": kind, "bbox": [part * side for part, side in zip(box, sides, strict=True)], **more} for kind, box, more in objects]
    image = picture("train", 7, held, data, name=name, width=width, height=height)
    labels = {} if present is None else {"labels": {"present": present[:1], "absent": present[1:]}}
    pieces = example.Examples({kind: number for number, kind in enumerate(CLASSES, 1)}, masks=False).payload({**image, **labels}, data)
    assert b"".join(pieces) == example_bytes(expected(image, present))
    assert pieces[1] is data


def expected(image, present=None):
    """The features of an image in the words of the API: name to (kind, values)."""
    objects, width, height = image["objects"], image["width"], image["height"]
    made = {
        "image/encoded": ("bytes", [image["data"]]),
        "image/format": ("bytes", [image["format"].lower()]),
        "image/filename": ("bytes", [image["name"]]),
        "image/source_id": ("bytes", [str(image["id"])]),
        "image/key/sha256": ("bytes", [image["sha256"]]),
        "image/height": ("int64", [height]),
        "image/width": ("int64", [width]),
        "image/object/bbox/xmin": ("float", [item["bbox"][0] / width for item in objects]),
        "image/object/bbox/ymin": ("float", [item["bbox"][1] / height for item in objects]),
        "image/object/bbox/xmax": ("float", [item["bbox"][2] / width for item in objects]),
        "image/object/bbox/ymax": ("float", [item["bbox"][3] / height for item in objects]),
        "image/object/class/text": ("bytes", [item["class"] for item in objects]),
        "image/object/class/label": ("int64", [CLASSES.index(item["class"]) + 1 for item in objects]),
        "image/object/view": ("bytes", [item.get("view") or "Unspecified" for item in objects]),
        "image/object/weight": ("float", [item.get("weight", 1.0) for item in objects]),
    }
    for key, flag in zip(("difficult", "truncated", "group_of", "is_crowd", "occluded", "depiction"), datasets.FLAGS, strict=True):
        made["image/object/" + key] = ("int64", [int(item.get(flag, False)) for item in objects])
    if present is not None:
        made["image/class/text"] = ("bytes", present)
        made["image/class/label"] = ("int64", [CLASSES.index(kind) + 1 for kind in present])
    return made


@pytest.fixture
def dataset(tmp_path):
    """Twenty training images, three validation images; one without objects."""
    flags = {"truncated": True, "occluded": True, "view": "Frontal", "weight": 0.5}
    train = [[obj("cat", 16, 12, 32, 24), obj("dog", 0, 0, 64, 48, **flags)][: 1 + number % 2] for number in range(1, 20)]
    pictures = [picture("train", number, objects) for number, objects in enumerate([[], *train], 1)]
    pictures += [picture("val", number, [obj("dog", 1, 2, 3, 4)]) for number in (21, 22, 23)]
    return write_dataset(tmp_path / "dataset", pictures)


def test_every_key_of_an_example(dataset, tmp_path):
    made = examples(records(tmp_path / "records", dataset).output, "train")
    assert made["img4.png"] == {
        "image/encoded": [image_bytes(4)],
        "image/format": [b"jpeg"],
        "image/filename": [b"img4.png"],
        "image/source_id": [b"4"],
        "image/key/sha256": [hashlib.sha256(image_bytes(4)).hexdigest().encode()],
        "image/height": [HEIGHT],
        "image/width": [WIDTH],
        "image/object/bbox/xmin": [0.25, 0.0],
        "image/object/bbox/ymin": [0.25, 0.0],
        "image/object/bbox/xmax": [0.5, 1.0],
        "image/object/bbox/ymax": [0.5, 1.0],
        "image/object/class/text": [b"cat", b"dog"],
        "image/object/class/label": [1, 2],
        "image/object/depiction": [0, 0],
        "image/object/difficult": [0, 0],
        "image/object/group_of": [0, 0],
        "image/object/is_crowd": [0, 0],
        "image/object/occluded": [0, 1],
        "image/object/truncated": [0, 1],
        "image/object/view": [b"Unspecified", b"Frontal"],
        "image/object/weight": [1.0, 0.5],
    }
    empty = made["img1.png"]
    assert set(empty) == set(made["img4.png"])
    assert all(values == [] for key, values in empty.items() if key.startswith("image/object/"))


def test_labels_of_an_image_as_a_whole_are_those_that_were_looked_for(tmp_path):
    told = {"labels": {"present": ["dog"], "absent": ["cat"]}}
    folder = write_dataset(tmp_path / "dataset", [picture("train", 1, **told), picture("train", 2)])
    made = examples(records(tmp_path / "records", folder).output, "train")
    assert made["img1.png"]["image/class/text"] == [b"dog", b"cat"]
    assert made["img1.png"]["image/class/label"] == [2, 1]
    assert "image/class/text" not in made["img2.png"]


def test_masks_are_pngs_and_an_object_without_one_has_that_of_its_box(tmp_path):
    shape = np.zeros((HEIGHT, WIDTH), bool)
    shape[3:9, 5:40] = np.tri(6, 35, 17)
    objects = [obj("cat", 5, 3, 40, 9, mask=rles.encode(shape)), obj("dog", 10, 20, 30, 21)]
    folder = write_dataset(tmp_path / "dataset", [picture("train", 1, objects), picture("val", 2, objects[1:]), picture("val", 3)])
    made = records(tmp_path / "records", folder).output
    boxed = np.zeros((HEIGHT, WIDTH), bool)
    boxed[20:21, 10:30] = True
    assert masks(made, "train", "img1.png") == [shape.tolist(), boxed.tolist()]
    assert masks(made, "val", "img2.png") == [boxed.tolist()]
    assert masks(made, "val", "img3.png") == []


def masks(folder, split, name):
    """An image's masks as lists of rows; each must be a PNG of 0 and 1."""
    return [pixels(data).astype(bool).tolist() for data in examples(folder, split)[name]["image/object/mask"] if pixels(data).max() == 1]


def pixels(data):
    return np.asarray(Image.open(io.BytesIO(data)))


@pytest.mark.parametrize(
    ("box", "columns", "rows"),
    [
        ([0, 0, 6, 4], (0, 6), (0, 4)),
        ([1, 1, 3, 2], (1, 3), (1, 2)),
        ([5, 3, 6, 4], (5, 6), (3, 4)),
        ([0.5, 0.4, 2.5, 1.6], (1, 3), (0, 2)),
        ([2.6, 1.6, 3.4, 2.4], (3, 4), (2, 3)),
        ([5.9, 3.9, 6, 4], (5, 6), (3, 4)),
        ([2.1, 1.1, 2.2, 1.2], (2, 3), (1, 2)),
    ],
    ids=str,
)
def test_a_boxs_mask_is_of_the_pixels_whose_centres_are_inside_but_never_empty(box, columns, rows):
    inside = np.zeros((4, 6), bool)
    inside[slice(*rows), slice(*columns)] = True
    assert rles.decode(example.box_mask(box, 6, 4)).tolist() == inside.tolist()


@pytest.mark.parametrize(("shards", "sizes"), [(1, [20]), (3, [7, 7, 6]), (20, [1] * 20), (50, [1] * 20)])
def test_shards_share_the_records_evenly_and_none_is_empty(dataset, tmp_path, shards, sizes):
    made = records(tmp_path / "records", dataset, shards=shards).output
    told = json.loads((made / "records.json").read_text())
    assert (told["schema"], told["classes"]) == (2, ["cat", "dog"])
    assert told["splits"]["train"]["per_class"] == {"cat": 19, "dog": 10}
    assert (told["splits"]["train"]["images"], told["splits"]["train"]["objects"]) == (20, 29)
    assert [shard["records"] for shard in told["splits"]["train"]["shards"]] == sizes
    names = []
    for split, numbers in told["splits"].items():
        for number, shard in enumerate(numbers["shards"]):
            data = (made / shard["file"]).read_bytes()
            assert shard["file"] == "%s.record-%05d-of-%05d" % (split, number, len(numbers["shards"]))
            found = list(payloads(data))
            frames = b"".join(b"".join(frame(payload)) for payload in found)
            assert (shard["records"], shard["bytes"]) == (len(found), len(data))
            assert shard["frames"] == hashlib.sha256(frames).hexdigest()
            names += [parse_features(payload)["image/filename"].values[0].decode() for payload in found]
    assert sorted(names) == sorted(image["name"] for image in datasets.load(dataset).images())
    assert (made / "label_map.pbtxt").read_bytes() == (dataset / "label_map.pbtxt").read_bytes()


def test_as_many_shards_as_keep_each_below_the_size_where_no_number_is_given(dataset, tmp_path, monkeypatch):
    size = max(image["bytes"] for image in datasets.load(dataset).images())
    monkeypatch.setattr(record_shards, "AUTOMATIC", 6 * size)
    told = json.loads((records(tmp_path / "records", dataset).output / "records.json").read_text())
    assert [shard["records"] for shard in told["splits"]["train"]["shards"]] == [5, 5, 5, 5]
    assert [shard["records"] for shard in told["splits"]["val"]["shards"]] == [3]


@pytest.mark.parametrize("split", ["train", "val"])
def test_records_stand_in_the_order_of_the_datasets_lines(dataset, tmp_path, split):
    made = records(tmp_path / "records", dataset, shards=2).output
    assert list(examples(made, split)) == [image["name"] for image in datasets.load(dataset).stream(split)]


@pytest.mark.parametrize("processes", [1, 3])
@pytest.mark.parametrize("part", [1 << 30, 20000, 1])
def test_the_same_bytes_whatever_the_number_of_processes_and_parts(dataset, tmp_path, monkeypatch, processes, part):
    plain = content(records(tmp_path / "plain", dataset, shards=2).output)
    monkeypatch.setattr(record_shards, "_PART", part)
    monkeypatch.setattr(record_shards, "_WORTH_A_PROCESS", 1)
    monkeypatch.setattr(record_shards, "_WRITE", 1000)
    assert content(records(tmp_path / "records", dataset, processes, shards=2).output) == plain
    assert len(plain) == 8


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_any_range_of_the_plan_can_be_written_alone(dataset, tmp_path):
    whole = content(records(tmp_path / "whole", dataset, shards=4).output)
    data = datasets.load(dataset)
    plan = record_shards.shard_plan(data, 4)
    (tmp_path / "alone").mkdir()
    for shards in (plan[5:], plan[1:3]):
        list(record_shards.write_shards(shards, tmp_path / "alone", data.classes, 1, told=lambda records: None))
    alone = content(tmp_path / "alone")
    assert sorted(alone) == [
        "train.record-00001-of-00004",
        "train.record-00002-of-00004",
        "val.record-00001-of-00003",
        "val.record-00002-of-00003",
    ]
    assert alone == {name: whole[name] for name in alone}


def test_progress_counts_images(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(record_shards, "_PART", 20000)
    counts, data = [], datasets.load(dataset)
    list(record_shards.write_shards(record_shards.shard_plan(data, 1), tmp_path, data.classes, 1, counts.append))
    assert sum(counts) == 23
    assert len(counts) > 2


def test_sizes_of_all_boxes_in_a_file_that_numpy_reads(dataset, tmp_path):
    made = records(tmp_path / "records", dataset, shards=3).output
    found = np.load(made / "train.boxes.npy", allow_pickle=False)
    wanted = []
    for image in datasets.load(dataset).stream("train"):
        for item in image["objects"]:
            xmin, ymin, xmax, ymax = item["bbox"]
            size = np.float32((xmax - xmin) / WIDTH), np.float32((ymax - ymin) / HEIGHT)
            wanted.append((1 if item["class"] == "cat" else 2, image["id"], *size))
    assert found.dtype == np.dtype([("class", "<i4"), ("image", "<i4"), ("width", "<f4"), ("height", "<f4")])
    assert found.tolist() == wanted
    assert len(np.load(made / "val.boxes.npy")) == 3


@pytest.mark.parametrize("count", [0, 5, 10**9])
def test_the_header_of_the_box_sizes_is_numpys(count):
    stream = io.BytesIO(run.boxes_header(count))
    assert np.lib.format.read_magic(stream) == (1, 0)
    shape, by_columns, kind = np.lib.format.read_array_header_1_0(stream)
    assert (shape, by_columns, kind.itemsize) == ((count,), False, record_shards.BOX.size)
    assert stream.tell() == len(stream.getvalue())
    assert stream.tell() % 64 == 0


def test_a_split_without_objects_has_an_empty_file_of_box_sizes(tmp_path):
    made = records(tmp_path / "records", write_dataset(tmp_path / "dataset", [picture("train", 1)])).output
    assert len(np.load(made / "train.boxes.npy")) == 0


def test_memory_does_not_grow_with_the_dataset(tmp_path, monkeypatch):
    data = [image_bytes(number, (200, 200), "PNG") for number in range(60)]
    folder = write_dataset(tmp_path / "dataset", [picture("train", number, data=each) for number, each in enumerate(data, 1)])
    total = sum(map(len, data))
    monkeypatch.setattr(record_shards, "_WRITE", 1 << 18)
    del data
    tracemalloc.start()
    try:
        records(tmp_path / "records", folder)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < total / 3


def altered(path):
    data = bytearray(path.read_bytes())
    data[-10] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (altered, "an image of the dataset has changed"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "an image of the dataset has changed"),
        (lambda path: path.write_bytes(path.read_bytes() + b"\0"), "an image of the dataset has changed"),
        (lambda path: path.unlink(), "an image of the dataset is missing"),
    ],
    ids=["altered", "cut", "longer", "missing"],
)
def test_an_image_that_is_not_as_it_was_is_refused_and_its_shard_not_written(dataset, tmp_path, damage, what):
    image = list(datasets.load(dataset).stream("train"))[12]
    damage(dataset / image["file"])
    with pytest.raises(StageError, match=what) as caught:
        records(tmp_path / "records", dataset, shards=2)
    assert image["sha256"] in caught.value.expected
    assert caught.value.where.endswith(image["file"])
    assert [path.name for path in (tmp_path / "records" / "output").iterdir()] == ["train.record-00000-of-00002"]


@pytest.mark.parametrize(
    ("key", "by", "what", "found"),
    [
        ("images", 1, "another number of images", "fewer"),
        ("images", -1, "another number of images", "more"),
        ("images", -20, "another number of images", "more"),
        ("objects", 1, "another number of objects", "29"),
    ],
)
def test_a_split_that_is_not_as_long_as_the_dataset_says_is_refused(dataset, tmp_path, key, by, what, found):
    said = json.loads((dataset / "dataset.json").read_text())
    said["splits"]["train"][key] += by
    (dataset / "dataset.json").write_text(json.dumps(said))
    with pytest.raises(StageError, match=what) as caught:
        records(tmp_path / "records", dataset)
    assert (caught.value.where, caught.value.found) == (str(dataset / "train.jsonl"), found)


def test_the_golden_file_is_what_this_code_writes(tmp_path):
    """UPDATE_GOLDEN=1 writes it anew, after a change that is meant."""
    mask = np.zeros((4, 8), bool)
    mask[1:3, 1:6] = True
    named = [obj("na\u00efve", 1, 1, 7, 3, difficult=True, weight=0.5, mask=rles.encode(mask)), obj("a", 0, 0, 8, 4, difficult=True)]
    labels = {"present": ["na\u00efve"], "absent": ["a"]}
    pictures = [
        picture("train", 1, named, image_bytes(1, (8, 4), "PNG"), name="a.png", width=8, height=4, labels=labels),
        picture("train", 2, [], image_bytes(2, (5, 7), "PNG", "L"), name="b.png", width=5, height=7),
    ]
    made = records(tmp_path / "records", write_dataset(tmp_path / "dataset", pictures, ["a", "na\u00efve"])).output
    for name, source in (("two.record", "train.record-00000-of-00001"), ("two.pbtxt", "label_map.pbtxt")):
        if os.environ.get("UPDATE_GOLDEN"):
            GOLDEN.mkdir(exist_ok=True)
            (GOLDEN / name).write_bytes((made / source).read_bytes())
        assert (GOLDEN / name).read_bytes() == (made / source).read_bytes()
