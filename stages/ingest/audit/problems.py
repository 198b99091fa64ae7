"""What is wrong with the user's data: collected, judged by the policy, counted, and kept in a file, for there may be millions."""

import csv
import io
import json
from collections import Counter

from _runtime import StageError

SHOWN = 10  # problems in the text of an error; all of them are in audit.json and audit.csv
POLICIES = ("refuse", "drop", "clip")
FIELDS = ("severity", "code", "file", "line", "object", "message", "action")
_OFFENDERS = 5000  # images remembered for the contact sheet


class Audit:
    """Every problem found, in the order of finding.

    A problem is {severity, code, file, line, object, message, action}: severity "error" (the data is wrong), "warning" (doubtful) or
    "note"; code names the rule; file is relative to the dataset's folder; line and object (its number in the file) count from 1, or are
    None; action is what was done: "refused", "dropped", "clipped", "fixed" or "kept".

    path: the file that keeps them, a JSON object a line. `image` of the methods below is the image's row, where it is known.
    """

    def __init__(self, policy, path):
        self.policy = policy
        self.path = path
        self.offenders = {}  # image's row to a list of (severity, code, object's row or None)
        self._stream = open(str(path), "w+", encoding="utf-8")  # noqa: SIM115  closed with the process; read again by `problems`
        self._refused = []
        self._codes = Counter()
        self._groups = {}

    def bad(self, code, file, message, line=None, number=None, mend=None, image=None, row=None):
        """An error. Returns the action: "refused" under that policy; under "clip" what `mend` says ("clipped", "fixed"); else "dropped"."""
        action = "refused" if self.policy == "refuse" else mend if mend is not None and self.policy == "clip" else "dropped"
        self._add("error", code, file, line, number, message, action, image, row)
        return action

    def refuse(self, code, file, message, line=None, number=None, image=None, row=None):
        """An error that no policy passes over."""
        self._add("error", code, file, line, number, message, "refused", image, row)

    def doubt(self, code, file, message, line=None, number=None, image=None, row=None, action="kept"):
        """A warning; what it is about is kept, unless `action` says otherwise."""
        self._add("warning", code, file, line, number, message, action, image, row)

    def fixed(self, code, file, message, line=None, number=None, image=None, row=None):
        """A warning; what it is about was mended, whatever the policy."""
        self._add("warning", code, file, line, number, message, "fixed", image, row)

    def note(self, code, file, message, line=None, number=None, image=None, row=None):
        """Worth knowing, and nothing wrong."""
        self._add("note", code, file, line, number, message, "kept", image, row)

    def replay(self, findings):
        """Judge what a reader found: a list of `Finding`s."""
        for item in findings:
            getattr(self, item.way)(item.code, item.file, item.message, item.line, item.number)

    def _add(self, severity, code, file, line, number, message, action, image, row):
        # A file name that is not UTF-8 is shown with escapes.
        problem = dict(
            zip(FIELDS, (severity, code, printable(file), line or None, number or None, printable(message), action), strict=True)
        )
        self._stream.write(json.dumps(problem, ensure_ascii=False) + "\n")
        self._codes[code] += 1
        group = self._groups.setdefault((severity, code, action), [0, problem])
        group[0] += 1
        if action == "refused" and len(self._refused) < SHOWN:
            self._refused.append(problem)
        if image is not None and severity != "note" and (image in self.offenders or len(self.offenders) < _OFFENDERS):
            self.offenders.setdefault(image, []).append((severity, code, row))

    def problems(self):
        """Each problem, read back one by one."""
        self._stream.flush()
        with open(str(self.path), encoding="utf-8") as stream:
            for line in stream:
                yield json.loads(line)

    def number(self):
        """How many problems there are, notes left out."""
        return sum(number for (severity, _, _), (number, _) in self._groups.items() if severity != "note")

    def counts(self):
        """Number of problems of each code."""
        return dict(self._codes)

    def summary(self):
        """(severity, code, action, number, its first problem), errors first, each severity in order of finding."""
        order = ("error", "warning", "note")
        groups = [(*key, number, first) for key, (number, first) in self._groups.items()]
        return sorted(groups, key=lambda group: order.index(group[0]))

    def write(self, folder, counts):
        """audit.json, {"schema": 2, "policy", "problems", "counts"}; the problems as a table, audit.csv; their summary, audit.txt."""
        with open(str(folder / "audit.json"), "w", encoding="utf-8", newline="\n") as stream:
            head = {"schema": 2, "policy": self.policy, "counts": counts}
            stream.write(json.dumps(head, indent=1, sort_keys=True, ensure_ascii=False)[:-2] + ',\n "problems": [')
            for place, problem in enumerate(self.problems()):
                stream.write("%s\n  %s" % ("," if place else "", json.dumps(problem, ensure_ascii=False)))
            stream.write("\n ]\n}\n")
        with open(str(folder / "audit.csv"), "w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, FIELDS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.problems())
        (folder / "audit.txt").write_text(self.table(), encoding="utf-8")

    def table(self):
        """The summary as text: severity, code, action, number, first place; a sentence where there is nothing to tell."""
        if not self._groups:
            return "nothing is wrong with the data\n"
        rows = [("severity", "code", "action", "number", "first")]
        rows += [(severity, code, action, str(number), place(first)) for severity, code, action, number, first in self.summary()]
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        lines = io.StringIO()
        for row in rows:
            lines.write("  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)).rstrip() + "\n")
        return lines.getvalue()

    def raise_if_refused(self, stage, folder):
        """Raise one StageError for all that was refused. stage: its name in the pipeline, for the remedy; folder: where audit.csv is."""
        refused = {}
        for (_, code, action), (number, _) in self._groups.items():
            if action == "refused":
                refused[code] = refused.get(code, 0) + number
        if not refused:
            return
        total = sum(refused.values())
        lines = [as_text(problem) for problem in self._refused]
        if total > SHOWN:
            lines.append("… and %d more" % (total - SHOWN))
        raise StageError(
            "the dataset has %d %s: %s"
            % (
                total,
                "problem" if total == 1 else "problems",
                ", ".join("%d %s" % (number, code) for code, number in sorted(refused.items())),
            ),
            place(self._refused[0]),
            "a dataset without errors",
            "\n".join(lines),
            "%s; every problem: %s" % (_remedy(self.policy, refused, stage), folder / "audit.csv"),
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


# What to do about some rules; _ALWAYS are those that `on_error: drop` never passes over.
_OWN_REMEDY = {
    "xml-entity": "remove the DOCTYPE's entities from that file: no annotation tool writes them",
    "filename-outside": "write in the annotation the image's name, without .. or a leading /",
    "split-empty": "correct the split's annotations, or leave the split, or its fraction, out",
    "class-unseen": "label some training images with the class, or leave it out of `classes`",
    "label-unknown": "correct the label, or add it to `classes`",
    "duplicate-across-splits": "remove the image from one of the splits",
}


_ALWAYS = {"xml-entity", "filename-outside", "split-empty"}


def _remedy(policy, counts, stage):
    parts = ["%s: %s" % (code, _OWN_REMEDY[code]) for code in sorted(counts) if code in _OWN_REMEDY]
    if policy == "refuse" and set(counts) - _ALWAYS:
        parts.append(
            "correct the files, or leave out what is bad: in the pipeline write `%s: {params: {on_error: drop}}` "
            "(clip cuts boxes at the image's edge and puts swapped corners right)" % stage
        )
    return "; ".join(parts) or "correct the files"
