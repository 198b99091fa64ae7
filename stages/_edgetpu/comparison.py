"""Where a prediction and what the compiler told differ."""

from collections import Counter
from functools import lru_cache

from _edgetpu.compiler_log import FAILURE, as_one_run
from _edgetpu.words import MAPPED
from _tflite.schema import operator_name

_CUSTOM = "CUSTOM"  # as which the compiler counts every custom operator
_CODES = 512  # more than there are of operators


def compare(prediction, parsed, output=None):
    """The differences as a list of dicts, empty where all that was predicted came true.

    prediction: the fields of prediction.json; parsed: of `parse_log`, of which the last run counts that tells what is asked for; output:
    file name of the compiled model where the run has several, else its only one. Each difference has

        {"kind": "different" | "open" | "not-compared", "op": "RESHAPE" | null, "status": "Mapped to Edge TPU" | null,
         "predicted": 13 | null, "told": 12 | null, "unknown": 0, "text": "…"}

    "different": the counts contradict each other, whatever became of what was predicted as unknown (`unknown` of them). "open": they do
    not, but some were unknown, and the text says what the compiler made of them. "not-compared": there is nothing to compare with. Counts
    are compared for each operator and status; what is predicted for the CPU without a status may have any but "Mapped to Edge TPU".
    """
    run = as_one_run(parsed)
    if run is None:
        return [not_compared("the compiler told nothing")]
    refused = prediction["refused"]
    if refused or run["outcome"] == FAILURE:
        return _compare_refusal(refused, run)
    models = [each for each in run["models"] if output is None or _file_name(each["output"]) == output]
    if len(models) != 1:
        return [not_compared("the compiler told of %d models%s" % (len(models), "" if output is None else " " + output))]
    if models[0]["operators"] is None:
        return _compare_totals(prediction, models[0])
    return [each for op in _operators(prediction, models[0]) for each in _compare_operator(op, prediction, models[0])]


def _compare_refusal(refused, run):
    if run["outcome"] == FAILURE:
        said = run["errors"][-1]["text"] if run["errors"] else "the compilation failed"
        if refused:
            return []
        return [_difference("different", "predicted: compiles; told: %s" % _first_error(run, said))]
    if run["models"]:
        return [_difference("different", "predicted: refused, for %s; told: it was compiled" % refused["what"])]
    return [not_compared("predicted: refused, for %s; the compiler told no outcome" % refused["what"])]


def _first_error(run, otherwise):
    """The error that says most: "Compilation failed!" repeats what another one explains."""
    return next((each["text"] for each in run["errors"] if each["kind"] not in ("failed", "invalid-model")), otherwise)


def _compare_totals(prediction, model):
    counts, told = prediction["counts"], model["on_edge_tpu"]
    if told is None:
        return [not_compared("the compiler told of no operator table")]
    if not counts["mapped"] <= told <= counts["mapped"] + counts["unknown"]:
        return [_counts("different", None, MAPPED, counts["mapped"], told, counts["unknown"])]
    return [not_compared("the compiler told of no operator table; the number of mapped operators may be as predicted")]


def _operators(prediction, model):
    return sorted({_told_name(each) for each in prediction["operators"]} | {row["op"] for row in model["operators"]})


def _told_name(operator):
    return operator["op"] if operator["op"] in _builtin_names() else _CUSTOM


@lru_cache(maxsize=1)
def _builtin_names():
    return frozenset(operator_name(code) for code in range(_CODES))


def _compare_operator(op, prediction, model):
    predicted, told = Counter(), Counter()
    anywhere = anywhere_on_cpu = 0
    for each in prediction["operators"]:
        if _told_name(each) != op:
            continue
        if each["verdict"] == "unknown":
            anywhere += 1
        elif each["verdict"] == "mapped":
            predicted[MAPPED] += 1
        elif each["status"] is None:
            anywhere_on_cpu += 1
        else:
            predicted[each["status"]] += 1
    for row in model["operators"]:
        if row["op"] == op:
            told[row["status"]] += row["count"]
    found = _contradictions(op, predicted, told, anywhere, anywhere_on_cpu)
    if not found and anywhere:
        extra = told - predicted
        made_of_it = ", ".join("%d %s" % (count, status) for status, count in sorted(extra.items()))
        text = "%s: %d predicted as unknown; beyond what was predicted, the compiler told %s" % (op, anywhere, made_of_it)
        found = [dict(_difference("open", text), op=op, unknown=anywhere)]
    return found


def _contradictions(op, predicted, told, anywhere, anywhere_on_cpu):
    """Statuses whose counts cannot be, and a total that cannot be. anywhere: unknown ones; anywhere_on_cpu: those without a status."""
    total = sum(predicted.values()) + anywhere + anywhere_on_cpu
    too_few = {status for status in predicted if told[status] < predicted[status]}
    extra = told - predicted
    too_many = set()
    on_cpu = sum(extra.values()) - extra[MAPPED]
    if extra[MAPPED] > anywhere:
        too_many.add(MAPPED)
    if on_cpu > anywhere_on_cpu + anywhere:
        too_many |= set(extra) - {MAPPED}
    found = [_counts("different", op, each, predicted[each], told[each], anywhere) for each in sorted(too_few | too_many)]
    if not found and total != sum(told.values()):
        found = [_counts("different", op, None, total, sum(told.values()), anywhere)]
    return found


def _counts(kind, op, status, predicted, told, unknown):
    what = "%s, %s" % (op or "all operators", status or "in all")
    text = "%s: %d predicted%s, %d told" % (what, predicted, " (%d more unknown)" % unknown if unknown and status else "", told)
    return dict(_difference(kind, text), op=op, status=status, predicted=predicted, told=told, unknown=unknown)


def not_compared(text):
    """The difference that says why nothing is compared."""
    return _difference("not-compared", text)


def _difference(kind, text):
    return {"kind": kind, "op": None, "status": None, "predicted": None, "told": None, "unknown": 0, "text": text}


def _file_name(path):
    return (path or "").rpartition("/")[2]
