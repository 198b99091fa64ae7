"""TFRecord shards of a dataset: planned first, then written, each independent of the others.

`shard_plan` tells everything that a shard's bytes depend on, so any range of the plan can be written anywhere, by any number of
processes, and gives the same files. Images go from their files into the shard within one process; what comes back of them is counts,
box sizes and the 16 bytes that frame each record.
"""

import hashlib
import json
import os
import shutil
import struct
from collections import Counter
from functools import partial
from itertools import islice
from typing import NamedTuple

from example import Examples

from _detection.dataset import split_file
from _detection.tfrecord import frame
from _detection.workers import ordered_map
from _runtime import StageError, atomic_write

AUTOMATIC = 64 << 20  # bytes of images that a shard holds at most, where their number is not given
_PART = 64 << 20  # bytes of images that one process writes at a time; a larger shard is put together from parts
_WORTH_A_PROCESS = 8 << 20
_WRITE = 1 << 20  # bytes at a time: the kernel takes a third of the time that it needs for each record alone
_MOST_SHARDS = 99999  # five digits in a file's name
BOX = struct.Struct("<iiff")  # class id, image id, width and height as fractions of the image's


class Part(NamedTuple):
    """`records` lines of SPLIT.jsonl from the byte `offset` on."""

    offset: int
    records: int


class Shard(NamedTuple):
    """One TFRecord file. folder: of the dataset, a string; masks: whether its objects have some; parts: of the file, in order."""

    folder: str
    split: str
    file: str
    masks: bool
    parts: tuple
    size: int  # bytes of its images, about


class Written(NamedTuple):
    """What a shard, or a part, holds. size: bytes; frames: 16 bytes a record; per_class: Counter of objects; boxes: `BOX` of each."""

    records: int
    size: int
    frames: bytes
    per_class: Counter
    boxes: bytes

    def index(self, file):
        """The shard's entry in records.json. frames: sha256 of the records' lengths and checksums, 16 bytes each, in their order."""
        return {"file": file, "records": self.records, "bytes": self.size, "frames": hashlib.sha256(self.frames).hexdigest()}


def shard_plan(dataset, shards):
    """The `Shard`s of all splits of a `Dataset`. shards: how many for each split, or 0: as many as their images' bytes ask for.

    The numbers of records of a split's shards differ by one at most, and none is empty. Raises StageError.
    """
    masks = any(dataset.counts(split)["masks"] for split in dataset.splits)
    return [shard for split in dataset.splits for shard in _split_plan(dataset, split, shards, masks)]


def _split_plan(dataset, split, shards, masks):
    images, total = (dataset.counts(split)[key] for key in ("images", "bytes"))
    number = min(images, shards or min(max(1, -(-total // AUTOMATIC)), _MOST_SHARDS))
    size = total // max(1, number)
    shares = [_shares(records, max(1, -(-size // _PART))) for records in _shares(images, number)]
    path = dataset.folder / split_file(split)
    offsets = iter(_offsets(path, [records for share in shares for records in share]))
    for place, share in enumerate(shares):
        name = "%s.record-%05d-of-%05d" % (split, place, number)
        yield Shard(str(dataset.folder), split, name, masks, tuple(Part(next(offsets), records) for records in share), size)


def _shares(total, number):
    """`total` things dealt to at most `number` places, at least one to each: a list of counts."""
    number = min(total, number)
    return [total // number + (place < total % number) for place in range(number)]


def _offsets(path, counts):
    """Where the lines begin of which the file has counts[0], counts[1], … in turn. Raises StageError where it has not as many."""
    offsets, place, short = [], 0, False
    with open(str(path), "rb") as stream:
        for count in counts:
            offsets.append(place)
            lengths = [len(line) for line in islice(stream, count)]
            place, short = place + sum(lengths), short or len(lengths) < count
        if short or stream.read(1):
            what = "a split of the dataset has another number of images than dataset.json says"
            raise StageError(what, path, "%d lines" % sum(counts), "fewer" if short else "more", "build the dataset again")
    return offsets


def write_shards(shards, output, classes, processes, told):
    """Write the `Shard`s of a plan, or of any range of it, into the folder `output`; yields (shard, `Written`) in their order.

    classes: names in the order of their ids; processes: how many shall compute at a time; told: called with each number of records that
    has been written. A shard appears whole or not at all. Raises StageError.
    """
    jobs = [(shard, part) for shard in shards for part in range(len(shard.parts))]
    # One more than asked for: each waits for the disk when its file is whole.
    processes = min(processes + 1, sum(shard.size for shard in shards) // _WORTH_A_PROCESS)
    results = ordered_map(partial(_write_part, str(output), classes), jobs, processes, chunk=1)
    for shard in shards:
        if len(shard.parts) == 1:
            written = next(results)
            told(written.records)
        else:
            written = _put_together(output, shard, results, told)
        yield shard, written


def _put_together(output, shard, results, told):
    parts = []
    with atomic_write(output / shard.file) as stream:
        for number in range(len(shard.parts)):
            parts.append(next(results))
            path = output / _part_name(shard, number)
            with open(str(path), "rb") as part:
                shutil.copyfileobj(part, stream, 1 << 20)
            path.unlink()
            told(parts[-1].records)
    return Written(
        sum(part.records for part in parts),
        sum(part.size for part in parts),
        b"".join(part.frames for part in parts),
        sum((part.per_class for part in parts), Counter()),
        b"".join(part.boxes for part in parts),
    )


def _part_name(shard, number):
    return shard.file if len(shard.parts) == 1 else ".%s.part-%05d" % (shard.file, number)


def _write_part(output, classes, job):
    """Write a part of a shard, a file of its own; what is `Written`."""
    shard, number = job
    ids = {name: place for place, name in enumerate(classes, 1)}
    examples, per_class, frames, boxes, size = Examples(ids, shard.masks), Counter(), [], [], 0
    path = os.path.join(output, _part_name(shard, number))
    with atomic_write(path) if len(shard.parts) == 1 else open(path, "wb") as stream:
        waiting, held = [], 0
        for image in _images(shard, shard.parts[number]):
            payload = examples.payload(image, read_image(shard.folder, image))
            before, after = frame(*payload)
            waiting += (before, *payload, after)
            held += len(before) + sum(map(len, payload)) + len(after)
            if held >= _WRITE:
                stream.write(b"".join(waiting))
                size, waiting, held = size + held, [], 0
            frames += (before, after)
            per_class.update([item["class"] for item in image["objects"]])
            boxes.append(_box_sizes(image, ids))
        stream.write(b"".join(waiting))
    return Written(shard.parts[number].records, size + held, b"".join(frames), per_class, b"".join(boxes))


def _images(shard, part):
    """The images of a part, as dicts; without what `dataset.parse_image` fills in."""
    with open(os.path.join(shard.folder, split_file(shard.split)), "rb") as stream:
        stream.seek(part.offset)
        yield from map(json.loads, islice(stream, part.records))


def read_image(folder, image):
    """The bytes of an image's file. Raises StageError where they are not those that were ingested."""
    path = os.path.join(folder, image["file"])
    try:
        with open(path, "rb", buffering=0) as stream:
            data = stream.read()
    except FileNotFoundError:
        raise StageError("an image of the dataset is missing", path, image["file"], "no such file", "build the dataset again") from None
    digest = hashlib.sha256(data).hexdigest()
    if digest != image["sha256"]:
        raise StageError("an image of the dataset has changed", path, "sha256 %s" % image["sha256"], digest, "build the dataset again")
    return data


def _box_sizes(image, ids):
    width, height, number, pack = image["width"], image["height"], image["id"], BOX.pack
    boxes = [(ids[item["class"]], item["bbox"]) for item in image["objects"]]
    return b"".join([pack(label, number, (xmax - xmin) / width, (ymax - ymin) / height) for label, (xmin, ymin, xmax, ymax) in boxes])
