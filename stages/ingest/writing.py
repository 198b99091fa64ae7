"""The dataset artifact's files: dataset.json and SPLIT.jsonl (see _detection/dataset.py)."""

import json

import numpy as np
from assembly import stored_size
from masks import MaskError, rasterized, upright
from pictures.image_files import SUFFIX

from _detection.dataset import FLAGS, SCHEMA, split_file
from _detection.workers import ordered_map
from _runtime import atomic_write, write_json

_IMAGES = 500  # of a job
_MASKS = 64


def rasterize(table, drafts, objects, processes, audit):
    """{row of the table: counts of its mask's COCO run lengths, upright, as bytes} of the objects that have one.

    A mask that is no good is left out, and told. What the reader gave is forgotten, for a million masks are heavy.
    """
    rows = [place for place, row in enumerate(objects.row.tolist()) if "mask" in table.extra.get(row, ())]
    jobs = [_mask_job(table, drafts[objects.draft[place]], int(objects.row[place])) for place in rows]
    made = {}
    for place, (mask, scaled, error) in zip(rows, ordered_map(_mask, jobs, processes, _MASKS), strict=True):
        row, draft = int(objects.row[place]), drafts[objects.draft[place]]
        del table.extra[row]["mask"]
        told = {"line": int(table.line[row]), "number": int(table.number[row]), "image": draft.row, "row": row}
        name = table.names[table.label[row]]
        if error is not None:
            audit.bad(error[0], draft.annotation, "%s: %s; the box is not concerned" % (name, error[1]), **told)
            continue
        if scaled is not None:
            audit.note("mask-scaled", draft.annotation, "%s: its mask of %d × %d pixels was scaled to the image" % (name, *scaled), **told)
        made[row] = mask
    return made


def _mask_job(table, draft, row):
    facts = draft.checked
    size = stored_size(facts) if draft.stored else (facts.width, facts.height)
    return table.extra[row]["mask"], size, facts.orientation if draft.stored else 1


def _mask(job):
    """(counts of the run lengths or None, size before scaling or None, (code, message) or None)."""
    mask, size, orientation = job
    try:
        made, scaled = rasterized(mask, *size)
    except MaskError as error:
        return None, None, (error.code, str(error))
    return upright(made, orientation)["counts"].encode("ascii"), scaled, None


def write_dataset(folder, table, drafts, objects, masks, classes, hierarchy, processes):
    """Write dataset.json and a SPLIT.jsonl for each split; drafts are in order of their names, which is the order of their ids."""
    bounds = np.searchsorted(objects.draft, np.arange(len(drafts) + 1))
    splits = {}
    for split in sorted({draft.split for draft in drafts}):
        places = in_order([place for place, draft in enumerate(drafts) if draft.split == split], drafts, split)
        pieces = [places[start : start + _IMAGES] for start in range(0, len(places), _IMAGES)]
        jobs = [(classes, [_told(place, drafts, table, objects, bounds, masks) for place in piece]) for piece in pieces]
        with atomic_write(folder / split_file(split)) as stream:
            for text in ordered_map(_lines, jobs, processes, chunk=1):
                stream.write(text)
        counted = [(bounds[place], bounds[place + 1]) for place in places]
        rows = [row for first, end in counted for row in objects.row[first:end].tolist()] if masks else []
        splits[split] = {
            "images": len(places),
            "objects": int(sum(end - first for first, end in counted)),
            "bytes": sum(drafts[place].checked.bytes for place in places),
            "masks": sum(row in masks for row in rows),
        }
    write_json(folder / "dataset.json", {"schema": SCHEMA, "classes": list(classes), "splits": splits, "hierarchy": hierarchy})


def in_order(places, drafts, split):
    """Train images in the order of their contents' hashes, so that every shard of the records is mixed; others in the order of ids."""
    return sorted(places, key=lambda place: (drafts[place].checked.sha256, place)) if split == "train" else places


def _told(place, drafts, table, objects, bounds, masks):
    """What `_lines` needs of an image, as little as possible: it goes to another process."""
    draft, rows = drafts[place], slice(bounds[place], bounds[place + 1])
    extra = {}
    for number, row in enumerate(objects.row[rows].tolist()):
        more = dict(table.extra.get(row, ()))
        if row in masks:
            more["mask"] = {"size": [draft.checked.height, draft.checked.width], "counts": masks[row].decode("ascii")}
        if more:
            extra[number] = more
    labels = table.images[draft.row].labels
    return (
        place + 1,
        draft.name,
        draft.annotation,
        draft.checked,
        objects.label[rows],
        objects.box[rows],
        objects.flags[rows],
        extra,
        labels,
    )


def _lines(job):
    """The lines of some images, as bytes."""
    classes, images = job
    return "".join(json.dumps(_image(classes, *told), ensure_ascii=False, separators=(",", ":")) + "\n" for told in images).encode("utf-8")


def _image(classes, number, name, annotation, facts, label, box, flags, extra, labels):
    objects = []
    for place, (kind, corners, bits) in enumerate(zip(label.tolist(), box.tolist(), flags.tolist(), strict=True)):
        item = {"class": classes[kind], "bbox": corners}
        if bits:
            item.update({flag: True for bit, flag in enumerate(FLAGS) if bits >> bit & 1})
        if extra and place in extra:
            item.update(extra[place])
        objects.append(item)
    image = {
        "id": number,
        "file": "images/%s%s" % (facts.sha256, SUFFIX[facts.format]),
        "name": name,
        "sha256": facts.sha256,
        "bytes": facts.bytes,
        "format": facts.format,
        "width": facts.width,
        "height": facts.height,
        "annotation": annotation,
        "objects": objects,
    }
    if labels:
        known = set(classes)
        image["labels"] = {
            "present": sorted({name for name, there in labels if there and name in known}),
            "absent": sorted({name for name, there in labels if not there and name in known}),
        }
    return image


def counts(drafts, objects, classes, audit):
    """The counts of audit.json: of images, objects, classes and flags for each split, of problems for each code."""
    splits = {}
    order = sorted({draft.split for draft in drafts})
    split_of = np.array([order.index(draft.split) for draft in drafts], np.int64)
    filled = np.bincount(objects.draft, minlength=len(drafts)) if len(objects.draft) else np.zeros(len(drafts), np.int64)
    for number, split in enumerate(order):
        chosen = split_of[objects.draft] == number if len(objects.draft) else np.zeros(0, bool)
        per_class = np.bincount(objects.label[chosen], minlength=len(classes))
        splits[split] = {
            "images": int((split_of == number).sum()),
            "background": int(((split_of == number) & (filled == 0)).sum()),
            "objects": int(chosen.sum()),
            "classes": {name: int(count) for name, count in zip(classes, per_class, strict=True)},
            "flags": {flag: int((objects.flags[chosen] >> bit & 1).sum()) for bit, flag in enumerate(FLAGS)},
        }
    return {
        "images": len(drafts),
        "objects": len(objects.row),
        "splits": splits,
        "classes": {name: sum(split["classes"][name] for split in splits.values()) for name in classes},
        "codes": audit.counts(),
    }
