"""Datasets and detections that an evaluation reads, made as for the data image's tests."""

import json
import sys
from pathlib import Path

import numpy as np
from _detection import rle

from stage_helpers import ROOT

sys.path.append(str(ROOT / "tests" / "stages" / "data"))  # these helpers are of the images' tests alike

from detection_files import write_detections
from synthetic import dataset as write_dataset
from synthetic import image, obj

__all__ = ["dataset", "image", "labelled", "obj", "pixels", "write_detections"]


def dataset(folder, images, classes, hierarchy=None):
    """A dataset artifact; hierarchy: {class: [its direct subclasses]}."""
    entry = write_dataset(folder, images, classes)
    path = Path(entry["path"]) / "dataset.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), "hierarchy": hierarchy or {}}), encoding="utf-8")
    return entry


def labelled(value, present=(), absent=()):
    """An image with image-level labels."""
    return {**value, "labels": {"present": sorted(present), "absent": sorted(absent)}}


def pixels(*rows):
    """The run-length encoding of a mask told by its rows, such as "1100"."""
    return rle.encode(np.array([[int(value) for value in row] for row in rows]))
