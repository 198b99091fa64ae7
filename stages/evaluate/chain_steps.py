"""The chain's steps: what each changed, which one lost most, and in which layers it did."""

from layer_errors import compare_layers, read_layers, why_unknown

from _detection.accuracy import ledger

_SHOWN = 3  # layers of each step in the ledger; of the one that lost most, all that are compared are told


def chain_steps(models, accuracies):
    """(the ledger, the step that lost most of mAP@0.5, or None where none lost any).

    models: `detection_checks.Model`s in the chain's order; accuracies: their `accuracy.Accuracy`. The ledger is `accuracy.ledger`'s, and
    "layers_compared" is the worst layers of each step, None where there is no step or the layers are unknown, and "nms" how the model's
    boxes are suppressed, None where that is not known. Of the worst step:
    {"model", "against", "map50_change", "map_change", "layers", "layers_unknown_because", "layers_summary"}, see `layer_errors`.
    Raises StageError where samples of layers are damaged.
    """
    entries, steps, before = ledger(accuracies), [], None
    for entry, model in zip(entries, models, strict=True):
        samples = read_layers(model)
        entry["layers_compared"], entry["nms"] = None, model.index["model"].get("nms")
        if before is not None:
            step = _step(entry, before, (model, samples))
            entry["layers_compared"] = step["layers"] and step["layers"][:_SHOWN]
            steps.append(step)
        before = (model, samples)
    lost = [step for step in steps if step["map50_change"] < 0]
    return entries, min(lost, key=lambda step: (step["map50_change"], step["map_change"]), default=None)


def _step(entry, before, after):
    step = {name: entry[name] for name in ("model", "against", "map50_change", "map_change")}
    models, samples = zip(before, after, strict=True)
    because = why_unknown(*models, samples)
    told = {} if because else compare_layers(*samples)
    return {**step, "layers": told.pop("layers", None), "layers_summary": told or None, "layers_unknown_because": because}
