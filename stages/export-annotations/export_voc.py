"""Pascal VOC: Annotations/NAME.xml, JPEGImages/NAME and ImageSets/Main/SPLIT.txt, with the tags that LabelImg writes.

http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/devkit_doc.html. Coordinates are edges from 0, as LabelImg has them, with fractions.
"""

import os
import re
from xml.sax.saxutils import escape

from export_names import UNSPECIFIED, distinct, flat, images_of

from _runtime import StageError, write_text

_TOLD = ("truncated", "difficult", "occluded")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # https://www.w3.org/TR/xml/#charsets


def names(listed, copies):
    """{image's id: name}, in one folder, each with another stem: the last part of the dataset's name, or all of it where that is taken."""
    del copies
    return distinct([(entry.id, [flat(entry, whole=False), flat(entry, whole=True)]) for entry in listed], _stem)


def _stem(name):
    """What two images must not have both, for there would be one XML file for them."""
    return os.path.splitext(name)[0].casefold()


def picture(entry, name):
    """Where an image's copy goes."""
    del entry
    return "JPEGImages/%s" % name


def write(folder, data, listed, named, copies, lost):
    """Write a file for each image, and a list for each split.

    named: as `names` gives it; copies: whether the images are there by these names; lost: a Counter of what cannot be told.
    """
    _check_classes(data)
    (folder / "Annotations").mkdir(parents=True)
    for split in data.splits:
        stems = []
        for image in images_of(data, split, listed):
            name = named[image["id"]]
            stems.append(os.path.splitext(name)[0])
            path = folder / "Annotations" / (stems[-1] + ".xml")
            path.write_text(_xml(image, name if copies else image["name"]), encoding="utf-8", newline="\n")
            _count_lost(image, lost)
        write_text(folder / "ImageSets" / "Main" / (split + ".txt"), "".join(stem + "\n" for stem in stems))


def _check_classes(data):
    for name in data.classes:
        if _NOT_XML.search(name):
            raise StageError(
                "a class's name cannot be written in XML",
                data.folder / "dataset.json",
                "no control characters",
                repr(name),
                "rename the class where it was labelled, or write `layout: coco`",
            )


def _count_lost(image, lost):
    lost["labels of whole images"] += "labels" in image
    for item in image["objects"]:
        lost["masks"] += "mask" in item
        lost["weights"] += "weight" in item
        for flag in ("group_of", "crowd", "depiction"):
            lost["the flag %s" % flag] += item[flag]


def _xml(image, name):
    objects = "".join(_object(item) for item in image["objects"])
    return _ANNOTATION.format(filename=_text(name), width=image["width"], height=image["height"], objects=objects)


def _object(item):
    box = [repr(int(value) if float(value).is_integer() else float(value)) for value in item["bbox"]]
    flags = {flag: int(item[flag]) for flag in _TOLD}
    return _OBJECT.format(name=_text(item["class"]), pose=_text(item.get("view") or UNSPECIFIED), box=box, **flags)


def _text(text):
    return escape(_NOT_XML.sub("_", text), {"\r": "&#13;"})


_ANNOTATION = """<annotation>
\t<folder>JPEGImages</folder>
\t<filename>{filename}</filename>
\t<source>
\t\t<database>Unknown</database>
\t</source>
\t<size>
\t\t<width>{width}</width>
\t\t<height>{height}</height>
\t\t<depth>3</depth>
\t</size>
\t<segmented>0</segmented>
{objects}</annotation>
"""
_OBJECT = """\t<object>
\t\t<name>{name}</name>
\t\t<pose>{pose}</pose>
\t\t<truncated>{truncated}</truncated>
\t\t<difficult>{difficult}</difficult>
\t\t<occluded>{occluded}</occluded>
\t\t<bndbox>
\t\t\t<xmin>{box[0]}</xmin>
\t\t\t<ymin>{box[1]}</ymin>
\t\t\t<xmax>{box[2]}</xmax>
\t\t\t<ymax>{box[3]}</ymax>
\t\t</bndbox>
\t</object>
"""
