"""The names under which a dataset's images are written: the user's own, with the extension of what the file is."""

import posixpath
import re
from collections import Counter
from typing import NamedTuple

from _detection.dataset import parse_image, split_file

SUFFIXES = {"JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"), "PNG": (".png",)}
_LONGEST = 230  # bytes of a name, leaving room for an id and an extension within the 255 of file systems
UNSPECIFIED = "Unspecified"  # the view that VOC writes where there is none
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# Spaces that a list of names does not keep: around a name, and before what looks like VOC's mark of a class (1, -1, 0).
_LOST_SPACES = re.compile(r"^\s|\s$|\s-?[01]$")


class Listed(NamedTuple):
    """An image of the dataset: its entry's id, split, name, file and format, and the place (bytes) of its line in SPLIT.jsonl."""

    id: int
    split: str
    name: str
    file: str
    format: str
    place: int


def list_images(data, split):
    """A `Listed` for each image of a split, by id."""
    found, place = [], 0
    with open(str(data.folder / split_file(split)), "rb") as stream:
        for line in stream:
            image = parse_image(line, split)
            found.append(Listed(image["id"], split, image["name"], image["file"], image["format"], place))
            place += len(line)
    return sorted(found)


def images_of(data, split, listed):
    """The images of a split as dicts, one by one, in the order of `listed`."""
    with open(str(data.folder / split_file(split)), "rb") as stream:
        for entry in listed:
            if entry.split == split:
                stream.seek(entry.place)
                yield parse_image(stream.readline(), split)


def fitting(entry):
    """The image's name with an extension that says what the file is, without control characters, and not hidden."""
    folder, last = posixpath.split(_CONTROL.sub("_", entry.name))
    stem, suffix = posixpath.splitext("_" + last[1:] if last.startswith(".") else last)
    return posixpath.join(folder, _short(stem) + (suffix if suffix.lower() in SUFFIXES[entry.format] else SUFFIXES[entry.format][0]))


def flat(entry, whole):
    """The name for a folder that holds all images: its last part, or where `whole` all of them, joined with _."""
    name = fitting(entry)
    stem, suffix = posixpath.splitext(name.replace("/", "_") if whole else posixpath.basename(name))
    return _short(re.sub(r"\s", "_", stem) if _LOST_SPACES.search(stem) else stem) + suffix


def _short(stem):
    """The end of a name that is too long for a file's."""
    return stem.encode("utf-8")[-_LONGEST:].decode("utf-8", "ignore")


def distinct(wanted, key):
    """{id: name} from [(id, [names, best first])]: the first that no other has, by `key`(name); else the last, with the id in it."""
    left, chosen, taken = dict(wanted), {}, set()
    for level in range(max((len(names) for names in left.values()), default=0)):
        counts = Counter(key(names[level]) for names in left.values())
        for number, names in list(left.items()):
            if counts[key(names[level])] == 1 and key(names[level]) not in taken:
                chosen[number] = left.pop(number)[level]
                taken.add(key(chosen[number]))
    for number, names in left.items():
        stem, suffix = posixpath.splitext(names[-1])
        name = "%s_%d%s" % (stem, number, suffix)
        while key(name) in taken:
            stem += "_"
            name = "%s_%d%s" % (stem, number, suffix)
        chosen[number] = name
        taken.add(key(name))
    return chosen
