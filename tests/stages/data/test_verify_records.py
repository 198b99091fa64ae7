"""Records as the Object Detection API would read them: every fault has a code, a file, a record and a byte, and ends with exit status 1."""

import hashlib
import io
import json
import re
import struct

import pytest
import synthetic
from _detection.record_folder import read_labels
from _detection.tfrecord_reader import ranges
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from record_files import HEIGHT, LABEL_MAP, WIDTH, example_bytes, features, frame, mask, picture, record, write
from voc_files import records

from stage_helpers import ROOT, load

checks = load("verify-records", "record_checks")
shard_checks = load("verify-records", "shard_checks")
run = load("verify-records", "run")


@pytest.fixture
def labels(tmp_path):
    path = tmp_path / "labels.pbtxt"
    path.write_text(LABEL_MAP)
    return read_labels(path)


def codes(label_map=None, **other):
    """{(level, code)} of one record."""
    problems, _ = checks.check_record(example_bytes(features(**other)), label_map)
    return {(level, code) for level, code, _ in problems}


def verify(run_stage, path, label_map=None, cpus=1):
    return run_stage("verify-records", {"path": str(path), "label_map": label_map and str(label_map)}, {}, cpus=cpus)


def problems_of(outcome):
    return [json.loads(line) for line in (outcome.output / "problems.jsonl").read_text().splitlines()]


def test_good_records_have_no_problem(labels):
    two = {"boxes": [(0.0, 0.0, 0.5, 1.0), (0.2, 0.2, 0.9, 0.9)], "labels": [1, 2], "texts": ["cat", "Dog"]}
    assert codes(labels) == set()
    assert codes(labels, **two, image__object__mask=("bytes", [mask(), mask()])) == set()
    assert codes(**two, image__object__mask=("float", [0.0] * (2 * WIDTH * HEIGHT))) == set()
    assert codes(labels, boxes=[], labels=[], texts=[]) == set()
    assert codes(image__encoded=("bytes", [picture(kind="JPEG")]), image__format=("bytes", ["jpeg"])) == set()
    assert (
        codes(image__object__is_crowd=("int64", [1]), image__object__weight=("float", [0.5]), image__object__view=("bytes", ["F"])) == set()
    )


ONE_BYTE_OFF = bytearray(picture())
ONE_BYTE_OFF[60] ^= 1


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"image__encoded": None}, "error image-missing"),
        ({"image__encoded": ("bytes", [b""])}, "error image-missing"),
        ({"image__encoded": ("bytes", [])}, "error image-missing, error feature-count"),
        ({"image__encoded": ("bytes", [b"no image"])}, "error image-type"),
        ({"image__encoded": ("bytes", [picture(kind="GIF")])}, "error image-type"),
        ({"image__encoded": ("bytes", [picture(kind="BMP")])}, "warning image-type"),
        ({"image__encoded": ("bytes", [picture()[:-20]])}, "error image-damaged"),
        ({"image__encoded": ("bytes", [picture()[:-12]])}, "error image-damaged"),
        ({"image__encoded": ("bytes", [bytes(ONE_BYTE_OFF)])}, "error image-damaged"),
        ({"image__encoded": ("bytes", [picture()[:30]])}, "error image-damaged"),
        ({"image__encoded": ("bytes", [picture(kind="JPEG")[:-2]]), "image__format": ("bytes", ["jpeg"])}, "error image-damaged"),
        ({"image__format": ("bytes", ["jpeg"])}, "warning format-differs"),
        ({"image__format": ("bytes", ["raw"])}, "error format-raw"),
        ({"image__format": ("bytes", [])}, "error feature-count"),
        ({"image__height": ("int64", [HEIGHT + 1])}, "error size-differs"),
        ({"image__height": ("int64", [WIDTH]), "image__width": ("int64", [HEIGHT])}, "error size-differs"),
        ({"image__height": None}, "warning size-undeclared"),
        ({"image__height": ("int64", [1, 2])}, "error feature-count, error size-differs"),
        ({"image__height": ("float", [16.0])}, "error feature-type, warning size-undeclared"),
        ({"image__source_id": None}, "warning source-id-missing"),
        ({"image__source_id": ("bytes", [""])}, "warning source-id-missing"),
        ({"image__key__sha256": ("bytes", ["00"])}, "warning key-differs"),
        ({"image__object__bbox__xmin": ("float", [])}, "error lists-differ"),
        ({"image__object__bbox__xmin": None}, "error lists-differ"),
        ({"image__object__bbox__ymax": ("float", [0.5, 0.6])}, "error lists-differ"),
        ({"image__object__bbox__xmin": ("int64", [0])}, "error feature-type, error lists-differ"),
        ({"labels": (1, 1)}, "error lists-differ"),
        ({"texts": ("cat", "cat")}, "error lists-differ"),
        ({"image__object__is_crowd": ("int64", [0, 0])}, "error lists-differ"),
        ({"image__object__difficult": ("int64", [2])}, "warning flag-unclear"),
        ({"image__object__difficult": ("float", [1.0])}, "error feature-type"),
        ({"image__object__weight": ("float", [-1.0])}, "error weight-wrong"),
        ({"image__object__weight": ("float", [float("nan")])}, "error weight-wrong"),
        ({"image__object__keypoint__x": ("float", [0.5])}, "error lists-differ"),
        ({"labels": ()}, "error label-missing"),
        ({"labels": (0,)}, "error label-zero"),
        ({"labels": (-1,)}, "error label-zero"),
        ({"texts": ("",)}, "warning text-empty"),
        ({"boxes": [(0.5, 0.2, 0.4, 0.9)]}, "error box-swapped"),
        ({"boxes": [(0.5, 0.9, 0.6, 0.2)]}, "error box-swapped"),
        ({"boxes": [(0.5, 0.2, 0.5, 0.9)]}, "error box-empty"),
        ({"boxes": [(-0.1, 0.2, 0.5, 0.9)]}, "error box-outside"),
        ({"boxes": [(0.1, 0.2, 0.5, 1.01)]}, "error box-outside"),
        ({"boxes": [(0.1, 0.2, 0.5, 1.0000005)]}, ""),
        ({"boxes": [(3.0, 2.0, 20.0, 11.0)]}, "error box-pixels"),
        ({"boxes": [(float("nan"), 0.2, 0.5, 0.9)]}, "error box-not-a-number"),
        ({"boxes": [(0.0, 0.2, float("inf"), 0.9)]}, "error box-not-a-number"),
        ({"image__object__mask": ("bytes", [mask((5, 5))])}, "error mask-size"),
        ({"image__object__mask": ("bytes", [b""])}, "error mask-damaged"),
        ({"image__object__mask": ("bytes", [picture(kind="JPEG")])}, "error mask-damaged"),
        ({"image__object__mask": ("bytes", [mask()[:-15]])}, "error mask-damaged"),
        ({"image__object__mask": ("bytes", [mask(), mask()])}, "error lists-differ"),
        ({"image__object__mask": ("float", [1.0, 0.0])}, "error mask-size"),
    ],
)
def test_each_fault_has_its_code(changed, expected):
    assert codes(**changed) == {tuple(each.split()) for each in expected.split(", ") if each}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"labels": (7,), "texts": ()}, "error label-unknown"),
        ({"labels": (2,)}, "error text-differs"),
        ({"texts": ("cow",)}, "error text-unknown"),
        ({"texts": ("Cat",)}, "error text-unknown"),
        ({"texts": ("",)}, "error text-empty"),
        ({"texts": ("Dog",), "labels": (2,)}, ""),
        ({"texts": ()}, ""),
        ({"labels": ()}, ""),  # the API takes the text's id
    ],
)
def test_classes_are_compared_with_the_label_map(labels, changed, expected):
    assert codes(labels, **changed) == {tuple(each.split()) for each in expected.split(", ") if each}


def test_an_empty_mask_and_an_exif_orientation_are_told():
    stream, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (WIDTH, HEIGHT)).save(stream, "JPEG", exif=exif)
    nothing = io.BytesIO()
    Image.new("L", (WIDTH, HEIGHT)).save(nothing, "PNG")
    found = codes(
        image__encoded=("bytes", [stream.getvalue()]),
        image__format=("bytes", ["jpeg"]),
        image__object__mask=("bytes", [nothing.getvalue()]),
    )
    assert found == {("warning", "exif-orientation"), ("warning", "mask-empty")}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.record-00000-of-00002", "a.record-00001-of-00002"], []),
        (["a.record", "b.record"], []),
        (["a.record-00000-of-00003"], [("shard-missing", "00001, 00002")]),
        (["a.record-00000-of-00001", "a.record-00000-of-00002"], [("shards-differ", "1 of -of-00001"), ("shard-missing", "00001")]),
        (["a.record-00002-of-00002", "a.record-00000-of-00002"], [("shard-number", "not below 2"), ("shard-missing", "00001")]),
        (["a.record-00000-of-99999"], [("shard-missing", "99998 of 99999")]),
    ],
)
def test_names_of_shards_must_be_complete(names, expected):
    found = [(code, message) for _, code, _, message in shard_checks.check_names(names)]
    assert [code for code, _ in found] == [code for code, _ in expected]
    assert all(says in message for (_, message), (_, says) in zip(found, expected, strict=True))


def test_the_table_counts_and_the_exit_status_is_0(tmp_path, run_stage):
    folder = tmp_path / "data"
    write(folder / "train.record-00000-of-00002", [record(1), record(2, boxes=[], labels=[], texts=[])])
    write(folder / "train.record-00001-of-00002", [record(3, boxes=[(0, 0, 1, 1)] * 2, labels=(1, 2), texts=("cat", "dog"))])
    (folder / "label_map.pbtxt").write_text(LABEL_MAP)
    outcome = verify(run_stage, folder)
    assert (outcome.code, outcome.error) == (0, None)
    told = outcome.json("check.json")
    assert [(each["file"], each["records"], each["images"], each["objects"]) for each in told["files"]] == [
        ("train.record-00000-of-00002", 2, 2, 1),
        ("train.record-00001-of-00002", 1, 1, 2),
    ]
    assert told["classes"] == [
        {"class": "cat", "label": 1, "objects": 2, "images": 2},
        {"class": "dog", "label": 2, "objects": 1, "images": 1},
    ]
    assert outcome.result["metrics"] == {"records": 3, "objects": 3, "errors": 0, "warnings": 0}
    text = (outcome.output / "check.txt").read_text()
    assert "0 errors, 0 warnings, 0 notes: the Object Detection API can read these records" in text
    assert problems_of(outcome) == []


def test_errors_end_with_1_and_name_file_record_and_byte(tmp_path, run_stage):
    good, bad = record(1), record(2, boxes=[(0.5, 0.2, 0.4, 0.9)])
    path = write(tmp_path / "x.record", [good, bad, *[record(number, labels=(0,)) for number in range(3, 20)]])
    outcome = verify(run_stage, path)
    assert outcome.code == 1
    assert outcome.error["what"] == "the records have 18 errors: label-zero 17, box-swapped 1"
    assert "x.record, record 2 (byte %d): box 1" % len(good) in outcome.error["found"]
    assert len(outcome.error["found"].splitlines()) == 10
    assert outcome.error["where"] == str(path)
    assert "check.txt" in outcome.error["remedy"]
    assert len(problems_of(outcome)) == 18
    assert "… and 12 more" in (outcome.output / "check.txt").read_text()


def test_what_can_be_read_is_checked_beyond_the_damage(tmp_path, run_stage):
    parts = [record(1), record(2), record(3, labels=(0,)), record(4)]
    data = bytearray(b"".join(parts))
    data[len(parts[0]) + 100] ^= 1
    path = tmp_path / "x.record"
    path.write_bytes(bytes(data[:-7]))
    outcome = verify(run_stage, path)
    place = [sum(map(len, parts[:number])) for number in range(4)]
    assert [(each["code"], each["record"], each["offset"]) for each in problems_of(outcome)] == [
        ("record-cut", 4, place[3]),
        ("record-data-crc", 2, place[1]),
        ("label-zero", 3, place[2]),
    ]
    assert outcome.json("check.json")["files"][0]["records"] == 2


def test_records_are_compared_with_each_other(tmp_path, run_stage):
    folder = tmp_path / "data"
    write(
        folder / "train.record",
        [record(1), record(2, image__source_id=("bytes", ["1"])), record(3, image__encoded=("bytes", [picture(1)]))],
    )
    write(folder / "val.record", [record(4, image__encoded=("bytes", [picture(2)])), record(1, image__encoded=("bytes", [picture(9)]))])
    write(
        folder / "other.record", [record(7, labels=(2,), texts=("cat",)), record(8, labels=(1,), texts=("kitten",), mine=("bytes", ["x"]))]
    )
    outcome = verify(run_stage, folder)
    found = [(each["level"], each["code"], each["file"], each["record"]) for each in problems_of(outcome)]
    assert sorted(found) == [
        ("error", "duplicate-across-splits", "val.record", 1),
        ("error", "duplicate-id", "train.record", 2),
        ("error", "text-differs", "train.record", 1),
        ("error", "text-differs", "train.record", 1),
        ("note", "feature-unknown", "other.record", 2),
        ("warning", "duplicate", "train.record", 3),
    ]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda folder, index: None, None),
        (lambda folder, index: index.update(bytes=index["bytes"] + 1), "index-bytes"),
        (lambda folder, index: index.update(records=7), "index-records"),
        (lambda folder, index: index.update(frames="0" * 64), "index-checksum"),
        (lambda folder, index: (folder / "train.record").rename(folder / "other.record"), "index-file-missing"),
        (lambda folder, index: write(folder / "more.record", [record(9)]), "index-unlisted"),
        (lambda folder, index: index.pop("bytes"), "index-unreadable"),
    ],
)
def test_the_index_beside_the_records_is_compared(tmp_path, run_stage, change, code):
    folder = tmp_path / "data"
    path = write(folder / "train.record", [record(1), record(2)])
    entry = {"file": "train.record", "records": 2, "bytes": path.stat().st_size}
    groups, _ = ranges(path)
    data = path.read_bytes()
    around = [data[at.offset : at.offset + 12] + data[at.offset + 12 + at.length :][:4] for at in groups[0]]
    entry["frames"] = hashlib.sha256(b"".join(around)).hexdigest()
    change(folder, entry)
    (folder / "records.json").write_text(json.dumps({"schema": 2, "splits": {"train": {"shards": [entry]}}}))
    outcome = verify(run_stage, folder)
    found = {each["code"] for each in problems_of(outcome)}
    assert (code in found) if code else found == set()
    assert outcome.code == (0 if code in (None, "index-unreadable") else 1)


def test_the_index_of_the_records_stage_holds(tmp_path, run_stage):
    images = []
    for number in range(1, 6):
        data = picture(number)
        facts = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "split": "train" if number < 4 else "val"}
        images.append({**synthetic.image(number, [synthetic.obj("cat", 1, 2, 9, 8)], width=WIDTH, height=HEIGHT), **facts})
        (tmp_path / "dataset" / "images").mkdir(parents=True, exist_ok=True)
        (tmp_path / "dataset" / images[-1]["file"]).write_bytes(data)
    synthetic.dataset(tmp_path / "dataset", images, ["cat", "dog"])
    made = records(tmp_path / "records", tmp_path / "dataset", shards=2).output
    assert "frames" in (made / "records.json").read_text()
    outcome = verify(run_stage, made)
    assert (outcome.code, problems_of(outcome)) == (0, [])


def test_the_label_map_is_the_named_one_or_the_nearest(tmp_path, run_stage):
    folder = tmp_path / "data"
    path = write(folder / "train" / "x.tfrecord", [record(1, labels=(9,), texts=())])
    named = tmp_path / "named.pbtxt"
    named.write_text("item { id: 9 name: 'nine' }")
    assert verify(run_stage, path).code == 0
    assert [each["code"] for each in problems_of(verify(run_stage, path, named))] == ["label-map-gap"]
    (folder / "cards_label_map.pbtxt").write_text(LABEL_MAP)
    assert [each["code"] for each in problems_of(verify(run_stage, folder))] == ["label-unknown"]
    (folder / "train" / "label_map.pbtxt").write_text("item { id: 0 name: 'none' } item { id: 1 name: 'a' } item { id: 1 name: 'b' }")
    assert [each["code"] for each in problems_of(verify(run_stage, folder))] == ["label-map-zero", "label-map-duplicate", "label-unknown"]


def test_a_folder_without_records_is_refused(tmp_path, run_stage):
    (tmp_path / "a.jpg").write_bytes(b"")
    outcome = verify(run_stage, tmp_path)
    assert outcome.error["what"] == "there are no TFRecord files"
    assert "a.jpg" in outcome.error["found"]


def test_an_empty_file_is_a_warning(tmp_path, run_stage):
    outcome = verify(run_stage, write(tmp_path / "x.record", []))
    assert (outcome.code, [each["code"] for each in problems_of(outcome)]) == (0, ["file-empty"])


def test_the_same_is_told_whatever_the_number_of_processes(tmp_path, run_stage):
    folder = tmp_path / "data"
    for name in ("train", "val"):
        write(folder / (name + ".record"), [record(number % 290, labels=(number % 3,)) for number in range(600)])
    told = []
    for cpus in (1, 3):
        outcome = verify(run_stage, folder, cpus=cpus)
        told.append({name: (outcome.output / name).read_bytes() for name in ("check.json", "check.txt", "problems.jsonl")})
    assert told[0] == told[1]


@pytest.mark.parametrize("part", ["flip", "cut"])
def test_no_damage_of_a_small_file_passes_or_crashes(tmp_path, part):
    data = record(1, image__object__mask=("bytes", [mask()])) + record(2)
    path, bad = tmp_path / "x.record", []
    for place in range(0, len(data), 7):
        path.write_bytes(data[:place] if part == "cut" else data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :])
        groups, ends = ranges(path)
        found = [end.damage.code for end in ends]
        for group in groups:
            found += [problem.code for problem in run.check_range(run.Work(str(path), "x", group, None)).problems]
        if not found and place not in (0, len(record(1, image__object__mask=("bytes", [mask()])))):
            bad.append(place)
    assert bad == []


@settings(max_examples=150)
@given(data=st.data())
def test_changed_payloads_never_crash(data):
    payload = bytearray(example_bytes(features(image__object__mask=("bytes", [mask()]))))
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(payload)))
    problems, _ = checks.check_record(bytes(payload[: cut or None]), None)
    assert all(level in ("error", "warning") and isinstance(message, str) for level, _, message in problems)


KINDS = st.one_of(
    st.tuples(st.just("bytes"), st.lists(st.binary(max_size=5), max_size=3)),
    st.tuples(st.just("int64"), st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3)),
    st.tuples(st.just("float"), st.lists(st.floats(width=32), max_size=3)),
)


@given(st.dictionaries(st.sampled_from([name.replace("/", "__") for name in checks.KEYS]), KINDS, max_size=6))
def test_features_of_any_kind_never_crash(changed):
    codes(**changed)


def test_a_record_without_an_example_is_named(tmp_path, run_stage):
    outcome = verify(run_stage, write(tmp_path / "x.record", [frame(b"\x12\x00"), frame(b"\xff"), frame(struct.pack("<I", 8))]))
    assert [each["code"] for each in problems_of(outcome)][:2] == ["sequence-example", "example-broken"]
    assert outcome.code == 1


def test_real_tfrecords(shared_data, run_stage):
    assets = shared_data("datasets/datumaro_assets") / "tests" / "assets"
    api = verify(run_stage, assets / "tf_detection_api_dataset")
    assert [(each["code"], each["file"], each["record"]) for each in problems_of(api)] == [
        ("label-zero", "train.tfrecord", 1),
        ("text-empty", "train.tfrecord", 1),
    ]
    roboflow = verify(run_stage, assets / "roboflow_dataset" / "tfrecord")
    assert roboflow.error["what"] == "the records have 3 errors: image-missing 3"


def test_every_code_is_documented():
    page = (ROOT / "docs" / "records.md").read_text()
    files = [*(ROOT / "stages" / "verify-records").glob("*.py")]
    files += [ROOT / "stages" / "_detection" / name for name in ("tfrecord_reader.py", "tf_example.py", "record_folder.py")]
    marks = r'(?:\b(?:ERROR|WARNING|NOTE|Damage\(|NotAnExampleError\(|append\(\(|code =|else|\[)[ ,(]*\s*)"([a-z]+(?:-[a-z0-9]+)+)"'
    found = {code for file in files for code in re.findall(marks, file.read_text())} - {"verify-records"}
    assert len(found) > 40
    assert [code for code in sorted(found) if "`%s`" % code not in page] == []
