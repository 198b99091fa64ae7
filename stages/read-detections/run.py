"""Detections that some other program wrote, as a detections artifact."""

from functools import partial
from itertools import islice

from bad_rows import BadRows
from class_names import ClassNames, read_names
from coco_results import CocoReader, read_files
from found_files import COCO, OPEN_IMAGES, TFRECORD, digest_of, find
from open_images_rows import OpenImagesReader
from record_rows import RecordReader
from rows import Rows
from split_images import read_images

from _detection.detection_records import add_detections, share_examples, share_plan, write_shard
from _detection.inference import write_index
from _detection.mask_picture import mask_png
from _detection.workers import ordered_map
from _runtime import StageError, run

_ENOUGH = 10  # boxes of which most must be in the image


def main(task):
    """Every detection is read and checked before anything is written."""
    given, records = task.params, task.input("records")
    if given["path"] is None:
        raise StageError(
            "the parameter path is missing", "%s.path" % task.name, "the detections' file or folder", None, "set it in the pipeline"
        )
    layout, files = find(given["path"], given["layout"])
    index = records.json("records.json")
    shares = share_plan(index, given["split"], given["shards"])
    images = read_images(records.path, shares)
    rows = read_rows(task, layout, files, images, index["classes"])
    work = partial(_write, str(records.path), str(task.output), not given["discard_image_pixels"])
    of_images = rows.of_images()
    parts = [(share, list(islice(of_images, share.records))) for share in shares]
    shards = []
    for shard in ordered_map(work, parts, task.cpus, chunk=1):
        shards.append(shard)
        task.progress(sum(each["records"] for each in shards), images.count, "image")
    model = {
        "kind": "external",
        "runtime": given["name"],
        "version": given["version"] or None,
        "sha256": digest_of(files),
        "layout": layout,
    }
    write_index(task, given["split"], index["classes"], shards, len(rows), model, rows.masked, not given["discard_image_pixels"])
    task.metrics.update({"images": images.count, "detections": len(rows)})


def read_rows(task, layout, files, images, classes):
    """The `Rows` of all files. Raises StageError where any cannot be used."""
    given = task.params
    if given["images"] is not None and layout != COCO:
        raise StageError("`images` is for the layout coco", "%s.images" % task.name, "nothing", given["images"], "remove it")
    names = None if given["categories"] is None else read_names(given["categories"])
    named = None if given["images"] is None else read_files(given["images"])
    if names is None and named is not None:
        names = _names_beside(given["images"])
    bad = BadRows(given["unknown"] == "leave-out")
    rows = Rows(images, bad)
    known = ClassNames(classes, names)
    reader = {
        COCO: lambda: CocoReader(images, named, known, rows, bad),
        OPEN_IMAGES: lambda: OpenImagesReader(images, known, rows, bad),
        TFRECORD: lambda: RecordReader(images, known, rows, bad),
    }[layout]()
    _say(task, layout, files, named, names)
    for file in files:
        reader.read(file)
    rows.check_whole()
    bad.finish(task, len(rows))
    _check_units(task, rows, layout)
    return rows


def _names_beside(path):
    """The categories of the file of images, which most often has them; None where it does not."""
    try:
        return read_names(path)
    except StageError:
        return None


def _say(task, layout, files, named, names):
    by = {
        COCO: "by image_id, which is the dataset's own id or a file's name" if named is None else "by the file name of each image_id",
        OPEN_IMAGES: "by ImageID, the name of its file",
        TFRECORD: "by its sha256, id or file name",
    }[layout]
    ids = "the dataset's label map" if names is None else "%d names that `categories` or `images` tells" % len(names)
    task.say("%s, files: %d; an image is known %s, a class by %s" % (layout, len(files), by, ids))


def _check_units(task, rows, layout):
    """Refuse boxes in another unit than the layout's, of which nothing would ever match."""
    far = rows.far_away()
    if far * 2 > len(rows) and len(rows) >= _ENOUGH:
        found = "%d of %d are further away than the image is wide or high" % (far, len(rows))
        expected = "boxes in pixels" if layout == COCO else "corners as fractions of the image's sides"
        raise StageError(
            "the boxes are out of their images", layout, expected, found, "write them in that unit, or check which image is which"
        )
    if layout == COCO and len(rows) >= _ENOUGH and rows.tiny():
        task.warn("all boxes are smaller than two pixels: COCO's are in pixels, and these look like fractions of the image's sides")


def _write(records, output, pixels, part):
    """Write a shard; its entry in inference.json. part: (`Share`, [(Detections, masks)] of its images)."""
    share, found = part
    examples = (
        add_detections(example, detections, None if masks is None else [mask_png(mask) for mask in masks], pixels=pixels)
        for (_, example), (detections, masks) in zip(share_examples(records, share), found)
    )
    return write_shard("%s/%s" % (output, share.file), examples)


if __name__ == "__main__":
    run(main)
