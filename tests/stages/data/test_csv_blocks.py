"""CSV in blocks: every number, line and cell as Python's own csv and float() have them, whatever the block and the way."""

import struct

import numpy as np
import pytest
from _runtime import StageError
from hypothesis import example, given
from hypothesis import strategies as st
from table_parts import check_error, module

csv_blocks, box_text, findings = module("formats.csv_blocks"), module("formats.box_text"), module("audit.findings")
HEADER = b"name,label,x,y\n"
TEXTS, NUMBERS = {"name": 0, "label": 1}, {"x": 2, "y": 3}


def read(path, data, size=None, way=None):
    """The rows of a file, [(line, name, label, x, y)], wrong cells {(line, column): text}, and findings. way: "fast" or "slow" alone."""
    path.write_bytes(data)
    table = csv_blocks.open_table(path, "t.csv", "boxes")
    rows, wrong, told = [], {}, findings.Findings()
    for block in csv_blocks.blocks(table, size=size):
        if way is None:
            columns = csv_blocks.read_block(block, TEXTS, NUMBERS, told)
        else:
            piece = data[block.start : block.end]
            columns = csv_blocks._slow(piece, block, TEXTS, NUMBERS, told)
            columns = csv_blocks._fast(piece, block, TEXTS, NUMBERS) if way == "fast" else columns
            if columns is None:
                return None
            columns = csv_blocks._without_empty(columns)
        cells = [[values[code] for code in codes] for codes, values in columns.texts.values()]
        cells += [[struct.pack("<d", value) for value in values] for values in columns.numbers.values()]
        rows += list(zip(columns.line.tolist(), *cells, strict=True))
        wrong.update({(int(columns.line[row]), name): text for (row, name), text in columns.wrong.items()})
    return rows, wrong, [tuple(item) for item in told.items]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("csv") / "t.csv"


def bits(*values):
    return [struct.pack("<d", value) for value in values]


@given(st.lists(st.one_of(st.floats(allow_nan=False, allow_infinity=False).map(repr), st.decimals(0, 1, places=17).map(str)), min_size=1))
@example(["0.022673031", "0.9642005", "1e-320", "9007199254740993", "0.1000000000000000055511151231257827021181583404541015625"])
def test_numbers_are_the_bits_that_python_gives(path, texts):
    rows, wrong, _ = read(path, HEADER + "".join("a,b,%s,1\n" % text for text in texts).encode(), way="fast")
    assert [row[3] for row in rows] == bits(*map(float, texts))
    assert wrong == {}


LETTERS = st.text("0123456789+-.eE_ xinftruaNA\x0b\u0661", max_size=8)


@given(st.lists(LETTERS, min_size=1, max_size=3))
@example(["True", "False"])
@example(["", "true"])
@example(["inf"])
@example(["1e400"])
@example(["0" * 100 + "1"])
@example(["1_0"])
@example([" "])
@example(["nan"])
def test_what_is_a_number_is_so_in_every_way(path, texts):
    data = HEADER + "".join("a,b,%s,1\n" % text for text in texts).encode()
    rows, wrong, _ = read(path, data)
    for row, text in zip(rows, texts, strict=True):
        value = box_text.number(text.strip())
        assert [row[3]] == bits(np.nan if value is None else value)
        assert wrong.get((row[0], "x")) == (text.strip()[:40] if value is None and text.strip() else None)


CELLS = st.sampled_from(
    ["", "a", " a", "b ", "\u00e9", "1", "0.1", " 2", "-3e2", "nan", "x", '"a"', '"a,b"', "true", "\t", "\x00", ";", "'", "\\"]
)
LINES = st.one_of(st.lists(CELLS, min_size=4, max_size=4), st.lists(CELLS, max_size=6), st.just(["a", "b", "1", "2"])).map(",".join)
FILES = st.tuples(
    st.lists(st.tuples(LINES, st.sampled_from(["\n", "\r\n", "\n\n", "\r\r\n"])), max_size=12), st.sampled_from(["", "a,b,1,2"])
).map(lambda item: HEADER + ("".join(line + end for line, end in item[0]) + item[1]).encode())


@given(FILES)
@example(HEADER + b",,1,2\n,,,\n,,,4\n")
@example(HEADER + b"a,b,1,2,3\na,b,1\n")
@example(HEADER + b"a\0b,c\0,1,2\na,c,1\0,2\n")
@example(HEADER + b"0001,1.0,1,2\n")
@example(HEADER + b"TRUE,false,,2\n")
@example(HEADER + b"x,nan,1,2\n")
def test_the_fast_way_gives_what_the_slow_one_gives(path, data):
    fast = read(path, data, way="fast")
    if fast is not None:
        assert fast == read(path, data, way="slow")
        assert fast == read(path, data)


@given(FILES, st.integers(1, 60))
def test_blocks_that_end_anywhere_say_the_same(path, data, size):
    assert read(path, data, size) == read(path, data)


@given(st.binary(max_size=200), st.integers(1, 60))
@example(b"a,b,c\n\xff", 60)
def test_any_bytes_are_read_or_refused(path, data, size):
    try:
        read(path, data.replace(b"\r", b"") if size % 2 else data, size)
    except StageError as error:
        check_error(error)


def test_plain_lines_go_the_fast_way(path):
    data = HEADER + b"a,b,0.5,1\r\n\r\n" + b"\xc3\xa9,b,,-1\n" + b" a ,b,1,2"
    assert read(path, data, way="fast") == (
        [(2, "a", "b", *bits(0.5, 1)), (4, "\u00e9", "b", *bits(np.nan, -1)), (5, "a", "b", *bits(1, 2))],
        {},
        [],
    )


# a further line, what is told of it
LEFT_OUT = {
    "a cell too few": (b"a,b,1\n", "3 cells, where the header has 4"),
    "a cell too many": (b"a,b,1,2,3\n", "5 cells, where the header has 4"),
    "a delimiter in quotes too many": (b'"a",b,1,2,""\n', "5 cells, where the header has 4"),
    "a carriage return": (b"a,b\rc,1,2\n", "a carriage return within the line"),
}


@pytest.mark.parametrize("case", LEFT_OUT, ids=lambda case: case.replace(" ", "-"))
def test_a_line_of_another_shape_is_left_out_and_told(path, case):
    line, message = LEFT_OUT[case]
    rows, _, told = read(path, HEADER + b"a,b,1,2\n\n" + line + b"c,d,3,4\n")
    assert [row[0] for row in rows] == [2, 5]
    assert told == [("bad", "csv-line", "t.csv", message, 4, None)]


# data, what is said, where, found
REFUSED = {
    "Latin 1 in a column that is not read": (b"name,label,x,y,z\na,b,1,2,c\na,b,1,2,\xe9\n", "not UTF-8", "t.csv:3", "the byte 0xe9"),
    "Latin 1 in the header": (b"n\xe4me,label,x,y\n", "not UTF-8", "t.csv:1", "the byte 0xe4"),
    "UTF-16": ("name,label,x,y\na,b,1,2\n".encode("utf-16"), "not UTF-8", "t.csv:1", "the byte 0xff"),
    "a line break within quotes": (HEADER + b'a,b,1,2\n"a\nb",c,1,2\n', "cannot be read", "t.csv:3", "a line break is within quotes"),
    "text after a quote": (HEADER + b'"a"b,c,1,2\n', "cannot be read", "t.csv:2", "expected after"),
    "carriage returns alone": (b"name,label,x,y\ra,b,1,2\r", "carriage return alone", "t.csv:1", None),
    "a line without end": (HEADER + b"a,b,1,2\n" + b"x" * (1 << 21), "too long", "t.csv:3", None),
}


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.replace(" ", "-"))
def test_refuses_the_file(path, case):
    data, what, where, found = REFUSED[case]
    with pytest.raises(StageError, match=what) as caught:
        read(path, data, size=1 << 19)
    assert caught.value.where == where
    assert found is None or found in caught.value.found
    assert caught.value.remedy


def test_columns_of_a_block_are_coded_in_order_of_appearance(path):
    path.write_bytes(HEADER + b"b,x,1,2\na,x,1,2\n b,y,1,2\n")
    block = csv_blocks.blocks(csv_blocks.open_table(path, "t.csv", "boxes"))[0]
    columns = csv_blocks.read_block(block, TEXTS, NUMBERS, findings.Findings())
    assert {name: (codes.tolist(), values) for name, (codes, values) in columns.texts.items()} == {
        "name": ([0, 1, 0], ["b", "a"]),
        "label": ([0, 0, 1], ["x", "y"]),
    }


@pytest.mark.parametrize(
    ("header", "delimiter", "cells"),
    [(b"a,b;c,d\n", ",", ["a", "b;c", "d"]), (b"\xef\xbb\xbfa;b\r\n", ";", ["a", "b"]), (b'"a"\t"b"', "\t", ["a", "b"]), (b"", ",", [""])],
)
def test_the_first_line_tells_the_delimiter(path, header, delimiter, cells):
    path.write_bytes(header)
    table = csv_blocks.open_table(path, "t.csv", "boxes")
    assert (table.delimiter, table.header, table.start, table.empty) == (delimiter, cells, len(header), True)


@given(st.lists(st.text("ab./\\:\0 ~", max_size=5)))
@example(["", ".", "..", "a:b", "c:", "a.jpg", "a/b", "a\\..\\b", "a\0"])
def test_names_are_clean_as_in_every_layout(names):
    assert csv_blocks.clean_names(names) == [module("pictures.image_files").clean_name(name) for name in names]
