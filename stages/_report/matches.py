"""matches.jsonl: what each model found in each picture, and which are worth a look. Read line by line, for a split may be large."""

import heapq
import json
from typing import NamedTuple

from _report.evaluations import ERRORS

WRONG = [kind for kind in ERRORS if kind != "missed"]


class Seen(NamedTuple):
    """A picture's line in short.

    offset: of the line, in bytes; errors: of the worst model; right, score: of the model with the fewest right boxes, their number and mean
    score; differ: by how many objects and boxes the models differ; errors_of: {(model, class, kind)}.
    """

    offset: int
    id: str
    errors: int
    right: int
    score: float
    differ: int
    errors_of: frozenset


class Choice(NamedTuple):
    """Pictures for a gallery, in the order in which it shows them: lists of Seen."""

    worst: list
    differing: list
    best: list

    def all(self):
        """Each once."""
        return list({each.offset: each for each in (*self.worst, *self.differing, *self.best)}.values())


def scan(path):
    """A Seen for each line of matches.jsonl."""
    offset = 0
    with open(path, "rb") as stream:
        for line in stream:
            yield in_short(json.loads(line), offset)
            offset += len(line)


def read_lines(path, offsets):
    """The pictures whose lines begin at `offsets`, in that order, as dicts."""
    with open(path, "rb") as stream:
        for offset in offsets:
            stream.seek(offset)
            yield json.loads(stream.readline())


def in_short(picture, offset=0):
    """The Seen of a line."""
    models = picture["models"].values()
    right = [[box for box in each["found"] if box["kind"] == "correct"] for each in models]
    wrong = [sum(box["kind"] in WRONG for box in each["found"]) + len(each["missed"]) for each in models]
    fewest = min(right, key=len, default=[])
    return Seen(
        offset,
        str(picture["id"]),
        max(wrong, default=0),
        len(fewest),
        sum(box["score"] for box in fewest) / len(fewest) if fewest else 0.0,
        _difference(picture["models"]),
        frozenset(errors_of(picture)),
    )


def errors_of(picture):
    """(model's name, class, kind) of each error.

    The class is that of the box, or of the object that was missed; where a box has the wrong class, the object's class counts too.
    """
    classes = [each["class"] for each in picture["truth"]]
    for name, each in picture["models"].items():
        for box in each["found"]:
            if box["kind"] in WRONG:
                yield name, box["class"], box["kind"]
                if box["kind"] in ("classification", "both") and box.get("truth") is not None:
                    yield name, classes[box["truth"]], box["kind"]
        for index in each["missed"]:
            yield name, classes[index], "missed"


def _difference(models):
    """Objects that one model finds and another does not, and how many wrong boxes one has more than another, by class and kind."""
    found, wrong = [], []
    for each in models.values():
        found.append({box["truth"] for box in each["found"] if box["kind"] == "correct"})
        counts = {}
        for box in each["found"]:
            if box["kind"] in WRONG:
                key = (box["class"], box["kind"])
                counts[key] = counts.get(key, 0) + 1
        wrong.append(counts)
    if len(found) < 2:
        return 0
    apart = len(set.union(*found) - set.intersection(*found))
    keys = {key for counts in wrong for key in counts}
    return apart + sum(max(counts.get(key, 0) for counts in wrong) - min(counts.get(key, 0) for counts in wrong) for key in keys)


def choose(seen, count):
    """A Choice of `count` pictures in all: half of them the worst, a quarter where models differ, a quarter the best; a share that is not
    used up goes to the others. seen: an iterable of Seen, read once.

    The worst have the most errors (of the worst model); among them, those go first that show a class with a kind of error that no picture
    before them shows, so that rare ones are there. The best have no error and the most right boxes. Equals keep the file's order.
    """
    worst, differing, best = _Top(4 * count), _Top(2 * count), _Top(count)
    first = {}  # the worst picture of each class and kind of error
    for each in seen:
        if each.errors:
            worst.add((each.errors,), each)
            for _, name, kind in each.errors_of:
                if (name, kind) not in first or first[name, kind].errors < each.errors:
                    first[name, kind] = each
        elif each.right:
            best.add((each.right, each.score), each)
        if each.differ:
            differing.add((each.differ,), each)
    candidates = sorted(
        {each.offset: each for each in (*worst.sorted(), *first.values())}.values(), key=lambda each: (-each.errors, each.offset)
    )
    return _share_out(_varied(candidates), differing.sorted(), best.sorted(), count)


def _varied(candidates):
    """Those that show something new first, each part in the given order."""
    shown, new, rest = set(), [], []
    for each in candidates:
        kinds = {(name, kind) for _, name, kind in each.errors_of}
        (rest if kinds <= shown else new).append(each)
        shown |= kinds
    return new + rest


def _share_out(worst, differing, best, count):
    """First each its share, then whatever is left to whichever has more; no picture twice."""
    quarter = count // 4
    shares = ((worst, count - 2 * quarter), (differing, quarter), (best, quarter))
    chosen, taken = [[], [], []], set()
    for most in ([share for _, share in shares], [count] * 3):
        for place, (pool, _) in enumerate(shares):
            for each in pool:
                if len(chosen[place]) < most[place] and len(taken) < count and each.offset not in taken:
                    chosen[place].append(each)
                    taken.add(each.offset)
    return Choice(sorted(chosen[0], key=lambda each: (-each.errors, each.offset)), *chosen[1:])


class _Top:
    """The `most` items with the highest rank, of equals the first."""

    def __init__(self, most):
        self._most, self._heap, self._count = most, [], 0

    def add(self, rank, item):
        self._count += 1
        entry = (rank, -self._count, item)
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, entry)
        elif self._most:
            heapq.heappushpop(self._heap, entry)

    def sorted(self):
        return [item for _, _, item in sorted(self._heap, key=lambda entry: entry[:2], reverse=True)]
