"""The page's part on the Edge TPU: what was predicted to run there, what the compiler made of it, and where the two differ."""

from _edgetpu.words import MAPPED
from _report.page import count, counted, in_bytes, seconds
from _tflite.model import short_name

_LOG_END = 8000  # characters of a log that the page shows
_MEMORY = {
    "fits": "fit in the Edge TPU's memory",
    "streams": "do not fit in the Edge TPU's memory: the rest is sent at every inference",
    "unknown": "may or may not fit in the Edge TPU's memory",
}


def predictions(artifacts):
    """What each prediction tells: of stages that predict, and of those that compile where none has told of the same model and target."""
    found, told_of = [], set()
    for each in artifacts.of("edgetpu-prediction") + artifacts.of("edgetpu"):
        told = each.json("prediction.json")
        if told is None:
            continue
        model = ((each.manifest.get("inputs") or {}).get("model") or {}).get("digest")
        about = (model or each.key, told["target"]["name"])
        if about not in told_of:
            told_of.add(about)
            found.append(
                {"name": each.name, "refused": told["refused"], "facts": _facts(told), "counts": told["counts"], "rows": _rows(told)}
            )
    return found


def _facts(told):
    target, parameters, largest = told["target"], told["parameters"], told["largest_activation"]
    return [
        ("target", f"{target['name']} (Edge TPU runtime {target['runtime']})"),
        ("about", f"edgetpu_compiler {target['compiler']}"),
        ("mapped", f"{count(told['counts']['mapped'])} of {counted(sum(told['counts'].values()), 'operator')}"),
        ("parameters", f"{in_bytes(parameters['bytes'])}, {_MEMORY[parameters['verdict']]}"),
        ("largest tensor that is computed", f"{in_bytes(largest['bytes'])}, {short_name(largest['tensor'])}"),
    ]


def _rows(told):
    """A row for operators with the same verdict by the same rule, with the first one's reason; in the order of execution."""
    rows = {}
    for each in told["operators"]:
        row = rows.setdefault((each["op"], each["verdict"], each["rule"]), dict(each, count=0))
        row["count"] += 1
    return list(rows.values())


def compilations(artifacts):
    """What the Edge TPU compiler made: files, operator table and where it differs from the prediction, of each model, and the log's end."""
    found = []
    for each in artifacts.of("edgetpu"):
        told = each.json("compile.json")
        log = each.path / "compiler.log"
        models = [told, *told.get("co_compiled", [])]
        found.append(
            {
                "name": each.name,
                "facts": _compiled_facts(each, told),
                "models": [_compiled_model(model) for model in models],
                "log": log.read_text(encoding="utf-8", errors="replace")[-_LOG_END:] if log.is_file() else None,
            }
        )
    return found


def _compiled_model(told):
    return {
        "name": told.get("name"),
        "facts": [_file_fact(file) for file in told.get("files") or []],
        "operators": sorted(told.get("operators") or [], key=lambda row: (row["status"] != MAPPED, row["op"])),
        "comparison": told.get("comparison"),
    }


def _compiled_facts(artifact, told):
    facts = [("compiler", " ".join(str(value) for value in told["compiler"].values())), ("time", seconds(told["seconds"]))]
    if told.get("attempts", 1) > 1:
        facts.append(("attempts", f"{told['attempts']}; the ones before aborted"))
    return facts if told.get("files") else [*facts, ("size", in_bytes(artifact.bytes_of("model_edgetpu.tflite")))]


def _file_fact(file):
    memory = f"{in_bytes(file['cached_parameters'])} of parameters cached, {in_bytes(file['streamed_parameters'])} sent at every inference"
    return file["file"], f"{in_bytes(file['bytes'])}, needs runtime {file['runtime']}; {memory}"


def cards(predicted, compiled):
    """The card of the most telling number: what the compiler mapped, or else what is predicted."""
    for each in compiled:
        table = each["models"][0]["operators"]
        if table:
            mapped = sum(row["count"] for row in table if row["status"] == MAPPED)
            total = sum(row["count"] for row in table)
            return [{"label": each["name"], "value": f"{count(mapped)} of {count(total)}", "note": "operators on the Edge TPU"}]
    for each in predicted:
        counts = each["counts"]
        unknown = f", {count(counts['unknown'])} unknown" if counts["unknown"] else ""
        value = f"{count(counts['mapped'])} of {count(sum(counts.values()))}"
        return [{"label": each["name"], "value": value, "note": f"operators on the Edge TPU, predicted{unknown}"}]
    return []
