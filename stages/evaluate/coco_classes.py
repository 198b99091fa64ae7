"""pycocotools' evaluation of one class after another.

COCO's metric has no step in which classes meet but the last mean, so each can be evaluated by itself: in a process of its own, on the
images alone in which it is or was found, and with no more of a detection than `COCOeval` reads. The numbers are the same to the last bit:
an image with neither has no part in a class's precision. Matching, accumulating and averaging are pycocotools' own.
"""

import contextlib
import io
from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.cocoeval import COCOeval

_ALL_SIZES, _MOST_FOUND = 0, -1  # places in pycocotools' arrays: of the area range "all", and of 100 detections


class ClassJob(NamedTuple):
    """A class to evaluate. category: its id from 1; truth: its COCO annotations; rows: int64 [n], places of its detections among all;
    images, scores, boxes, masks: of these, as in `detected.Detected`; kind: "bbox" or "segm", as pycocotools calls it.
    """

    category: int
    truth: list
    rows: Any
    images: Any
    scores: Any
    boxes: Any
    masks: Any
    kind: str


class ClassResult(NamedTuple):
    """precision: float64 [10 IoUs, 101 recalls, 4 sizes, 3 numbers of detections], recall: the same without recalls, both -1 where there
    is nothing to find; curve_scores: float64 [101], the score at each recall (IoU 0.5, all sizes, 100 detections), 0 where none reaches it.

    What became of each detection at IoU 0.5 (of the best 100 of each image; others COCO does not see): rows: int64 [k], places among
    all detections; matched: int64 [k], id of the annotation that it found, or 0; ignored: bool [k], whether it counts for nothing.
    """

    precision: Any
    recall: Any
    curve_scores: Any
    rows: Any
    matched: Any
    ignored: Any


def class_jobs(truth, detected, kind):
    """A `ClassJob` for each category, in order of ids. truth: a COCO dict; detected: `detected.Detected`; kind: "bbox" or "segm".

    For "segm", an object without a mask is a region that counts for nothing: its mask is its box, as a crowd's.
    """
    truths = {category["id"]: [] for category in truth["categories"]}
    for annotation in truth["annotations"]:
        truths[annotation["category_id"]].append(annotation)
    order = np.argsort(detected.categories, kind="stable")
    edges = np.searchsorted(detected.categories[order], [*truths, len(truths) + 1])
    jobs = []
    for place, (category, annotations) in enumerate(truths.items()):
        rows = order[edges[place] : edges[place + 1]]
        own = annotations if kind == "bbox" else _with_masks(annotations, truth["images"])
        masks = None if kind == "bbox" else [detected.masks[row] for row in rows]
        jobs.append(ClassJob(category, own, rows, detected.images[rows], detected.scores[rows], detected.boxes[rows], masks, kind))
    return jobs


def _with_masks(annotations, images):
    sizes = {image["id"]: (image["height"], image["width"]) for image in images}
    return [
        annotation if "segmentation" in annotation else {**annotation, "iscrowd": 1, "segmentation": _as_mask(annotation, sizes)}
        for annotation in annotations
    ]


def _as_mask(annotation, sizes):
    return coco_mask.frPyObjects(np.array([annotation["bbox"]], float), *sizes[annotation["image_id"]])[0]


def evaluate_class(job):
    """The `ClassResult` of a `ClassJob`."""
    images = np.unique([*(annotation["image_id"] for annotation in job.truth), *job.images.tolist()]).astype(int).tolist()
    evaluation = _Evaluation(job, images)
    if not images:
        return _nothing(evaluation.params)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
    each = [image for image in evaluation.evalImgs[: len(images)] if image["dtIds"]]  # the first are those of all sizes
    return ClassResult(
        evaluation.eval["precision"][:, :, 0],
        evaluation.eval["recall"][:, 0],
        evaluation.eval["scores"][0, :, 0, _ALL_SIZES, _MOST_FOUND],
        job.rows[np.array([number - 1 for image in each for number in image["dtIds"]], int)],
        np.concatenate([[], *(image["dtMatches"][0] for image in each)]).astype(np.int64),
        np.concatenate([[], *(image["dtIgnore"][0] for image in each)]).astype(bool),
    )


class _Evaluation(COCOeval):
    """`COCOeval` of one class. It matches in the images that have objects of it: in the others there is nothing to match, and most of a
    class's images are such, for a detector tries most classes everywhere.
    """

    def __init__(self, job, images):
        """images: sorted ids of those with an object or a detection of the class."""
        present = np.unique([annotation["image_id"] for annotation in job.truth])
        matched = np.isin(job.images, present)
        boxes = np.concatenate([job.boxes[:, :2], job.boxes[:, 2:] - job.boxes[:, :2]], axis=1)
        areas = coco_mask.area(job.masks).astype(float) if job.masks else boxes[:, 2] * boxes[:, 3]
        super().__init__(
            _Annotations([dict(annotation) for annotation in job.truth], images, job.category),
            _Annotations(_annotations(job, np.flatnonzero(matched), boxes, areas), images, job.category),
            job.kind,
        )
        self._unmatched = np.zeros((len(self.params.iouThrs), self.params.maxDets[-1]))
        self._alone = {}
        chosen = np.flatnonzero(~matched)
        chosen = chosen[np.lexsort((chosen, -job.scores[chosen], job.images[chosen]))]
        lone, starts = np.unique(job.images[chosen], return_index=True)
        for image, rows in zip(lone.tolist(), np.split(chosen, starts[1:]), strict=False):
            best = rows[: self.params.maxDets[-1]]
            self._alone[image] = ((best + 1).tolist(), job.scores[best].tolist(), areas[best])

    def computeIoU(self, imgId, catId):  # noqa: N802, N803  pycocotools' names, as those below
        """Overlaps of one image's detections with its objects, for `evaluateImg`."""
        return [] if imgId in self._alone else super().computeIoU(imgId, catId)

    def evaluateImg(self, imgId, catId, aRng, maxDet):  # noqa: N802, N803
        """What pycocotools' own makes of an image and an area range; where no object is, all detections of these sizes are false."""
        if imgId not in self._alone:
            return super().evaluateImg(imgId, catId, aRng, maxDet)
        numbers, scores, areas = self._alone[imgId]
        unmatched = self._unmatched[:, : len(numbers)]
        outside = ((areas < aRng[0]) | (areas > aRng[1]))[np.newaxis].repeat(len(unmatched), axis=0)
        return {"dtIds": numbers, "dtScores": scores, "dtMatches": unmatched, "dtIgnore": outside, "gtIgnore": np.zeros(0)}


def _annotations(job, rows, boxes, areas):
    """Some of the detections as `COCO.loadRes` would make them, but for what nobody reads. Ids from 1, for 0 would pass for no match."""
    columns = (rows.tolist(), job.images[rows].tolist(), job.scores[rows].tolist(), boxes[rows].tolist(), areas[rows].tolist())
    made = [
        {"id": row + 1, "image_id": image, "category_id": job.category, "score": score, "bbox": bbox, "area": area}
        for row, image, score, bbox, area in zip(*columns, strict=True)
    ]
    for annotation in made if job.masks else ():
        annotation["segmentation"] = job.masks[annotation["id"] - 1]
    return made


def _nothing(params):
    """Of a class that neither is anywhere nor was found."""
    sizes = (len(params.areaRng), len(params.maxDets))
    precision = np.full((len(params.iouThrs), len(params.recThrs), *sizes), -1.0)
    none = np.zeros(0, np.int64)
    return ClassResult(precision, precision[:, 0], precision[0, :, 0, 0], none, none, none.astype(bool))


class _Annotations:
    """What `COCOeval` asks of a `COCO` object, of one class, without the indices that `COCO` makes."""

    def __init__(self, annotations, images, category):
        self._annotations, self._images, self._category = annotations, images, category

    def getImgIds(self):  # noqa: N802  pycocotools' name, as those below
        return self._images

    def getCatIds(self):  # noqa: N802
        return [self._category]

    def getAnnIds(self, imgIds, catIds):  # noqa: ARG002, N802, N803
        return None

    def loadAnns(self, ids):  # noqa: ARG002, N802
        return self._annotations

    def annToRLE(self, annotation):  # noqa: N802
        return annotation["segmentation"]
