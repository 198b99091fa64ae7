"""The Oxford-IIIT Pet dataset (https://www.robots.ox.ac.uk/~vgg/data/pets/): boxes of heads in VOC's XML, and trimaps of whole animals.

A trimap's pixels are 1 for the animal, 2 for the background and 3 for what is not classified, mostly its outline; the mask is 1 and 3, as
in the Object Detection API's recipe for this dataset (research/object_detection/dataset_tools/create_pet_tf_record.py). That recipe skips
images without XML, as most of test.txt is, and so does this reader, with a warning.
"""

import re
from typing import NamedTuple

from formats.listing import read_list
from masks import MaskError, area_box, to_rle
from pictures.image_files import clean_name
from PIL import Image as Picture
from tables import Image, PartBuilder

from _detection.resize import DAMAGED
from _runtime import StageError
from layouts.base import IMAGE_FOLDERS, Layout, Source, both_ends, chunks, files_in, named_folders, read_text
from layouts.voc import read_annotation

_LISTS = {"trainval.txt": "train", "train.txt": "train", "val.txt": "val", "test.txt": "test"}
_ALLOWED = {"label": ("breed", "species"), "boxes": ("head", "body")}  # the first one is taken where none is told
_SPECIES = {"1": "cat", "2": "dog"}
_ANIMAL = [1, 3]  # values of a trimap's pixels
_FILES = 200  # of a job
_LOOKED_AT = 5  # XML files
_BREED = re.compile(r"(.+)_[0-9]+")


class _Pet(NamedTuple):
    """An image on its way to `read`. path, file: of its XML or trimap, and its name for messages; label: None for the XML's own."""

    name: str
    path: str
    file: str
    label: str


class OxfordPets(Layout):
    """Options of a split: label, breed (by the file's name) or species; boxes, head (the XML's) or body (the trimap's, with its mask)."""

    name = "oxford-pets"
    title = "Oxford-IIIT Pet (xmls and trimaps)"
    options = ("label", "boxes")

    def fits(self, path):
        folder = _annotations(path) if path.is_dir() else None
        return folder is not None and any((folder / name).is_file() for name in ("list.txt", *_LISTS)) and _is_pets(folder)

    def splits(self, folder):
        """The dataset's own lists, if at least half of the images have a head's box: test.txt, which has only trimaps, is left out."""
        annotations, found = _annotations(folder), {}
        heads = {path.stem for path in _files(annotations, "xmls")} if annotations is not None else set()
        for name, split in _LISTS.items():
            if split not in found and heads and (annotations / name).is_file():
                listed = [_first(line) for line in read_text(annotations / name, "the list").splitlines() if _first(line)]
                if 2 * sum(pet in heads for pet in listed) >= len(listed) > 0:
                    found[split] = {"list": (annotations / name).relative_to(folder).as_posix()}
        return found if "train" in found else None

    def source(self, places, split, spec):
        chosen = {option: _option(places, split, spec, option) for option in _ALLOWED}
        folder = places.folder(split, "annotations", spec["annotations"]) if "annotations" in spec else places.root
        if "folder" in spec:
            folder = places.folder(split, "folder", spec["folder"])
        annotations = _annotations(folder)
        below = {"head": "xmls", "body": "trimaps"}[chosen["boxes"]]
        files = _files(annotations, below) if annotations is not None else []
        if not files:
            other = places.remedy(split, "boxes", "body" if below == "xmls" else "head")
            raise StageError(
                "there are no %s" % below,
                folder,
                "annotations/%s" % below,
                "none",
                "add that folder, name the one that holds it as `annotations`, or %s" % other,
            )
        lines = read_list(places, split, spec["list"]) if "list" in spec else None
        if "images" in spec:
            images = [places.folder(split, "images", spec["images"])]
        else:
            images = [path for base in (annotations.parent, annotations) for path in (*named_folders(base, IMAGE_FOLDERS), base)]
        options = {**chosen, "list": lines, "classes": _classes(annotations, chosen["label"])}
        return Source(split, self.name, files, images, listed=lines is not None, options=options)

    def jobs(self, source, places, scratch):
        part = PartBuilder()
        pets = self._pets(source, places, part.findings)
        for number, chunk in enumerate(chunks(pets, _FILES) or [[]]):
            yield chunk, source.options["boxes"], part.findings.items if number == 0 else []

    def _pets(self, source, places, findings):
        """A `_Pet` for each image that is read."""
        heads = source.options["boxes"] == "head"
        known = {path.stem: path for path in source.files}
        file, lines = source.options["list"] or ("", [(None, name) for name in known])
        pets, seen = [], {}
        for line, text in lines:
            name, *columns = text.split()
            if name.startswith("#"):
                continue
            name = re.sub(r"\.(jpg|jpeg|png)$", "", name)
            path = known.get(name)
            if name in seen:
                findings.doubt("listed-twice", file, "%s is listed in line %d already" % (name, seen[name]), line)
            elif path is None and heads:
                findings.doubt("image-unlabelled", file, "%s has no XML with the box of its head: it is left out" % name[:200], line)
            elif path is None:
                findings.bad("annotation-missing", file, "there is no trimap %s.png" % name[:200], line)
            else:
                label = _label(name, columns, source.options["label"], heads)
                if label is None:
                    findings.bad("label-empty", places.relative(path), "the name tells no breed: Abyssinian_100 is one that does")
                else:
                    pets.append(_Pet(name, str(path), places.relative(path), label or None))
            seen.setdefault(name, line)
        if not pets and heads and source.listed:
            raise StageError(
                "no image of the list has the box of a head",
                file,
                "XML files in xmls for the images that the list names",
                "%d names" % len(seen),
                "take the boxes around the trimaps: %s" % places.remedy(source.split, "boxes", "body"),
            )
        return pets

    def read(self, job):
        pets, boxes, findings = job
        part = PartBuilder()
        part.findings.items += findings
        for pet in pets:
            if boxes == "head":
                read_annotation(part, pet.path, pet.file, pet.label)
            else:
                _read_trimap(part, pet)
        return part.finish()


def _annotations(folder):
    """The folder that holds xmls or trimaps: the given one or its sub-folder, or None."""
    places = (folder, *named_folders(folder, ("annotations",)))
    return next((place for place in places if named_folders(place, ("xmls", "trimaps"))), None)


def _is_pets(annotations):
    """Whether it is the dataset or a part of it, and not VOC in folders of the same names: the XML has cats and dogs."""
    heads = _files(annotations, "xmls")[:_LOOKED_AT]
    named = {name for path in heads for name in re.findall(rb"<name>\s*(.*?)\s*</name>", both_ends(path))}
    return not named or bool(named & {b"cat", b"dog"})


def _files(annotations, below):
    suffix = ".xml" if below == "xmls" else ".png"
    return [path for folder in named_folders(annotations, (below,)) for path in files_in(folder, suffix)]


def _option(places, split, spec, option):
    value = spec.get(option, _ALLOWED[option][0])
    if value not in _ALLOWED[option]:
        raise StageError(
            "a split's option has a value that the layout does not know",
            "splits.%s.%s" % (split, option),
            " or ".join(_ALLOWED[option]),
            value,
            places.remedy(split, option, _ALLOWED[option][0]),
        )
    return value


def _first(line):
    """The image that a line of a list names, or None for comments and empty lines."""
    return None if line.lstrip().startswith("#") else next(iter(line.split()), None)


def _breed(name):
    match = _BREED.fullmatch(name)
    return match.group(1) if match else None


def _label(name, columns, label, heads):
    """The class of an image; None where the name tells none, "" where the XML tells it. columns: of the list, after the name."""
    if label == "breed":
        return _breed(name)
    if heads:
        return ""
    # The names of cats' breeds begin with a capital, as the dataset's README says.
    return _SPECIES.get(columns[1] if len(columns) > 1 else "") or ("cat" if name[:1].isupper() else "dog")


def _classes(annotations, label):
    """The classes in the order of the class ids in list.txt; None where it is not there."""
    if label == "species":
        return ["cat", "dog"]
    path = annotations / "list.txt"
    found = {}
    for line in read_text(path, "the list").splitlines() if path.is_file() else []:
        cells = line.split()
        if _first(line) and len(cells) > 1 and re.fullmatch("[0-9]{1,4}", cells[1]) and _breed(cells[0]):
            found.setdefault(_breed(cells[0]), int(cells[1]))
    return sorted(found, key=lambda name: (found[name], name)) or None


def _read_trimap(part, pet):
    """Add an image with the animal's mask, and the box around it."""
    name = clean_name(pet.name + ".jpg")
    if name is None:
        part.findings.refuse("filename-outside", pet.file, "the name leads out of the images' folder")
        return
    try:
        width, height = _size(pet.path)
        rle = to_rle({"picture": pet.path, "values": _ANIMAL}, width, height)
    except MaskError as error:
        part.findings.bad(error.code, pet.file, str(error))
        return
    row = part.image(Image(name, pet.file, 0, width, height, pet.name))
    part.object(row, pet.label, area_box(rle), 0, 1, mask={"rle": rle})


def _size(path):
    try:
        with Picture.open(path) as picture:
            return picture.size
    except DAMAGED as error:
        raise MaskError("the trimap cannot be decoded: %s" % (" ".join(str(error).split()) or type(error).__name__)) from None
