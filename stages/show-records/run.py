"""Draw records chosen at random, and list their features."""

import os
import random
from pathlib import Path
from typing import NamedTuple, Optional

from shown_record import describe, draw

from _detection.drawing import contact_sheet, placard
from _detection.record_folder import label_map_in, read_labels, record_files, split_of
from _detection.tf_example import NotAnExampleError, parse_features
from _detection.tfrecord_reader import Span, payloads, spans
from _detection.workers import ordered_map
from _runtime import StageError, atomic_write, run, write_json, write_text


class Chosen(NamedTuple):
    """A record to show. path, file: where, and its name in messages; labels: `Labels` or None; picture: where the picture goes."""

    path: str
    file: str
    span: Span
    labels: Optional[object]
    picture: str


def main(task):
    """Write record-*.png, sheet.png, features.txt and pictures.json."""
    root, paths, labels = sources(task)
    chosen = choose(task, root, paths, labels)
    shown = []
    for told, tile in ordered_map(show, chosen, task.cpus, chunk=4):
        shown.append((told, tile))
        task.progress(len(shown), len(chosen), "record")
    sheet = contact_sheet([(tile, caption(told)) for told, tile in shown])
    with atomic_write(task.output / "sheet.png") as stream:
        sheet.save(stream, "PNG")
    records = [told for told, _ in shown]
    write_json(task.output / "pictures.json", {"schema": 1, "records": records})
    write_text(task.output / "features.txt", "\n".join(line for told in records for line in in_words(told)) + "\n")
    task.metrics.update(pictures=len(records))


def sources(task):
    """(root of the names in messages, paths of TFRecord files, `Labels` or None)."""
    given = task.input("records")
    place = given.path if given is not None else Path(task.params["path"]) if task.params["path"] else None
    if place is None:
        raise StageError("there is nothing to show", "path", "the input `records`, or a path", None, "./mill data.show --path FILE")
    paths = record_files(place)
    root = place if place.is_dir() else place.parent
    split = task.params["split"]
    if split:
        kept = [path for path in paths if split in (split_of(path), path.name.partition(".")[0])]
        if paths and not kept:
            names = sorted({split_of(path) or path.name.partition(".")[0] for path in paths})
            raise StageError("there are no records of the split %s" % split, place, ", ".join(names), split, "name one of these")
        paths = kept
    named = task.params["label_map"] or (label_map_in(root) if place.is_dir() else None)
    return root, paths, read_labels(named) if named else None


def choose(task, root, paths, labels):
    """The list of Chosen: drawn at random from all records, in their order. Raises StageError where there are none."""
    found = []
    for number, path in enumerate(paths):
        for span in spans(path):
            if span.length is None:
                task.warn("%s, byte %d: %s" % (path.relative_to(root), span.offset, span.damage.message))
            else:
                found.append((number, span))
    if not found:
        raise StageError(
            "there are no records to show",
            root,
            "TFRecord files with records",
            "%d files without any" % len(paths),
            "./mill data.verify %s tells why" % root,
        )
    number = min(task.params["number"], len(found))
    # random.sample may choose otherwise in another Python; sorting by random numbers does not.
    draws = random.Random(task.params["seed"])  # noqa: S311  no secret
    ranks = sorted((draws.random(), place) for place in range(len(found)))[:number]
    chosen = []
    for count, place in enumerate(sorted(place for _, place in ranks), 1):
        index, span = found[place]
        path = paths[index]
        picture = str(task.output / ("record-%04d.png" % count))
        chosen.append(Chosen(str(path), path.relative_to(root).as_posix(), span, labels, picture))
    return chosen


def show(chosen):
    """({"picture", "file", "record", "offset", "remarks", "features"}, picture for the sheet) of a Chosen, whose PNG is written."""
    ((_, payload, damage),) = payloads(chosen.path, [chosen.span])
    features, remarks = [], [] if damage is None else [damage.message]
    image = None
    if payload is not None:
        try:
            parsed = parse_features(payload)
        except NotAnExampleError as error:
            remarks.append(error.message)
        else:
            image, odd = draw(parsed, chosen.labels)
            features, remarks = describe(parsed), remarks + odd
    if image is None:
        image = placard(remarks[0], (480, 360))
    with atomic_write(chosen.picture) as stream:
        image.save(stream, "PNG")
    told = {"picture": os.path.basename(chosen.picture), "file": chosen.file, "record": chosen.span.number, "offset": chosen.span.offset}
    image.thumbnail((600, 600))
    return {**told, "remarks": remarks, "features": features}, image


def caption(told):
    """What stands below a picture on the sheet."""
    number = told["picture"].partition("-")[2].partition(".")[0].lstrip("0")
    return "%s  %s:%d%s" % (number, told["file"], told["record"], "  (!)" if told["remarks"] else "")


def in_words(told):
    """Lines on one record."""
    yield "%s: %s, record %d (byte %d)" % (told["picture"], told["file"], told["record"], told["offset"])
    for remark in told["remarks"]:
        yield "  ! " + remark
    width = max((len(feature["name"]) for feature in told["features"]), default=0)
    for feature in told["features"]:
        head = "  %s  %-5s  %d" % (feature["name"].ljust(width), feature["type"], feature["count"])
        yield ("%s  %s" % (head, ", ".join(feature["values"]))).rstrip()
    yield ""


if __name__ == "__main__":
    run(main)
