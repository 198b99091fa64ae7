"""Visual relationships by the Open Images Challenge's protocols: metrics, and the gate."""

from importlib_metadata import version
from vrd_names import Names
from vrd_scoring import PROTOCOLS, score
from vrd_tables import LABELS, PREDICTIONS, RELATIONS, read_labels, read_predictions, read_relations

from _detection.accuracy import Accuracy, enforce, gates, ledger
from _runtime import StageError, run, sha256_file, write_json

_SHOWN = 5


def main(task):
    """Write metrics.json; it holds neither time nor path, so that the same files give the same bytes."""
    for name, what in (("relations", RELATIONS), ("predictions", PREDICTIONS)):
        if not task.params[name]:
            raise StageError("there is no file of %s" % what, "%s.%s" % (task.name, name), "a CSV file", None, "name it in the pipeline")
    classes = Names("class", task.params["class_label_map"])
    relationships = Names("relationship", task.params["relationship_label_map"])
    truth = read_relations(task.params["relations"], classes, relationships)
    verified = read_labels(task.params["labels"], classes) if task.params["labels"] else {}
    images = sorted({*truth.images, *verified})  # the order of the challenge's own program, which decides among equal scores
    ignore = task.params["unknown_images"] == "ignore"
    found, left_out = read_predictions(task.params["predictions"], classes, relationships, set(images), ignore)
    _warn(task, verified, found, left_out, (classes, relationships))
    results = _results(task, images, (truth, verified, found), relationships.by_id())
    _write(task, results, {"images": len(images), "relations": truth.rows}, found)


def _results(task, images, tables, relationships):
    truth, verified, found = tables
    results = []
    for name in task.params["protocols"]:
        seen = ((image, truth.of(image), verified.get(image, []), found.of(image)) for image in images)
        value = score(name, task.params["iou"], seen, relationships)
        results.append(
            {
                "protocol": name,
                "title": PROTOCOLS[name][0],
                "iou": task.params["iou"],
                "models": {task.params["model"]: value},
                "not_computed_because": None,
            }
        )
        task.metrics["%s.map" % name] = value["map"]
        task.progress(len(results), len(task.params["protocols"]), "protocol")
    return results


def _write(task, results, counts, found):
    """Write metrics.json, and raise StageError where the gate does not pass."""
    name, first = task.params["model"], results[0]
    model = {"kind": "external", "runtime": None, "version": None, "sha256": sha256_file(task.params["predictions"])}
    accuracies = [Accuracy(name, model["kind"], first["models"][name]["map"], None, {})]
    judged = gates({"min_map": task.params["min_map"]}, accuracies)
    task.tools["tf-object-detection"] = version("tf-object-detection")
    write_json(
        task.output / "metrics.json",
        dict(
            counts,
            schema=2,
            protocol="odapi",
            evaluator={"name": "Object Detection API", "version": task.tools["tf-object-detection"]},
            split=None,
            order=[name],
            models={name: {"model": model, "detections": found.rows}},
            protocols=results,
            ledger=ledger(accuracies, ["map"]),
            gates=judged,
        ),
    )
    enforce(judged, accuracies, {"map": "mAP by %s" % first["protocol"]})


def _warn(task, verified, found, left_out, names):
    if not verified:
        task.warn("there are no %s: what is found of a class that no relation of the image has is left out" % LABELS)
    if left_out:
        task.warn("%d predictions are of images that the ground truth lacks: they are left out" % left_out)
    if not found.rows:
        task.warn("there are no predictions: every metric is 0")
    for each in names:
        if each.unknown:
            shown = ", ".join("%s (%s)" % (name, where) for name, (_, where) in list(each.unknown.items())[:_SHOWN])
            task.warn("%d names of the predictions are none of the ground truth: %s" % (len(each.unknown), shown))


if __name__ == "__main__":
    run(main)
