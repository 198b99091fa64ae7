"""LabelMe: a JSON file for each image (the program of today), or an XML file (the web tool of MIT).

JSON: https://github.com/wkentaro/labelme, files of version 3 to 5; X-AnyLabeling writes it, too.
"""

import os
import re

from formats.listing import listed_files, read_list
from tables import PartBuilder

from layouts.base import IMAGE_FOLDERS, Layout, Source, both_ends, chunks, files_in, named_folders
from layouts.labelme_json import read_json
from layouts.labelme_xml import read_xml

_FOLDERS = ("Annotations", "annotations", "labels", "json", "jsons", "labelme")
_FILES = 50  # of a job: an image may be inside
_LOOKED_AT = 3  # files that a look at a folder opens
_SHAPES = re.compile(rb'"shapes"\s*:\s*\[')
_ROOT = re.compile(rb"<annotation[\s>]")
_OUTLINE = re.compile(rb"<(pt|segm)\b")


class LabelMe(Layout):
    """A folder with a JSON or XML file for each image."""

    name = "labelme"
    title = "LabelMe JSON and XML"

    def fits(self, path):
        if path.is_file():
            return _is_labelme(path)
        return any(_is_labelme(file) for _, files in _annotations(path) for file in files[:_LOOKED_AT])

    def source(self, places, split, spec):
        base = places.folder(split, "folder", spec["folder"]) if "folder" in spec else places.root
        start = places.folder(split, "annotations", spec["annotations"]) if "annotations" in spec else base
        found = [(folder, files) for folder, files in _annotations(start) if any(_is_labelme(file) for file in files[:_LOOKED_AT])]
        files = [file for _, some in found for file in some]
        named = [places.folder(split, "images", spec["images"])] if "images" in spec else [base, *named_folders(base, IMAGE_FOLDERS)]
        images = list(dict.fromkeys([*(folder for folder, _ in found), *named, places.root]))
        options = {"list": read_list(places, split, spec["list"])} if "list" in spec else {}
        return Source(split, self.name, files, images, listed="list" in spec, options=options)

    def jobs(self, source, places, scratch):
        files, findings = source.files, []
        if source.listed:
            suffix = os.path.splitext(source.files[0].name)[1] if source.files else ".json"
            files, findings = listed_files(source, places, suffix)
        for number, chunk in enumerate(chunks(files, _FILES) or [[]]):
            yield [(str(path), places.relative(path)) for path in chunk], str(places.root), findings if number == 0 else []

    def read(self, job):
        files, root, findings = job
        part = PartBuilder()
        part.findings.items += findings
        for path, file in files:
            if path.lower().endswith(".json"):
                read_json(part, path, file)
            else:
                read_xml(part, path, file, root)
        return part.finish()


def _annotations(folder):
    """[(folder, its JSON and XML files)]: the folder itself, or its sub-folder of a usual name, or the sub-folders of that."""
    for place in (folder, *named_folders(folder, _FOLDERS)):
        below = [] if place == folder else sorted(entry for entry in place.iterdir() if entry.is_dir())
        found = [(inner, files_in(inner, ".json", ".xml")) for inner in (place, *below)]
        if any(_is_labelme(file) for _, files in found for file in files[:_LOOKED_AT]):
            return found
    return []


def _is_labelme(path):
    suffix = path.suffix.lower()
    if suffix not in (".json", ".xml"):
        return False
    text = both_ends(path)
    if suffix == ".json":
        return _SHAPES.search(text) is not None
    return _ROOT.search(text) is not None and b"<bndbox" not in text and _OUTLINE.search(text) is not None
