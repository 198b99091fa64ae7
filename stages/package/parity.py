"""Compare two models of this package on pictures: what each finds, and how long it takes.

    python parity.py photos --images 100 --json parity.json

The first is model.tflite on the CPU, the second model_edgetpu.tflite on an Edge TPU; --model and --other name other files. Needed: Python
3.7 or later, NumPy, Pillow, and LiteRT (`pip install ai-edge-litert`) or tflite-runtime.
Exit status: 0 compared, whatever came out, 2 something is missing or wrong, 3 no Edge TPU or no library for it, 130 stopped (Ctrl-C).
"""

import argparse
import hashlib
import json
import math
import os
import statistics
import sys
from typing import NamedTuple

from detect_arguments import share, whole
from detect_errors import StageError
from detect_inputs import UnreadableError, find_sources, notes_on, printable, read_picture
from detect_model import Detector, NoDelegateError, import_runtime, in_pixels, reaches, read_facts, thresholds
from detect_outputs import Progress, check_targets, unwritable

HERE = os.path.dirname(os.path.abspath(__file__))
STOPPED = 130
FIRST, SECOND = "model.tflite", "model_edgetpu.tflite"
COMPILED = b"edgetpu-custom-op"  # the operator that the Edge TPU compiler leaves in a model
LEAST_IOU = 0.5


class Pair(NamedTuple):
    """An object that both models found: each one's `Found`."""

    first: tuple
    second: tuple


class Compared(NamedTuple):
    """A picture. pairs: list of `Pair`; first, second: how many objects each model found; low: (objects of the first that the second found
    with too low a score, and the other way about).
    """

    pairs: list
    first: int
    second: int
    low: tuple


class Side:
    """One of the two models. times: seconds that the model took for a picture, each run; warm_up: of the very first run."""

    def __init__(self, path, threshold):
        self.path = path
        self.compiled = is_compiled(path)
        facts = read_facts(path)
        self.classes = facts["classes"]
        self.limits, self.note = thresholds(facts, threshold)
        self._detector = Detector(path, facts, self.compiled)
        self.times, self.warm_up = [], None

    def look(self, pixels, repeat):
        """All that the model sees in a picture, a list of `Found`: it is run `repeat` times."""
        if self.warm_up is None:
            self._detector(pixels)
            self.warm_up = self._detector.seconds
        for _ in range(repeat):
            detections = self._detector(pixels)
            self.times.append(self._detector.seconds)
        return in_pixels(detections, self.classes, pixels.shape[1], pixels.shape[0])


def is_compiled(path):
    """Whether a model file is one for the Edge TPU."""
    try:
        with open(path, "rb") as stream:
            return COMPILED in stream.read()
    except OSError as error:
        if os.path.basename(path) == SECOND:
            raise StageError(
                "there is no compiled model", path, found=error.strerror, remedy="name another model to compare with: --other FILE"
            ) from None
        raise StageError("the model cannot be read", path, found=error.strerror, remedy="give --model and --other files") from None


def open_sides(options):
    """The two `Side`s. Raises StageError where they do not belong together, NoDelegateError where there is no Edge TPU for one."""
    paths = [options.model or os.path.join(HERE, FIRST), options.other or os.path.join(HERE, SECOND)]
    for path in paths:
        is_compiled(path)  # a missing file is told before a missing device
    try:
        sides = [Side(path, options.threshold) for path in paths]
    except NoDelegateError as error:
        remedy = "install the Edge TPU runtime, plug in the device, or compare models for the CPU with --model and --other"
        raise NoDelegateError(error.what, error.where, error.expected, error.found, remedy) from None
    first, second = sides
    if first.classes != second.classes:
        raise StageError(
            "the two models do not have the same classes in the same order",
            second.path,
            ", ".join(first.classes),
            ", ".join(second.classes),
            "compare models of one data set",
        )
    return sides


def notes_of(sides):
    """What there is to say of the thresholds of two `Side`s, a list of texts: where it is not the same of both, with the model's path."""
    notes = {side.note for side in sides}
    if len(notes) == 1:
        return [note for note in notes if note]
    return ["%s: %s" % (side.path, side.note) for side in sides if side.note]


def compare(first, second, limits):
    """`Compared` of what two models see in a picture, lists of `Found`. limits: the least score of each class, of each model."""
    own = [[each for each in found if reaches(each, least)] for found, least in zip((first, second), limits)]
    rest = [[each for each in found if not reaches(each, least)] for found, least in zip((first, second), limits)]
    pairs = pairs_of(*own)
    lone = [[each for each in found if not any(each is pair[side] for pair in pairs)] for side, found in enumerate(own)]
    low = len(pairs_of(lone[0], rest[1])), len(pairs_of(lone[1], rest[0]))
    return Compared(pairs, len(own[0]), len(own[1]), low)


def pairs_of(first, second):
    """`Pair`s of the same class that overlap enough: the surest of the first take the best that is left, each object at most once."""
    left, pairs = list(second), []
    for each in sorted(first, key=lambda found: -found.score):
        same = [(overlap(each.box, other.box), -place) for place, other in enumerate(left) if other.number == each.number]
        best = max(same, default=(0.0, 0))
        if best[0] >= LEAST_IOU:
            pairs.append(Pair(each, left.pop(-best[1])))
    return pairs


def overlap(first, second):
    """Intersection over union of two boxes [xmin, ymin, xmax, ymax]."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    both = max(width, 0.0) * max(height, 0.0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return both / (sum(areas) - both) if both else 0.0


def spread(sources, most):
    """At most so many of a list, from all over it and in its order; all of them where `most` is None."""
    count = len(sources) if most is None else min(most, len(sources))
    return [sources[number * len(sources) // count] for number in range(count)]


def milliseconds(seconds):
    """Rounded to microseconds."""
    return None if seconds is None else round(1000 * seconds, 3)


def latency(side):
    """Milliseconds: median and 90th percentile (the least time that 90 % of the runs did not exceed), and the run that was left out."""
    ordered = sorted(side.times)
    high = ordered[math.ceil(0.9 * len(ordered)) - 1]
    told = {"median": statistics.median(ordered), "percentile_90": high, "warm_up": side.warm_up}
    return dict({name: milliseconds(value) for name, value in told.items()}, runs=len(ordered))


def ratio(part, whole_number):
    """0..1, or None of nothing."""
    return part / whole_number if whole_number else None


def extremes(values):
    """{"greatest", "mean"} of numbers, None where there are none."""
    return {"greatest": max(values, default=None), "mean": statistics.mean(values) if values else None}


def result(sides, compared, repeat):
    """All that was found out, as the JSON file has it. sides: two `Side`s; compared: a `Compared` for each picture."""
    pairs = [pair for each in compared for pair in each.pairs]
    counts = [sum(each.first for each in compared), sum(each.second for each in compared)]
    low = [sum(each.low[side] for each in compared) for side in (0, 1)]
    runtime = sys.modules[import_runtime().__name__.split(".")[0]]
    return {
        "schema": 1,
        "runtime": {"name": runtime.__name__, "version": getattr(runtime, "__version__", None)},
        "pictures": len(compared),
        "repeat": repeat,
        "least_iou": LEAST_IOU,
        "models": {
            name: {
                "file": os.path.basename(side.path),
                "sha256": sha256(side.path),
                "runs_on": "Edge TPU" if side.compiled else "CPU",
                "objects": count,
                "found_by_other": ratio(len(pairs), count),
                "below_threshold_of_other": below,
                "milliseconds": latency(side),
            }
            for name, side, count, below in zip(("first", "second"), sides, counts, low)
        },
        "objects_in_both": len(pairs),
        "pictures_that_agree": sum(each.first == each.second == len(each.pairs) for each in compared),
        "score_difference": extremes([abs(pair.first.score - pair.second.score) for pair in pairs]),
        "box_difference_pixels": extremes([max(abs(one - other) for one, other in zip(pair.first.box, pair.second.box)) for pair in pairs]),
    }


def sha256(path):
    """Hex, of a file."""
    with open(path, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()


def lines_of(told):
    """The result for people."""
    models = [told["models"][name] for name in ("first", "second")]
    rows = [
        ("", [model["file"] for model in models]),
        ("runs on", [model["runs_on"] for model in models]),
        ("objects", [str(model["objects"]) for model in models]),
        ("found by the other", [percent(model["found_by_other"]) for model in models]),
        ("seen by it below its threshold", [str(model["below_threshold_of_other"]) for model in models]),
        ("median time", ["%.2f ms" % model["milliseconds"]["median"] for model in models]),
        ("90th percentile", ["%.2f ms" % model["milliseconds"]["percentile_90"] for model in models]),
        ("first run, left out", ["%.2f ms" % model["milliseconds"]["warm_up"] for model in models]),
    ]
    label, column = max(len(row[0]) for row in rows), max(len(cell) for _, cells in rows for cell in cells)
    yield from (("%-*s  %*s  %*s" % (label, name, column, cells[0], column, cells[1])).rstrip() for name, cells in rows)
    yield "%d of %d pictures agree completely: same classes, IoU %g or more" % (
        told["pictures_that_agree"],
        told["pictures"],
        told["least_iou"],
    )
    if not told["objects_in_both"]:
        yield "no object was found by both"
        return
    for name, key, unit, digits in (("score", "score_difference", "", 4), ("box", "box_difference_pixels", " pixels", 2)):
        least_most = ["%.*f%s" % (digits, told[key][each], unit) for each in ("greatest", "mean")]
        yield "%s of an object that both found: differs by %s at most, by %s on average" % (name, *least_most)
    yield "time: of the model alone, without reading, resizing and drawing; %d runs of each" % models[0]["milliseconds"]["runs"]


def percent(value):
    """Of a share 0..1; a dash where there is none."""
    return "–" if value is None else "%.1f %%" % (100 * value)


def parse(arguments):
    """The command line."""
    parser = argparse.ArgumentParser(prog="parity.py", description="Compare two models of this package on pictures.")
    add = parser.add_argument
    add("pictures", nargs="+", metavar="IMAGE", help="a picture, or a folder, read with all that is below it")
    add("--images", type=whole, metavar="N", help="at most so many pictures, from all over what is given (all)")
    add("--repeat", type=whole, default=1, metavar="N", help="run each model N times on each picture, for steadier times (1)")
    add("--threshold", type=share, help="least score of an object, 0..1 (each class's own, from the evaluation)")
    add("--model", metavar="FILE", help="the first model, a .tflite with its model.json beside it (%s of this package)" % FIRST)
    add("--other", metavar="FILE", help="the second, likewise (%s); one that is compiled for the Edge TPU runs there" % SECOND)
    add("--json", metavar="FILE", help="file to write: all numbers")
    add("--overwrite", action="store_true", help="write over what is there already")
    return parser.parse_args(arguments)


def compare_all(options, tell, progress):
    """The result for what the command line asks for. tell: is given each `StageError` of a picture, and each note as text.

    Raises StageError where nothing can be compared.
    """
    sources = find_sources(options.pictures, options.pictures)
    pictures = [source for source in sources.found if not source.video]
    check_targets([], [options.json] if options.json else [], pictures, options.overwrite)
    sides = open_sides(options)
    videos = len(sources.found) - len(pictures)
    notes = ["videos are passed over: %d" % videos] if videos else []
    for message in [*notes_of(sides), *notes, *notes_on(sources.passed), *sources.problems]:
        tell(message)
    pictures, compared = spread(pictures, options.images), []
    for number, source in enumerate(pictures, 1):
        try:
            pixels = read_picture(source.path, source.name)
        except UnreadableError as error:
            tell(error)
            continue
        seen = [side.look(pixels, options.repeat) for side in sides]
        compared.append(compare(*seen, [side.limits for side in sides]))
        progress(number, len(pictures), sum(each.first + each.second for each in compared))
    progress.clear()
    if not compared:
        raise StageError("there is nothing to compare", expected="one picture that can be read", found="none", remedy="name pictures")
    return result(sides, compared, options.repeat)


def write(path, told):
    """Write the JSON file."""
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(path, "w", encoding="utf-8", newline="\n") as stream:
            json.dump(told, stream, indent=1, sort_keys=True, ensure_ascii=False)
            stream.write("\n")
    except OSError as error:
        raise unwritable(path, error) from None


def main(arguments=None):
    """Returns the exit status."""
    sys.stdout.reconfigure(errors="replace")  # a console may not know all letters of a file's name
    options, progress, problems = parse(arguments), Progress(), []

    def tell(message):
        wrong = isinstance(message, StageError)
        problems.extend([message] if wrong else [])
        progress.clear()
        print("parity.py: %s: %s" % ("error" if wrong else "note", printable(str(message))), file=sys.stderr)

    try:
        told = compare_all(options, tell, progress)
        if options.json:
            write(options.json, told)
    except StageError as error:
        tell(error)
        return error.exit_status
    except KeyboardInterrupt:
        progress.clear()
        print("parity.py: stopped", file=sys.stderr)
        return STOPPED
    for line in lines_of(told):
        print(printable(line))
    return StageError.exit_status if problems else 0


# HERE the package stage puts the source of what this file imports from elsewhere: a device runs what evaluation ran.


if __name__ == "__main__":
    sys.exit(main())
