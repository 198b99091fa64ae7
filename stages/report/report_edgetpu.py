"""The page's part on the Edge TPU: what was predicted to run there, what the compiler made of it, and where the two differ."""

from _report.page import count, counted, in_bytes, seconds

MAPPED = "Mapped to Edge TPU"  # as the compiler says it
_LOG_END = 8000  # characters of a log that the page shows
_MEMORY = {
    "fits": "fit in the Edge TPU's memory",
    "streams": "do not fit in the Edge TPU's memory: the rest is sent at every inference",
    "unknown": "may or may not fit in the Edge TPU's memory",
}


def predictions(artifacts):
    """What each prediction tells: of stages that predict, and of those that compile where no other has told of the same model."""
    found, models = [], set()
    for each in artifacts.of("edgetpu-prediction") + artifacts.of("edgetpu"):
        told = each.json("prediction.json")
        model = _model_of(each)
        if told is None or (model is not None and model in models):
            continue
        models.add(model)
        found.append({"name": each.name, "refused": told["refused"], "facts": _facts(told), "counts": told["counts"], "rows": _rows(told)})
    return found


def _model_of(artifact):
    """The digest of the model that an artifact was made of, or None."""
    return ((artifact.manifest.get("inputs") or {}).get("model") or {}).get("digest")


def _facts(told):
    target, parameters, largest = told["target"], told["parameters"], told["largest_activation"]
    return [
        ("target", f"{target['name']} (Edge TPU runtime {target['runtime']})"),
        ("about", f"edgetpu_compiler {target['compiler']}"),
        ("mapped", f"{count(told['counts']['mapped'])} of {counted(sum(told['counts'].values()), 'operator')}"),
        ("parameters", f"{in_bytes(parameters['bytes'])}, {_MEMORY[parameters['verdict']]}"),
        ("largest tensor that is computed", f"{in_bytes(largest['bytes'])}, {largest['tensor'].split(';')[0]}"),
    ]


def _rows(told):
    """A row for operators with the same verdict by the same rule, with the first one's reason; in the order of execution."""
    rows = {}
    for each in told["operators"]:
        row = rows.setdefault((each["op"], each["verdict"], each["rule"]), dict(each, count=0))
        row["count"] += 1
    return list(rows.values())


def compilations(artifacts):
    """What the Edge TPU compiler made: its files, its operator table, where it differs from the prediction, and its log's end."""
    found = []
    for each in artifacts.of("edgetpu"):
        told = each.json("compile.json")
        log = each.path / "compiler.log"
        found.append(
            {
                "name": each.name,
                "facts": _compiled_facts(each, told),
                "operators": sorted(told.get("operators") or [], key=lambda row: (row["status"] != MAPPED, row["op"])),
                "comparison": told.get("comparison"),
                "log": log.read_text(encoding="utf-8", errors="replace")[-_LOG_END:] if log.is_file() else None,
            }
        )
    return found


def _compiled_facts(artifact, told):
    facts = [("compiler", " ".join(str(value) for value in told["compiler"].values())), ("time", seconds(told["seconds"]))]
    if told.get("attempts", 1) > 1:
        facts.append(("attempts", f"{told['attempts']}; the ones before aborted"))
    files = told.get("files")
    if not files:
        return [*facts, ("size", in_bytes(artifact.bytes_of("model_edgetpu.tflite")))]
    for file in files:
        memory = (
            f"{in_bytes(file['cached_parameters'])} of parameters cached, {in_bytes(file['streamed_parameters'])} sent at every inference"
        )
        facts.append((file["file"], f"{in_bytes(file['bytes'])}, needs runtime {file['runtime']}; {memory}"))
    return facts


def cards(predicted, compiled):
    """The card of the most telling number: what the compiler mapped, or else what is predicted."""
    for each in compiled:
        if each["operators"]:
            mapped = sum(row["count"] for row in each["operators"] if row["status"] == MAPPED)
            total = sum(row["count"] for row in each["operators"])
            return [{"label": each["name"], "value": f"{count(mapped)} of {count(total)}", "note": "operators on the Edge TPU"}]
    for each in predicted:
        counts = each["counts"]
        unknown = f", {count(counts['unknown'])} unknown" if counts["unknown"] else ""
        value = f"{count(counts['mapped'])} of {count(sum(counts.values()))}"
        return [{"label": each["name"], "value": value, "note": f"operators on the Edge TPU, predicted{unknown}"}]
    return []
