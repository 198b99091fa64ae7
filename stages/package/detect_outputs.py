"""What is written: pictures with boxes, a table, COCO JSON; and what is told on the way."""

import csv
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from contextlib import contextmanager
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from _detection.drawing import colour_of
from _runtime import StageError

COLUMNS = ("file", "frame", "time", "label", "score", "xmin", "ymin", "xmax", "ymax")


class Seen(NamedTuple):
    """A picture or frame. name: of its file; drawn: that with its boxes, below the folder of the results; size: (width, height) in pixels;
    moment: None, or of a frame (number from 0, seconds).
    """

    name: str
    drawn: str
    size: tuple
    moment: tuple = None


def draw(pixels, found):
    """The picture with a box and a label for each object; no box crosses a label, and the surest lie on top."""
    picture = Image.fromarray(pixels)
    canvas, font = ImageDraw.Draw(picture), load_font(max(12, max(picture.size) // 50))
    stroke = max(2, max(picture.size) // 300)
    for each in reversed(found):
        left, top, right, bottom = each.box
        canvas.rectangle([left, top, max(left, right), max(top, bottom)], outline=colour_of(each.number), width=stroke)
    for each in reversed(found):
        _write_label(canvas, each, picture, font)
    return picture


def _write_label(canvas, each, picture, font):
    left, top = each.box[:2]
    text = "%s %.2f" % (each.label, each.score)
    try:
        place = canvas.textbbox((0, 0), text, font=font)
    except UnicodeEncodeError:  # Pillow's old built-in font knows Latin letters only
        text = text.encode("ascii", "replace").decode("ascii")
        place = canvas.textbbox((0, 0), text, font=font)
    width, height = place[2] + 6, place[3] + 4
    x, y = max(0, min(left, picture.width - width)), top - height if top >= height else top
    canvas.rectangle([x, y, x + width, y + height], fill=colour_of(each.number))
    canvas.text((x + 3, y + 2), text, fill="#000000", font=font)


def load_font(size):
    """Pillow's own font; before version 10.1 it has one size only."""
    try:
        return ImageFont.load_default(size)
    except (TypeError, ImportError, OSError):
        return ImageFont.load_default()


def targets_of(sources, folder, reserved=()):
    """Where to write each picture or video: NAME_detections.jpg or .mp4, numbered where names repeat; never over a source.

    reserved: other files that will be written.
    """
    targets, taken = [], {_one(path) for path in [*(source.path for source in sources), *reserved]}
    for source in sources:
        stem = os.path.splitext(os.path.basename(source.name))[0] or "picture"
        ending = ".mp4" if source.video else ".jpg"
        number, target = 1, os.path.join(folder, source.folder, stem + "_detections" + ending)
        while _one(target) in taken:
            number += 1
            target = os.path.join(folder, source.folder, "%s_detections-%d%s" % (stem, number, ending))
        taken.add(_one(target))
        targets.append(target)
    return targets


def _one(path):
    """What two names have in common that are one file on some system: Windows and macOS do not tell a from A."""
    return os.path.abspath(path).lower()


def new_folder(name):
    """`name`, or, where that is there already, `name` with the first number that is free."""
    number, folder = 1, name
    while os.path.lexists(folder):
        number += 1
        folder = "%s-%d" % (name, number)
    return folder


def check_targets(targets, tables, sources, overwrite):
    """Raise StageError where a table would be written over a source or another, or, without `overwrite`, anything over what is there."""
    known = {_one(source.path) for source in sources}
    for path in tables:
        if _one(path) in known:
            raise StageError("a table would be written over something else", path, "a file of its own", remedy="give it another name")
        known.add(_one(path))
    there = [path for path in [*targets, *tables] if os.path.lexists(path)]
    if there and not overwrite:
        more = "" if len(there) == 1 else " and %d more" % (len(there) - 1)
        raise StageError(
            "what would be written is there already", there[0] + more, remedy="give another --output, --csv or --json, or say --overwrite"
        )


def unwritable(path, error):
    """The error for a file that cannot be written."""
    return StageError("it cannot be written", path, found=error.strerror or error, remedy="give another place, or mend this one")


@contextmanager
def together():
    """Ctrl-C within it is heard at its end: an object is in the table, the JSON and the drawn picture, or in none of them."""
    heard = []
    try:
        before = signal.signal(signal.SIGINT, lambda *what: heard.append(what))
    except ValueError:  # only the main thread hears Ctrl-C
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if heard and callable(before):
        before(*heard[0])


def _create(path):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    return open(path, "w", encoding="utf-8", newline="\n")


class Table:
    """The CSV file: a row an object. frame (from 0) and time (seconds) are empty for a picture; the box is in pixels."""

    def __init__(self, path):
        self._stream = _create(path)
        self._rows = csv.writer(self._stream, lineterminator="\n")
        self._rows.writerow(COLUMNS)

    def add(self, image, found):
        """The objects found in a `Seen`."""
        for each in found:
            self._rows.writerow([image.name, *(image.moment or ("", "")), each.label, each.score, *each.box])

    def close(self):
        """Write what is left."""
        self._stream.close()


class CocoFile:
    """The JSON file: `images` and `categories` as in COCO's data, and `annotations` that are COCO results as well (they have a score).

    https://cocodataset.org/#format-data and #format-results. A frame of a video is an image with `frame` (from 0) and `time` (seconds).
    """

    def __init__(self, path, labels):
        self._stream = _create(path)
        # Millions of frames are not held in memory: annotations wait here until all images are written.
        self._annotations = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115  `close` closes it
        self._images = self._objects = 0
        categories = [{"id": number, "name": label} for number, label in enumerate(labels, 1)]
        self._stream.write('{"categories": %s,\n"images": [' % json.dumps(categories, ensure_ascii=False))

    def add(self, image, found):
        """A `Seen`, and what was found in it."""
        self._images += 1
        entry = {"id": self._images, "file_name": image.name, "width": image.size[0], "height": image.size[1], "drawn": image.drawn}
        if image.moment is not None:
            entry.update(frame=image.moment[0], time=image.moment[1])
        _put(self._stream, entry, self._images)
        for each in found:
            self._objects += 1
            xmin, ymin, xmax, ymax = each.box
            width, height = round(xmax - xmin, 3), round(ymax - ymin, 3)
            annotation = {"id": self._objects, "image_id": self._images, "category_id": each.number + 1, "score": each.score}
            annotation.update(bbox=[xmin, ymin, width, height], area=round(width * height, 3), iscrowd=0)
            _put(self._annotations, annotation, self._objects)

    def close(self):
        """Write the annotations; what is there then is whole, also where the work was stopped."""
        try:
            self._stream.write('\n],\n"annotations": [')
            self._annotations.seek(0)
            shutil.copyfileobj(self._annotations, self._stream)
            self._stream.write("\n]}\n")
        finally:
            self._annotations.close()
            self._stream.close()


def _put(stream, entry, number):
    stream.write(("\n" if number == 1 else ",\n") + json.dumps(entry, ensure_ascii=False, sort_keys=True))


class Progress:
    """One line on a terminal that tells how far it is; nothing where standard error is none."""

    def __init__(self):
        self._live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._began = self._last = time.monotonic()
        self._shown = 0

    def __call__(self, done, total, objects):
        """done, total: pictures and frames; objects: found so far."""
        now = time.monotonic()
        if not self._live or now - self._last < 0.1 or total < 2:
            return
        self._last = now
        rate = done / (now - self._began)
        line = "%d/%d pictures  %d objects  %.1f/s  %d s left" % (done, total, objects, rate, (total - done) / rate if rate else 0)
        line = line[: shutil.get_terminal_size().columns - 1]
        sys.stderr.write("\r" + line.ljust(self._shown))
        sys.stderr.flush()
        self._shown = len(line)

    def clear(self):
        """Take the line away, before another is printed."""
        if self._shown:
            sys.stderr.write("\r" + " " * self._shown + "\r")
            sys.stderr.flush()
            self._shown = 0
