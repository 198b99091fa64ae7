"""What is wrong with detections that somebody else wrote: all of it is counted, the first of it told."""

from collections import Counter

from _runtime import StageError

_SHOWN, _LOGGED = 5, 200
_LONGEST = 200  # characters of a value
_REMEDY = {
    "unknown image": "set `split`, or `unknown: leave-out`; for coco, `images` tells the file's name of each image_id",
    "unknown class": "tell with `categories` what the classes' ids mean, or say `unknown: leave-out`",
}


def shown(value):
    """A value for messages."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


class BadRows:
    """Collects; `finish` raises. unknown: kinds of fault that are left out instead, and told as a warning."""

    def __init__(self, leave_out):
        self._leave_out = ("unknown image", "unknown class") if leave_out else ()
        self._counts, self._first = Counter(), []
        self._left_out, self._examples = Counter(), {}

    def add(self, kind, where, expected, found):
        """One fault. kind: in a few words, the same for all of its kind; where: file and line or record."""
        if kind in self._leave_out:
            self._left_out[kind] += 1
            self._examples.setdefault(kind, shown(found))
            return
        self._counts[kind] += 1
        if len(self._first) < _LOGGED:
            self._first.append((kind, str(where), expected, shown(found)))

    def finish(self, task, good):
        """Raise StageError where anything was wrong; tell what was left out. good: number of detections that can be used."""
        for kind, count in sorted(self._left_out.items()):
            task.warn("%d detections were left out: %s (%s is one)" % (count, kind, self._examples[kind]))
        if not self._counts:
            return
        total = sum(self._counts.values())
        for kind, where, expected, found in self._first:
            print("%s: %s: %s; expected %s" % (where, kind, found, expected))
        if total > len(self._first):
            print("… and %d others" % (total - len(self._first)))
        kind, where, expected, found = self._first[0]
        others = ["%s at %s" % (other, place) for other, place, _, _ in self._first[1:_SHOWN]]
        told = ", ".join("%s: %d" % pair for pair in sorted(self._counts.items()))
        raise StageError(
            "%d of %d detections cannot be used (%s)" % (total, total + good, told),
            where,
            expected,
            found + ("; then %s%s" % (", ".join(others), ", …" if total > _SHOWN else "") if others else ""),
            _REMEDY.get(
                kind, "correct what wrote them; the stage's log names %s" % ("all" if total <= _LOGGED else "the first %d" % _LOGGED)
            ),
        )
