"""Accuracy side by side: measures, ledger, classes, curves and kinds of error of two evaluations of the same split."""

from _report.evaluations import CURVES, ERRORS, MEASURES, MOST_CURVES, pr_chart
from _report.page import metric
from _report.plots import bar_chart


def comparison(first, second, names, artifacts, number):
    """What the template tells of a pair of COCO's evaluations.

    names: of the two runs; artifacts: the evaluations' two artifacts. A run's last model, the one that goes to the device, stands for it
    wherever a model is not named.
    """
    last = [each["models"][-1] if each["models"] else {} for each in (first, second)]
    return {
        "id": f"c{number}",
        "split": first["split"],
        "models": [each.get("name") for each in last],
        "counts": [(each["images"], each["objects"]) for each in (first, second)],
        "measures": [
            (label, *_change(*(each.get(key) for each in last)))
            for label, key in MEASURES
            if any(each.get(key) is not None for each in last)
        ],
        "ledger": _ledger(first["ledger"], second["ledger"]),
        "ledger_chart": _ledger_chart(first["ledger"], second["ledger"], names, number),
        "losses": [each["loss"] for each in (first, second)],
        "gates": [each["gates"] for each in (first, second)],
        "classes": _classes(last),
        "curves": _curves([each.json(CURVES) for each in artifacts], last, names, number),
        "errors": _errors(last),
        "thresholds": [each["threshold"] for each in (first, second)],
    }


def _change(one, other):
    """(first, second, second minus first, or None where one is absent)."""
    return one, other, None if None in (one, other) else other - one


def _merged(first, second, key):
    """[(name, row of the first or {}, row of the second or {})]: the first's order, then what the second alone has."""
    rows = [{each[key]: each for each in side} for side in (first, second)]
    return [(name, *(each.get(name, {}) for each in rows)) for name in dict.fromkeys([*rows[0], *rows[1]])]


def _ledger(first, second):
    return [
        {
            "model": name,
            "kind": one.get("kind") or other.get("kind"),
            "map50": _change(one.get("map50"), other.get("map50")),
            "map": _change(one.get("map"), other.get("map")),
            "steps": (one.get("map50_change"), other.get("map50_change")),
        }
        for name, one, other in _merged(first, second, "model")
    ]


def _ledger_chart(first, second, names, number):
    rows = [(name, [one.get("map50"), other.get("map50")]) for name, one, other in _merged(first, second, "model")]
    return bar_chart(
        f"c{number}-ledger",
        "mAP@0.5 at each step of the chain",
        list(names),
        rows,
        "mAP@0.5",
        number=metric,
        log=False,
        limit=1,
        table=False,
    )


def _classes(last):
    merged = _merged(*[each.get("per_class") or [] for each in last], "class")
    rows = [
        {
            "class": name,
            "objects": [one.get("objects"), other.get("objects")],
            "ap50": _change(one.get("ap50"), other.get("ap50")),
            "ap": _change(one.get("ap"), other.get("ap")),
            "best": [(each.get("best") or {}).get("score") for each in (one, other)],
        }
        for name, one, other in merged
    ]
    return sorted(rows, key=lambda row: -abs(row["ap50"][2] or 0))


def _curves(told, last, names, number):
    """{"all": Chart, "classes": [Chart]}: the last models' curves, those of the classes that changed most first."""
    lines = [(each or {}).get("models", {}).get(model.get("name"), {}) for each, model in zip(told, last, strict=True)]
    recalls = [each["recall"] for each in told if each]
    if not any(lines) or any(recall != recalls[0] for recall in recalls):
        return None
    every = pr_chart(f"c{number}-pr", "All classes", recalls[0], [(name, each.get("all")) for name, each in zip(names, lines, strict=True)])
    charts = []
    for place, row in enumerate(_classes(last)[:MOST_CURVES]):
        own = [(each.get("classes", {}).get(row["class"]) or {}).get("precision") for each in lines]
        charts.append(pr_chart(f"c{number}-pr{place}", row["class"], recalls[0], list(zip(names, own, strict=True)), small=True))
    return {"all": every, "classes": [chart for chart in charts if chart]}


def _errors(last):
    counts = [each.get("errors") or {} for each in last]
    if not any(counts):
        return []
    return [(words, *_change(*(each.get(kind) for each in counts))) for kind, words in {"correct": "right", **ERRORS}.items()]


def protocols(first, second):
    """[{"title", "iou", "classes": [(class or "mAP", first, second, change)]}] of the last models, by each protocol of both sides."""
    shown = []
    others = {each["protocol"]: each for each in second["protocols"]}
    for one in first["protocols"]:
        other = others.get(one["protocol"])
        if other and one["names"] and other["names"]:
            last = [each["names"][-1] for each in (one, other)]
            rows = [dict(each["classes"]) for each in (one, other)]
            classes = dict.fromkeys([*rows[0], *rows[1]])
            table = [("mAP", *_change(one["map"][last[0]], other["map"][last[1]]))]
            table += [
                (name, *_change(*(each.get(name, {}).get(model) for each, model in zip(rows, last, strict=True)))) for name in classes
            ]
            shown.append({"title": one["title"], "iou": one["iou"], "classes": table})
    return shown
