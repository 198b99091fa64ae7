"""The detections of one model, checked before anything is computed from them."""

import math

from _runtime import StageError


class ModelOutput:
    """One detections artifact.

    name: the model's name in the pipeline; model: what ran ({"kind", "runtime", "version", "sha256"}); split; images:
    [{"id", "input_sha256"}] in the order of inference; detections: a COCO results list.
    """

    def __init__(self, artifact):
        inference = artifact.json("inference.json")
        self.name = artifact.name
        self.model = inference["model"]
        self.split = inference["split"]
        self.images = inference["images"]
        self.detections = artifact.json("detections.json")


def check_same_images(outputs):
    """Every model must have seen the same pixels in the same order, or its numbers cannot be compared.

    Raises StageError that names the first image that differs.
    """
    first = outputs[0]
    for other in outputs[1:]:
        _check_split(first, other)
        for index, (ours, theirs) in enumerate(zip(first.images, other.images, strict=False)):
            if ours["id"] != theirs["id"]:
                raise StageError(
                    "%s and %s did not run on the same images in the same order" % (first.name, other.name),
                    where="image %d of %s" % (index + 1, other.name),
                    expected="image %s" % ours["id"],
                    found="image %s" % theirs["id"],
                    remedy="give both models the same dataset and split",
                )
            if ours["input_sha256"] != theirs["input_sha256"]:
                raise StageError(
                    "%s and %s were fed different pixels" % (first.name, other.name),
                    where="image %s" % ours["id"],
                    expected="input sha256 %s (%s)" % (ours["input_sha256"], first.name),
                    found="%s (%s)" % (theirs["input_sha256"], other.name),
                    remedy="give both models the same dataset, and graphs of the same input size",
                )
        if len(first.images) != len(other.images):
            raise StageError(
                "%s and %s ran on different numbers of images" % (first.name, other.name),
                where="inference.json",
                expected=len(first.images),
                found=len(other.images),
                remedy="give both models the same dataset and split",
            )


def _check_split(first, other):
    if first.split != other.split:
        raise StageError(
            "%s and %s ran on different splits" % (first.name, other.name),
            where="inference.json",
            expected=first.split,
            found=other.split,
            remedy="set the same `split` on both inference stages",
        )


def check_covers(output, split_images):
    """The model must have seen each image of the dataset's split, once.

    Raises StageError for a repeated, an unknown or a missing image.
    """
    expected = {image["id"] for image in split_images}
    seen = set()
    for image in output.images:
        if image["id"] in seen:
            raise StageError(
                "%s ran twice on an image" % output.name,
                where="inference.json",
                expected="each image once",
                found="image %s again" % image["id"],
                remedy="run the inference stage again",
            )
        if image["id"] not in expected:
            raise StageError(
                "%s ran on an image that the dataset's split %s lacks" % (output.name, output.split),
                where="inference.json",
                expected="images of the split",
                found="image %s" % image["id"],
                remedy="give evaluate the dataset that inference ran on",
            )
        seen.add(image["id"])
    missing = [image["id"] for image in split_images if image["id"] not in seen]
    if missing:
        raise StageError(
            "%s did not run on every image of the split %s" % (output.name, output.split),
            where="image %s" % missing[0],
            expected="%d images" % len(split_images),
            found="%d images" % len(seen),
            remedy="run the inference stage again",
        )


def check_detections(output, classes):
    """Each detection must name an image that was seen and a class of the dataset, with a finite box and a score in 0..1.

    Raises StageError that names the detection by its place in the list, from 0.
    """
    images = {image["id"] for image in output.images}
    for index, found in enumerate(output.detections):
        problem = _problem(found, images, len(classes))
        if problem:
            raise StageError(
                "%s has a detection that cannot be scored: %s" % (output.name, problem[0]),
                where="detections.json[%d]" % index,
                expected=problem[1],
                found=problem[2],
                remedy="this is a defect of the inference stage, or the file was changed: run it again",
            )


def _problem(found, images, classes):
    category, bbox, score = found.get("category_id"), found.get("bbox"), found.get("score")
    if found.get("image_id") not in images:
        return "unknown image", "an image_id of inference.json", found.get("image_id")
    if not isinstance(category, int) or not 1 <= category <= classes:
        return "unknown class", "a category_id in 1..%d" % classes, category
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(_finite(value) for value in bbox) or bbox[2] < 0 or bbox[3] < 0:
        return "bad box", "bbox [x, y, width, height] of finite numbers, sides not negative", bbox
    if not _finite(score) or not 0 <= score <= 1:
        return "bad score", "a number in 0..1", score
    return None


def _finite(value):
    return isinstance(value, (int, float)) and math.isfinite(value)
