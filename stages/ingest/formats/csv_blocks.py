"""CSV files read in pieces: ranges of bytes that end with a line, for worker processes to parse side by side, in columns.

A line is a record: a line break within quotes is an error, told with its line, for no range could end safely where one may be.
Numbers are the same bits that Python's float() gives: pandas' C parser converts so since 3.1, and what it takes for a number besides
(inf, true) goes the slow way. Lines count from 1, the header's among them.
"""

import csv
import io
import math
import re
from typing import NamedTuple

import numpy as np
import pandas as pd
from pictures.image_files import clean_name

from _runtime import StageError
from formats.box_text import number

BLOCK = 4 << 20  # bytes; parsing one takes some ten times as much memory
LONGEST_LINE = 1 << 20  # bytes
_DELIMITERS = ",;\t"
_BOM = b"\xef\xbb\xbf"
_WORD = "x"
_PLAIN_NAME = re.compile(r"[^/\\:\0]+")
_SHOWN = 40  # characters of a cell in a message
_WIDEST_NUMBER = 100  # characters; longer ones are no numbers (see box_text)


class Table(NamedTuple):
    """A CSV file whose first line is known. file: its name for messages; header: the first line's cells, stripped.

    start: byte where the second line begins; first: byte where the first one does. empty: nothing follows the first line.
    """

    path: str
    file: str
    delimiter: str
    header: list
    first: int
    start: int
    empty: bool


class Block(NamedTuple):
    """Lines of a file: the bytes from `start` to `end`, the first in line `line`. cells: of each line; whole: there is no other block."""

    path: str
    file: str
    delimiter: str
    cells: int
    start: int
    end: int
    line: int
    whole: bool


class Columns(NamedTuple):
    """What a block says, in the lines' order; lines where all the columns are empty are left out.

    line: int32 [n]. texts: {column: (codes int32 [n], values)}: values are stripped, each once, in order of appearance.
    numbers: {column: float64 [n]}, finite, or NaN where the cell is empty or no number; wrong: {(row, column): text} of the latter.
    """

    line: np.ndarray
    texts: dict
    numbers: dict
    wrong: dict


def open_table(path, file, expected):
    """The `Table` of a file. expected: what it should hold, for messages. Raises StageError where the first line cannot be read."""
    with _opened(path, file, expected) as stream:
        line = stream.readline(LONGEST_LINE + 1)
        rest = stream.read(1)
    if len(line) > LONGEST_LINE:
        raise _too_long(file, 1)
    first = len(_BOM) if line.startswith(_BOM) else 0
    text = _decoded(line[first:], file, 1).rstrip("\r\n")
    if "\r" in text:
        raise StageError(
            "the CSV's lines end with a carriage return alone",
            "%s:1" % file,
            "lines that end with a line feed",
            None,
            "save it with the line ends of Unix or Windows",
        )
    delimiter = max(_DELIMITERS, key=text.count)
    header = [cell.strip() for cell in _cells(text, delimiter, file, 1, expected)]
    return Table(str(path), file, delimiter, header, first, len(line), not rest)


def blocks(table, with_first_line=False, size=None):
    """The `Block`s of a table, in order. with_first_line: for a file without a header; size: bytes, BLOCK where it is None.

    Raises StageError for a line that is too long.
    """
    size = BLOCK if size is None else size
    start, line = (table.first, 1) if with_first_line else (table.start, 2)
    found = []
    with _opened(table.path, table.file, "a CSV file") as stream:
        stream.seek(start)
        while True:
            piece = stream.read(size)
            if not piece:
                break
            tail = b"" if piece.endswith(b"\n") else stream.readline(LONGEST_LINE)
            lines = _newlines(piece) + tail.endswith(b"\n")
            if len(tail) == LONGEST_LINE and not tail.endswith(b"\n"):
                raise _too_long(table.file, line + lines)
            end = start + len(piece) + len(tail)
            found.append(Block(table.path, table.file, table.delimiter, len(table.header), start, end, line, whole=False))
            start, line = end, line + lines
    return [found[0]._replace(whole=True)] if len(found) == 1 else found


def sample_rows(table, size=1 << 16):
    """Cells of the first lines after the header, those of quotes and bytes that cannot be read left out: to guess by."""
    with _opened(table.path, table.file, "a CSV file") as stream:
        stream.seek(table.start)
        text = stream.read(size).decode("utf-8", "replace")
    rows = csv.reader(text.splitlines(), delimiter=table.delimiter)
    try:
        return list(rows)
    except csv.Error:
        return []


def read_block(block, texts, numbers, findings):
    """The `Columns` of a block. texts, numbers: {column: its place in a line, from 0}.

    A line with another number of cells is told to `findings` (`csv-line`) and left out. Raises StageError where the text is not UTF-8
    or a quote is amiss.
    """
    with _opened(block.path, block.file, "a CSV file") as stream:
        stream.seek(block.start)
        data = stream.read(block.end - block.start)
    if not data.isascii():
        _decoded(data, block.file, block.line)
    columns = _fast(data, block, texts, numbers)
    return _without_empty(_slow(data, block, texts, numbers, findings) if columns is None else columns)


def first_seen(keys):
    """(codes, rows): each key's place among the distinct ones in order of appearance, and the row where each appears first."""
    _, rows, codes = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(rows)
    places = np.empty(len(order), np.int32)
    places[order] = np.arange(len(order))
    return places[codes], rows[order]


def _opened(path, file, expected):
    try:
        return open(str(path), "rb")
    except OSError as error:
        raise StageError(
            "the CSV cannot be read: %s" % error.strerror, file, expected, None, "check the path and its permissions"
        ) from None


def _too_long(file, line):
    return StageError(
        "a line of the CSV is too long",
        "%s:%d" % (file, line),
        "at most %d bytes" % LONGEST_LINE,
        None,
        "save the file as CSV, with a line for each record",
    )


def _newlines(data):
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) == 10))


def _decoded(data, file, line):
    """The text of bytes that begin in line `line`."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise StageError(
            "the CSV is not UTF-8",
            "%s:%d" % (file, line + data.count(b"\n", 0, error.start)),
            "UTF-8 text",
            "the byte 0x%02x" % data[error.start],
            "save it as UTF-8",
        ) from None


def _cells(text, delimiter, file, line, expected):
    """The cells of one line."""
    if '"' not in text:
        return text.split(delimiter)
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error as error:
        open_quote = ": a quote is left open, or a line break is within quotes" if "end of data" in str(error) else ""
        raise StageError(
            "the CSV cannot be read", "%s:%d" % (file, line), expected, "%s%s" % (error, open_quote), "correct that line"
        ) from None


def _fast(data, block, texts, numbers):
    """The columns by pandas' C parser; None where that might not give what the exact way gives."""
    if b'"' in data or (b"\r" in data and data.count(b"\r") != data.count(b"\r\n")):
        return None
    lines, lefts = _regular_lines(data, block, numbers)
    if lines is None:
        return None
    kinds = dict.fromkeys(texts.values(), "category")
    kinds.update(dict.fromkeys(numbers.values(), np.float64))
    # pandas takes a column of texts for numbers where all of them could be: 0001 would be 1. The word in a last line keeps them texts.
    last = block.delimiter.join("" if place in numbers.values() else _WORD for place in range(block.cells))
    try:
        frame = pd.read_csv(
            io.BytesIO(data + (b"" if data.endswith(b"\n") else b"\n") + last.encode("ascii")),
            sep=block.delimiter,
            header=None,
            names=range(block.cells),
            index_col=False,
            usecols=sorted(kinds),
            dtype=kinds,
            keep_default_na=False,
            na_values={place: [""] for place in numbers.values()},
            quoting=csv.QUOTE_NONE,
            low_memory=False,
        )
    except (ValueError, OverflowError):  # a cell that is no number; ParserError is a ValueError
        return None
    columns = {name: frame[place].to_numpy()[:-1] for name, place in numbers.items()}
    if len(frame) != len(lines) + 1 or not all(_plain(columns[name], data, lefts[name]) for name in numbers):
        return None
    return Columns(lines, {name: _coded(frame[place].cat) for name, place in texts.items()}, columns, {})


def _regular_lines(data, block, numbers):
    """(numbers of the lines that are not empty, int32; {column of numbers: where each of its cells begins in the data}).

    None, None where a line has another number of cells, or a number is very long.
    """
    codes = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(codes == 10)
    if not data.endswith(b"\n"):
        ends = np.append(ends, len(codes))
    starts = np.concatenate([[0], ends[:-1] + 1])
    returns = codes[np.maximum(ends - 1, 0)] == 13
    filled = ends - starts - returns > 0
    lines = np.flatnonzero(filled)
    starts, ends = starts[lines], ends[lines]
    marks = np.flatnonzero(codes == ord(block.delimiter))
    if block.cells < 2 or not len(lines) or len(marks) != len(lines) * (block.cells - 1):
        return None, None
    marks = marks.reshape(len(lines), block.cells - 1)
    if (marks[:, 0] < starts).any() or (marks[:, -1] > ends).any():
        return None, None
    lefts = {}
    for name, place in numbers.items():
        lefts[name] = starts if place == 0 else marks[:, place - 1] + 1
        right = ends if place == block.cells - 1 else marks[:, place]
        if (right - lefts[name]).max() >= _WIDEST_NUMBER:
            return None, None
    return (lines + block.line).astype(np.int32), lefts


def _plain(values, data, lefts):
    """Whether a column that pandas took for numbers has no infinite one, and does not consist of true and false."""
    if np.isinf(values).any():
        return False
    row = int(np.argmin(np.isnan(values)))
    return np.isnan(values[row]) or not data[lefts[row] : lefts[row] + _WIDEST_NUMBER].lstrip()[:1].isalpha()


def _coded(categories):
    """(codes, values) of a column of texts, without the last: stripped, in order of appearance."""
    codes = categories.codes.to_numpy()[:-1]
    first = np.full(len(categories.categories), len(codes))
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    values, places = {}, np.empty(len(first), np.int32)
    names = categories.categories.tolist()
    for place in np.argsort(first, kind="stable")[: np.count_nonzero(first < len(codes))].tolist():
        places[place] = values.setdefault(names[place].strip(), len(values))
    return places[codes], list(values)


def _slow(data, block, texts, numbers, findings):
    """The columns line by line, and what is wrong with a line."""
    lines, wrong = [], {}
    values = {name: {} for name in texts}
    codes = {name: [] for name in texts}
    columns = {name: [] for name in numbers}
    pieces = data.split(b"\n")
    for line, piece in enumerate(pieces, block.line):
        text = piece.decode("utf-8").rstrip("\r")
        cells = [cell.strip() for cell in _cells(text, block.delimiter, block.file, line, "%d cells in each line" % block.cells)]
        if not any(cells):
            continue
        if len(cells) != block.cells or "\r" in text:
            message = (
                "a carriage return within the line" if "\r" in text else "%d cells, where the header has %d" % (len(cells), block.cells)
            )
            findings.bad("csv-line", block.file, message, line)
            continue
        for name, place in texts.items():
            codes[name].append(values[name].setdefault(cells[place], len(values[name])))
        for name, place in numbers.items():
            value = number(cells[place])
            if value is None and cells[place]:
                wrong[len(lines), name] = cells[place][:_SHOWN]
            columns[name].append(math.nan if value is None else value)
        lines.append(line)
    return Columns(
        np.array(lines, np.int32),
        {name: (np.array(codes[name], np.int32), list(values[name])) for name in texts},
        {name: np.array(columns[name], np.float64) for name in numbers},
        wrong,
    )


def _without_empty(columns):
    empty = np.ones(len(columns.line), bool)
    for codes, values in columns.texts.values():
        empty &= codes == values.index("") if "" in values else False
    for values in columns.numbers.values():
        empty &= np.isnan(values)
    for row, _ in columns.wrong:
        empty[row] = False
    return where(columns, ~empty) if empty.any() else columns


def clean_names(names):
    """`image_files.clean_name` of each name, at once for the many that are a file's name alone."""
    return [name if _PLAIN_NAME.fullmatch(name) and name not in (".", "..") else clean_name(name) for name in names]


def corners(columns, names, labels, objects, findings, file):
    """(box float64 [n, 4], whole bool [n]): the numbers of four columns, and where all are there; what is amiss is told to `findings`.

    names: of the columns, in the order of tables.CORNERS. labels: a row's label, None where it is no object; objects: each row's number
    as an object, or None.
    """
    box = np.column_stack([columns.numbers[name] for name in names])
    whole = ~np.isnan(box).any(axis=1)
    for row in np.flatnonzero(~whole).tolist():
        label = labels(row)
        if label is None:
            continue
        name = next(name for name, value in zip(names, box[row], strict=True) if np.isnan(value))
        text = columns.wrong.get((row, name))
        code, said = ("box-incomplete", "%s is missing" % name) if text is None else ("box-not-a-number", "%s is %s" % (name, text))
        findings.bad(code, file, "%s: %s" % (label, said), int(columns.line[row]), None if objects is None else int(objects[row]))
    return box, whole


def where(columns, chosen):
    """The rows of `columns` that the bool array chooses."""
    places = np.cumsum(chosen) - 1
    texts = {}
    for name, (codes, values) in columns.texts.items():
        left, first = first_seen(codes[chosen])
        texts[name] = (left, [values[code] for code in codes[chosen][first].tolist()])
    return Columns(
        columns.line[chosen],
        texts,
        {name: values[chosen] for name, values in columns.numbers.items()},
        {(int(places[row]), name): text for (row, name), text in columns.wrong.items() if chosen[row]},
    )
