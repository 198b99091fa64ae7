"""Pascal VOC annotations (LabelImg, CVAT and Roboflow write them too): an XML file for each image, read by tag, whatever their order.

Tags: http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/devkit_doc.html. The absolute <path> of LabelImg is ignored.
"""

import os
import re

from audit.findings import Findings
from formats.box_text import corner_numbers
from formats.listing import listed_files, read_list
from formats.xml_file import parse_xml, text_of
from pictures.image_files import clean_name
from tables import DIFFICULT, OCCLUDED, TRUNCATED, Image, PartBuilder

from layouts.base import IMAGE_FOLDERS, Layout, Source, chunks, files_in, named_folders

_ANNOTATION_FOLDERS = ("Annotations", "annotations", "labels", "xml", "xmls")
_LISTS = "ImageSets/Main"
_LABELME_TAGS = {b"imagesize", b"sourceImage", b"segm", b"pt"}
_TRUE, _FALSE = ("1", "true", "yes"), ("0", "false", "no", "unspecified", "")
_FLAGS = {"difficult": DIFFICULT, "truncated": TRUNCATED, "occluded": OCCLUDED}
_FILES = 200  # of a job
_LOOKED_AT = 20  # files, of which one must begin as an annotation
_PEEKED = 4096  # bytes


class Voc(Layout):
    """A folder with an XML file for each image."""

    name = "voc"
    title = "Pascal VOC XML"

    def fits(self, path):
        if path.is_file():
            return path.suffix.lower() == ".xml" and _is_voc(path)
        return any(_is_voc(file) for file in _annotations(path)[1][:_LOOKED_AT])

    def splits(self, folder):
        """VOC's own lists, where each annotation's split is told."""
        lists = {split: folder / _LISTS / (split + ".txt") for split in ("train", "val", "test")}
        found = {split: {"list": "%s/%s.txt" % (_LISTS, split)} for split, path in lists.items() if path.is_file()}
        return found if "train" in found else None

    def source(self, places, split, spec):
        if "list" in spec:
            folder = places.folder(split, "annotations", spec["annotations"]) if "annotations" in spec else _annotations(places.root)[0]
            lines = read_list(places, split, spec["list"])
            images = self._images(places, split, spec, folder, places.root)
            return Source(split, self.name, files_in(folder, ".xml"), images, listed=True, options={"list": lines})
        if "annotations" in spec:
            folder, base = places.folder(split, "annotations", spec["annotations"]), places.root
        else:
            base = places.folder(split, "folder", spec["folder"])
            folder = _annotations(base)[0]
        return Source(split, self.name, files_in(folder, ".xml"), self._images(places, split, spec, folder, base))

    def _images(self, places, split, spec, beside, base):
        """The annotations' own folder; and the one that the pipeline names, else `base` and its folders with usual names."""
        named = [places.folder(split, "images", spec["images"])] if "images" in spec else [base, *named_folders(base, IMAGE_FOLDERS)]
        return named if beside in named else [beside, *named]

    def jobs(self, source, places, scratch):
        if source.listed:
            files, findings = listed_files(source, places, ".xml")
        else:
            files, findings = source.files, _unread(source, places)
        for number, chunk in enumerate(chunks(files, _FILES) or [[]]):
            yield [(str(path), places.relative(path)) for path in chunk], findings if number == 0 else None

    def read(self, job):
        files, findings = job
        part = PartBuilder()
        part.findings.items += findings or []
        for path, file in files:
            read_annotation(part, path, file)
        return part.finish()


def _annotations(folder):
    """(the folder, its XML files): itself, or its sub-folder of a usual name."""
    for place in (folder, *named_folders(folder, _ANNOTATION_FOLDERS)):
        files = files_in(place, ".xml")
        if files:
            return place, files
    return folder, []


def _unread(source, places):
    """A `Finding` for each folder beside the annotation files that holds some more."""
    findings = Findings()
    for below in sorted(entry for entry in source.files[0].parent.iterdir() if entry.is_dir()) if source.files else ():
        number = 0 if below.name.startswith(".") else len(files_in(below, ".xml"))
        if number:
            findings.doubt("subfolder-unread", places.relative(below), "%d annotation files in this sub-folder were not read" % number)
    return findings.items


def _is_voc(path):
    """Whether the file begins as an annotation, and not as the LabelMe web tool's; what is no XML counts too: this layout tells of it."""
    with open(str(path), "rb") as stream:
        start = stream.read(_PEEKED).replace(b"\0", b"")
    tags = re.findall(rb"<([A-Za-z_][\w.-]*)", start)
    return not tags or (tags[0] == b"annotation" and not _LABELME_TAGS & set(tags))


def read_annotation(part, path, file, label=None):
    """Add an annotation file to the part; where it is unusable, only the finding that says why. label: of all objects, if not <name>."""
    findings = part.findings
    root = parse_xml(path, file, findings)
    if root is None:
        return
    if root.tag != "annotation":
        findings.bad("xml-not-voc", file, "the outermost tag is <%s>, where <annotation> was expected" % root.tag, root.sourceline)
        return
    element = root.find("filename")
    line = root.sourceline if element is None else element.sourceline
    written = text_of(root, "filename") or ""
    name = clean_name(written)
    if name is None:
        findings.refuse("filename-outside", file, "<filename> %s leads out of the images' folder" % written, line)
        return
    width, height = _size(root, file, findings)
    stem = os.path.splitext(os.path.basename(path))[0]
    row = part.image(Image("" if name == "." else name, file, line, width, height, stem))
    for number, element in enumerate(root.findall("object"), 1):
        _object(part, row, element, number, file, label)


def _size(root, file, findings):
    """Declared (width, height); 0, 0 where absent or 0, as some tools leave it."""
    size = root.find("size")
    texts = [None, None] if size is None else [text_of(size, "width"), text_of(size, "height")]
    if all(text is not None and text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0 for text in texts):
        return int(texts[0]), int(texts[1])
    line = root.sourceline if size is None else size.sourceline
    findings.doubt("size-undeclared", file, "the image's size is not declared; the file's own was taken", line)
    return 0, 0


def _object(part, row, element, number, file, label):
    label = label or text_of(element, "name")
    if not label:
        part.findings.bad("label-empty", file, "the object has no <name>", element.sourceline, number)
        return
    box = element.find("bndbox")
    if box is None:
        tags = ", ".join("<%s>" % child.tag for child in element)
        part.findings.bad("box-missing", file, "%s has no <bndbox>, only %s" % (label, tags), element.sourceline, number)
        return
    flags = 0
    for tag, bit in _FLAGS.items():
        flags |= bit * _flag(part, element, tag, number, file)
    texts = [text_of(box, corner) for corner in ("xmin", "ymin", "xmax", "ymax")]
    numbers = corner_numbers(texts, label, file, box.sourceline, number, part.findings)
    if numbers is not None:
        part.object(row, label, numbers, box.sourceline, number, flags, view=_view(element))


def _view(element):
    """The <pose> that is told, or None."""
    pose = text_of(element, "pose")
    return pose if pose and pose.lower() != "unspecified" else None


def _flag(part, element, tag, number, file):
    text = (text_of(element, tag) or "").lower()
    if text not in _TRUE + _FALSE:
        line = element.find(tag).sourceline
        part.findings.doubt("flag-unclear", file, "<%s> is %s, where 0 or 1 was expected; taken as 0" % (tag, text), line, number)
    return text in _TRUE
