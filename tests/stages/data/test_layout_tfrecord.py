"""TFRecords read back into a dataset: images, boxes, classes, masks; damage is told with record and byte, and nothing false is read."""

import importlib
import io
import pickle
import tempfile
from pathlib import Path

import numpy as np
import pytest
from _runtime import StageError
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from record_files import HEIGHT, LABEL_MAP, WIDTH, example_bytes, features, frame, mask, picture, record, write

from stage_helpers import load

load("ingest", "audit/findings")  # puts the stage's folder on sys.path
layouts, places_of = importlib.import_module("layouts"), importlib.import_module("places")
tables = importlib.import_module("tables")
READER = importlib.import_module("layouts.tfrecord").TfRecord()


def read(root, spec=None, split="train"):
    """(Source, [Part]) of a split; the scratch folder is beside the root."""
    scratch = Path(str(root) + "-scratch")
    scratch.mkdir(exist_ok=True)
    place = places_of.Places(root, "ingest")
    source = READER.source(place, split, {"folder": "."} if spec is None else spec)
    jobs = pickle.loads(pickle.dumps(list(READER.jobs(source, place, scratch))))
    return source, [READER.read(job) for job in jobs]


def images_of(parts):
    return [image for part in parts for image in part.images]


def objects_of(parts):
    """[(image's name, class, box rounded, flags)]."""
    return [
        (part.images[part.image[row]].name, part.names[part.label[row]], *np.round(part.box[row], 4).tolist(), int(part.flags[row]))
        for part in parts
        for row in range(len(part.label))
    ]


def findings_of(parts):
    """[(way, code, file, record)]: the record is told as the line, or where the record itself is damaged as the number."""
    items = [item for part in parts for item in part.findings.items]
    return [(item.way, item.code, item.file, item.number if item.code == "record-damaged" else item.line) for item in items]


def one(tmp_path, label_map=None, **changed):
    """The Part of one record, and what was found; label_map: its text."""
    root = tmp_path / "root"
    write(root / "train.record", [record(1, **changed)])
    if label_map:
        (root / "label_map.pbtxt").write_text(label_map)
    _, parts = read(root)
    return parts[-1], findings_of(parts)


def test_the_layout_is_listed():
    assert isinstance(layouts.BY_NAME["tfrecord"], type(READER))


def test_images_boxes_and_classes_come_back(tmp_path):
    root = tmp_path / "root"
    two = record(
        2, boxes=[(0, 0, 1, 1), (0.1, 0.2, 0.3, 0.4)], labels=(2, 1), texts=("dog", "cat"), image__object__difficult=("int64", [0, 1])
    )
    write(root / "train.record-00000-of-00002", [record(1), two])
    write(root / "train.record-00001-of-00002", [record(3, boxes=[], labels=[], texts=[])])
    (root / "label_map.pbtxt").write_text(LABEL_MAP)
    source, parts = read(root)
    assert findings_of(parts) == []
    assert source.options["classes"] == ["cat", "dog"]
    assert objects_of(parts) == [
        ("p1.png", "cat", 0.25, 0.25, 0.75, 0.5, 0),
        ("p2.png", "dog", 0.0, 0.0, 1.0, 1.0, 0),
        ("p2.png", "cat", 0.1, 0.2, 0.3, 0.4, tables.DIFFICULT),
    ]
    assert all(part.unit == tables.FRACTION for part in parts)
    told = images_of(parts)
    assert [(image.name, image.file, image.line, image.width, image.height) for image in told] == [
        ("p1.png", "train.record-00000-of-00002", 1, WIDTH, HEIGHT),
        ("p2.png", "train.record-00000-of-00002", 2, WIDTH, HEIGHT),
        ("p3.png", "train.record-00001-of-00002", 1, WIDTH, HEIGHT),
    ]
    assert [Path(image.path).read_bytes() for image in told] == [picture(1), picture(2), picture(3)]
    assert all(image.path.endswith(".png") for image in told)


def test_everything_that_objects_tell_is_read(tmp_path):
    flags = {
        "image__object__" + name: ("int64", [1]) for name in ("difficult", "truncated", "group_of", "is_crowd", "occluded", "depiction")
    }
    more = {"image__object__view": ("bytes", ["Left"]), "image__object__weight": ("float", [0.5])}
    part, found = one(tmp_path, image__object__mask=("bytes", [mask()]), **flags, **more)
    assert found == []
    assert part.flags.tolist() == [63]
    extra = part.extra[0]
    assert (extra["view"], extra["weight"], extra["mask"]["values"]) == ("Left", 0.5, None)
    assert Path(extra["mask"]["picture"]).read_bytes() == mask()


def test_defaults_are_left_out(tmp_path):
    told = {"image__object__view": ("bytes", ["Unspecified"]), "image__object__weight": ("float", [1.0])}
    part, _ = one(tmp_path, image__object__mask=("bytes", [b""]), **told)
    assert part.extra == {}


def test_masks_of_numbers_become_run_lengths(tmp_path):
    masks = importlib.import_module("masks")
    values = [float(place % WIDTH < WIDTH // 2) for place in range(WIDTH * HEIGHT)]
    part, found = one(tmp_path, image__object__mask=("float", values))
    assert found == []
    rle = masks.to_rle(part.extra[0]["mask"], WIDTH, HEIGHT)
    assert masks.area_box(rle) == [0, 0, WIDTH / 2, HEIGHT]


@pytest.mark.parametrize(
    ("labels", "changed", "name", "codes"),
    [
        (None, {}, "cat", []),
        (LABEL_MAP, {"texts": ()}, "cat", []),
        (LABEL_MAP, {"texts": ("",)}, "cat", []),
        (LABEL_MAP, {"labels": ()}, "cat", []),
        (LABEL_MAP, {"texts": ("Dog",), "labels": (2,)}, "dog", []),
        (LABEL_MAP, {"labels": (2,)}, "cat", ["label-differs"]),
        (LABEL_MAP, {"texts": ("cow",), "labels": (7,)}, "cow", []),
        (None, {"texts": ()}, None, ["label-empty"]),
        (LABEL_MAP, {"texts": (), "labels": (7,)}, None, ["label-empty"]),
        (LABEL_MAP, {"texts": ("",), "labels": (0,)}, None, ["label-empty"]),
        ("item { id: 0 name: 'none' } item { id: 1 name: 'a' }", {"texts": ()}, "a", ["label-map-zero"]),
        ("item { id: 1 name: 'a' } item { id: 5 name: 'b' }", {"texts": (), "labels": (5,)}, "b", ["label-map-gap"]),
        ("item { id: 1 name: 'a' } item { id: 1 name: 'b' }", {"texts": ()}, "a", ["label-map-duplicate"]),
        ("item { id: 1 name: 'a' } item { id: 2 name: 'a' }", {"texts": ()}, "a", ["label-map-duplicate"]),
    ],
)
def test_the_class_is_the_text_else_the_label_maps(tmp_path, labels, changed, name, codes):
    part, found = one(tmp_path, labels, **changed)
    assert [part.names[label] for label in part.label] == ([name] if name else [])
    assert [code for _, code, _, _ in found] == codes


@pytest.mark.parametrize(
    ("changed", "images", "objects", "codes"),
    [
        ({"image__object__bbox__xmin": ("float", [])}, 0, 0, ["bad lists-differ"]),
        ({"texts": ("a", "b")}, 0, 0, ["bad lists-differ"]),
        ({"labels": (1, 2), "texts": ()}, 0, 0, ["bad lists-differ"]),
        ({"image__object__bbox__xmin": ("int64", [0])}, 0, 0, ["bad feature-type"]),
        ({"image__encoded": ("int64", [0])}, 0, 0, ["bad feature-type"]),
        ({"boxes": [(1, 2, 20, 11)]}, 0, 0, ["bad box-pixels"]),
        ({"boxes": [(float("nan"), 0, 1, 1)]}, 1, 0, ["bad box-not-a-number"]),
        ({"boxes": [(0.5, 0.5, 0.2, 0.2)]}, 1, 1, []),  # the core judges
        ({"boxes": [(-0.2, 0, 1.2, 1)]}, 1, 1, []),
        ({"image__object__is_crowd": ("int64", [0, 1])}, 1, 1, ["doubt lists-differ"]),
        ({"image__object__is_crowd": ("int64", [3])}, 1, 1, ["doubt flag-unclear"]),
        ({"image__object__weight": ("float", [-1.0])}, 1, 1, ["doubt weight-unclear"]),
        ({"image__object__mask": ("float", [1.0])}, 1, 1, ["doubt lists-differ"]),
        ({"image__height": None}, 1, 1, ["doubt size-undeclared"]),
        ({"image__height": ("int64", [-4])}, 1, 1, ["doubt size-undeclared"]),
        ({"image__object__keypoint__x": ("float", [0.1])}, 1, 1, ["note keypoints-unread"]),
    ],
)
def test_what_is_wrong_is_told(tmp_path, changed, images, objects, codes):
    part, found = one(tmp_path, **changed)
    assert (len(part.images), len(part.label)) == (images, objects)
    assert ["%s %s" % (way, code) for way, code, _, _ in found] == codes
    assert all((file, number) == ("train.record", 1) for _, _, file, number in found)


def test_labels_of_the_image_as_a_whole_are_read(tmp_path):
    part, _ = one(tmp_path, image__class__text=("bytes", ["cat", "sky"]))
    assert part.images[0].labels == (("cat", True), ("sky", True))
    part, _ = one(tmp_path, LABEL_MAP, image__class__label=("int64", [2, 9]))
    assert part.images[0].labels == (("dog", True),)


def test_images_get_names_of_their_own(tmp_path):
    root, names = tmp_path / "root", ["a/x.jpg", "x.jpg", "x.jpg", "/home/me/x.jpg", "C:\\photos\\y.jpg", "../../z.png", ""]
    records = [record(number, image__filename=("bytes", [name])) for number, name in enumerate(names, 1)]
    without = record(9, image__filename=None), record(10, image__filename=None, image__source_id=None)
    write(root / "a.record", [*records, *without])
    write(root / "b.record", [record(1, image__filename=("bytes", ["x.jpg"]))])
    _, parts = read(root)
    told = [image.name for image in images_of(parts)]
    assert told == ["a/x.jpg", "x.jpg", "x-2.jpg", "x-3.jpg", "y.jpg", "z.png", "7", "9", "a.record-0000009", "x-4.jpg"]
    assert len({image.path for image in images_of(parts)}) == len(told)


def test_records_without_images_name_files_beside_them(tmp_path):
    root = tmp_path / "root"
    write(root / "train" / "cards.tfrecord", [record(1, image__encoded=("bytes", [b""])), record(2, image__encoded=None)])
    (root / "images").mkdir()
    source, parts = read(root, {"folder": "train"})
    assert [(image.name, image.path) for image in images_of(parts)] == [("p1.png", None), ("p2.png", None)]
    assert source.images == [root / "train", root, root / "images"]
    assert read(root, {"folder": "train", "images": "images"})[0].images == [root / "images"]
    write(root / "train" / "cards.tfrecord", [record(1)])
    assert read(root, {"folder": "train"})[0].images == []
    write(root / "train" / "cards.tfrecord", [record(1, image__encoded=None, image__filename=("bytes", ["../up.jpg"]))])
    assert findings_of(read(root, {"folder": "train"})[1]) == [("refuse", "filename-outside", "train/cards.tfrecord", 1)]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["train.record", "val.record"], {"train": "train.record", "val": "val.record"}),
        (["a_train.tfrecord", "a_valid.tfrecord", "label_map.pbtxt"], {"train": "a_train.tfrecord", "val": "a_valid.tfrecord"}),
        (["train-00000-of-00002", "train-00001-of-00002"], {"train": ["train-00000-of-00002", "train-00001-of-00002"]}),
        (["train_a.record", "train_b.record", "test.record"], {"train": ["train_a.record", "train_b.record"], "test": "test.record"}),
        (["cards.tfrecord"], None),
        (["one.tfrecord", "two.tfrecord"], None),
    ],
)
def test_splits_are_told_by_the_files_names(tmp_path, names, expected):
    for name in names:
        (tmp_path / name).write_bytes(b"")
    found = READER.splits(tmp_path)
    assert found == (expected and {split: {"annotations": names} for split, names in expected.items()})


def test_files_that_do_not_tell_their_split_beside_those_that_do_are_refused(tmp_path):
    for name in ("train.record", "more.record"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(StageError, match="do not tell their split") as caught:
        READER.splits(tmp_path)
    assert caught.value.found == "more.record"


@pytest.mark.parametrize(
    ("spec", "images"),
    [
        ({"folder": "."}, ["p1.png", "p2.png", "p3.png"]),
        ({"annotations": "train.record-00001-of-00002"}, ["p2.png"]),
        ({"annotations": "train.record-?????-of-00002"}, ["p1.png", "p2.png"]),
        ({"annotations": ["other.tfrecord", "train.record-00000-of-00002"]}, ["p3.png", "p1.png"]),
        ({"annotations": "deep"}, ["p4.png"]),
        ({"annotations": "deep/*.tfrecords"}, ["p4.png"]),
    ],
)
def test_a_split_is_a_folder_a_file_a_pattern_or_several(tmp_path, spec, images):
    root = tmp_path / "root"
    for number, name in enumerate(["train.record-00000-of-00002", "train.record-00001-of-00002", "other.tfrecord", "deep/x.tfrecords"], 1):
        write(root / name, [record(number)])
    assert sorted(image.name for image in images_of(read(root, spec)[1])) == sorted(images)


NOWHERE = [{"annotations": "nothing*.record"}, {"annotations": "no.record"}, {"folder": "empty"}, {"annotations": "../x.record"}]


@pytest.mark.parametrize("spec", NOWHERE)
def test_a_split_without_files_is_refused(tmp_path, spec):
    (tmp_path / "empty").mkdir()
    with pytest.raises(StageError) as caught:
        read(tmp_path, spec)
    assert caught.value.where
    assert caught.value.remedy


def test_the_label_map_may_be_named(tmp_path):
    root = tmp_path / "root"
    write(root / "x.record", [record(1, texts=(), labels=(1,))])
    (root / "a.pbtxt").write_text("item { id: 1 name: 'first' }")
    (root / "b.pbtxt").write_text("item { id: 1 name: 'second' }")
    assert findings_of(read(root)[1]) == [("bad", "label-empty", "x.record", 1)]
    assert objects_of(read(root, {"folder": ".", "label_map": "b.pbtxt"})[1])[0][1] == "second"


def test_damage_is_told_with_its_record_and_the_rest_is_read(tmp_path):
    parts = [record(number) for number in (1, 2, 3)]
    data = bytearray(b"".join(parts))
    data[len(parts[0]) + 50] ^= 1
    root = tmp_path / "root"
    root.mkdir()
    (root / "x.record").write_bytes(bytes(data) + frame(b"\x12\x00") + frame(b"\xff") + b"the end")
    _, made = read(root)
    assert [image.name for image in images_of(made)] == ["p1.png", "p3.png"]
    assert findings_of(made) == [("bad", "record-damaged", "x.record", number) for number in (6, 2, 4, 5)]
    assert [item.message.partition(":")[0] for part in made for item in part.findings.items] == [
        "record 6 (byte %d)" % (len(data) + 35),
        "record 2 (byte %d)" % len(parts[0]),
        "record 4 (byte %d)" % len(data),
        "record 5 (byte %d)" % (len(data) + 18),
    ]


@pytest.mark.parametrize("data", [b"", b"\x1f\x8b\x08\x00junk", picture(), b"a,b\n"])
def test_a_file_that_holds_no_records_is_told(tmp_path, data):
    root = tmp_path / "root"
    root.mkdir()
    (root / "x.record").write_bytes(data)
    _, parts = read(root)
    assert images_of(parts) == []
    assert [code for _, code, _, _ in findings_of(parts)] == ["record-damaged" if data else "record-none"]


def test_fits_by_name(tmp_path):
    write(tmp_path / "x.record", [record(1)])
    (tmp_path / "deep" / "empty").mkdir(parents=True)
    assert READER.fits(tmp_path)
    assert READER.fits(tmp_path / "x.record")
    assert not READER.fits(tmp_path / "deep")
    assert not READER.fits(tmp_path / "deep" / "empty")


def test_jobs_are_ranges_of_records(tmp_path):
    root = tmp_path / "root"
    write(root / "x.record", [record(number % 5, image__encoded=("bytes", [b"x"])) for number in range(600)])
    _, parts = read(root)
    assert [len(part.images) for part in parts] == [256, 256, 88]
    assert len({image.name for image in images_of(parts)}) == 600


def check_sound(parts):
    for part in parts:
        assert np.isfinite(part.box).all()
        assert not len(part.image) or part.image.max() < len(part.images)
        pickle.dumps(part)


SMALL = record(1, image__object__mask=("bytes", [mask()])) + record(2)


@settings(max_examples=150)
@given(data=st.data())
def test_changed_files_are_read_or_told(tmp_path_factory, data):
    changed, kind = bytearray(SMALL), data.draw(st.sampled_from(["flip", "cut", "junk", "payload"]))
    if kind == "payload":
        payload = bytearray(example_bytes(features(1)))
        for _ in range(data.draw(st.integers(1, 3))):
            payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
        changed = bytearray(frame(bytes(payload)))
    elif kind == "flip":
        changed[data.draw(st.integers(0, len(changed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    elif kind == "cut":
        changed = changed[: data.draw(st.integers(0, len(changed)))]
    else:
        changed = bytearray(data.draw(st.binary(max_size=200)))
    root = tmp_path_factory.mktemp("fuzz") / "root"
    root.mkdir()
    (root / "train.record").write_bytes(bytes(changed))
    (root / "label_map.pbtxt").write_text(LABEL_MAP)
    assert READER.fits(root)
    assert READER.splits(root) == {"train": {"annotations": "train.record"}}
    _, parts = read(root)
    check_sound(parts)
    if kind == "flip":
        assert any(code == "record-damaged" for _, code, _, _ in findings_of(parts))


ITEM = "item { id: 1 name: 'a' }"


@given(st.text(max_size=80) | st.integers(0, len(ITEM)).map(lambda cut: ITEM[:cut]))
def test_any_label_map_is_read_or_refused(tmp_path_factory, text):
    root = tmp_path_factory.mktemp("fuzz") / "root"
    write(root / "train.record", [record(1)])
    (root / "label_map.pbtxt").write_text(text, encoding="utf-8", errors="replace")
    try:
        check_sound(read(root)[1])
    except StageError as error:
        check_told(error)


def check_told(error):
    assert error.where
    assert error.remedy


def test_real_tfrecords(shared_data):
    assets = shared_data("datasets/datumaro_assets") / "tests" / "assets"
    root = assets / "tf_detection_api_dataset"
    assert sorted(READER.splits(root)) == ["test", "train", "val"]
    read_into = {}
    for split, spec in READER.splits(root).items():
        read_into[split] = read_elsewhere(root, spec)
    assert objects_of(read_into["train"]) == [
        ("1.jpg", "label_2", 0.0, 0.25, 0.25, 0.75, 0),
        ("1.jpg", "label_3", 0.0, 0.25, 0.25, 0.5, 0),
    ]
    assert findings_of(read_into["train"]) == [("bad", "label-empty", "train.tfrecord", 1)]
    assert Image.open(io.BytesIO(Path(images_of(read_into["test"])[0].path).read_bytes())).size == (4, 5)
    parts = read_elsewhere(assets / "roboflow_dataset" / "tfrecord", {"folder": "val"})
    assert [(name, label) for name, label, *_ in objects_of(parts)] == [("val_001.jpg", "label_0"), ("val_001.jpg", "label_1")]
    assert images_of(parts)[0].path is None


def read_elsewhere(root, spec):
    """As `read`, where nothing can be written beside the root."""
    place = places_of.Places(root, "ingest")
    source = READER.source(place, "train", spec)
    return [READER.read(job) for job in READER.jobs(source, place, tempfile.mkdtemp())]


@pytest.mark.parametrize("name", ["mscoco_label_map", "mscoco_complete_label_map", "kitti_label_map", "oid_v4_label_map"])
def test_official_label_maps_are_read_with_their_gaps_and_zeros(tmp_path, shared_data, name):
    text = (shared_data("label_maps") / ("official__%s.pbtxt" % name)).read_text()
    _, found = one(tmp_path, text)
    gaps = {"mscoco_label_map": ["label-map-gap"], "mscoco_complete_label_map": ["label-map-zero"]}
    assert sorted({code for _, code, _, _ in found if code.startswith("label-map")}) == gaps.get(name, [])


@given(st.integers(2, 9000), st.data())
def test_whole_pixels_come_back_whole(side, data):
    edges = sorted(data.draw(st.sets(st.integers(0, side), min_size=2, max_size=2)))
    box = [np.float32(edge / side).item() for edge in (*edges, *edges)]
    rows = importlib.import_module("layouts.tfrecord_rows")
    back = rows.Rows._snapped([box[0], box[2], box[1], box[3]], (side, side))
    assert [round(value * side, 9) for value in back] == [edges[0], edges[0], edges[1], edges[1]]


def test_fractions_of_pixels_stay_as_they_are(tmp_path):
    part, _ = one(tmp_path, boxes=[(0.26, 0.27, 0.77, 0.53)])
    assert part.box[0].tolist() == [np.float32(value).item() for value in (0.26, 0.27, 0.77, 0.53)]
