"""What configure refuses because it would train in vain, each with the override that mends it."""

import pytest
from test_configure import COSINE, configure  # noqa: F401 - a fixture

HEADS = "model.ssd.box_predictor.convolutional_box_predictor.conv_hyperparams.batch_norm"
FPN = "model.ssd.feature_extractor.fpn"
SIZE = "model.ssd.image_resizer.fixed_shape_resizer"


@pytest.mark.parametrize(
    ("overrides", "where", "remedy"),
    [
        ({"graph_rewriter.quantization.delay": 700}, "graph_rewriter.quantization.delay", "graph_rewriter.quantization.delay: 350"),
        ({"graph_rewriter.quantization.delay": 48000}, "graph_rewriter.quantization.delay", "graph_rewriter.quantization.delay: 350"),
        (
            {"graph_rewriter.quantization.weight_bits": 4},
            "graph_rewriter.quantization.weight_bits",
            "graph_rewriter.quantization.weight_bits: 8",
        ),
        ({"graph_rewriter": None}, "graph_rewriter", "graph_rewriter.quantization: {delay: 350"),
        ({"train_config.num_steps": 0}, "train_config.num_steps", "train_config.num_steps: 20000"),
        ({"train_config.num_steps": None}, "train_config.num_steps", "train_config.num_steps: 20000"),
        ({"train_config.batch_size": 0}, "train_config.batch_size", "train_config.batch_size: 8"),
        ({"train_config.fine_tune_checkpoint": "/models/model.ckpt"}, "train_config.fine_tune_checkpoint", "warm_start"),
        (
            {"eval_config.visualization_export_dir": "PATH_TO_BE_CONFIGURED/x"},
            "eval_config.visualization_export_dir",
            "visualization_export_dir: null",
        ),
        ({"model.ssd.freeze_batchnorm": True}, "model.ssd.freeze_batchnorm", "batch_norm.train: false"),
        ({HEADS: None}, HEADS, HEADS + ": {train: true"),
        ({"model.ssd.feature_extractor.type": "ssd_mobilenet_v2_keras"}, "model.ssd.feature_extractor.type", "type: ssd_mobilenet_v2`"),
        ({"model.ssd.feature_extractor.type": "ssd_mobilenetv2"}, "model.ssd.feature_extractor.type", "type: ssd_mobilenet_v2`"),
        (
            {"model.ssd.anchor_generator.ssd_anchor_generator.num_layers": 6},
            "model.ssd.anchor_generator.ssd_anchor_generator.num_layers",
            "num_layers: 6",
        ),
        ({"model.ssd.image_resizer": {"keep_aspect_ratio_resizer": {}}}, "model.ssd.image_resizer", "fixed_shape_resizer"),
        ({"model.ssd.image_resizer.fixed_shape_resizer.height": 32}, "model.ssd.image_resizer.fixed_shape_resizer", "height: 160"),
        ({COSINE + ".warmup_steps": 700}, COSINE + ".warmup_steps", "warmup_steps: 35"),
        # YAML reads 1e-05 as text.
        ({COSINE: {"learning_rate_base": 1.0e-4, "total_steps": 700}}, COSINE + ".warmup_learning_rate", "warmup_learning_rate: 1.0e-05"),
        ({COSINE + ".warmup_learning_rate": 1.0}, COSINE + ".warmup_learning_rate", "warmup_learning_rate: 0.001"),
        ({"train_config.optimizer": {}}, "train_config.optimizer", "template"),
        ({"model": {"faster_rcnn": {}}}, "model", "template"),
        ({"model.ssd.box_coder": {}}, "model", "mend that part"),
        ({"train_config.data_augmentation_options": [{}]}, "train_config.data_augmentation_options.0", "mend that part"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_refused(configure, overrides, where, remedy):  # noqa: F811
    outcome = configure(overrides)
    assert outcome.code == 1
    assert outcome.error["where"] == "pipeline.config: " + where
    assert remedy in outcome.error["remedy"]
    assert not list(outcome.output.iterdir())


@pytest.mark.parametrize(
    ("overrides", "records", "warning"),
    [
        ({"graph_rewriter.quantization.delay": 640}, {}, "only 60 of 700 steps are quantized"),
        ({"train_config.batch_size": 21}, {}, "train_config.batch_size (21) is larger than the number of train images (20)"),
        ({}, {"unseen": ("king",)}, "no train image shows: king"),
        ({COSINE + ".total_steps": 600}, {}, "the learning rate is 0 from step 600 on, but training lasts 700"),
        (
            {"model.ssd.feature_extractor.override_base_feature_extractor_hyperparams": False},
            {},
            "the backbone's batch norm then averages with a fixed decay",
        ),
        ({HEADS + ".center": False}, {}, "class_prediction_bias_init is lost"),
    ],
    ids=lambda value: "",
)
def test_warned_of(configure, overrides, records, warning):  # noqa: F811
    outcome = configure(overrides, **records)
    assert outcome.code == 0, outcome.error
    assert [text for text in outcome.result["warnings"] if warning in text] == outcome.result["warnings"] != []
    assert outcome.json("config.json")["warnings"] == outcome.result["warnings"]


@pytest.mark.parametrize(
    ("overrides", "warned"),
    [
        ({"graph_rewriter.quantization.delay": 699}, True),
        ({"graph_rewriter.quantization.delay": 631}, True),
        ({"graph_rewriter.quantization.delay": 630}, False),
        ({"graph_rewriter.quantization.delay": 0}, False),
    ],
)
def test_a_tenth_of_the_steps_is_the_bound(configure, overrides, warned):  # noqa: F811
    assert bool(configure(overrides).result["warnings"]) == warned


def test_a_config_without_quantization_is_accepted_when_asked_for(configure):  # noqa: F811
    outcome = configure({"graph_rewriter": None}, allow_float=True)
    assert outcome.json("config.json")["quantization_delay"] is None
    assert "not quantization-aware" in " ".join(outcome.result["warnings"])


def test_another_number_of_classes_than_the_label_maps_is_refused(configure):  # noqa: F811
    error = configure({"model.ssd.num_classes": 90}).error
    assert (error["where"], error["expected"], error["found"]) == ("overrides: model.ssd.num_classes", "2: ace, king", "90")
    assert error["remedy"] == "leave `model.ssd.num_classes` out: it follows the records"


@pytest.mark.parametrize(
    ("kind", "what", "remedy"),
    [
        ("ssd_efficientnet-b0_bifpn_keras", "a Keras one", "use the stages configure-tf2 and train-tf2"),
        ("ssd_mobilenet_v1_ppn", "it needs Python 2", "type: ssd_mobilenet_v1`"),
        ("ssd_resnet50_v1_ppn", "it needs Python 2", "type: ssd_resnet50_v1_fpn`"),
        ("ssd_mobiledet_cpu", "of a later release of the API than this image's", "type: ssd_mobilenet_v2`"),
    ],
)
def test_a_feature_extractor_that_this_image_cannot_run_is_named_as_such(configure, kind, what, remedy):  # noqa: F811
    error = configure({"model.ssd.feature_extractor.type": kind}).error
    assert (what in error["what"], error["found"], remedy in error["remedy"]) == (True, f"`{kind}`", True)


@pytest.mark.parametrize(
    ("overrides", "where", "remedy"),
    [
        ({FPN: {"min_level": 3, "max_level": 7}}, "anchor_generator.ssd_anchor_generator.num_layers", "num_layers: 5"),
        ({FPN: {"min_level": 3, "max_level": 6}, SIZE: {"height": 300, "width": 300}}, "image_resizer.fixed_shape_resizer", "height: 320"),
    ],
    ids=["levels", "size"],
)
def test_a_feature_pyramid_must_fit(configure, overrides, where, remedy):  # noqa: F811
    error = configure(dict(overrides, **{"model.ssd.feature_extractor.type": "ssd_mobilenet_v2_fpn"})).error
    assert error["where"] == "pipeline.config: model.ssd." + where
    assert remedy in error["remedy"]


@pytest.mark.parametrize(
    ("records", "what"),
    [
        ({"splits": (("val", 5),)}, "the records have no train images"),
        ({"splits": (("train", 0), ("val", 5))}, "the records have no train images"),
    ],
)
def test_records_without_train_images_are_refused(configure, records, what):  # noqa: F811
    assert configure(**records).error["what"] == what


def test_strides_of_anchors_which_the_api_cannot_read_are_refused(configure):  # noqa: F811
    field = "model.ssd.anchor_generator.ssd_anchor_generator"
    error = configure({field + ".height_stride": [16, 32, 64, 128], field + ".width_stride": [16, 32, 64, 128]}).error
    assert error["where"] == f"pipeline.config: {field}.height_stride"
    assert f"{field}.height_stride: null` and `{field}.width_stride: null`" in error["remedy"]
