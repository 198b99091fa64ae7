"""Which images have the worst problems, and their contact sheet."""

import numpy as np
from assembly import stored_size
from box_check import upright
from pictures.image_files import SUFFIX

from audit import contact_sheet


def draw_worst(path, copies, table, paths, names, checked, stored, audit):
    """Write the contact sheet of the images with the worst problems to `path`; no file where no image has any.

    copies: the folder of the dataset's own, upright images; stored: the rows of images whose boxes were drawn on the stored pixels.
    """
    offenders = _offenders(table, audit)
    chosen = contact_sheet.worst((row, names[row], [severity for severity, _, _ in told]) for row, told in sorted(offenders.items()))
    if chosen:
        entries = [
            _entry(row, names[row], offenders[row], table, paths[row], copies, checked.get(paths[row]), row in stored) for row in chosen
        ]
        contact_sheet.draw(entries, path)


def _offenders(table, audit):
    """{image's row: [(severity, code, object's row or None)]}: of the audit, and what readers said of a file that tells one image."""
    offenders = {row: list(told) for row, told in audit.offenders.items()}
    by_file = {}
    for row, image in enumerate(table.images):
        by_file[image.file] = row if image.file not in by_file else None
    told = {(table.images[row].file, code) for row, problems in offenders.items() for _, code, _ in problems}
    for problem in audit.problems():
        row = by_file.get(problem["file"])
        if row is not None and problem["severity"] != "note" and (problem["file"], problem["code"]) not in told:
            offenders.setdefault(row, []).append((problem["severity"], problem["code"], None))
    return offenders


def _entry(row, name, told, table, path, copies, facts, stored):
    bad = {place: code for _, code, place in told if place is not None}
    boxes = []
    if facts is not None and facts.code is None:
        path = copies / (facts.sha256 + SUFFIX[facts.format])
        boxes = _boxes(row, table, facts, stored, bad)
    return contact_sheet.Entry(path, name, [code for _, code, _ in told], boxes)


def _boxes(row, table, facts, stored, bad):
    rows = np.nonzero(table.image == row)[0]
    size = stored_size(facts) if stored else (facts.width, facts.height)
    with np.errstate(over="ignore"):  # what is no finite number is left out
        box = np.where(table.fraction[rows][:, None], table.box[rows] * np.tile(size, 2), table.box[rows])
    if stored:
        box = upright(box, np.full(len(rows), facts.orientation), *size)
    return [
        contact_sheet.Box(*corners, table.names[table.label[place]], bad.get(place), int(table.number[place]))
        for place, corners in zip(rows.tolist(), box.tolist(), strict=True)
        if np.isfinite(corners).all()
    ]
