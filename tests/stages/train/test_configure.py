"""The configure stage: a template or a user's config, filled from the records, with overrides, or refused with the line that mends it."""

import json

import pytest
from google.protobuf import text_format
from object_detection.protos import pipeline_pb2

from configure_records import write_records
from stage_helpers import ROOT, artifact, shared

DEMO = ROOT / "data" / "templates" / "demo_ssd_mobilenet_v2_160.config"
RECIPE = ROOT / "data" / "templates" / "ssd_mobilenet_v2_quantized_300x300.config"
COSINE = "train_config.optimizer.adam_optimizer.learning_rate.cosine_decay_learning_rate"


@pytest.fixture
def configure(run_here, tmp_path):
    """configure(overrides, template, **records): the `Outcome`; folder: of records that are there."""

    def call(overrides=None, template=DEMO, allow_float=False, folder=None, **records):
        folder = folder or write_records(tmp_path / "records", **records)
        params = {"template": str(template), "overrides": overrides or {}, "allow_float": allow_float}
        return run_here("configure", params, {"records": artifact("records", "records", folder)})

    return call


def parsed(outcome):
    assert outcome.code == 0, outcome.error
    return text_format.Parse((outcome.output / "pipeline.config").read_text(), pipeline_pb2.TrainEvalPipelineConfig())


def changed(outcome):
    return {change["field"]: change for change in outcome.json("config.json")["changes"]}


class TestFilling:
    def test_classes_paths_and_counts_come_from_the_records(self, configure):
        config = parsed(configure(classes=("ace", "king"), splits=(("train", 20), ("val", 5)), shards=2))
        assert config.model.ssd.num_classes == 2
        assert list(config.train_input_reader.tf_record_input_reader.input_path) == ["train.record-?????-of-00002"]
        assert [list(reader.tf_record_input_reader.input_path) for reader in config.eval_input_reader] == [["val.record-?????-of-00002"]]
        assert {config.train_input_reader.label_map_path, config.eval_input_reader[0].label_map_path} == {"label_map.pbtxt"}
        assert config.eval_config.num_examples == 5
        assert list(config.eval_config.metrics_set) == ["coco_detection_metrics"]

    def test_evaluation_sees_every_image_once_and_in_order(self, configure):
        config = parsed(
            configure(
                {
                    "eval_config.batch_size": 8,
                    "eval_input_reader.0.shuffle": True,
                    "eval_input_reader.0.num_readers": 4,
                    "eval_input_reader.0.sample_1_of_n_examples": 10,
                }
            )
        )
        reader = config.eval_input_reader[0]
        assert (config.eval_config.batch_size, reader.shuffle, reader.num_readers, reader.sample_1_of_n_examples) == (1, False, 1, 1)

    @pytest.mark.parametrize(
        ("splits", "read", "warning"),
        [
            ((("train", 20), ("val", 5), ("test", 9)), "val", None),
            ((("train", 20), ("test", 9)), "test", "there is no val split: evaluation during training reads `test`"),
            ((("train", 20),), "train", "there is no val split: evaluation during training reads `train`"),
        ],
    )
    def test_evaluation_reads_val_or_says_what_it_reads_instead(self, configure, splits, read, warning):
        outcome = configure(splits=splits)
        assert outcome.json("config.json")["evaluation_split"] == read
        assert [text for text in outcome.result["warnings"] if warning and text.startswith(warning)] == outcome.result["warnings"]
        assert bool(outcome.result["warnings"]) == bool(warning)

    def test_records_of_another_schema_are_refused(self, configure, tmp_path):
        folder = write_records(tmp_path / "old")
        (folder / "records.json").write_text(json.dumps({"schema": 1, "classes": ["ace", "king"], "splits": {}}))
        error = configure(folder=folder).error
        assert (error["what"], error["found"], error["remedy"]) == ("the records have another schema", "1", "build the records again")

    def test_every_change_is_listed_with_its_reason(self, configure):
        changes = changed(configure({"train_config.batch_size": 4}))
        assert changes["train_config.batch_size"] == {
            "field": "train_config.batch_size",
            "from": 8,
            "to": 4,
            "why": "override of the pipeline",
        }
        assert changes["model.ssd.num_classes"] == {
            "field": "model.ssd.num_classes",
            "from": 3,
            "to": 2,
            "why": "the label map has 2 classes",
        }

    def test_no_object_of_a_crowded_image_is_left_out(self, configure):
        outcome = configure(crowds={"train": 130, "val": 101})
        config = parsed(outcome)
        assert (config.train_input_reader.max_number_of_boxes, config.eval_input_reader[0].max_number_of_boxes) == (130, 101)
        assert changed(outcome)["train_input_reader.max_number_of_boxes"]["why"].startswith("so many objects has one image of `train`")
        assert changed(outcome)["eval_input_reader.0.max_number_of_boxes"]["to"] == 101

    def test_a_limit_that_is_enough_stays_as_it_is(self, configure):
        config = parsed(configure({"eval_input_reader.0.max_number_of_boxes": 300}, crowds={"train": 100, "val": 299}))
        assert not config.train_input_reader.HasField("max_number_of_boxes")
        assert config.eval_input_reader[0].max_number_of_boxes == 300

    def test_the_averaged_weights_that_nothing_reads_are_switched_off(self, configure):
        assert not parsed(configure({"train_config.optimizer.use_moving_average": True})).train_config.optimizer.use_moving_average

    @pytest.mark.parametrize(
        ("overrides", "total"),
        [
            ({"train_config.num_steps": 500}, 500),
            ({"train_config.num_steps": 500, COSINE + ".total_steps": 600}, 600),
            ({"train_config.num_steps": 500, COSINE + ".total_steps": None}, 500),
        ],
    )
    def test_the_cosine_schedule_follows_num_steps_unless_it_is_set(self, configure, overrides, total):
        config = parsed(configure(overrides))
        assert config.train_config.optimizer.adam_optimizer.learning_rate.cosine_decay_learning_rate.total_steps == total

    def test_the_same_input_gives_the_same_bytes(self, configure, tmp_path):
        overrides = {"train_config.batch_size": 4, "graph_rewriter.quantization.delay": 10}
        first = configure(overrides)
        (tmp_path / "records").rename(tmp_path / "moved")
        second = configure(dict(reversed(list(overrides.items()))))
        for name in ("pipeline.config", "config.json"):
            assert (first.output / name).read_bytes() == (second.output / name).read_bytes()

    @pytest.mark.parametrize("template", [DEMO, RECIPE], ids=["demo", "recipe"])
    def test_the_templates_need_no_override(self, configure, template):
        outcome = configure(template=template, splits=(("train", 100), ("val", 5)))
        assert parsed(outcome).graph_rewriter.quantization.weight_bits == 8
        assert not outcome.result["warnings"]

    def test_config_json_says_what_other_stages_ask(self, configure):
        said = configure({"graph_rewriter.quantization.delay": 123}).json("config.json")
        assert {name: said[name] for name in ("input_size", "num_classes", "classes", "num_steps", "batch_size", "quantization_delay")} == {
            "input_size": [160, 160],
            "num_classes": 2,
            "classes": ["ace", "king"],
            "num_steps": 700,
            "batch_size": 8,
            "quantization_delay": 123,
        }


class TestOfficialConfigs:
    """Configs as the API's authors published them."""

    def config(self, name):
        return shared() / "data" / "configs" / (f"object_detection__samples__configs__{name}.config")

    def test_the_quantized_recipe_is_accepted_once_its_checkpoint_is_cleared(self, configure):
        outcome = configure({"train_config.fine_tune_checkpoint": None}, template=self.config("ssd_mobilenet_v2_quantized_300x300_coco"))
        assert parsed(outcome).model.ssd.num_classes == 2
        assert outcome.json("config.json")["quantization_delay"] == 48000

    def test_its_placeholder_is_refused_with_the_way_to_give_a_checkpoint(self, configure):
        outcome = configure(template=self.config("ssd_mobilenet_v2_quantized_300x300_coco"))
        assert outcome.error["where"] == "pipeline.config: train_config.fine_tune_checkpoint"
        assert "train_config.fine_tune_checkpoint: null" in outcome.error["remedy"]
        assert "warm_start" in outcome.error["remedy"]

    def test_one_for_tensorflow_2_is_refused_as_such(self, configure):
        template = shared() / "data" / "configs" / "object_detection__configs__tf2__ssd_mobilenet_v2_320x320_coco17_tpu-8.config"
        error = configure(template=template).error
        assert (error["what"], template.name in error["where"]) == ("the pipeline.config is one for TensorFlow 2", True)

    def test_one_that_quantizes_hardly_any_step_is_warned_of(self, configure):
        outcome = configure(
            {"train_config.fine_tune_checkpoint": None}, template=self.config("ssd_mobilenet_v1_quantized_300x300_coco14_sync")
        )
        assert "only 2000 of 50000 steps are quantized" in " ".join(outcome.result["warnings"])
