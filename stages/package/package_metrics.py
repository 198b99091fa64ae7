"""What an evaluation says of the packaged model."""

from _runtime import StageError, sha256_file


def metrics_of(evaluation, model):
    """metrics.json with `own`, the name of the packaged model in it; None without an evaluation.

    evaluation, model: input artifacts, the first may be None. Raises StageError where the evaluation is of other models.
    """
    if evaluation is None:
        return None
    metrics, digest = evaluation.json("metrics.json"), sha256_file(model.path / "model.tflite")
    if metrics["schema"] != 2:
        raise StageError(
            "the evaluation has another schema", "metrics.json of %s" % evaluation.name, 2, metrics["schema"], "evaluate the models again"
        )
    sums = {name: each["model"].get("sha256") for name, each in metrics["models"].items()}
    own = [name for name in metrics["order"] if sums[name] == digest]
    if not own:
        raise StageError(
            "the evaluation is of another model",
            where="metrics.json of %s" % evaluation.name,
            expected="sha256 %s" % digest,
            found=", ".join("%s: %s" % item for item in sums.items()),
            remedy="bind package and infer-tflite to the same model",
        )
    return {**metrics, "own": own[0]}


def thresholds_of(metrics):
    """(least score of an object, {class: its own or None}): where F1 was highest; (None, None) without an evaluation by COCO's rules."""
    if metrics is None or metrics["protocol"] != "coco":
        return None, None
    own = metrics["models"][metrics["own"]]
    overall = own["best"]["score"] if own["best"] else metrics["threshold"]
    return overall, {each["class"]: each["best"]["score"] if each["best"] else None for each in own["per_class"]}


def changes_of(metrics):
    """{model: change of mAP@0.5 against the model before it in the chain, or None}, from the ledger."""
    return {entry["model"]: entry.get("map50_change") for entry in metrics.get("ledger") or ()}


def output_places(lint):
    """{"boxes": index, …} of the model's outputs where the lint tells their order, else None: they are in TensorFlow 1's."""
    order = lint.get("output_order")
    return {name: place for place, name in enumerate(order)} if order else None
