"""Which layout the annotations have, and where each split's are: told by the pipeline, or found by looking."""

import difflib
import json
import re

from audit.problems import printable
from layouts import BY_NAME, LAYOUTS
from layouts.base import files_in
from layouts.unread import recognized
from places import neighbours

from _detection.split_names import USUAL_SPLITS
from _runtime import StageError

_SPLIT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_PLAIN = re.compile(
    r"(?!(true|false|null|yes|no|on|off)$)[^\W\d]([\w ./-]*[\w./-])?", re.IGNORECASE
)  # text in YAML that is taken as it is written
_PATTERN = re.compile(r"[*?]")  # names of shards may be told by one
_WAYS = ("folder", "annotations", "list", "csv", "images")
_SHOWN = 12  # names in a message
_DEEPEST = 3  # folders below the dataset's own in which annotations are looked for, for a hint


def find_sources(places, layout, splits, audit):
    """(the `Layout`, a `Source` for each split, sorted by name). layout, splits: the stage's parameters. Raises StageError.

    Where folders tell the splits, what is beside them and left out is told to the audit.
    """
    for split, spec in splits.items():
        _check(places, split, spec)
    chosen = BY_NAME[layout] if layout != "auto" else _told(places, splits) if splits else _seen(places)
    found = splits or _natural(chosen, places, audit)
    if found is None:
        raise _nothing_in(places, places.root, chosen)
    for split, spec in found.items():
        _check_options(places, chosen, split, spec)
    return chosen, [chosen.source(places, split, spec) for split, spec in sorted(found.items())]


def _check(places, split, spec):
    if not _SPLIT_NAME.fullmatch(split):
        raise StageError(
            "a split's name is not usable", "splits", "letters, digits, - and _", split, "rename the split, for instance train, val or test"
        )
    ways = [way for way in ("folder", "list", "csv", "annotations") if way in spec]
    if len(ways) != 1 and sorted(ways) != ["annotations", "list"]:
        raise StageError(
            "a split is told twice where it is" if ways else "a split is not told where it is",
            "splits.%s" % split,
            "one of folder, list, csv and annotations (list and annotations may go together; images with any)",
            ", ".join(sorted(spec)) or "nothing",
            places.remedy(split, "folder", split),
        )


def _check_options(places, layout, split, spec):
    known = (*layout.ways, *layout.options)
    for key in spec:
        if key in known:
            continue
        if key in _WAYS:
            raise StageError(
                "a split does not fit the layout",
                "splits.%s.%s" % (split, key),
                "one of %s, which the layout %s knows" % (", ".join(known), layout.name),
                "layout: %s" % layout.name,
                "leave `layout` out: it is found by looking",
            )
        near = difflib.get_close_matches(key, known, 1)
        raise StageError(
            "a split has a key that the layout %s does not know" % layout.name,
            "splits.%s.%s" % (split, key),
            "one of %s" % ", ".join(known),
            key,
            places.remedy(split, near[0] if near else "folder", spec[key] if near else "NAME"),
        )


def _told(places, splits):
    """The layout of the splits that the pipeline names: the one that fits them all."""
    fitting = None
    for split, spec in sorted(splits.items()):
        if "csv" in spec:
            found = [BY_NAME["csv"]]
        else:
            path, usual = _where(places, split, spec)
            found = _fitting(path) or usual
            if not found:
                raise _nothing_in(places, path, None, split)
        fitting = found if fitting is None else [layout for layout in fitting if layout in found]
    return _only(fitting, places.root)


def _where(places, split, spec):
    """(the path that tells a split's layout, the layouts where it does not)."""
    if "annotations" in spec:
        path = places.inside(split, "annotations", spec["annotations"])
        shards = [] if path.exists() else sorted(path.parent.glob(path.name)) if _PATTERN.search(path.name) else []
        return shards[0] if shards else places.either(split, "annotations", spec["annotations"]), []
    if "folder" in spec:
        return places.folder(split, "folder", spec["folder"]), []
    places.file(split, "list", spec["list"])
    return places.root, [BY_NAME["voc"]]


def _seen(places):
    """The layout of the dataset's folder, or of its sub-folders for the splits."""
    found = _fitting(places.root)
    if not found:
        below = split_folders(places.root)
        found = [layout for layout in LAYOUTS if any(layout.fits(folder) for folders in below.values() for folder in folders)]
    if not found:
        raise _nothing_in(places, places.root, None)
    return _only(found, places.root)


def _fitting(path):
    return [layout for layout in LAYOUTS if layout.fits(path)]


def _only(found, path):
    if len(found) == 1:
        return found[0]
    names = ", ".join(layout.name for layout in found)
    raise StageError(
        "annotations of several layouts are there" if found else "the splits have different layouts",
        path,
        "one layout",
        names or "none that fits all splits",
        "say which one in the pipeline: `layout: %s`" % (found[0].name if found else "voc"),
    ) from None


def _natural(layout, places, audit):
    """The splits of a dataset that the pipeline does not tell: the layout's own, sub-folders of usual names, or all of it as train."""
    told = layout.splits(places.root)
    if told:
        return told
    named = split_folders(places.root)
    fitting = {split: [folder for folder in folders if layout.fits(folder)] for split, folders in named.items()}
    below = {split: folders for split, folders in fitting.items() if folders}
    beside = layout.fits(places.root)
    if not below or (beside and "train" not in below):
        return {"train": {"folder": "."}} if beside else None
    for split, folders in below.items():
        if len(folders) > 1:
            raise _ambiguous(places, split, [places.relative(folder) for folder in folders])
    if beside:
        audit.doubt("annotations-unread", ".", "annotations beside the folders of the splits were not read: %s" % ", ".join(sorted(below)))
    for folder in (folder for split, folders in named.items() for folder in folders if folder not in fitting[split]):
        message = "the folder is named like a split, and holds no annotations of the layout %s: it is left out" % layout.name
        audit.doubt("split-unlabelled", places.relative(folder), message)
    return {split: {"folder": places.relative(folder)} for split, (folder,) in below.items()}


def _ambiguous(places, split, names):
    return StageError(
        "several folders are named like the split %s" % split,
        places.root,
        "one of them, or `splits` that name each",
        ", ".join(names),
        "in the pipeline write `%s: {params: {splits: {%s}}}`, with all splits that you want"
        % (places.stage, ", ".join("%s: {folder: %s}" % (name, name) for name in names)),
    )


def split_folders(root):
    """{split: its folders, sorted} of the sub-folders named train, val, valid, validation or test, in any case."""
    found = {}
    for folder in sorted(entry for entry in root.iterdir() if entry.is_dir()):
        split = USUAL_SPLITS.get(folder.name.lower())
        if split is not None:
            found.setdefault(split, []).append(folder)
    return found


def _nothing_in(places, folder, layout, split="train"):
    """The StageError that says what there is where annotations were looked for."""
    other = recognized(folder)
    if other is not None and not (folder.is_dir() and _below(folder, layout)):
        what, file, remedy = other
        return StageError(what, file, _known(layout), printable(file.name), remedy)
    if not folder.is_dir():
        return StageError(
            "the file is of no known layout", folder, _known(layout), neighbours(folder), places.remedy(split, "annotations", "FILE")
        )
    below = _below(folder, layout)
    if below:
        names = [printable(places.relative(entry)) for entry in below]
        splits = ["train"] if len(below) == 1 else _split_names([entry.name for entry in below])
        lines = ", ".join("%s: {folder: %s}" % (_in_yaml(split), _in_yaml(name)) for split, name in zip(splits, names, strict=True))
        return StageError(
            "the annotations are in sub-folders",
            folder,
            "annotations, or `splits` that name the sub-folders",
            ", ".join(names),
            "in the pipeline write `%s: {params: {splits: {%s}}}`" % (places.stage, lines),
        )
    types = sorted({printable(path.suffix.lower() or path.name) for path in files_in(folder, "")})
    folders = [printable(entry.name) + "/" for entry in sorted(folder.iterdir()) if entry.is_dir()]
    found = (["files of the types %s" % ", ".join(types[:_SHOWN])] if types else []) + folders[:_SHOWN]
    return StageError(
        "there are no annotations",
        folder,
        _known(layout),
        ", ".join(found) or "no files",
        places.remedy(split, "folder", "NAME"),
    )


def _split_names(folders):
    """For each folder's name one that a split may have, all different."""
    names = []
    for folder in folders:
        base = re.sub(r"[^A-Za-z0-9_]+", "-", folder).strip("-_")[:40] or "split"
        number = sum(name == base or name.startswith(base + "-") for name in names)
        names.append("%s-%d" % (base, number + 1) if base in names else base)
    return names


def _in_yaml(text):
    """The text as a YAML file must spell it to mean a text."""
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def _known(layout):
    return layout.title if layout is not None else "one of: %s" % ", ".join(known.title for known in LAYOUTS)


def _below(folder, layout, depth=1):
    """The nearest sub-folders that some layout fits, sorted."""
    entries = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    found = [entry for entry in entries if (layout.fits(entry) if layout is not None else _fitting(entry))][:_SHOWN]
    if found or depth == _DEEPEST:
        return found
    return [path for entry in entries[:_SHOWN] for path in _below(entry, layout, depth + 1)][:_SHOWN]
