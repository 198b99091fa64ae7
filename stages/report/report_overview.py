"""The top of the page: the verdict, the stages and their graph, what could not be checked, and all warnings."""

from stage_graph import layout

from _report.artifacts import CONFIGS
from _report.evaluations import readable
from _report.page import count, in_bytes, listed, metric, signed

STATES = {
    "ran": ("ran now", "✓"),
    "published": ("already published", "●"),
    "unavailable": ("unavailable", "–"),
    "failed": ("failed", "✕"),
    "damaged": ("damaged", "✕"),
    "waiting": ("not reached", "–"),
    "to run": ("not run", "–"),
}
UNKNOWN_STATE = ("not recorded", "·")


def stages(run, artifacts):
    """A row for each stage: of the run where the task tells of one, else of what the manifests say went into the artifacts."""
    made = {each.name: each.manifest for each in artifacts.all}
    lineage = artifacts.lineage()
    if run:
        rows = [_row(entry["name"], entry, lineage.get(entry.get("key"), {}), made) for entry in run["stages"]]
    else:
        past = {entry["name"]: entry for entry in lineage.values()}
        rows = [_row(name, {}, past.get(name, {}), made) for name in dict.fromkeys([*past, *made])]
    return rows


def _row(name, entry, past, made):
    manifest = made.get(name, {})
    state = entry.get("state")
    label, sign = STATES.get(state, (state, "·") if state else UNKNOWN_STATE)
    seconds = entry.get("seconds")
    feeds = entry.get("inputs") or past.get("inputs") or {}
    return {
        "name": name,
        "stage": entry.get("stage") or past.get("stage") or manifest.get("stage"),
        "state": state,
        "label": label,
        "sign": sign,
        "css": state if state in STATES and " " not in state else "unknown",
        "seconds": manifest.get("seconds") if seconds is None else seconds,
        "image": entry.get("image") or manifest.get("image_name"),
        "image_id": past.get("image") or manifest.get("image"),
        "key": entry.get("key") or past.get("key"),
        "digest": entry.get("digest") or manifest.get("digest"),
        "reason": entry.get("reason"),
        "optional": bool(entry.get("optional")),
        "inputs": _feeders(feeds),
    }


def _feeders(inputs):
    """Names of the stages that feed another, whatever form tells it: {input: name | [name] | {"name"} | [{"name"}] | None}."""
    names = []
    for value in inputs.values():
        for each in value if isinstance(value, list) else [value]:
            name = each.get("name") if isinstance(each, dict) else each
            if name:
                names.append(name)
    return names


def graph(rows):
    """The stages' graph for the template, or None where there is nothing to draw."""
    if not rows:
        return None
    return {"drawing": layout({row["name"]: row["inputs"] for row in rows}), "rows": {row["name"]: row for row in rows}}


def headline(evaluations, models, packages):
    """Cards of the most telling numbers: [{"label", "value", "note"}]: of the evaluation on the test split, or else of the first."""
    cards = []
    measured = sorted(readable(evaluations, coco=True), key=lambda each: each["split"] != "test")
    for evaluation in measured[:1]:
        cards += [_card(each["name"], metric(each.get("map50")), f"mAP@0.5 on {evaluation['split']}") for each in evaluation["models"]]
        loss = evaluation["loss"]
        if loss:
            cards.append(_card(f"{loss['against']} → {loss['model']}", signed(loss["map50_change"]), "largest loss of mAP@0.5"))
    cards += [_card(each["name"], in_bytes(each["bytes"]), "size of the .tflite") for each in models if each["bytes"] is not None]
    cards += [_card(each["name"], count(len(each["files"])), "files in the package") for each in packages[:1]]
    return cards


def _card(label, value, note):
    return {"label": label, "value": value, "note": note}


def unchecked(rows, artifacts, evaluations):
    """What this page cannot vouch for, in so many words."""
    told = []
    compiled = artifacts.first("edgetpu")
    compile_rows = [row for row in rows if row["stage"] == "compile" and row["state"] not in ("ran", "published")]
    if compiled is None:
        reason = "; ".join(f"stage {row['name']}: {row['label']}{', ' + row['reason'] if row['reason'] else ''}" for row in compile_rows)
        told.append(
            "The model was not compiled for the Edge TPU"
            + (f" ({reason})." if reason else ": no artifact of edgetpu_compiler is here.")
            + (
                " How many of its operators an Edge TPU would run is predicted, not told by the compiler."
                if artifacts.first("edgetpu-prediction")
                else " How many of its operators an Edge TPU would run is not known."
            )
        )
    elif not any(((each.json("inference.json") or {}).get("model") or {}).get("kind") == "edgetpu" for each in artifacts.of("detections")):
        told.append("No Edge TPU took part: the compiled model was not run. Its accuracy and speed on a device are not measured.")
    if artifacts.first("tflite") is not None:
        told.append("The model was run on the machine that built it, not on the device it is for: times on the device are not measured.")
    told += _unmeasured(evaluations)
    if artifacts.first("frozen-graph") is None:
        told.append(_no_audit(artifacts))
    if not any(row["state"] for row in rows):
        told.append("No run was told to this page: which stages ran just now and which had been published before is not known.")
    return told


def _no_audit(artifacts):
    """Why the page has no audit of fake-quantization."""
    graphs = [each.json("graph.json") for each in artifacts.of("saved-model")]
    if not graphs:
        return "The fake-quantization of the layers was not looked at: no frozen graph is among the artifacts."
    if any(graph["quantized"] for graph in graphs):
        return "Which layers of the quantization-aware training are fake-quantized was not looked at, only what the converter made of them."
    return "Nothing was trained for quantization: the ranges of the quantized model are those of the representative images alone."


def _unmeasured(evaluations):
    if not readable(evaluations):
        yield "No accuracy was measured: no evaluation is among the artifacts."
    elif not any(each["gates"] for each in readable(evaluations)):
        yield "No evaluation has a gate: neither a loss in the chain nor a low mAP would have stopped the pipeline."
    for each in evaluations:
        if each["unreadable"]:
            yield f"The evaluation {each['name']} could not be read: {each['unreadable']}."
    for each in readable(evaluations):
        for protocol in each.get("protocols", ()):
            if protocol["not_computed_because"]:
                yield f"{each['name']} did not compute {protocol['title']}: {protocol['not_computed_because']}."
    for each in readable(evaluations, coco=True):
        empty = [row["class"] for row in each["classes"] if not row["objects"]]
        if empty:
            yield f"The split {each['split']} has no example of {listed(empty)}: these classes have no AP and the means leave them out."
        if each["loss"] and each["loss"]["unknown_because"]:
            yield f"Which layers the largest loss comes from ({each['name']}) is not known: {each['loss']['unknown_because']}."
        if each["lacks"]:
            yield f"The evaluation {each['name']} does not hold {listed(each['lacks'])}."


def warnings(artifacts):
    """[(stage, text)] of every artifact, each text once; what configure warned of is in its config.json too."""
    told = []
    for each in artifacts.all:
        own = list(each.manifest.get("warnings") or [])
        if each.kind in CONFIGS:
            own += (each.json("config.json") or {}).get("warnings") or []
        told += [(each.name, str(text)) for text in dict.fromkeys(own)]
    return told


def tools(artifacts):
    """[(stage, {tool: version})] of the artifacts that tell their tools."""
    return [(each.name, each.manifest["tools"]) for each in artifacts.all if each.manifest.get("tools")]
