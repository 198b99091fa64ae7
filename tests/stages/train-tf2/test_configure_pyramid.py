"""Feature pyramids that fit: what the rule says of levels, anchors and sizes is what the Object Detection API does with them."""

import pytest
import tensorflow as tf
from _configure.pyramid import levels, pyramid
from _odapi.config_overrides import apply_overrides
from _odapi.config_text import read_config
from _runtime import StageError
from object_detection.builders import model_builder

from stage_helpers import ROOT, shared

FEATURES = "model.ssd.feature_extractor"
FPN = FEATURES + ".fpn"
ANCHORS = "model.ssd.anchor_generator.multiscale_anchor_generator"
SIZE = "model.ssd.image_resizer.fixed_shape_resizer"
RESNET = "tf2_ssd_resnet50_v1_fpn_640"
FPNLITE = "tf2_ssd_mobilenet_v2_fpnlite_320"
EFFICIENTDET = "ssd_efficientdet_d0_512x512_coco17_tpu-8"


def config_of(name, overrides, height, width=None):
    path = ROOT / "data" / "templates" / f"{name}.config"
    if name == EFFICIENTDET:
        path = shared() / "data" / "configs" / f"object_detection__configs__tf2__{name}.config"
    config = read_config(path)
    apply_overrides(config, dict(overrides, **{SIZE: {"height": height, "width": width or height}}))
    return config


def said(config):
    try:
        pyramid(config)
    except StageError as error:
        return error
    return None


def runs(config):
    """Whether the API's model can be called, with as many boxes as anchors."""
    size = config.model.ssd.image_resizer.fixed_shape_resizer
    try:
        model = model_builder.build(config.model, is_training=True)
        found = model.predict(*model.preprocess(tf.zeros([1, size.height, size.width, 3])))
    except (ValueError, IndexError, tf.errors.InvalidArgumentError):
        return False
    return found["box_encodings"].shape[1] == found["anchors"].shape[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "overrides", "size", "fits"),
    [
        (FPNLITE, {}, (250,), True),
        (FPNLITE, {}, (300,), False),
        (FPNLITE, {}, (256, 300), False),
        (FPNLITE, {FEATURES + ".use_explicit_padding": True}, (300,), True),
        (FPNLITE, {FEATURES + ".pad_to_multiple": 32}, (300,), True),
        (FPNLITE, {FPN + ".max_level": 5, ANCHORS + ".max_level": 5}, (320,), True),
        (FPNLITE, {FPN + ".min_level": 4, FPN + ".max_level": 4, ANCHORS + ".min_level": 4, ANCHORS + ".max_level": 4}, (320,), True),
        (FPNLITE, {FPN + ".min_level": 6, ANCHORS + ".min_level": 6}, (320,), False),
        (FPNLITE, {FPN + ".min_level": 1, ANCHORS + ".min_level": 1}, (320,), False),
        (RESNET, {}, (250,), True),
        (RESNET, {ANCHORS + ".max_level": 6}, (256,), False),
        (EFFICIENTDET, {}, (256,), True),
        (EFFICIENTDET, {}, (320,), False),
        (EFFICIENTDET, {FEATURES + ".pad_to_multiple": 128}, (320,), True),
    ],
)
def test_the_rule_says_what_the_api_does(name, overrides, size, fits):
    assert (said(config_of(name, overrides, *size)) is None) == fits
    assert runs(config_of(name, overrides, *size)) == fits


@pytest.mark.parametrize(
    ("name", "overrides", "size", "where", "found", "remedy"),
    [
        (
            FPNLITE,
            {},
            (300,),
            SIZE,
            "300 x 300: level 4 has 19 places a side, and level 5, doubled, 20",
            f"{SIZE}: {{height: 320, width: 320}}",
        ),
        (FPNLITE, {}, (320, 200), SIZE, "320 x 200: level 3 has 25", f"{SIZE}: {{height: 320, width: 224}}"),
        (EFFICIENTDET, {}, (320,), SIZE, "320 x 320: level 6 has 5", f"{SIZE}: {{height: 384, width: 384}}"),
        (FPNLITE, {FPN + ".max_level": 6}, (320,), ANCHORS + ".max_level", "7", f"{ANCHORS}.max_level: 6"),
        (FPNLITE, {FPN + ".min_level": 6}, (320,), FPN, "min_level 6, max_level 7", f"{FPN}.min_level: 3"),
        (RESNET, {FPN + ".max_level": 5}, (256,), FPN + ".max_level", "5", f"{FPN}.max_level: 7"),
        (RESNET, {FPN + ".min_level": 4}, (256,), FPN + ".min_level", "4", f"{FPN}.min_level: 3"),
        (
            RESNET,
            {FPN + ".additional_layer_depth": 128},
            (256,),
            FPN + ".additional_layer_depth",
            "128",
            f"{FPN}.additional_layer_depth: 256",
        ),
    ],
)
def test_what_does_not_fit_is_named_with_the_override_that_mends_it(name, overrides, size, where, found, remedy):
    error = said(config_of(name, overrides, *size))
    assert error.where == "pipeline.config: " + where
    assert error.found.startswith(found)
    assert remedy in error.remedy


def test_a_resnet_has_its_levels_without_any_settings():
    config = config_of(RESNET, {FPN: None}, 256)
    assert levels(config.model.ssd.feature_extractor) == (3, 7)
    assert said(config) is None


def test_without_a_pyramid_there_is_nothing_to_say():
    assert said(config_of("demo_tf2_ssd_mobilenet_v2_160", {}, 300)) is None
