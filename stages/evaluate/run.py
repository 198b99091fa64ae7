"""COCO metrics of each model on the same images, what was gained and lost along the chain, and the gates."""

import json
from importlib.metadata import version
from itertools import count, pairwise

from chain_steps import chain_steps
from coco_numbers import object_counts, recall_points
from detected import read_detected
from match_lines import match_lines, taken
from model_evaluation import evaluate_model, has_masks

from _detection.accuracy import check_gates, enforce, gates
from _detection.dataset import coco, load
from _detection.detection_checks import Seen, read_models
from _runtime import StageError, atomic_write, run, write_json

_NO_SCORE = 0.5  # threshold where no model found anything right
_GATES = ("min_map", "min_map50", "max_loss_vs_frozen", "min_class_map50", "max_class_loss_vs_frozen")


def main(task):
    """Evaluate every detections input. The files hold no time: the same detections give the same bytes."""
    dataset = load(task.input("dataset").path)
    models = read_models(task.inputs("detections"), dataset)
    split, limits = models[0].index["split"], {name: task.params[name] for name in _GATES}
    images = dataset.images(split)
    truth = coco(images, dataset.classes)
    counts = object_counts(truth)
    _require_objects(counts, split)
    check_gates(limits, [(model.name, model.index["model"]["kind"]) for model in models], dataset.classes, counts["per_class"])
    task.tools["pycocotools"] = version("pycocotools")
    evaluations = _evaluate(task, models, images, truth, counts["per_class"])
    threshold = _threshold(task, evaluations)
    _write_matches(task, truth, dataset.classes, evaluations, threshold)
    accuracies = [each.accuracy() for each in evaluations]
    steps, largest = chain_steps(models, accuracies)
    for before, step in pairwise(steps):
        if before["nms"] and step["nms"] and before["nms"] != step["nms"]:
            text = "the boxes of %s are suppressed %s, those of %s %s: a part of the change from one to the other is that, not the model"
            task.warn(text % (before["model"], before["nms"], step["model"], step["nms"]))
    results = gates(limits, accuracies)
    report = {
        "schema": 2,
        "protocol": "coco",
        "evaluator": {"name": "pycocotools", "version": task.tools["pycocotools"]},
        "split": split,
        "images": len(images),
        **counts,
        "order": [model.name for model in models],
        "threshold": threshold,
        "models": {each.model.name: each.metrics for each in evaluations},
        "ledger": steps,
        "largest_loss": largest,
        "gates": results,
    }
    write_json(task.output / "metrics.json", report)
    lines = {each.model.name: each.curves for each in evaluations}
    write_json(task.output / "curves.json", {"schema": 1, "iou": 0.5, "recall": recall_points(), "models": lines})
    enforce(results, accuracies)


def _require_objects(counts, split):
    if not counts["objects"]:
        raise StageError(
            "the split %s has no object to find, so no metric exists" % split,
            where="dataset.json",
            expected="one box or more that is neither crowd nor group-of",
            found="%d crowd regions" % counts["crowd_regions"],
            remedy="evaluate on a split with annotations",
        )


def _evaluate(task, models, images, truth, objects):
    """The `Evaluation` of each model. All are read before the first is evaluated, which may take minutes."""
    shown, seen, classes = {image["id"]: image for image in images}, Seen(), list(objects)
    read = []
    for done, model in enumerate(models, 1):
        detected, empty = read_detected(model, shown, classes, seen)
        if empty:
            task.say("%s: %d boxes have no area inside their image and are left out" % (model.name, empty))
        read.append(detected)
        task.progress(done, len(models), "model")
    return [_told(task, each, len(images)) for each in _evaluations(task, models, read, truth, objects)]


def _evaluations(task, models, read, truth, objects):
    total = sum(len(objects) * (2 if has_masks(truth, detected) else 1) for detected in read)
    done = count(1)
    for model, detected in zip(models, read, strict=True):
        yield evaluate_model(model, detected, truth, objects, task.cpus, lambda: task.progress(next(done), total, "class"))


def _told(task, evaluation, images):
    name, metrics = evaluation.model.name, evaluation.metrics
    if not metrics["detections"]:
        task.warn("%s found nothing in %d images: its metrics are 0" % (name, images))
    task.metrics["%s.map" % name] = metrics["map"]
    task.metrics["%s.map50" % name] = metrics["map50"]
    print("%s: mAP %.4f, mAP@0.5 %.4f on %d images" % (name, metrics["map"], metrics["map50"], images))
    return evaluation


def _threshold(task, evaluations):
    """The parameter, else the best score of the last model that has one."""
    if task.params["threshold"] is not None:
        return task.params["threshold"]
    best = [each.metrics["best"]["score"] for each in evaluations if each.metrics["best"]]
    if not best:
        task.warn("no model found anything right, so there is no best score: threshold is %s" % _NO_SCORE)
    return best[-1] if best else _NO_SCORE


def _write_matches(task, truth, classes, evaluations, threshold):
    """Write matches.jsonl, and add to each model's metrics what it sums up to."""
    shown = {each.model.name: taken(each.detected, each.results, threshold) for each in evaluations}
    tallies, lines = match_lines(truth, shown, classes)
    with atomic_write(task.output / "matches.jsonl", "w") as stream:
        for line in lines:
            stream.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
    for each in evaluations:
        each.metrics.update(tallies[each.model.name].values())


if __name__ == "__main__":
    run(main)
