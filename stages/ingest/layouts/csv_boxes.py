"""A CSV with a line for each box: xml_to_csv's (Roboflow and VoTT write near relatives), columns by name, in any order.

keras-retinanet's CSV without a header, path,x1,y1,x2,y2,class, is read as well. A line with an image's name alone is an image without
objects. The lines of an image may be anywhere in the file.
"""

import re
from typing import NamedTuple

import numpy as np
from audit.findings import Findings
from audit.problems import printable
from formats.box_text import number
from formats.csv_blocks import blocks, clean_names, corners, first_seen, open_table, read_block, sample_rows
from tables import CORNERS, DIFFICULT, PIXELS, TRUNCATED, Image, Part

from _detection.split_names import USUAL_SPLITS, split_in
from _runtime import StageError
from layouts.base import IMAGE_FOLDERS, Layout, Source, files_in, named_folders
from layouts.open_images import is_open_images
from layouts.yolo_images import labels_below

_NEEDED = ("filename", "class", *CORNERS)
_SIZE = ("width", "height")
_FLAGS = {"difficult": DIFFICULT, "truncated": TRUNCATED}
_KNOWN = (*_NEEDED, *_SIZE, "depth", *_FLAGS, "pose", "folder", "path")
_OTHER_NAMES = {"image": "filename", "label": "class"}  # VoTT's
_HEADERLESS = ("filename", *CORNERS, "class")
_FORMAT = "a header with the columns %s (in any order; width and height may follow)" % ",".join(_NEEDED)
_NUMBER_LIKE = re.compile(r"\s*[-+]?[0-9.]*\s*")
_TRUE = ("1", "true", "yes")
_LARGEST_SIZE = 1 << 30  # pixels
_OTHER_ANNOTATIONS = (".xml", ".json", ".tfrecord", ".record")
_ANNOTATION_FOLDERS = ("Annotations", "annotations", "labels", "xml", "xmls")


class _Job(NamedTuple):
    block: object
    columns: dict  # name to place
    findings: list


class CsvBoxes(Layout):
    """One CSV for a split."""

    name = "csv"
    title = "CSV (xml_to_csv, Roboflow)"
    merges = True
    ways = ("folder", "csv", "annotations", "images")

    def fits(self, path):
        if path.is_file():
            return path.suffix.lower() == ".csv" and not is_open_images(path)
        tables = files_in(path, ".csv")
        if not tables or any(is_open_images(table) for table in tables):
            return False
        # XML beside it is where xml_to_csv had the boxes from.
        if any(files_in(folder, ".xml") for folder in (path, *named_folders(path, _ANNOTATION_FOLDERS))):
            return False
        return any(_has_boxes(table) for table in tables) or not _others_around(path)

    def splits(self, folder):
        """train_labels.csv, test_labels.csv and their like, where each CSV of the folder names its split."""
        found = {}
        for table in files_in(folder, ".csv"):
            found.setdefault(split_in(table.stem), []).append({"csv": table.name})
        if "train" not in found or None in found or any(len(specs) > 1 for specs in found.values()):
            return None
        return {split: specs[0] for split, specs in found.items()}

    def source(self, places, split, spec):
        way = next(way for way in ("csv", "annotations", "folder") if way in spec)
        path = places.file(split, way, spec[way]) if way == "csv" else places.either(split, way, spec[way])
        folder = path if path.is_dir() else path.parent
        table = path if path.is_file() else _only(places, split, folder)
        return Source(split, self.name, [table], _image_folders(places, split, spec, folder))

    def jobs(self, source, places, scratch):
        for path in source.files:
            yield from _jobs(path, places.relative(path))

    def read(self, job):
        return _part(job)


def _jobs(path, file):
    findings = Findings()
    table = open_table(path, file, _FORMAT)
    if table.header == [""] and table.empty:
        raise _no_annotations(file, 1 if table.start else 0)
    headerless = _is_headerless(table.header)
    columns = {name: place for place, name in enumerate(_HEADERLESS)} if headerless else None
    if columns is None and table.empty:
        raise _no_annotations(file, 1)
    if columns is None:
        columns = _columns(table, findings)
    for place, block in enumerate(blocks(table, with_first_line=headerless)):
        yield _Job(block, columns, findings.items if place == 0 else [])


def _others_around(folder):
    """Whether annotations of other layouts may be in the folder or its sub-folders: then a CSV without boxes is something else."""
    below = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    return any(files_in(place, *_OTHER_ANNOTATIONS) for place in (folder, *below)) or labels_below(folder)


def _no_annotations(file, lines):
    return StageError("the CSV holds no annotations", file, _FORMAT, "%d lines" % lines, "export the annotations again")


def _only(places, split, folder):
    """The folder's CSV: the only one, the only one that is named like the split, or the only one with boxes."""
    tables = files_in(folder, ".csv")
    named = [table for table in tables if split_in(table.stem) == split]
    for found in (tables, named, [table for table in tables if _has_boxes(table)]):
        if len(found) == 1:
            return found[0]
    raise StageError(
        "the split's folder holds several CSV files" if tables else "the split's folder holds no CSV",
        folder,
        "one CSV file",
        ", ".join(printable(path.name) for path in tables) or "none",
        places.remedy(split, "csv", "FILE"),
    )


def _image_folders(places, split, spec, folder):
    """The CSV's own folder; and the one that the pipeline names, else its sub-folders of usual names and those named like the split."""
    if "images" in spec:
        return list(dict.fromkeys([folder, places.folder(split, "images", spec["images"])]))
    names = [split, *(name for name, meant in USUAL_SPLITS.items() if meant == split and name != split)]
    usual = named_folders(folder, IMAGE_FOLDERS)
    return [folder, *usual, *named_folders(folder, names), *(path for place in usual for path in named_folders(place, names))]


def _is_headerless(cells):
    """Whether the first line is a record of keras-retinanet's; all but the path is empty for an image without objects."""
    if len(cells) != len(_HEADERLESS) or not cells[0]:
        return False
    numbers = [number(cell) for cell in cells[1:5]]
    return not any(cells[1:]) or (None not in numbers and bool(cells[5]) and not _NUMBER_LIKE.fullmatch(cells[5]))


def _has_boxes(path):
    """Whether the first line is one of ours. Never raises."""
    try:
        cells = open_table(path, path.name, _FORMAT).header
    except StageError:
        return False
    return set(CORNERS) <= {cell.lower() for cell in cells} or _is_headerless(cells)


def _columns(table, findings):
    """Column name to place. A single unknown column of words stands in for a missing `class`."""
    header = [cell.lower() for cell in table.header]
    names = [_OTHER_NAMES.get(name, name) if _OTHER_NAMES.get(name) not in header else name for name in header]
    columns = {name: names.index(name) for name in _KNOWN if name in names}
    twice = [name for name in columns if names.count(name) > 1]
    if "class" not in columns:
        rows = sample_rows(table)
        unknown = [place for place, name in enumerate(names) if name not in _KNOWN and name]
        words = [place for place in unknown if any(place < len(row) and not _NUMBER_LIKE.fullmatch(row[place]) for row in rows)]
        if len(unknown) == 1 and words:
            columns["class"] = words[0]
            findings.doubt("csv-class-column", table.file, "there is no column `class`; took `%s` for it" % table.header[words[0]], 1)
    missing = [name for name in _NEEDED if name not in columns]
    if set(CORNERS) <= set(missing) and _tells_whole_images(table, names):
        raise StageError(
            "the CSV tells classes of whole images, and no boxes",
            "%s:1" % table.file,
            _FORMAT,
            "the columns %s, with 0 and 1 in them" % ", ".join(table.header),
            "draw boxes, and export them as Pascal VOC, COCO or YOLO",
        )
    if missing or twice:
        what = "the CSV's header %s" % ("lacks %s" % ", ".join(missing) if missing else "has %s twice" % ", ".join(twice))
        raise StageError(
            what, "%s:1" % table.file, _FORMAT, "the columns %s" % ", ".join(table.header), "rename the columns in the header line"
        )
    return {name: place for name, place in columns.items() if name in (*_NEEDED, *_SIZE, *_FLAGS)}


def _tells_whole_images(table, names):
    """Whether each class has a column of 0 and 1, as in Roboflow's multiclass CSV. names: of the columns."""
    cells = [cell.strip() for row in sample_rows(table) for name, cell in zip(names, row, strict=False) if name != "filename"]
    return "filename" in names and bool(cells) and set(cells) <= {"0", "1"}


def _part(job):
    """The `Part` of a block."""
    findings, file = Findings(), job.block.file
    findings.items += job.findings
    texts = {name: place for name, place in job.columns.items() if name in ("filename", "class", *_FLAGS)}
    numbers = {name: place for name, place in job.columns.items() if name not in texts}
    columns = read_block(job.block, texts, numbers, findings)
    name_codes, _ = columns.texts["filename"]
    label_codes, labels = columns.texts["class"]
    numbered = _numbers(name_codes) if job.block.whole else None
    labelled = label_codes != labels.index("") if "" in labels else np.ones(len(label_codes), bool)
    known, clean = _clean_names(columns, findings, file)
    box, whole = corners(columns, CORNERS, lambda row: labels[label_codes[row]] or None if known[row] else None, numbered, findings, file)
    _report_unlabelled(columns, box, known & ~labelled, numbered, findings, file)
    images, rows = _images(columns, name_codes, clean, known, file)
    kept = known & labelled & whole
    used, first = first_seen(label_codes[kept])
    return Part(
        PIXELS,
        images,
        [labels[code] for code in label_codes[kept][first].tolist()],
        rows[kept],
        used,
        box[kept],
        _flags(columns)[kept],
        columns.line[kept],
        numbered[kept] if numbered is not None else np.zeros(int(kept.sum()), np.int32),
        {},
        findings,
    )


def _numbers(codes):
    """Each line's number among the lines of its image, from 1."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])) if len(codes) else np.empty(0, np.int64)
    numbers = np.empty(len(codes), np.int32)
    numbers[order] = np.arange(len(codes)) - np.repeat(starts, np.diff(np.append(starts, len(codes)))) + 1
    return numbers


def _clean_names(columns, findings, file):
    """(whether each row's file name stays in the images' folder, {name's code: the clean name})."""
    codes, names = columns.texts["filename"]
    clean = dict(enumerate(clean_names(names)))
    outside = [code for code, name in clean.items() if name is None]
    for code in outside:
        line = int(columns.line[np.argmax(codes == code)])
        findings.refuse("filename-outside", file, "filename %s leads out of the images' folder" % names[code], line)
    return ~np.isin(codes, outside), {code: "" if name == "." else name for code, name in clean.items()}


def _report_unlabelled(columns, box, rows, numbered, findings, file):
    """Rows with a box, or a part of one, and no class; without either they are images without objects."""
    unread = {row for row, name in columns.wrong if name in CORNERS}
    for row in np.flatnonzero(rows).tolist():
        if row in unread or not np.isnan(box[row]).all():
            place = None if numbered is None else int(numbered[row])
            findings.bad("label-empty", file, "the line has no class", int(columns.line[row]), place)


def _images(columns, name_codes, clean, known, file):
    """(an `Image` for each name and declared size, in order; each row's place among them). Whoever merges tells of sizes that differ."""
    width, height = (_pixels(columns.numbers.get(name), len(name_codes)) for name in _SIZE)
    undeclared = (width == 0) | (height == 0)
    sizes = np.where(undeclared, 0, width * _LARGEST_SIZE + height)
    size_codes, _ = first_seen(sizes)
    keys = np.where(known, name_codes.astype(np.int64) * (len(sizes) + 1) + size_codes, -1)
    chosen = np.flatnonzero(known)
    places, first = first_seen(keys[chosen])
    rows = np.full(len(keys), -1, np.int32)
    rows[chosen] = places
    images = []
    for row in chosen[first].tolist():
        size = (0, 0) if undeclared[row] else (int(width[row]), int(height[row]))
        images.append(Image(clean[int(name_codes[row])], file, int(columns.line[row]), *size))
    return images, rows


def _pixels(values, number_of_rows):
    """A column of declared sizes as int64; 0 where absent or no size."""
    if values is None:
        return np.zeros(number_of_rows, np.int64)
    good = (values > 0) & (values < _LARGEST_SIZE) & (values == np.floor(values))
    return np.where(good, values, 0).astype(np.int64)


def _flags(columns):
    flags = np.zeros(len(columns.line), np.uint8)
    for name, bit in _FLAGS.items():
        if name in columns.texts:
            codes, values = columns.texts[name]
            true = np.array([value.lower() in _TRUE for value in values], bool)
            flags[true[codes]] |= bit
    return flags
