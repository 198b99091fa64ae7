"""The classes that the pipeline names, by a list or by a label map file."""

from pathlib import Path

from _detection.record_folder import read_labels
from _runtime import StageError


def given_classes(params, audit):
    """The class names in order, from the parameters `classes` and `label_map`; empty where neither is given. Raises StageError.

    What is odd in a label map (gaps in its ids, ids below 1, an id or a name twice) is an error; where the policy passes over it, items
    with such an id and second ones are left out, and the others numbered anew, without gaps, in the order of their ids.
    """
    if params["label_map"] is None:
        return params["classes"]
    path = Path(params["label_map"])
    labels = read_labels(path)
    for code, message, line in labels.doubts:
        audit.bad(code, str(path), message, line, mend="fixed")
    named = list(dict.fromkeys(labels.names[number] for number in sorted(labels.names) if number > 0))
    if not named:
        raise StageError(
            "the label map has no items", path, "item { id: 1 name: 'first class' } …", "none", "write one item for each class"
        )
    if params["classes"] and params["classes"] != named:
        raise StageError("`classes` and `label_map` differ", path, ", ".join(params["classes"]), ", ".join(named), "leave one of them out")
    return named
