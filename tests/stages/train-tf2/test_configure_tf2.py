"""The stage configure-tf2: a template or a user's config, filled from the records, or refused with the line that mends it."""

import pytest
import tiny_config_tf2
from google.protobuf import text_format
from object_detection.protos import pipeline_pb2

from configure_records import write_records
from stage_helpers import ROOT, artifact, shared

TEMPLATES = ROOT / "data" / "templates"
FEATURES = "model.ssd.feature_extractor"
FPN = FEATURES + ".fpn"
SIZE = "model.ssd.image_resizer.fixed_shape_resizer"
OPTIMIZER = "train_config.optimizer"
HEADS = "model.ssd.box_predictor.convolutional_box_predictor.conv_hyperparams"
AUGMENTATION = "train_config.data_augmentation_options"
BOXES = [(1, 0.6, 0.6), (2, 0.6, 0.6)]
RATE = {"constant_learning_rate": {"learning_rate": 0.004}}


@pytest.fixture
def configure(run_here, tmp_path):
    """configure(overrides, template, from_tf1, folder, **records): the `Outcome`; without a template that of tiny_config_tf2."""

    def call(overrides=None, template=None, from_tf1=False, folder=None, **records):
        folder = folder or write_records(tmp_path / "records", **dict({"boxes": BOXES}, **records))
        if template is None:
            template = tmp_path / "tiny.config"
            template.write_text(tiny_config_tf2.config_text())
        params = {"template": str(template), "overrides": overrides or {}, "from_tf1": from_tf1}
        return run_here("configure-tf2", params, {"records": artifact("records", "records", folder)})

    return call


def parsed(outcome):
    assert outcome.code == 0, outcome.error
    return text_format.Parse((outcome.output / "pipeline.config").read_text(), pipeline_pb2.TrainEvalPipelineConfig())


def changed(outcome):
    return {change["field"]: change for change in outcome.json("config.json")["changes"]}


def official(name):
    return shared() / "data" / "configs" / f"object_detection__configs__tf2__{name}.config"


class TestFilling:
    def test_classes_paths_and_counts_come_from_the_records(self, configure):
        outcome = configure(classes=("ace", "king"), splits=(("train", 20), ("val", 5)), shards=2)
        config = parsed(outcome)
        assert config.model.ssd.num_classes == 2
        assert list(config.train_input_reader.tf_record_input_reader.input_path) == ["train.record-?????-of-00002"]
        assert [list(reader.tf_record_input_reader.input_path) for reader in config.eval_input_reader] == [["val.record-?????-of-00002"]]
        assert {config.train_input_reader.label_map_path, config.eval_input_reader[0].label_map_path} == {"label_map.pbtxt"}
        assert config.eval_config.num_examples == 5
        assert changed(outcome)["model.ssd.num_classes"] == {
            "field": "model.ssd.num_classes",
            "from": 3,
            "to": 2,
            "why": "the label map has 2 classes",
        }

    def test_config_json_says_what_other_stages_ask(self, configure):
        said = configure({"train_config.num_steps": 7}).json("config.json")
        assert {name: said[name] for name in said if name != "changes"} == {
            "schema": 1,
            "input_size": [96, 96],
            "num_classes": 2,
            "classes": ["ace", "king"],
            "num_steps": 7,
            "batch_size": 2,
            "quantization_delay": None,
            "evaluation_split": "val",
            "warnings": [],
        }

    def test_the_same_input_gives_the_same_bytes(self, configure, tmp_path):
        first = configure({"train_config.batch_size": 4, "train_config.num_steps": 9})
        second = configure({"train_config.num_steps": 9, "train_config.batch_size": 4}, folder=tmp_path / "records")
        for name in ("pipeline.config", "config.json"):
            assert (first.output / name).read_bytes() == (second.output / name).read_bytes()

    def test_the_cosine_schedule_follows_num_steps(self, configure):
        config = parsed(configure({"train_config.num_steps": 50}, template=TEMPLATES / "tiny_tf2_ssd_mobilenet_v2_96.config"))
        assert config.train_config.optimizer.momentum_optimizer.learning_rate.cosine_decay_learning_rate.total_steps == 50

    def test_no_object_of_a_crowded_image_is_left_out(self, configure):
        outcome = configure(crowds={"train": 130, "val": 101})
        config = parsed(outcome)
        assert (config.train_input_reader.max_number_of_boxes, config.eval_input_reader[0].max_number_of_boxes) == (130, 101)
        assert changed(outcome)["train_input_reader.max_number_of_boxes"]["why"].startswith("so many objects has one image of `train`")
        assert changed(outcome)["eval_input_reader.0.max_number_of_boxes"]["to"] == 101

    def test_the_averaged_weights_that_nothing_reads_are_switched_off(self, configure):
        assert not parsed(configure({OPTIMIZER + ".use_moving_average": True})).train_config.optimizer.use_moving_average

    def test_boxes_that_no_anchor_matches_are_warned_of(self, configure):
        (warning,) = configure(boxes=[(1, 0.03, 0.03), (2, 0.6, 0.6)]).result["warnings"]
        assert warning.startswith("1 of 1 train boxes of ace are smaller than the anchors can match")


@pytest.mark.slow
class TestTemplates:
    @pytest.mark.parametrize(
        ("name", "size"),
        [
            ("tiny_tf2_ssd_mobilenet_v2_96", 96),
            ("demo_tf2_ssd_mobilenet_v2_160", 160),
            ("tf2_ssd_mobilenet_v2_fpnlite_320", 320),
            ("tf2_ssd_resnet50_v1_fpn_640", 640),
        ],
    )
    def test_a_template_needs_no_override_and_causes_no_warning(self, configure, name, size):
        outcome = configure(template=TEMPLATES / (name + ".config"), splits=(("train", 100), ("val", 5)))
        assert parsed(outcome).model.ssd.num_classes == 2
        assert outcome.json("config.json")["input_size"] == [size, size]
        assert outcome.result["warnings"] == []

    def test_every_template_for_tensorflow_2_is_among_them(self):
        mark = self.test_a_template_needs_no_override_and_causes_no_warning.pytestmark[0]
        assert {name for name, _ in mark.args[1]} == {path.stem for path in TEMPLATES.glob("*tf2*.config")}


class TestOfficialConfigs:
    """Configs as the API's authors published them."""

    def test_one_is_accepted_once_its_checkpoint_is_cleared(self, configure):
        overrides = {"train_config.fine_tune_checkpoint": None, SIZE: {"height": 96, "width": 96}}
        outcome = configure(overrides, template=official("ssd_mobilenet_v2_320x320_coco17_tpu-8"))
        assert parsed(outcome).model.ssd.feature_extractor.type == "ssd_mobilenet_v2_keras"
        assert outcome.json("config.json")["num_steps"] == 50000

    def test_its_placeholder_is_refused_with_the_way_to_give_a_checkpoint(self, configure):
        error = configure(template=official("ssd_mobilenet_v2_320x320_coco17_tpu-8")).error
        assert error["where"] == "pipeline.config: train_config.fine_tune_checkpoint"
        assert error["found"] == "`PATH_TO_BE_CONFIGURED/mobilenet_v2.ckpt-1`"
        assert "train_config.fine_tune_checkpoint: null" in error["remedy"]
        assert "warm_start" in error["remedy"]
        assert "warm_start_type" in error["remedy"]

    def test_an_efficientdet_is_told_how_to_have_a_fixed_size(self, configure):
        error = configure(template=official("ssd_efficientdet_d0_512x512_coco17_tpu-8")).error
        assert (error["where"], error["found"]) == ("pipeline.config: model.ssd.image_resizer", "`keep_aspect_ratio_resizer`")
        assert error["remedy"] == "override `model.ssd.image_resizer.fixed_shape_resizer: {height: 512, width: 512}`"

    @pytest.mark.slow
    def test_an_efficientdet_is_accepted_with_what_it_is_told(self, configure):
        overrides = {
            SIZE: {"height": 512, "width": 512},
            "train_config.fine_tune_checkpoint": None,
            "train_config.use_bfloat16": False,
        }
        assert parsed(configure(overrides, template=official("ssd_efficientdet_d0_512x512_coco17_tpu-8"))).model.ssd.num_classes == 2


REFUSED = [
    ({"graph_rewriter.quantization.delay": 700}, "graph_rewriter", "quantization { delay: 700 }", "convert-tf2"),
    ({FEATURES + ".type": "ssd_mobilenet_v2"}, FEATURES + ".type", "`ssd_mobilenet_v2`", "from_tf1: true"),
    ({FEATURES + ".type": "ssd_mobilenet_v2"}, FEATURES + ".type", "`ssd_mobilenet_v2`", f"{FEATURES}.type: ssd_mobilenet_v2_keras"),
    ({FEATURES + ".type": "ssd_inception_v2"}, FEATURES + ".type", "`ssd_inception_v2`", "type: ssd_resnet50_v1_fpn_keras"),
    ({FEATURES + ".type": "ssd_mobilenet_v3_small"}, FEATURES + ".type", "`ssd_mobilenet_v3_small`", "type: ssd_mobilenet_v2_keras"),
    ({FEATURES + ".type": "ssd_mobilenetv2_keras"}, FEATURES + ".type", "`ssd_mobilenetv2_keras`", "type: ssd_mobilenet_v2_keras"),
    ({"model": {"faster_rcnn": {}}}, "model", "`faster_rcnn`", "template"),
    ({"model": {"center_net": {}}}, "model", "`center_net`", "template"),
    ({"train_config.fine_tune_checkpoint": "/models/ckpt-0"}, "train_config.fine_tune_checkpoint", "`/models/ckpt-0`", "warm_start_type"),
    (
        {"eval_config.visualization_export_dir": "PATH_TO_BE_CONFIGURED/x"},
        "eval_config.visualization_export_dir",
        "`PATH_TO_BE_CONFIGURED/x`",
        "visualization_export_dir: null",
    ),
    ({"train_config.num_steps": None}, "train_config.num_steps", "0 (forever)", "train_config.num_steps: 20000"),
    ({"train_config.batch_size": 0}, "train_config.batch_size", "0", "train_config.batch_size: 8"),
    ({"train_config.optimizer": {}}, "train_config.optimizer", "none", "template"),
    ({"train_config.freeze_variables": ["Mixed"]}, "train_config.freeze_variables", "['Mixed']", "train_config.freeze_variables: null"),
    ({"train_config.bias_grad_multiplier": 2.0}, "train_config.bias_grad_multiplier", "2.0", "train_config.bias_grad_multiplier: null"),
    ({"train_config.use_bfloat16": True}, "train_config.use_bfloat16", "true", "train_config.use_bfloat16: false"),
    (
        {"train_config.load_all_detection_checkpoint_vars": True},
        "train_config.load_all_detection_checkpoint_vars",
        "true",
        "warm_start_type: full",
    ),
    (
        {OPTIMIZER: {"rms_prop_optimizer": {"learning_rate": RATE}, "use_moving_average": False}},
        OPTIMIZER + ".rms_prop_optimizer.decay",
        "0.9",
        "rms_prop_optimizer.decay: 0.0",
    ),
    (
        {OPTIMIZER + ".use_moving_average": True, "eval_config.use_moving_averages": True},
        OPTIMIZER + ".use_moving_average",
        "true",
        "eval_config.use_moving_averages: false",
    ),
    ({HEADS + ".batch_norm.train": False}, HEADS + ".batch_norm.train", "false", "model.ssd.freeze_batchnorm: true"),
    ({HEADS + ".group_norm": {}}, HEADS + ".group_norm", "group_norm", "batch_norm: {"),
    ({"model.ssd.box_predictor": {"mask_rcnn_box_predictor": {}}}, "model.ssd.box_predictor", "`mask_rcnn_box_predictor`", "template"),
    (
        {"model.ssd.image_resizer": {"keep_aspect_ratio_resizer": {}}},
        "model.ssd.image_resizer",
        "`keep_aspect_ratio_resizer`",
        "height: 1024",
    ),
    ({SIZE: {"height": 32, "width": 96}}, SIZE, "32 x 96", "height: 160"),
    ({FEATURES + ".num_layers": 7}, "model.ssd.anchor_generator.ssd_anchor_generator.num_layers", "3", "num_layers: 3"),
    ({"model.ssd.box_coder": {}}, "model", "ValueError: Empty box coder.", "mend that part"),
    ({AUGMENTATION: [{}]}, AUGMENTATION + ".0", "ValueError", "mend that part"),
    ({AUGMENTATION: [{"random_horizontal_flip": {}}, {"resize_image": {}}]}, AUGMENTATION + ".1", "must be positive", "mend that part"),
    ({AUGMENTATION: [{"autoaugment_image": {}}]}, AUGMENTATION + ".0", "NameError", "mend that part"),
    ({FPN: {"min_level": 3}}, "model", "unexpected keyword argument 'fpn_min_level'", "mend that part"),
]


@pytest.mark.parametrize(("overrides", "where", "found", "remedy"), REFUSED, ids=[" ".join(row[0]) for row in REFUSED])
def test_refused(configure, overrides, where, found, remedy):
    outcome = configure(overrides)
    assert outcome.code == 1
    assert outcome.error["where"] == "pipeline.config: " + where
    assert found in outcome.error["found"]
    assert remedy in outcome.error["remedy"]
    assert not list(outcome.output.iterdir())


def test_another_number_of_classes_than_the_label_maps_is_refused(configure):
    error = configure({"model.ssd.num_classes": 90}).error
    assert (error["where"], error["expected"], error["found"]) == ("overrides: model.ssd.num_classes", "2: ace, king", "90")
    assert error["remedy"] == "leave `model.ssd.num_classes` out: it follows the records"


def test_a_number_of_anchors_that_rules_do_not_foresee_is_found_by_running_the_model(configure):
    anchors = {"multiscale_anchor_generator": {"min_level": 4, "max_level": 7, "anchor_scale": 4.0, "aspect_ratios": [1.0]}}
    error = configure({"model.ssd.anchor_generator": anchors}).error
    assert error["where"] == "pipeline.config: model"
    assert "Number of feature maps is expected to equal" in error["found"]


@pytest.mark.parametrize(
    ("overrides", "records", "warning"),
    [
        ({"train_config.batch_size": 21}, {}, "train_config.batch_size (21) is larger than the number of train images (20)"),
        ({}, {"unseen": ("king",)}, "no train image shows: king"),
        ({"model.ssd.freeze_batchnorm": True}, {}, "all batch norm, of backbone and heads, keeps the averages that it starts with"),
        (
            {FEATURES + ".override_base_feature_extractor_hyperparams": False},
            {},
            "the backbone's batch norm then averages with a fixed decay of 0.9997, not 0.9",
        ),
        (
            {"train_config.sync_replicas": True, "train_config.startup_delay_steps": 0.0, "train_config.max_number_of_boxes": 100},
            {},
            "takes no notice of train_config.sync_replicas, train_config.startup_delay_steps:",
        ),
    ],
    ids=lambda value: "",
)
def test_warned_of(configure, overrides, records, warning):
    outcome = configure(overrides, **records)
    assert outcome.code == 0, outcome.error
    assert [text for text in outcome.result["warnings"] if warning in text] == outcome.result["warnings"] != []
    assert outcome.json("config.json")["warnings"] == outcome.result["warnings"]


def test_rmsprop_without_decay_is_accepted(configure):
    rms = {"rms_prop_optimizer": {"learning_rate": RATE, "decay": 0.0, "epsilon": 1.0}, "use_moving_average": False}
    assert configure({OPTIMIZER: rms}).result["warnings"] == []


@pytest.mark.parametrize("name", ["ssd_random_crop", "random_crop_image", "random_square_crop_by_scale", "random_distort_color"])
def test_augmentations_run_as_they_do_in_training(configure, name):
    assert configure({AUGMENTATION: [{name: {}}]}).code == 0
