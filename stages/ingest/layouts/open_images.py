"""Open Images V4 to V7: tables of boxes, of labels of whole images and of masks, in fractions of the image, labels by their MIDs.

Flags are 1, 0, or -1 for not known, which is taken as 0. IsInside (seen from the inside) and Confidence (1 throughout) are not used.
"""

import functools
import hashlib
import json
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from audit.findings import Findings
from formats.csv_blocks import blocks, clean_names, corners, first_seen, open_table, read_block
from formats.listing import read_list
from pictures.image_files import clean_name
from tables import DEPICTION, FRACTION, GROUP_OF, OCCLUDED, TRUNCATED, Image, Part, PartBuilder

from layouts import open_images_files as files
from layouts.base import IMAGE_FOLDERS, Layout, Source, named_folders
from layouts.open_images_masks import Pictures, keys_of, nearest, read_masks, write_masks

BOX_TEXTS = ("ImageID", "LabelName")
_FLAGS = {"IsOccluded": OCCLUDED, "IsTruncated": TRUNCATED, "IsGroupOf": GROUP_OF, "IsDepiction": DEPICTION}
_MASKS_OF_A_JOB = 50_000


class _Settings(NamedTuple):
    """What all jobs of a source need, in a file. names: {LabelName: class}, None where nothing names them; described: by which file.

    listed: ImageIDs that a list chose, or None for all; masks: folder of `write_masks`, or None; pictures: folders of mask pictures.
    """

    names: dict = None
    described: str = ""
    listed: list = None
    masks: str = None
    pictures: list = ()


class _Job(NamedTuple):
    """A piece of work. kind: of the table; block: its lines, or for masks the first row and the one after the last.

    columns: {name: place}; settings: (path, sha256) of the file; tables: for masks, (path, name) of the boxes; told: a list of `Finding`.
    """

    kind: str
    block: object
    columns: dict
    settings: tuple
    tables: tuple = ()
    told: tuple = ()


class OpenImages(Layout):
    """A table of boxes for each split, and what lies beside it."""

    name = "open-images"
    title = "Open Images V4-V7"
    merges = True
    options = ("image_labels", "masks", "mask_images", "class_descriptions", "hierarchy")

    def fits(self, path):
        if path.is_file():
            return files.kind_of(path) in (files.BOXES, files.MASKS)
        kinds = files.tables_in(path)
        return files.BOXES in kinds or files.MASKS in kinds

    def splits(self, folder):
        """The splits that the tables' names tell, train among them."""
        kinds = files.tables_in(folder)
        told = {files.split_of(path) for kind in (files.BOXES, files.MASKS) for path in kinds.get(kind, [])} - {None}
        return {split: {"folder": "."} for split in sorted(told)} if "train" in told else None

    def source(self, places, split, spec):
        chosen = files.choose(places, split, spec)
        findings, listed = Findings(), None
        if "list" in spec:
            _, lines = read_list(places, split, spec["list"])
            listed = sorted(
                {PurePosixPath(name.replace("\\", "/")).stem for _, name in lines}
            )  # train/0001eeaf4aed83f9, as downloaders have it
        names, options = _classes(places, split, spec, chosen.bases, findings)
        pictures = files.mask_folders(chosen.bases, chosen.split)
        if "mask_images" in spec:
            pictures = [places.folder(split, "mask_images", spec["mask_images"])]
        if chosen.rotation is not None:
            file, said = (
                places.relative(chosen.rotation),
                "the column Rotation is not used: boxes and pixels are those of the files as they are",
            )
            findings.note("rotation-unread", file, said)
        if chosen.masks and not pictures:
            said = "there is no folder of mask pictures (masks, say): the boxes are read without masks"
            findings.note("masks-unread", places.relative(chosen.masks[0]), said)
        options.update(names=names, listed=listed, chosen=chosen, pictures=pictures, told=findings.items)
        boxes = [] if chosen.boxes is None else [chosen.boxes]
        return Source(split, self.name, boxes, _image_folders(places, split, spec, chosen), listed is not None, options)

    def jobs(self, source, places, scratch):
        options, chosen, findings = source.options, source.options["chosen"], Findings()
        findings.items += options["told"]
        masks, rows = None, 0
        if chosen.masks and options["pictures"]:
            masks = str(Path(scratch) / ("open-images-masks-%s" % source.split))
            rows = write_masks([(path, places.relative(path)) for path in chosen.masks], masks, findings)
        described = options["described"]
        value = _Settings(options["names"], described, options["listed"], masks, [str(path) for path in options["pictures"]])
        settings = _write_settings(value, Path(scratch) / ("open-images-%s.json" % source.split))
        yield _Job("told", None, {}, settings, told=tuple(findings.items))
        for path in source.files:
            yield from _table_jobs(files.BOXES, path, places, settings, BOX_TEXTS, (*files.BOX_COLUMNS, *_FLAGS))
        if chosen.labels is not None:
            yield from _table_jobs(files.LABELS, chosen.labels, places, settings, BOX_TEXTS, ("Confidence",))
        tables = tuple((str(path), places.relative(path)) for path in source.files)
        step = max(rows, 1) if tables else _MASKS_OF_A_JOB  # with boxes each job reads their table again
        for first in range(0, rows, step):
            yield _Job(files.MASKS, (first, min(first + step, rows)), {}, settings, tables)

    def read(self, job):
        return _READERS[job.kind](job)


def is_open_images(path):
    """Whether a table is one of Open Images, by its first line."""
    return files.kind_of(path) is not None


def _classes(places, split, spec, bases, findings):
    """({LabelName: class} or None, the options `classes`, `hierarchy` and `described`)."""
    folders = [folder for base in bases for folder in files.annotation_folders(base)]
    given = {way: places.file(split, way, spec[way]) for way in ("class_descriptions", "hierarchy") if way in spec}
    path = given.get("class_descriptions") or files.find_descriptions(folders)
    options, names = {"described": ""}, None
    if path is None:
        said = "no class-descriptions CSV is beside it: the classes are called by their LabelNames"
        findings.doubt("classes-undescribed", "splits.%s" % split, said)
    else:
        options["described"] = places.relative(path)
        names = files.read_descriptions(path, options["described"], findings)
        options["classes"] = list(names.values())
    path = given.get("hierarchy") or files.find_hierarchy(folders)
    if path is not None:
        options["hierarchy"] = files.read_hierarchy(path, places.relative(path), names or {})
    return names, options


def _image_folders(places, split, spec, chosen):
    """The folder that the pipeline names, else those named like the split, and those of usual names."""
    if "images" in spec:
        return [places.folder(split, "images", spec["images"])]
    found = []
    for base in chosen.bases:
        usual = named_folders(base, (*IMAGE_FOLDERS, "data"))
        named = named_folders(base, files.split_names(chosen.split))
        inner = [path for place in usual for path in named_folders(place, files.split_names(chosen.split))]
        inner += [path for place in named for path in named_folders(place, (*IMAGE_FOLDERS, "data"))]
        found += [*named, *inner, *usual, base]
    return list(dict.fromkeys(found))


def _write_settings(value, path):
    """(path, sha256) of a file with the settings."""
    text = json.dumps(value._asdict())
    path.write_text(text, encoding="utf-8")
    return str(path), hashlib.sha256(text.encode("utf-8")).hexdigest()


@functools.lru_cache(maxsize=1)
def _settings(path, sha256):
    """The settings; sha256 makes those of another run with the same path others."""
    del sha256
    value = json.loads(Path(path).read_text(encoding="utf-8"))
    return _Settings(**value), frozenset(value["listed"] or ())


def _table_jobs(kind, path, places, settings, texts, numbers):
    table = open_table(path, places.relative(path), files.FORMAT)
    required = texts if kind == files.LABELS else (*texts, *files.BOX_COLUMNS)
    columns = files.columns_of(table, required, numbers)
    for block in blocks(table):
        yield _Job(kind, block, columns, settings)


def _read_rows(job, findings):
    columns = read_block(
        job.block,
        {name: place for name, place in job.columns.items() if name in BOX_TEXTS},
        {name: place for name, place in job.columns.items() if name not in BOX_TEXTS},
        findings,
    )
    return columns, _Rows(columns, _settings(*job.settings), job.block.file, findings)


class _Rows:
    """Images and classes of a table's rows.

    known: bool [n], whether the row's image may be looked for; labelled: bool [n], whether its label is a class.
    """

    def __init__(self, columns, settings, file, findings):
        self.settings, listed = settings
        self.line = columns.line
        self.codes, self.images = columns.texts["ImageID"]
        self.label_codes, self.labels = columns.texts["LabelName"]
        self.file = file
        self.known = self._known(listed, findings)
        self.labelled = self._labelled(findings)

    def _known(self, listed, findings):
        usable = []
        for code, (name, clean) in enumerate(zip(self.images, clean_names(self.images), strict=True)):
            if clean is None and not (listed and name not in listed):
                line = int(self.line[np.argmax(self.codes == code)])
                findings.refuse("filename-outside", self.file, "ImageID %s leads out of the images' folder" % name, line)
            usable.append(clean is not None and (self.settings.listed is None or name in listed))
        return np.array(usable, bool)[self.codes] if usable else np.zeros(0, bool)

    def _labelled(self, findings):
        """Tells each unknown LabelName once, with the number of its rows."""
        names, usable = self.settings.names, []
        counts = np.bincount(self.label_codes[self.known], minlength=len(self.labels))
        for code, label in enumerate(self.labels):
            usable.append(bool(label) and (names is None or label in names))
            if label and not usable[-1] and counts[code]:
                line = int(self.line[self.known & (self.label_codes == code)][0])
                said = "LabelName %s is not in %s: %d lines are left out" % (label, self.settings.described, counts[code])
                findings.bad("label-undescribed", self.file, said, line)
        return np.array(usable, bool)[self.label_codes] if usable else np.zeros(0, bool)

    def class_of(self, code):
        """The class name of a label's code."""
        label = self.labels[code]
        return label if self.settings.names is None else self.settings.names[label]

    def image_rows(self):
        """(list of `Image`, each row's place in it or -1)."""
        chosen = np.flatnonzero(self.known)
        places, first = first_seen(self.codes[chosen])
        rows = np.full(len(self.codes), -1, np.int32)
        rows[chosen] = places
        first = chosen[first]
        images = zip(self.codes[first].tolist(), self.line[first].tolist(), strict=True)
        return [Image(self.images[code], self.file, line) for code, line in images], rows

    def part(self, kept, box, flags, extra, findings):
        """The `Part` of the rows where `kept`; extra: by row."""
        images, rows = self.image_rows()
        used, first = first_seen(self.label_codes[kept])
        names = [self.class_of(code) for code in self.label_codes[kept][first].tolist()]
        places = np.cumsum(kept) - 1
        extra = {int(places[row]): value for row, value in extra.items()}
        number = int(kept.sum())
        return Part(
            FRACTION, images, names, rows[kept], used, box[kept], flags[kept], self.line[kept], np.zeros(number, np.int32), extra, findings
        )


def _read_boxes(job):
    findings, file = Findings(), job.block.file
    columns, rows = _read_rows(job, findings)
    labels, codes = rows.labels, rows.label_codes
    box, whole = corners(columns, files.BOX_COLUMNS, lambda row: labels[codes[row]] if rows.known[row] else None, None, findings, file)
    kept = rows.known & rows.labelled & whole
    for row in np.flatnonzero(rows.known & whole & (codes == labels.index("") if "" in labels else False)).tolist():
        findings.bad("label-empty", file, "the line has no LabelName", int(columns.line[row]))
    extra = {}
    if rows.settings.masks is not None:
        extra = _attach(rows, np.flatnonzero(kept), box, findings)
    return rows.part(kept, box, _flags(columns, kept, findings, file), extra, findings)


def _flags(columns, kept, findings, file):
    flags = np.zeros(len(columns.line), np.uint8)
    for name, bit in _FLAGS.items():
        values = columns.numbers.get(name)
        if values is not None:
            flags[values == 1] |= bit
            unread = ~np.isin(values, (-1, 0, 1)) & ~np.isnan(values)
            unread[[row for row, column in columns.wrong if column == name]] = True
            for row in np.flatnonzero(unread & kept).tolist():
                said = "%s is %s, where 1, 0 or -1 was expected; taken as 0" % (name, columns.wrong.get((row, name), "%g" % values[row]))
                findings.doubt("flag-unclear", file, said, int(columns.line[row]))
    return flags


def _attach(rows, chosen, box, findings):
    """{row: {"mask"}} of the rows, by number, that have one."""
    masks, pictures = read_masks(rows.settings.masks), Pictures(rows.settings.pictures)
    taken = nearest(masks, keys_of(rows.codes[chosen], rows.images, rows.label_codes[chosen], rows.labels), box[chosen])
    extra = {}
    for row, place in zip(chosen[taken >= 0].tolist(), taken[taken >= 0].tolist(), strict=True):
        file, _, _, path = masks.row(place)
        mask = pictures.find(path, file, int(masks.line[place]))
        if mask is not None:
            extra[row] = {"mask": mask}
    pictures.report(findings)
    return extra


def _read_labels(job):
    """Images with labels of the whole: there where a person's confidence is 1, not there where it is 0."""
    findings, file = Findings(), job.block.file
    columns, rows = _read_rows(job, findings)
    confidence = columns.numbers["Confidence"]
    sure = np.isin(confidence, (0, 1))
    unsure = np.flatnonzero(~sure & rows.known & rows.labelled)
    if len(unsure):
        said = "%d labels of images are neither sure (1) nor denied (0): left out" % len(unsure)
        findings.doubt("label-unsure", file, said, int(columns.line[unsure[0]]))
    images, places = rows.image_rows()
    told = [[] for _ in images]
    for row in np.flatnonzero(sure & rows.known & rows.labelled).tolist():
        told[places[row]].append((rows.class_of(rows.label_codes[row]), bool(confidence[row])))
    images = [image._replace(labels=tuple(labels)) if labels else image for image, labels in zip(images, told, strict=True)]
    return PartBuilder(FRACTION).finish()._replace(images=images, findings=findings)


def _read_lone_masks(job):
    """Masks of no box in the tables become objects of their own, with the box that they were drawn in."""
    findings, (settings, listed) = Findings(), _settings(*job.settings)
    masks, part = read_masks(settings.masks), PartBuilder(FRACTION)
    free = np.zeros(len(masks.key), bool)
    free[job.block[0] : job.block[1]] = True
    for path, file in job.tables:
        _take(free, masks, path, file)
    pictures, images, undescribed = Pictures(settings.pictures), {}, {}
    for place in np.flatnonzero(free).tolist():
        file, image, label, path = masks.row(place)
        line = int(masks.line[place])
        if clean_name(image) is None or (settings.listed is not None and image not in listed):
            continue
        if settings.names is not None and label not in settings.names:
            undescribed.setdefault((file, label), []).append(line)
            continue
        if image not in images:
            images[image] = part.image(Image(image, file, line))
        name = label if settings.names is None else settings.names[label]
        part.object(images[image], name, masks.box[place], line, mask=pictures.find(path, file, line))
    for (file, label), lines in undescribed.items():
        said = "LabelName %s is not in %s: %d lines are left out" % (label, settings.described, len(lines))
        findings.bad("label-undescribed", file, said, min(lines))
    pictures.report(findings)
    part.findings.items += findings.items
    return part.finish()


def _take(free, masks, path, file):
    """Masks that a box of the table takes are free no more."""
    table = open_table(path, file, files.FORMAT)
    columns = files.columns_of(table, (*BOX_TEXTS, *files.BOX_COLUMNS))
    for block in blocks(table):
        texts, numbers = ({name: columns[name] for name in names} for names in (BOX_TEXTS, files.BOX_COLUMNS))
        rows = read_block(block, texts, numbers, Findings())
        (codes, images), (label_codes, labels) = (rows.texts[name] for name in BOX_TEXTS)
        box = np.column_stack([rows.numbers[name] for name in files.BOX_COLUMNS])
        taken = nearest(masks, keys_of(codes, images, label_codes, labels), box)
        free[taken[taken >= 0]] = False


def _read_told(job):
    part = PartBuilder(FRACTION)
    part.findings.items += job.told
    return part.finish()


_READERS = {files.BOXES: _read_boxes, files.LABELS: _read_labels, files.MASKS: _read_lone_masks, "told": _read_told}
