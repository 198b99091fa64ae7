"""The mark of what comes of a training that stopped before its first step.

Such a model has the graph of the trained one, by which can be told what an accelerator computes of it; what it puts out means nothing.
checkpoint.json and graph.json then have `"untrained": true`, and lint.json says `"usable": false`.
"""

from _runtime import StageError

_FIELD = "untrained"


def is_untrained(about):
    """Whether an artifact is marked. about: the value of its checkpoint.json or graph.json."""
    return bool(about.get(_FIELD))


def passed_on(task, about):
    """The fields {name: value} that tell the same of what is made of an artifact; warns where it is marked. about: as in `is_untrained`."""
    if not is_untrained(about):
        return {}
    task.warn("the checkpoint is untrained: what is made of it is for looking at the graph alone")
    return {_FIELD: True}


def refuse_untrained(about, where):
    """Raise StageError where an artifact is marked. about: as in `is_untrained`; where: the file that it is the value of."""
    if is_untrained(about):
        raise StageError(
            "the model is untrained: what it puts out means nothing",
            where,
            "the weights of a training",
            "untrained: true",
            "train it: set the training's parameter `untrained` to false",
        )
