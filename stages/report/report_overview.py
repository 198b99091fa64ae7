"""The top of the page: the verdict, the stages and their graph, what could not be checked, and all warnings."""

from stage_graph import layout

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
        rows = [_row(name, {}, past.get(name, {}), made) for name in [*(name for name in past if name not in made), *made]]
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


def verdict(rows, evaluations, models):
    """{"css", "word", "text"}: what the run came to, from the states, the gates and the lints."""
    failed = [row["name"] for row in rows if row["state"] in ("failed", "damaged")]
    unusable = [model["name"] for model in models if model["usable"] is False]
    gates = [gate for evaluation in evaluations for gate in evaluation["gates"]]
    if unusable:
        return {
            "css": "bad",
            "word": "Not for use",
            "text": f"{_names(unusable)} was made with dummy ranges: what it puts out means nothing.",
        }
    if failed and any(not row["optional"] for row in rows if row["name"] in failed):
        return {"css": "bad", "word": "Failed", "text": f"{_names(failed)} failed; the page tells of what was made."}
    if any(not gate["passed"] for gate in gates):
        return {"css": "bad", "word": "Below the gate", "text": "A gate did not pass; see Accuracy."}
    if gates:
        return {"css": "good", "word": "Passed", "text": f"All {len(gates)} gates passed." if len(gates) > 1 else "The gate passed."}
    if evaluations:
        return {"css": "plain", "word": "Measured", "text": "The pipeline sets no gate: nothing says how good is good enough."}
    return {"css": "plain", "word": "Not evaluated", "text": "No artifact tells how well the model does."}


def headline(evaluations, models, packages):
    """Cards of the most telling numbers: [{"label", "value", "format", "note"}]; `format` names a template filter."""
    cards = []
    for evaluation in evaluations[:1]:
        cards += [_card(model["name"], model["map50"], "metric", f"mAP@0.5 on {evaluation['split']}") for model in evaluation["models"]]
        cards += [
            _card(f"{difference['against']} → {difference['model']}", difference["map50"], "signed", "mAP@0.5, change")
            for difference in evaluation["differences"]
        ]
    cards += [_card(model["name"], model["bytes"], "bytes", "size of the .tflite") for model in models if model["bytes"] is not None]
    cards += [_card(package["name"], len(package["files"]), "count", "files in the package") for package in packages[:1]]
    return cards


def _card(label, value, form, note):
    return {"label": label, "value": value, "format": form, "note": note}


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
            + " How many of its operators an Edge TPU would run is not known."
        )
    else:
        told.append("No Edge TPU took part: the compiled model was not run. Its accuracy and speed on a device are not measured.")
    if artifacts.first("tflite") is not None:
        told.append("The model was run on the machine that built it, not on the device it is for: times on the device are not measured.")
    if not evaluations:
        told.append("No accuracy was measured: no evaluation is among the artifacts.")
    for evaluation in evaluations:
        empty = [row["class"] for row in evaluation["classes"] if not row["objects"]]
        if empty:
            told.append(
                f"The split {evaluation['split']} has no example of {_names(empty)}: these classes have no AP and the means leave them out."
            )
        if not evaluation["gates"]:
            told.append("The pipeline sets no gate: neither a loss in conversion nor a low mAP would have stopped it.")
    if artifacts.first("frozen-graph") is None:
        told.append("The fake-quantization of the layers was not looked at: no frozen graph is among the artifacts.")
    if not any(row["state"] for row in rows):
        told.append("No run was told to this page: which stages ran just now and which had been published before is not known.")
    return told


def warnings(artifacts):
    """[(stage, text)] of every artifact, each text once; what configure warned of is in its config.json too."""
    told = []
    for each in artifacts.all:
        own = list(each.manifest.get("warnings") or [])
        if each.kind == "pipeline-config":
            own += (each.json("config.json") or {}).get("warnings") or []
        told += [(each.name, str(text)) for text in dict.fromkeys(own)]
    return told


def tools(artifacts):
    """[(stage, {tool: version})] of the artifacts that tell their tools."""
    return [(each.name, each.manifest["tools"]) for each in artifacts.all if each.manifest.get("tools")]


def _names(names):
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
