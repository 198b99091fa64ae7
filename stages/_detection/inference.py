"""Running a detector over a split's records, the same way for every kind of model.

A *detector* is a picklable callable: uint8 pixels [1, height, width, 3] -> `postprocess.Detections`; one that can show what its layers put
out has also `layers(pixels)` -> {layer: float32 array} (`layer_samples` tells how layers are called). What differs between models is in it
alone; decoding, resizing, order and the files that are written are here. Python 3.7 and 3.11.

A shard is the unit of work: processes take one at a time, and a run that was stopped keeps those that are whole.
"""

import io
import json
import os
import shutil
import time
from functools import partial
from itertools import islice

import numpy as np

from _detection.detection_records import INDEX, PIXELS, SCHEMA, add_detections, share_examples, share_plan, write_shard
from _detection.layer_samples import FILE, sample, write_samples
from _detection.resize import load_rgb, model_input, sha256
from _detection.workers import ordered_map
from _runtime import StageError, sha256_file, write_json

# So many images are prepared, then the model runs on each, then their records are written: what comes after a model's run finds the
# processor's caches emptied, and takes three times as long.
_AT_A_TIME = 8
_SAME_DATASET = "give records of the dataset that the model was trained on, or of one with the same label map"
_LAYERS_UNKNOWN = "layers: %d was asked for, but this kind of model does not show what its layers put out"


def check_classes(model, dataset, where):
    """The model's class names must be the dataset's, in order, or every label would be another. Raises StageError."""
    if len(model) != len(dataset):
        raise StageError(
            "the model and the dataset have different numbers of classes",
            where,
            "%d: %s" % (len(dataset), _names(dataset)),
            "%d: %s" % (len(model), _names(model)),
            _SAME_DATASET,
        )
    for number, (ours, theirs) in enumerate(zip(model, dataset), 1):
        if ours != theirs:
            raise StageError(
                "the model and the dataset name a class differently", "%s, class %d" % (where, number), theirs, ours, _SAME_DATASET
            )


def _names(names):
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")


def run_detector(task, size, detector, model):
    """Run `detector` on each record of the split, in `task.cpus` processes, and write a detections artifact.

    The task has the input `records` and the parameters split, shards, discard_image_pixels and layers. size: (height, width) of the
    model's input; model: {"kind", "runtime", "version", "sha256", "nms" (PER_CLASS or CLASS_AGNOSTIC of `postprocess`)}. The files depend
    on neither the number of processes nor, timing.json aside, on anything but the model and the records. Raises StageError.
    """
    records, split = task.input("records"), task.params["split"]
    index = records.json("records.json")
    shares = share_plan(index, split, task.params["shards"])
    room = task.scratch / "shards"
    room.mkdir(parents=True, exist_ok=True)
    pixels = not task.params["discard_image_pixels"]
    work = partial(_write_share, str(records.path), str(room), detector, tuple(size), pixels)
    done = list(_follow(task, ordered_map(work, shares, task.cpus, chunk=1), sum(share.records for share in shares)))
    if task.params["layers"]:
        _write_layers(task, records.path, shares, detector, size)
    for entry in done:
        _put(room / entry["shard"]["file"], task.output / entry["shard"]["file"])
    found = sum(entry["detections"] for entry in done)
    write_index(task, split, index["classes"], [entry["shard"] for entry in done], found, dict(model, input_size=list(size)), pixels=pixels)
    timing = _timing(done, task.cpus)
    write_json(task.output / "timing.json", timing)
    shutil.rmtree(str(room))  # now that all is in its place; the files have one name again
    task.metrics.update({"images": timing["images"], "detections": found, "seconds_per_image": timing["seconds_per_image"]})


def write_index(task, split, classes, shards, found, model, masks=False, pixels=False):
    """Write inference.json of a detections artifact. shards: as `write_shard` tells them; found: number of detections."""
    images = sum(shard["records"] for shard in shards)
    write_json(
        task.output / INDEX,
        {
            "schema": SCHEMA,
            "split": split,
            "classes": list(classes),
            "images": images,
            "detections": found,
            "masks": masks,
            "pixels": pixels,
            "model": model,
            "shards": shards,
        },
    )
    if not found:
        task.warn("nothing was found in %d images" % images)


def _follow(task, results, total):
    images = found = kept = 0
    for entry in results:
        images, found, kept = images + entry["shard"]["records"], found + entry["detections"], kept + entry["kept"]
        task.progress(images, total, "image", detections=found)
        yield entry
    if kept:
        task.say("%d of %d images had been done before" % (kept, total))


def _write_share(records, room, detector, size, pixels, share):
    """Write a shard, unless an earlier attempt left it whole; {"shard", "detections", "preparing", "running" (seconds of each), "kept"}."""
    path, told = os.path.join(room, share.file), os.path.join(room, share.file + ".json")
    entry = _earlier(path, told)
    if entry is not None:
        return dict(entry, kept=share.records)
    times, counts = [], []
    shard = write_shard(path, _examples(records, share, detector, size, pixels, times, counts))
    preparing, running = zip(*times)
    entry = {"shard": shard, "detections": sum(counts), "preparing": preparing, "running": running}
    with open(told, "w", encoding="utf-8") as stream:  # neither whole nor flushed: half of one is no JSON, and then the shard is made again
        json.dump({"sha256": sha256_file(path), "entry": entry}, stream)
    return dict(entry, kept=0)


def _earlier(path, told):
    """What an earlier attempt told of a shard, where the file is as it left it; else None."""
    try:
        with open(told, encoding="utf-8") as stream:
            value = json.load(stream)
        return value["entry"] if sha256_file(path) == value["sha256"] else None
    except (OSError, ValueError, KeyError):
        return None


def _examples(records, share, detector, size, pixels, times, counts):
    waiting = share_examples(records, share)
    for batch in iter(lambda: list(islice(waiting, _AT_A_TIME)), []):
        prepared = [_prepared(where, example, size) for where, example in batch]
        found = [_detected(detector, source, where) for (where, _), (source, _, _) in zip(batch, prepared)]
        for (_, example), (_, digest, preparing), (detections, running) in zip(batch, prepared, found):
            times.append((preparing, running))
            counts.append(len(detections.scores))
            yield add_detections(example, detections, input_sha256=digest, pixels=pixels)


def _prepared(where, example, size):
    """(the model's input, its sha256, the seconds that making it took)."""
    start = time.perf_counter()
    source = record_input(where, example, size)
    digest = sha256(source)
    return source, digest, round(time.perf_counter() - start, 6)


def record_input(where, example, size):
    """The model's input for a record's image: uint8 [1, height, width, 3] of `size`. Raises StageError where it has none that is whole."""
    encoded = example.features.feature[PIXELS].bytes_list.value
    if not encoded:
        raise StageError("a record has no image", "%s: %s" % (where, PIXELS), "a JPEG or PNG", "nothing", "build the records again")
    return model_input(load_rgb(io.BytesIO(encoded[0]), where), *size)


def _detected(detector, source, where):
    """(`Detections`, the seconds that finding them took)."""
    start = time.perf_counter()
    try:
        return detector(source), round(time.perf_counter() - start, 6)
    except StageError as error:
        # Which image it was is known only here.
        raise StageError(error.what, "%s, on %s" % (error.where, where), error.expected, error.found, error.remedy) from None


def _write_layers(task, records, shares, detector, size):
    """Samples of what the layers put out, for the first images of the split."""
    if not hasattr(detector, "layers"):
        task.warn(_LAYERS_UNKNOWN % task.params["layers"])
        return
    examples = (pair for share in shares for pair in share_examples(records, share))
    images = []
    for where, example in islice(examples, task.params["layers"]):
        layers = detector.layers(record_input(where, example, size))
        images.append({name: sample(name, value) for name, value in layers.items()})
    write_samples(task.output / FILE, images)


def _put(source, target):
    """The same file in the output; it stays in the scratch folder, where a run that is stopped just now finds it again."""
    try:
        os.link(str(source), str(target))
    except OSError:
        shutil.copyfile(str(source), str(target))


def _timing(done, processes):
    """Medians, because the first image of each process pays for loading the model."""
    running = sorted(seconds for entry in done for seconds in entry["running"])
    return {
        "schema": 2,
        "images": len(running),
        "processes": processes,
        "seconds_per_image": round(float(np.median(running)), 6),
        "seconds_per_image_p90": running[(len(running) * 9 - 1) // 10],
        "seconds_preparing_per_image": round(float(np.median([seconds for entry in done for seconds in entry["preparing"]])), 6),
    }
