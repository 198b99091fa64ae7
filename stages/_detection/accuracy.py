"""What each step of the chain does to accuracy, and the gates that fail a build whose model lost too much or finds too little.

For every stage that evaluates, in every image: Python 3.7 and newer, standard library only.
"""

import difflib
from typing import Any, NamedTuple, Optional

from _runtime import StageError

DIGITS = 6  # kept: the last bits of a mean may differ between processors, and the artifact's digest must not
FROZEN = "frozen-graph"
_WORDS = {"map": "mAP", "map50": "mAP@0.5"}
_REMEDIES = {
    "min_map": "train longer or on more images, or lower min_map",
    "min_map50": "train longer or on more images, or lower min_map50",
    "min_class_map50": "give that class more training images, or lower its min_class_map50",
    "max_loss_vs_frozen": "look at largest_loss in the evaluation, or accept the loss with a larger max_loss_vs_frozen",
    "max_class_loss_vs_frozen": "look at the curves of that class, or accept the loss with a larger max_class_loss_vs_frozen",
}


class Accuracy(NamedTuple):
    """A model's, all in 0..1: map and map50 (None where the protocol has no such mean) and classes, {class: AP@0.5}, None where there is
    nothing to find. name: the model's; kind: as inference.json tells it ("frozen-graph", "tflite", …).
    """

    name: str
    kind: str
    map: Optional[float]
    map50: Optional[float]
    classes: Any


def ledger(models, values=("map", "map50")):
    """Each model's accuracy, and its change against the model before it; below 0 is a loss.

    models: `Accuracy` in the chain's order; values: which means. Returns [{"model", "kind", "against", value, value + "_change"}], None
    where there is none before.
    """
    entries = []
    for before, model in zip([None, *models], models):
        entry = {"model": model.name, "kind": model.kind, "against": before.name if before else None}
        for value in values:
            entry[value] = getattr(model, value)
            entry[value + "_change"] = difference(getattr(before, value), entry[value]) if before else None
        entries.append(entry)
    return entries


def difference(before, after):
    """The change from `before` to `after`, rounded; None where either is None."""
    return None if before is None or after is None else round(after - before, DIGITS) + 0.0  # + 0.0: no -0.0


def check_gates(limits, models, classes, per_class):
    """Raise StageError where a gate can be no gate, before anything is computed.

    limits: {gate: limit, or None for off}; models: [(name, kind)] in the chain's order; classes: all names; per_class: {class: objects}.
    A class of min_class_map50 must exist and have an object to find; a loss against the frozen graph needs one, and a model behind it.
    """
    for name in limits.get("min_class_map50") or {}:
        where = "min_class_map50: %s" % name
        if name not in classes:
            near = difflib.get_close_matches(name, classes, 1)
            found = "%s (nearest: %s)" % (name, near[0]) if near else name
            raise StageError(
                "a gate is for a class that the dataset lacks", where, "one of %s" % ", ".join(classes), found, "correct its name"
            )
        if not per_class[name]:
            raise StageError("a gate is for a class without an object to find", where, "one object or more", 0, "leave it out")
    wanted = [name for name in ("max_loss_vs_frozen", "max_class_loss_vs_frozen") if limits.get(name) is not None]
    if wanted and not any(pair[0] for pair in _against_frozen(models, [kind for _, kind in models])):
        raise StageError(
            "%s compares models with the frozen graph, and there are not both" % wanted[0],
            wanted[0],
            "detections of a frozen graph, and of a model made of it after them",
            ", ".join("%s (%s)" % model for model in models),
            "bind the frozen graph's detections before the others, or leave %s out" % wanted[0],
        )


def gates(limits, models):
    """The gates that are switched on: [{"name", "model", "class" (None for all), "limit", "value", "passed"}].

    limits: {gate: limit, or None for off}, in 0..1; models: `Accuracy` in the chain's order.
    min_map, min_map50: a mean's least value. min_class_map50, {class: least}: a class's AP@0.5. All three are for the models from the
    (first) frozen graph on: what comes before it goes to no device; without one, for all models.
    max_loss_vs_frozen: mAP@0.5 of the nearest frozen graph before a model minus the model's. max_class_loss_vs_frozen: the same, AP@0.5 of
    each class that has objects.
    """
    kinds = [model.kind for model in models]
    delivered = models[kinds.index(FROZEN) :] if FROZEN in kinds else models
    result = []
    for name in ("min_map", "min_map50"):
        if limits.get(name) is not None:
            result += [_least(name, model, None, limits[name], getattr(model, name[len("min_") :])) for model in delivered]
    for category, limit in sorted((limits.get("min_class_map50") or {}).items()):
        result += [_least("min_class_map50", model, category, limit, model.classes[category]) for model in delivered]
    for frozen, model in _against_frozen(models, kinds):
        if frozen and limits.get("max_loss_vs_frozen") is not None:
            result.append(_most("max_loss_vs_frozen", model, None, limits["max_loss_vs_frozen"], difference(model.map50, frozen.map50)))
        if frozen and limits.get("max_class_loss_vs_frozen") is not None:
            losses = {category: difference(model.classes[category], frozen.classes[category]) for category in frozen.classes}
            limit = limits["max_class_loss_vs_frozen"]
            result += [_most("max_class_loss_vs_frozen", model, each, limit, loss) for each, loss in losses.items() if loss is not None]
    return result


def _against_frozen(models, kinds):
    """(the nearest frozen graph before it, or None; the model) of each model that is none itself."""
    frozen = None
    for model, kind in zip(models, kinds):
        if kind == FROZEN:
            frozen = model
        else:
            yield frozen, model


def _least(name, model, category, limit, value):
    passed = value is not None and value >= limit
    return {"name": name, "model": model.name, "class": category, "limit": limit, "value": value, "passed": passed}


def _most(name, model, category, limit, value):
    return {"name": name, "model": model.name, "class": category, "limit": limit, "value": value, "passed": value <= limit}


def enforce(results, models, words=_WORDS):
    """Raise StageError if a gate failed; it tells every failed one, and the means of all models, for nothing is published then.

    results: of `gates`; models: `Accuracy`; words: {"map" and "map50": how the protocol's means are called}.
    """
    failed = [gate for gate in results if not gate["passed"]]
    if not failed:
        return
    names = list(dict.fromkeys(gate["name"] for gate in failed))
    raise StageError(
        "the model did not pass: %s" % "; ".join(_told(gate, words) for gate in failed),
        where=", ".join(names),
        expected="; ".join("%s %s %.4f" % (_subject(gate), "at most" if _is_loss(gate) else "at least", gate["limit"]) for gate in failed),
        found="; ".join(_means(model, words) for model in models),
        remedy="; ".join(_REMEDIES[name] for name in names),
    )


def _is_loss(gate):
    return gate["name"].startswith("max_")


def _subject(gate):
    return "%s, %s:" % (gate["model"], gate["class"]) if gate["class"] else "%s:" % gate["model"]


def _told(gate, words):
    word = "AP@0.5" if gate["class"] else words["map" if gate["name"] == "min_map" else "map50"]
    value = "no value" if gate["value"] is None else "%.4f" % gate["value"]
    what = "lost %s %s" % (value, word) if _is_loss(gate) else "has %s %s" % (word, value)
    return "%s %s%s" % (gate["model"], what, " of %s" % gate["class"] if gate["class"] else "")


def _means(model, words):
    means = ["%s %.4f" % (words[name], getattr(model, name)) for name in ("map", "map50") if getattr(model, name) is not None]
    return "%s %s" % (model.name, ", ".join(means))
