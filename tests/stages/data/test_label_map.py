"""Label maps in protobuf text format."""

import re

import pytest
from _detection.label_map import format_label_map, parse_label_map, read_items
from _runtime import StageError
from hypothesis import given
from hypothesis import strategies as st

GOOD = {
    "one item": ("item { id: 1 name: 'a' }", ["a"]),
    "colon after item": ("item: { id: 1 name: 'a' }", ["a"]),
    "angle brackets": ("item < id: 1 name: 'a' >", ["a"]),
    "name before id": ('item { name: "a" id: 1 }', ["a"]),
    "items in another order": ("item { id: 2 name: 'b' } item { id: 1 name: 'a' }", ["a", "b"]),
    "separators": ("item { id: 1, name: 'a'; }; item { id: 2; name: 'b', }", ["a", "b"]),
    "comments": ("# classes\nitem { # first\n id: 1\n name: 'a#b' }", ["a#b"]),
    "byte order mark and Windows line ends": ("\ufeffitem {\r\n id: 1\r\n name: 'a'\r\n}\r\n", ["a"]),
    "neighbouring strings are one": ("item { id: 1 name: 'a' \"b\" }", ["ab"]),
    "escapes": (r"item { id: 1 name: '\'\"\\\101\x42\u00e9\303\251\n' }", ["'\"\\ABéé\n"]),
    "other numbers": ("item { id: 0x1 name: 'a' } item { id: 02 name: 'b' }", ["a", "b"]),
    "fields that do not matter": (
        "item { id: 1 name: 'a' display_name: 'A' keypoints { id: 3 } frequency: RARE list: [1, 2] x: 1e3 }",
        ["a"],
    ),
}


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.replace(" ", "-"))
def test_reads(case):
    text, names = GOOD[case]
    assert parse_label_map(text, "map") == names


# text, what is said, at which line, what was found
BAD = {
    "empty": ("", "no items", None, "none"),
    "id 0": ("item { id: 1 name: 'a' }\nitem { id: 0 name: 'b' }", "below 1", 2, "0"),
    "negative id": ("item { id: -1 name: 'a' }", "below 1", 1, "-1"),
    "gap": ("item { id: 1 name: 'a' }\nitem { id: 3 name: 'c' }", "gap", None, "no id 2; the highest is 3"),
    "same id twice": ("item { id: 1 name: 'a' }\n\nitem { id: 1 name: 'b' }", "same id", 3, "1, as in line 1"),
    "same name twice": ("item { id: 1 name: 'a' }\nitem { id: 2 name: 'a' }", "same name", 2, "a, as in line 1"),
    "no id": ("\nitem { name: 'a' }", "no id", 2, "name"),
    "no name": ("item { id: 1 }", "no name", 1, "id"),
    "empty name": ("item { id: 1 name: '' }", "no name", 1, "id, name"),
    "nothing inside": ("item { }", "no id", 1, "an empty item"),
    "id as text": ("item {\n id: '1'\n name: 'a' }", "id of a label map item has the wrong type", 2, "1"),
    "id with a fraction": ("item { id: 1.5 name: 'a' }", "id of a label map item has the wrong type", 1, "1.5"),
    "name without quotes": ("item { id: 1\n name: cat }", "name of a label map item has the wrong type", 2, "cat"),
    "id given twice": ("item { id: 1\n id: 2 name: 'a' }", "gives its id twice", 2, "2"),
    "not closed": ("item { id: 1 name: 'a'\n", "cannot be read", 2, "the end of the file"),
    "quote not closed": ("item { id: 1\n name: 'a }\n", "cannot be read", 2, "'a }"),
    "no braces": ("1: a\n", "cannot be read", 1, "1"),
    "another message": ("items { id: 1 }", "cannot be read", 1, "items"),
    "a stray brace": ("item { id: 1 name: 'a' }\n}", "cannot be read", 2, "}"),
    "unknown escape": (r"item { id: 1 name: '\q' }", "unknown escape", 1, r"\q"),
    "bytes that are not UTF-8": (r"item { id: 1 name: '\377' }", "not UTF-8", 1, r"b'\xff'"),
    "a code point too large": (r"item { id: 1 name: '\U00110000' }", "unknown escape", 1, r"\U00"),
    "nested too deep": ("item { id: 1 name: 'a' " + "x { " * 30 + "} " * 31, "nested too deep", 1, None),
    "JSON": ('{"item": 1}', "cannot be read", 1, "{"),
}


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.replace(" ", "-"))
def test_refuses(case):
    text, what, line, found = BAD[case]
    with pytest.raises(StageError, match=what) as caught:
        parse_label_map(text, "map.pbtxt")
    assert caught.value.where == ("map.pbtxt" if line is None else "map.pbtxt:%d" % line)
    assert caught.value.found == found
    assert caught.value.remedy


def test_writes_ids_from_one():
    assert format_label_map(["a", "b"]) == "item {\n  id: 1\n  name: 'a'\n}\n\nitem {\n  id: 2\n  name: 'b'\n}\n"


@given(st.lists(st.text(min_size=1), min_size=1, unique=True))
def test_reads_back_whatever_names_it_wrote(names):
    assert parse_label_map(format_label_map(names), "map") == names


SNIPPETS = st.lists(
    st.sampled_from(
        [
            "item",
            "{",
            "}",
            "<",
            ">",
            ":",
            "id",
            "name",
            "1",
            "2",
            "'a'",
            '"b"',
            "'",
            "\\",
            "#",
            "\n",
            " ",
            ",",
            ";",
            "[",
            "]",
            "-",
            "0x",
            "1e9",
            "\\777",
            "\x00",
            "é",
        ]
    )
).map("".join)


@given(st.one_of(st.text(), SNIPPETS))
def test_any_text_is_read_or_refused(text):
    try:
        names = parse_label_map(text, "map")
    except StageError as refused:
        error, names = refused, []
    else:
        error = None
    assert error is None or (error.remedy and error.where.startswith("map"))
    assert all(isinstance(name, str) and name for name in names)


# The official maps; None where this chain needs ids without gaps from 1.
OFFICIAL = {
    "ava_label_map_v2.1": None,
    "face_label_map": 1,
    "face_person_with_keypoints_label_map": 2,
    "fgvc_2854_classes_label_map": 2854,
    "kitti_label_map": 2,
    "material_form_labels": 34,
    "material_labels": 10,
    "mscoco_complete_label_map": None,
    "mscoco_label_map": None,
    "oid_bbox_trainable_label_map": 545,
    "oid_object_detection_challenge_500_label_map": 500,
    "oid_v4_label_map": 601,
    "pascal_label_map": 20,
    "pet_label_map": 37,
    "plastic_type_labels": 9,
    "snapshot_serengeti_label_map": 48,
}


@pytest.mark.parametrize("name", OFFICIAL)
def test_official_label_maps(shared_data, name):
    text = (shared_data("label_maps") / ("official__%s.pbtxt" % name)).read_text(encoding="utf-8")
    items = read_items(text, name)
    assert len(items) == len(re.findall(r"^item", text, re.MULTILINE))
    if OFFICIAL[name] is None:
        with pytest.raises(StageError, match=r"gap|below 1"):
            parse_label_map(text, name)
    else:
        assert len(parse_label_map(text, name)) == OFFICIAL[name]
