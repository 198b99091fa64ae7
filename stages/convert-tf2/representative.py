"""The representative images: drawn from the records' train split, and prepared as those that the model will run on.

Decoding and resizing are those of inference (`_detection.inference.record_input`), and the converter normalizes with the mean and std
that stand in graph.json: so there is no way to calibrate with other preprocessing than the model gets.
"""

import numpy as np

from _detection.detection_records import chosen_examples
from _detection.inference import record_input
from _runtime import StageError, atomic_write

SPLIT = "train"


def draw(index, count, seed):
    """[(name of a shard, places in it)] of `count` images of the train split, or of all where there are fewer.

    index: the value of records.json. The same for the same records and seed. Raises StageError where there is nothing to draw from.
    """
    shards = index["splits"].get(SPLIT, {"shards": []})["shards"]
    total = sum(shard["records"] for shard in shards)
    if not total:
        found = ", ".join("%s: %d images" % (name, split["images"]) for name, split in sorted(index["splits"].items())) or "no split"
        raise StageError("there are no images to calibrate with", "records.json: split %s" % SPLIT, "one image or more", found, _remedy())
    chosen = np.sort(np.random.RandomState(seed).permutation(total)[:count])
    drawn, first = [], 0
    for shard in shards:
        places = chosen[(chosen >= first) & (chosen < first + shard["records"])] - first
        if len(places):
            drawn.append((shard["file"], places.tolist()))
        first += shard["records"]
    return drawn


def _remedy():
    return "split the dataset (ingest), or convert with quantization: float16, which measures nothing"


def write_images(folder, drawn, size, path):
    """Write the drawn images' pixels, uint8 [n, height, width, 3], to `path`, whole or not at all. folder: of the records.

    Raises StageError where a record or its image is missing or damaged.
    """
    with atomic_write(path) as stream:
        for file, places in drawn:
            for where, example in chosen_examples(folder / file, places):
                stream.write(np.ascontiguousarray(record_input(where, example, size)))
