"""From annotations to the canonical dataset: images checked, boxes judged, classes and splits settled."""

import difflib
from collections import Counter

from annotation import FLAGS
from box_check import check_box
from image_files import SUFFIX, check_image
from val_choice import choose_val

from _detection.workers import ordered_map


class Draft:
    """An image on its way into the dataset: `Annotation`, `Checked`, and its objects as dataset.json holds them."""

    def __init__(self, annotation, checked, name, objects):
        self.annotation = annotation
        self.checked = checked
        self.name = name
        self.split = annotation.split
        self.objects = objects


def check_images(annotations, folder, processes, progress):
    """`Checked` of each image path. folder: where copies go, named by content."""
    paths = sorted({annotation.image for annotation in annotations})
    checked = {}
    for path, result in zip(paths, ordered_map(check_image, [(str(path), str(folder)) for path in paths], processes)):
        checked[path] = result
        progress(len(checked), len(paths), "image")
    return checked


def make_drafts(annotations, checked, relative, audit):
    """A `Draft` for each usable annotation, in order of the images' names. relative: path to name."""
    drafts, taken = [], {}
    for annotation in sorted(annotations, key=lambda item: (relative(item.image), item.split, item.file, item.line or 0)):
        image, name = checked[annotation.image], relative(annotation.image)
        if image.code is not None:
            audit.bad(image.code, name, "%s (named by %s)" % (image.message, annotation.file))
            continue
        before = taken.setdefault((name, annotation.split), annotation)
        if before is not annotation:
            audit.bad("annotated-twice", annotation.file, "%s is annotated by %s already" % (name, before.file), annotation.line)
            continue
        if image.converted is not None:
            audit.doubt(
                "image-converted",
                name,
                "the copy in the dataset was converted, %s: not all readers decode the original alike" % image.converted,
            )
        if image.orientation not in (0, 1):
            audit.doubt(
                "exif-orientation",
                name,
                "the EXIF orientation is %d: viewers turn the image, training does not; "
                "the boxes must fit the image as it is stored" % image.orientation,
            )
        if annotation.size not in (None, (image.width, image.height)):
            turned = annotation.size == (image.height, image.width)
            audit.bad(
                "size-differs",
                annotation.file,
                "the declared size is %d × %d, but %s has %d × %d pixels%s"
                % (*annotation.size, name, image.width, image.height, " (turned: see its EXIF orientation)" if turned else ""),
                annotation.line,
            )
            continue
        drafts.append(Draft(annotation, image, name, _objects(annotation, image, audit)))
    return drafts


def _objects(annotation, image, audit):
    objects, seen = [], {}
    for raw in annotation.objects:
        box = check_box(raw, image.width, image.height, annotation.file, audit)
        if box is None:
            continue
        before = seen.setdefault((raw.label, tuple(box)), raw)
        if before is not raw:
            audit.doubt("box-repeated", annotation.file, "%s: the same box as object %d" % (raw.label, before.number), raw.line, raw.number)
        objects.append(dict({flag: raw.flags[flag] for flag in FLAGS}, **{"class": raw.label, "bbox": box, "raw": raw}))
    return objects


def settle_classes(drafts, given, audit):
    """The class names in the label map's order; objects of other labels are reported and removed. given: list, empty for those found."""
    found = sorted({item["class"] for draft in drafts for item in draft.objects})
    classes = given or found
    folded = {}
    for name in classes:
        folded.setdefault(" ".join(name.casefold().split()), []).append(name)
    for names in folded.values():
        if len(names) > 1:
            audit.doubt("classes-alike", "classes", "%s differ only in case or spaces: one class or several?" % " and ".join(names))
    known = set(classes)
    for draft in drafts:
        for item in draft.objects:
            if item["class"] not in known:
                message = "the label %s is not a class; %s" % (item["class"], _nearest(item["class"], classes))
                audit.bad("label-unknown", draft.annotation.file, message, item["raw"].line, item["raw"].number)
        draft.objects = [item for item in draft.objects if item["class"] in known]
    return classes


def _nearest(label, classes):
    folded = {name.casefold(): name for name in reversed(classes)}
    near = difflib.get_close_matches(label.casefold(), list(folded), 1, 0.6)
    if near:
        return "the nearest one is %s" % folded[near[0]]
    return "the classes are %s%s" % (", ".join(classes[:12]), ", …" if len(classes) > 12 else "")


def settle_duplicates(drafts, audit):
    """The drafts without images whose content is in another split too (the copy in train goes); others of the same content are reported."""
    by_content = {}
    for draft in drafts:
        by_content.setdefault(draft.checked.sha256, []).append(draft)
    kept = []
    for draft in drafts:
        same = by_content[draft.checked.sha256]
        first = min(same, key=lambda item: (item.split == "train", item.split, item.name))
        if draft.split != first.split:
            audit.bad(
                "duplicate-across-splits",
                draft.name,
                "the same image is %s in split %s: what is trained on must not be measured on" % (first.name, first.split),
            )
            continue
        kept.append(draft)
        earlier = next(item for item in same if item.split == draft.split)
        if earlier is not draft:
            audit.doubt("duplicate", draft.name, "the same image as %s" % earlier.name)
    return kept


def split_off_val(drafts, fraction, seed):
    """Move part of the train split into val."""
    train = [draft for draft in drafts if draft.split == "train"]
    chosen = choose_val([(draft.checked.sha256, {item["class"] for item in draft.objects}) for draft in train], fraction, seed)
    for draft in train:
        if draft.checked.sha256 in chosen:
            draft.split = "val"


def check_splits(drafts, classes, splits, audit):
    """No split may end up empty; the train split needs an example of each class; elsewhere a missing class is a warning."""
    present_splits = {draft.split for draft in drafts}
    for split in sorted(set(splits) - present_splits):
        audit.refuse("split-empty", split, "no image of this split is of use")
    for split in sorted(present_splits):
        present = {item["class"] for draft in drafts if draft.split == split for item in draft.objects}
        for name in classes:
            if name not in present and split == "train":
                audit.refuse("class-unseen", "train", "the class %s has no example in the train split" % name)
            elif name not in present:
                audit.doubt("class-unmeasured", split, "the class %s has no example in this split" % name)


def dataset(drafts, classes):
    """The value of dataset.json (see _detection/dataset.py)."""
    images = []
    for number, draft in enumerate(drafts, 1):
        image = draft.checked
        images.append(
            {
                "id": number,
                "file": "images/%s%s" % (image.sha256, SUFFIX[image.format]),
                "name": draft.name,
                "sha256": image.sha256,
                "bytes": image.bytes,
                "format": image.format,
                "width": image.width,
                "height": image.height,
                "split": draft.split,
                "annotation": draft.annotation.file,
                "objects": [{key: item[key] for key in ("class", "bbox", *FLAGS)} for item in draft.objects],
            }
        )
    return {"schema": 1, "classes": list(classes), "images": images}


def counts(images, classes, audit):
    """The counts of audit.json: of images, objects, classes and flags for each split, of problems for each code."""
    splits = {}
    for split in sorted({image["split"] for image in images}):
        chosen = [image for image in images if image["split"] == split]
        objects = [item for image in chosen for item in image["objects"]]
        per_class = Counter(item["class"] for item in objects)
        splits[split] = {
            "images": len(chosen),
            "background": sum(not image["objects"] for image in chosen),
            "objects": len(objects),
            "classes": {name: per_class[name] for name in classes},
            "flags": {flag: sum(item[flag] for item in objects) for flag in FLAGS},
        }
    return {
        "images": len(images),
        "objects": sum(split["objects"] for split in splits.values()),
        "splits": splits,
        "classes": {name: sum(split["classes"][name] for split in splits.values()) for name in classes},
        "codes": audit.counts(),
    }
