"""What the classes of other programs are called, and which of the dataset's they are."""

import csv
import json
from pathlib import Path

from json_elements import elements

from _detection.label_map import read_items
from _runtime import StageError


class ClassNames:
    """Finds the dataset's class, from 0, of an id or a code. names: {id or code: name}, or None where ids are the dataset's own from 1."""

    def __init__(self, classes, names=None):
        self._names = names
        self._places = {name: place for place, name in enumerate(classes)}
        self._count = len(classes)

    def of_id(self, number):
        """The class of a whole number, or None."""
        if self._names is not None:
            return self._places.get(self._names.get(number))
        return number - 1 if 1 <= number <= self._count else None

    def of_code(self, code):
        """The class of a text, a code that `names` explains or a class's own name; or None."""
        name = (self._names or {}).get(code, code)
        return self._places.get(name)

    def told(self, value):
        """A class for messages: with its name, where that is known."""
        name = (self._names or {}).get(value)
        return str(value) if name is None else "%s (%s)" % (value, name)


def read_names(path):
    """{id: name} of a label map or of COCO JSON, {code: name} of a CSV, both of a label map whose names are codes. Raises StageError."""
    path = Path(path)
    reader = {".pbtxt": _of_label_map, ".json": _of_json, ".csv": _of_csv}.get(path.suffix.lower())
    if reader is None or not path.is_file():
        raise StageError(
            "the classes' names cannot be read", path, "a .json, .pbtxt or .csv file", path.suffix or "no such ending", "check `categories`"
        )
    names = reader(path)
    if not names:
        raise StageError("the file names no class", path, "an id and a name for each class", "none", "check `categories`")
    return names


def _of_label_map(path):
    names = {}
    for item in read_items(_text(path), path):
        names[item.id] = item.display_name or item.name
        names[item.name] = names[item.id]
    return names


def _of_json(path):
    names = {}
    for key, number, value in elements(path):
        if key not in (None, "categories") or not number:
            continue
        where = "%s: category %d" % (path, number)
        if not isinstance(value, dict) or type(value.get("id")) is not int or not isinstance(value.get("name"), str):
            raise StageError("a category has no id or name", where, '{"id": 1, "name": "class"}', json.dumps(value)[:80], "correct it")
        if names.setdefault(value["id"], value["name"]) != value["name"]:
            raise StageError("two categories have one id", where, "each id once", value["id"], "correct it")
    return names


def _of_csv(path):
    """Code and name in each line, as in class-descriptions.csv of Open Images; a header is left out."""
    names = {}
    for line, cells in enumerate(csv.reader(_text(path).splitlines()), 1):
        if not cells or [cell.strip().lower() for cell in cells[:2]] == ["labelname", "displayname"]:
            continue
        if len(cells) < 2 or not cells[0].strip() or not cells[1].strip():
            raise StageError(
                "a class has no code or name",
                "%s:%d" % (path, line),
                "/m/04szw,Musical instrument",
                ",".join(cells)[:80],
                "correct that line",
            )
        names[cells[0].strip()] = cells[1].strip()
    return names


def _text(path):
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise StageError("the classes' names cannot be read: %s" % error.strerror, path, "a file", None, "check the path") from None
    except UnicodeDecodeError:
        raise StageError("the classes' names are not UTF-8", path, "UTF-8 text", "other bytes", "save the file as UTF-8") from None
