"""configure-garden: what an experiment of the Model Garden is filled with, and what is refused before a minute of training."""

import copy
import re

import pytest
import tiny_garden
import yaml
from _runtime import StageError, Task

from stage_helpers import STAGES, load, write_task


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return tiny_garden.write_records(tmp_path_factory.mktemp("records") / "records")


@pytest.fixture
def linted(records, tmp_path):
    """linted(overrides, fields): the task after all that comes before the model is built; fields: of the template, else the tiny one's."""

    def call(overrides=None, fields=None):
        params = {"template": tiny_garden.write_template(tmp_path / "template.yaml", fields), "overrides": overrides or {}}
        task = Task(write_task(tmp_path / "run", "configure-garden", dict(params, quantizable=False), {"records": records}))
        load("configure-garden", "run").fill_and_lint(task)
        return task

    return call


@pytest.fixture
def refused(linted):
    """refused(overrides, fields): the StageError that such a run ends in."""

    def call(overrides=None, fields=None):
        with pytest.raises(StageError) as error:
            linted(overrides, fields)
        return error.value

    return call


def template_with(path, value):
    """The tiny template with another value at a dotted path."""
    fields = copy.deepcopy(tiny_garden.template())
    holder = fields
    *way, name = path.split(".")
    for each in way:
        holder = holder.setdefault(each, {})
    holder[name] = value
    return fields


@pytest.fixture(scope="module")
def configured(tmp_path_factory, records):
    """(experiment.yaml's fields, config.json) of the tiny template."""
    folder = tmp_path_factory.mktemp("configured")
    params = {"template": tiny_garden.write_template(folder / "tiny.yaml"), "overrides": {"trainer.train_steps": 6}, "quantizable": False}
    task = Task(write_task(folder / "run", "configure-garden", params, {"records": records}))
    load("configure-garden", "run").main(task)
    output = folder / "run" / "output"
    return yaml.safe_load((output / "experiment.yaml").read_text()), yaml.safe_load((output / "config.json").read_text())


class TestFilled:
    def test_the_background_is_counted(self, configured):
        experiment, said = configured
        assert experiment["task"]["model"]["num_classes"] == len(tiny_garden.CLASSES) + 1
        assert said["num_classes"] == len(tiny_garden.CLASSES)

    def test_shards_are_named_as_they_are_in_the_records(self, configured):
        experiment, _ = configured
        assert experiment["task"]["train_data"]["input_path"] == ["train.record-?????-of-00002"]
        assert experiment["task"]["validation_data"]["input_path"] == ["val.record-00000-of-00001"]

    def test_training_stretches_as_inference_does(self, configured):
        experiment, _ = configured
        assert not experiment["task"]["train_data"]["parser"]["keep_aspect_ratio"]
        assert not experiment["task"]["validation_data"]["parser"]["keep_aspect_ratio"]

    def test_evaluation_leaves_no_object_out(self, configured):
        experiment, _ = configured
        assert experiment["task"]["validation_data"]["parser"]["max_num_instances"] == 2
        assert experiment["task"]["validation_data"]["drop_remainder"] is False

    def test_the_schedule_ends_with_the_training(self, configured):
        experiment, said = configured
        assert experiment["trainer"]["optimizer_config"]["learning_rate"]["cosine"]["decay_steps"] == 6
        changes = {change["field"]: change for change in said["changes"]}
        assert changes["trainer.train_steps"] == {"field": "trainer.train_steps", "from": 4, "to": 6, "why": "override of the pipeline"}
        assert changes["trainer.optimizer_config.learning_rate.cosine.decay_steps"]["to"] == 6

    def test_the_summary_is_that_of_every_configure_stage(self, configured):
        _, said = configured
        assert {name: said[name] for name in ("input_size", "num_steps", "batch_size", "quantization_delay", "evaluation_split")} == {
            "input_size": [64, 64],
            "num_steps": 6,
            "batch_size": 2,
            "quantization_delay": None,
            "evaluation_split": "val",
        }
        assert said["classes"] == tiny_garden.CLASSES

    def test_the_experiment_is_in_float_until_a_training_quantizes_it(self, configured):
        assert configured[0]["task"]["quantization"] is None

    @pytest.mark.slow
    def test_equal_requests_give_equal_bytes_and_the_model_can_be_quantized(self, run_here, records, configured, tmp_path):
        params = {"template": tiny_garden.write_template(tmp_path / "tiny.yaml"), "overrides": {"trainer": {"train_steps": 6}}}
        done = run_here("configure-garden", dict(params, quantizable=True), {"records": records})
        assert done.error is None
        assert yaml.safe_load((done.output / "experiment.yaml").read_text()) == configured[0]
        assert done.json("config.json") == configured[1]


REFUSED = [
    # overrides, where, in the remedy
    ({"trainer.train_stepz": 8}, "trainer.train_stepz", "trainer.train_steps"),
    ({"train_steps": 8}, "train_steps", "trainer.train_steps"),
    ({"trainer": {"train_stepz": 8}}, "trainer.train_stepz", "train_steps"),
    ({"task.model.input_size.0": 8}, "task.model.input_size.0", "end the path at `task.model.input_size`"),
    ({"trainer.train_steps": "8"}, "trainer.train_steps", "an integer"),
    ({"trainer.train_steps": 8.5}, "trainer.train_steps", "an integer"),
    ({"task.losses.focal_loss_alpha": "1e-4"}, "task.losses.focal_loss_alpha", "write 1.0e-4"),
    ({"task.freeze_backbone": 1}, "task.freeze_backbone", "true or false"),
    ({"task.model.anchor.aspect_ratios": [1.0, "2"]}, "task.model.anchor.aspect_ratios.1", "a number"),
    ({"task.model.backbone.type": "mobilenetv2"}, "task.model.backbone.type", "write `mobilenet`"),
    ({"task.model.num_classes": 3}, "task.model.num_classes", "remove it"),
    ({"task.model.num_classes": 91}, "task.model.num_classes", "remove it"),
    ({"task.train_data.parser.keep_aspect_ratio": True}, "parser.keep_aspect_ratio", "remove it"),
    ({"trainer.checkpoint_interval": 10}, "trainer.checkpoint_interval", "checkpoint_every"),
    ({"trainer": {"checkpoint_interval": 10}}, "trainer.checkpoint_interval", "checkpoint_every"),
    ({"runtime.num_gpus": 2}, "runtime.num_gpus", "one device"),
    ({"trainer.loss_upper_bound": 1.0e3}, "trainer.loss_upper_bound", "ends the training"),
    ({"task.train_data.drop_remainder": False}, "task.train_data.drop_remainder", "a whole one"),
    ({"task.validation_data.shuffle_buffer_size": 9}, "task.validation_data.shuffle_buffer_size", "in order"),
    ({"task.train_data.decoder.simple_decoder.regenerate_source_id": True}, "regenerate_source_id", "from their shards"),
    ({"task.quantization.pretrained_original_checkpoint": "/ckpt"}, "task.quantization", "`quantize: true`"),
    ({"task.quantization": {"quantize_detection_head": True}}, "task.quantization", "input `pretrained`"),
    ({"task.init_checkpoint": "gs://somewhere"}, "task.init_checkpoint", "input `pretrained`"),
    ({"task.model.input_size": [72, 64, 3]}, "task.model.input_size", "[64, 64, 3]`, or `task.model.max_level: 3`"),
    ({"task.model.max_level": 7}, "task.model.input_size", "[128, 128, 3]`, or `task.model.max_level: 6`"),
    ({"task.model.min_level": 5}, "task.model.min_level", "3"),
    ({"task.model.backbone.type": "spinenet_mobile"}, "task.model.backbone.type", "mobilenet"),
    ({"task.model.decoder.type": "nasfpn"}, "task.model.decoder.type", "fpn"),
    ({"task.model.decoder.fpn.use_keras_layer": False}, "use_keras_layer", "true"),
    ({"trainer.train_steps": 0}, "trainer.train_steps", "trainer.train_steps"),
    ({"task.train_data.global_batch_size": 0}, "task.train_data.global_batch_size", "8"),
    ({"trainer.optimizer_config.warmup.linear.warmup_steps": 4}, "warmup_steps", "warmup_steps: 1"),
    ({"trainer.optimizer_config.warmup.linear.warmup_learning_rate": 0.5}, "warmup_learning_rate", "0.001"),
    (
        {"trainer.optimizer_config.learning_rate": {"type": "stepwise", "stepwise": {"boundaries": [2], "values": [0.1]}}},
        "values",
        "before",
    ),
    ({"trainer.optimizer_config.ema": {"average_decay": 0.9}}, "trainer.optimizer_config.ema", "null"),
    ({"task.model.detection_generator.nms_version": "tflite"}, "nms_version", "v2"),
    ({"task.model.detection_generator.apply_nms": False}, "apply_nms", "apply_nms: true`"),
    ({"task.use_wod_metrics": True}, "task.use_wod_metrics", "use_wod_metrics: false`"),
]


@pytest.mark.parametrize(("overrides", "where", "remedy"), REFUSED, ids=[str(case[0])[:60] for case in REFUSED])
def test_refused(refused, overrides, where, remedy):
    error = refused(overrides)
    assert where in error.where
    assert remedy in error.remedy


# Of a training's fields, those that train-garden or the Garden's own task and optimizer read; parsers' are in make_decode.
READ = {
    "trainer": {"train_steps", "optimizer_config"},
    "task.train_data": {"input_path", "is_training", "dtype", "global_batch_size", "shuffle_buffer_size", "decoder.type"},
    "task.validation_data": {"input_path", "is_training", "dtype", "global_batch_size", "decoder.type"},
}
FILLED = {"task.validation_data": {"drop_remainder"}}


@pytest.mark.parametrize("holder", sorted(READ))
def test_each_field_is_read_or_filled_or_an_override_of_it_refused(holder):
    from _garden.experiment import new_experiment

    fields = load("configure-garden", "garden_fields")
    unread = {path[len(holder) + 1 :] for path in load("configure-garden", "garden_lint").UNREAD if path.startswith(holder + ".")}
    parser = set(re.findall(r"\boptions\.(\w+)", (STAGES / "train-garden" / "garden_input.py").read_text()))
    read = READ[holder] | FILLED.get(holder, set()) | ({"parser." + name for name in parser} if "data" in holder else set())
    assert not unread & read
    below = [path[len(holder) + 1 :] for path in fields.field_paths(new_experiment()) if path.startswith(holder + ".")]
    leaves = {path for path in below if not any(other.startswith(path + ".") for other in below)}
    known = unread | read
    assert [path for path in sorted(leaves) if not any((path + ".").startswith(each + ".") for each in known)] == []
    assert known <= set(below)


def test_the_number_that_a_remedy_names_is_one_to_yaml(refused):
    overrides = {"trainer.optimizer_config.learning_rate.cosine.initial_learning_rate": 0.0001}
    (override,) = re.findall("`(.*)`", refused(overrides).remedy)
    assert yaml.safe_load(override) == {"trainer.optimizer_config.warmup.linear.warmup_learning_rate": 1e-05}


def test_the_number_of_classes_without_the_background_is_explained(refused):
    assert "the Garden counts the background" in str(refused({"task.model.num_classes": 3}))


def test_a_field_that_the_template_misspells_is_refused_with_the_nearest(refused):
    error = refused(fields=template_with("trainer.train_step", 3))
    assert error.where.startswith("template.yaml: trainer")
    assert "train_steps" in error.remedy


def test_a_template_that_is_not_yaml_is_refused_with_its_line(run_here, records, tmp_path):
    (tmp_path / "bad.yaml").write_text("task: [\n")
    done = run_here("configure-garden", dict(tiny_garden.CONFIGURE, template=str(tmp_path / "bad.yaml")), {"records": records})
    assert done.error["where"].endswith("bad.yaml:2")


def test_what_nothing_reads_of_a_template_is_told_in_one_warning(linted):
    fields = template_with("trainer.checkpoint_interval", 7)
    fields["runtime"] = {"num_gpus": 2}
    (warning,) = [text for text in linted(fields=fields).warnings if "nothing reads" in text]
    assert "runtime.num_gpus, trainer.checkpoint_interval" in warning


def test_a_schedule_that_ends_before_the_training_is_told(linted):
    (warning,) = linted({"trainer.optimizer_config.learning_rate.cosine.decay_steps": 2}).warnings
    assert "decay_steps: 4" in warning


@pytest.mark.parametrize(("size", "told"), [(0.5, 3), (1.6, 0), (20, 3)])
def test_boxes_that_no_anchor_matches_are_told_class_by_class(linted, size, told):
    warnings = linted({"task.model.anchor.anchor_size": size}).warnings
    assert len(warnings) == told
    assert all("override `task.model.anchor.anchor_size: " in text for text in warnings)


def test_a_model_that_the_garden_cannot_build_is_refused(run_here, records, tmp_path):
    fields = template_with("task.model.backbone.mobilenet.model_id", "MobileNetV9")
    params = dict(tiny_garden.CONFIGURE, template=tiny_garden.write_template(tmp_path / "tiny.yaml", fields))
    error = run_here("configure-garden", params, {"records": records}).error
    assert error["where"] == "experiment.yaml: task.model"
    assert "MobileNetV9" in error["found"]
