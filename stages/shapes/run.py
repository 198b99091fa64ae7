"""Write a generated dataset in the layout of LabelImg: SPLIT/NAME.jpg with SPLIT/NAME.xml beside it."""

import io
from xml.sax.saxutils import escape

import numpy as np
import PIL
from shape_drawing import draw

from _runtime import atomic_write, run, write_text

SPLITS = ("train", "val")
JPEG = {"format": "JPEG", "quality": 92, "subsampling": 0, "optimize": False}


def main(task):
    """Draw `params[train]` and `params[val]` pictures."""
    params = task.params
    total = sum(params[split] for split in SPLITS)
    done = objects = 0
    for split in SPLITS:
        for index in range(params[split]):
            picture, shapes = draw(params["size"], params["seed"], split, index)
            name = "%s_%05d" % (split, index + 1)
            encoded = io.BytesIO()
            picture.save(encoded, **JPEG)
            with atomic_write(task.output / split / (name + ".jpg")) as stream:
                stream.write(encoded.getvalue())
            write_text(task.output / split / (name + ".xml"), voc_xml(split, name + ".jpg", picture.size, shapes))
            done, objects = done + 1, objects + len(shapes)
            task.progress(done, total, "image")
    task.metrics.update(images=done, objects=objects)
    task.tools.update(pillow=PIL.__version__, numpy=np.__version__)


def voc_xml(folder, filename, size, shapes):
    """The annotation as LabelImg writes it; size: (width, height)."""
    objects = "".join(_OBJECT.format(label=escape(shape.label), box=shape.box) for shape in shapes)
    return _ANNOTATION.format(folder=escape(folder), filename=escape(filename), size=size, objects=objects)


_ANNOTATION = """<annotation>
\t<folder>{folder}</folder>
\t<filename>{filename}</filename>
\t<source>
\t\t<database>Unknown</database>
\t</source>
\t<size>
\t\t<width>{size[0]}</width>
\t\t<height>{size[1]}</height>
\t\t<depth>3</depth>
\t</size>
\t<segmented>0</segmented>
{objects}</annotation>
"""
_OBJECT = """\t<object>
\t\t<name>{label}</name>
\t\t<pose>Unspecified</pose>
\t\t<truncated>0</truncated>
\t\t<difficult>0</difficult>
\t\t<bndbox>
\t\t\t<xmin>{box[0]}</xmin>
\t\t\t<ymin>{box[1]}</ymin>
\t\t\t<xmax>{box[2]}</xmax>
\t\t\t<ymax>{box[3]}</ymax>
\t\t</bndbox>
\t</object>
"""

if __name__ == "__main__":
    run(main)
