"""Differences between models, and the gates that fail a pipeline whose model lost too much or finds too little."""

from box_metrics import DIGITS

from _runtime import StageError


def differences(models):
    """Each model against the first: [{"model", "against", "map", "map50"}], the model's value minus the first one's; below 0 is a loss.

    `models` is {name: metrics} in the chain's order.
    """
    names = list(models)
    return [
        {
            "model": name,
            "against": names[0],
            "map": round(models[name]["map"] - models[names[0]]["map"], DIGITS),
            "map50": round(models[name]["map50"] - models[names[0]]["map50"], DIGITS),
        }
        for name in names[1:]
    ]


def gates(models, max_loss, min_map50):
    """The gates that are switched on: [{"name", "model", "limit", "value", "passed"}].

    `max_loss` and `min_map50` are limits in 0..1, or None for off.
    max_loss: value is mAP@0.5 of the first model minus that of this one. min_map50: value is mAP@0.5 of this model.
    Raises StageError if max_loss has no second model to look at.
    """
    result = []
    if max_loss is not None:
        if len(models) < 2:
            raise StageError(
                "max_loss compares models, and there is only one",
                where="evaluate.max_loss",
                expected="two or more detections",
                found=", ".join(models),
                remedy="bind the frozen graph's and the .tflite's detections, or leave max_loss out",
            )
        for difference in differences(models):
            loss = 0.0 - difference["map50"]
            result.append({"name": "max_loss", "model": difference["model"], "limit": max_loss, "value": loss, "passed": loss <= max_loss})
    if min_map50 is not None:
        for name, metrics in models.items():
            result.append(
                {"name": "min_map50", "model": name, "limit": min_map50, "value": metrics["map50"], "passed": metrics["map50"] >= min_map50}
            )
    return result


def enforce(results):
    """Raise StageError if a gate failed; it tells every failed one's numbers."""
    failed = [gate for gate in results if not gate["passed"]]
    if not failed:
        return
    names = {gate["name"] for gate in failed}
    remedies = []
    if "max_loss" in names:
        remedies.append(
            "see the fake-quant audit and train longer after quantization.delay, or accept the loss with a larger evaluate.max_loss"
        )
    if "min_map50" in names:
        remedies.append("train longer or on more images, or lower evaluate.min_map50")
    raise StageError(
        "the model did not pass: %s" % "; ".join(_told(gate) for gate in failed),
        where=", ".join(sorted(names)),
        expected="; ".join(_limit(gate) for gate in failed),
        found="; ".join("%.4f" % gate["value"] for gate in failed),
        remedy="; ".join(remedies),
    )


def _told(gate):
    if gate["name"] == "max_loss":
        return "%s lost %.4f mAP@0.5" % (gate["model"], gate["value"])
    return "%s has mAP@0.5 %.4f" % (gate["model"], gate["value"])


def _limit(gate):
    return "%s %.4f" % ("at most" if gate["name"] == "max_loss" else "at least", gate["limit"])
