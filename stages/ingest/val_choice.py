"""Choosing validation images by content, so that a dataset that grows keeps its choice."""

import hashlib
from collections import Counter


def choose_val(images, fraction, seed):
    """The sha256 of the images that become validation images.

    images: (sha256, set of class names) of each training image. Stratified: images are grouped by the rarest of their classes (none:
    a group of its own); from each group of n different contents about fraction × n are taken, at least one where n ≥ 2, never all, in
    the order of a hash of seed and content. A new image so moves at most one other of its group across.
    """
    contents = {}
    for sha256, classes in images:
        contents[sha256] = contents.get(sha256, frozenset()) | frozenset(classes)
    frequency = Counter(name for classes in contents.values() for name in classes)
    groups = {}
    for sha256, classes in contents.items():
        groups.setdefault(min(classes, key=lambda name: (frequency[name], name), default=None), []).append(sha256)
    chosen = set()
    for members in groups.values():
        number = min(max(int(fraction * len(members) + 0.5), 1), len(members) - 1) if fraction > 0 else 0
        chosen.update(sorted(members, key=lambda sha256: hashlib.sha256(("%d/%s" % (seed, sha256)).encode("ascii")).digest())[:number])
    return chosen
