"""The change of mAP along the chain, and the gates that fail a pipeline whose model finds too little or lost too much."""

from odapi_protocols import DIGITS

from _runtime import StageError

_REFERENCE = "frozen-graph"


def ledger(models, values):
    """[{"model", "kind", "against": the model before or None, "map", "map_change"}] in the chain's order.

    models: {name: what ran, as inference.json has it}; values: {name: mAP, or None where there is none}.
    """
    rows, before = [], None
    for name, model in models.items():
        value = values.get(name)
        known = before is not None and value is not None and values.get(before) is not None
        change = round(value - values[before], DIGITS) if known else None
        rows.append({"model": name, "kind": model["kind"], "against": before, "map": value, "map_change": change})
        before = name
    return rows


def gates(models, values, min_map, max_loss):
    """The gates that are switched on: [{"name", "model", "class": None, "limit", "value", "passed"}].

    models, values: as of `ledger`, each with a value; min_map, max_loss: limits in 0..1, or None for off. min_map looks at each
    model's mAP; max_loss_vs_frozen at the frozen graph's mAP minus that of each model after it. Raises StageError where that has nothing
    to look at.
    """
    result = []
    if min_map is not None:
        result += [_gate("min_map", name, min_map, value, value >= min_map) for name, value in values.items()]
    if max_loss is not None:
        names = list(models)
        frozen = next((name for name in names if models[name]["kind"] == _REFERENCE), None)
        after = names[names.index(frozen) + 1 :] if frozen else []
        if not after:
            raise StageError(
                "max_loss_vs_frozen has nothing to compare",
                "detections",
                "those of a %s, and of a model after it" % _REFERENCE,
                ", ".join("%s (%s)" % (name, model["kind"]) for name, model in models.items()),
                "bind both inference stages in the chain's order, or leave max_loss_vs_frozen out",
            )
        for name in after:
            loss = round(values[frozen] - values[name], DIGITS)
            result.append(_gate("max_loss_vs_frozen", name, max_loss, loss, loss <= max_loss))
    return result


def _gate(name, model, limit, value, passed):
    return {"name": name, "model": model, "class": None, "limit": limit, "value": value, "passed": passed}


def enforce(results, protocol):
    """Raise StageError if a gate failed; it tells every failed one's numbers."""
    failed = [gate for gate in results if not gate["passed"]]
    if not failed:
        return
    names = sorted({gate["name"] for gate in failed})
    remedies = {
        "max_loss_vs_frozen": "see the fake-quant audit and train longer after quantization.delay, or accept the loss with a larger limit",
        "min_map": "train longer or on more images, or lower the limit",
    }
    raise StageError(
        "the model did not pass: %s" % "; ".join(_told(gate, protocol) for gate in failed),
        ", ".join(names),
        "; ".join("%s %.4f" % ("at least" if gate["name"] == "min_map" else "at most", gate["limit"]) for gate in failed),
        "; ".join("%.4f" % gate["value"] for gate in failed),
        "; ".join(remedies[name] for name in names),
    )


def _told(gate, protocol):
    if gate["name"] == "min_map":
        return "%s has mAP %.4f by %s" % (gate["model"], gate["value"], protocol)
    return "%s lost %.4f mAP by %s" % (gate["model"], gate["value"], protocol)
