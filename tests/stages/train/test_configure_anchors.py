"""Boxes that no anchor of the config can match: counted for each class, with the override that makes anchors of their size."""

import numpy as np
import pytest
from _configure import anchors
from google.protobuf import text_format
from object_detection.protos import anchor_generator_pb2
from test_configure import configure  # noqa: F401 - a fixture

FORCE = "model.ssd.matcher.argmax_matcher.force_match_for_each_row"
IGNORE = "model.ssd.matcher.argmax_matcher.ignore_thresholds"
GENERATOR = "model.ssd.anchor_generator"
SSD = GENERATOR + ".ssd_anchor_generator"
MULTISCALE = {
    "multiscale_anchor_generator": {"min_level": 4, "max_level": 6, "anchor_scale": 2.0, "aspect_ratios": [1.0], "scales_per_octave": 2}
}
LOWEST = "reduce_boxes_in_lowest_layer"
SMALL = [(1, 0.05, 0.05)]
FITTING = (1, 0.4, 0.4)


def override(warning):
    """The override that a warning names, as {field: value}."""
    field, value = warning.split("override `")[1].split("`")[0].split(": ")
    return {field: [float(part) for part in value[1:-1].split(",")] if value.startswith("[") else float(value)}


def generator(text):
    return text_format.Parse(text, anchor_generator_pb2.AnchorGenerator())


@pytest.mark.parametrize(
    ("text", "size", "shapes"),
    [
        (
            "ssd_anchor_generator { num_layers: 2 min_scale: 0.2 max_scale: 0.5 aspect_ratios: 1.0 interpolated_scale_aspect_ratio: 0 }",
            (100, 100),
            [[0.1, 0.1], [0.1414, 0.2828], [0.2828, 0.1414], [0.5, 0.5]],
        ),
        # Anchors of the SSD's generator are squares of the shorter side.
        (
            "ssd_anchor_generator { num_layers: 1 scales: 0.5 aspect_ratios: 1 interpolated_scale_aspect_ratio: 0 %s: false }" % LOWEST,
            (200, 100),
            [[0.25, 0.5]],
        ),
        (
            "multiscale_anchor_generator { min_level: 3 max_level: 4 anchor_scale: 4 aspect_ratios: 1.0 scales_per_octave: 1 }",
            (256, 128),
            [[0.125, 0.25], [0.25, 0.5]],
        ),
        (
            "flexible_grid_anchor_generator { anchor_grid { base_sizes: 32 aspect_ratios: 1 height_stride: 8 width_stride: 8 } }",
            (128, 64),
            [[0.25, 0.5]],
        ),
    ],
    ids=["ssd", "ssd, not square", "multiscale", "flexible"],
)
def test_shapes_are_the_apis_own_as_fractions_of_the_input(text, size, shapes):
    np.testing.assert_allclose(anchors.anchor_shapes(generator(text), *size), shapes, atol=1e-4)


def test_overlap_is_the_best_that_any_anchor_gives():
    shapes = np.array([[0.2, 0.2], [0.1, 0.1], [0.4, 0.1], [0.2, 0.4]])
    overlap, nearest = anchors.best_overlap(shapes, np.array([[0.2, 0.2], [0.3, 0.1]]))
    np.testing.assert_allclose(overlap, [1.0, 1 / 3, 0.75, 0.5])
    assert nearest.tolist() == [0, 1, 1, 0]


def test_many_boxes_are_compared_in_blocks(monkeypatch):
    shapes, some = np.random.RandomState(1).uniform(0.01, 1, (50, 2)), np.random.RandomState(2).uniform(0.01, 1, (7, 2))
    at_once = anchors.best_overlap(shapes, some)
    monkeypatch.setattr(anchors, "_AT_ONCE", 8)
    for whole, blocks in zip(at_once, anchors.best_overlap(shapes, some)):
        assert whole.tolist() == blocks.tolist()


@pytest.mark.parametrize(("width", "below"), [(0.401, False), (0.399, True)])
def test_the_matchers_threshold_is_the_bound(configure, width, below):  # noqa: F811
    """The largest anchor of the one layer is 0.8 x 0.8; half of it overlaps by half."""
    overrides = {SSD: {"num_layers": 1, "scales": [0.8], "aspect_ratios": [1.0], "reduce_boxes_in_lowest_layer": False}}
    overrides[SSD]["interpolated_scale_aspect_ratio"] = 0.0
    overrides["model.ssd.feature_extractor.num_layers"] = 1
    assert bool(configure(overrides, boxes=[(1, width, 0.8), (2, 0.8, 0.8)]).result["warnings"]) == below


def test_a_warning_tells_class_numbers_sizes_image_and_override(configure):  # noqa: F811
    outcome = configure(boxes=[FITTING, *SMALL * 3, (1, 0.06, 0.07), (2, 0.5, 0.5)])
    (warning,) = outcome.result["warnings"]
    assert warning == (
        "4 of 5 train boxes of ace are smaller than the anchors can match (their best possible overlap is below 0.5): "
        "their median is 8 x 8 pixels at the input's 160 x 160, anchors go from 16 x 16 to 156 x 156; the first is in image 101; "
        "each is taught by one anchor only, which force_match_for_each_row gives it; "
        "override `model.ssd.anchor_generator.ssd_anchor_generator.min_scale: 0.05`"
    )
    assert outcome.json("config.json")["warnings"] == [warning]


@pytest.mark.parametrize(
    ("boxes", "overrides", "how"),
    [
        (SMALL, {}, "smaller"),
        ([(1, 0.02, 0.03)], {}, "smaller"),
        ([(1, 0.17, 0.17)], {SSD + ".min_scale": 0.4}, "larger"),
        ([(1, 0.29, 0.29)], {}, "larger"),
        ([(1, 0.31, 0.31)], {}, "smaller"),
        ([(1, 0.9, 0.12)], {}, "of other shapes"),
        ([(1, 1.0, 1.0)], {SSD + ".max_scale": 0.3}, "larger"),
        (SMALL, {GENERATOR: MULTISCALE}, "smaller"),
        ([(1, 0.08, 0.5)], {GENERATOR: MULTISCALE}, "of other shapes"),
    ],
    ids=["small", "smaller still", "between", "above a layer's", "below a layer's", "flat", "large", "multiscale", "multiscale, thin"],
)
def test_the_override_mends_it(configure, tmp_path, boxes, overrides, how):  # noqa: F811
    (warning,) = configure(overrides, boxes=[*boxes, (2, 0.4, 0.4)]).result["warnings"][-1:]
    assert " are %s than the anchors can match" % how in warning
    (tmp_path / "records").rename(tmp_path / "before")
    again = configure(dict(overrides, **override(warning)), boxes=[*boxes, (2, 0.4, 0.4)])
    assert not [text for text in again.result["warnings"] if "of ace" in text]


@pytest.mark.parametrize(("fitting", "warned"), [(9, True), (10, False)])
def test_a_tenth_of_a_class_is_worth_a_warning(configure, fitting, warned):  # noqa: F811
    outcome = configure(boxes=[*SMALL, *[FITTING] * fitting])
    assert bool(outcome.result["warnings"]) == warned


def test_a_class_that_only_forced_matches_teach_is_warned_of_in_strong_words(configure):  # noqa: F811
    (warning,) = configure(boxes=[*SMALL, (2, 0.4, 0.4)]).result["warnings"]
    assert "1 of 1 train boxes of ace" in warning
    assert "expect it to be learned badly" in warning


def test_without_forced_matches_a_class_that_no_anchor_matches_is_refused(configure):  # noqa: F811
    error = configure({FORCE: False}, boxes=[*SMALL, (2, 0.4, 0.4)]).error
    assert error["what"] == "no anchor can match any box of the class ace"
    assert error["where"] == "pipeline.config: model.ssd.anchor_generator"
    assert "their median is 8 x 8 pixels" in error["found"]
    assert error["remedy"] == "override `model.ssd.anchor_generator.ssd_anchor_generator.min_scale: 0.05`"


def test_without_forced_matches_a_part_of_a_class_is_background(configure):  # noqa: F811
    (warning,) = configure({FORCE: False}, boxes=[*SMALL, FITTING]).result["warnings"]
    assert "training takes them for background" in warning


@pytest.mark.parametrize(
    ("boxes", "overrides"),
    [([], {}), (SMALL, {IGNORE: True}), (SMALL, {"model.ssd.matcher": {"bipartite_matcher": {}}}), ([FITTING], {})],
    ids=["no boxes", "no threshold", "another matcher", "all fit"],
)
def test_nothing_to_say(configure, boxes, overrides):  # noqa: F811
    assert configure(overrides, boxes=boxes).result["warnings"] == []


def test_the_grid_anchor_generator_is_refused(configure):  # noqa: F811
    error = configure({GENERATOR: {"grid_anchor_generator": {}}}, boxes=[FITTING]).error
    assert error["where"] == "pipeline.config: model.ssd.anchor_generator"
    assert error["found"] == "grid_anchor_generator"
