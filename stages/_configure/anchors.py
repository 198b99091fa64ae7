"""Whether the config's anchors can match the boxes of the train split: a box that no anchor overlaps enough teaches next to nothing.

The Object Detection API compares boxes and anchors as fractions of the image (core/target_assigner.py in the wheel), an anchor belongs to a
box from `matched_threshold` on (matchers/argmax_matcher.py), and the resizer stretches the image, which leaves fractions alone. Only shapes
are compared here, a box's centre on its anchor's: what falls short even so matches nowhere in the image.
"""

from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf  # in 1.13 itself: the API's anchor generators make graphs in both versions
from object_detection.builders import anchor_generator_builder

from _configure import rules
from _runtime import StageError

# Share of a class's boxes from which on a warning is worth its line.
_WORTH_A_WARNING = 0.1
_AT_ONCE = 1 << 16  # boxes
_GENERATOR = "model.ssd.anchor_generator."
SMALLER, LARGER, OTHER = "smaller", "larger", "of other shapes"


class Lost(NamedTuple):
    """Train boxes of a class whose shape no anchor can match; sizes are (width, height) in pixels of the model's input.

    count, total: of the boxes, of all of the class; how: as most of them compare with the anchors nearest to them; median: size; image: the
    first one's id; smallest, largest: sizes of anchors, by area; threshold: the least overlap that matches; size: of the input.
    """

    name: str
    count: int
    total: int
    how: str
    median: tuple
    image: int
    smallest: tuple
    largest: tuple
    threshold: float
    size: tuple

    def __str__(self):
        return (
            "%d of %d train boxes of %s are %s than the anchors can match (their best possible overlap is below %g): "
            "their median is %s pixels at the input's %d x %d, anchors go from %s to %s; the first is in image %d"
        ) % (
            self.count,
            self.total,
            self.name,
            self.how,
            self.threshold,
            _pixels(self.median),
            *self.size,
            _pixels(self.smallest),
            _pixels(self.largest),
            self.image,
        )


def lint_anchors(config, boxes, classes):
    """Warnings about classes of which a tenth of the train boxes or more have a shape that no anchor can match.

    config: a TrainEvalPipelineConfig that the API can build; boxes: structured array of train.boxes.npy (class, image, width, height);
    classes: names in the order of their ids. Raises StageError where no box of a class can match, and the matcher forces none.
    """
    matcher = config.model.ssd.matcher
    if matcher.WhichOneof("matcher_oneof") != "argmax_matcher" or matcher.argmax_matcher.ignore_thresholds:
        return []
    forced, warnings = matcher.argmax_matcher.force_match_for_each_row, []
    for lost in unmatched(config, boxes, classes):
        if lost.count == lost.total and not forced:
            what, where = "no anchor can match any box of the class %s" % lost.name, "pipeline.config: model.ssd.anchor_generator"
            raise StageError(what, where, "anchors of its size", lost, remedy(config, lost))
        if lost.count >= _WORTH_A_WARNING * lost.total:
            warnings.append("%s; %s; %s" % (lost, _consequence(lost, forced), remedy(config, lost)))
    return warnings


def _consequence(lost, forced):
    if not forced:
        return "training takes them for background"
    if lost.count < lost.total:
        return "each is taught by one anchor only, which force_match_for_each_row gives it"
    return "the class has no other anchors than those that force_match_for_each_row gives it, one for a box: expect it to be learned badly"


def unmatched(config, boxes, classes):
    """A `Lost` for each class that has boxes whose shape no anchor can match."""
    resizer = config.model.ssd.image_resizer.fixed_shape_resizer
    size, threshold = (resizer.width, resizer.height), config.model.ssd.matcher.argmax_matcher.matched_threshold
    anchors = anchor_shapes(config.model.ssd.anchor_generator, *size)
    by_area = [tuple(anchors[place] * size) for place in (anchors.prod(1).argmin(), anchors.prod(1).argmax())]
    shapes = np.stack([boxes["width"], boxes["height"]], 1)
    overlap, nearest = best_overlap(shapes, anchors)
    for number, name in enumerate(classes, 1):
        of_class = boxes["class"] == number
        chosen = np.flatnonzero(of_class & (overlap < threshold))
        if len(chosen):
            how = _compared(shapes[chosen], anchors[nearest[chosen]])
            median = tuple(np.median(shapes[chosen], 0) * size)
            yield Lost(name, len(chosen), int(of_class.sum()), how, median, int(boxes["image"][chosen[0]]), *by_area, threshold, size)


def anchor_shapes(generator, width, height):
    """All anchors' shapes as fractions of an input of width x height pixels: float32 [n, 2], width and height.

    generator: an AnchorGenerator message. Raises StageError for one that an SSD cannot use.
    """
    if generator.WhichOneof("anchor_generator_oneof") == "grid_anchor_generator":
        raise StageError(
            "the grid anchor generator makes anchors in pixels, which an SSD cannot use",
            "pipeline.config: model.ssd.anchor_generator",
            "ssd_anchor_generator, multiscale_anchor_generator or flexible_grid_anchor_generator",
            "grid_anchor_generator",
            "start from a template in data/templates",
        )
    with tf.Graph().as_default(), tf.Session() as session:
        made = anchor_generator_builder.build(generator)
        maps = [(1, 1)] * len(made.num_anchors_per_location())  # every place of a feature map has anchors of the same shapes
        corners = np.concatenate(session.run([each.get() for each in made.generate(maps, im_height=height, im_width=width)]))
    return np.unique(np.stack([corners[:, 3] - corners[:, 1], corners[:, 2] - corners[:, 0]], 1), axis=0)


def best_overlap(shapes, anchors):
    """(best intersection over union of each shape with any anchor of the same centre, float [n]; that anchor's place, int [n]).

    shapes, anchors: float [n, 2] and [m, 2], width and height in the same unit.
    """
    overlap, nearest = np.zeros(len(shapes)), np.zeros(len(shapes), int)
    for start in range(0, len(shapes), _AT_ONCE):
        some = shapes[start : start + _AT_ONCE, None].astype(np.float64)
        shared = np.minimum(some, anchors).prod(2)
        ratio = shared / (some.prod(2) + anchors.prod(1) - shared)
        overlap[start : start + _AT_ONCE], nearest[start : start + _AT_ONCE] = ratio.max(1), ratio.argmax(1)
    return overlap, nearest


def _compared(shapes, anchors):
    """How most of the shapes compare with the anchors beside them: SMALLER, LARGER or OTHER. Both: float [n, 2]."""
    counts = {SMALLER: (shapes <= anchors).all(1).sum(), LARGER: (shapes >= anchors).all(1).sum()}
    counts[OTHER] = len(shapes) - counts[SMALLER] - counts[LARGER]
    return max(counts, key=counts.get)


def remedy(config, lost):
    """The override that makes anchors of the median box's size."""
    kind = config.model.ssd.anchor_generator.WhichOneof("anchor_generator_oneof")
    generator, field = getattr(config.model.ssd.anchor_generator, kind), _GENERATOR + kind
    side = (lost.median[0] * lost.median[1]) ** 0.5
    if kind == "flexible_grid_anchor_generator":
        return "add anchors of %s pixels to %s.anchor_grid" % (_pixels(lost.median), field)
    if kind == "ssd_anchor_generator":
        line = _scale(generator, float("%.2g" % (side / min(lost.size))), lost.how)
        if line:
            return "override `%s.%s`" % (field, line)
    elif lost.how != OTHER:
        level = generator.max_level if lost.how == LARGER else generator.min_level
        return "override `%s.anchor_scale: %s`, or change the input's size, which these anchors do not follow" % (
            field,
            rules.number(float("%.2g" % (side / 2**level))),
        )
    ratios = [float("%.3g" % ratio) for ratio in [*generator.aspect_ratios, lost.median[0] / lost.median[1]]]
    return "override `%s.aspect_ratios: %s`" % (field, ratios)


def _scale(generator, scale, how):
    """The line that gives an SsdAnchorGenerator anchors of that scale; None where its scales are not what is missing."""
    if not generator.scales and scale < generator.min_scale:
        return "min_scale: %s" % rules.number(scale)
    if not generator.scales and scale > generator.max_scale:
        return "max_scale: %s" % rules.number(scale)
    if how == OTHER and (not generator.scales or min(generator.scales) <= scale <= max(generator.scales)):
        return None
    scales = list(generator.scales) or np.linspace(generator.min_scale, generator.max_scale, generator.num_layers)
    scales = [float("%.3g" % each) for each in scales]
    scales[int(np.argmin(np.abs(np.log(scales) - np.log(scale))))] = scale
    return "scales: %s" % scales


def _pixels(size):
    return "%.3g x %.3g" % size
