"""The reader of CSV files with a line for each box."""

import pytest
from _runtime import StageError
from hypothesis import example, given
from hypothesis import strategies as st
from table_parts import check_error, check_parts, module, read_parts, told, write

csv_blocks, layouts, places = module("formats.csv_blocks"), module("layouts"), module("places")
HEADER = "filename,width,height,class,xmin,ymin,xmax,ymax\n"
ROW = "a.jpg,64,48,cat,10,10,30,40\n"
CAT = ("a.jpg", "cat", (10.0, 10.0, 30.0, 40.0), 0, 2, None)
DIFFICULT, TRUNCATED = 1, 2


def read(root, text, spec=None):
    """(images, objects, findings) of a folder with labels.csv."""
    return told(read_parts("csv", write(root, {"labels.csv": text}), root, spec))


READ_ALIKE = {
    "xml_to_csv's columns": HEADER + ROW,
    "columns in another order": "xmin,xmax,ymin,ymax,class,filename\n10,30,10,40,cat,a.jpg\n",
    "other columns too": "filename,class,xmin,ymin,xmax,ymax,source\na.jpg,cat,10,10,30,40,web\n",
    "capitals in the header": (HEADER + ROW).replace("filename", "Filename").replace("class", "CLASS"),
    "spaces around cells": " filename , class ,xmin,ymin,xmax,ymax\n a.jpg , cat , 10,10 ,30,40\n",
    "byte order mark": b"\xef\xbb\xbf" + (HEADER + ROW).encode(),
    "Windows line ends": (HEADER + ROW).replace("\n", "\r\n"),
    "no newline at the end": (HEADER + ROW).rstrip(),
    "quoted cells": HEADER + '"a.jpg",64,48,"cat",10,10,30,40\n',
    "semicolons": (HEADER + ROW).replace(",", ";"),
    "tabs": (HEADER + ROW).replace(",", "\t"),
    "whole numbers written as floats": HEADER + "a.jpg,64,48,cat,10.0,10.0,30.0,40.0\n",
    "VoTT's columns": '"image","xmin","ymin","xmax","ymax","label"\n"a.jpg",10,10,30,40,"cat"\n',
    "a size that is no size": HEADER + "a.jpg,None,,cat,10,10,30,40\n",
}


@pytest.mark.parametrize("case", READ_ALIKE, ids=lambda case: case.replace(" ", "-"))
def test_reads_by_column_name(tmp_path, case):
    images, objects, findings = read(tmp_path, READ_ALIKE[case])
    assert (objects, findings) == ([CAT], [])
    assert images in ({"a.jpg": (64, 48, ())}, {"a.jpg": (0, 0, ())})


def test_the_declared_size_is_the_images(tmp_path):
    assert read(tmp_path, HEADER + ROW)[0] == {"a.jpg": (64, 48, ())}


def test_reads_a_table_without_a_header(tmp_path):
    images, objects, findings = read(tmp_path, "imgs/a.jpg,10,10,30,40,cat\nimgs/b.jpg,,,,,\nimgs/a.jpg,1,2.5,3,4,dog\n")
    assert objects == [("imgs/a.jpg", "cat", (10, 10, 30, 40), 0, 1, None), ("imgs/a.jpg", "dog", (1, 2.5, 3, 4), 0, 3, None)]
    assert (list(images), findings) == (["imgs/a.jpg", "imgs/b.jpg"], [])


def test_objects_are_numbered_among_the_lines_of_their_image(tmp_path):
    text = HEADER + ROW + ROW.replace("a.jpg", "b.jpg") + ROW + "a.jpg,64,48,,,,,\n" + ROW + "b.jpg,64,48,cat,1,1,x,2\n"
    parts = read_parts("csv", write(tmp_path, {"labels.csv": text}), tmp_path)
    assert [part.number.tolist() for part in parts] == [[1, 1, 2, 4]]
    assert [item.number for item in parts[0].findings.items] == [2]


def test_objects_of_a_file_of_several_blocks_have_their_lines_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_blocks, "BLOCK", 40)
    parts = read_parts("csv", write(tmp_path, {"labels.csv": HEADER + ROW * 4 + ROW.replace("40", "x")}), tmp_path)
    assert len(parts) > 1
    assert [number for part in parts for number in part.number.tolist()] == [0, 0, 0, 0]
    assert [(item.line, item.number) for part in parts for item in part.findings.items] == [(6, None)]


def test_a_line_with_a_name_alone_is_an_image_without_objects(tmp_path):
    images, objects, findings = read(tmp_path, HEADER + ROW + "b.jpg,64,48,,,,,\n")
    assert (list(images), objects, findings) == (["a.jpg", "b.jpg"], [CAT], [])


def test_lines_without_a_word_are_passed_over(tmp_path):
    assert read(tmp_path, HEADER + ROW + "\n,,,,,,,\n , ,\n") == ({"a.jpg": (64, 48, ())}, [CAT], [])


def test_flags_are_read_where_there_are_columns(tmp_path):
    text = "filename,class,xmin,ymin,xmax,ymax,truncated,difficult\na.jpg,cat,1,2,3,4,1,no\na.jpg,cat,1,2,3,5,0,TRUE\na.jpg,cat,1,2,3,6,,\n"
    assert [item[3] for item in read(tmp_path, text)[1]] == [TRUNCATED, DIFFICULT, 0]


def test_one_unknown_column_of_words_stands_in_for_class(tmp_path):
    _, objects, findings = read(tmp_path, "filename,cell_type,xmin,xmax,ymin,ymax\na.jpg,cat,10,30,10,40\n")
    assert objects == [CAT]
    assert findings == [("doubt", "csv-class-column", "labels.csv", "there is no column `class`; took `cell_type` for it", 1, None)]


def test_lines_that_declare_several_sizes_are_images_for_the_merge_to_tell(tmp_path):
    parts = read_parts("csv", write(tmp_path, {"labels.csv": HEADER + ROW + ROW.replace("64,48", "640,480")}), tmp_path)
    assert [(image.name, image.width, image.height, image.line) for image in parts[0].images] == [
        ("a.jpg", 64, 48, 2),
        ("a.jpg", 640, 480, 3),
    ]
    assert parts[0].image.tolist() == [0, 1]


# text, what is said, where, part of what was found
REFUSED = {
    "empty": ("", "holds no annotations", "labels.csv", "0 lines"),
    "an empty line": ("\n", "holds no annotations", "labels.csv", "1 lines"),
    "a header alone": (HEADER, "holds no annotations", "labels.csv", "1 lines"),
    "no header": (ROW * 2, "header lacks filename, class, xmin, ymin, xmax, ymax", "labels.csv:1", "a.jpg"),
    "two unknown columns": (
        "filename,kind,colour,xmin,ymin,xmax,ymax\na.jpg,cat,red,1,1,9,9\n",
        "header lacks class",
        "labels.csv:1",
        "kind, colour",
    ),
    "an unknown column of numbers": (
        "filename,score,xmin,ymin,xmax,ymax\na.jpg,0.5,1,1,9,9\n",
        "header lacks class",
        "labels.csv:1",
        "score",
    ),
    "YOLO's columns": ("filename,class,x,y,w,h\na.jpg,cat,1,1,9,9\n", "header lacks xmin, ymin, xmax, ymax", "labels.csv:1", "x, y, w, h"),
    "a column twice": (
        "filename,class,class,xmin,ymin,xmax,ymax\na.jpg,cat,dog,1,1,9,9\n",
        "has class twice",
        "labels.csv:1",
        "class, class",
    ),
    "Latin 1": (HEADER.encode() + b"caf\xe9.jpg,64,48,cat,1,1,9,9\n", "not UTF-8", "labels.csv:2", "0xe9"),
    "an open quote": (HEADER + ROW + '"a.jpg,64,48,cat,1,1,9,9\n', "cannot be read", "labels.csv:3", "unexpected end of data"),
    "text after a quote": (HEADER + '"a".jpg,64,48,cat,1,1,9,9\n', "cannot be read", "labels.csv:2", "expected after"),
}


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.replace(" ", "-"))
def test_refuses_the_file(tmp_path, case):
    text, what, where, found = REFUSED[case]
    with pytest.raises(StageError, match=what) as caught:
        read(tmp_path, text)
    assert caught.value.where == where
    assert found in caught.value.found
    assert caught.value.remedy


# a further line, way, code, object, part of the message
BAD_LINES = {
    "too few cells": ("b.jpg,64,48,cat\n", "bad", "csv-line", None, "4 cells, where the header has 8"),
    "too many cells": ("b.jpg,64,48,cat,1,1,9,9,9\n", "bad", "csv-line", None, "9 cells"),
    "name leads up": ("../a.jpg,64,48,cat,1,1,9,9\n", "refuse", "filename-outside", None, "filename ../a.jpg leads out"),
    "name is absolute": ("/data/a.jpg,64,48,cat,1,1,9,9\n", "refuse", "filename-outside", None, "leads out"),
    "name with a NUL": ("a\0.jpg,64,48,cat,1,1,9,9\n", "refuse", "filename-outside", None, "leads out"),
    "name leads up, and the box is bad": ("../a.jpg,64,48,cat,1,1,x,9\n", "refuse", "filename-outside", None, "leads out"),
    "no class": ("b.jpg,64,48,,1,1,9,9\n", "bad", "label-empty", 1, "no class"),
    "no class, and one corner that is no number": ("b.jpg,64,48,,,,x,\n", "bad", "label-empty", 1, "no class"),
    "not a number": ("b.jpg,64,48,cat,1,1,nine,9\n", "bad", "box-not-a-number", 1, "cat: xmax is nine"),
    "infinite": ("b.jpg,64,48,cat,1,1,inf,9\n", "bad", "box-not-a-number", 1, "cat: xmax is inf"),
    "a truth": ("b.jpg,64,48,cat,1,1,True,9\n", "bad", "box-not-a-number", 1, "cat: xmax is True"),
    "corner empty": ("b.jpg,64,48,cat,1,1,,9\n", "bad", "box-incomplete", 1, "cat: xmax is missing"),
    "no corners": ("b.jpg,64,48,cat,,,,\n", "bad", "box-incomplete", 1, "cat: xmin is missing"),
}


@pytest.mark.parametrize("case", BAD_LINES, ids=lambda case: case.replace(" ", "-"))
def test_names_the_line_and_goes_on(tmp_path, case):
    line, way, code, number, message = BAD_LINES[case]
    _, objects, findings = read(tmp_path, HEADER + ROW + line + ROW)
    assert [item[4] for item in objects] == [2, 4]
    assert [(item[0], item[1], item[2], item[4], item[5]) for item in findings] == [(way, code, "labels.csv", 3, number)]
    assert message in findings[0][3]


@pytest.mark.parametrize("case", [case for case in BAD_LINES if BAD_LINES[case][2] not in ("filename-outside", "csv-line")])
def test_a_bad_line_keeps_its_image(tmp_path, case):
    assert "b.jpg" in read(tmp_path, HEADER + ROW + BAD_LINES[case][0])[0]


def test_a_line_without_a_name_is_left_to_the_search_for_images(tmp_path):
    images, objects, _ = read(tmp_path, HEADER + ",64,48,cat,1,1,9,9\n")
    assert list(images) == [""]
    assert len(objects) == 1


# files, split's specification, the table, the folders of images
PLACES = {
    "a CSV beside each split's folder": (["train_labels.csv", "train/"], {"csv": "train_labels.csv"}, "train_labels.csv", [".", "train"]),
    "a CSV here, images there": (["csv/train.csv", "all/"], {"csv": "csv/train.csv", "images": "all"}, "csv/train.csv", ["csv", "all"]),
    "`annotations` for `csv`": (["x.csv"], {"annotations": "x.csv"}, "x.csv", ["."]),
    "`annotations` is a folder": (["y/x.csv"], {"annotations": "y"}, "y/x.csv", ["y"]),
    "Roboflow's folders": (["train/_annotations.csv"], {"folder": "train"}, "train/_annotations.csv", ["train"]),
    "images in folders of usual names": (["x.csv", "images/", "JPEGImages/"], {"folder": "."}, "x.csv", [".", "JPEGImages", "images"]),
    "images in the split's folder there": (["x.csv", "images/train/"], {"folder": "."}, "x.csv", [".", "images", "images/train"]),
    "one of several is named like the split": (["train.csv", "test.csv"], {"folder": "."}, "train.csv", ["."]),
}


@pytest.mark.parametrize("case", PLACES, ids=lambda case: case.replace(" ", "-"))
def test_finds_csv_and_images(tmp_path, case):
    files, spec, table, images = PLACES[case]
    write(tmp_path, {name if not name.endswith("/") else name + "a.jpg": "" for name in files})
    source = layouts.BY_NAME["csv"].source(places.Places(tmp_path, "ingest"), "train", spec)
    assert source.files == [tmp_path / table]
    assert source.images == [tmp_path / name for name in images]


# files, specification, what is said, found, remedy
NO_SOURCE = {
    "several": (["a.csv", "b.csv"], {"folder": "."}, "several CSV files", "a.csv, b.csv", "csv: FILE"),
    "none": (["a.jpg"], {"folder": "."}, "no CSV", "none", "csv: FILE"),
    "no such file": (["a.csv"], {"csv": "b.csv"}, "does not exist", "a.csv", "csv: FILE"),
}


@pytest.mark.parametrize("case", NO_SOURCE, ids=lambda case: case.replace(" ", "-"))
def test_a_split_that_cannot_be_found(tmp_path, case):
    files, spec, what, found, remedy = NO_SOURCE[case]
    write(tmp_path, dict.fromkeys(files, ""))
    with pytest.raises(StageError, match=what) as caught:
        layouts.BY_NAME["csv"].source(places.Places(tmp_path, "ingest"), "train", spec)
    assert found in caught.value.found
    assert remedy in caught.value.remedy


# files, whether the folder fits, its natural splits
FITS = {
    "a table of boxes": ({"labels.csv": HEADER}, True, None),
    "VoTT's": ({"x.csv": '"image","xmin","ymin","xmax","ymax","label"\n'}, True, None),
    "without a header": ({"x.csv": "a.jpg,1,2,3,4,cat\n"}, True, None),
    "any table, and nothing else": ({"x.csv": "a,b\n", "a.jpg": ""}, True, None),
    "an empty table": ({"x.csv": ""}, True, None),
    "a table of another kind beside labels": ({"results.csv": "epoch,loss\n", "a.txt": "0 0 0 1 1"}, False, None),
    "the table made of XML beside it": ({"labels.csv": HEADER, "a.xml": "<annotation/>"}, False, None),
    "the table made of XML in a folder": ({"labels.csv": HEADER, "annotations/a.xml": "<annotation/>"}, False, None),
    "Open Images": ({"train-annotations-bbox.csv": "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax\n"}, False, None),
    "no table": ({"a.txt": ""}, False, None),
    "a table for each split": (
        {"train_labels.csv": HEADER, "test_labels.csv": HEADER, "Valid.csv": HEADER},
        True,
        {"train": {"csv": "train_labels.csv"}, "test": {"csv": "test_labels.csv"}, "val": {"csv": "Valid.csv"}},
    ),
    "tables of which one names no split": ({"train.csv": HEADER, "all.csv": HEADER}, True, None),
    "two tables for a split": ({"train.csv": HEADER, "train_labels.csv": HEADER}, True, None),
    "a table for test alone": ({"test.csv": HEADER}, True, None),
}


@pytest.mark.parametrize("case", FITS, ids=lambda case: case.replace(" ", "-"))
def test_tells_a_folder_of_its_own(tmp_path, case):
    files, fits, splits = FITS[case]
    write(tmp_path, files)
    assert layouts.BY_NAME["csv"].fits(tmp_path) is fits
    assert splits is None or layouts.BY_NAME["csv"].splits(tmp_path) == splits
    assert splits is not None or not fits or layouts.BY_NAME["csv"].splits(tmp_path) is None


def test_the_datasets_that_vott_wrote(shared_data, tmp_path):
    root = shared_data("datasets") / "datumaro_assets/tests/assets/vott_csv_dataset/dataset"
    assert layouts.BY_NAME["csv"].splits(root) == {"test": {"csv": "test-export.csv"}, "train": {"csv": "train-export.csv"}}
    _, objects, findings = told(read_parts("csv", root, tmp_path, {"csv": "train-export.csv"}))
    assert [item[:3] for item in objects] == [
        ("img0003.jpg", "helmet", (6.7, 10.3, 10.0, 15.0)),
        ("img0004.jpg", "helmet", (1.0, 2.0, 2.0, 4.0)),
        ("img0003.jpg", "person", (13.7, 20.2, 45.6, 63.6)),
    ]
    assert findings == []


CELLS = st.sampled_from(
    ["", "a.jpg", "b.jpg", "../a.jpg", "64", "48", "cat", "dog", "1", "9", "30.5", "-1", "nan", "1e400", '"x,y"', "\u00e9", "\0", " "]
)
ROWS = st.lists(st.one_of(st.just(ROW.strip()), st.lists(CELLS, min_size=6, max_size=9).map(",".join)), max_size=8).map("\n".join)
HEADERS = st.permutations(["filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax"]).map(",".join)


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    return tmp_path_factory.mktemp("csv")


@given(HEADERS, ROWS, st.integers(1, 80))
@example(HEADER.strip(), ROW * 3, 30)
def test_blocks_that_end_anywhere_say_the_same(room, header, rows, size):
    whole = outcome(room, (header + "\n" + rows).encode())
    before, csv_blocks.BLOCK = csv_blocks.BLOCK, size
    try:
        pieces = outcome(room, (header + "\n" + rows).encode())
    finally:
        csv_blocks.BLOCK = before
    assert pieces == whole


def outcome(room, data):
    """What is told, findings by line and without the objects' numbers; or the error. Everything must be sound, whatever the bytes."""
    try:
        layouts.BY_NAME["csv"].fits(write(room, {"labels.csv": data}))
        layouts.BY_NAME["csv"].splits(room)
        parts = read_parts("csv", room, room)
    except StageError as error:
        check_error(error)
        return error.as_dict()
    check_parts(parts)
    images, objects, findings = told(parts)
    return (
        sorted(images.items(), key=lambda item: item[0]),
        objects,
        sorted({item[:5] for item in findings if item[1] != "filename-outside"}, key=str),
    )


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass"))))
@example(b"a,1,2,3,4,b")
@example(b"\xef\xbb\xbf")
def test_any_bytes_are_read_or_refused(room, data):
    outcome(room, data)
    outcome(room, HEADER.encode() + data)
