"""From annotations and checked images to the dataset's images and objects: frames, boxes and labels are settled here."""

import difflib
from typing import NamedTuple

import box_check
import numpy as np

_AUTO, _STORED = "auto", "stored"


class Draft:
    """An image on its way into the dataset.

    row: of the table; name: relative to the dataset's folder; checked: `Checked` (upright facts); split: a name, which may change;
    stored: whether its boxes were drawn on the stored pixels, and not on the upright picture.
    """

    def __init__(self, row, name, annotation, checked, split, stored):
        self.row = row
        self.name = name
        self.annotation = annotation
        self.checked = checked
        self.split = split
        self.stored = stored


class Objects(NamedTuple):
    """The objects of the drafts, in columns, sorted by draft and then as they were read.

    draft: int64 [n], place in the list of drafts; label: int32 [n], place in the table's names; box: float64 [n, 4], [xmin, ymin, xmax,
    ymax] in pixels of the upright picture; flags: uint8 [n]; row: int64 [n], of the table.
    """

    draft: np.ndarray
    label: np.ndarray
    box: np.ndarray
    flags: np.ndarray
    row: np.ndarray

    def where(self, chosen):
        """Those that the bool array `chosen` or the array of places names."""
        return Objects(*(column[chosen] for column in self))


def make_drafts(table, sources, paths, names, checked, exif, audit):
    """A `Draft` for each usable image, in order of the images' names. exif: the stage's parameter."""
    named = [(names[row], row) for row, path in enumerate(paths) if path is not None]
    splits = [source.split for source in sources]
    named.sort(key=lambda item: (item[0], splits[table.source[item[1]]], table.images[item[1]].file, table.images[item[1]].line))
    drafts, taken, told = [], {}, set()
    for name, row in named:
        image, facts = table.images[row], checked[paths[row]]
        if facts.code is not None:
            audit.bad(facts.code, name, "%s (named by %s)" % (facts.message, image.file), image=row)
            continue
        split = splits[table.source[row]]
        before = taken.setdefault((name, split), image)
        if before is not image:
            where = "in line %d" % before.line if before.file == image.file and before.line else "by %s" % before.file
            audit.bad("annotated-twice", image.file, "%s is annotated %s already" % (name, where), image.line, image=row)
            continue
        for way, code, message in facts.findings if name not in told else ():
            getattr(audit, way)(code, name, message, image=row)
        told.add(name)
        drafts.append(Draft(row, name, image.file, facts, split, None))
    return _settle_frames(drafts, table, exif, audit)


def _settle_frames(drafts, table, exif, audit):
    """The drafts whose declared size can be the picture's, `stored` set: by the declared size, else as other turned pictures have it."""
    kept, unclear = [], []
    for draft in drafts:
        image, facts = table.images[draft.row], draft.checked
        shown, stored = (facts.width, facts.height), stored_size(facts)
        declared = (image.width, image.height) if image.width > 0 else None
        if declared not in (None, shown, stored):
            message = "the declared size is %d × %d, but %s has %d × %d pixels" % (*declared, draft.name, *shown)
            if shown != stored:
                message += " (%d × %d as they are stored)" % stored
            elif declared == (shown[1], shown[0]):
                message += " (turned: its EXIF orientation may have been lost)"
            audit.bad("size-differs", image.file, message, image.line, image=draft.row)
            continue
        kept.append(draft)
        if facts.orientation == 1 or exif != _AUTO:
            draft.stored = facts.orientation != 1 and exif == _STORED
        elif declared is not None and shown != stored:
            draft.stored = declared == stored
        else:
            unclear.append(draft)
    known = {draft.stored for draft in kept if draft.checked.orientation != 1 and draft.stored is not None}
    for draft in unclear:
        draft.stored = known == {True}
        seen = "as the other turned pictures of this dataset" if len(known) == 1 else "as most tools show it: `exif: stored` says otherwise"
        where = "stored pixels" if draft.stored else "upright picture"
        message = "whether boxes were drawn on the stored or the upright picture is not told; took the %s, %s" % (where, seen)
        audit.doubt("exif-unclear", draft.name, message, image=draft.row)
    return kept


def stored_size(checked):
    """(width, height) in pixels of an image as its file stores it, before its EXIF orientation is applied."""
    return (checked.height, checked.width) if checked.orientation >= 5 else (checked.width, checked.height)


def make_objects(table, drafts, audit):
    """The `Objects` whose boxes are sound, judged by the audit's policy."""
    by_row = np.full(len(table.images), -1, np.int64)
    by_row[[draft.row for draft in drafts]] = np.arange(len(drafts))
    place = by_row[table.image] if len(table.image) else np.empty(0, np.int64)
    rows = np.nonzero(place >= 0)[0]
    rows = rows[np.argsort(place[rows], kind="stable")]
    place = place[rows]
    box = _in_pixels(table, drafts, rows, place)
    objects = Objects(place, table.label[rows], box, table.flags[rows], rows)
    return _without_repeated(_judged(objects, table, drafts, audit), table, drafts, audit)


def _in_pixels(table, drafts, rows, place):
    """Boxes in pixels of the upright picture, float64 [n, 4]."""
    drawn_on = [stored_size(draft.checked) if draft.stored else (draft.checked.width, draft.checked.height) for draft in drafts]
    drawn_on = np.array(drawn_on, np.float64).reshape(-1, 2)[place]
    box = table.box[rows]
    fraction = table.fraction[rows]
    with np.errstate(over="ignore"):  # what is no finite number afterwards is told
        if fraction.all():
            box[:, :2] *= drawn_on
            box[:, 2:] *= drawn_on
        else:
            box[fraction] *= np.tile(drawn_on[fraction], 2)
    orientation = np.array([draft.checked.orientation if draft.stored else 1 for draft in drafts], np.int64)[place]
    turned = np.nonzero(orientation != 1)[0]  # few, if any
    box[turned] = box_check.upright(box[turned], orientation[turned], drawn_on[turned, 0], drawn_on[turned, 1])
    return box


def _judged(objects, table, drafts, audit):
    sizes = np.array([(draft.checked.width, draft.checked.height) for draft in drafts], np.float64).reshape(-1, 2)[objects.draft]
    verdict, inside = box_check.judge(objects.box, sizes[:, 0], sizes[:, 1])
    keep = verdict == box_check.OK
    for place in np.nonzero(~keep)[0].tolist():
        draft = drafts[objects.draft[place]]
        width, height = draft.checked.width, draft.checked.height
        code, mended = int(verdict[place]), None
        if code == box_check.REACHES:
            mended = inside[place]
        elif code == box_check.INVERTED:
            again, mended = box_check.judge(box_check.sorted_corners(objects.box[place : place + 1]), width, height)
            mended = mended[0] if again[0] in (box_check.OK, box_check.REACHES) else None
        row = int(objects.row[place])
        mend = None if mended is None else "clipped" if code == box_check.REACHES else "fixed"
        message = "%s: %s" % (table.names[table.label[row]], _what_is_wrong(code, objects.box[place], width, height))
        if draft.stored and draft.checked.orientation != 1:
            message += ", when turned upright"
        action = _bad(audit, box_check.CODES[code], message, table, draft, row, mend)
        if action == mend:
            keep[place], inside[place] = True, mended
    objects = objects._replace(box=inside)
    return objects if keep.all() else objects.where(keep)


def _bad(audit, code, message, table, draft, row, mend=None):
    return audit.bad(code, draft.annotation, message, int(table.line[row]), int(table.number[row]), mend, image=draft.row, row=row)


def _what_is_wrong(code, box, width, height):
    shown = "(%s)" % ", ".join("%.9g" % value for value in box)
    if code in (box_check.INVERTED, box_check.EMPTY):
        least = 0 if code == box_check.INVERTED else box_check.ROUNDING
        axis, low, high = next((axis, *ends) for axis, *ends in (("x", box[0], box[2]), ("y", box[1], box[3])) if ends[1] - ends[0] < least)
        if low < high:
            return "%smin %.9g and %smax %.9g are less than %g pixels apart" % (axis, low, axis, high, least)
        return "%smin %.9g is not less than %smax %.9g" % (axis, low, axis, high)
    if code == box_check.NOT_A_NUMBER:
        return "%s is not a box of numbers" % shown
    verb = "lies" if code == box_check.OUTSIDE else "reaches"
    return "%s %s outside the image of %d × %d pixels" % (shown, verb, width, height)


def _without_repeated(objects, table, drafts, audit):
    """Of boxes that are the same in label and corners, the first: a second one would count as missed in every evaluation."""
    repeated, firsts = box_check.repeated(objects.draft, objects.label, objects.box)
    for place, first in zip(repeated.tolist(), firsts.tolist(), strict=True):
        row, draft = int(objects.row[place]), drafts[objects.draft[place]]
        other = int(objects.row[first])
        seen = "object %d" % table.number[other] if table.number[other] else "in line %d" % table.line[other]
        message = "%s: the same box as %s" % (table.names[table.label[row]], seen)
        line, number = int(table.line[row]), int(table.number[row])
        audit.doubt("box-repeated", draft.annotation, message, line, number, image=draft.row, row=row, action="dropped")
    if not len(repeated):
        return objects
    keep = np.ones(len(objects.row), bool)
    keep[repeated] = False
    return objects.where(keep)


def settle_classes(table, drafts, objects, given, known, audit):
    """(class names in the label map's order, the objects of these, `label` now counting in the classes).

    given: the pipeline's list, empty for none; known: the layout's own list, or None. Without a given list the classes are those found, in
    the layout's order or sorted. Objects of other labels than the given are reported and left out.
    """
    found = {table.names[label] for label in np.unique(objects.label).tolist()}
    if given:
        classes = list(given)
    elif known:
        classes = [name for name in dict.fromkeys(known) if name in found] + sorted(found - set(known))
        unused = [name for name in dict.fromkeys(known) if name not in found]
        if unused:
            names = ", ".join(unused[:12]) + (", … (%d)" % len(unused) if len(unused) > 12 else "")
            audit.note("class-unused", "classes", "no object is of the class %s, so it is left out" % names)
    else:
        classes = sorted(found)
    _report_alike(classes, audit)
    places = {name: place for place, name in enumerate(classes)}
    mapped = np.array([places.get(name, -1) for name in table.names], np.int32)
    label = mapped[objects.label] if len(objects.label) else objects.label
    unknown = np.nonzero(label < 0)[0]
    nearest = {kind: _nearest(table.names[kind], classes) for kind in np.unique(objects.label[unknown]).tolist()}
    for place in unknown.tolist():
        kind, row = int(objects.label[place]), int(objects.row[place])
        message = "the label %s is not a class; %s" % (table.names[kind], nearest[kind])
        _bad(audit, "label-unknown", message, table, drafts[objects.draft[place]], row)
    return classes, objects._replace(label=label).where(label >= 0)


def report_unboxed(table, drafts, objects, classes, audit):
    """Warn of images that are labelled as a whole with a class of which they have no box: training takes what is there for background."""
    places = {name: place for place, name in enumerate(classes)}
    boxed = set(np.unique(objects.draft * max(len(classes), 1) + objects.label).tolist())
    for number, draft in enumerate(drafts):
        present = {name for name, there in table.images[draft.row].labels or () if there and name in places}
        unboxed = sorted(name for name in present if number * len(classes) + places[name] not in boxed)
        if unboxed:
            message = "the image is labelled with %s, and has no box of it: training takes what is there for background" % ", ".join(
                unboxed
            )
            audit.doubt("label-unboxed", draft.name, message, image=draft.row)


def _report_alike(classes, audit):
    folded = {}
    for name in classes:
        folded.setdefault(" ".join(name.casefold().replace("_", " ").replace("-", " ").split()), []).append(name)
    for names in folded.values():
        if len(names) > 1:
            message = "%s differ only in case, spaces, hyphens or underscores: one class or several?" % " and ".join(names)
            audit.doubt("classes-alike", "classes", message)


def _nearest(label, classes):
    folded = {name.casefold(): name for name in reversed(classes)}
    near = difflib.get_close_matches(label.casefold(), list(folded), 1, 0.6)
    if near:
        return "the nearest one is %s" % folded[near[0]]
    return "the classes are %s%s" % (", ".join(classes[:12]), ", …" if len(classes) > 12 else "")
