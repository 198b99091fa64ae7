"""What is wrong with the user's data: collected, judged by the policy, counted."""

from collections import Counter

from _runtime import StageError

SHOWN = 10  # problems in the text of an error; all of them go to the log and to audit.json
POLICIES = ("refuse", "drop", "clip")


class Audit:
    """Every problem found, in the order of finding.

    A problem is {severity, code, file, line, object, message, action}: severity "error" (the data is wrong) or "warning" (doubtful);
    code names the rule; file is relative to the dataset's folder; line and object (its number in the file) count from 1, or are None;
    action is what was done: "refused", "dropped", "clipped" or "kept".
    """

    def __init__(self, policy):
        self.policy = policy
        self.problems = []

    def bad(self, code, file, message, line=None, number=None, clip=False):
        """An error. Returns the action: "refused" under that policy, "clipped" where the policy and `clip` allow, else "dropped"."""
        action = "refused" if self.policy == "refuse" else "clipped" if clip and self.policy == "clip" else "dropped"
        self._add("error", code, file, line, number, message, action)
        return action

    def refuse(self, code, file, message, line=None, number=None):
        """An error that no policy passes over."""
        self._add("error", code, file, line, number, message, "refused")

    def doubt(self, code, file, message, line=None, number=None):
        """A warning; what it is about is kept."""
        self._add("warning", code, file, line, number, message, "kept")

    def _add(self, severity, code, file, line, number, message, action):
        # A file name that is not UTF-8 is shown with escapes.
        self.problems.append(
            {
                "severity": severity,
                "code": code,
                "file": printable(file),
                "line": line,
                "object": number,
                "message": printable(message),
                "action": action,
            }
        )

    def counts(self):
        """Number of problems of each code."""
        return dict(Counter(problem["code"] for problem in self.problems))

    def summary(self):
        """For each code of what was not refused: (code, action, number, its first problem as text), in order of finding."""
        groups = {}
        for problem in self.problems:
            groups.setdefault((problem["code"], problem["action"]), []).append(problem)
        return [(code, action, len(group), as_text(group[0])) for (code, action), group in groups.items()]

    def raise_if_refused(self, stage):
        """Raise one StageError for all that was refused. stage: its name in the pipeline, for the remedy."""
        refused = [problem for problem in self.problems if problem["action"] == "refused"]
        if not refused:
            return
        counts = Counter(problem["code"] for problem in refused)
        lines = [as_text(problem) for problem in refused[:SHOWN]]
        if len(refused) > SHOWN:
            lines.append("… and %d more, all in the stage's log" % (len(refused) - SHOWN))
        raise StageError(
            "the dataset has %d %s: %s"
            % (
                len(refused),
                "problem" if len(refused) == 1 else "problems",
                ", ".join("%d %s" % (number, code) for code, number in sorted(counts.items())),
            ),
            place(refused[0]),
            "a dataset without errors",
            "\n".join(lines),
            _remedy(self.policy, counts, stage),
        )


def place(problem):
    """FILE or FILE:LINE."""
    return problem["file"] if problem["line"] is None else "%s:%d" % (problem["file"], problem["line"])


def as_text(problem):
    """One line: place, object, message, code."""
    number = "" if problem["object"] is None else " object %d:" % problem["object"]
    return "%s:%s %s [%s]" % (place(problem), number, problem["message"], problem["code"])


def printable(text):
    """Undecodable bytes of a file name as escapes, so that the text can be written as UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


# What to do about some rules; _ALWAYS are those that `on_error: drop` does not pass over.
_OWN_REMEDY = {
    "xml-entity": "remove the DOCTYPE's entities from that file: no annotation tool writes them",
    "filename-outside": "write in <filename> (or the CSV's filename) the image's name, without .. or a leading /",
    "split-empty": "correct the split's annotations, or leave the split out",
    "class-unseen": "label some training images with the class, or leave it out of `classes`",
    "label-unknown": "correct the label, or add it to `classes`",
    "duplicate-across-splits": "remove the image from one of the splits",
}


_ALWAYS = {"xml-entity", "filename-outside", "class-unseen", "split-empty"}


def _remedy(policy, counts, stage):
    parts = ["%s: %s" % (code, _OWN_REMEDY[code]) for code in sorted(counts) if code in _OWN_REMEDY]
    if policy == "refuse" and set(counts) - _ALWAYS:
        parts.append(
            "correct the files, or leave out what is bad: in the pipeline write `%s: {params: {on_error: drop}}` "
            "(clip cuts boxes at the image's edge instead)" % stage
        )
    return "; ".join(parts)
