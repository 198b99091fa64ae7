"""What tells a YOLO dataset's splits and class names: Ultralytics' data.yaml, Darknet's obj.data, and lists of names.

https://docs.ultralytics.com/datasets/detect/ (keys path, train, val, test, names, nc, kpt_shape);
https://github.com/AlexeyAB/darknet#how-to-train-to-detect-your-custom-objects (obj.data, obj.names, train.txt).
"""

import os
import re
from pathlib import Path
from typing import NamedTuple, Optional

import yaml

from _detection.split_names import USUAL_SPLITS
from _runtime import StageError
from layouts.base import files_in, read_text

_LARGEST = 1 << 20  # bytes of a YAML
_NAMES = re.compile(r"""(?:^|[{,])\s*['"]?names['"]?\s*[:=]""", re.MULTILINE)
_SPLIT = re.compile(r"""(?:^|[{,])\s*['"]?(?:train|val|valid|validation|test)['"]?\s*[:=]""", re.MULTILINE)
_PREFERRED = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml", "obj.data")
_NAME_FILES = ("classes.txt", "obj.names", "_darknet.labels", "predefined_classes.txt")
_YAML = (".yaml", ".yml")


class Entry(NamedTuple):
    """Where a split's images are, as written. key: in the file; texts: folders, or lists of images; line: from 1."""

    key: str
    texts: list
    line: int


class Description(NamedTuple):
    """A data.yaml or an obj.data.

    path: of the file. base: text of the folder that the entries are relative to, or None. entries: {split: Entry}.
    names: {number: class name}, or None where it has none. names_file: text, where they are in another file.
    keypoints: numbers that follow the box in each line.
    """

    path: Path
    base: Optional[str]
    entries: dict
    names: Optional[dict]
    names_file: Optional[str] = None
    keypoints: int = 0


def description_in(folder):
    """The path of the only data.yaml or obj.data in a folder that names splits, or None. Raises StageError where there are several."""
    return _one([path for path in files_in(folder, *_YAML, ".data") if describes(path)], folder, "annotations")


def describes(path):
    """Whether a file, by its first megabyte, is a data.yaml or an obj.data that names splits."""
    text = _peeked(path)
    return _NAMES.search(text) is not None and _SPLIT.search(text) is not None


def _one(paths, folder, key):
    for name in _PREFERRED:
        chosen = [path for path in paths if path.name == name]
        if chosen:
            return chosen[0]
    if len(paths) > 1:
        raise StageError(
            "several files may tell the class names",
            folder,
            "one of them",
            ", ".join(path.name for path in paths),
            "say which one in the pipeline: `splits: {train: {%s: FILE}}`" % key,
        )
    return paths[0] if paths else None


def _peeked(path):
    try:
        with open(str(path), "rb") as stream:
            return stream.read(_LARGEST).decode("utf-8", "replace").lstrip("\ufeff")
    except OSError:
        return ""


def read_description(path):
    """The `Description` in a file. Raises StageError."""
    return _read_yaml(path) if path.suffix.lower() in _YAML else _read_data(path)


def _read_yaml(path):
    """Looks at the YAML's nodes, which are texts with lines: nothing is constructed, so that aliases cannot grow, and `no` is a name."""
    if os.path.getsize(str(path)) > _LARGEST:
        raise StageError("the YAML is too large", path, "at most %d bytes" % _LARGEST, None, "write only paths and names into it")
    try:
        root = yaml.compose(read_text(path, "the YAML"), Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = path if mark is None else "%s:%d" % (path, mark.line + 1)
        said = getattr(error, "problem", None) or " ".join(str(error).split())
        raise StageError("the YAML cannot be read: %s" % said, where, "YAML with train, val and names", None, "correct that line") from None
    except RecursionError:
        raise StageError(
            "the YAML is nested too deeply", path, "train, val and names", None, "write only paths and names into it"
        ) from None
    if not isinstance(root, yaml.MappingNode):
        raise StageError("the YAML has no keys", path, "train, val and names", None, "write them as `names: [cat, dog]`")
    keys = {}
    for key, value in root.value:
        if not isinstance(key, yaml.ScalarNode) or _is_null(value):
            continue
        if key.value in keys:
            raise _wrong(path, key, "a key is there twice", "each key once", "delete one of them")
        keys[key.value] = value
    names = _yaml_names(path, keys.get("names"))
    _check_count(path, keys.get("nc"), names)
    entries = {}
    for key, node in keys.items():
        split = USUAL_SPLITS.get(key.lower())
        if split is not None and split not in entries:
            entries[split] = Entry(key, _texts(path, key, node), node.start_mark.line + 1)
    base = _texts(path, "path", keys["path"]) if "path" in keys else []
    return Description(path, base[0] if base else None, entries, names, keypoints=_keypoints(path, keys.get("kpt_shape")))


def _is_null(node):
    return isinstance(node, yaml.ScalarNode) and (node.tag == "tag:yaml.org,2002:null" or not node.value.strip())


def _wrong(path, node, what, expected, remedy):
    found = node.value[:80] if isinstance(node, yaml.ScalarNode) else {"sequence": "a list", "mapping": "keys with values"}[node.id]
    return StageError(what, "%s:%d" % (path, node.start_mark.line + 1), expected, found, remedy)


def _texts(path, key, node):
    nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
    for item in nodes:
        if not isinstance(item, yaml.ScalarNode) or not item.value.strip():
            raise _wrong(path, item, "%s is no path" % key, "a path, or a list of paths", "write `%s: images/%s`" % (key, key))
    return [item.value.strip() for item in nodes]


def _yaml_names(path, node):
    """{number: name} of `names`, a list or numbers with names; None where there are none."""
    if node is None:
        return None
    remedy = "write `names: [cat, dog]`, or a line `0: cat` for each class"
    if isinstance(node, yaml.SequenceNode):
        items = list(enumerate(node.value))
    elif isinstance(node, yaml.MappingNode):
        items = []
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or not re.fullmatch("[0-9]{1,6}", key.value):
                raise _wrong(path, key, "a class number in names is no whole number", "0, 1, 2 and so on", remedy)
            items.append((int(key.value), value))
    else:
        raise _wrong(path, node, "names is no list of class names", "a list, or numbers with names", remedy)
    for _, value in items:
        if not isinstance(value, yaml.ScalarNode) or not value.value.strip():
            raise _wrong(path, value, "a class name is no text", "a name for each class", remedy)
    if len({number for number, _ in items}) < len(items):
        raise _wrong(path, node, "a class number is there twice in names", "each number once", "delete one of the lines")
    return {number: value.value.strip() for number, value in items}


def _check_count(path, node, names):
    """What `nc` says must agree with the names: which of the two is right, nobody else knows."""
    if node is not None and names is not None and not (isinstance(node, yaml.ScalarNode) and node.value.strip() == str(len(names))):
        raise _wrong(
            path,
            node,
            "nc is not the number of names",
            "%d, for the names %s" % (len(names), ", ".join(list(names.values())[:12])),
            "correct nc or names in the YAML: the numbers in the label files count in names",
        )


def _keypoints(path, node):
    """How many numbers of keypoints each line has, by kpt_shape: [points, 2 or 3]."""
    if node is None:
        return 0
    texts = [item.value for item in node.value if isinstance(item, yaml.ScalarNode)] if isinstance(node, yaml.SequenceNode) else []
    if len(texts) != 2 or not all(re.fullmatch("[0-9]{1,4}", text) for text in texts):
        raise _wrong(path, node, "kpt_shape is not two whole numbers", "[points, 2 or 3]", "write for instance `kpt_shape: [17, 3]`")
    return int(texts[0]) * int(texts[1])


def _read_data(path):
    """An obj.data: lines `key = value`."""
    keys = {}
    for number, line in enumerate(read_text(path, "the list of files").splitlines(), 1):
        key, equals, value = line.partition("=")
        if equals and value.strip() and not line.lstrip().startswith("#"):
            keys[key.strip()] = (value.strip(), number)
    entries = {}
    for key, (value, number) in keys.items():
        split = USUAL_SPLITS.get(key.lower())
        if split is not None and split not in entries:
            entries[split] = Entry(key, [value], number)
    return Description(path, None, entries, None, keys["names"][0] if "names" in keys else None)


def read_names(path):
    """({number: class name}, numbers of keypoints) of a file with a name in each line, or of a YAML. Raises StageError."""
    keypoints = 0
    if path.suffix.lower() in _YAML:
        description = _read_yaml(path)
        names, keypoints = description.names, description.keypoints
    else:
        lines = read_text(path, "the list of class names").splitlines()
        names = {number: line.strip() for number, line in enumerate(lines) if line.strip()}  # an empty line counts, as Darknet counts
    if not names:
        raise StageError("there are no class names", path, "a name in each line", None, "write the names in the order of their numbers")
    return names, keypoints


def names_file(folders, root):
    """The file that tells the class names: in the first of the folders, else in those above it up to the root, and so on; or None."""
    for start in folders:
        for folder in (start, *start.parents):
            found = _names_in(folder)
            if found is not None:
                return found
            if folder == root or root not in folder.parents:
                break
    return None


def _names_in(folder):
    for name in _NAME_FILES:
        if (folder / name).is_file():
            return folder / name
    found = files_in(folder, ".names") or [path for path in files_in(folder, *_YAML) if _NAMES.search(_peeked(path))]
    return _one(found, folder, "names")
