"""COCO metrics of each model on the same images, their differences, and the gates."""

from importlib.metadata import version

from accuracy_gates import differences, enforce, gates
from box_metrics import box_metrics, object_counts
from model_outputs import ModelOutput, check_covers, check_detections, check_same_images

from _detection.dataset import load
from _runtime import StageError, run, write_json


def main(task):
    """Evaluate every detections input; metrics.json holds no time, so that the same detections give the same bytes."""
    dataset = load(task.input("dataset").path)
    outputs = _outputs(task)
    split = outputs[0].split
    images = dataset.images(split)
    check_same_images(outputs)
    for output in outputs:
        check_covers(output, images)
        check_detections(output, dataset.classes)
    truth = dataset.coco(split)
    counts = object_counts(truth)
    _require_objects(counts, split)
    models = {}
    for done, output in enumerate(outputs, start=1):
        models[output.name] = _metrics(task, output, truth)
        task.progress(done, len(outputs), "model")
    results = gates(models, task.params["max_loss"], task.params["min_map50"])
    write_json(
        task.output / "metrics.json",
        {
            "schema": 1,
            "split": split,
            "images": len(images),
            **counts,
            "order": list(models),
            "models": models,
            "differences": differences(models),
            "gates": results,
        },
    )
    task.tools["pycocotools"] = version("pycocotools")
    enforce(results)


def _outputs(task):
    outputs = [ModelOutput(artifact) for artifact in task.inputs("detections")]
    if not outputs:
        raise StageError(
            "nothing to evaluate",
            where="evaluate.detections",
            expected="one or more detections",
            found="none",
            remedy="bind infer-frozen or infer-tflite in the pipeline",
        )
    names = [output.name for output in outputs]
    if len(set(names)) != len(names):
        raise StageError(
            "two models have one name",
            where="evaluate.detections",
            expected="different names",
            found=", ".join(names),
            remedy="bind each detections stage once",
        )
    return outputs


def _require_objects(counts, split):
    if not counts["objects"]:
        raise StageError(
            "the split %s has no object to find, so no metric exists" % split,
            where="dataset.json",
            expected="one box or more that is neither crowd nor group-of",
            found="%d crowd regions" % counts["crowd_regions"],
            remedy="evaluate on a split with annotations",
        )


def _metrics(task, output, truth):
    metrics = box_metrics(truth, output.detections)
    if not output.detections:
        task.warn("%s found nothing in %d images: its metrics are 0" % (output.name, len(truth["images"])))
    task.metrics["%s.map" % output.name] = metrics["map"]
    task.metrics["%s.map50" % output.name] = metrics["map50"]
    print(
        "%s: mAP %.4f, mAP@0.5 %.4f on %d images of %s"
        % (output.name, metrics["map"], metrics["map50"], len(truth["images"]), output.split)
    )
    return {"model": output.model, "detections": len(output.detections), **metrics}


if __name__ == "__main__":
    run(main)
