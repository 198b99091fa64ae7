"""Helpers for the tests of what runs .tflite files: a tflite artifact, and the detections that a stage left."""

import json
import shutil

import numpy as np
from _detection.detection_records import read_index, stream_detections
from _tflite.lint import describe
from _tflite.model import read_model
from litert_operator import ATTRIBUTES, SIDE, grid_anchors

from stage_helpers import artifact

CLASSES = ["circle", "square", "triangle"]


def write_model(folder, content, classes=CLASSES, anchors=None, **changes):
    """A tflite artifact as the stage convert writes it, in a fresh folder; changes: to lint.json. Returns the task's entry for it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "model.tflite").write_bytes(content)
    report = dict(
        describe(read_model(content)),
        schema=1,
        inference_type="uint8",
        mean=128,
        std=128.0,
        input_size=[SIDE, SIDE],
        decode=ATTRIBUTES,
        usable=True,
        unusable_because=None,
    )
    (folder / "lint.json").write_text(json.dumps(dict(report, **changes)))
    (folder / "labels.json").write_text(json.dumps({"schema": 1, "classes": classes}))
    np.save(folder / "anchors.npy", grid_anchors() if anchors is None else anchors)
    return artifact("convert", "tflite", folder)


def detections_of(done):
    """{image id: `Found`} of the detections that a stage left."""
    return {found.image_id: found for found in stream_detections(done.output, read_index(done.output))}


def same_detections(one, other, atol=0.0):
    """Whether two `Detections` are the same, boxes but for `atol`."""
    return (
        np.array_equal(one.classes, other.classes)
        and np.array_equal(one.scores, other.scores)
        and one.boxes.shape == other.boxes.shape
        and np.allclose(one.boxes, other.boxes, rtol=0, atol=atol)
    )
