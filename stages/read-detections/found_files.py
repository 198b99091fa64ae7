"""Which files hold the detections, and in which layout they are."""

import hashlib
from pathlib import Path

from _detection.record_folder import record_files
from _detection.tfrecord_reader import shard_of, spans
from _runtime import StageError, sha256_file

COCO, OPEN_IMAGES, TFRECORD = "coco", "open-images", "tfrecord"
_ENDINGS = {COCO: (".json",), OPEN_IMAGES: (".csv",)}
_EXPECTED = "COCO results (.json), a CSV of Open Images, or TFRecords"


def find(path, layout):
    """(layout, files) of a path. layout: one that is asked for, or "auto". Raises StageError where it is not clear."""
    path = Path(path)
    if not path.exists():
        raise StageError("there is no such file or folder", path, _EXPECTED, "nothing", "check `path`")
    found = {name: files for name, files in _candidates(path).items() if name and files and layout in ("auto", name)}
    if len(found) != 1:
        told = ", ".join("%s: %d" % (name, len(files)) for name, files in sorted(found.items())) or _listed(path)
        expected = _EXPECTED if layout == "auto" else "files of the layout %s" % layout
        remedy = "set `layout`, or give the file itself" if found else "check `path` and `layout`"
        raise StageError("several layouts are there" if found else "no detections are there", path, expected, told, remedy)
    name, files = next(iter(found.items()))
    if name == COCO and len(files) > 1:
        raise StageError(
            "there are several JSON files", path, "one file of results", ", ".join(file.name for file in files[:8]), "give the file itself"
        )
    return name, files


def _candidates(path):
    """{layout, or None: sorted files} of what a path may mean; a file's own ending says which, else its first bytes."""
    if path.is_dir():
        entries = sorted(entry for entry in path.iterdir() if entry.is_file() and not entry.name.startswith("."))
        told = {name: [entry for entry in entries if entry.suffix.lower() in endings] for name, endings in _ENDINGS.items()}
        return {**told, TFRECORD: record_files(path)}
    ending = next((name for name, endings in _ENDINGS.items() if path.suffix.lower() in endings), None)
    if ending is None and shard_of(path.name) is not None:
        ending = TFRECORD
    return {ending or _by_content(path): [path]}


def _by_content(path):
    with open(str(path), "rb") as stream:
        start = stream.read(512)
    if start.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"[", b"{"):
        return COCO
    if b"imageid" in start.split(b"\n")[0].lower():
        return OPEN_IMAGES
    first = next(spans(path), None)
    return TFRECORD if first is not None and first.damage is None else None


def _listed(path):
    names = sorted(entry.name for entry in path.iterdir())[:8] if path.is_dir() else ["a file of another kind"]
    return ", ".join(names) or "an empty folder"


def digest_of(files):
    """sha256 in hex: of a file, or of several files' sha256 one after another."""
    sums = [sha256_file(file) for file in files]
    return sums[0] if len(sums) == 1 else hashlib.sha256("".join(sums).encode("ascii")).hexdigest()
