"""The classes of somebody's model: a label map, or a text file with a name in each line."""

import re
from typing import NamedTuple

from _detection.label_map import read_items
from _runtime import StageError

UNNAMED = "???"  # how files mark what has no name; class 12 without one is called ???12
_BACKGROUND = ("background", "__background__", UNNAMED)
_NUMBERED = re.compile(r"(\d{1,6})[ \t:,]+(\S.*)")
_MOST = 100_000


class Labels(NamedTuple):
    """names: the classes' in order, None for one without; background: the name of what stands before them, None where nothing does."""

    names: list
    background: str


def read_labels(path):
    """The `Labels` of a file. Raises StageError naming the line."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise StageError("the labels cannot be read: %s" % error.strerror, path, "a file", None, "check the path") from None
    except UnicodeDecodeError:
        raise StageError("the labels are not UTF-8", path, "UTF-8 text", "other bytes", "save the file as UTF-8") from None
    entries, first = _of_label_map(text, path) if path.suffix == ".pbtxt" else _of_lines(text, path)
    if not entries:
        raise StageError("the labels are empty", path, "a name for each class", "none", "give the labels of this model")
    _check_names(entries, path)
    names = {number: name for number, name, _ in entries if name != UNNAMED}
    background = names.pop(0, None) if first == 1 else None
    highest = max(number for number, _, _ in entries)
    if highest > _MOST:
        raise StageError("a class's number is very high", path, "at most %d" % _MOST, highest, "number the classes from %d" % first)
    labels = Labels([names.get(number) for number in range(first, highest + 1)], background)
    return _without_background(labels) if first == 0 else labels


def _of_label_map(text, path):
    """([(id, name, line)], 1: the first class's id). Of an item with both, the display name counts: `name` is then a code."""
    return [(item.id, item.display_name or item.name, item.line) for item in read_items(text, path)], 1


def _of_lines(text, path):
    """([(number, name, line)], 0: the first class's number): numbers are the file's own where each line has one, else the lines'."""
    lines = [(number, line.strip()) for number, line in enumerate(text.rstrip().splitlines(), 1)]
    empty = next((number for number, line in lines if not line), None)
    if empty is not None:
        raise StageError(
            "a class has no name", "%s:%d" % (path, empty), "a name, or %s" % UNNAMED, "an empty line", "write %s there" % UNNAMED
        )
    numbered = [_NUMBERED.fullmatch(line) for _, line in lines]
    if lines and all(numbered):
        return [(int(match.group(1)), match.group(2), number) for match, (number, _) in zip(numbered, lines)], 0
    return [(number - 1, line, number) for number, line in lines], 0


def _check_names(entries, path):
    numbers, names = {}, {}
    for number, name, line in entries:
        place = "%s:%d" % (path, line)
        if number < 0:
            raise StageError("a class's number is below 0", place, "ids from 1", number, "number the classes from 1")
        for seen, value, what in ((numbers, number, "number"), (names, name, "name")):
            if value in seen and value != UNNAMED:
                raise StageError(
                    "two classes have the same %s" % what,
                    place,
                    "each %s once" % what,
                    "%s, as in line %d" % (value, seen[value]),
                    "correct the labels",
                )
            seen[value] = line


def _without_background(labels):
    """Of a list from 0 on: the first name apart, where it is a background's."""
    first = labels.names[0]
    if first is None or first.lower() in _BACKGROUND:
        return Labels(labels.names[1:], first or UNNAMED)
    return labels


def class_names(labels, possible, path):
    """A name for each class of a model. possible: numbers of classes that it may have, by its outputs. Raises StageError.

    A background counts as a class only where the numbers fit in no other way.
    """
    for names in (labels.names, [labels.background, *labels.names]):
        if len(names) in possible and (names is labels.names or labels.background is not None):
            return ["%s%d" % (UNNAMED, number) if name in (None, UNNAMED) else name for number, name in enumerate(names, 1)]
    found = "%d%s" % (len(labels.names), " besides %s" % labels.background if labels.background else "")
    raise StageError(
        "the labels are not as many as the model's classes", path, " or ".join(map(str, possible)), found, "give the labels of this model"
    )
