"""One model's numbers: COCO's, the best scores, and the curves."""

from typing import Any, NamedTuple

import numpy as np
from best_scores import best_score
from coco_classes import class_jobs, evaluate_class
from coco_numbers import curves, means, per_class

from _detection.accuracy import Accuracy
from _detection.workers import ordered_map


class Evaluation(NamedTuple):
    """model: a `detection_checks.Model`; detected: `detected.Detected`; results: a `coco_classes.ClassResult` for each class, of boxes and
    without precision and recall; metrics: what metrics.json says of the model; curves: what curves.json says.
    """

    model: Any
    detected: Any
    results: Any
    metrics: dict
    curves: dict

    def accuracy(self):
        """The model's `accuracy.Accuracy`."""
        classes = {row["class"]: row["ap50"] for row in self.metrics["per_class"]}
        return Accuracy(self.model.name, self.model.index["model"]["kind"], self.metrics["map"], self.metrics["map50"], classes)


def evaluate_model(model, detected, truth, objects, processes, step):
    """The `Evaluation` of a model.

    truth: a COCO dict; objects: {class: number to find}, in the order of ids; processes: how many classes are evaluated at a time; step:
    called after each class. Masks are evaluated where the truth has some and the model has.
    """
    counts = list(objects.values())
    found = np.bincount(detected.categories, minlength=len(objects) + 1)[1:].tolist()
    results = _evaluate(truth, detected, "bbox", processes, step)
    metrics = {
        "model": model.index["model"],
        "detections": len(detected.scores),
        **means(results, "bbox"),
        "per_class": per_class(results, list(objects), counts, found),
        "best": _best(detected.scores, results, sum(counts)),
    }
    for row, result in zip(metrics["per_class"], results, strict=True):
        row["best"] = _best(detected.scores, [result], row["objects"])
    if has_masks(truth, detected):
        metrics["masks"] = _mask_metrics(truth, detected, objects, found, processes, step)
    lines = curves(results, list(objects))
    return Evaluation(model, detected, [result._replace(precision=None, recall=None) for result in results], metrics, lines)


def has_masks(truth, detected):
    """Whether masks can be compared."""
    return detected.masks is not None and any("segmentation" in annotation for annotation in truth["annotations"])


def _mask_metrics(truth, detected, objects, found, processes, step):
    masked = dict.fromkeys(objects, 0)
    names = {category["id"]: category["name"] for category in truth["categories"]}
    for annotation in truth["annotations"]:
        masked[names[annotation["category_id"]]] += "segmentation" in annotation and not annotation["iscrowd"]
    results = _evaluate(truth, detected, "segm", processes, step)
    counts = list(masked.values())
    return {**means(results, "segm"), "objects": sum(counts), "per_class": per_class(results, list(objects), counts, found)}


def _evaluate(truth, detected, kind, processes, step):
    """A `ClassResult` for each class. The largest come first, so that no process works on alone at the end."""
    jobs = class_jobs(truth, detected, kind)
    order = sorted(range(len(jobs)), key=lambda place: -len(jobs[place].rows))
    results = [None] * len(jobs)
    for place, result in zip(order, ordered_map(evaluate_class, [jobs[place] for place in order], processes, chunk=1), strict=True):
        results[place] = result
        step()
    return results


def _best(scores, results, objects):
    """The best score of these classes taken together."""
    rows, matched, ignored = (np.concatenate([getattr(each, name) for each in results]) for name in ("rows", "matched", "ignored"))
    return best_score(scores[rows][~ignored], matched[~ignored] > 0, objects)
