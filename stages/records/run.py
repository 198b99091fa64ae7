"""Write the dataset as TFRecord shards, byte for byte the same each time."""
import hashlib
import shutil
from collections import Counter

import google.protobuf
from example import framed_example

from _detection import dataset as datasets
from _detection.workers import ordered_map
from _runtime import StageError, atomic_write, run, write_json


def main(task):
    """Write SPLIT.record-00000-of-0000N, records.json and label_map.pbtxt."""
    data = datasets.load(task.input("dataset").path)
    shards = task.params["shards"]
    ids = {name: number for number, name in enumerate(data.classes, 1)}
    splits, done = {}, 0
    for split in data.splits:
        images = in_order(data.images(split), split)
        if len(images) < shards:
            raise StageError("there are more shards than images", "split %s" % split, "at most %d shards" % len(images), shards,
                             "in the pipeline write `%s: {params: {shards: %d}}`" % (task.name, len(images)))
        jobs = [(str(data.path(image)), image, ids) for image in images]
        records = ordered_map(framed_example, jobs, task.cpus)
        files = []
        for number in range(shards):
            name = "%s.record-%05d-of-%05d" % (split, number, shards)
            count = len(range(number, len(images), shards)) if False else _share(len(images), number, shards)
            files.append(write_shard(task.output / name, records, count))
            done += count
            task.progress(done, len(data.images()), "image")
        per_class = Counter(item["class"] for image in images for item in image["objects"])
        splits[split] = {"images": len(images), "objects": sum(per_class.values()), "per_class": {name: per_class[name] for name in data.classes},
                         "shards": files}
    write_json(task.output / "records.json", {"schema": 1, "classes": data.classes, "splits": splits})
    shutil.copyfile(str(task.input("dataset").path / "label_map.pbtxt"), str(task.output / "label_map.pbtxt"))
    task.metrics.update(images=done, bytes=sum(shard["bytes"] for split in splits.values() for shard in split["shards"]))
    task.tools.update(protobuf=google.protobuf.__version__)


def in_order(images, split):
    """Train images in the order of their contents' hashes, so that every shard is mixed; others in the dataset's order."""
    return sorted(images, key=lambda image: (image["sha256"], image["id"])) if split == "train" else list(images)


def _share(total, number, shards):
    """How many of `total` records go into shard `number`: shards differ by one record at most."""
    return total // shards + (1 if number < total % shards else 0)


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
