"""Pictures that look alike: a hash of 64 bits that changes little when a picture is resized or compressed again, and groups of near hashes.

The hash is N. Krawetz's difference hash ("Kind of Like That", hackerfactor.com, 2013): whether grey rises from each cell of a 9 × 8 grid
to the next one in its row. The groups are found as by Manku, Jain and Das Sarma, "Detecting Near-Duplicates for Web Crawling", WWW 2007.
"""

from itertools import combinations

import numpy as np
from PIL import Image

BITS = 64
_GRID = 12  # pixels looked at along each side of a cell: of half-size recompressed photos 0.7 bits differ, where of all pixels 0.3 do
# A picture with fewer rises (or fewer falls) has hardly any structure: its hash says nothing.
MIN_BITS = 5
_SPARE = 3  # parts of the hash that two near ones have in common
_WINDOW = 1000  # hashes alike in these parts that each is compared with


def picture_hash(image):
    """The difference hash of a Pillow image of 8 bits, as an int of 64 bits: rows from the top, the first bit the highest."""
    small = image.resize((9 * _GRID, 8 * _GRID), Image.Resampling.NEAREST).convert("L")
    grey = np.asarray(small.resize((9, 8), Image.Resampling.BILINEAR))  # in Pillow a mean weighted by distance, over the cell and beyond
    return int.from_bytes(np.packbits(grey[:, :-1] < grey[:, 1:]).tobytes(), "big")


def groups(hashes, distance):
    """Groups of rows whose pictures look alike: sorted lists of two rows or more, in order of their first row.

    hashes: uint64 [n] of `picture_hash`. Rows are linked where at most `distance` bits differ (0 to 16), and a group is all that links
    lead to, so that its ends may differ by more. Rows of hardly any structure (see MIN_BITS) are in no group. Time grows as n log n, also
    where thousands are equal; where more than _WINDOW different hashes share 3 parts of `distance` + 3, links among them may be missed.
    """
    hashes = np.asarray(hashes, np.uint64)
    ones = np.bitwise_count(hashes)
    rows = np.nonzero((ones >= MIN_BITS) & (ones <= BITS - MIN_BITS))[0]
    known, place = np.unique(hashes[rows], return_inverse=True)
    group = _linked(known, distance)[place]
    order = np.argsort(group, kind="stable")
    parts = np.split(rows[order], np.nonzero(np.diff(group[order]))[0] + 1)
    return sorted(part.tolist() for part in parts if len(part) > 1)


def _linked(hashes, distance):
    """The group of each of some different hashes: int [n], the smallest place in the group."""
    group = np.arange(len(hashes))
    # Where at most `distance` of the parts differ, _SPARE of them are equal: sorted by these, near hashes stand together.
    # Every n-th bit makes a part, for the bits of one region of a picture are equal together.
    count = distance + _SPARE
    parts = [sum(1 << bit for bit in range(start, BITS, count)) for start in range(count)]
    for chosen in combinations(parts, _SPARE):
        keys = hashes & np.uint64(sum(chosen))
        order = np.argsort(keys, kind="stable")
        group = _link_neighbours(hashes[order], keys[order], order, group, distance)
    return group


def _link_neighbours(hashes, keys, order, group, distance):
    first = np.arange(len(keys) - 1)
    for step in range(1, _WINDOW + 1):
        first = first[: np.searchsorted(first, len(keys) - step)]
        first = first[keys[first] == keys[first + step]]
        if not len(first):
            break
        second = first + step
        apart = group[order[first]] != group[order[second]]
        one, other = first[apart], second[apart]
        near = np.bitwise_count(hashes[one] ^ hashes[other]) <= distance
        if near.any():
            group = _joined(group, order[one[near]], order[other[near]])
    return group


def _joined(group, one, other):
    """`group` after linking each of the places `one` with that of `other`."""
    while True:
        low, high = np.minimum(group[one], group[other]), np.maximum(group[one], group[other])
        if (low == high).all():
            return group
        group = group.copy()
        np.minimum.at(group, high, low)  # each group's first place points to the smallest one that it is linked with
        while (group[group] != group).any():
            group = group[group]
