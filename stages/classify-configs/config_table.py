"""configs.txt: the configs by what trains them, and those that nothing here trains by what they need."""

from config_judgement import EITHER, OTHER, TRAIN, TRAIN_TF2

_MEANING = {
    TRAIN: "the stages configure and train",
    TRAIN_TF2: "the stages configure-tf2 and train-tf2",
    EITHER: "both; TensorFlow 2 with configure-tf2's `from_tf1: true`",
    OTHER: "no stage here; what they need stands above them",
}


def table(files, counts):
    """The lines. files, counts: as in configs.json."""
    yield from ("%5d  %-9s  %s" % (counts[name], name, _MEANING[name]) for name in counts)
    yield ""
    yield "In brackets: how many lines of `overrides` (they are in configs.json) the config needs before the image trains it."
    for name in counts:
        chosen = [each for each in files if each["class"] == name]
        if chosen and name != OTHER:
            yield ""
            yield "%s (%d)" % (name, len(chosen))
            yield from _grid([_row(each) for each in chosen])
    for needs in sorted({each["needs"] for each in files if each["class"] == OTHER}):
        chosen = [each for each in files if each["needs"] == needs]
        yield ""
        yield "needs %s (%d)" % (needs, len(chosen))
        yield from _grid([(each["feature_extractor"] or "-", _size(each), each["file"]) for each in chosen])


def _grid(rows):
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    for row in rows:
        yield ("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths))).rstrip()


def _row(each):
    return (
        each["feature_extractor"],
        _size(each),
        ", ".join(_told(image, each["images"][image]) for image in each["runs_on"]),
        each["file"],
    )


def _size(each):
    return "x".join(str(side) for side in each["input_size"]) if each["input_size"] else "-"


def _told(image, verdict):
    return "%s%s (%d)" % (image, " from_tf1" if verdict["from_tf1"] else "", len(verdict["overrides"]))
