"""Reading tables (CSV) by a layout of `ingest`, without the stage: its modules, its parts, and what the parts say put together."""

import importlib
import pickle
from pathlib import Path

import numpy as np

from stage_helpers import load

load("ingest", "audit/findings")  # puts the stage's folder on sys.path


def module(name):
    """A module of stages/ingest, as the stage's own programs import it."""
    return importlib.import_module(name)


def write(root, files):
    """Write {path below root: text or bytes}."""
    for name, content in files.items():
        path = Path(str(root)) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return Path(str(root))


def read_parts(layout, root, scratch, spec=None, split="train"):
    """The `Part`s of a split."""
    reader = module("layouts").BY_NAME[layout]
    places = module("places").Places(root, "ingest")
    source = reader.source(places, split, {"folder": "."} if spec is None else spec)
    return [reader.read(job) for job in reader.jobs(source, places, scratch)]


def told(parts):
    """(images {name: (width, height, labels)}, objects as tuples in order, findings as tuples, in order) of all parts."""
    images, objects, findings = {}, [], []
    for part in parts:
        for image in part.images:
            width, height, labels = images.get(image.name, (0, 0, ()))
            images[image.name] = (image.width or width, image.height or height, labels + (image.labels or ()))
        findings += [tuple(item) for item in part.findings.items]
        for row in range(len(part.label)):
            name, label = part.images[part.image[row]].name, part.names[part.label[row]]
            box = tuple(part.box[row].tolist())
            objects.append((name, label, box, int(part.flags[row]), int(part.line[row]), part.extra.get(row)))
    return images, objects, findings


def check_error(error):
    """A StageError must say what is wrong, where, and what to do."""
    assert error.what
    assert error.where
    assert error.remedy


def check_parts(parts):
    """What a reader hands on must be sound, whatever it read."""
    for part in parts:
        assert part.image.dtype == part.label.dtype == part.line.dtype == part.number.dtype == np.int32
        assert np.isfinite(part.box).all()
        assert not len(part.image) or (part.image.min() >= 0 and part.image.max() < len(part.images))
        pickle.dumps(part)
