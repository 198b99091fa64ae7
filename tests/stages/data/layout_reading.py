"""A layout's reader asked directly, without the stage around it: what it makes of a folder, and that odd bytes make nothing odd of it."""

import json
import pickle
import sys
from typing import NamedTuple

import numpy as np
from _runtime import StageError

from stage_helpers import STAGES

if str(STAGES / "ingest") not in sys.path:
    sys.path.append(str(STAGES / "ingest"))

from places import Places
from tables import Part

WAYS = ("bad", "refuse", "doubt", "fixed", "note")


class Reading(NamedTuple):
    """What a reader makes of a split: its images, its objects as (image's name, class, [box], flags), findings, and the objects' lines."""

    images: list
    objects: list
    findings: list
    lines: list
    extra: dict
    source: object

    def codes(self):
        return [(finding.way, finding.code) for finding in self.findings]


def write(root, files):
    """Write {relative path: text or bytes} below the folder `root`; returns it."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return root


def read(layout, root, scratch, spec=None, split="train"):
    """The `Reading` of one split; jobs go through pickle, as they do on their way to worker processes."""
    places = Places(root, "ingest")
    source = layout.source(places, split, {"folder": "."} if spec is None else spec)
    parts = [layout.read(pickle.loads(pickle.dumps(job))) for job in layout.jobs(source, places, scratch)]
    result = Reading([], [], [], [], {}, source)
    for part in parts:
        check(part)
        for row, extra in part.extra.items():
            result.extra[len(result.objects) + row] = extra
        for image, label, box, flags in zip(part.image, part.label, part.box.tolist(), part.flags.tolist(), strict=True):
            result.objects.append((part.images[image].name, part.names[label], [round(edge, 6) for edge in box], flags))
        result.lines.extend(zip(part.line.tolist(), part.number.tolist(), strict=True))
        result.images.extend(part.images)
        result.findings.extend(part.findings.items)
    return result


def natural(layout, root, scratch):
    """{split: `Reading`} of the splits that the layout's own files tell."""
    return {split: read(layout, root, scratch, spec, split) for split, spec in layout.splits(root).items()}


def check(part):
    """What holds for every Part, whatever was read."""
    assert isinstance(part, Part)
    number = len(part.label)
    assert part.box.shape == (number, 4)
    assert np.isfinite(part.box).all()
    for column in (part.image, part.flags, part.line, part.number):
        assert column.shape == (number,)
    assert number == 0 or (part.image.min() >= 0 and part.image.max() < len(part.images))
    assert number == 0 or (part.label.min() >= 0 and part.label.max() < len(part.names))
    assert all(name for name in part.names)
    for finding in part.findings.items:
        assert finding.way in WAYS
        assert finding.file
        assert finding.message
        assert len(finding.message) < 1000
        json.dumps(finding)
    for image in part.images:
        assert image.name or image.stem or image.path
        assert ".." not in image.name.split("/")
        assert not image.name.startswith("/")


def outcome(layout, root, scratch, specs=None):
    """Everything that is asked of a layout, on a folder with anything in it: the `Reading`s, or the StageError, which says all it must."""
    assert layout.fits(root) in (True, False)
    try:
        found = layout.splits(root) if specs is None else specs
        return [read(layout, root, scratch, spec, split) for split, spec in (found or {"train": {"folder": "."}}).items()]
    except StageError as refused:
        error = refused
    assert error.what
    assert error.where
    assert error.remedy
    assert len(error.what) + len(error.found or "") < 5000
    return error
