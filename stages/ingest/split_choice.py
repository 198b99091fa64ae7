"""Choosing validation and test images by content: a dataset that grows keeps its choice, and what belongs together stays together."""

import hashlib
import re
from collections import Counter
from pathlib import PurePosixPath

from _runtime import StageError

SIMILAR, FOLDER = "similar", "folder"


def choose(images, fraction, seed):
    """The groups that are chosen: a set.

    images: (group, sha256 of the content, set of class names) of each image; a group is whatever must not be torn apart (a text; images of
    the same content must be in the same one). Stratified: groups are put together by the rarest of their classes (none: one of its own);
    from each stratum of n different contents about fraction × n are taken, at least one group where there are two, never all, in the order
    of a hash of seed and group. A new image so moves at most one other group of its stratum across.
    """
    contents, classes = {}, {}
    for group, sha256, names in images:
        contents.setdefault(group, set()).add(sha256)
        classes[group] = classes.get(group, frozenset()) | frozenset(names)
    frequency = Counter()
    for group, names in classes.items():
        frequency.update({name: len(contents[group]) for name in names})
    strata = {}
    for group, names in classes.items():
        strata.setdefault(min(names, key=lambda name: (frequency[name], name), default=None), []).append(group)
    chosen = set()
    for groups in strata.values() if fraction > 0 else ():
        chosen.update(_part(groups, contents, fraction, seed))
    return chosen


def _part(groups, contents, fraction, seed):
    """About `fraction` of a stratum's contents, by whole groups."""
    ordered = sorted(groups, key=lambda group: hashlib.sha256(("%d/%s" % (seed, group)).encode("utf-8", "surrogateescape")).digest())
    wanted = int(fraction * sum(len(contents[group]) for group in groups) + 0.5)
    taken, number = [], 0
    for group in ordered[: len(ordered) - 1]:
        size = len(contents[group])
        # A group that overshoots by more than it brings is passed over, but for the first: none at all would be worse.
        if taken and number + size / 2 > wanted:
            continue
        taken.append(group)
        number += size
        if number >= wanted:
            break
    return taken


def group_names(drafts, group_by, similar):
    """The group of each draft, a text. group_by: "" (each content for itself), "folder", "similar" or a regular expression with a group.

    similar: lists of places of drafts that look alike. Drafts of the same content are always in the same group.
    """
    pattern = None if group_by in ("", SIMILAR, FOLDER) else _pattern(group_by)
    names = [_name(draft, group_by, pattern) for draft in drafts]
    joined = list(similar) if group_by == SIMILAR else []
    by_content = {}
    for place, draft in enumerate(drafts):
        by_content.setdefault(draft.checked.sha256, []).append(place)
    return _united(names, [*joined, *by_content.values()])


def _name(draft, group_by, pattern):
    if group_by == FOLDER:
        return str(PurePosixPath(draft.name).parent)
    found = pattern.search(draft.name) if pattern else None
    return draft.checked.sha256 if found is None else "\0".join(part or "" for part in found.groups())


def _pattern(text):
    try:
        pattern = re.compile(text)
    except re.error as error:
        found = "%s at character %s" % (error.msg, error.pos)
    else:
        if pattern.groups:
            return pattern
        found = "no group in brackets"
    raise StageError(
        "group_by is not usable",
        "params.group_by",
        "similar, folder, or a regular expression with a group in brackets, for instance '^(.*)_[0-9]+[.]'",
        "%s: %s" % (text, found),
        "correct it in the pipeline",
    )


def _united(names, together):
    """The smallest name of all that hang together, for each place."""
    parent = {name: name for name in names}

    def root(name):
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for places in together:
        roots = sorted({root(names[place]) for place in places})
        for other in roots[1:]:
            parent[other] = roots[0]
    return [root(name) for name in names]
