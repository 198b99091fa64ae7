"""Freezing a TensorFlow 2 checkpoint: what is exported, that it is the same each time, and what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from _odapi.config_text import parse_config
from _runtime import StageError
from freeze_fixtures_tf2 import ENVIRONMENT, FREEZE, decode, frozen_tiny, write_by_hand
from object_detection.builders import model_builder
from tensorflow.core.protobuf import saved_model_pb2
from tiny_checkpoint_tf2 import build_model
from tiny_config_tf2 import CLASSES, SIZE, config_text

import detector_images
from stage_helpers import artifact, load

keras_checkpoint = load("freeze-tf2", "keras_checkpoint")
detector_export = load("freeze-tf2", "detector_export")

CONFIG = parse_config(config_text(), "tiny")
NAME = "model.ckpt-2"


@pytest.fixture(scope="module")
def frozen(tmp_path_factory, tiny_checkpoint_tf2):
    return frozen_tiny(tmp_path_factory, tiny_checkpoint_tf2)


@pytest.fixture(scope="module")
def restored(tiny_checkpoint_tf2):
    return restore(tiny_checkpoint_tf2)


@pytest.fixture
def copied(tiny_checkpoint_tf2, tmp_path):
    """A copy of the checkpoint artifact, to be spoilt."""
    return shutil.copytree(tiny_checkpoint_tf2, tmp_path / "copied")


def restore(folder, config=CONFIG):
    return keras_checkpoint.restore_model(config, str(folder / NAME), 2, [SIZE, SIZE])


def refused(folder, config=CONFIG):
    """The StageError of a checkpoint that must not be restored."""
    with pytest.raises(StageError) as caught:
        restore(folder, config)
    assert caught.value.remedy
    return caught.value


def pixels(width=SIZE, height=SIZE):
    return detector_images.picture(1, width, height)[None]


def operator_of(folder):
    """{attribute: value} of what the converter makes the operator of, in the artifact's saved_model.pb; None where there is none."""
    model = saved_model_pb2.SavedModel.FromString((folder / "saved_model/saved_model.pb").read_bytes())
    told = [each.attr["_implements"].func for each in model.meta_graphs[0].graph_def.library.function if "_implements" in each.attr]
    named = [each for each in told if each.name == "TFLite_Detection_PostProcess"]
    return {name: getattr(value, value.WhichOneof("value")) for name, value in named[0].attr.items()} if named else None


def test_graph_json_says_what_later_stages_need(frozen):
    described = json.loads((frozen / "graph.json").read_text())
    assert described["input"] == {
        "name": "normalized_input_image_tensor",
        "shape": [1, SIZE, SIZE, 3],
        "mean": 127.5,
        "std": 127.5,
        "trained_mean": 127.5,
        "trained_std": 127.5,
    }
    assert described["outputs"] == ["output_3", "output_2", "output_1", "output_0"]
    assert described["raw_outputs"] == {"boxes": "raw_outputs/box_encodings", "scores": "raw_outputs/class_predictions"}
    assert (described["postprocess"], described["quantized"], described["step"]) == (True, False, 2)
    assert (described["input_size"], described["classes"], described["score_converter"]) == ([SIZE, SIZE], CLASSES, "SIGMOID")
    assert described["decode"]["max_detections"] == 20
    assert described["decode"]["nms_iou_threshold"] == pytest.approx(0.6)


def test_anchors_are_boxes_in_the_image_by_centre_and_size(frozen, restored):
    anchors = np.load(frozen / "anchors.npy")
    corners = np.concatenate([anchors[:, :2] - anchors[:, 2:] / 2, anchors[:, :2] + anchors[:, 2:] / 2], axis=1)
    assert anchors.dtype == np.float32
    assert len(anchors) == json.loads((frozen / "graph.json").read_text())["anchors"]
    assert corners == pytest.approx(restored.anchors, abs=1e-6)


def test_the_signature_puts_out_what_the_model_predicts(frozen, restored):
    images, shapes = restored.model.preprocess(tf.constant(pixels(), tf.float32))
    predicted = restored.model.predict(images, shapes)
    found = tf.saved_model.load(str(frozen / "saved_model")).signatures["raw_outputs"](images)
    assert found["raw_outputs/box_encodings"].numpy() == pytest.approx(predicted["box_encodings"].numpy(), abs=1e-4)
    scores = tf.sigmoid(predicted["class_predictions_with_background"]).numpy()
    assert found["raw_outputs/class_predictions"].numpy() == pytest.approx(scores, abs=1e-5)
    assert np.ptp(scores) > 0.05


def test_the_apis_own_model_takes_pictures_of_any_size_and_detects_as_the_model_does(frozen, restored):
    source = tf.constant(pixels(70, 50))
    images, shapes = restored.model.preprocess(tf.cast(source, tf.float32))
    expected = restored.model.postprocess(restored.model.predict(images, shapes), shapes)
    model = tf.saved_model.load(str(frozen / "inference_model"))
    for found in (model.signatures["serving_default"](source), model(source)):
        assert found["detection_scores"].numpy() == pytest.approx(expected["detection_scores"].numpy(), abs=1e-5)
        assert found["detection_classes"].numpy() == pytest.approx(expected["detection_classes"].numpy() + 1)


@pytest.mark.slow
def test_two_processes_write_the_same_bytes_whatever_their_hashes(run_stage, tiny_checkpoint_tf2, frozen):
    # `frozen` was made with PYTHONHASHSEED=1: sets of names have another order here.
    inputs = {"checkpoint": artifact("train-tf2", "checkpoint-tf2", tiny_checkpoint_tf2)}
    done = run_stage("freeze-tf2", FREEZE, inputs, env=dict(ENVIRONMENT, PYTHONHASHSEED="2"))
    assert done.code == 0, done.log
    files = [{path.relative_to(each): path.read_bytes() for path in each.rglob("*.*")} for each in (frozen, done.output)]
    assert files[0] == files[1]
    assert {Path("saved_model/saved_model.pb"), Path("inference_model/variables/variables.data-00000-of-00001")} < set(files[0])


def test_tensorflow_alone_does_not_write_the_same_bytes(tmp_path):
    # If it did, make_canonical would be of no use.
    module = tf.Module()
    module.weight = tf.Variable(1.0)
    for name in ("one", "other"):
        tf.saved_model.save(module, str(tmp_path / name))
    assert (tmp_path / "one/fingerprint.pb").read_bytes() != (tmp_path / "other/fingerprint.pb").read_bytes()


def test_attributes_reach_the_operator_without_being_rounded(tmp_path):
    write_by_hand(tmp_path, nms_score_threshold=1e-8, detections_per_class=7, use_regular_nms=True)
    # The API's own exporter writes 1e-8 as 0.000000.
    assert operator_of(tmp_path) == pytest.approx(decode(nms_score_threshold=1e-8, detections_per_class=7, use_regular_nms=True), rel=1e-6)


def test_without_the_operator_both_signatures_are_the_raw_one(tmp_path):
    write_by_hand(tmp_path, postprocess=False)
    model = tf.saved_model.load(str(tmp_path / "saved_model"))
    image = tf.zeros([1, 32, 32, 3])
    found = [model.signatures[name](image) for name in ("serving_default", "raw_outputs")]
    assert set(found[0]) == set(found[1]) == {"raw_outputs/box_encodings", "raw_outputs/class_predictions"}
    assert operator_of(tmp_path) is None
    assert json.loads((tmp_path / "graph.json").read_text())["outputs"] == ["raw_outputs/box_encodings", "raw_outputs/class_predictions"]


def test_every_variable_is_counted(restored):
    assert restored.variables == len(restored.model.variables) > 200


def test_an_empty_checkpoint_is_refused(tmp_path):
    # As the API's own training writes it before its first step.
    tf.train.Checkpoint(model=tf.train.Checkpoint()).write(str(tmp_path / NAME))
    assert (tmp_path / (NAME + ".index")).stat().st_size < 1000
    error = refused(tmp_path)
    assert error.what == "the checkpoint holds none of the model's variables"
    assert error.found == "0 of them"


def test_a_checkpoint_of_tensorflow_1_is_refused(tmp_path):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.get_variable("FeatureExtractor/MobilenetV2/Conv/weights", [3, 3, 3, 8])
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver().save(session, str(tmp_path / NAME), write_meta_graph=False, write_state=False)
    error = refused(tmp_path)
    assert error.what == "the checkpoint is one of TensorFlow 1"
    assert "FeatureExtractor/MobilenetV2/Conv/weights" in error.found


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("depth_multiplier: 0.35", "depth_multiplier: 0.5", "the checkpoint is of another model"),
        ("num_layers: 3", "num_layers: 4", "the checkpoint lacks variables of the model"),
    ],
)
def test_a_checkpoint_of_another_architecture_is_refused(tiny_checkpoint_tf2, old, new, says):
    text = config_text()
    assert old in text
    error = refused(tiny_checkpoint_tf2, parse_config(text.replace(old, new), "other"))
    assert error.what == says
    assert "pipeline.config" in error.remedy


def test_missing_variables_are_counted_and_named(tmp_path):
    model = build_model(CONFIG)
    tf.train.Checkpoint(model=tf.train.Checkpoint(_feature_extractor=model._feature_extractor)).write(str(tmp_path / NAME))
    error = refused(tmp_path)
    assert error.what == "the checkpoint lacks variables of the model"
    assert "BoxPredictor" in error.where
    assert error.expected == f"{len(model.variables)} variables"
    assert error.found.startswith("12 are missing: ")


def test_weights_that_are_not_finite_are_refused(tmp_path):
    model = build_model(CONFIG)
    variable = model.trainable_variables[3]
    variable.assign(tf.fill(variable.shape, float("nan")))
    tf.train.Checkpoint(model=model).write(str(tmp_path / NAME))
    error = refused(tmp_path)
    assert "not finite" in error.what
    assert error.where == variable.name.partition(":")[0]


def damage(folder, how):
    about = json.loads((folder / "checkpoint.json").read_text())
    if how == "index":
        index = next(folder.glob("*.index"))
        index.write_bytes(index.read_bytes()[:40])
    elif how == "data":
        data = next(folder.glob("*.data-*"))
        data.write_bytes(data.read_bytes()[:5000])
    elif how == "config":
        (folder / "pipeline.config").write_text("model { sssd { } }")
    else:
        (folder / "checkpoint.json").write_text(json.dumps(dict(about, **how)))


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"classes": None}, "does not say what its classes are called"),
        ({"classes": ["a", "b"]}, "classes do not fit its config"),
        ({"step": 3}, "is of another step than it says"),
        ({"prefix": "model.ckpt-9"}, "the checkpoint cannot be read"),
        ("index", "the checkpoint cannot be read"),
        ("data", "the checkpoint cannot be read"),
        ("config", "has no field"),
    ],
)
def test_a_checkpoint_that_does_not_hold_together_is_refused(run_here, copied, how, says):
    damage(copied, how)
    done = run_here("freeze-tf2", FREEZE, {"checkpoint": artifact("train-tf2", "checkpoint-tf2", copied)})
    assert done.code == 1
    assert says in done.error["what"]
    assert done.error["remedy"]
    assert not list(done.output.iterdir())


def test_more_classes_for_a_box_than_the_model_has_are_refused_by_the_stages_parameter(run_here, tiny_checkpoint_tf2):
    inputs = {"checkpoint": artifact("train-tf2", "checkpoint-tf2", tiny_checkpoint_tf2)}
    done = run_here("freeze-tf2", dict(FREEZE, max_classes_per_detection=4), inputs)
    assert (done.error["where"], done.error["found"]) == ("freeze-tf2.max_classes_per_detection", "4")


def test_the_mean_of_each_channel_is_found_by_probing():
    text = config_text().replace('"ssd_mobilenet_v2_keras"', '"ssd_resnet50_v1_fpn_keras"').replace("num_layers: 3 override", "override")
    model = model_builder.build(parse_config(text, "resnet").model, is_training=False)
    mean, std = detector_export.normalization(model, [64, 64], "ssd_resnet50_v1_fpn_keras")
    assert (mean, std) == ([123.68, 116.779, 103.939], 1.0)


@pytest.mark.parametrize("level", [lambda pixel: pixel * pixel, lambda pixel: -pixel, lambda pixel: 0 * pixel])
def test_a_normalization_that_no_mean_and_std_express_is_refused(level):
    class Model:
        def preprocess(self, images):
            return level(images), None

    with pytest.raises(StageError, match="normalizes its input"):
        detector_export.normalization(Model(), [8, 8], "odd")
