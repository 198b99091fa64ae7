"""Rows of a CSV file with a header, by the names of columns; what is wrong is named by file and line."""

import csv
import math

from _runtime import StageError

_MEND = "mend the line, or make the file again"


def read_rows(path, what, columns):
    """(line, [text of each of `columns`]) of each row. what: the table, for messages; columns: names, whatever their order in the file.

    Raises StageError where the file cannot be read, lacks a column, or a line has another number of values than the header.
    """
    try:
        with open(str(path), encoding="utf-8-sig", newline="") as stream:
            rows = csv.reader(stream, strict=True)
            for row in _rows(rows, path, what, columns):
                yield row
    except OSError as error:
        raise StageError("the %s cannot be read" % what, path, "a CSV file", error.strerror, "check the path") from None


def _rows(rows, path, what, columns):
    header = None
    for values in _parsed(rows, path, what):
        if not values:  # an empty line
            continue
        if header is None:
            header = [value.strip() for value in values]
            places = _places(header, path, what, columns)
        elif len(values) != len(header):
            where = "%s:%d" % (path, rows.line_num)
            raise StageError("a line of the %s is not whole" % what, where, "%d values" % len(header), len(values), _MEND)
        else:
            yield rows.line_num, [values[place] for place in places]
    if header is None:
        raise StageError("the %s are empty" % what, path, "a header, %s" % ",".join(columns), "nothing", "give the right file")


def _parsed(rows, path, what):
    try:
        for values in rows:
            yield values
    except csv.Error as error:
        raise StageError("the %s are no CSV" % what, "%s:%d" % (path, rows.line_num), "CSV", error, _MEND) from None
    except UnicodeDecodeError:
        where = "%s, after line %d" % (path, rows.line_num)
        raise StageError("the %s are not UTF-8" % what, where, "UTF-8 text", "other bytes", "save them as UTF-8") from None


def _places(header, path, what, columns):
    missing = [name for name in columns if name not in header]
    if missing:
        raise StageError(
            "the %s lack a column: %s" % (what, ", ".join(missing)),
            "%s:1" % path,
            ",".join(columns),
            ",".join(header)[:200],
            "give the file of the challenge's layout, with its header",
        )
    return [header.index(name) for name in columns]


def number(text, where, column):
    """A finite number. Raises StageError for anything else."""
    try:
        value = math.nan if "_" in text else float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise StageError("a value is no number", "%s, %s" % (where, column), "a finite number", text or "nothing", _MEND)
    return value


def edges(texts, where, columns, least, most):
    """[low, high] of two texts, with least <= low <= high <= most. Raises StageError, or gives the two numbers."""
    low, high = (number(text, where, column) for text, column in zip(texts, columns))
    if not least <= low <= high <= most:
        raise StageError(
            "a box has no such edges",
            "%s, %s and %s" % ((where, *columns)),
            "fractions of the image's side, %g..%g, the lower one first" % (least, most),
            "%s, %s" % tuple(texts),
            "boxes in pixels are to be divided by the image's width or height; " + _MEND,
        )
    return low, high
