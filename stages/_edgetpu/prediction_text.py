"""A prediction as a table for people."""

from collections import Counter

from _edgetpu.partition import NO, UNKNOWN, YES
from _edgetpu.targets import CACHE_AT_LEAST, CACHE_AT_MOST
from _edgetpu.words import MAPPED, SECOND
from _tflite.model import short_name

_MIB = 2.0**20
_MEMORY = {
    "fits": "they fit",
    "streams": "they do not fit, and the rest is sent at every inference",
    "unknown": "whether they fit depends on the room that activations and instructions need",
}


def table_lines(prediction):
    """Lines: counts by operator and reason in the order of execution, where the first partition ends, and memory."""
    if prediction.refused:
        refused = prediction.refused
        yield "the compiler would refuse the model: %s" % refused.what
        yield "  where:   %s" % refused.where
        yield "  found:   %s" % refused.found
        yield "  remedy:  %s" % refused.remedy
        yield "  known:   %s (%s)" % (refused.confidence, refused.source)
        return
    counts = Counter((each.op, each.verdict, _kind(each)) for each in prediction.verdicts)
    width = max(len(op) for op, _, _ in counts)
    yield "%-*s  count  verdict  why" % (width, "operator")
    for (op, verdict, kind), count in counts.items():
        yield "%-*s  %5d  %-7s  %s" % (width, op, count, verdict, kind)
    yield ""
    numbers = [prediction.count(verdict) for verdict in (YES, NO, UNKNOWN)]
    yield "%d operators: %d mapped to the Edge TPU, %d on the CPU, %d unknown" % (len(prediction.verdicts), *numbers)
    first = next((each for each in prediction.verdicts if each.verdict != YES), None)
    if first is not None:
        yield "first that is not surely mapped: operator %d, %s, %s: %s" % (first.index, first.op, short_name(first.layer), first.reason)
    if not prediction.count(YES):
        yield "nothing of the model would run on the Edge TPU" + (
            "" if prediction.quantized else ": it is not quantized (older compilers refuse it: Model not quantized)"
        )
        return
    into, out = (", ".join(short_name(name) for name in names) for names in prediction.boundary)
    yield "the partition reads %s and puts out %s" % (into, out)
    told = (prediction.parameter_bytes / _MIB, CACHE_AT_LEAST / _MIB, CACHE_AT_MOST / _MIB, _MEMORY[prediction.memory()])
    yield "parameters of what is mapped: %.2f MiB; the Edge TPU caches %.1f to %.1f MiB: %s" % told
    yield "largest tensor that is computed: %.2f MiB, %s" % (prediction.activation[0] / _MIB, short_name(prediction.activation[1]))


def _kind(verdict):
    """The reason without what is true of one operator alone, so that alike ones are counted together."""
    if verdict.rule == "supported":
        return MAPPED
    if verdict.rule == "one-partition":
        return SECOND if verdict.verdict == NO else "depends on an operator before it"
    return verdict.status or verdict.reason
