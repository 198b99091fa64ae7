"""Other programs' detections, in three layouts: what is read, how images and classes are known, and what is said of every bad row."""

import base64
import csv
import io
import json
import zlib

import numpy as np
import pytest
from _detection.detection_records import add_detections, read_index, share_examples, share_plan, stream_detections, write_shard
from _detection.mask_picture import mask_png, png_mask
from _detection.postprocess import Detections
from pycocotools import mask as coco_mask
from record_files import example_bytes, frame

import detector_images
from stage_helpers import artifact

CLASSES = ["circle", "square", "triangle"]
IMAGES = 6
PARAMS = {
    "layout": "auto",
    "split": "val",
    "name": "their program",
    "version": "",
    "images": None,
    "categories": None,
    "unknown": "refuse",
    "shards": 0,
    "discard_image_pixels": True,
}


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return detector_images.write_records(tmp_path_factory.mktemp("records"), CLASSES, count=IMAGES, shards=2)


@pytest.fixture
def read(run_here, tmp_path, records):
    """read({name: bytes, text or JSON}, …): the outcome. path: which of them, the only one by default; parameters that name one mean it."""

    def call(files, path=None, data=records, **params):
        folder = tmp_path / ("theirs-%d" % len(list(tmp_path.glob("theirs-*"))))
        folder.mkdir()
        for name, content in files.items():
            text = content if isinstance(content, (str, bytes)) else json.dumps(content)
            (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
        given = {name: str(folder / value) if value in files else value for name, value in params.items()}
        where = str(folder / (next(iter(files)) if path is None else path))
        return run_here("read-detections", {**PARAMS, "path": where, **given}, {"records": data})

    return call


def found_in(done):
    """{image id: [(class, score, box)]}, numbers rounded."""
    assert done.error is None, done.error
    return {
        found.image_id: [
            (label, round(score, 4), [round(value, 4) for value in box])
            for box, label, score in zip(*(part.tolist() for part in found.detections), strict=True)
        ]
        for found in stream_detections(done.output, read_index(done.output))
    }


def coco(image, category=1, box=(6, 9, 12, 18), score=0.5, **more):
    return {"image_id": image, "category_id": category, "bbox": list(box), "score": score, **more}


def fractions(number, box):
    """[ymin, xmin, ymax, xmax] of COCO's box in the picture `number`."""
    (width, height), (x, y, w, h) = detector_images.size(number), box
    return [round(value, 4) for value in (y / height, x / width, (y + h) / height, (x + w) / width)]


def table(*rows, header="ImageID,LabelName,Score,XMin,XMax,YMin,YMax"):
    return "\n".join([header, *rows]) + "\n"


def record(**features):
    """A framed tf.Example as infer_detections writes it; names with __ for /."""
    usual = {
        "image__detection__bbox__ymin": ("float", [0.1]),
        "image__detection__bbox__xmin": ("float", [0.2]),
        "image__detection__bbox__ymax": ("float", [0.3]),
        "image__detection__bbox__xmax": ("float", [0.4]),
        "image__detection__label": ("int64", [2]),
        "image__detection__score": ("float", [0.5]),
    }
    made = {name.replace("__", "/"): value for name, value in {**usual, **features}.items()}
    return frame(example_bytes({name: value for name, value in made.items() if value is not None}))


# What is read


def test_coco_results_become_fractions_of_each_images_sides(read):
    done = read({"r.json": [coco(2), coco(4, 3, (0, 0, 30.5, 20.25), 0.25)]})
    box = (6, 9, 12, 18)
    assert found_in(done) == {
        **{number: [] for number in (1, 3, 5, 6)},
        2: [(0, 0.5, fractions(2, box))],
        4: [(2, 0.25, fractions(4, (0, 0, 30.5, 20.25)))],
    }
    assert done.result["metrics"] == {"images": 6, "detections": 2}


def test_a_csv_of_open_images_is_read_in_any_order_of_columns_with_score_or_conf(read):
    one = read({"d.csv": table("2,square,0.5,0.1,0.3,0.2,0.6")})
    other = read({"d.csv": table("0.6,0.2,square,0.5,2,0.3,0.1,x", header="ymax,YMin,LabelName,Conf,ImageID,XMAX,XMin,More")})
    assert found_in(one)[2] == found_in(other)[2] == [(1, 0.5, [0.2, 0.1, 0.6, 0.3])]


def test_tfrecords_of_infer_detections_are_read(read):
    done = read({"d.tfrecord": record(image__source_id=("bytes", ["3"])) + record(image__source_id=("bytes", ["1"]))})
    assert found_in(done)[3] == found_in(done)[1] == [(1, 0.5, [0.1, 0.2, 0.3, 0.4])]


def test_an_images_detections_are_ordered_by_score_and_equal_ones_as_they_came(read):
    scores = [0.1, 0.9, 0.5, 0.9]
    done = read({"r.json": [coco(1, box=(place, 0, 1, 1), score=score) for place, score in enumerate(scores)] + [coco(2)]})
    width = detector_images.size(1)[0]
    assert [(score, round(box[1] * width)) for _, score, box in found_in(done)[1]] == [(0.9, 1), (0.9, 3), (0.5, 2), (0.1, 0)]


def test_the_index_says_what_found_them(read):
    files = {"r.json": [coco(1)]}
    index = read_index(read(files, name="YOLOv99", version="1.2", shards=4).output)
    assert index["model"] == {
        "kind": "external",
        "runtime": "YOLOv99",
        "version": "1.2",
        "layout": "coco",
        "sha256": read_index(read(files).output)["model"]["sha256"],
    }
    assert (index["split"], index["classes"], index["images"], index["detections"], index["masks"]) == ("val", CLASSES, 6, 1, False)
    assert len(index["shards"]) == 4


def test_there_are_neither_timings_nor_input_sums_of_what_another_program_found(read):
    done = read({"r.json": [coco(1)]})
    assert not (done.output / "timing.json").exists()
    assert {found.input_sha256 for found in stream_detections(done.output, read_index(done.output))} == {None}


def test_the_images_features_are_in_the_records_and_the_pixels_where_asked_for(read, records):
    for discard in (True, False):
        done = read({"r.json": [coco(1)]}, discard_image_pixels=discard, shards=1)
        plan = share_plan({"splits": {"val": {"shards": read_index(done.output)["shards"]}}}, "val", 1)
        examples = [example for _, example in share_examples(done.output, plan[0])]
        assert all(example.features.feature["image/filename"].bytes_list.value for example in examples)
        assert all(("image/encoded" in example.features.feature) is not discard for example in examples)


def test_no_detection_at_all_is_a_warning(read):
    for files in ({"r.json": []}, {"r.json": {"annotations": []}}, {"d.csv": table()}, {"d.record": b""}):
        done = read(files)
        assert done.result["warnings"] == ["nothing was found in 6 images"]
        assert found_in(done) == {number: [] for number in range(1, 7)}


def test_the_number_of_processes_changes_nothing(read, run_stage, records, tmp_path):
    files = {"r.json": [coco(1 + place % 6, 1 + place % 3, (place % 5, 1, 9, 9), 1 / (1 + place)) for place in range(300)]}
    one = read(files, shards=5)
    (tmp_path / "r.json").write_text(json.dumps(files["r.json"]))
    two = run_stage("read-detections", {**PARAMS, "path": str(tmp_path / "r.json"), "shards": 5}, {"records": records}, cpus=2)
    assert {path.name: path.read_bytes() for path in one.output.iterdir()} == {
        path.name: path.read_bytes() for path in two.output.iterdir()
    }


# Which layout it is


@pytest.mark.parametrize(
    ("files", "path", "layout"),
    [
        ({"results": [coco(1)]}, None, "coco"),
        ({"results.JSON": {"annotations": [coco(1)], "info": {"by": [1, 2]}}}, None, "coco"),
        ({"results.txt": "\ufeff \n[]"}, None, "coco"),
        ({"a.csv": table()}, None, "open-images"),
        ({"detections": table()}, None, "open-images"),
        ({"x-00000-of-00001": record(image__source_id=("bytes", ["3"]))}, None, "tfrecord"),
        ({"detections": record(image__source_id=("bytes", ["3"]))}, None, "tfrecord"),
        ({"a.csv": table("1,circle,0.5,0,1,0,1"), "b.csv": table("2,circle,0.5,0,1,0,1"), "notes.txt": "x"}, "", "open-images"),
        ({"r.json": [coco(1)], "log.txt": "x"}, "", "coco"),
        (
            {
                "a.record-00000-of-00002": record(image__source_id=("bytes", ["3"])),
                "a.record-00001-of-00002": record(image__source_id=("bytes", ["4"])),
            },
            "",
            "tfrecord",
        ),
    ],
)
def test_the_layout_is_found_by_looking(read, files, path, layout):
    assert read_index(read(files, path=path).output)["model"]["layout"] == layout


@pytest.mark.parametrize(
    ("files", "path", "given", "says"),
    [
        ({"a.csv": table(), "r.json": []}, "", {}, "several layouts are there"),
        ({"r.json": [], "s.json": []}, "", {}, "there are several JSON files"),
        ({"notes.md": "hello"}, "", {}, "no detections are there"),
        ({"notes.md": "hello"}, None, {}, "no detections are there"),
        ({"a.csv": table()}, None, {"layout": "coco"}, "no detections are there"),
        ({"a.csv": table()}, "b.csv", {}, "there is no such file or folder"),
        ({"empty": b""}, None, {}, "no detections are there"),
    ],
)
def test_what_is_no_layout_or_several_is_refused(read, files, path, given, says):
    error = read(files, path=path, **given).error
    assert error["what"] == says
    assert error["remedy"]


def test_a_layout_that_is_given_settles_which_files_are_meant(read):
    files = {"a.csv": table("1,circle,0.5,0,1,0,1"), "r.json": [coco(2)]}
    assert found_in(read(files, path="", layout="coco"))[1] == []
    assert found_in(read(files, path="", layout="open-images"))[2] == []


# Which image it is


def test_image_ids_are_the_datasets_own_where_nothing_says_otherwise(read):
    done = read({"r.json": [coco(5), coco("5"), coco("6.png"), coco("some/folder/6")]})
    assert {number: len(rows) for number, rows in found_in(done).items() if rows} == {5: 2, 6: 2}


def test_image_ids_of_another_numbering_are_told_by_their_files_names(read):
    truth = {"images": [{"id": 1, "file_name": "train/3.jpg"}, {"id": 900, "file_name": "C:\\data\\2.png"}], "annotations": [{"id": 1}] * 9}
    done = read({"r.json": [coco(1, score=0.1), coco(900, score=0.2)], "truth.json": truth}, images="truth.json")
    assert {number: rows[0][1] for number, rows in found_in(done).items() if rows} == {3: 0.1, 2: 0.2}


def test_a_name_that_two_images_have_is_unknown(run_here, tmp_path):
    folder = tmp_path / "r"
    folder.mkdir()
    images = [
        {"id": number, "name": name, "width": 10, "height": 10, "sha256": "%064d" % number}
        for number, name in enumerate(("a/x.jpg", "b/x.jpg"), 1)
    ]
    entry = write_shard(folder / "val.record-00000-of-00001", [detector_images.example(image, b"") for image in images])
    (folder / "records.json").write_text(json.dumps({"schema": 2, "classes": CLASSES, "splits": {"val": {"shards": [entry]}}}))
    (tmp_path / "d.csv").write_text(table("b/x,circle,0.5,0,1,0,1", "x,circle,0.5,0,1,0,1"))
    done = run_here("read-detections", {**PARAMS, "path": str(tmp_path / "d.csv")}, {"records": artifact("records", "records", folder)})
    assert (done.error["where"].endswith("d.csv:2"), done.error["what"]) == (True, "2 of 2 detections cannot be used (unknown image: 2)")


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ({"image__source_id": ("bytes", ["4"])}, 4),
        ({"image__source_id": ("bytes", ["4"]), "image__filename": ("bytes", ["4.png"])}, 4),
        ({"image__source_id": ("bytes", ["4"]), "image__filename": ("bytes", ["their/3.jpg"])}, 3),
        ({"image__source_id": ("bytes", ["5.jpg"])}, 5),
        ({"image__filename": ("bytes", ["6.png"])}, 6),
        ({"image__source_id": ("bytes", ["999"]), "image__filename": ("bytes", ["1.jpg"])}, 1),
    ],
    ids=["the id", "id and name agree", "the name says it is another numbering", "the id is a name", "the name", "an unknown id"],
)
def test_a_records_image_is_known_by_id_or_name(read, features, expected):
    assert [number for number, rows in found_in(read({"d.record": record(**features)})).items() if rows] == [expected]


def test_a_records_image_is_known_by_its_sha256_before_all(read, records):
    with open("%s/records.json" % records["path"]) as stream:
        share = share_plan(json.load(stream), "val", 1)[0]
    digest = next(example for _, example in share_examples(records["path"], share)).features.feature["image/key/sha256"].bytes_list.value[0]
    done = read({"d.record": record(image__source_id=("bytes", ["4"]), image__key__sha256=("bytes", [digest]))})
    assert [number for number, rows in found_in(done).items() if rows] == [1]


def test_detections_that_edgemill_wrote_are_read_back_as_they_were(read, records, tmp_path):
    with open("%s/records.json" % records["path"]) as stream:
        share = share_plan(json.load(stream), "val", 1)[0]
    given = Detections(np.array([[-0.5, 0.1, 1.5, 0.3]] * 2, np.float32), np.array([2, 0]), np.array([0.75, 1 / 3], np.float32))
    rle = coco_rle(2, 5, 40)
    examples = [add_detections(example, given) for _, example in share_examples(records["path"], share)]
    write_shard(tmp_path / "plain.record", examples)
    done = read({"d.record": (tmp_path / "plain.record").read_bytes()})
    for found in stream_detections(done.output, read_index(done.output)):
        np.testing.assert_array_equal(found.detections.boxes, given.boxes)
        np.testing.assert_array_equal(found.detections.scores, given.scores)
        np.testing.assert_array_equal(found.detections.classes, given.classes)
    assert rle["size"] == list(detector_images.size(2)[::-1])


# Which class it is

CATEGORIES = {"categories": [{"id": 18, "name": "triangle"}, {"id": 7, "name": "circle"}, {"id": 3, "name": "star"}]}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c.json", CATEGORIES),
        ("c.json", CATEGORIES["categories"]),
        ("c.pbtxt", "item { id: 18 name: '/m/18' display_name: 'triangle' } item { id: 7 name: 'circle' }"),
    ],
)
def test_category_ids_are_told_by_a_list_of_categories_or_a_label_map(read, name, content):
    done = read({"r.json": [coco(1, 18), coco(2, 7)], name: content}, categories=name)
    assert [found_in(done)[number][0][0] for number in (1, 2)] == [2, 0]


def test_the_file_of_images_tells_the_categories_too(read):
    truth = {"images": [{"id": 4, "file_name": "1.jpg"}], **CATEGORIES}
    assert found_in(read({"r.json": [coco(4, 18)], "t.json": truth}, images="t.json"))[1][0][0] == 2


def test_codes_of_open_images_are_told_by_the_class_descriptions(read):
    rows = table("1,/m/0abc,0.5,0,1,0,1", "2,square,0.5,0,1,0,1")
    for descriptions in ("LabelName,DisplayName\n/m/0abc,triangle\n", '/m/0abc,"triangle"\n/m/1,"Sea, turtle"\n'):
        done = read({"d.csv": rows, "classes.csv": descriptions}, categories="classes.csv")
        assert [found_in(done)[number][0][0] for number in (1, 2)] == [2, 1]


def test_labels_of_records_are_told_by_their_label_map(read):
    files = {"d.record": record(image__source_id=("bytes", ["3"])), "l.pbtxt": "item { id: 2 name: 'triangle' }"}
    assert found_in(read(files, categories="l.pbtxt"))[3][0][0] == 2


def test_what_is_unknown_may_be_left_out_and_is_counted(read):
    done = read({"r.json": [coco(1), coco(77), coco(78), coco(2, 9)]}, unknown="leave-out")
    assert {number: len(rows) for number, rows in found_in(done).items() if rows} == {1: 1}
    assert done.result["warnings"] == [
        "1 detections were left out: unknown class (category_id 9 is one)",
        "2 detections were left out: unknown image (image_id 77 is one)",
    ]


# Masks


def coco_rle(number, left, right):
    """COCO's run lengths of the columns from `left` to `right` of the picture `number`, counts as text."""
    width, height = detector_images.size(number)
    pixels = np.zeros([height, width], np.uint8, order="F")
    pixels[:, left:right] = 1
    rle = coco_mask.encode(pixels)
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode()}


def runs(rle):
    """The same run lengths as a list."""
    pixels = coco_mask.decode({**rle, "counts": rle["counts"].encode()}).ravel(order="F")
    edges = np.flatnonzero(np.diff(pixels)) + 1
    counts = np.diff([0, *edges, len(pixels)]).tolist()
    return {**rle, "counts": counts if pixels[0] == 0 else [0, *counts]}


def packed(rle):
    return base64.b64encode(zlib.compress(rle["counts"].encode())).decode()


def masks_of(done):
    return {found.image_id: found.masks for found in stream_detections(done.output, read_index(done.output))}


@pytest.mark.parametrize("form", [lambda rle: rle, runs], ids=["compressed", "a list"])
def test_segmentations_of_coco_become_masks(read, form):
    rows = [coco(2, segmentation=form(coco_rle(2, 5, 40)), score=0.2), coco(2, segmentation=form(coco_rle(2, 0, 9)), score=0.3)]
    done = read({"r.json": rows})
    assert [png_mask(png) for png in masks_of(done)[2]] == [coco_rle(2, 0, 9), coco_rle(2, 5, 40)]
    assert masks_of(done)[1] == []
    assert read_index(done.output)["masks"] is True


def test_a_box_is_taken_from_the_mask_where_there_is_none(read):
    row = coco(2, segmentation=coco_rle(2, 5, 40))
    del row["bbox"]
    height = detector_images.size(2)[1]
    assert found_in(read({"r.json": [row]}))[2] == [(0, 0.5, fractions(2, (5, 0, 35, height)))]


def test_masks_of_open_images_are_unpacked(read):
    (width, height), rle = detector_images.size(2), coco_rle(2, 5, 40)
    row = "2,square,0.5,%d,%d,%s" % (width, height, packed(rle))
    done = read({"d.csv": table(row, header="ImageID,LabelName,Score,ImageWidth,ImageHeight,Mask")})
    assert [png_mask(png) for png in masks_of(done)[2]] == [rle]
    assert found_in(done)[2] == [(1, 0.5, fractions(2, (5, 0, 35, height)))]
    both = read(
        {"d.csv": table("%s,0.1,0.2,0.3,0.4" % row, header="ImageID,LabelName,Score,ImageWidth,ImageHeight,Mask,XMin,XMax,YMin,YMax")}
    )
    assert found_in(both)[2] == [(1, 0.5, [0.3, 0.1, 0.4, 0.2])]


def test_masks_of_records_are_pngs(read):
    png = mask_png(coco_rle(3, 1, 7))
    done = read({"d.record": record(image__source_id=("bytes", ["3"]), image__detection__mask=("bytes", [png]))})
    assert masks_of(done)[3] == [png]


# What is wrong

ALIEN = {"size": [3, 3], "counts": "09"}


@pytest.mark.parametrize(
    ("row", "kind", "found"),
    [
        (coco(77), "unknown image", "image_id 77"),
        (coco(None), "unknown image", "image_id None"),
        (coco(True), "unknown image", "image_id True"),
        (coco(1.0), "unknown image", "image_id 1.0"),
        (coco("no.jpg"), "unknown image", "image_id no.jpg"),
        (coco("9" * 30), "unknown image", "image_id " + "9" * 30),
        (coco(1, 0), "unknown class", "category_id 0"),
        (coco(1, 4), "unknown class", "category_id 4"),
        (coco(1, "1"), "unknown class", "1"),
        (coco(1, score=float("nan")), "score", "nan"),
        (coco(1, score=1.5), "score", "1.5"),
        (coco(1, score=-0.1), "score", "-0.1"),
        (coco(1, score="0.5"), "score", "0.5"),
        (coco(1, score=None), "score", "None"),
        (coco(1, score=10**400), "score", None),
        (coco(1, box=(1, 2, 3)), "box", "[1, 2, 3]"),
        (coco(1, box=(1, 2, float("inf"), 4)), "box", "[1, 2, inf, 4]"),
        (coco(1, box=(1, 2, None, 4)), "box", "[1, 2, None, 4]"),
        (coco(1, box="1 2 3 4"), "box", None),
        (coco(1, box=(1e40, 2, 3, 4)), "box", None),
        (coco(1, box=(9, 2, -3, 4)), "box turned round", None),
        (coco(1, segmentation=[[1, 2, 3, 4, 5, 6]]), "mask", "a polygon"),
        (coco(1, segmentation="x"), "mask", "x"),
        (coco(1, segmentation={"size": [1], "counts": ""}), "mask", None),
        (coco(1, segmentation=ALIEN), "mask", "a mask of 3 x 3 pixels"),
        ({key: value for key, value in coco(1).items() if key != "bbox"}, "box", "None"),
        ([1, 2], "no object", "[1, 2]"),
        ("text", "no object", "text"),
    ],
)
def test_a_bad_row_of_coco_is_named(read, row, kind, found):
    done = read({"r.json": [coco(2), row, coco(3)]})
    assert done.error["what"] == "1 of 3 detections cannot be used (%s: 1)" % kind
    assert done.error["where"].endswith("r.json: detection 2")
    assert found in (None, done.error["found"])
    assert done.error["remedy"]
    assert not list(done.output.iterdir())


MASKED = "ImageID,LabelName,Score,ImageWidth,ImageHeight,Mask"


@pytest.mark.parametrize(
    ("row", "kind", "found"),
    [
        ("9,circle,0.5,0,1,0,1", "unknown image", "ImageID 9"),
        (",circle,0.5,0,1,0,1", "unknown image", "ImageID "),
        ("1,star,0.5,0,1,0,1", "unknown class", "LabelName star"),
        ("1,circle,,0,1,0,1", "score", ""),
        ("1,circle,nan,0,1,0,1", "score", "nan"),
        ("1,circle,1_0,0,1,0,1", "score", "1_0"),
        ("1,circle,1.01,0,1,0,1", "score", "1.01"),
        ("1,circle,0.5,0.9,0.1,0,1", "box turned round", None),
        ("1,circle,0.5,0,one,0,1", "box", "xmin 0, xmax one, ymin 0, ymax 1"),
        ("1,circle,0.5,0,,0,1", "box", "xmin 0, xmax missing, ymin 0, ymax 1"),
        ("1,circle,0.5,0,1,0", "cells", "6 cells"),
        ("1,circle,0.5,0,1,0,1,1", "cells", "8 cells"),
    ],
)
def test_a_bad_row_of_open_images_is_named(read, row, kind, found):
    done = read({"d.csv": table("2,circle,0.5,0,1,0,1", "", row, "3,square,0.5,0,1,0,1")})
    assert done.error["what"] == "1 of 3 detections cannot be used (%s: 1)" % kind
    assert done.error["where"].endswith("d.csv:4")
    assert found in (None, done.error["found"])


@pytest.mark.parametrize(
    "cells",
    [
        "60,130,!!!",
        "60,130," + base64.b64encode(b"no zlib").decode(),
        "60,130," + base64.b64encode(zlib.compress(b"x" * 99)[:-3]).decode(),
        "60,130," + base64.b64encode(zlib.compress(b"\0" * (1 << 25))).decode(),
        "sixty,130," + packed(coco_rle(1, 0, 3)),
        "61,130," + packed(coco_rle(1, 0, 3)),
        "3,3," + packed(ALIEN),
        "73,121," + base64.b64encode(zlib.compress(b"")).decode(),
    ],
    ids=["no base64", "no zlib", "cut short", "a bomb", "no number", "another size", "an image's of another size", "nothing"],
)
def test_a_bad_mask_of_open_images_is_named(read, cells):
    done = read({"d.csv": table("1,circle,0.5," + cells, header=MASKED)})
    assert done.error["what"] == "1 of 1 detections cannot be used (mask: 1)"
    assert done.error["where"].endswith("d.csv:2")


@pytest.mark.parametrize(
    ("features", "kind", "place"),
    [
        ({"image__source_id": ("bytes", ["9"])}, "unknown image", ""),
        ({"image__source_id": ("int64", [3])}, "unknown image", ""),
        ({"image__source_id": None}, "unknown image", ""),
        ({"image__detection__label": ("int64", [0])}, "unknown class", ", detection 1"),
        ({"image__detection__label": ("float", [1])}, "feature", ""),
        ({"image__detection__score": ("float", [0.5, 0.5])}, "lists of different lengths", ""),
        ({"image__detection__score": None}, "lists of different lengths", ""),
        ({"image__detection__score": ("float", [float("nan")])}, "score", ", detection 1"),
        ({"image__detection__score": ("float", [7])}, "score", ", detection 1"),
        ({"image__detection__bbox__ymax": ("float", [float("inf")])}, "box", ", detection 1"),
        ({"image__detection__bbox__ymax": ("float", [0])}, "box turned round", ", detection 1"),
        ({"image__detection__mask": ("bytes", [b"GIF"])}, "mask", ", detection 1"),
        ({"image__detection__mask": ("bytes", [mask_png(coco_rle(2, 1, 2))])}, "mask", ", detection 1"),
    ],
)
def test_a_bad_record_is_named(read, features, kind, place):
    good = {"image__source_id": ("bytes", ["3"])}
    done = read({"d.record": record(image__source_id=("bytes", ["1"])) + record(**{**good, **features})})
    assert done.error["what"] == "1 of 2 detections cannot be used (%s: 1)" % kind
    assert done.error["where"].endswith("d.record, record 2" + place)


def test_a_record_of_the_same_image_again_is_named(read):
    done = read({"d.record": record(image__source_id=("bytes", ["3"])) * 2})
    assert "image twice" in done.error["what"]
    assert done.error["found"].endswith("d.record, record 1")


def damaged(place, data):
    data = bytearray(data)
    data[place] ^= 1
    return bytes(data)


ONE = record(image__source_id=("bytes", ["3"]))


@pytest.mark.parametrize(
    ("files", "what", "where"),
    [
        ({"r.json": b"[" + json.dumps(coco(1)).encode()}, "the JSON ends in the middle", "r.json: element 1"),
        ({"r.json": b'[{"image_id": 1,,}]'}, "the JSON is broken", "r.json: element 1"),
        ({"r.json": b"[] []"}, "the JSON is broken", "r.json: the end"),
        ({"r.json": b"{1: 2}"}, "the JSON is broken", "r.json: the outermost object"),
        ({"r.json": b"7"}, "the JSON is neither a list nor an object", "r.json: the beginning"),
        ({"r.json": b""}, "the JSON is neither a list nor an object", "r.json: the beginning"),
        ({"r.json": b'["\xff"]'}, "the JSON is not UTF-8", "r.json: the beginning"),
        ({"r.json": b"[" * 100_000}, "the JSON is nested too deeply", "r.json: element 1"),
        ({"r.json": b"[" + b"9" * 10_000 + b"]"}, "the JSON is broken", "r.json: element 1"),
        ({"r.json": {"images": [], "categories": []}}, "the JSON holds no detections", "r.json"),
        ({"d.csv": b""}, "the CSV is empty", "d.csv"),
        ({"d.csv": "a,b\n1,2\n"}, "the CSV is not one of detections", "d.csv:1"),
        ({"d.csv": table(header="ImageID,LabelName,XMin,XMax,YMin,YMax")}, "the CSV is not one of detections", "d.csv:1"),
        ({"d.csv": table(header="ImageID,LabelName,Score,Score,XMin,XMax,YMin,YMax")}, "the CSV is not one of detections", "d.csv:1"),
        ({"d.csv": table().encode() + b"\xe9"}, "the CSV is not UTF-8", "d.csv"),
        ({"d.record": damaged(0, ONE)}, "a TFRecord file is damaged", "d.record, record 1"),
        ({"d.record": ONE[:-5]}, "a TFRecord file is damaged", "d.record, record 1"),
        ({"d.record": damaged(30, ONE)}, "1 of 1 detections cannot be used (damaged record: 1)", "d.record, record 1"),
        ({"d.record": frame(b"\xff")}, "1 of 1 detections cannot be used (damaged record: 1)", "d.record, record 1"),
        ({"d.record": b"<html>"}, "a TFRecord file is damaged", "d.record, record 1"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(read, files, what, where):
    done = read(files)
    assert done.error["what"] == what
    assert done.error["where"].endswith(where)
    assert done.error["remedy"]


@pytest.mark.parametrize(
    ("name", "content", "given", "what"),
    [
        ("c.json", {"categories": [{"id": "1", "name": "a"}]}, "categories", "a category has no id or name"),
        ("c.json", [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}], "categories", "two categories have one id"),
        ("c.json", {}, "categories", "the file names no class"),
        ("c.txt", "circle", "categories", "the classes' names cannot be read"),
        ("c.csv", "/m/1\n", "categories", "a class has no code or name"),
        ("c.csv", b"\xff", "categories", "the classes' names are not UTF-8"),
        ("c.pbtxt", "item {", "categories", "the label map cannot be read"),
        ("i.json", {"images": [{"id": 1}]}, "images", "an image has no id or file_name"),
        ("i.json", {"images": [{"id": 1, "file_name": "a"}, {"id": 1, "file_name": "b"}]}, "images", "two images have one id"),
        ("i.json", {"categories": []}, "images", "the file tells no images"),
    ],
)
def test_files_that_explain_ids_are_checked_too(read, name, content, given, what):
    assert read({"r.json": [coco(1)], name: content}, **{given: name}).error["what"] == what


def test_images_are_not_for_other_layouts(read):
    error = read({"d.csv": table(), "i.json": {"images": [{"id": 1, "file_name": "1.jpg"}]}}, images="i.json").error
    assert error["what"] == "`images` is for the layout coco"


def test_all_bad_rows_are_counted_the_first_told_and_the_others_logged(read, capfd):
    rows = [coco(1, score=2)] * 3 + [coco(99)] * 300 + [coco(1)]
    error = read({"r.json": rows}).error
    assert error["what"] == "303 of 304 detections cannot be used (score: 3, unknown image: 300)"
    assert error["where"].endswith("detection 1")
    assert error["found"].startswith("2.0; then score at ")
    log = capfd.readouterr().out
    assert "r.json: detection 150: unknown image: image_id 99; expected an image of the split" in log
    assert "… and 103 others" in log


def test_masks_of_some_detections_only_are_refused(read):
    error = read({"r.json": [coco(1), coco(2, segmentation=coco_rle(2, 1, 5)), coco(3)]}).error
    assert error["what"] == "1 of 4 detections cannot be used (mask missing: 1)"
    assert error["where"].endswith("detection 1")
    assert error["found"] == "2 without"


def test_boxes_in_another_unit_are_noticed(read):
    pixels = table(*["%d,circle,0.5,10,40,20,60" % (1 + place % 6) for place in range(12)])
    assert read({"d.csv": pixels}).error["what"] == "the boxes are out of their images"
    some = [coco(1 + place % 6, box=(0.1, 0.2, 0.3, 0.4)) for place in range(12)]
    assert "look like fractions" in read({"r.json": some}).result["warnings"][0]


def test_an_unknown_split_is_refused(read):
    assert read({"r.json": []}, split="test").error["what"] == "the records have no split test"


def test_the_parameter_path_is_asked_for(run_here, records):
    assert run_here("read-detections", {**PARAMS, "path": None}, {"records": records}).error["what"] == "the parameter path is missing"


def test_a_csv_may_quote_its_cells(read):
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(
        [["ImageID", "LabelName", "Score", "XMin", "XMax", "YMin", "YMax"], ["2", "square", "0.5", "0", "1", "0", "1"]]
    )
    assert found_in(read({"d.csv": "\ufeff" + text.getvalue()}))[2] == [(1, 0.5, [0, 0, 1, 1])]
