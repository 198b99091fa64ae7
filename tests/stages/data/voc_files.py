"""Tiny labelled datasets on disk, and a stage's program run in this process."""

import io
import os
from pathlib import Path

import numpy as np
import yaml
from _runtime import Task
from PIL import Image

from stage_helpers import ROOT, STAGES, artifact, load

WIDTH, HEIGHT = 64, 48


def defaults(stage):
    """The parameters of a stage as the host fills them in."""
    contract = yaml.safe_load((STAGES / stage / "stage.yaml").read_text(encoding="utf-8"))
    return {name: declared.get("default") for name, declared in contract["params"].items()}


def run_here(stage, folder, inputs, cpus=1, **params):
    """Run a stage's main(task) in this process; its `Task`. A failure is the StageError itself."""
    unknown = set(params) - set(defaults(stage))
    if unknown:
        raise KeyError("no such parameters: %s" % unknown)
    output = Path(str(folder)) / "output"
    output.mkdir(parents=True)
    task = Task(
        {
            "schema": 1,
            "stage": stage,
            "name": stage,
            "params": dict(defaults(stage), **params),
            "inputs": inputs,
            "output": str(output),
            "scratch": str(folder),
            "result": str(Path(str(folder)) / "result.json"),
            "cpus": cpus,
            "run": None,
        }
    )
    load(stage, "run").main(task)
    return task


def ingest(folder, root, cpus=1, **params):
    """Run ingest on the folder `root`; its `Task`."""
    return run_here("ingest", folder, {"images": None}, cpus, path=str(root), **params)


def records(folder, dataset, cpus=1, **params):
    """Run records on the dataset in the folder `dataset`; its `Task`."""
    return run_here("records", folder, {"dataset": artifact("ingest", "dataset", dataset)}, cpus, **params)


def image_bytes(seed=0, size=(WIDTH, HEIGHT), kind="JPEG", mode="RGB", **options):
    """An encoded picture of noise; another seed gives another content."""
    pixels = np.random.RandomState(seed).randint(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(encoded, kind, **options)
    return encoded.getvalue()


_OBJECT = """
<object>
<name>%s</name>%s
<bndbox><xmin>%s</xmin><ymin>%s</ymin><xmax>%s</xmax><ymax>%s</ymax></bndbox>
</object>"""


def voc(filename="a.jpg", boxes=(("cat", 10, 10, 30, 40),), size=(WIDTH, HEIGHT), extra=""):
    """A VOC annotation. boxes: (label, xmin, ymin, xmax, ymax); extra: further tags in each object."""
    objects = "".join(_OBJECT % (box[0], extra, *box[1:]) for box in boxes)
    return "<annotation>\n<filename>%s</filename>\n<size><width>%d</width><height>%d</height><depth>3</depth></size>%s\n</annotation>\n" % (
        filename,
        size[0],
        size[1],
        objects,
    )


def write_pair(folder, stem, boxes=(("cat", 10, 10, 30, 40),), seed=None, **options):
    """FOLDER/STEM.jpg and FOLDER/STEM.xml; the content follows from the stem unless there is a seed."""
    folder = Path(str(folder))
    folder.mkdir(parents=True, exist_ok=True)
    content = sum(ord(char) * 31**place for place, char in enumerate(folder.name + stem)) % 2**31 if seed is None else seed
    (folder / (stem + ".jpg")).write_bytes(image_bytes(content))
    (folder / (stem + ".xml")).write_text(voc(stem + ".jpg", boxes, **options), encoding="utf-8")


def shared_data(name):
    """The folder `name` of the shared data, or None. $EDGEMILL_SHARED overrides ../shared."""
    folder = Path(os.environ.get("EDGEMILL_SHARED") or ROOT.parent / "shared") / "data" / name
    return folder if folder.is_dir() else None
