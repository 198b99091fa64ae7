"""Whether the experiment's anchors can match the boxes of the train split.

The Garden gives each box the anchor that overlaps it most, however little (force_match_for_each_col in official/vision/ops/anchor.py), so
that none is lost; but one that no other anchor matches is taught by that one alone. Only shapes are compared, centre on centre.
"""

import numpy as np

from _configure.anchors import best_overlap
from _garden.experiment import as_yaml, input_size

# Share of a class's boxes from which on a warning is worth its line.
_WORTH_A_WARNING = 0.1


def lint_anchors(experiment, boxes, classes):
    """Warnings about classes of which a tenth of the train boxes or more have a shape that no anchor matches.

    boxes: structured array of train.boxes.npy (class, image, width and height as fractions); classes: names in the order of their ids.
    """
    anchors, threshold = anchor_shapes(experiment), experiment.task.train_data.parser.match_threshold
    height, width = input_size(experiment)
    shapes = np.stack([boxes["width"] * width, boxes["height"] * height], axis=1)
    overlap, _ = best_overlap(shapes, anchors)
    warnings = []
    for number, name in enumerate(classes, 1):
        of_class = boxes["class"] == number
        lost = of_class & (overlap < threshold)
        if lost.sum() and lost.sum() >= _WORTH_A_WARNING * of_class.sum():
            median = np.median(shapes[lost], axis=0)
            found = lost.sum(), of_class.sum(), name, threshold, *median, *anchors.min(axis=0), *anchors.max(axis=0)
            warnings.append(_TEXT % found + _remedy(experiment, median, anchors))
    return warnings


_TEXT = (
    "%d of %d train boxes of %s have no anchor of their shape (the best overlap is below %g): "
    "their median is %.3g x %.3g pixels of the input, anchors go from %.3g x %.3g to %.3g x %.3g; each is taught by one anchor only; "
)


def anchor_shapes(experiment):
    """All anchors' shapes in pixels of the input: float [n, 2], width and height."""
    model, shapes = experiment.task.model, []
    for level in range(model.min_level, model.max_level + 1):
        for scale in range(model.anchor.num_scales):
            side = model.anchor.anchor_size * 2 ** (level + scale / model.anchor.num_scales)
            shapes += [(side * ratio**0.5, side / ratio**0.5) for ratio in model.anchor.aspect_ratios]
    return np.array(shapes)


def _remedy(experiment, median, anchors):
    model, sides = experiment.task.model, np.sqrt(anchors.prod(axis=1))
    side = float(np.sqrt(median.prod()))
    if side < sides.min():
        return _override("anchor_size", float("%.2g" % max(side / 2**model.min_level, 0.1)))
    if side > sides.max():
        return _override("anchor_size", float("%.2g" % (side / 2**model.max_level)))
    return _override("aspect_ratios", [*model.anchor.aspect_ratios, float("%.3g" % (median[0] / median[1]))])


def _override(name, value):
    return "override `task.model.anchor.%s: %s`" % (name, as_yaml(value))
