"""TFRecords of the Object Detection API, EdgeMill's or anybody's: images and annotations in one file.

Keys: object_detection/data_decoders/tf_example_decoder.py in the wheel tf-object-detection 0.0.3. A record counts as a line: it is what
`line` tells of images and objects; of damage, `number` tells it.
"""

import fnmatch
import os
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Optional

from audit.findings import Findings
from pictures.image_files import clean_name
from tables import FRACTION, PartBuilder

from _detection.record_folder import label_map_in, read_labels, split_of
from _detection.tf_example import NotAnExampleError, parse_features
from _detection.tfrecord_reader import payloads, ranges, shard_of, spans
from _runtime import StageError
from layouts.base import IMAGE_FOLDERS, Layout, Source, named_folders
from layouts.tfrecord_names import peek
from layouts.tfrecord_rows import Rows, told

_PATTERN = "*?["


class Job(NamedTuple):
    """Records to read. path, file: where, and its name in messages; spans: list of Span; names: of their images; labels: `Labels` or None.

    scratch: the start of the paths of files that the reader makes; findings: what is known before, a list, or None.
    """

    path: Optional[str]
    file: str
    spans: list
    names: list
    labels: object
    scratch: str
    findings: Optional[list]


class TfRecord(Layout):
    """Files of records, perhaps in shards, and a label map beside them."""

    name = "tfrecord"
    title = "TFRecords of the Object Detection API"
    options = ("label_map",)

    def fits(self, path):
        return shard_of(path.name) is not None if path.is_file() else bool(_records_in(path))

    def splits(self, folder):
        """As the files' names tell. Raises StageError where they tell it of some files only: all in train would mix what must be apart."""
        files = _records_in(folder)
        found = {}
        for file in files:
            found.setdefault(_split(file), []).append(file.name)
        if not found or set(found) == {None}:
            return None
        if None in found:
            raise StageError(
                "some of the TFRecord files do not tell their split",
                folder,
                "train, val or test in every file's name",
                ", ".join(found[None][:8]),
                "say in the pipeline `splits: {train: {annotations: %s}, …}`; a pattern (train*.record) means several files"
                % found[None][0],
            )
        return {split: {"annotations": names if len(names) > 1 else names[0]} for split, names in found.items()}

    def source(self, places, split, spec):
        files = _files(places, split, spec)
        first = files[0].parent
        if "images" in spec:
            images = [places.folder(split, "images", spec["images"])]
        elif _have_images(files):
            images = []
        else:
            images = list(
                dict.fromkeys([first, *named_folders(first, IMAGE_FOLDERS), places.root, *named_folders(places.root, IMAGE_FOLDERS)])
            )
        maps = {file: _label_map(places, split, spec, file) for file in files}
        read = {path: read_labels(path) for path in dict.fromkeys(maps.values()) if path is not None}
        classes = list(dict.fromkeys(labels.names[number] for labels in read.values() for number in sorted(labels.names)))
        options = {"maps": {str(file): path for file, path in maps.items()}, "labels": read}
        return Source(split, self.name, files, images, options={**options, **({"classes": classes} if classes else {})})

    def jobs(self, source, places, scratch):
        early, used, jobs = Findings(), {}, []
        for path, labels in source.options["labels"].items():
            for code, message, line in labels.doubts:
                early.doubt(code, places.relative(path), message, line)
        for number, path in enumerate(source.files):
            file = places.relative(path)
            try:
                groups, ends = ranges(path)
                names = [_names(path, file, group, used) for group in groups]
            except OSError as error:
                early.bad("record-damaged", file, "the file cannot be read: %s" % error.strerror)
                continue
            for end in ends:
                early.bad("record-damaged", file, told(end, end.damage.message), number=end.number)
            if not groups and not ends:
                early.doubt("record-none", file, "the file holds no record")
            labels = source.options["labels"].get(source.options["maps"][str(path)])
            start = os.path.join(str(scratch), "%s-%05d" % (source.split, number))
            jobs += [Job(str(path), file, group, named, labels, start, None) for group, named in zip(groups, names, strict=True)]
        if early.items:
            jobs.insert(0, Job(None, "", [], [], None, "", early.items))
        return jobs

    def read(self, job):
        part = PartBuilder(FRACTION)
        part.findings.items += job.findings or []
        if job.path is None:
            return part.finish()
        rows = Rows(part, job.file, job.labels, job.scratch)
        try:
            for (span, payload, damage), name in zip(payloads(job.path, job.spans), job.names, strict=True):
                if payload is None:
                    part.findings.bad("record-damaged", job.file, told(span, damage.message), number=span.number)
                    continue
                if damage is not None:
                    part.findings.doubt("record-damaged", job.file, told(span, damage.message), number=span.number)
                try:
                    rows.add(span, name, parse_features(payload))
                except NotAnExampleError as error:
                    part.findings.bad("record-damaged", job.file, told(span, error.message), number=span.number)
        except OSError as error:
            if error.filename is not None and not str(error.filename).startswith(job.path):
                raise  # a file that the reader makes: the disk is full, say
            part.findings.bad("record-damaged", job.file, "the file cannot be read: %s" % error.strerror)
        return part.finish()


def _records_in(folder):
    """The TFRecord files right in a folder, sorted."""
    names = [entry.name for entry in os.scandir(str(folder)) if not entry.name.startswith(".") and shard_of(entry.name) and entry.is_file()]
    return [Path(folder) / name for name in sorted(names)]


def _split(file):
    """The split that a file's own name tells, or None: its folder says nothing here."""
    return split_of(Path(file.name))


def _files(places, split, spec):
    """The TFRecord files of a split, sorted. Raises StageError where there are none."""
    if "annotations" not in spec:
        folder = places.folder(split, "folder", spec["folder"])
        return _some(_records_in(folder), folder, split, places)
    given = spec["annotations"]
    if isinstance(given, list):
        return [places.file(split, "annotations", name) for name in given]
    if any(mark in given for mark in _PATTERN):
        pattern = PurePosixPath(given)
        folder = places.folder(split, "annotations", str(pattern.parent))
        found = [folder / name for name in sorted(os.listdir(str(folder))) if fnmatch.fnmatchcase(name, pattern.name)]
        return _some([path for path in found if path.is_file()], folder / pattern.name, split, places)
    path = places.either(split, "annotations", given)
    return _some(_records_in(path), path, split, places) if path.is_dir() else [path]


def _some(files, place, split, places):
    if files:
        return files
    raise StageError(
        "a split has no TFRecord files",
        place,
        "*.record, *.tfrecord, *.tfrecords, with or without -00000-of-00010",
        "none",
        places.remedy(split, "annotations", "FILE"),
    )


def _label_map(places, split, spec, file):
    if "label_map" in spec:
        return places.file(split, "label_map", spec["label_map"])
    return label_map_in(file.parent) or label_map_in(places.root)


def _have_images(files):
    """Whether the first record that can be read holds an image; then none is looked for beside the records."""
    for path in files:
        try:
            first = next((span for span in spans(path) if span.length is not None), None)
            if first is not None:
                return peek(path, [first])[0][1] > 0
        except OSError:
            continue
    return False


def _names(path, file, group, used):
    """A name for each record's image, all different: as written, made of the file's and the record's number where nothing is."""
    names = []
    for span, (written, _) in zip(group, peek(path, group), strict=True):
        text = "" if written is None else written.decode("utf-8", "replace")
        # An absolute path of another machine says no more than its last part.
        name = clean_name(text) or clean_name(text.replace("\\", "/").rpartition("/")[2]) or "."
        name = "%s-%07d" % (file, span.number) if name in (".", "..") else name
        names.append(_own(name, used))
    return names


def _own(name, used):
    """The name, with a number where another image has it. used: {name: how often it was asked for}."""
    chosen, (stem, suffix) = name, os.path.splitext(name)
    while chosen in used:
        used[name] += 1
        chosen = "%s-%d%s" % (stem, used[name], suffix)
    used[chosen] = 1
    return chosen
