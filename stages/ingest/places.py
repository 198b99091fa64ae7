"""Paths inside the dataset's folder, as a pipeline names them."""

import os
from pathlib import Path, PurePosixPath

from audit.problems import printable

from _runtime import StageError

_SHOWN = 12  # names of files in a message
_TOLD = {"csv": "CSV"}


class Places:
    """root: the dataset's folder; stage: its name in the pipeline, for remedies."""

    def __init__(self, root, stage):
        self.root = Path(root)
        self.stage = stage

    def folder(self, split, way, name):
        """The folder that `way` of the split names. Raises StageError where there is none."""
        path = self.inside(split, way, name)
        if not path.is_dir():
            what = "the split's %s is a file" % way if path.exists() else "the split's %s does not exist" % way
            raise StageError(what, path, "a folder", neighbours(path), self.remedy(split, way, "NAME"))
        return path

    def file(self, split, way, name):
        """The file that `way` of the split names. Raises StageError where there is none."""
        path = self.inside(split, way, name)
        if not path.is_file():
            told = _TOLD.get(way, way)
            what = "the split's %s is a folder" % told if path.exists() else "the split's %s does not exist" % told
            raise StageError(what, path, "a file", neighbours(path), self.remedy(split, way, "FILE"))
        return path

    def either(self, split, way, name):
        """The file or folder that `way` of the split names. Raises StageError where there is neither."""
        path = self.inside(split, way, name)
        return self.folder(split, way, name) if path.is_dir() else self.file(split, way, name)

    def relative(self, path):
        """For messages and for the dataset: relative to the root, with slashes."""
        return Path(os.path.relpath(str(path), str(self.root))).as_posix()

    def remedy(self, split, way, value):
        """The line to write in the pipeline."""
        return "in the pipeline write `%s: {params: {splits: {%s: {%s: %s}}}}`, relative to the dataset's folder" % (
            self.stage,
            split,
            way,
            value,
        )

    def inside(self, split, way, name):
        """The path of `name`. Raises StageError where it leads out of the root."""
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not name or "\0" in name:
            raise StageError(
                "a split lies outside the dataset's folder",
                "splits.%s.%s" % (split, way),
                "a path inside it",
                name,
                "give `path` the folder above, or copy the split into it",
            )
        return self.root / name


def neighbours(path):
    """What there is where a path leads nowhere: the names in the nearest folder above it."""
    if path.exists():
        return "something else"
    parent = next(folder for folder in path.parents if folder.is_dir())
    names = sorted(printable(entry.name) + ("/" if entry.is_dir() else "") for entry in parent.iterdir())
    return "%s holds %s" % (parent, (", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")) or "nothing")
