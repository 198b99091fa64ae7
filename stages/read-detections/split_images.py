"""The images of a split, as other programs may call them."""

from typing import NamedTuple

from _detection.detection_records import share_examples, text_of
from _runtime import StageError


class Image(NamedTuple):
    """place: in the split, from 0; width, height: pixels."""

    place: int
    name: str
    width: int
    height: int


class SplitImages:
    """Finds an image by id, sha256, or its file's name: whole, else without folders, else without its ending, if it is one's alone."""

    def __init__(self, images):
        """images: (id, sha256, `Image`) of each, in the split's order."""
        self._all = [image for _, _, image in images]
        self.count = len(images)
        self._ids = {number: image for number, _, image in images}
        self._sums = {digest: image for _, digest, image in images if digest}
        self._names = [{}, {}, {}]
        for _, _, image in images:
            for names, name in zip(self._names, _forms(image.name)):
                names[name] = None if name in names else image

    def all(self):
        """The `Image`s in the split's order."""
        return self._all

    def by_id(self, number):
        """The Image with the dataset's id, or None."""
        return self._ids.get(number)

    def by_sum(self, digest):
        """The Image whose file has that sha256 in hex, or None."""
        return self._sums.get(digest)

    def by_name(self, name):
        """The Image of a file's name, or None where none, or more than one, is called so."""
        if not name:
            return None
        return next((names[form] for names, form in zip(self._names, _forms(name)) if names.get(form) is not None), None)


def _forms(name):
    """A file's name as it is, without folders, and without its ending as well."""
    whole = name.replace("\\", "/")
    last = whole.rpartition("/")[2]
    return whole, last, last.rpartition(".")[0] or last


def read_images(folder, shares):
    """The `SplitImages` of records. Raises StageError where a record does not tell its image, or two tell the same id."""
    images, seen = [], {}
    for share in shares:
        for where, example in share_examples(folder, share):
            source = text_of(example, "image/source_id")
            if source is None or not source.isdecimal():
                raise StageError(
                    "a record does not tell its image", where, "image/source_id with its id", source, "build the records again"
                )
            if int(source) in seen:
                raise StageError(
                    "two records are of one image",
                    where,
                    "each image once",
                    "id %s, as in %s" % (source, seen[int(source)]),
                    "build the records again",
                )
            seen[int(source)] = where
            sides = [_side(example, key, where) for key in ("image/width", "image/height")]
            images.append(
                (int(source), text_of(example, "image/key/sha256"), Image(len(images), text_of(example, "image/filename") or "", *sides))
            )
    return SplitImages(images)


def _side(example, key, where):
    values = example.features.feature[key].int64_list.value if key in example.features.feature else ()
    if len(values) != 1 or values[0] < 1:
        raise StageError(
            "a record does not tell its image's size",
            "%s: %s" % (where, key),
            "a number of pixels",
            list(values),
            "build the records again",
        )
    return int(values[0])
