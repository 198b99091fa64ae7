"""Detections of several models, checked before anything is computed from them; in every image: Python 3.7 and newer.

Numbers of models can be compared only where each saw every image of the split once, all in the same order and as the same pixels. What is
read is judged while it streams by, an image at a time.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from _detection import rle
from _detection.detection_records import INDEX, read_index, stream_detections
from _detection.mask_picture import png_mask
from _runtime import StageError

_AGAIN = "run the inference stage again"
_SAME = "give every model records of the same dataset, and the same `split`"


class Model(NamedTuple):
    """A detections artifact. name: the model's, in the pipeline; folder: a Path; index: the value of its inference.json."""

    name: str
    folder: Any
    index: dict


class Seen:
    """What the models before showed: the order of the images, and the pixels that a model was fed. One for all models of an evaluation."""

    def __init__(self):
        self.first = None
        self.order = []
        self.inputs = {}  # {image id: (sha256 of the input, the model's name)}


def read_models(artifacts, dataset):
    """The `Model` of each detections artifact, in their order.

    artifacts: `_runtime.Input`s; dataset: a `dataset.Dataset`. Raises StageError where there is none, where two have one name, where they
    ran on different splits or on one that the dataset lacks, or where the classes are not the dataset's.
    """
    models = [Model(each.name, Path(str(each.path)), read_index(each.path)) for each in artifacts]
    if not models:
        raise StageError("nothing to evaluate", "detections", "one or more detections", "none", "bind an inference stage in the pipeline")
    names = [model.name for model in models]
    if len(set(names)) != len(names):
        raise StageError("two models have one name", "detections", "different names", ", ".join(names), "bind each inference stage once")
    first = models[0]
    dataset.counts(first.index["split"])
    for model in models:
        if model.index["split"] != first.index["split"]:
            raise StageError(
                "%s and %s ran on different splits" % (first.name, model.name),
                model.folder / INDEX,
                first.index["split"],
                model.index["split"],
                "set the same `split` on both inference stages",
            )
        _check_classes(model, dataset.classes)
    return models


def _check_classes(model, classes):
    theirs = model.index["classes"]
    if theirs == classes:
        return
    place = next((place for place, pair in enumerate(zip(theirs, classes)) if pair[0] != pair[1]), min(len(theirs), len(classes)))
    raise StageError(
        "the classes of %s are not the dataset's" % model.name,
        "%s: classes, number %d" % (model.folder / INDEX, place + 1),
        classes[place] if place < len(classes) else "%d classes" % len(classes),
        theirs[place] if place < len(theirs) else "%d classes" % len(theirs),
        "give evaluation the dataset whose records the model ran on",
    )


def stream_checked(model, images, classes, seen):
    """(image, `detection_records.Found`) of each record of a `Model`, in order. It must be read to its end, where completeness is checked.

    images: {id: image} of the split, as `Dataset.images` gives them; classes: names; seen: the evaluation's `Seen`.
    Raises StageError, with file and record: an image that is unknown, missing, repeated, in another place than in the model before, of
    another file than the dataset's, or fed to the models as different pixels; a box that is not finite, a score that is not in 0..1, or a
    class that is not there; a damaged record.
    """
    done, count = set(), 0
    for found in stream_detections(model.folder, model.index):
        image = images.get(found.image_id)
        _check_image(model, found, image, done)
        _check_order(model, found, len(done), seen)
        _check_input(model, found, seen)
        check_detections(model.name, found, len(classes), model.index["masks"])
        done.add(found.image_id)
        count += len(found.detections.scores)
        yield image, found
    _check_complete(model, images, done)
    if count != model.index["detections"]:
        raise StageError(
            "the detections of %s are not those that were written" % model.name,
            model.folder / INDEX,
            model.index["detections"],
            count,
            _AGAIN,
        )
    seen.first = seen.first or model.name


def _check_image(model, found, image, done):
    if image is None:
        raise StageError(
            "%s ran on an image that the dataset's split %s lacks" % (model.name, model.index["split"]),
            found.where,
            "images of the split",
            "image %d" % found.image_id,
            "give evaluation the dataset whose records the model ran on",
        )
    if found.image_id in done:
        raise StageError("%s ran twice on an image" % model.name, found.where, "each image once", "image %d again" % found.image_id, _AGAIN)
    theirs, ours = (found.sha256, found.width, found.height), (image["sha256"], image["width"], image["height"])
    if theirs != ours:
        form = "sha256 %s, %s x %s pixels"
        raise StageError(
            "%s ran on another picture than the dataset's image %d" % (model.name, found.image_id),
            found.where,
            form % ours,
            form % theirs,
            "give evaluation the dataset whose records the model ran on",
        )


def _check_order(model, found, place, seen):
    if seen.first is None:
        seen.order.append(found.image_id)
    elif place >= len(seen.order) or seen.order[place] != found.image_id:
        raise StageError(
            "%s and %s did not run on the same images in the same order" % (seen.first, model.name),
            found.where,
            "image %d" % seen.order[place] if place < len(seen.order) else "%d images" % len(seen.order),
            "image %d" % found.image_id,
            _SAME,
        )


def _check_input(model, found, seen):
    if found.input_sha256 is None:
        return
    digest, name = seen.inputs.setdefault(found.image_id, (found.input_sha256, model.name))
    if digest != found.input_sha256:
        raise StageError(
            "%s and %s were fed different pixels" % (name, model.name),
            "%s: image %d" % (found.where, found.image_id),
            "input sha256 %s (%s)" % (digest, name),
            "%s (%s)" % (found.input_sha256, model.name),
            "evaluate models of one input size, fed by records of one dataset; models of other input sizes in an evaluation of their own",
        )


def _check_complete(model, images, done):
    missing = [number for number in images if number not in done]
    if missing:
        raise StageError(
            "%s did not run on every image of the split %s" % (model.name, model.index["split"]),
            "%s: image %d" % (model.folder / INDEX, missing[0]),
            "%d images" % len(images),
            "%d images" % len(done),
            _AGAIN,
        )


def check_detections(name, found, classes, wants_masks=False):
    """Raise StageError where a detection of a `Found` cannot be scored. name: the model's; classes: how many there are."""
    boxes, numbers, scores = found.detections
    with np.errstate(invalid="ignore"):  # NumPy of the TensorFlow 1 image warns of NaN
        scored = (scores >= 0) & (scores <= 1)
    if wants_masks and found.masks is None:
        raise StageError("a record of %s has no masks" % name, found.where, "a mask for each detection", "none", _AGAIN)
    for problem, bad, expected, values in (
        ("its box is not finite", ~np.isfinite(boxes).all(axis=1), "four finite numbers", boxes),
        ("its score is not in 0..1", ~scored, "a number in 0..1", scores),
        ("it is of no class", (numbers < 0) | (numbers >= classes), "a label in 1..%d" % classes, numbers + 1),
    ):
        if bad.any():
            place = int(np.flatnonzero(bad)[0])
            raise StageError(
                "%s has a detection that cannot be scored: %s" % (name, problem),
                "%s, detection %d" % (found.where, place + 1),
                expected,
                values[place].tolist(),
                "the model's weights or the file are damaged: look at the training's loss, then infer again",
            )


def pixel_boxes(boxes, width, height):
    """float64 [n, 4] xmin, ymin, xmax, ymax in pixels, clipped to the image, of boxes [n, 4] ymin, xmin, ymax, xmax where 1.0 is its side.

    A box that lies outside has no area then. The Object Detection API's models clip theirs so, in their non-maximum suppression
    (core/post_processing.py of the wheel tf-object-detection 0.0.3), and are evaluated as they come.
    """
    clipped = np.clip(np.asarray(boxes, np.float64).reshape(-1, 4), 0.0, 1.0)
    return clipped[:, [1, 0, 3, 2]] * np.array([width, height, width, height], np.float64)


def mask_codes(found):
    """COCO's compressed run-length encoding of each mask of a `Found`, counts as str; None where it has no masks.

    Raises StageError, with file, record and detection, where one cannot be decoded or is not of the image's size.
    """
    if found.masks is None:
        return None
    size = [found.height, found.width]
    codes = []
    for number, data in enumerate(found.masks, 1):
        where = "%s, detection %d: mask" % (found.where, number)
        try:
            code = png_mask(data)
        except rle.MaskError as error:
            raise StageError("a detection's mask cannot be read", where, "a grey PNG", error, _AGAIN) from None
        if code["size"] != size:
            shown = "%d x %d" % tuple(code["size"][::-1])
            raise StageError("a detection's mask is not of the image's size", where, "%d x %d" % (size[1], size[0]), shown, _AGAIN)
        codes.append(code)
    return codes
