"""Write the dataset as TFRecord shards, byte for byte the same each time."""

import shutil
from collections import Counter
from itertools import islice

from record_shards import BOX, shard_plan, write_shards

from _detection import dataset as datasets
from _runtime import StageError, atomic_write, run, write_json


def main(task):
    """Write SPLIT.record-00000-of-0000N, SPLIT.boxes.npy, records.json and label_map.pbtxt."""
    source = task.input("dataset").path
    data = datasets.load(source)
    plan, total = shard_plan(data, task.params["shards"]), sum(data.counts(split)["images"] for split in data.splits)
    in_split, done = Counter(shard.split for shard in plan), []

    def told(records):
        done.append(records)
        task.progress(sum(done), total, "image")

    results = write_shards(plan, task.output, data.classes, task.cpus, told)
    splits = {split: write_split(task.output, data, split, islice(results, in_split[split])) for split in data.splits}
    write_json(task.output / "records.json", {"schema": 2, "classes": data.classes, "splits": splits})
    shutil.copyfile(str(source / "label_map.pbtxt"), str(task.output / "label_map.pbtxt"))
    task.metrics.update(images=sum(done), bytes=sum(shard["bytes"] for split in splits.values() for shard in split["shards"]))


def write_split(output, data, split, results):
    """Write SPLIT.boxes.npy of a split whose shards are `results`, as of `write_shards`; the split's entry in records.json."""
    shards, per_class = [], Counter()
    with atomic_write(output / (split + ".boxes.npy")) as stream:
        stream.write(boxes_header(data.counts(split)["objects"]))
        for shard, written in results:
            shards.append(written.index(shard.file))
            per_class += written.per_class
            stream.write(written.boxes)
    check_objects(data.folder / datasets.split_file(split), data.counts(split)["objects"], sum(per_class.values()))
    return {
        "images": sum(shard["records"] for shard in shards),
        "objects": sum(per_class.values()),
        "per_class": {name: per_class[name] for name in data.classes},
        "shards": shards,
    }


def check_objects(path, told, found):
    """Refuse a split with another number of objects than dataset.json told, by which its boxes' file is as long as it says."""
    if found != told:
        what = "a split of the dataset has another number of objects than dataset.json says"
        raise StageError(what, path, told, found, "build the dataset again")


def boxes_header(count):
    """What stands before `count` entries of `BOX` in an .npy file (format 1.0, numpy/lib/format.py): the same whatever NumPy writes."""
    names = ("class", "image", "width", "height")
    fields = ", ".join("('%s', '<%s4')" % (name, "i" if code == "i" else "f") for name, code in zip(names, BOX.format[1:]))
    text = "{'descr': [%s], 'fortran_order': False, 'shape': (%d,), }" % (fields, count)
    size = -(-(10 + len(text) + 1) // 64) * 64 - 10
    return b"\x93NUMPY\x01\x00" + size.to_bytes(2, "little") + text.ljust(size - 1).encode("ascii") + b"\n"


if __name__ == "__main__":
    run(main)
