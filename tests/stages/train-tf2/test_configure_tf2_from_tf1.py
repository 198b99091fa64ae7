"""configure-tf2 with `from_tf1`: a config for TensorFlow 1 becomes what says the same to TensorFlow 2, or is refused."""

import pytest
from _configure.from_tf1 import convert
from _configure.rules import all_problems
from _configure.rules_tf2 import rules_of
from _odapi.config_overrides import apply_overrides
from _odapi.config_text import parse_config, print_config, read_config
from _odapi.versions import COUNTERPARTS, NEWER_TF1_EXTRACTORS, SSD_EXTRACTORS, TF1, TF2
from _runtime import StageError
from test_configure_tf2 import changed, configure, parsed  # noqa: F401 - the first is a fixture

from stage_helpers import ROOT, shared

DEMO = ROOT / "data" / "templates" / "demo_ssd_mobilenet_v2_160.config"
RECIPE = ROOT / "data" / "templates" / "ssd_mobilenet_v2_quantized_300x300.config"
TYPE = "model.ssd.feature_extractor.type"
NORM = "model.ssd.feature_extractor.conv_hyperparams.batch_norm"
HEAD_NORM = "model.ssd.box_predictor.convolutional_box_predictor.conv_hyperparams.batch_norm"
DECAY = "train_config.optimizer.rms_prop_optimizer.decay"


def converted(overrides=None, template=DEMO):
    """(config, {field: change}, warnings) of a template for TensorFlow 1."""
    config, warnings = read_config(template), []
    apply_overrides(config, overrides or {})
    changes = convert(config, warnings.append)
    return config, {change["field"]: change for change in changes}, warnings


class TestStage:
    @pytest.mark.parametrize("template", [DEMO, RECIPE], ids=["demo", "recipe"])
    def test_a_template_for_tensorflow_1_is_turned_and_accepted(self, configure, template):  # noqa: F811
        outcome = configure(template=template, from_tf1=True, boxes=[(1, 0.4, 0.4), (2, 0.4, 0.4)], splits=(("train", 100), ("val", 5)))
        config = parsed(outcome)
        assert config.model.ssd.feature_extractor.type == "ssd_mobilenet_v2_keras"
        assert not config.HasField("graph_rewriter")
        assert outcome.json("config.json")["quantization_delay"] is None
        assert outcome.result["warnings"] == []
        assert {"graph_rewriter", TYPE, "train_config.fine_tune_checkpoint_version"} <= set(changed(outcome))

    def test_without_the_parameter_it_is_refused_and_told_of_it(self, configure):  # noqa: F811
        error = configure(template=DEMO).error
        assert (error["where"], error["found"]) == ("pipeline.config: " + TYPE, "`ssd_mobilenet_v2`")
        assert error["remedy"].startswith("set this stage's `from_tf1: true`")

    def test_overrides_are_those_of_the_template(self, configure):  # noqa: F811
        outcome = configure({"graph_rewriter.quantization.delay": 5}, template=DEMO, from_tf1=True, boxes=[(1, 0.4, 0.4)])
        assert changed(outcome)["graph_rewriter"]["from"].startswith("quantization { delay: 5 ")
        assert changed(outcome)["graph_rewriter"]["to"] is None

    def test_a_config_for_tensorflow_2_stays_as_it_is(self, configure, tmp_path):  # noqa: F811
        plain, turned = configure(), configure(from_tf1=True, folder=tmp_path / "records")
        version = "fine_tune_checkpoint_version: V2"
        assert version in (turned.output / "pipeline.config").read_text()
        fields = set(changed(turned)) - set(changed(plain))
        assert fields <= {
            "train_config.fine_tune_checkpoint_version",
            NORM + ".train",
            HEAD_NORM + ".train",
        }


class TestExtractors:
    @pytest.mark.parametrize("kind", sorted(COUNTERPARTS))
    def test_the_same_network_of_keras_layers(self, kind):
        config, changes, _ = converted({TYPE: kind})
        assert config.model.ssd.feature_extractor.type == kind + "_keras"
        assert (changes[TYPE]["from"], changes[TYPE]["to"]) == (kind, kind + "_keras")

    @pytest.mark.parametrize("kind", sorted({*SSD_EXTRACTORS[TF1], *NEWER_TF1_EXTRACTORS} - set(COUNTERPARTS)))
    def test_without_a_counterpart_the_nearest_is_named(self, kind):
        with pytest.raises(StageError) as raised:
            converted({TYPE: kind})
        assert (raised.value.where, raised.value.found) == ("pipeline.config: " + TYPE, f"`{kind}`")
        assert raised.value.remedy.split(f"`{TYPE}: ")[1].split("`")[0] in SSD_EXTRACTORS[TF2]

    def test_another_kind_of_model_is_refused(self):
        with pytest.raises(StageError) as raised:
            converted({"model": {"faster_rcnn": {}}})
        assert (raised.value.where, raised.value.found) == ("pipeline.config: model", "`faster_rcnn`")


class TestBatchNorm:
    def test_what_each_batch_norm_froze_is_frozen_as_a_whole(self):
        config, changes, _ = converted({NORM + ".train": False, HEAD_NORM + ".train": False})
        assert config.model.ssd.freeze_batchnorm
        assert {NORM + ".train", HEAD_NORM + ".train", "model.ssd.freeze_batchnorm"} <= set(changes)

    def test_a_part_of_it_cannot_be_frozen(self):
        with pytest.raises(StageError) as raised:
            converted({NORM + ".train": False})
        assert (raised.value.where, raised.value.found) == (f"pipeline.config: {NORM}.train", "false")
        assert raised.value.remedy == f"override `{NORM}.train: true`"

    def test_freeze_batchnorm_that_tensorflow_1_ignores_does_not_begin_to_freeze(self):
        config, changes, _ = converted({"model.ssd.freeze_batchnorm": True})
        assert not config.model.ssd.freeze_batchnorm
        assert "TensorFlow 1 ignores it" in changes["model.ssd.freeze_batchnorm"]["why"]


class TestOptimizer:
    @pytest.mark.parametrize(
        ("decay", "why"), [(0.9, "with a decay of 0.9, from 0"), (0.99, "with a decay of 0.9 instead of 0.99, from 0")]
    )
    def test_rmsprops_decay_is_removed_and_what_it_means_is_told(self, decay, why):
        config, changes, _ = converted({DECAY: decay}, template=RECIPE)
        assert config.train_config.optimizer.rms_prop_optimizer.decay == 0.0
        assert why in changes[DECAY]["why"]

    def test_adam_stays(self):
        assert not [field for field in converted()[1] if field.startswith("train_config.optimizer")]


class TestTraining:
    def test_what_only_tensorflow_1_reads_is_removed(self):
        overrides = {
            "train_config.sync_replicas": True,
            "train_config.replicas_to_aggregate": 8,
            "train_config.startup_delay_steps": 0.0,
            "train_config.batch_queue_capacity": 10,
            "train_config.use_bfloat16": True,
        }
        config, changes, _ = converted(overrides)
        assert set(overrides) <= set(changes)
        assert not [field for field in overrides if config.train_config.HasField(field.split(".")[1])]

    def test_a_checkpoint_is_removed_with_a_warning(self):
        overrides = {"train_config.fine_tune_checkpoint": "/models/model.ckpt", "train_config.from_detection_checkpoint": True}
        config, changes, (warning,) = converted(overrides)
        assert "/models/model.ckpt" in warning
        assert "warm_start" in warning
        assert not config.train_config.fine_tune_checkpoint
        assert set(overrides) <= set(changes)
        assert changes["train_config.fine_tune_checkpoint_version"]["to"] == "V2"

    def test_frozen_variables_have_no_counterpart(self):
        config, _, _ = converted({"train_config.freeze_variables": ["Mixed"]})
        (error,) = [error for error in all_problems(config, rules_of())[0] if "freeze_variables" in error.where]
        assert error.found == "`['Mixed']`"

    def test_every_change_has_a_reason(self):
        _, changes, _ = converted({"train_config.sync_replicas": True})
        assert all(len(change["why"]) > 10 for change in changes.values())

    def test_what_was_made_is_not_changed_again(self):
        config, _, _ = converted(template=RECIPE)
        again = parse_config(print_config(config), "again")
        assert convert(again, pytest.fail) == []


def test_the_official_fpnlite_of_tensorflow_1_agrees_with_that_of_tensorflow_2_where_they_describe_the_same():
    folder = shared() / "data" / "configs"
    name = "ssd_mobilenet_v2_fpnlite_quantized_shared_box_predictor_256x256_depthmultiplier_75_coco14_sync"
    first, _, _ = converted(template=folder / f"object_detection__samples__configs__{name}.config")
    second = read_config(folder / "object_detection__configs__tf2__ssd_mobilenet_v2_fpnlite_320x320_coco17_tpu-8.config")
    for read in (
        lambda config: config.model.ssd.feature_extractor.type,
        lambda config: config.model.ssd.feature_extractor.fpn.max_level,
        lambda config: config.model.ssd.anchor_generator.multiscale_anchor_generator.max_level,
        lambda config: config.model.ssd.matcher.argmax_matcher.matched_threshold,
        lambda config: config.model.ssd.box_predictor.WhichOneof("box_predictor_oneof"),
    ):
        assert read(first) == read(second)
