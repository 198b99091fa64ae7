"""What every annotation layout answers: is this mine, where are its splits, and what does it say."""

import os
from pathlib import Path
from typing import NamedTuple

from _runtime import StageError

IMAGE_FOLDERS = ("JPEGImages", "images", "Images", "imgs", "img")


class Source(NamedTuple):
    """The annotations of one split.

    files: Paths of annotation files, sorted. images: Paths of folders where images are looked for, in that order.
    listed: whether a list chose the files, so that what it leaves out is meant. options: what else the layout's `jobs` needs.
    """

    split: str
    layout: str
    files: list
    images: list
    listed: bool = False
    options: dict = {}  # noqa: RUF012  never written to


class Layout:
    """A way to keep annotations. A subclass in a module of its own is one reader; layouts/__init__.py lists them all.

    name: as in the stage's parameter `layout`. title: as in the documentation. merges: whether an image's objects may be told in several
    places (lines of a table), so that rows of images with the same name are one image; else an image that is told twice is an error.
    ways: keys that a split of the parameter `splits` may have in every layout of the kind; options: those of this layout alone.
    """

    name = ""
    title = ""
    merges = False
    ways = ("folder", "annotations", "list", "images")
    options = ()

    def fits(self, path):
        """Whether the file or folder `path` (that exists) holds annotations of this layout, by a look at names and first bytes.

        A folder fits where the annotations are in it or in one of its sub-folders of a usual name, but not where they are in
        sub-folders for the splits. Quick, and never raises for odd content.
        """
        raise NotImplementedError

    def splits(self, folder):
        """{split: its specification, as in the parameter `splits`} that the layout's own files tell (lists, names of files), or None.

        Sub-folders train, val, test that each fit are found without this.
        """
        del folder

    def source(self, places, split, spec):
        """The `Source` of a split. places: `Places`; spec: {way: path, relative to the dataset's folder}. Raises StageError."""
        raise NotImplementedError

    def jobs(self, source, places, scratch):
        """The jobs that together read the source, in order: picklable, each of no more than some seconds. scratch: a folder for files."""
        raise NotImplementedError

    def read(self, job):
        """The `Part` that a job makes, in whatever process. Raises StageError only where nothing of the file can be used."""
        raise NotImplementedError


def files_in(folder, *suffixes):
    """The files of a folder whose names end so in any case, hidden ones left out, sorted."""
    found = [
        entry.name
        for entry in os.scandir(str(folder))
        if entry.name.lower().endswith(suffixes) and not entry.name.startswith(".") and entry.is_file()
    ]
    return [Path(folder) / name for name in sorted(found)]


def named_folders(folder, names):
    """The sub-folders of `folder` that have one of the names, in the names' order."""
    entries = {entry.name: entry for entry in Path(folder).iterdir() if entry.is_dir()}
    return [entries[name] for name in names if name in entries]


def both_ends(path, size=1 << 16):
    """The first and the last `size` bytes of a file, for a look at it; empty where it cannot be read."""
    try:
        with open(str(path), "rb") as stream:
            start = stream.read(size)
            stream.seek(max(len(start), os.fstat(stream.fileno()).st_size - size))
            return start + b"\n" + stream.read(size)
    except OSError:
        return b""


def chunks(items, size):
    """Lists of at most `size` items, in order."""
    items = list(items)
    return [items[start : start + size] for start in range(0, len(items), size)]


def read_text(path, what):
    """The text of a small UTF-8 file, with or without a byte order mark. Raises StageError; what: what it is, for the message."""
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise StageError("%s cannot be read: %s" % (what, error.strerror), path, "a text file", None, "check the path") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise StageError(
            "%s is not UTF-8" % what,
            "%s:%d" % (path, line),
            "UTF-8 text",
            "the byte 0x%02x" % error.object[error.start],
            "save it as UTF-8",
        ) from None
