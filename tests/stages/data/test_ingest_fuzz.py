"""Whatever is in an annotation: it is read, dropped or refused with a StageError, and what is kept is sound."""

import json
import math
import shutil

import pytest
from _detection import dataset as datasets
from _runtime import StageError
from hypothesis import example, given
from hypothesis import strategies as st
from voc_files import HEIGHT, WIDTH, image_bytes, ingest, voc, write_pair

TAGS = [
    "annotation",
    "filename",
    "size",
    "width",
    "height",
    "object",
    "name",
    "bndbox",
    "xmin",
    "ymin",
    "xmax",
    "ymax",
    "truncated",
    "difficult",
    "part",
]
TEXTS = st.sampled_from(
    [
        "",
        "a.jpg",
        "bad.jpg",
        "../x",
        "cat",
        "dog",
        "1",
        "0",
        "-1",
        "64",
        "48",
        "30",
        "nan",
        "1e309",
        "&amp;",
        "&cat;",
        "<!-- x -->",
        "<![CDATA[1]]>",
        "<?x?>",
        "]]>",
        "\x00",
        "\u00e9",
        "&#1;",
        "&#48;",
    ]
)


def element(tag, content):
    return "<%s>%s</%s>" % (tag, content, tag)


def branches(inner):
    return st.tuples(st.sampled_from(TAGS), st.lists(inner, max_size=6)).map(lambda item: element(item[0], "".join(item[1])))


TREES = st.recursive(TEXTS, branches, max_leaves=25)
PREFIXES = st.sampled_from(
    [
        "",
        "\ufeff",
        "<?xml version='1.0'?>",
        "<?xml version='1.0' encoding='utf-7'?>",
        "<?xml version='1.0' encoding='nonsense'?>",
        "<!DOCTYPE annotation>",
        "<!DOCTYPE a [<!ENTITY b 'c'>]>",
        "<!DOCTYPE a [<!ATTLIST annotation x CDATA 'y'>]>",
        "<!--",
        "<",
    ]
)
DOCUMENTS = st.tuples(PREFIXES, st.lists(TREES, max_size=8)).map(lambda item: item[0] + element("annotation", "".join(item[1])))


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    """A root with a good image, and one whose annotation each example writes."""
    root = tmp_path_factory.mktemp("fuzz")
    write_pair(root / "root", "a")
    (root / "root" / "bad.jpg").write_bytes(image_bytes(9))
    return root


def outcome(workshop, name, data, policy, **params):
    """The dataset, or None where it is refused; whatever is kept is checked."""
    (workshop / "root" / name).write_bytes(data)
    shutil.rmtree(str(workshop / "out"), ignore_errors=True)
    try:
        task = ingest(workshop / "out", workshop / "root", on_error=policy, **params)
    except StageError as refused:
        error = refused
    else:
        error = None
    if error is not None:
        assert error.what
        assert error.remedy
        json.dumps(error.as_dict(), ensure_ascii=False).encode("utf-8")
        return None
    dataset = datasets.load(task.output)
    for image in dataset.images():
        for item in image["objects"]:
            xmin, ymin, xmax, ymax = item["bbox"]
            assert all(math.isfinite(edge) for edge in item["bbox"])
            assert 0 <= xmin < xmax <= WIDTH
            assert 0 <= ymin < ymax <= HEIGHT
            assert item["class"] in dataset.classes
    return dataset


POLICIES = st.sampled_from(["refuse", "drop", "clip"])
VOC = voc("bad.jpg").encode("utf-8")
EDITS = st.lists(st.tuples(st.integers(0, len(VOC)), st.integers(0, 12), st.binary(max_size=6)), max_size=5)


@given(DOCUMENTS, POLICIES)
def test_any_tree_of_voc_tags(workshop, text, policy):
    outcome(workshop, "bad.xml", text.encode("utf-8"), policy)


@given(st.binary(max_size=300), POLICIES)
@example(b"\xff\xfe<\x00a\x00", "drop")
@example(b"\x00\x00\x00<", "drop")
@example(b"\x4c\x6f\xa7\x94", "drop")  # EBCDIC's <?xm
def test_any_bytes_as_xml(workshop, data, policy):
    outcome(workshop, "bad.xml", data, policy)


@given(EDITS, POLICIES)
def test_any_edit_of_a_good_annotation(workshop, edits, policy):
    data = VOC
    for place, length, new in edits:
        data = data[:place] + new + data[place + length :]
    outcome(workshop, "bad.xml", data, policy)


CELLS = st.sampled_from(
    [
        "",
        "a.jpg",
        "bad.jpg",
        "../a.jpg",
        "64",
        "48",
        "cat",
        "dog",
        "1",
        "9",
        "30",
        "-1",
        "nan",
        "1e400",
        '"',
        '"x,y"',
        "\u00e9",
        "\x00",
        " ",
        "x\ny",
    ]
)
ROWS = st.lists(st.lists(CELLS, min_size=6, max_size=9).map(",".join), max_size=8).map("\n".join)
HEADERS = st.permutations(["filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax"]).map(",".join)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A root with two images and the CSV that each example writes."""
    root = tmp_path_factory.mktemp("fuzz_csv")
    (root / "root").mkdir()
    for seed, name in enumerate(("a.jpg", "bad.jpg")):
        (root / "root" / name).write_bytes(image_bytes(seed))
    return root


@given(HEADERS, ROWS, POLICIES)
@example("filename,width,height,class,xmin,ymin,xmax,ymax", "a.jpg,64,48,cat,1,1,9,9", "refuse")
def test_any_lines_of_a_csv(table, header, rows, policy):
    value = outcome(table, "labels.csv", (header + "\n" + rows).encode("utf-8"), policy, layout="csv")
    if rows == "a.jpg,64,48,cat,1,1,9,9" and header.startswith("filename,width,height,class,xmin,ymin"):
        assert len(value.images()[0]["objects"]) == 1


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass"))), POLICIES)
def test_any_bytes_as_csv(table, data, policy):
    outcome(table, "labels.csv", data, policy, layout="csv")


@given(st.binary(max_size=100), POLICIES)
def test_any_bytes_as_a_list(workshop, data, policy):
    outcome(workshop, "list.txt", data, policy, splits={"train": {"list": "list.txt"}})


PLACES = st.one_of(st.text(max_size=5), st.sampled_from([".", "a.jpg", "./", "../", "a.xml"]))
SPECS = st.dictionaries(st.sampled_from(["folder", "list", "csv", "annotations", "images"]), PLACES, max_size=3)
SPLITS = st.dictionaries(st.text(max_size=5), SPECS, max_size=2)


@given(SPLITS)
def test_any_splits(workshop, splits):
    (workshop / "root" / "bad.xml").unlink() if (workshop / "root" / "bad.xml").exists() else None
    outcome(workshop, "list.txt", b"a", "drop", splits=splits)
