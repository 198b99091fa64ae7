"""Inference with a checkpoint: what the frozen graph finds, and what the same training's float models find."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tiny_detector
import tiny_training
from _detection.postprocess import Attributes, postprocess
from _detection.resize import load_rgb, model_input
from _odapi.config_text import parse_config
from inference_runs import POSTPROCESS, SHARED, assert_same, files_of, found_in, inodes, kill_in_the_middle, resume
from object_detection.builders import model_builder

import detector_images
from conftest import FREEZE
from stage_helpers import artifact

PARAMS = dict(SHARED, which="chosen", **POSTPROCESS)
FLOAT_STEP = 1
WEIGHTS = "model.ckpt-2.data-00000-of-00001"
RESIZER = "fixed_shape_resizer { height: 96 width: 96 }"


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return detector_images.write_records(tmp_path_factory.mktemp("records"), tiny_detector.CLASSES, count=8, shards=2)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, tiny_checkpoint):
    """The folder of a checkpoint artifact with the checkpoint of an earlier step, before quantization."""
    folder = tmp_path_factory.mktemp("checkpoint") / "whole"
    shutil.copytree(str(tiny_checkpoint), str(folder))
    before = folder / "before_quantization"
    before.mkdir()
    tiny_detector.write_checkpoint(before, tiny_detector.config_text(), steps=FLOAT_STEP)
    tell(folder, before_quantization={"step": FLOAT_STEP, "prefix": f"before_quantization/model.ckpt-{FLOAT_STEP}"})
    return folder


@pytest.fixture
def spoilt(checkpoint, tmp_path):
    folder = tmp_path / "spoilt"
    shutil.copytree(str(checkpoint), str(folder))
    return folder


@pytest.fixture
def infer(run_here, checkpoint, records):
    """infer(from_=…, data=…, PARAMETER=…)."""

    def call(from_=checkpoint, data=records, **params):
        return run_here("infer-checkpoint", dict(PARAMS, **params), inputs(from_, data))

    return call


def inputs(checkpoint, data):
    return {"checkpoint": artifact("train", "checkpoint", checkpoint), "records": data}


def tell(folder, **values):
    """Change checkpoint.json."""
    about = dict(json.loads((folder / "checkpoint.json").read_text()), **values)
    (folder / "checkpoint.json").write_text(json.dumps(about))


def pixels_of(data, number):
    (path,) = Path(data["path"]).glob(f"dataset/images/{number}.*")
    return model_input(load_rgb(path), 96, 96)


def float_detections(prefix, pixels, graph_folder):
    """What a float model with a checkpoint's weights finds, built here; anchors and attributes are those of the frozen graph."""
    config = parse_config(tiny_detector.config_text(quantized=False), "pipeline.config")
    with tf.Graph().as_default(), tf.Session() as session:
        model = model_builder.build(config.model, is_training=False)
        predicted = model.predict(tf.constant((pixels.astype(np.float32) - 128) / 128), None)
        tf.train.Saver().restore(session, prefix)
        boxes, logits = session.run([predicted["box_encodings"], predicted["class_predictions_with_background"]])
    described = json.loads((graph_folder / "graph.json").read_text())
    anchors = np.load(str(graph_folder / "anchors.npy"))
    return postprocess(boxes[0], 1 / (1 + np.exp(-logits[0])), anchors, Attributes(**described["decode"]))


@pytest.mark.slow
def test_the_chosen_checkpoint_finds_what_the_frozen_graph_finds_bit_for_bit(run_stage, checkpoint, tiny_graph, records):
    chosen = run_stage("infer-checkpoint", dict(PARAMS, layers=3), inputs(checkpoint, records))
    frozen = run_stage(
        "infer-frozen",
        dict(SHARED, form="tflite-graph", layers=3),
        {"graph": artifact("freeze", "frozen-graph", tiny_graph), "records": records},
    )
    assert files_of(chosen, "layers.npz") == files_of(frozen, "layers.npz")
    assert sum(len(image.detections.scores) for image in found_in(chosen)) > 0


def test_the_index_tells_which_checkpoint_it_was(infer, checkpoint):
    model = infer().json("inference.json")["model"]
    assert model == {
        "kind": "checkpoint",
        "which": "chosen",
        "step": 2,
        "nms": "class-agnostic",
        "runtime": "TensorFlow",
        "version": "1.13.1",
        "sha256": hashlib.sha256((checkpoint / WEIGHTS).read_bytes()).hexdigest(),
        "input_size": [96, 96],
    }


@pytest.mark.parametrize(
    ("which", "step", "prefix"),
    [
        ("before-quantization", FLOAT_STEP, f"before_quantization/model.ckpt-{FLOAT_STEP}"),
        ("chosen-as-float", 2, "model.ckpt-2"),
    ],
)
def test_a_float_model_has_no_fake_quantization(infer, checkpoint, records, tiny_graph, which, step, prefix):
    done = infer(which=which, layers=1)
    model, found = done.json("inference.json")["model"], found_in(done)
    assert (model["kind"], model["which"], model["step"]) == ("float-checkpoint", which, step)
    for number in (1, 8):
        expected = float_detections(str(checkpoint / prefix), pixels_of(records, number), tiny_graph)
        assert len(expected.scores) > 0
        assert_same(found[number - 1].detections, expected, places=4)
    layers = np.load(str(done.output / "layers.npz"))
    assert len(np.unique(layers["FeatureExtractor/MobilenetV2/Conv"])) > 256  # of eight bits there would be fewer


@pytest.mark.slow
def test_a_float_model_has_the_layers_of_the_quantized_one(infer):
    layers = [set(np.load(str(infer(which=which, layers=1).output / "layers.npz")).files) for which in ("chosen", "chosen-as-float")]
    assert layers[0] == layers[1]
    assert {"FeatureExtractor/MobilenetV2/expanded_conv_2", "BoxPredictor_0/ClassPredictor"} < layers[0]


@pytest.mark.slow
def test_a_model_that_was_trained_without_quantization_runs_as_it_is(infer, tmp_path, tiny_graph, records):
    tiny_detector.write_checkpoint(tmp_path, tiny_detector.config_text(quantized=False), steps=1)
    done = infer(from_=tmp_path)
    assert done.json("inference.json")["model"]["kind"] == "checkpoint"
    expected = float_detections(str(tmp_path / "model.ckpt-1"), pixels_of(records, 1), tiny_graph)
    assert_same(found_in(done)[0].detections, expected, places=4)


@pytest.mark.slow
def test_what_training_leaves_can_be_run(run_here, tmp_path, infer, records):
    data, config = (
        tiny_training.write_records(tmp_path / "data"),
        tiny_training.write_config(tmp_path / "config", tiny_training.config_text()),
    )
    trained = run_here("train", tiny_training.PARAMS, tiny_training.inputs(data, config))
    steps = {
        which: infer(from_=trained.output, which=which).json("inference.json")["model"]["step"]
        for which in ("chosen", "before-quantization")
    }
    assert steps == {"chosen": 4, "before-quantization": 2}


@pytest.mark.slow
def test_moving_averages_are_used_where_the_config_says_so_as_freezing_does(run_here, infer, spoilt, records):
    text = (spoilt / "pipeline.config").read_text().replace("eval_config { }", "eval_config { use_moving_averages: true }")
    (spoilt / "pipeline.config").write_text(text)
    add_moving_averages(spoilt, "model.ckpt-2", 0.9)
    frozen = run_here("freeze", FREEZE, {"checkpoint": artifact("train", "checkpoint", spoilt)})
    assert frozen.error is None, frozen.error
    expected = run_here(
        "infer-frozen",
        dict(SHARED, form="tflite-graph"),
        {"graph": artifact("freeze", "frozen-graph", frozen.output), "records": records},
    )
    for one, other in zip(found_in(infer(from_=spoilt)), found_in(expected)):
        assert_same(one.detections, other.detections)


def add_moving_averages(folder, name, factor):
    """Store averages of all weights that are `factor` times what the weights are."""
    values = stored(folder / name)
    averages = {f"{key}/ExponentialMovingAverage": value * factor for key, value in values.items() if not key.startswith("global_step")}
    store(folder / name, dict(values, **averages))


def drop(folder, part):
    """Leave out the variables whose names have `part` in them."""
    prefix = folder / "model.ckpt-2"
    values = stored(prefix)
    kept = {key: value for key, value in values.items() if part not in key}
    assert len(kept) < len(values)
    store(prefix, kept)


def stored(prefix):
    reader = tf.train.load_checkpoint(str(prefix))
    return {key: reader.get_tensor(key) for key in reader.get_variable_to_shape_map()}


def store(prefix, values):
    with tf.Graph().as_default(), tf.Session() as session:
        variables = {key: tf.Variable(value) for key, value in values.items()}
        session.run(tf.global_variables_initializer())
        tf.train.Saver(variables).save(session, str(prefix), write_meta_graph=False, write_state=False)


@pytest.mark.slow
def test_the_parameters_of_the_post_process_are_followed(infer):
    usual, few, many = infer(), infer(max_detections=3), infer(regular_nms=True, max_detections=100, detections_per_class=30)
    assert max(len(image.detections.scores) for image in found_in(usual)) == 20
    assert max(len(image.detections.scores) for image in found_in(few)) == 3
    assert many.json("inference.json")["model"]["nms"] == "per class"
    counts = [np.bincount(image.detections.classes, minlength=3) for image in found_in(many)]
    assert np.max(counts) == 30


@pytest.mark.slow
def test_the_result_does_not_depend_on_the_number_of_processes(run_stage, checkpoint, records):
    params = dict(PARAMS, which="before-quantization", layers=2)
    one, two = (run_stage("infer-checkpoint", params, inputs(checkpoint, records), cpus=cpus) for cpus in (1, 2))
    assert files_of(one, "inference.json", "layers.npz") == files_of(two, "inference.json", "layers.npz")


@pytest.mark.slow
def test_a_run_that_was_killed_keeps_its_whole_shards_and_ends_with_the_same_bytes(run_stage, checkpoint, tmp_path):
    data = detector_images.write_records(tmp_path / "records", tiny_detector.CLASSES, count=12, shards=2)
    params, folder = dict(PARAMS, shards=6), tmp_path / "killed"
    shard = tmp_path / "records" / "val.record-00001-of-00002"
    kept = kill_in_the_middle(folder, "infer-checkpoint", params, inputs(checkpoint, data), shard, waiting=3)
    done = resume(folder, "infer-checkpoint")
    assert "6 of 12 images had been done before" in done.log
    assert kept.items() < inodes(done.output).items()
    uninterrupted = run_stage("infer-checkpoint", params, inputs(checkpoint, data))
    assert files_of(done, "inference.json") == files_of(uninterrupted, "inference.json")


@pytest.mark.parametrize("told", [{"before_quantization": None}, {}])
def test_an_artifact_without_a_checkpoint_from_before_quantization_says_how_to_get_one(infer, tiny_checkpoint, tmp_path, told):
    folder = tmp_path / "copied"
    shutil.copytree(str(tiny_checkpoint), str(folder))
    tell(folder, **told)
    done = infer(from_=folder, which="before-quantization")
    assert done.error["what"] == "there is no checkpoint from before quantization"
    assert done.error["where"] == "checkpoint.json: before_quantization"
    assert "keep_float: true" in done.error["remedy"]


@pytest.mark.parametrize(
    ("classes", "says"),
    [(["circle", "square"], "different numbers of classes"), (["circle", "triangle", "square"], "name a class differently")],
)
def test_records_with_another_label_map_are_refused(infer, tmp_path, classes, says):
    done = infer(data=detector_images.write_records(tmp_path / "other", classes, count=1))
    assert says in done.error["what"]
    assert done.error["where"].startswith("checkpoint.json")


def test_more_classes_for_a_box_than_the_model_has_are_refused_by_this_stages_parameter(infer):
    assert infer(max_classes_per_detection=4).error["where"] == "infer-checkpoint.max_classes_per_detection"


def cut(folder, name):
    path = folder / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(folder, name):
    path = folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def replace_in_config(folder, old, new):
    text = (folder / "pipeline.config").read_text()
    assert old in text
    (folder / "pipeline.config").write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("spoil", "says", "remedy"),
    [
        (lambda folder: cut(folder, "model.ckpt-2.index"), "the checkpoint cannot be read", "train again"),
        (lambda folder: (folder / WEIGHTS).unlink(), "the checkpoint cannot be read", "train again"),
        (lambda folder: (folder / WEIGHTS).write_bytes(b""), "the checkpoint cannot be read", "train again"),
        (lambda folder: tell(folder, step=3), "the checkpoint is of another step than it says", "train again"),
        (lambda folder: tell(folder, prefix="model.ckpt-9"), "the checkpoint cannot be read", "train again"),
        (lambda folder: tell(folder, classes=None), "the checkpoint does not say what its classes are called", "train it"),
        (lambda folder: replace_in_config(folder, RESIZER, "keep_aspect_ratio_resizer { }"), "needs a fixed input size", "train with"),
    ],
)
def test_a_checkpoint_that_does_not_hold_together_is_refused_before_a_model_is_built(infer, spoilt, spoil, says, remedy):
    spoil(spoilt)
    done = infer(from_=spoilt)
    assert done.code == 1
    assert says in done.error["what"]
    assert remedy in done.error["remedy"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "says", "remedy"),
    [
        (lambda folder: flip(folder, WEIGHTS), "the checkpoint cannot be restored", "train again"),
        (lambda folder: replace_in_config(folder, "kernel_size: 1", "kernel_size: 3"), "is of another model", "the pipeline.config"),
        (lambda folder: replace_in_config(folder, "ssd_mobilenet_v2", "ssd_mobilenet_v1"), "lacks variables", "the pipeline.config"),
        (lambda folder: drop(folder, "_quant/"), "lacks variables", "without quantization"),
        (lambda folder: drop(folder, "Predictor/BatchNorm/"), "lacks variables", "without the patched prediction heads"),
        (lambda folder: replace_in_config(folder, "ssd_mobilenet_v2", "ssd_mobilenet_v9"), "cannot build this model", "mend the config"),
    ],
)
def test_a_checkpoint_that_does_not_fit_its_model_is_refused(infer, spoilt, spoil, says, remedy):
    spoil(spoilt)
    done = infer(from_=spoilt)
    assert says in done.error["what"]
    assert remedy in done.error["remedy"]
    assert not list(done.output.iterdir())


@pytest.mark.slow
def test_a_damaged_checkpoint_from_before_quantization_harms_the_chosen_one_not(infer, spoilt):
    flip(spoilt, f"before_quantization/model.ckpt-{FLOAT_STEP}.data-00000-of-00001")
    assert infer(from_=spoilt).error is None
    done = infer(from_=spoilt, which="before-quantization")
    assert done.error["what"] == "the checkpoint cannot be restored"
    assert done.error["where"].endswith(f"before_quantization/model.ckpt-{FLOAT_STEP}")


@pytest.mark.slow
def test_a_chosen_checkpoint_from_before_quantization_is_warned_of(infer, spoilt):
    replace_in_config(spoilt, "delay: 0", "delay: 500")
    assert "before quantization began" in infer(from_=spoilt).result["warnings"][0]
    assert infer(from_=spoilt, which="chosen-as-float").result["warnings"] == []
