"""Write the dataset as TFRecord shards, byte for byte the same each time."""

import hashlib
import shutil
from collections import Counter
from importlib.metadata import version

import google.protobuf
from example import framed_example

from _detection import dataset as datasets
from _detection.workers import ordered_map
from _runtime import atomic_write, run, write_json


def main(task):
    """Write SPLIT.record-00000-of-0000N, records.json and label_map.pbtxt."""
    source = task.input("dataset").path
    data = datasets.load(source)
    ids = {name: data.class_id(name) for name in data.classes}
    splits, done = {}, 0
    for split in data.splits:
        images = in_order(data.images(split), split)
        jobs = [(str(data.path(image)), image, ids) for image in images]
        records = ordered_map(framed_example, jobs, task.cpus)
        shards = []
        for name, count in shard_sizes(split, len(images), task.params["shards"]):
            shards.append(write_shard(task.output / name, records, count))
            done += count
            task.progress(done, len(data.images()), "image")
        per_class = Counter(item["class"] for image in images for item in image["objects"])
        splits[split] = {
            "images": len(images),
            "objects": sum(per_class.values()),
            "per_class": {name: per_class[name] for name in data.classes},
            "shards": shards,
        }
    write_json(task.output / "records.json", {"schema": 1, "classes": data.classes, "splits": splits})
    shutil.copyfile(str(source / "label_map.pbtxt"), str(task.output / "label_map.pbtxt"))
    task.metrics.update(images=done, bytes=sum(shard["bytes"] for split in splits.values() for shard in split["shards"]))
    task.tools.update(protobuf=google.protobuf.__version__, google_crc32c=version("google-crc32c"))


def in_order(images, split):
    """Train images in the order of their contents' hashes, so that every shard is mixed; others in the dataset's order."""
    return sorted(images, key=lambda image: (image["sha256"], image["id"])) if split == "train" else list(images)


def shard_sizes(split, records, shards):
    """(file name, number of records) of each shard; they differ by one record at most.

    None is empty: fewer records make fewer shards.
    """
    shards = min(shards, records)
    return [
        ("%s.record-%05d-of-%05d" % (split, number, shards), records // shards + (number < records % shards)) for number in range(shards)
    ]


def write_shard(path, records, count):
    """Write the next `count` of `records` (bytes); what records.json says of the file."""
    digest, size = hashlib.sha256(), 0
    with atomic_write(path) as stream:
        for _ in range(count):
            record = next(records)
            stream.write(record)
            digest.update(record)
            size += len(record)
    return {"file": path.name, "records": count, "bytes": size, "sha256": digest.hexdigest()}


if __name__ == "__main__":
    run(main)
