"""What a reader of any layout makes of an annotation, before it is checked."""

from pathlib import Path
from typing import NamedTuple, Optional

CORNERS = ("xmin", "ymin", "xmax", "ymax")
FLAGS = ("difficult", "truncated", "group_of", "crowd")


class RawObject(NamedTuple):
    """A labelled box as it is written."""

    label: str
    corners: list  # texts of CORNERS, None where absent
    flags: dict  # FLAGS to bool
    line: int  # in the annotation file, from 1
    number: int  # of the object in its file (VOC) or among its image's lines (CSV), from 1


class Annotation(NamedTuple):
    """An image and its objects, as an annotation file tells them."""

    split: str
    file: str  # the annotation file, relative to the dataset's folder
    line: int  # where the image is named
    image: Path
    size: Optional[tuple]  # declared (width, height) in pixels
    objects: list  # RawObject
