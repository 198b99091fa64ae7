"""Read annotations of any layout into the canonical dataset, with an audit of everything wrong in them."""

from contextlib import contextmanager
from pathlib import Path

import assembly
import lxml.etree
import numpy as np
import PIL
import split_choice
import splitting
import writing
from audit.problems import Audit, as_text, printable
from audit.worst_images import draw_worst
from class_list import given_classes
from discovery import find_sources
from gather import one_row_each, read_sources
from matching import check_images, find_images, image_names
from pictures import near_duplicates
from places import Places

from _detection.label_map import format_label_map
from _runtime import StageError, run, write_text


def main(task):
    """Write dataset.json, SPLIT.jsonl, images/ (named by content), label_map.pbtxt, and the audit."""
    params = task.params
    _check_params(task)
    places = Places(_root(task), task.name)
    audit = Audit(params["on_error"], task.scratch / "problems.jsonl")
    given = given_classes(params, audit)
    with _readable(places):
        layout, sources = find_sources(places, params["layout"], params["splits"], audit)
    _check_fractions(params, [source.split for source in sources])
    table = read_sources(layout, sources, places, task.scratch, task.cpus, task.progress, audit)
    with _readable(places):
        paths = find_images(table, sources, places, audit)
    if layout.merges:
        table, paths = one_row_each(table, paths, audit)
    folder = task.output / "images"
    folder.mkdir()
    checked = check_images(paths, folder, task.cpus, task.progress)
    names = image_names(table, paths, places)
    drafts = assembly.make_drafts(table, sources, paths, names, checked, params["exif"], audit)
    stored = {draft.row for draft in drafts if draft.stored}
    objects = assembly.make_objects(table, drafts, audit)
    drafts, objects = splitting.settle_duplicates(drafts, objects, audit)
    classes, objects = assembly.settle_classes(table, drafts, objects, given, _known_classes(sources), audit)
    assembly.report_unboxed(table, drafts, objects, classes, audit)
    masks = writing.rasterize(table, drafts, objects, task.cpus, audit)
    similar = _similar(drafts, params["near_duplicates"])
    splitting.split_off(drafts, objects, classes, params, similar, audit)
    splitting.report_similar(drafts, similar, audit)
    wanted = {source.split for source in sources} | {draft.split for draft in drafts}
    classes, objects = splitting.check_splits(drafts, objects, classes, bool(given), wanted, audit)
    counts = writing.counts(drafts, objects, classes, audit)
    audit.write(task.output, counts)
    draw_worst(task.output / "contact_sheet.jpg", folder, table, paths, names, checked, stored, audit)
    _report(task, audit)
    audit.raise_if_refused(task.name, task.output)
    if not len(objects.row):
        raise StageError(
            "the dataset has no objects",
            places.root,
            "at least one labelled box",
            "%d annotated images, none with a box" % len(table.images),
            "label some images, or see in %s what was dropped" % (task.output / "audit.csv"),
        )
    _remove_unused(folder, drafts)
    hierarchy = next((source.options["hierarchy"] for source in sources if source.options.get("hierarchy")), {})
    writing.write_dataset(task.output, table, drafts, objects, masks, classes, hierarchy, task.cpus)
    write_text(task.output / "label_map.pbtxt", format_label_map(classes))
    _tell(task, layout, counts, audit)


def _check_params(task):
    params = task.params
    if (task.input("images") is None) == (params["path"] is None):
        number, found = ("twice", "both") if params["path"] else ("nowhere", "neither")
        raise StageError(
            "where the images are is told %s" % number,
            "params.path, inputs.images",
            "one of them",
            found,
            "in the pipeline write `%s: {params: {path: FOLDER}}`" % task.name,
        )

    if params["group_by"] == split_choice.SIMILAR and not params["near_duplicates"]:
        raise StageError(
            "no pictures are looked at for those that look alike, which shall stay together",
            "params.near_duplicates",
            "1 or more with group_by: similar",
            params["near_duplicates"],
            "leave near_duplicates out",
        )


@contextmanager
def _readable(places):
    """Around what lists the user's folders: one that may not be read is the user's to mend."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            raise
        raise StageError(
            "the dataset cannot be read: %s" % error.strerror,
            printable(str(error.filename)),
            "folders and files that may be read",
            None,
            "correct the path, or let everybody read the dataset: `chmod -R a+rX %s`" % places.root,
        ) from None


def _check_fractions(params, splits):
    for split in ("val", "test"):
        name = split + "_fraction"
        if params[name] > 0 and (split in splits or "train" not in splits):
            raise StageError(
                "%s needs a train split and no %s split" % (name, split),
                "params.%s" % name,
                "the split train, and others but %s" % split,
                ", ".join(sorted(splits)),
                "take out %s, or the split %s" % (name, split),
            )
    if params["val_fraction"] + params["test_fraction"] >= 1:
        raise StageError(
            "nothing would be left to train on",
            "params.val_fraction, params.test_fraction",
            "a sum below 1",
            "%g" % (params["val_fraction"] + params["test_fraction"]),
            "make them smaller, for instance 0.15 each",
        )


def _root(task):
    root = Path(task.params["path"]) if task.params["path"] is not None else task.input("images").path
    if not root.is_dir():
        what = "the dataset's folder is a file" if root.exists() else "the dataset's folder does not exist"
        raise StageError(what, root, "a folder", None, "correct `path` in the pipeline: `%s: {params: {path: FOLDER}}`" % task.name)
    return root


def _known_classes(sources):
    """The layout's own list of classes, in its order, over all sources; None where it has none."""
    lists = [source.options["classes"] for source in sources if source.options.get("classes")]
    return [name for names in lists for name in names] or None


def _similar(drafts, distance):
    """Lists of places of drafts whose pictures look alike; none for a distance of 0."""
    hashes = np.array([draft.checked.dhash for draft in drafts], np.uint64)
    return near_duplicates.groups(hashes, distance) if distance > 0 and len(drafts) else []


def _report(task, audit):
    """All problems to the log; a line for each kind of warning to the user."""
    for problem in audit.problems():
        print("%s (%s): %s" % (problem["severity"], problem["action"], as_text(problem)))
    print(audit.table())
    for severity, code, action, number, first in audit.summary():
        if action != "refused" and severity != "note":
            task.warn("%s: %d %s; the first: %s" % (code, number, action, as_text(first)))


def _remove_unused(folder, drafts):
    used = {draft.checked.sha256 for draft in drafts}
    for path in folder.iterdir():
        if path.stem not in used:
            path.unlink()


def _tell(task, layout, counts, audit):
    task.say("read as %s" % layout.title)
    for split, numbers in counts["splits"].items():
        told = ["%s %d" % item for item in list(numbers["classes"].items())[:12]]
        told += ["…"] * (len(numbers["classes"]) > 12)
        told += ["%d %s" % (number, flag) for flag, number in numbers["flags"].items() if number]
        task.say(
            "%s: %d images (%d without objects), %d objects: %s"
            % (split, numbers["images"], numbers["background"], numbers["objects"], ", ".join(told))
        )
    task.metrics.update(images=counts["images"], objects=counts["objects"], problems=audit.number())
    task.tools.update(lxml=lxml.etree.__version__, pillow=PIL.__version__)


if __name__ == "__main__":
    run(main)
