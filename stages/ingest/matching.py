"""Which image file each annotation means, and what is in these files."""

import os
from pathlib import Path

from audit.problems import printable
from pictures.image_files import ImageFolder, check_image

from _detection.workers import ordered_map


def find_images(table, sources, places, audit):
    """The Path of each image of the table, or None (told to the audit); images that no annotation names are told, too."""
    folders = {path: ImageFolder(path) for source in sources for path in source.images}
    found = [
        Path(image.path) if image.path is not None else _find(image, row, [folders[path] for path in sources[number].images], audit)
        for row, (image, number) in enumerate(zip(table.images, table.source.tolist(), strict=True))
    ]
    if not any(source.listed for source in sources):  # a list is a choice: what it leaves out is meant
        _report_unlabelled(places, sources, folders, found, audit)
    return [_writable(path, row, places, audit) for row, path in enumerate(found)]


def _writable(path, row, places, audit):
    """The path, or None where its name cannot be written down."""
    if path is None or printable(str(path)) == str(path):
        return path
    audit.bad("name-not-utf8", places.relative(path), "the image's name is not UTF-8: rename it", image=row)
    return None


def _find(image, row, folders, audit):
    for folder in folders if image.name else []:
        path = folder.find(image.name)
        if path is not None:
            return path
    shown = image.name or "(no file name)"
    for folder in folders if image.stem else []:
        path = folder.find_stem(image.stem)
        if path is not None:
            message = "there is no image %s; took %s, named like the annotation" % (shown, path.name)
            audit.doubt("image-by-stem", image.file, message, image.line, image=row)
            return path
    base = os.path.basename(image.name)
    for folder in folders if base != image.name and base else []:
        path = folder.find(base)
        if path is not None:
            message = "there is no image %s; took %s, which has its name" % (shown, path.name)
            audit.doubt("image-by-name", image.file, message, image.line, image=row)
            return path
    looked = " or ".join(dict.fromkeys(folder.folder.name for folder in folders)) or "any folder"
    nor = " (nor %s with an image's extension)" % image.stem if image.stem else ""
    audit.bad("image-missing", image.file, "no image %s%s in %s" % (shown, nor, looked), image.line, image=row)
    return None


def image_names(table, paths, places):
    """The name of each image: its file's, relative to the dataset's folder, or, where there is no file in there, as it is written."""
    inside = str(places.root) + os.sep
    return [
        image.name if path is None or not str(path).startswith(inside) else places.relative(path)
        for image, path in zip(table.images, paths, strict=True)
    ]


def _report_unlabelled(places, sources, folders, found, audit):
    used = set(found)
    stems = {path.stem for source in sources for path in source.files}  # an annotation of that name that was unusable is reported already
    for path in sorted(folders):
        for name in folders[path].names():
            if path / name not in used and os.path.splitext(name)[0] not in stems:
                audit.doubt("image-unlabelled", places.relative(path / name), "no annotation names this image; it is left out")


def check_images(paths, folder, processes, progress):
    """{path: `Checked`} of the images. folder: where copies go, named by content."""
    paths = sorted({path for path in paths if path is not None})
    checked = {}
    for path, result in zip(paths, ordered_map(check_image, [(str(path), str(folder)) for path in paths], processes), strict=True):
        checked[path] = result
        progress(len(checked), len(paths), "image")
    return checked
