"""Datasets of schema 2 with pictures, as `ingest` leaves them, made without it."""

import hashlib

import synthetic
from voc_files import HEIGHT, WIDTH, image_bytes


def picture(split, number, objects=(), data=None, **more):
    """An image for `write_dataset`. data: its file's bytes, a JPEG of noise where there are none; more: replaces or adds entries."""
    data = image_bytes(number) if data is None else data
    digest, kind = hashlib.sha256(data).hexdigest(), "PNG" if data.startswith(b"\x89PNG") else "JPEG"
    facts = {"file": "images/%s.%s" % (digest, "png" if kind == "PNG" else "jpg"), "format": kind, "sha256": digest, "bytes": len(data)}
    return {**synthetic.image(number, list(objects), split, WIDTH, HEIGHT), **facts, **more, "data": data}


def write_dataset(folder, pictures, classes=("cat", "dog")):
    """A dataset artifact of `picture`s; its folder."""
    (folder / "images").mkdir(parents=True)
    images = []
    for each in pictures:
        (folder / each["file"]).write_bytes(each["data"])
        images.append({key: value for key, value in each.items() if key != "data"})
    images.sort(key=lambda image: (image["sha256"], image["id"]) if image["split"] == "train" else ("", image["id"]))
    synthetic.dataset(folder, images, list(classes))
    return folder
