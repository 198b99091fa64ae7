"""What a reader of any layout makes of an annotation, before it is checked."""
from collections import namedtuple

# split: its name. file: annotation file relative to the dataset's folder. line: where the image is named. filename: as written there.
# image: Path of the image. size: declared (width, height) or None. objects: list of RawObject.
Annotation = namedtuple("Annotation", "split file line image size objects")

# label: str. corners: texts of xmin, ymin, xmax, ymax (None where absent). flags: dict of difficult, truncated, group_of, crowd.
# line: in the annotation file, from 1. number: of the object in its file (VOC) or image (CSV), from 1.
RawObject = namedtuple("RawObject", "label corners flags line number")

CORNERS = ("xmin", "ymin", "xmax", "ymax")
FLAGS = ("difficult", "truncated", "group_of", "crowd")
