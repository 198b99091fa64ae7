"""YAML documents: the scalars of YAML 1.2, lines in messages, and nothing but a RequestError for what is wrong."""

import contextlib
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgemill.documents import check, load_yaml, nearest, parse_value, parse_yaml
from edgemill.errors import RequestError

FILE = Path("/project/some.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("Off", "Off"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("1e-3", 0.001),
        ("1E5", 100000.0),
        ("-1.5e+2", -150.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("0.010", 0.01),
        ("12", 12),
        ("-7", -7),
        ("+7", 7),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("1:30:00.5", "1:30:00.5"),
        ("0b11", "0b11"),
        ("2024-01-31", "2024-01-31"),
        ("=", "="),
        ("null", None),
        ("~", None),
        ("", None),
        ("'12'", "12"),
        ("1.2.3", "1.2.3"),
        ("16.0.384591198", "16.0.384591198"),
        ("e3", "e3"),
        ("[1, two, 3.0]", [1, "two", 3.0]),
        ("{a: {b: c}}", {"a": {"b": "c"}}),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    found = parse_value(text)
    assert found == value
    assert type(found) is type(value)


def test_keys_are_text_as_it_is_written():
    assert parse_yaml("{2012: a, true: b, null: c, 1.0: d}", FILE).data == {"2012": "a", "true": "b", "null": "c", "1.0": "d"}


def test_anchors_and_merged_mappings_are_read():
    assert parse_yaml("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: *a\n", FILE).data == {
        "a": {"x": 1, "y": 2},
        "b": {"x": 1, "y": 3},
        "c": {"x": 1, "y": 2},
    }


WRONG = {
    "a tab as indentation": ("a:\n\tb: 1\n", "2"),
    "an open bracket": ("a: [1, 2\nb: 3\n", "2"),
    "a key given twice": ("a: 1\nb: 2\na: 3\n", "3"),
    "a nested key given twice": ("a:\n  b: 1\n  b: 1\n", "3"),
    "the same number as text and as number": ("{1: a, '1': b}", "1"),
    "a list as a key": ("? [1, 2]\n: 3\n", "1"),
    "two documents": ("a: 1\n---\nb: 2\n", "2"),
    "an unknown alias": ("a: *b\n", "1"),
    "an alias to what contains it": ("a: &a [*a]\n", "1"),
    "a Python object": ("a: !!python/object/apply:os.system [ls]\n", "1"),
    "a date by its tag": ("x: 1\na: !!timestamp 2024-01-31\n", "2"),
    "bytes": ("a: !!binary aGVsbG8=\n", "1"),
    "a set": ("a: !!set {b, c}\n", "1"),
    "pairs": ("a: !!pairs [b: c]\n", "1"),
    "a tag of its own": ("a: !mine 3\n", "1"),
    "not a number": ("x: 0\na: [0, .nan]\n", "2"),
    "infinity": ("a: .inf\n", "1"),
    "infinity by its digits": ("a: 1e999\n", "1"),
    "not a truth value": ("a: !!bool perhaps\n", "1"),
    "not an integer": ("a: !!int x\n", "1"),
    "a merge of no mapping": ("a: {<<: 3}\n", "1"),
    "an integer of too many digits": ("a: " + "9" * 5000 + "\n", "1"),
    "a control character": ("a: \x07\n", None),
    "half a surrogate pair": ("a: \udce9\n", None),
    "depth without end": ("[" * 5000, None),
    "depth without end, in blocks": ("".join(" " * depth + "a:\n" for depth in range(2000)), None),
}


@pytest.mark.parametrize(("text", "line"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named_with_its_line(text, line):
    with pytest.raises(RequestError) as raised:
        parse_yaml(text, FILE)
    assert raised.value.where.startswith(str(FILE))
    if line is not None:
        assert raised.value.where.split()[0] == f"{FILE}:{line}"


@pytest.mark.parametrize(
    "text",
    [
        "\n".join([f"a{n + 1}: &a{n + 1} [*a{n}, *a{n}, *a{n}, *a{n}, *a{n}, *a{n}, *a{n}, *a{n}, *a{n}, *a{n}]" for n in range(12)]),
        "\n".join([f"a{n + 1}: &a{n + 1} {{<<: [*a{n}, *a{n}, *a{n}, *a{n}, *a{n}, *a{n}, *a{n}, *a{n}]}}" for n in range(12)]),
    ],
    ids=["lists", "merges"],
)
def test_a_small_file_cannot_describe_an_endless_document(text):
    first = "a0: &a0 {x: 1}\n"
    with pytest.raises(RequestError, match="too many values"):
        parse_yaml(first + text, FILE)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "cannot be read"),
        (lambda path: path.write_bytes(b"a: caf\xe9\n"), "cannot be read"),
        (lambda path: path.write_bytes(b"a: " + b"x" * (4 << 20)), "too large"),
        (lambda path: path.write_bytes(b"\x00\x01\x02"), "not valid YAML"),
    ],
)
def test_files_that_cannot_be_read_are_named(tmp_path, make, says):
    path = tmp_path / "some.yaml"
    make(path)
    with pytest.raises(RequestError, match=says) as raised:
        load_yaml(path)
    assert str(path) in raised.value.where


def test_a_byte_order_mark_is_passed_over(tmp_path):
    path = tmp_path / "some.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert load_yaml(path).data == {"a": 1}


def test_lines_of_keys_and_list_items():
    document = parse_yaml("a: 1\nb:\n  - x\n  - c: 2\n    d: 3\n", FILE)
    assert document.where(("b", 1, "d")) == f"{FILE}:5 (b.1.d)"
    assert document.where(("b", 0)) == f"{FILE}:3 (b.0)"
    assert document.where(("b", "unknown", "x")) == f"{FILE}:2 (b.unknown.x)"
    assert document.where() == f"{FILE}:1"


SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z]+$"},
        "count": {"type": "integer", "minimum": 1},
        "layout": {"enum": ["voc", "csv"]},
        "inner": {"type": "object", "additionalProperties": False, "properties": {"depth": {"type": "number"}}},
    },
}


@pytest.mark.parametrize(
    ("text", "line", "what", "expected", "remedy"),
    [
        ("name: a\ncuont: 3\n", 2, "unknown key 'cuont'", "count", "did you mean 'count'?"),
        ("name: a\ninner:\n  dpeth: 1\n", 3, "unknown key 'dpeth'", "depth", "did you mean 'depth'?"),
        ("name: a\ncount: many\n", 2, "count: wrong type", "integer", None),
        ("name: a\ncount: true\n", 2, "count: wrong type", "integer", None),
        ("name: a\ncount: 0\n", 2, "count: not acceptable", "minimum 1", None),
        ("name: 7\n", 1, "name: wrong type", "string", None),
        ("name: A\n", 1, "name: not of the accepted form", "[a-z]+", None),
        ("name: a\nlayout: coco\n", 2, "layout: not one of", "voc, csv", None),
        ("count: 3\n", 1, "something is missing", "name", None),
        ("- a\n", 1, "wrong type", "object", None),
        ("", 1, "wrong type", "object", None),
    ],
)
def test_a_schema_names_line_and_nearest_word(text, line, what, expected, remedy):
    with pytest.raises(RequestError) as raised:
        check(parse_yaml(text, FILE), SCHEMA)
    error = raised.value
    assert what in error.what
    assert f"{FILE}:{line}" in error.where
    assert expected in error.expected
    assert error.remedy == remedy


def test_a_long_value_is_not_printed_whole():
    with pytest.raises(RequestError) as raised:
        check(parse_yaml(f"name: a\ncount: {'x' * 5000}\n", FILE), SCHEMA)
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize(
    ("word", "found"), [("trian", "train"), ("freze", "freeze"), ("infer_tflite", "infer-tflite"), ("zzz", None), ("", None)]
)
def test_nearest_word(word, found):
    assert nearest(word, ["train", "freeze", "infer-tflite"]) == found


PIECES = [
    *"a{}[],'\"|>?#%@`~\n\t=\\",
    *(": ", "- ", "  ", "&x ", "*x", "<<", "---", "...", "1", "1e9", ".nan", "\\x00"),
    *("!!", "!!int ", "!!float ", "!!bool ", "!!null ", "!!str ", "!!set ", "!!omap "),
]
YAML_LIKE = st.one_of(
    st.text(max_size=60),
    st.lists(
        st.sampled_from(PIECES),
        max_size=25,
    ).map("".join),
    st.binary(max_size=40).map(lambda raw: raw.decode("utf-8", errors="surrogateescape")),
)


@given(YAML_LIKE)
def test_any_text_gives_plain_data_or_a_request_error(text):
    try:
        document = parse_yaml(text, FILE)
    except RequestError:
        return
    assert json.loads(json.dumps(document.data, allow_nan=False)) == document.data
    for location in document.lines:
        assert str(FILE) in document.where(location)


# What YAML calls printable; JSON allows more.
PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=0xFFFD, exclude_categories=("Cs", "Cc", "Cn")), max_size=8)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False, allow_infinity=False) | PRINTABLE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PRINTABLE, inner, max_size=3),
    max_leaves=8,
)


@given(JSON_VALUES)
def test_json_is_read_as_what_it_is(value):
    found = parse_yaml(json.dumps(value, ensure_ascii=False), FILE).data
    assert found == value or (isinstance(value, float) and math.isclose(found, value))


@given(JSON_VALUES)
def test_a_schema_check_of_any_data_ends_in_nothing_or_a_request_error(value):
    document = parse_yaml(json.dumps(value, ensure_ascii=False), FILE)
    with contextlib.suppress(RequestError):
        check(document, SCHEMA)
