"""The masks of Open Images: pictures in a folder, and a table that tells of each its image, its label and the box that it was drawn in.

The table of boxes does not name masks: a box takes the one of its image and label whose own box is nearest, within TOLERANCE.
"""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from formats.csv_blocks import blocks, corners, open_table, read_block
from pictures.image_files import clean_name

from layouts.open_images_files import MASK_BOX_COLUMNS, columns_of

TOLERANCE = 0.001  # of the image's width or height: the two tables round alike, to six decimals
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd: mixes two hashes into one
_TEXTS = ("ImageID", "LabelName", "MaskPath")


class Masks(NamedTuple):
    """All rows of the mask tables, ordered by `key` (of image and label), then by file and line.

    key: uint64 [n]. box: float64 [n, 4], CORNERS as fractions. line: int32 [n]. start: int64 [n + 1], where the row's text begins in
    `text`: the file, the image, the label and the picture's path, with NUL between them.
    """

    key: np.ndarray
    box: np.ndarray
    line: np.ndarray
    start: np.ndarray
    text: np.ndarray

    def row(self, place):
        """(file, image, label, path of the picture) of a row."""
        return bytes(self.text[self.start[place] : self.start[place + 1]]).decode("utf-8").split("\0")


def keys_of(image_codes, images, label_codes, labels):
    """A number for each row's image and label, uint64 [n]: two that differ are as good as never the same."""
    image_hash, label_hash = (pd.util.hash_array(np.array([*values, ""], object)[:-1], categorize=False) for values in (images, labels))
    return image_hash[image_codes] ^ (label_hash[label_codes] * _FACTOR)


def write_masks(tables, folder, findings):
    """Write the rows of mask tables, (path, name for messages) each, to files in `folder`, for `read_masks`; how many there are."""
    pieces = []
    for path, file in tables:
        table = open_table(path, file, "a table of masks")
        places = columns_of(table, (*_TEXTS, *MASK_BOX_COLUMNS))
        texts = {name: places[name] for name in _TEXTS}
        numbers = {name: places[name] for name in MASK_BOX_COLUMNS}
        pieces += [_piece(read_block(block, texts, numbers, findings), file, findings) for block in blocks(table)]
    key = np.concatenate([piece[0] for piece in pieces] or [np.empty(0, np.uint64)])
    order = np.argsort(key, kind="stable")
    lengths = np.concatenate([piece[3] for piece in pieces] or [np.empty(0, np.int64)])
    text = np.frombuffer(b"".join(piece[4] for piece in pieces), np.uint8)
    start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    sorted_start = np.concatenate([[0], np.cumsum(lengths[order])]).astype(np.int64)
    moved = np.repeat(start[:-1][order] - sorted_start[:-1], lengths[order]) + np.arange(len(text))
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    box = np.concatenate([piece[1] for piece in pieces] or [np.empty((0, 4))])[order]
    line = np.concatenate([piece[2] for piece in pieces] or [np.empty(0, np.int32)])[order]
    for name, array in (("key", key[order]), ("box", box), ("line", line), ("start", sorted_start), ("text", text[moved])):
        np.save(str(folder / (name + ".npy")), array)
    return len(key)


def _piece(columns, file, findings):
    """(keys, boxes, lines, lengths of the texts, the texts) of a block's good rows."""
    coded = [columns.texts[name] for name in _TEXTS]
    (image_codes, images), (label_codes, labels), (path_codes, paths) = coded
    box, whole = corners(columns, MASK_BOX_COLUMNS, lambda row: labels[label_codes[row]] or "mask", None, findings, file)
    safe = np.array([clean_name(path) not in (None, ".") for path in paths], bool)[path_codes]
    for row in np.flatnonzero(~safe).tolist():
        findings.bad("mask-missing", file, "MaskPath %s is no file's name" % paths[path_codes[row]], int(columns.line[row]))
    kept = np.flatnonzero(whole & safe)
    rows = [
        "\0".join((file, images[image_codes[row]], labels[label_codes[row]], clean_name(paths[path_codes[row]]))) for row in kept.tolist()
    ]
    encoded = [row.encode("utf-8") for row in rows]
    lengths = np.array([len(row) for row in encoded], np.int64)
    key = keys_of(image_codes[kept], images, label_codes[kept], labels)
    return key, box[kept], columns.line[kept], lengths, b"".join(encoded)


def read_masks(folder):
    """The `Masks` that `write_masks` left in `folder`, mapped into memory."""
    paths = {name: str(Path(folder) / (name + ".npy")) for name in Masks._fields}
    # An empty file cannot be mapped.
    return Masks(**{name: np.load(path, mmap_mode="r" if os.path.getsize(path) > 1 << 12 else None) for name, path in paths.items()})


def nearest(masks, key, box):
    """The row of `masks` that each box takes, int64 [n], or -1. A box sees the masks alone, so that the order of boxes does not matter."""
    left, right = (np.searchsorted(masks.key, key, side) for side in ("left", "right"))
    counts = right - left
    taken = np.full(len(key), -1, np.int64)
    rows = np.repeat(np.arange(len(key)), counts)
    if not len(rows):
        return taken
    candidates = np.repeat(left, counts) + np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    distance = np.abs(box[rows] - masks.box[candidates]).max(axis=1)
    near = distance <= TOLERANCE
    rows, candidates, distance = rows[near], candidates[near], distance[near]
    order = np.lexsort((candidates, distance, rows))
    ordered, first = np.unique(rows[order], return_index=True)
    taken[ordered] = candidates[order][first]
    return taken


class Pictures:
    """Finds mask pictures in folders; those that are missing are told in one finding for each table."""

    def __init__(self, folders):
        self._folders = folders
        self._missing = {}

    def find(self, path, file, line):
        """The picture as a reader gives a mask, or None. file, line: where it is named."""
        for folder in self._folders:
            found = os.path.join(folder, path)
            if os.path.isfile(found):
                return {"picture": found, "values": None}
        self._missing.setdefault(file, []).append((line, path))
        return None

    def report(self, findings):
        """Tell what was missed, if anything."""
        looked = " or ".join(Path(folder).name for folder in self._folders)
        for file, missing in self._missing.items():
            line, path = min(missing)
            others = " (and %d others)" % (len(missing) - 1) if len(missing) > 1 else ""
            findings.doubt("mask-missing", file, "no mask picture %s in %s%s: the box is kept without" % (path, looked, others), line)
