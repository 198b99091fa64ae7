"""Lists of images: a name in each line, as in VOC's ImageSets/Main/train.txt."""

import os
import re

from audit.findings import Findings
from layouts.base import read_text

from _runtime import StageError

_MARK = re.compile(r"\s+-?[01]$")  # VOC's lists of one class end with 1, -1 or 0


def read_list(places, split, name):
    """(the list's name for messages, its lines as (number from 1, text) without empty ones and comments). Raises StageError."""
    path = places.file(split, "list", name)
    lines = read_text(path, "the split's list").splitlines()
    told = [(number, line.strip()) for number, line in enumerate(lines, 1)]
    filled = [(number, _MARK.sub("", line)) for number, line in told if line and not line.startswith("# ")]
    if not filled:
        raise StageError(
            "the split's list is empty", path, "a line for each image", "%d lines" % len(lines), "write the images' names into it"
        )
    return places.relative(path), filled


def listed_files(source, places, suffix):
    """(the source's annotation files that its list names, sorted, what is wrong with the list as a list of `Finding`s)."""
    file, lines = source.options["list"]
    known, chosen, findings = {path.name: path for path in source.files}, {}, Findings()
    for number, name in lines:
        found = known.get(name + suffix) or known.get(os.path.splitext(name)[0] + suffix)
        if found is None:
            folder = places.relative(source.files[0].parent) if source.files else "the annotations' folder"
            findings.bad("annotation-missing", file, "no annotation %s%s in %s" % (name, suffix, folder), number)
        elif found in chosen:
            findings.doubt("listed-twice", file, "%s is listed in line %d already" % (name, chosen[found]), number)
        else:
            chosen[found] = number
    return sorted(chosen), findings.items
