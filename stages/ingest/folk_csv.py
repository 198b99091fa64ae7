"""The CSV of the widespread xml_to_csv script: filename,width,height,class,xmin,ymin,xmax,ymax, a line for each box, by column name."""

import csv
import io
import re

from annotation import CORNERS, Annotation, RawObject
from image_files import clean_name

from _runtime import StageError

_NEEDED = ("filename", "class", *CORNERS)
_KNOWN = (*_NEEDED, "width", "height", "depth", "difficult", "truncated", "pose", "folder", "path")
_FORMAT = "a header with the columns %s (in any order; width and height may follow)" % ",".join(_NEEDED)
_NUMBER_LIKE = re.compile(r"\s*[-+]?[0-9.]*\s*")


def read_csv(path, file, split, folders, audit):
    """The annotations of a CSV file, one for each image, in the order of the images' first lines.

    file: its path for messages; folders: `ImageFolder`s in which to look for images. Raises StageError where the header is not usable.
    """
    rows = _rows(path, file)
    columns = _columns(rows, file, audit)
    by_name = {}
    for line, row in rows[1:]:
        if not any(cell.strip() for cell in row):
            continue
        fields = {name: row[place].strip() if place < len(row) else "" for name, place in columns.items()}
        if len(row) != len(rows[0][1]):
            audit.bad("csv-line", file, "%d cells, where the header has %d" % (len(row), len(rows[0][1])), line)
            continue
        by_name.setdefault(fields["filename"], []).append((line, fields))
    annotations = []
    for name, lines in by_name.items():
        image = _image(name, lines[0][0], file, folders, audit)
        if image is not None:
            annotations.append(Annotation(split, file, lines[0][0], image, _size(lines, file, audit), _objects(lines, file, audit)))
    return annotations


def _rows(path, file):
    """(line number, cells) of each row; the delimiter is the header's."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise StageError("the CSV cannot be read: %s" % error.strerror, file, _FORMAT, None, "check the path and its permissions") from None
    except UnicodeDecodeError as error:
        raise StageError(
            "the CSV is not UTF-8",
            "%s:%d" % (file, error.object.count(b"\n", 0, error.start) + 1),
            "UTF-8 text",
            "the byte 0x%02x" % error.object[error.start],
            "save it as UTF-8",
        ) from None
    header = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        rows = [(reader.line_num, cells) for cells in reader]
    except csv.Error as error:
        place = "%s:%d" % (file, max(reader.line_num, 1))
        raise StageError("the CSV cannot be read", place, _FORMAT, str(error), "correct that line") from None
    if len(rows) < 2:
        raise StageError("the CSV holds no annotations", file, _FORMAT, "%d lines" % len(rows), "export the annotations again")
    return rows


def _columns(rows, file, audit):
    """Column name to place. A single unknown column of words stands in for a missing `class`."""
    header = [cell.strip().lower() for cell in rows[0][1]]
    columns = {name: header.index(name) for name in _KNOWN if name in header}
    twice = [name for name in columns if header.count(name) > 1]
    if "class" not in columns:
        unknown = [place for place, name in enumerate(header) if name not in _KNOWN and name]
        words = [place for place in unknown if any(place < len(row) and not _NUMBER_LIKE.fullmatch(row[place]) for _, row in rows[1:])]
        if len(unknown) == 1 and words:
            columns["class"] = words[0]
            audit.doubt("csv-class-column", file, "there is no column `class`; took `%s` for it" % rows[0][1][words[0]], 1)
    missing = [name for name in _NEEDED if name not in columns]
    if missing or twice:
        what = "the CSV's header %s" % ("lacks %s" % ", ".join(missing) if missing else "has %s twice" % ", ".join(twice))
        raise StageError(what, "%s:1" % file, _FORMAT, "the columns %s" % ", ".join(rows[0][1]), "rename the columns in the header line")
    return columns


def _image(name, line, file, folders, audit):
    clean = clean_name(name)
    if clean is None:
        audit.refuse("filename-outside", file, "filename %s leads out of the images' folder" % name, line)
        return None
    for folder in folders if clean != "." else []:
        found = folder.find(clean)
        if found is not None:
            return found
    looked = " or ".join(folder.folder.name for folder in folders)
    audit.bad("image-missing", file, "no image %s in %s" % (name or "(no filename)", looked), line)
    return None


def _size(lines, file, audit):
    """Declared (width, height) of the first line; the others must agree."""
    sizes = {}
    for line, fields in lines:
        texts = fields.get("width", ""), fields.get("height", "")
        if all(text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0 for text in texts):
            sizes.setdefault((int(texts[0]), int(texts[1])), line)
    if len(sizes) > 1:
        line = list(sizes.values())[1]
        audit.doubt("size-unclear", file, "the image's lines declare several sizes; the file's own was taken", line)
    return next(iter(sizes)) if len(sizes) == 1 else None


def _objects(lines, file, audit):
    objects = []
    for number, (line, fields) in enumerate(lines, 1):
        corners = [fields[corner] for corner in CORNERS]
        if not fields["class"] and not any(corners):
            continue  # a line with an image's name alone: an image without objects
        if not fields["class"]:
            audit.bad("label-empty", file, "the line has no class", line, number)
            continue
        flags = {flag: fields.get(flag, "").lower() in ("1", "true", "yes") for flag in ("difficult", "truncated")}
        flags.update(group_of=False, crowd=False)
        objects.append(RawObject(fields["class"], corners, flags, line, number))
    return objects
