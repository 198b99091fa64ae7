"""Whether what a converted model puts out means anything: the fields of lint.json that package and inference go by."""

import json

from _untrained.marks import is_untrained

_UNTRAINED = "its weights are untrained: they are those that training begins with"


def use_of(graph, dummy_ranges=None):
    """{"usable", "unusable_because"}. graph: the value of graph.json; dummy_ranges: [min, max] of tensors without a range, or None."""
    reasons = [_UNTRAINED] if is_untrained(graph) else []
    if dummy_ranges is not None:
        reasons.append("it has dummy ranges %s: tensors without a range from training were given this one" % json.dumps(dummy_ranges))
    return {"usable": not reasons, "unusable_because": "; ".join(reasons) or None}
