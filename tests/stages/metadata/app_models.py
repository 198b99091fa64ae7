"""Models for the tests of export-apps, and how other programs read what it makes."""

import io
import zipfile

from litert_operator import ATTRIBUTES, FLOAT, RAW_OUTPUTS, SIDE, UINT8, ModelBuilder, grid_anchors, schema

CLASSES = ["ace", "7 of hearts", "cœur ♥"]
FACTS = {
    "schema": 1,
    "mean": 128,
    "std": 128,
    "decode": ATTRIBUTES,
    "input_size": [SIDE, SIDE],
    "classes": CLASSES,
    "postprocess": True,
    "outputs": {"boxes": 0, "classes": 1, "scores": 2, "count": 3},
    "threshold": 0.45,
    "thresholds": {"ace": 0.5, "7 of hearts": None, "cœur ♥": 0.6},
}


def compiled_detector():
    """A `ModelBuilder`: all up to the post-process is one operator of the Edge TPU, as after compilation."""
    model = ModelBuilder()
    count = (SIDE // 4) ** 2
    model.inputs = [model.tensor("normalized_input_image_tensor", [1, SIDE, SIDE, 3], UINT8, None, 1 / 128, 128)]
    boxes = model.tensor(RAW_OUTPUTS[0], [1, count, 4], UINT8, None, 0.05, 128)
    scores = model.tensor(RAW_OUTPUTS[1], [1, count, len(CLASSES)], UINT8, None, 1 / 256, 0)
    model.operator(schema.BuiltinOperator.CUSTOM, model.inputs, [boxes, scores], None, "edgetpu-custom-op", bytes(range(256)) * 40)
    anchors = grid_anchors()
    model.postprocess([boxes, scores, model.tensor("anchors", anchors.shape, FLOAT, anchors)], ATTRIBUTES)
    return model


def frigate_labels(text):
    """{number: name} of a label file by Frigate's rule: numbers and names where the first line begins with a number, else lines."""
    lines = text.splitlines()
    if lines[0].split(" ", 1)[0].isdigit():
        return {int(number): name.strip() for number, name in (line.split(" ", 1) for line in lines)}
    return {number: line.strip() for number, line in enumerate(lines)}


def inside(content):
    """{name: bytes} of the files in a model, and their times."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}, {entry.date_time for entry in archive.infolist()}
