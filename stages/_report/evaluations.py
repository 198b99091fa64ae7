"""What evaluations say, made ready for the page: tables and charts of COCO's evaluation, and the tables of other protocols.

An evaluation may be older or hold less: what is absent is left out, and `lacks` says so.
"""

from _report.page import metric
from _report.plots import Series, bar_chart, line_chart

SCHEMA = 2
METRICS, CURVES, MATCHES = "metrics.json", "curves.json", "matches.jsonl"
MODEL_KINDS = {
    "checkpoint": "checkpoint",
    "float-checkpoint": "checkpoint in float",
    "frozen-graph": "frozen graph",
    "inference-graph": "inference graph",
    "saved-model": "SavedModel",
    "tflite": ".tflite",
    "edgetpu": "compiled for the Edge TPU",
    "external": "another program's",
}
MEASURES = (
    ("mAP@0.5", "map50"),
    ("mAP (0.50:0.95)", "map"),
    ("mAP@0.75", "map75"),
    ("mAP, small objects", "map_small"),
    ("mAP, medium", "map_medium"),
    ("mAP, large", "map_large"),
    ("AR, 1 box an image", "ar1"),
    ("AR, 10 boxes", "ar10"),
    ("AR, 100 boxes", "ar100"),
    ("AR, small objects", "ar_small"),
    ("AR, medium", "ar_medium"),
    ("AR, large", "ar_large"),
)
# TIDE's kinds of error (Bolya et al., 2020), in its order.
ERRORS = {
    "classification": "wrong class",
    "localization": "badly placed",
    "both": "wrong class and place",
    "duplicate": "found twice",
    "background": "nothing is there",
    "missed": "missed",
}
GATES = {
    "min_map": "least mAP",
    "min_map50": "least mAP@0.5",
    "max_loss_vs_frozen": "largest loss of mAP@0.5 against the frozen graph",
    "min_class_map50": "least AP@0.5 of a class",
    "max_class_loss_vs_frozen": "largest loss of a class's AP@0.5 against the frozen graph",
}
MOST_CURVES = 24  # classes with a chart of their own
MOST_CELLS = 40  # classes of a confusion matrix
MOST_CONFUSIONS = 30  # in a list, where there are too many classes for a matrix
MOST_LAYERS = 12  # of the largest loss, before the details
_SHADES = (0.005, 0.05, 0.15, 0.35, 0.65)  # shares of a matrix's row from which a cell is darker


def evaluations(artifacts):
    """What the templates tell of each evaluation, in the pipeline's order; see `_coco` and `_others`."""
    timings = {each.name: each.json("timing.json") for each in artifacts.of("detections")}
    found = []
    for number, artifact in enumerate(artifacts.of("evaluation")):
        report = artifact.json(METRICS) or {}
        told = _common(artifact, report, f"e{number}")
        if told["unreadable"] is None:
            _add_models(told, report, timings)
            if told["coco"]:
                _add_coco(told, artifact)
            else:
                _add_protocols(told, report["protocols"])
        found.append(told)
    return found


def readable(found, *, coco=None):
    """The evaluations that this page can read; with `coco`, only those that are COCO's (True) or that are not (False)."""
    return [each for each in found if each["unreadable"] is None and coco in (None, each["coco"])]


def _common(artifact, report, prefix):
    evaluator = report.get("evaluator") or {}
    unreadable = None
    if report.get("schema") != SCHEMA or not isinstance(report.get("models"), dict):
        unreadable = f"its {METRICS} has schema {report.get('schema')}, and this page reads schema {SCHEMA}: build it again"
    return {
        "id": prefix,
        "name": artifact.name,
        "unreadable": unreadable,
        "coco": "protocols" not in report,
        "protocol": report.get("protocol"),
        "split": report.get("split"),
        "title": artifact.name + (f": the split {report['split']}" if report.get("split") else ""),
        "evaluator": " ".join(str(evaluator[key]) for key in ("name", "version") if evaluator.get(key)),
        "lacks": [],
        "gates": [{**gate, "label": GATES.get(gate["name"], gate["name"])} for gate in report.get("gates") or []],
    }


def _add_models(told, report, timings):
    order = [name for name in report.get("order") or sorted(report["models"]) if name in report["models"]]
    models = []
    for name in order:
        entry = report["models"][name]
        model = entry.get("model") or {}
        kind = MODEL_KINDS.get(model.get("kind"), model.get("kind"))
        ran = " ".join(str(model[key]) for key in ("runtime", "version") if model.get(key))
        models.append({**entry, "name": name, "kind": kind, "ran_with": ran, "sha256": model.get("sha256"), "timing": timings.get(name)})
    told.update(models=models, names=order, number_heads=[f"#{name}" for name in order])
    told.update({name: report.get(name) for name in ("images", "objects", "crowd_regions", "difficult", "threshold")})
    told["ledger"] = _ledger(report, models)
    told["loss"] = _loss(report.get("largest_loss"))
    told["ledger_chart"] = bar_chart(
        f"{told['id']}-ledger",
        "mAP at each step of the chain",
        [label for label, key in (("mAP@0.5", "map50"), ("mAP", "map")) if any(row[key] is not None for row in told["ledger"])],
        [
            (row["model"], [row[key] for key in ("map50", "map") if any(each[key] is not None for each in told["ledger"])])
            for row in told["ledger"]
        ],
        "mAP",
        number=metric,
        log=False,
        limit=1,
        table=False,
    )


def _ledger(report, models):
    """A row for each model: the evaluation's own, or, where it tells none, made of the models; `worst` marks the largest loss."""
    rows = report.get("ledger")
    if not rows:
        rows = [{"model": each["name"], "against": None, "map": each.get("map"), "map50": each.get("map50")} for each in models]
        for before, row in zip(rows, rows[1:], strict=False):
            row["against"] = before["model"]
            for key in ("map", "map50"):
                row[f"{key}_change"] = None if None in (row[key], before[key]) else row[key] - before[key]
    kinds = {each["name"]: each["kind"] for each in models}
    worst = (report.get("largest_loss") or {}).get("model")
    keys = ("against", "map", "map50", "map_change", "map50_change")
    return [
        {
            "model": row["model"],
            "kind": kinds.get(row["model"]),
            "worst": row["model"] == worst,
            "layers": row.get("layers_compared") or [],
            **{key: row.get(key) for key in keys},
        }
        for row in rows
    ]


def _loss(loss):
    """The largest loss, its layers cut in two: those that the page shows at once, and the rest."""
    if not loss:
        return None
    layers = loss.get("layers") or []
    largest = max((layer["error"] for layer in layers), default=0) or 1
    layers = [{**layer, "bar": round(100 * layer["error"] / largest, 1)} for layer in layers]
    return {
        "model": loss.get("model"),
        "against": loss.get("against"),
        "map_change": loss.get("map_change"),
        "map50_change": loss.get("map50_change"),
        "layers": layers[:MOST_LAYERS],
        "more_layers": layers[MOST_LAYERS:],
        "unknown_because": loss.get("layers_unknown_because"),
        "compared": _compared(loss.get("layers_summary") or {}),
    }


def _compared(summary):
    """How many layers were compared, and which could not be, in a sentence; empty where the evaluation does not say."""
    if not summary.get("compared"):
        return ""
    other = summary.get("other_shape") or []
    parts = [
        f"{summary['compared']:,} layers were compared",
        *(
            f"{number:,} are in {name} alone"
            for name, number in (("the first", summary.get("only_before")), ("the second", summary.get("only_after")))
            if number
        ),
        *([f"{len(other)} keep another number of values"] if other else []),
    ]
    return ", ".join(parts) + "."


def _add_coco(told, artifact):
    models = told["models"]
    told["measures"] = [(label, key) for label, key in MEASURES if any(model.get(key) is not None for model in models)]
    told["masks"] = [(label, key) for label, key in MEASURES if any((model.get("masks") or {}).get(key) is not None for model in models)]
    told["classes"] = _classes(models)
    told["curves"] = _curves(told, artifact.json(CURVES))
    told["confusions"] = [_confusion(model) for model in models if (model.get("confusion") or {}).get("counts")]
    told["areas"], told["area_chart"] = _areas(told)
    told["errors"], told["error_chart"] = _errors(told)
    told["matches"] = artifact.path / MATCHES if (artifact.path / MATCHES).is_file() else None
    for there, what in (
        (told["curves"], f"{CURVES}: its precision-recall curves"),
        (told["matches"], f"{MATCHES}: what was found in each picture"),
        (told["confusions"], "a confusion matrix"),
        (told["errors"], "the kinds of error"),
    ):
        if not there:
            told["lacks"].append(what)


def _classes(models):
    """A row for each class: its objects, each model's numbers, and the change of AP@0.5 from the first model to the last."""
    rows = {}
    for model in models:
        for each in model.get("per_class") or []:
            row = rows.setdefault(each["class"], {"class": each["class"], "objects": each.get("objects"), "models": {}})
            row["models"][model["name"]] = each
    for row in rows.values():
        first, last = (row["models"].get(models[place]["name"], {}).get("ap50") for place in (0, -1))
        row["change"] = None if None in (first, last) or len(models) < 2 else last - first
        row["best"] = row["models"].get(models[-1]["name"], {}).get("best") or {}
    return list(rows.values())


def _curves(told, curves):
    """{"all": Chart, "classes": [Chart], "left_out": number of classes}, or None where there are no curves."""
    if not curves or not curves.get("models"):
        return None
    recall, names = curves["recall"], [name for name in told["names"] if name in curves["models"]]
    iou = curves.get("iou", 0.5)
    every = pr_chart(
        f"{told['id']}-pr",
        "All classes",
        recall,
        [(name, curves["models"][name].get("all")) for name in names],
        lead=f"Mean precision over the classes at each recall, IoU {iou:g}.",
    )
    charts = []
    chosen = _worst_classes(told["classes"], told["names"])
    for number, name in enumerate(chosen[:MOST_CURVES]):
        lines = [(model, (curves["models"][model].get("classes", {}).get(name) or {}).get("precision")) for model in names]
        charts.append(pr_chart(f"{told['id']}-pr{number}", name, recall, lines, small=True))
    return {"all": every, "classes": [chart for chart in charts if chart], "left_out": max(0, len(chosen) - MOST_CURVES)}


def pr_chart(chart_id, title, recall, lines, *, lead="", small=False):
    """A chart of precision over recall, or None without a curve. lines: [(label, precision at each recall, or None)]."""
    series = [
        Series(label, [point for point in zip(recall, values or [], strict=False) if point[1] is not None]) for label, values in lines
    ]
    return line_chart(
        chart_id,
        title,
        series,
        "recall",
        y_label="" if small else "precision",
        lead=lead,
        x_range=(0, 1),
        y_range=(0, 1),
        small=small,
        most_rows=11,
    )


def _worst_classes(rows, names):
    """The classes with an AP, in the label map's order; where they are too many for charts, those with the least AP first."""
    shown = [row for row in rows if any(each.get("ap50") is not None for each in row["models"].values())]
    if len(shown) > MOST_CURVES:
        shown.sort(key=lambda row: row["models"].get(names[-1], {}).get("ap50") or 0)
    return [row["class"] for row in shown]


def _confusion(model):
    """A model's matrix with a shade for each cell, or, for many classes, its most frequent confusions alone."""
    labels, counts = model["confusion"]["labels"], model["confusion"]["counts"]
    told = {"model": model["name"], "labels": labels, "rows": [], "pairs": []}
    if len(labels) <= MOST_CELLS + 1:
        told["rows"] = [(label, [(value, _shade(value, sum(row))) for value in row]) for label, row in zip(labels, counts, strict=True)]
        return told
    pairs = [
        (value, labels[place], labels[column])
        for place, row in enumerate(counts)
        for column, value in enumerate(row)
        if value and place != column
    ]
    pairs.sort(key=lambda pair: -pair[0])
    told["pairs"] = pairs[:MOST_CONFUSIONS]
    return told


def _shade(value, total):
    share = value / total if total else 0
    return sum(share >= edge for edge in _SHADES)


def _areas(told):
    """(a row for each bin of objects' areas, its chart) of recall by size."""
    models = [model for model in told["models"] if model.get("area_bins")]
    if not models:
        return [], None
    bins = models[0]["area_bins"]
    names = [f"{100 * each['from']:g}–{100 * each['to']:g} %" for each in bins]
    lines, columns = [], []
    for model in models:
        shares = [each["found"] / each["objects"] if each["objects"] else None for each in model["area_bins"]]
        lines.append(Series(model["name"], list(enumerate(shares)), markers=True))
        columns.append([(each["found"], share) for each, share in zip(model["area_bins"], shares, strict=True)])
    chart = line_chart(
        f"{told['id']}-areas",
        "Objects found, by their share of the picture's area",
        lines,
        "object's share of the area: up to … %",
        y_label="found",
        lead=f"Share of the objects that were found, at a score of {metric(told['threshold'])} or more.",
        y_range=(0, 1),
        names=names,
        ticks=[f"{100 * each['to']:g}" for each in bins],
        table=False,
    )
    rows = zip(names, bins, zip(*columns, strict=True), strict=True)
    return [{"name": name, "objects": each["objects"], "models": found} for name, each, found in rows], chart


def _errors(told):
    """(a row for each kind, its chart): what is right, what is wrong and how."""
    models = [model for model in told["models"] if model.get("errors")]
    if not models:
        return [], None
    rows = [(kind, words, [model["errors"].get(kind) for model in models]) for kind, words in {"correct": "right", **ERRORS}.items()]
    chart = bar_chart(
        f"{told['id']}-errors",
        "Kinds of error",
        [model["name"] for model in models],
        [(words, values) for kind, words, values in rows if kind != "correct"],
        "boxes; for missed, objects",
        lead="Errors of each model.",
        log=False,
        table=False,
    )
    return [{"kind": kind, "words": words, "values": values} for kind, words, values in rows], chart


def _add_protocols(told, protocols):
    """Other protocols' tables: each with mAP of every model, AP of every class and the evaluator's own numbers."""
    told["protocols"] = []
    for each in protocols:
        names = [name for name in told["names"] if name in (each.get("models") or {})]
        rows, own = {}, {}
        for name in names:
            for row in each["models"][name].get("per_class") or []:
                rows.setdefault(row["class"], {})[name] = row.get("ap")
            for key, value in (each["models"][name].get("metrics") or {}).items():
                own.setdefault(key, {})[name] = value
        told["protocols"].append(
            {
                "protocol": each.get("protocol"),
                "title": each.get("title") or each.get("protocol"),
                "iou": each.get("iou"),
                "names": names,
                "number_heads": [f"#{name}" for name in names],
                "map": {name: each["models"][name].get("map") for name in names},
                "classes": list(rows.items()),
                "metrics": list(own.items()),
                "not_computed_because": each.get("not_computed_because"),
            }
        )


def latencies(artifacts):
    """A row for each model whose inference was timed: [{"name", "kind", "ran_with", "timing"}]."""
    rows = []
    for each in artifacts.of("detections"):
        inference, timing = each.json("inference.json") or {}, each.json("timing.json")
        if timing:
            model = inference.get("model") or {}
            ran = " ".join(str(model[key]) for key in ("runtime", "version") if model.get(key))
            kind = MODEL_KINDS.get(model.get("kind"), model.get("kind"))
            rows.append({"name": each.name, "kind": kind, "ran_with": ran, "split": inference.get("split"), "timing": timing})
    return rows
