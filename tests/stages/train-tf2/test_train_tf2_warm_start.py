"""A warm start takes what fits by its place in the model, says what did not, and refuses what is no checkpoint of this architecture."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from _odapi.config_text import parse_config
from _runtime import StageError
from tiny_checkpoint_tf2 import build_model
from tiny_config_tf2 import config_text

from stage_helpers import load

warm = load("train-tf2", "tf2_warm_start")
shared = load("_training", "warm_start")

FOUR_CLASSES = config_text().replace("num_classes: 3", "num_classes: 4")
DEEPER = config_text().replace("depth_multiplier: 0.35", "depth_multiplier: 0.5")


@pytest.fixture(scope="module")
def models():
    """models(TEXT): (config, model) of a pipeline.config; the same model each time, with its first weights."""
    made = {}

    def call(text):
        if text not in made:
            config = parse_config(text, "tiny")
            model = build_model(config, seed=7)
            made[text] = config, model, [variable.numpy() for variable in model.variables]
        config, model, first = made[text]
        for variable, value in zip(model.variables, first):
            variable.assign(value)
        return config, model

    return call


@pytest.fixture
def start(models, tiny_checkpoint_tf2):
    """start(TEXT, kind, folder): (report, model) of a warm start of a model of that config."""

    def call(text, kind, folder=tiny_checkpoint_tf2):
        config, model = models(text)
        return warm.warm_start(model, shared.find_checkpoint(folder, 2), kind, config), model

    return call


def stored(folder, name):
    """The value of the variable whose key in the checkpoint ends so."""
    reader = tf.train.load_checkpoint(shared.find_checkpoint(folder, 2))
    (key,) = [key for key in reader.get_variable_to_shape_map() if key.endswith(name + "/.ATTRIBUTES/VARIABLE_VALUE")]
    return reader.get_tensor(key)


@pytest.mark.parametrize("kind", ["detection", "full"])
def test_the_same_model_is_restored_whole(start, tiny_checkpoint_tf2, kind):
    report, model = start(config_text(), kind)
    assert len(report["restored"]) == len(model.variables)
    assert (report["missing"], report["other_shape"]) == ([], [])
    head = model._box_predictor._prediction_heads["class_predictions_with_background"][1]
    wanted = stored(tiny_checkpoint_tf2, "class_predictions_with_background/1/_class_predictor_layers/0/kernel")
    assert np.array_equal(head._class_predictor_layers[0].kernel, wanted)


def test_with_other_classes_all_but_the_class_heads_is_restored(start):
    report, model = start(FOUR_CLASSES, "detection")
    assert report["missing"] == []
    heads = [(entry["name"], entry["checkpoint"], entry["model"]) for entry in report["other_shape"]]
    assert [name.rsplit("/", 1)[-1] for name, _, _ in heads] == ["bias", "kernel"] * 3
    assert all(name.startswith("BoxPredictor/ConvolutionalClassHead_") for name, _, _ in heads)
    assert all((at[-1], here[-1]) == (12, 15) for _, at, here in heads)
    assert len(report["restored"]) == len(model.variables) - 6


def test_with_other_classes_a_full_one_is_refused(start):
    with pytest.raises(StageError, match="of another model") as raised:
        start(FOUR_CLASSES, "full")
    assert "ConvolutionalClassHead_0" in raised.value.found
    assert "warm_start_type: detection" in raised.value.remedy


def test_a_classification_takes_the_backbone_of_a_detector(start, models):
    _, model = models(FOUR_CLASSES)
    heads = [variable.numpy() for variable in model._box_predictor.variables]
    report, model = start(FOUR_CLASSES, "classification")
    assert len(report["restored"]) == len(model.feature_extractor.classification_backbone.variables)
    assert all(np.array_equal(before, variable) for before, variable in zip(heads, model._box_predictor.variables))


def test_a_classification_takes_the_backbone_of_a_classifier(start, models, tmp_path):
    _, model = models(config_text())
    for variable in model.feature_extractor.classification_backbone.variables:
        variable.assign(tf.ones_like(variable) * 3)
    backbone = model.feature_extractor.classification_backbone
    tf.train.Checkpoint(feature_extractor=backbone).write(str(tmp_path / "ckpt-0"))
    report, model = start(FOUR_CLASSES, "classification", tmp_path)
    backbone = model.feature_extractor.classification_backbone
    assert len(report["restored"]) == len(backbone.variables)
    assert all((variable.numpy() == 3).all() for variable in backbone.variables)


def test_a_classifier_given_for_a_detector_is_refused_with_the_type_to_set(start, models, tmp_path):
    _, model = models(config_text())
    tf.train.Checkpoint(feature_extractor=model.feature_extractor.classification_backbone).write(str(tmp_path / "ckpt-0"))
    with pytest.raises(StageError, match="a classifier's") as raised:
        start(config_text(), "detection", tmp_path)
    assert raised.value.remedy == "set `warm_start_type: classification`"


@pytest.mark.parametrize("kind", ["detection", "classification"])
def test_another_architecture_is_refused_with_what_both_are(start, models, kind):
    _, model = models(DEEPER)
    before = [variable.numpy() for variable in model.variables]
    with pytest.raises(StageError, match="of another architecture") as raised:
        start(DEEPER, kind)
    assert raised.value.expected == "`ssd_mobilenet_v2_keras`, depth multiplier 0.5"
    assert raised.value.found.startswith("`ssd_mobilenet_v2_keras`, depth multiplier 0.35")
    assert all(np.array_equal(value, variable) for value, variable in zip(before, model.variables))


def test_without_a_config_beside_it_the_variables_alone_say_that_it_is_another(start, tiny_checkpoint_tf2, tmp_path):
    for path in tiny_checkpoint_tf2.glob("model.ckpt-*"):
        shutil.copy(str(path), str(tmp_path))
    with pytest.raises(StageError, match="of another architecture") as raised:
        start(DEEPER, "detection", tmp_path)
    assert raised.value.found.startswith("unknown (no pipeline.config beside it)")


def test_a_checkpoint_of_tensorflow_1_is_refused_with_the_stage_for_it(start, tmp_path):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        made = tf.compat.v1.get_variable("FeatureExtractor/MobilenetV2/Conv/weights", initializer=tf.constant([1.0]))
        session.run(made.initializer)
        tf.compat.v1.train.Saver([made]).save(session, str(tmp_path / "model.ckpt"), write_meta_graph=False)
    with pytest.raises(StageError, match="one of TensorFlow 1") as raised:
        start(config_text(), "detection", tmp_path)
    assert "FeatureExtractor/MobilenetV2/Conv/weights" in raised.value.found
    assert "the stage `train`" in raised.value.remedy


def test_the_empty_first_checkpoint_of_the_apis_own_loop_is_refused(start, tmp_path):
    tf.train.Checkpoint(step=tf.Variable(0, dtype=tf.int64)).write(str(tmp_path / "ckpt-1"))
    with pytest.raises(StageError, match="holds no model") as raised:
        start(config_text(), "detection", tmp_path)
    assert "ckpt-1" in raised.value.remedy


@pytest.mark.parametrize("content", [b"", b"no table at all" * 20])
def test_a_damaged_checkpoint_is_refused(start, tiny_checkpoint_tf2, tmp_path, content):
    for path in tiny_checkpoint_tf2.glob("model.ckpt-*"):
        shutil.copy(str(path), str(tmp_path))
    (tmp_path / "model.ckpt-2.index").write_bytes(content)
    with pytest.raises(StageError, match="cannot be read"):
        start(config_text(), "detection", tmp_path)


def test_a_checkpoint_whose_data_is_cut_is_refused(start, tiny_checkpoint_tf2, tmp_path):
    for path in tiny_checkpoint_tf2.glob("model.ckpt-*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    data = tmp_path / "model.ckpt-2.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    with pytest.raises(StageError, match="cannot be read"):
        start(config_text(), "detection", tmp_path)


def test_what_is_reported_is_json(start):
    report, _ = start(FOUR_CLASSES, "detection")
    assert json.loads(json.dumps(report)) == report
