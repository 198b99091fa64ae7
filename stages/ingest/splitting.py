"""Which split each image ends in: the choice of val and test, duplicates across splits, and what a split lacks."""

import numpy as np
import split_choice


def settle_duplicates(drafts, objects, audit):
    """(drafts, objects) without images whose content is in another split too (the copy in train goes); other copies are reported."""
    firsts = {}
    for draft in drafts:
        first = firsts.setdefault(draft.checked.sha256, draft)
        if _precedence(draft) < _precedence(first):
            firsts[draft.checked.sha256] = draft
    kept = []
    for place, draft in enumerate(drafts):
        first = firsts[draft.checked.sha256]
        if draft.split != first.split:
            why = "what is trained on must not be measured on" if draft.split == "train" else "it belongs in one of them"
            message = "the same image is %s in split %s: %s" % (first.name, first.split, why)
            audit.bad("duplicate-across-splits", draft.name, message, image=draft.row)
            continue
        kept.append(place)
        if first is not draft:
            audit.doubt("duplicate", draft.name, "the same image as %s" % first.name, image=draft.row)
    return only(drafts, objects, kept)


def _precedence(draft):
    return draft.split == "train", draft.split, draft.name


def only(drafts, objects, kept):
    """The drafts in the places `kept`, and their objects."""
    places = np.full(len(drafts), -1, np.int64)
    places[kept] = np.arange(len(kept))
    moved = places[objects.draft] if len(objects.draft) else objects.draft
    return [drafts[place] for place in kept], objects._replace(draft=moved).where(moved >= 0)


def split_off(drafts, objects, classes, params, similar, audit):
    """Move parts of the train split into val and test, as params val_fraction, test_fraction, group_by and seed say.

    A part that would be empty, for want of a second group, is refused.
    """
    names = split_choice.group_names(drafts, params["group_by"], similar)
    present = _classes_of(drafts, objects, classes)
    shares = (("test", params["test_fraction"]), ("val", params["val_fraction"]))
    left = 1.0
    for split, fraction in shares:
        if fraction <= 0:
            continue
        train = [place for place, draft in enumerate(drafts) if draft.split == "train"]
        chosen = split_choice.choose(
            [(names[place], drafts[place].checked.sha256, present[place]) for place in train], fraction / left, params["seed"]
        )
        left -= fraction
        if train and not chosen:
            message = "%s_fraction takes no image: one group of images of each class stays in train, and there is no other"
            counted = " (images: %d, groups: %d)" % (len(train), len({names[place] for place in train}))
            audit.refuse("split-empty", split, message % split + counted)
        for place in train:
            if names[place] in chosen:
                drafts[place].split = split


def _classes_of(drafts, objects, classes):
    """The set of class names of each draft."""
    present = [set() for _ in drafts]
    for pair in np.unique(objects.draft * len(classes) + objects.label).tolist():
        present[pair // len(classes)].add(classes[pair % len(classes)])
    return present


def report_similar(drafts, similar, audit):
    """Pictures that look alike: across splits one by one, within a split a line for each group."""
    for places in similar:
        first = drafts[places[0]]
        across = len({drafts[place].split for place in places}) > 1
        alike = [drafts[place] for place in places[1:] if drafts[place].checked.sha256 != first.checked.sha256]
        if not across and alike:
            names = ", ".join(draft.name for draft in alike[:3]) + (", …" if len(alike) > 3 else "")
            verb = "other picture looks" if len(alike) == 1 else "other pictures look"
            audit.doubt("near-duplicate", first.name, "%d %s like this one: %s" % (len(alike), verb, names), image=first.row)
        elif across:
            _report_across([drafts[place] for place in places], audit)


def _report_across(drafts, audit):
    other = next((draft for draft in drafts if draft.split != "train"), None)
    for draft in drafts:
        if draft.split == "train" and other is not None:
            message = "looks like %s in split %s: what is measured there flatters" % (other.name, other.split)
            audit.doubt("near-duplicate-across-splits", draft.name, message, image=draft.row)


def check_splits(drafts, objects, classes, given, splits, audit):
    """(classes, objects): no split may be empty, and train needs an example of each class; elsewhere a missing class is a warning.

    given: whether the pipeline names the classes, which are kept then; else one that cannot be trained goes, with its boxes elsewhere.
    """
    present_splits = {draft.split for draft in drafts}
    for split in sorted(set(splits) - present_splits):
        audit.refuse("split-empty", split, "no image of this split is of use")
    present = {split: _labels_in(split, drafts, objects) for split in sorted(present_splits)}
    left = list(range(len(classes)))
    for label in [label for label in left if label not in present.get("train", left)]:
        message = "the class %s has no example in the train split" % classes[label]
        if given:
            audit.refuse("class-unseen", "train", message)
        elif audit.bad("class-unseen", "train", message) == "dropped":
            left.remove(label)
    for split in sorted(present_splits - {"train"}):
        for label in left:
            if label not in present[split]:
                audit.doubt("class-unmeasured", split, "the class %s has no example in this split" % classes[label])
    places = np.full(len(classes), -1, np.int32)
    places[left] = np.arange(len(left))
    label = places[objects.label]
    return [classes[label] for label in left], objects._replace(label=label).where(label >= 0)


def _labels_in(split, drafts, objects):
    """The labels that the objects of a split have, a set."""
    there = np.array([draft.split == split for draft in drafts], bool)
    return set(np.unique(objects.label[there[objects.draft]]).tolist())
