"""CVAT's XML, "CVAT for images 1.1": one file for all images, read as a stream.

https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/. A polygon's, mask's or ellipse's box is the one around it; lines, points,
cuboids and skeletons have none. "CVAT for video" tells tracks, not images, and is refused.
"""

import json
import re
from pathlib import Path

from audit.findings import Findings
from formats.xml_stream import top_elements
from pictures.image_files import clean_name
from tables import PIXELS, Image, PartBuilder

from _detection.split_names import USUAL_SPLITS
from _runtime import StageError
from layouts.base import IMAGE_FOLDERS, Layout, Source, files_in, named_folders
from layouts.cvat_shapes import Shape, add_shape

_PEEKED = 4096  # bytes
_FILES_PEEKED = 5
_IMAGES, _SHAPES = 500, 20_000  # of a job
_SHOWN = 12  # names in a message


class Cvat(Layout):
    """Option of a split: subset, the name of the images' subset, where the file holds several."""

    name = "cvat"
    title = "CVAT for images 1.1 XML"
    ways = ("folder", "annotations", "images")
    options = ("subset",)

    def fits(self, path):
        if path.is_file():
            return path.suffix.lower() == ".xml" and _is_cvat(path)
        return any(_is_cvat(file) for file in files_in(path, ".xml")[:_FILES_PEEKED])

    def splits(self, folder):
        """Files named like the splits; or the subsets of the only file, which is read for them."""
        files = [path for path in files_in(folder, ".xml") if _is_cvat(path)]
        named = {USUAL_SPLITS.get(path.stem.lower()): {"annotations": path.name} for path in files}
        if files and None not in named and len(named) == len(files):
            return named
        found = _subsets(files[0]) if len(files) == 1 else {""}
        if found <= {""}:
            return None
        return {split: {"annotations": files[0].name, "subset": subset} for split, subset in _split_names(found).items()}

    def source(self, places, split, spec):
        way = "annotations" if "annotations" in spec else "folder"
        path = places.either(split, way, spec[way])
        files = [path] if path.is_file() else [file for file in files_in(path, ".xml") if _is_cvat(file)]
        if not files:
            raise StageError("there is no CVAT XML", path, "annotations.xml", _names_in(path), places.remedy(split, "annotations", "FILE"))
        base = files[0].parent
        named = [places.folder(split, "images", spec["images"])] if "images" in spec else [*named_folders(base, IMAGE_FOLDERS), base]
        subset = spec.get("subset")
        images = [below for folder in named for below in named_folders(folder, [subset or ""])] + named
        classes = list(dict.fromkeys(name for file in files for name in _labels(file, places.relative(file))))
        return Source(split, self.name, files, list(dict.fromkeys(images)), options={"classes": classes, "subset": subset})

    def jobs(self, source, places, scratch):
        """Images go through files in `scratch`, so that they are not all in memory at once."""
        subset, others, number = source.options["subset"], set(), 0
        for path in source.files:
            file, findings = places.relative(path), Findings()
            for images in _chunks(_images(path, file, findings, subset, others)):
                chunk = Path(scratch) / ("cvat-%s-%d.json" % (source.split, number))
                chunk.write_text(json.dumps(images), encoding="utf-8")
                number += 1
                yield str(chunk), file, []
            if findings.items:
                yield None, file, findings.items
                others.clear()  # what is missing may be in the rest of the file
        if subset is not None and number == 0 and others:
            raise StageError(
                "no image is of the split's subset",
                source.files[0],
                "images of the subset %s" % subset,
                "images of %s" % ", ".join(sorted(other or "no subset" for other in others)[:_SHOWN]),
                places.remedy(source.split, "subset", "NAME"),
            )

    def read(self, job):
        chunk, file, findings = job
        part = PartBuilder(PIXELS)
        part.findings.items += findings
        polygons = []
        for image in json.loads(Path(chunk).read_text(encoding="utf-8")) if chunk is not None else []:
            _read_image(part, file, image, polygons)
        if polygons:
            message = "polygons and masks: %d, this one first; the box is the one around them" % len(polygons)
            part.findings.note("box-from-polygon", file, message, *polygons[0])
        return part.finish()


def _is_cvat(path):
    """Whether the file begins as CVAT's, for images or for video."""
    try:
        with open(str(path), "rb") as stream:
            start = stream.read(_PEEKED).replace(b"\0", b"")
    except OSError:
        return False
    tags = re.findall(rb"<([A-Za-z_][\w.-]*)", start)
    return tags[:1] == [b"annotations"] and (len(tags) == 1 or tags[1] in (b"version", b"meta", b"image", b"track"))


def _names_in(folder):
    names = sorted(entry.name for entry in folder.iterdir())
    return ", ".join(names[:_SHOWN]) or "nothing"


def _refuse_video(element, path):
    if element.tag == "track":
        raise StageError(
            "the file is CVAT for video, which tells tracks instead of images",
            "%s:%d" % (path, element.sourceline),
            "CVAT for images 1.1",
            "<track>",
            'export the task again from CVAT, in the format "CVAT for images 1.1"',
        )


def _subsets(path):
    """The subsets that the images name; "" for those that name none."""
    return {element.get("subset", "") for element in top_elements(path, path.name, Findings()) if element.tag == "image"}


def _split_names(subsets):
    """{split: subset}: train, val and test for their usual names, else the subset's own; of one subset alone train."""
    found = {}
    for subset in sorted(subsets, key=lambda name: (USUAL_SPLITS.get(name) != name, name.lower() not in USUAL_SPLITS, name)):
        own = re.sub(r"[^A-Za-z0-9_-]+", "-", subset).strip("-_")[:60] or "default"
        split = USUAL_SPLITS.get(subset.lower(), own)
        if split in found:
            split = own
        while split in found:
            split += "-2"
        found[split] = subset
    if len(subsets) == 1 and not set(found) & set(USUAL_SPLITS.values()):
        return {"train": next(iter(subsets))}
    return found


def _labels(path, file):
    """The class names that <meta> lists, in its order, without those of a skeleton's points. Raises StageError for other files."""
    findings = Findings()
    for element in top_elements(path, file, findings):
        if element.getparent().tag != "annotations":
            raise StageError("the file is not CVAT's", path, "<annotations>", "<%s>" % element.getparent().tag, "name CVAT's XML")
        _refuse_video(element, path)
        if element.tag == "image":
            return []
        if element.tag == "meta":
            labels = [label for label in element.iter("label") if label.find("parent") is None]
            return [name for name in ((label.findtext("name") or "").strip() for label in labels) if name]
    return []


def _images(path, file, findings, subset, others):
    """Each image as [attributes, line, shapes], a shape as [tag, attributes, line, {attribute: text}]. others: gets other subsets."""
    for element in top_elements(path, file, findings):
        _refuse_video(element, path)
        if element.tag != "image":
            continue
        if subset is not None and element.get("subset", "") != subset:
            others.add(element.get("subset", ""))
            continue
        shapes = []
        for shape in element.iterchildren("*"):
            attributes = {item.get("name", ""): (item.text or "").strip() for item in shape.iterchildren("attribute")}
            shapes.append((shape.tag, dict(shape.attrib), shape.sourceline, attributes))
        yield dict(element.attrib), element.sourceline, shapes


def _chunks(images):
    chunk, shapes = [], 0
    for image in images:
        chunk.append(image)
        shapes += len(image[2])
        if len(chunk) >= _IMAGES or shapes >= _SHAPES:
            yield chunk
            chunk, shapes = [], 0
    if chunk:
        yield chunk


def _read_image(part, file, image, polygons):
    attributes, line, shapes = image
    written = attributes.get("name", "").strip()
    name = clean_name(written)
    if name is None:
        part.findings.refuse("filename-outside", file, "the image's name %s leads out of the images' folder" % written[:200], line)
        return
    if name in ("", "."):
        part.findings.bad("image-missing", file, "the image has no name", line)
        return
    width, height = (_whole(attributes.get(side, "")) for side in ("width", "height"))
    if width == 0 or height == 0:
        part.findings.doubt("size-undeclared", file, "the image's size is not declared; the file's own was taken", line)
        width, height = 0, 0
    labels = [(values.get("label", "").strip(), True) for tag, values, _, _ in shapes if tag == "tag"]
    row = part.image(Image(name, file, line, width, height, labels=tuple(label for label in labels if label[0]) or None))
    for number, (tag, values, place, inner) in enumerate(shapes, 1):
        label = values.get("label", "").strip()
        if not label:
            part.findings.bad("label-empty", file, "the <%s> has no label" % tag, place, number)
        elif tag != "tag" and add_shape(part, row, Shape(tag, label, values, inner, (width, height), file, place, number)):
            polygons.append((place, number))


def _whole(text):
    text = text.strip()
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else 0
