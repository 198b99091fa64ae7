"""Read annotations of any layout into the canonical dataset, with an audit of everything wrong in them."""

from pathlib import Path

import assembly
import lxml.etree
import PIL
from layouts import Places, SplitFinder, read_sources
from problems import Audit, as_text

from _detection.label_map import format_label_map, parse_label_map
from _runtime import StageError, run, write_json, write_text


def main(task):
    """Write dataset.json, audit.json, label_map.pbtxt and images/ (named by content)."""
    params = task.params
    _check_params(task)
    given = _given_classes(params)
    audit = Audit(params["on_error"])
    places = Places(_root(task), task.name)
    sources = SplitFinder(places, params["layout"], audit).find(params["splits"])
    annotations = read_sources(places, sources, audit)
    folder = task.output / "images"
    folder.mkdir()
    checked = assembly.check_images(annotations, folder, task.cpus, task.progress)
    drafts = assembly.make_drafts(annotations, checked, places.relative, audit)
    drafts = assembly.settle_duplicates(drafts, audit)
    classes = assembly.settle_classes(drafts, given, audit)
    if params["val_fraction"] > 0:
        assembly.split_off_val(drafts, params["val_fraction"], params["seed"])
    assembly.check_splits(drafts, classes, [source.split for source in sources], audit)
    _report(task, audit)
    audit.raise_if_refused(task.name)
    if not any(draft.objects for draft in drafts):
        raise StageError(
            "the dataset has no objects",
            places.root,
            "at least one labelled box",
            "%d annotations, none with a box" % len(annotations),
            "label some images, or see in the stage's log what was dropped",
        )
    _write(task, assembly.dataset(drafts, classes), classes, audit)


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
    splits = params["splits"] or {"train": {}}
    if params["val_fraction"] > 0 and ("val" in splits or "train" not in splits):
        raise StageError(
            "val_fraction needs a train split and no val split",
            "params.val_fraction",
            "the splits train, and others but val",
            ", ".join(sorted(splits)),
            "take out val_fraction, or the split val",
        )


def _root(task):
    root = Path(task.params["path"]) if task.params["path"] is not None else task.input("images").path
    if not root.is_dir():
        what = "the dataset's folder is a file" if root.exists() else "the dataset's folder does not exist"
        raise StageError(what, root, "a folder", None, "correct `path` in the pipeline: `%s: {params: {path: FOLDER}}`" % task.name)
    return root


def _given_classes(params):
    """The class names that the pipeline gives, by list or by label map; empty where it gives none."""
    if params["label_map"] is None:
        return params["classes"]
    path = Path(params["label_map"])
    try:
        named = parse_label_map(path.read_text(encoding="utf-8-sig"), path)
    except OSError as error:
        raise StageError(
            "the label map cannot be read: %s" % error.strerror, path, "a label map file", None, "correct `label_map` in the pipeline"
        ) from None
    except UnicodeDecodeError:
        raise StageError("the label map is not UTF-8", path, "UTF-8 text", None, "save it as UTF-8") from None
    if params["classes"] and params["classes"] != named:
        raise StageError("`classes` and `label_map` differ", path, ", ".join(params["classes"]), ", ".join(named), "leave one of them out")
    return named


def _report(task, audit):
    """All problems to the log; a line for each kind of warning to the user."""
    for problem in audit.problems:
        print("%s (%s): %s" % (problem["severity"], problem["action"], as_text(problem)))
    for code, action, number, first in audit.summary():
        if action != "refused":
            task.warn("%s: %d %s; the first: %s" % (code, number, action, first))


def _write(task, value, classes, audit):
    images = value["images"]
    used = {image["file"] for image in images}
    for path in (task.output / "images").iterdir():
        if "images/" + path.name not in used:
            path.unlink()
    counts = assembly.counts(images, classes, audit)
    write_json(task.output / "dataset.json", value)
    write_json(task.output / "audit.json", {"schema": 1, "problems": audit.problems, "counts": counts})
    write_text(task.output / "label_map.pbtxt", format_label_map(classes))
    for split, numbers in counts["splits"].items():
        told = ["%s %d" % item for item in numbers["classes"].items()]
        told += ["%d %s" % (number, flag) for flag, number in numbers["flags"].items() if number]
        task.say(
            "%s: %d images (%d without objects), %d objects: %s"
            % (split, numbers["images"], numbers["background"], numbers["objects"], ", ".join(told))
        )
    task.metrics.update(images=counts["images"], objects=counts["objects"], problems=len(audit.problems))
    task.tools.update(lxml=lxml.etree.__version__, pillow=PIL.__version__)


if __name__ == "__main__":
    run(main)
