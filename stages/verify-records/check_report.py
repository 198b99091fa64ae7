"""All problems, kept in a file because there may be millions, counted by code, and told in a table."""

import json
from collections import Counter
from typing import NamedTuple, Optional

from record_image import ERROR, NOTE, WARNING

LEVELS = (ERROR, WARNING, NOTE)
EXAMPLES = 5  # of each code in the table


class Problem(NamedTuple):
    """level: error (training or evaluation would stop, or use something wrong), warning (doubtful) or note.

    file: relative to what was checked; record: its number from 1; offset: of its first byte in the file; both None of a whole file.
    """

    level: str
    code: str
    file: str
    record: Optional[int]
    offset: Optional[int]
    message: str

    def told(self):
        """In one line."""
        place = "" if self.record is None else ", record %d (byte %d)" % (self.record, self.offset)
        return "%s%s: %s" % (self.file, place, self.message)


class Problems:
    """Collects problems. stream: a text file that gets one JSON object a line."""

    def __init__(self, stream):
        self._stream = stream
        self.codes = {level: Counter() for level in LEVELS}
        self.files = {level: Counter() for level in LEVELS}
        self.examples = {}

    def add(self, problem):
        """Count it, keep it."""
        self._stream.write(json.dumps(problem._asdict(), ensure_ascii=False) + "\n")
        self.codes[problem.level][problem.code] += 1
        self.files[problem.level][problem.file] += 1
        kept = self.examples.setdefault((problem.level, problem.code), [])
        if len(kept) < max(EXAMPLES, 10):
            kept.append(problem)

    def count(self, level):
        """How many there are of a level."""
        return sum(self.codes[level].values())

    def first_errors(self, number):
        """Up to `number` errors, of every code some."""
        held = [list(problems) for (level, _), problems in self.examples.items() if level == ERROR]
        chosen = []
        while len(chosen) < number and any(held):
            chosen += [problems.pop(0) for problems in held if problems]
        return chosen[:number]


def code_counts(codes):
    """`box-swapped 3, image-missing 1`, the most frequent first."""
    return ", ".join("%s %d" % each for each in sorted(codes.items(), key=lambda each: (-each[1], each[0])))


def table(files, classes, problems):
    """The lines of the report for people.

    files: list of {"file", "bytes", "records", "images", "objects"}; classes: list of {"class", "label", "objects", "images"}.
    """
    columns = ("file", "records", "images", "objects", "MiB", "errors", "warnings")
    rows = [_file_row(each, problems) for each in files]
    if len(files) > 1:
        total = {key: sum(each[key] for each in files) for key in ("records", "images", "objects", "bytes")}
        counts = [problems.count(level) for level in (ERROR, WARNING)]
        rows.append(("all", total["records"], total["images"], total["objects"], "%.1f" % (total["bytes"] / 2**20), *counts))
    yield from _grid(columns, rows)
    yield ""
    yield from _grid(
        ("class", "id", "objects", "images"), [(each["class"], each["label"], each["objects"], each["images"]) for each in classes]
    )
    for level in LEVELS:
        if problems.codes[level]:
            yield ""
            yield "%ss" % level
            yield from _of_level(level, problems)
    yield ""
    yield verdict(problems)


def verdict(problems):
    """The last line: what came out."""
    counts = ["%d %s%s" % (problems.count(level), level, "" if problems.count(level) == 1 else "s") for level in LEVELS]
    return ", ".join(counts) + ("" if problems.count(ERROR) else ": the Object Detection API can read these records")


def _file_row(each, problems):
    counts = [problems.files[level][each["file"]] for level in (ERROR, WARNING)]
    return (each["file"], each["records"], each["images"], each["objects"], "%.1f" % (each["bytes"] / 2**20), *counts)


def _of_level(level, problems):
    for code, number in sorted(problems.codes[level].items(), key=lambda each: (-each[1], each[0])):
        yield "  %s %d" % (code, number)
        shown = problems.examples[level, code][:EXAMPLES]
        for problem in shown:
            yield "    " + problem.told()
        if number > len(shown):
            yield "    … and %d more, in problems.jsonl" % (number - len(shown))


def _grid(columns, rows):
    """Lines of a table: the first column to the left, the others to the right."""
    cells = [columns, *([str("" if value is None else value) for value in row] for row in rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(columns))]
    for row in cells:
        yield "  ".join([row[0].ljust(widths[0]), *(value.rjust(width) for value, width in zip(row[1:], widths[1:], strict=True))]).rstrip()
