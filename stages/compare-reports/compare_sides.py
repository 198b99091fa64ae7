"""The two runs of a comparison, and which of their parts belong together."""

from _report.artifacts import Artifacts
from _report.evaluations import evaluations, readable
from _report.verdict import verdict

SIDES = ("first", "second")


class Side:
    """One run: `name` (on the page), `artifacts`, `evaluations`, `record` (what the host told of the run), `verdict`, `lineage`."""

    def __init__(self, record, given, name):
        self.name = name
        self.record = record
        self.artifacts = Artifacts(given, [each.name.partition(".")[2] or each.name for each in given])
        self.evaluations = evaluations(self.artifacts)
        self.lineage = {entry["name"]: entry for entry in self.artifacts.lineage().values()}
        stages = record.get("stages") or {}
        states = [(stage, each.get("state"), bool(each.get("optional"))) for stage, each in stages.items()]
        self.verdict = verdict(states, self.evaluations, _unusable(self.artifacts))

    def facts(self):
        """[(name, text)] of what the run's record says."""
        return [(name, str(self.record[name])) for name in ("pipeline", "run", "state", "started") if self.record.get(name)]


def sides(task):
    """The first and the second Side, with different names."""
    names = [task.params[side].get("name") or side for side in SIDES]
    if names[0] == names[1]:
        names = [f"{name} ({side})" for name, side in zip(names, SIDES, strict=True)]
    return [Side(task.params[side], task.inputs(side), name) for side, name in zip(SIDES, names, strict=True)]


def _unusable(artifacts):
    return [each.name for each in artifacts.of("tflite") if (each.json("lint.json") or {}).get("usable") is False]


def pairs(first, second, *, coco):
    """[(an evaluation of the first side, the second's that belongs to it)]: of the same split, and if possible the same name."""
    left, found = readable(second.evaluations, coco=coco), []
    for one in readable(first.evaluations, coco=coco):
        fitting = sorted((each for each in left if each["split"] == one["split"]), key=lambda each: each["name"] != one["name"])
        if fitting:
            found.append((one, fitting[0]))
            left.remove(fitting[0])
    return found


def alone(first, second):
    """What one side has and the other not, in sentences: evaluations without a counterpart, and those that cannot be read."""
    paired = [each for coco in (True, False) for pair in pairs(first, second, coco=coco) for each in pair]
    for side, other in ((first, second), (second, first)):
        for each in side.evaluations:
            if each["unreadable"]:
                yield f"The evaluation {each['name']} of {side.name} could not be read: {each['unreadable']}."
            elif not any(each is one for one in paired):
                on = f", on the split {each['split']}," if each["split"] else ""
                yield f"The evaluation {each['name']} of {side.name}{on} has no counterpart in {other.name}."
        if not side.evaluations:
            yield f"{side.name} has no evaluation: no accuracy was measured."
