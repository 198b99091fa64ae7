"""Dotted overrides of a pipeline.config, and what is said of one that does not fit."""

import pytest
from _odapi.config_overrides import apply_overrides
from _odapi.config_text import parse_config
from _runtime import StageError

from stage_helpers import ROOT

TEMPLATE = (ROOT / "data" / "templates" / "demo_ssd_mobilenet_v2_160.config").read_text()


@pytest.fixture
def config():
    return parse_config(TEMPLATE, "demo.config")


@pytest.mark.parametrize(
    ("path", "value", "read"),
    [
        ("train_config.batch_size", 4, lambda c: c.train_config.batch_size == 4),
        ("model.ssd.feature_extractor.depth_multiplier", 1, lambda c: c.model.ssd.feature_extractor.depth_multiplier == 1.0),
        ("train_input_reader.shuffle", False, lambda c: c.train_input_reader.shuffle is False),
        ("model.ssd.post_processing.score_converter", "SOFTMAX", lambda c: c.model.ssd.post_processing.score_converter == 2),
        ("eval_config.metrics_set", ["a", "b"], lambda c: list(c.eval_config.metrics_set) == ["a", "b"]),
        ("eval_input_reader.0.num_readers", 3, lambda c: c.eval_input_reader[0].num_readers == 3),
        ("train_config.num_steps", None, lambda c: not c.train_config.HasField("num_steps")),
        ("graph_rewriter", None, lambda c: not c.HasField("graph_rewriter")),
        (
            "train_config.data_augmentation_options",
            [{"ssd_random_crop": {}}, {"random_adjust_brightness": {"max_delta": 0.1}}],
            lambda c: (
                [o.WhichOneof("preprocessing_step") for o in c.train_config.data_augmentation_options]
                == ["ssd_random_crop", "random_adjust_brightness"]
            ),
        ),
        (
            "model.ssd.loss.classification_loss",
            {"weighted_sigmoid_focal": {"gamma": 1.5}},
            lambda c: (
                c.model.ssd.loss.classification_loss.weighted_sigmoid_focal.gamma == 1.5
                and not c.model.ssd.loss.classification_loss.weighted_sigmoid_focal.HasField("alpha")
            ),
        ),
        (
            "train_config.optimizer.momentum_optimizer.learning_rate.constant_learning_rate.learning_rate",
            0.25,
            lambda c: c.train_config.optimizer.WhichOneof("optimizer") == "momentum_optimizer",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_field_of_each_kind_can_be_set(config, path, value, read):
    changes = apply_overrides(config, {path: value})
    assert read(config)
    assert [change["field"] for change in changes] == [path]


def test_a_value_that_is_there_already_is_no_change(config):
    assert apply_overrides(config, {"train_config.batch_size": 8, "model.ssd.feature_extractor.depth_multiplier": 0.35}) == []


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        ("train_config.batchsize", "train_config.batch_size"),
        ("trainconfig.batch_size", "train_config.batch_size"),
        ("model.ssd.depth_multiplier", "model.ssd.feature_extractor.depth_multiplier"),
        ("model.sdd.num_classes", "model.ssd.num_classes"),
        ("delay", "graph_rewriter.quantization.delay"),
        (
            "train_config.optimizer.adam_optimizer.learning_rate.cosine_decay_learning_rate.total",
            "train_config.optimizer.adam_optimizer.learning_rate.cosine_decay_learning_rate.total_steps",
        ),
    ],
)
def test_an_unknown_field_is_answered_with_the_nearest_right_one(config, path, nearest):
    with pytest.raises(StageError) as raised:
        apply_overrides(config, {path: 1})
    assert raised.value.where == "overrides: " + path
    assert raised.value.expected == f"`{nearest}`"


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("train_config.batch_size", "8", "an integer"),
        ("train_config.batch_size", 8.0, "an integer"),
        ("train_config.batch_size", True, "an integer"),
        ("train_config.num_steps", -1, "an integer from 0 to 4294967295"),
        ("train_config.num_steps", 2**40, "an integer from 0 to 4294967295"),
        ("train_config.optimizer.use_moving_average", 1, "true or false"),
        ("model.ssd.feature_extractor.depth_multiplier", "1e-4", "a number"),
        ("model.ssd.feature_extractor.depth_multiplier", float("nan"), "a number"),
        ("model.ssd.feature_extractor.depth_multiplier", 1e300, "a number"),
        ("model.ssd.feature_extractor.type", 3, "a text"),
        ("model.ssd.feature_extractor", "ssd_mobilenet_v2", "a mapping of the fields of SsdFeatureExtractor"),
        ("train_config.data_augmentation_options", {"ssd_random_crop": {}}, "a list of a mapping of the fields of PreprocessingStep"),
        ("train_config.data_augmentation_options", ["ssd_random_crop"], "a mapping of the fields of PreprocessingStep"),
    ],
)
def test_a_wrong_type_is_named(config, path, value, expected):
    with pytest.raises(StageError) as raised:
        apply_overrides(config, {path: value})
    assert raised.value.expected == expected
    assert raised.value.where.startswith("overrides: " + path)


@pytest.mark.parametrize(
    ("path", "value", "remedy"),
    [
        ("model.ssd.feature_extractor.depth_multiplier", "1e-4", "write 1.0e-4"),
        ("model.ssd.post_processing.score_converter", "sigmoid", "write `model.ssd.post_processing.score_converter: SIGMOID`"),
        ("train_config.batch_size.x", 1, "end the path at `train_config.batch_size`"),
        ("eval_input_reader.5.shuffle", True, "give the whole list as the value of `eval_input_reader`"),
        ("model.ssd.loss.classification_loss", {"weighted_sigmoid_fokal": {}}, "write `weighted_sigmoid_focal`"),
    ],
)
def test_the_remedy_says_what_to_write(config, path, value, remedy):
    with pytest.raises(StageError) as raised:
        apply_overrides(config, {path: value})
    assert remedy in raised.value.remedy


@pytest.mark.parametrize(
    ("text", "where", "found"),
    [
        ("model {\n  ssd {\n    num_clases: 3\n  }\n}", "own.config:3:5", "`num_clases`"),
        ("model {\n  ssd {\n", "own.config", None),
        ("train_config { batch_size: eight }", "own.config", None),
        ("model { ssd { feature_extractor { bifpn { } } } }", "own.config:1:35", "`bifpn`, which only TensorFlow 2's has"),
        ("train_config { optimizer { adam_optimizer { epsilon: 1 } } }", "own.config:1:45", "`epsilon`, of a later release"),
        (
            "model { ssd { feature_extractor { conv_hyperparams { activation: SWISH } } } }",
            "own.config:1:66",
            "`SWISH`, of a later release",
        ),
        ("[lstm_object_detection.protos.lstm_model] { }", "own.config:1:31", "`[lstm_object_detection.protos.lstm_model]`"),
    ],
)
def test_a_config_that_cannot_be_parsed_is_refused_with_its_place(text, where, found):
    with pytest.raises(StageError) as raised:
        parse_config(text, "own.config")
    assert raised.value.where == where
    assert found in (None, raised.value.found)
