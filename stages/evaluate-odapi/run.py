"""The Object Detection API's own protocols for each model on the same images, the change along the chain, and the gates."""

from itertools import count

from importlib_metadata import version
from odapi_hierarchy import Expansion
from odapi_images import expanded, found_boxes, image_truth
from odapi_protocols import PROTOCOLS, Scorer, check_names
from odapi_split import SplitImages

from _detection.accuracy import Accuracy, check_gates, enforce, gates, ledger
from _detection.dataset import load
from _detection.detection_checks import Seen, read_models, stream_checked
from _runtime import StageError, run, write_json

_GATES = ("min_map", "max_loss_vs_frozen")


def main(task):
    """Evaluate every detections input; metrics.json holds no time, so that the same detections give the same bytes."""
    dataset = load(task.input("dataset").path)
    check_names(dataset.classes)
    models = read_models(task.inputs("detections"), dataset)
    split, limits = models[0].index["split"], {name: task.params[name] for name in _GATES}
    check_gates(limits, [(model.name, _kind(model)) for model in models], dataset.classes, {})
    images = SplitImages(dataset, split)
    _require_objects(images, split)
    reasons = {name: why_not(PROTOCOLS[name], images, split, models) for name in task.params["protocols"]}
    _require_some(reasons, task)
    _require_first(reasons, limits, task)
    _warn(task, dataset, images, models, [name for name, reason in reasons.items() if reason is None])
    results = _results(task, dataset, images, models, reasons)
    _write(task, split, images, models, results, reasons, limits)


def why_not(protocol, images, split, models):
    """Why a `Protocol` cannot be computed, for people; None where it can be. images: `SplitImages`; models: `detection_checks.Model`s."""
    without = [model.name for model in models if not model.index["masks"]]
    if protocol.masks and not images.counts["masks"]:
        return "no object of the split %s has a mask" % split
    if protocol.masks and without:
        return "there are no masks in what %s found" % ", ".join(without)
    if protocol.challenge and not images.counts["labelled"]:
        return (
            "no image of the split %s has image-level labels: what is found of a class without a box would not count against a model"
            % split
        )
    return None


def _results(task, dataset, images, models, reasons):
    """{protocol: {model: result}} of the protocols without a reason; where one has nothing to find, `reasons` tells it afterwards."""
    chosen = {name: PROTOCOLS[name] for name, reason in reasons.items() if reason is None}
    expansion = None
    if any(protocol.challenge for protocol in chosen.values()):
        expansion = Expansion(dataset.classes, dataset.hierarchy, dataset.folder / "dataset.json")
    results, seen, done = {name: {} for name in chosen}, Seen(), count(1)
    for model in models:
        scorers = {name: Scorer(protocol, dataset.classes, task.params["iou"]) for name, protocol in chosen.items()}
        for image, found in stream_checked(model, images, dataset.classes, seen):
            _add(scorers, chosen, (image, found), dataset, expansion)
            task.progress(next(done), len(models) * len(images), "image")
        for name, scorer in scorers.items():
            results[name][model.name] = scorer.result()
    for name, each in results.items():
        if None in each.values():
            reasons[name] = "there is nothing to find: it leaves out every object of the split"
    return results


def _add(scorers, chosen, shown, dataset, expansion):
    """Add an image to each scorer. shown: (image, `detection_records.Found`); expansion: None where no protocol wants one."""
    image, found = shown
    masks = any(protocol.masks for protocol in chosen.values())
    truth = image_truth(image, dataset.class_id, masks)
    wider = expanded(truth, expansion) if expansion else None
    boxes, around_masks = found_boxes(found, masks)
    for name, protocol in chosen.items():
        scorers[name].add(
            image["id"], wider if protocol.challenge else truth, around_masks if protocol.challenge and protocol.masks else boxes
        )


def _write(task, split, images, models, results, reasons, limits):
    """Write metrics.json, tell it, and raise StageError where a gate does not pass. limits: {gate: limit, or None for off}."""
    _require_some(reasons, task)
    _require_first(reasons, limits, task)
    first = task.params["protocols"][0]
    means = {} if reasons[first] else {name: result["map"] for name, result in results[first].items()}
    accuracies = [Accuracy(model.name, _kind(model), means.get(model.name), None, {}) for model in models]
    # These protocols have one mean, at one IoU: that of the loss against the frozen graph, too.
    judged = gates(limits, [each._replace(map50=each.map) for each in accuracies])
    task.tools["tf-object-detection"] = version("tf-object-detection")
    write_json(
        task.output / "metrics.json",
        {
            "schema": 2,
            "protocol": "odapi",
            "evaluator": {"name": "Object Detection API", "version": task.tools["tf-object-detection"]},
            "split": split,
            "images": len(images),
            "objects": images.counts["objects"],
            "order": [model.name for model in models],
            "models": {model.name: {"model": model.index["model"], "detections": model.index["detections"]} for model in models},
            "protocols": [_protocol(name, task.params["iou"], results.get(name, {}), reason) for name, reason in reasons.items()],
            "ledger": ledger(accuracies, ["map"]),
            "gates": judged,
        },
    )
    _tell(task, results, reasons)
    enforce(judged, accuracies, dict.fromkeys(("map", "map50"), "mAP by %s" % first))


def _protocol(name, iou, models, reason):
    shown = {} if reason else models
    return {"protocol": name, "title": PROTOCOLS[name].title, "iou": iou, "models": shown, "not_computed_because": reason}


def _kind(model):
    return model.index["model"]["kind"]


def _tell(task, results, reasons):
    for name, reason in reasons.items():
        if reason:
            task.warn("%s is not computed: %s" % (name, reason))
            continue
        for model, result in results[name].items():
            task.metrics["%s.%s.map" % (name, model)] = result["map"]
            print("%s: mAP %.4f by %s" % (model, result["map"], name))


def _warn(task, dataset, images, models, chosen):
    for model in models:
        if not model.index["detections"]:
            task.warn("%s found nothing in %d images: its metrics are 0" % (model.name, len(images)))
    for flag in ("difficult", "group_of", "crowd"):
        names = [name for name in chosen if flag in PROTOCOLS[name].counts]
        if names and images.counts[flag]:
            task.warn("%d objects with the flag %s count like all others by %s" % (images.counts[flag], flag, ", ".join(names)))
    if not dataset.hierarchy and any(PROTOCOLS[name].challenge for name in chosen):
        task.warn("the dataset has no class hierarchy: by the challenge's protocols, each class stands for itself")


def _require_objects(images, split):
    if not images.counts["objects"]:
        raise StageError(
            "the split %s has no object to find, so no metric exists" % split,
            "dataset.json",
            "one object or more",
            "%d images without any" % len(images),
            "evaluate on a split with annotations",
        )


def _require_some(reasons, task):
    if all(reasons.values()):
        raise StageError(
            "none of the protocols can be computed" if len(reasons) > 1 else "%s cannot be computed" % next(iter(reasons)),
            "%s.protocols" % task.name,
            "a protocol for which the dataset and the detections have what it needs (docs/protocols.md)",
            "; ".join("%s: %s" % each for each in reasons.items()),
            "name other protocols, or give ingest the masks or image-level labels",
        )


def _require_first(reasons, limits, task):
    first = task.params["protocols"][0]
    if reasons[first] and any(limit is not None for limit in limits.values()):
        raise StageError(
            "the gates look at the first protocol, and it cannot be computed",
            "%s.protocols" % task.name,
            "a first protocol that can be computed",
            "%s: %s" % (first, reasons[first]),
            "name another one first, or leave the gates out",
        )


if __name__ == "__main__":
    run(main)
