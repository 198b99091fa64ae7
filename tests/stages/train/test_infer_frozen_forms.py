"""Inference with the Object Detection API's own exports: the frozen inference graph and the SavedModel."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tiny_detector
from _detection.postprocess import Detections
from _detection.resize import load_rgb, model_input
from _odapi.config_text import read_config
from _runtime import StageError, sha256_file
from _tf1.graph import read_graph, write_message
from _tf1_inference.api_detector import ApiDetector
from inference_runs import SHARED, assert_same, files_of, found_in
from tensorflow.core.protobuf import saved_model_pb2

import detector_images
from stage_helpers import artifact, load

api_graph = load("infer-frozen", "api_graph")

GRAPH, MODEL = "inference_graph/frozen_inference_graph.pb", "saved_model/saved_model.pb"
LAYER = "BoxPredictor_0/ClassPredictor/add_fold"
OUTPUTS = ["detection_boxes", "detection_scores", "detection_classes", "num_detections"]


@pytest.fixture(scope="module")
def frozen(tmp_path_factory, tiny_checkpoint, tiny_graph):
    """The folder of a frozen-graph artifact with all forms."""
    folder = tmp_path_factory.mktemp("forms") / "frozen"
    shutil.copytree(str(tiny_graph), str(folder))
    config, prefix = read_config(tiny_checkpoint / "pipeline.config"), str(tiny_checkpoint / "model.ckpt-2")
    load("freeze", "frozen_export").export_inference(config, prefix, folder.parent, folder, inference_graph=True, saved_model=True)
    return folder


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return detector_images.write_records(tmp_path_factory.mktemp("records"), tiny_detector.CLASSES, count=5)


@pytest.fixture
def infer(run_here, frozen, records):
    """infer(FORM, graph=…, PARAMETER=…), in this process."""

    def call(form, graph=frozen, **params):
        inputs = {"graph": artifact("freeze", "frozen-graph", graph), "records": records}
        return run_here("infer-frozen", dict(SHARED, form=form, **params), inputs)

    return call


@pytest.fixture
def spoilt(frozen, tmp_path):
    folder = tmp_path / "spoilt"
    shutil.copytree(str(frozen), str(folder))
    return folder


@pytest.fixture(scope="module")
def session(frozen):
    """The frozen inference graph in a session as everybody would open it."""
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(read_graph(frozen / GRAPH), name="")
    with tf.Session(graph=graph) as opened:
        yield opened


def pixels_of(records, number):
    (path,) = Path(records["path"]).glob(f"dataset/images/{number}.*")
    return model_input(load_rgb(path), 96, 96)


def test_the_graphs_own_resizing_leaves_the_models_input_as_it_is(session, records):
    # What the feature extractor reads is what training's normalization makes of the very pixels.
    source = session.graph.get_operation_by_name("FeatureExtractor/MobilenetV2/Conv/Conv2D_Fold").inputs[0]
    for number in (1, 2):
        pixels = pixels_of(records, number)
        read = session.run(source, {"image_tensor:0": pixels})
        np.testing.assert_array_equal(read, np.float32(2.0 / 255.0) * pixels.astype(np.float32) - np.float32(1))


@pytest.mark.parametrize(("form", "file"), [("inference-graph", GRAPH), ("saved-model", MODEL)])
def test_detections_are_the_graphs_own_with_classes_of_the_label_map(infer, session, records, frozen, form, file):
    done = infer(form)
    for number, image in enumerate(found_in(done), 1):
        boxes, scores, classes, count = session.run([name + ":0" for name in OUTPUTS], {"image_tensor:0": pixels_of(records, number)})
        end = int(count[0])
        assert 0 < end <= boxes.shape[1] == 20
        assert_same(image.detections, Detections(boxes[0, :end], classes[0, :end].astype(int) - 1, scores[0, :end]), places=5)
        assert set(image.detections.classes.tolist()) <= {0, 1, 2}
    model = done.json("inference.json")["model"]
    assert (model["kind"], model["nms"], model["sha256"]) == (form, "per class", sha256_file(frozen / file))


def test_each_form_gets_the_same_input_and_shows_the_same_layers(infer):
    done = {form: infer(form, layers=2) for form in ("tflite-graph", "inference-graph", "saved-model")}
    inputs = {form: [image.input_sha256 for image in found_in(run)] for form, run in done.items()}
    assert inputs["tflite-graph"] == inputs["inference-graph"] == inputs["saved-model"]
    layers = {form: np.load(str(run.output / "layers.npz")) for form, run in done.items()}
    assert set(layers["tflite-graph"].files) == set(layers["inference-graph"].files)
    assert files_of(done["inference-graph"], "layers.npz") == files_of(done["saved-model"], "layers.npz")
    # The two normalize a little differently, (127.5, 127.5) and (128, 128), and so agree nearly.
    for name in layers["tflite-graph"].files:
        one, other = layers["tflite-graph"][name], layers["inference-graph"][name]
        assert one.shape == other.shape
        assert np.sqrt(np.mean((one - other) ** 2)) < 0.1 * np.ptp(one), name


@pytest.mark.parametrize(
    ("form", "file", "parameter"), [("inference-graph", GRAPH, "inference_graph"), ("saved-model", MODEL, "saved_model")]
)
def test_a_form_that_was_not_frozen_is_an_error_that_says_how_to(infer, tiny_graph, form, file, parameter):
    done = infer(form, graph=tiny_graph)
    assert (done.error["what"], done.error["where"]) == ("the checkpoint was not frozen in this form", file)
    assert done.error["remedy"] == f"set freeze.{parameter}: true"


def change_graph(change):
    def spoil(folder):
        graph = read_graph(folder / GRAPH)
        change({node.name: node for node in graph.node})
        write_message(graph, folder / GRAPH)

    return spoil


def change_model(change):
    def spoil(folder):
        model = saved_model_pb2.SavedModel.FromString((folder / MODEL).read_bytes())
        change(model.meta_graphs[0])
        (folder / MODEL).write_bytes(model.SerializeToString())

    return spoil


def rename(name):
    def change(nodes):
        nodes[name].name = "something_else"

    return change


def take_floats(nodes):
    nodes["image_tensor"].attr["dtype"].type = tf.float32.as_datatype_enum


@pytest.mark.parametrize(
    ("form", "spoil", "says", "where"),
    [
        ("inference-graph", lambda folder: (folder / GRAPH).write_bytes(b"\xff\xff"), "cannot be read", GRAPH),
        ("inference-graph", change_graph(rename("detection_scores")), "not one that the Object Detection API exported", GRAPH),
        ("inference-graph", change_graph(rename(LAYER)), "lacks a node", LAYER),
        ("inference-graph", change_graph(take_floats), "does not take images", "image_tensor"),
        ("saved-model", lambda folder: (folder / MODEL).write_bytes(b"\xff\xff"), "cannot be read", MODEL),
        ("saved-model", change_model(lambda meta: meta.signature_def.clear()), "not one that the Object Detection API exported", MODEL),
        ("saved-model", change_model(lambda meta: meta.meta_info_def.tags.pop()), "not one that the Object Detection API exported", MODEL),
        (
            "saved-model",
            change_model(lambda meta: meta.signature_def["serving_default"].outputs.pop("num_detections")),
            "not one that the Object Detection API exported",
            MODEL,
        ),
        ("saved-model", change_model(lambda meta: rename(LAYER)({node.name: node for node in meta.graph_def.node})), "lacks a node", LAYER),
    ],
)
def test_an_export_that_is_not_the_apis_is_refused(infer, spoilt, form, spoil, says, where):
    spoil(spoilt)
    done = infer(form, graph=spoilt)
    assert done.code == 1
    assert says in done.error["what"]
    assert where in done.error["where"]


def write_graph(path, boxes, scores, classes, count):
    """A frozen inference graph that finds the same in each image."""
    with tf.Graph().as_default() as graph:
        tf.placeholder(tf.uint8, [None, None, None, 3], name="image_tensor")
        for name, value in zip(OUTPUTS, (boxes, scores, classes, count)):
            tf.constant(np.array([value], np.float32), name=name)
        write_message(graph.as_graph_def(), path)


BOX, WORSE = [0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, float("nan")]


@pytest.mark.parametrize(
    ("boxes", "scores", "classes", "count", "says", "found"),
    [
        ([BOX, BOX], [0.9, 0.8], [1, 3], 2, "a class that it does not have", "1 to 3"),
        ([BOX, BOX], [0.9, 0.8], [0, 1], 2, "a class that it does not have", "0 to 1"),
        ([BOX, WORSE], [0.9, 0.8], [1, 2], 2, "not finite", "NaN or infinity"),
        ([BOX, BOX], [0.9, float("inf")], [1, 2], 2, "not finite", "NaN or infinity"),
        ([BOX, BOX], [0.9, 0.8], [1, 2], 3, "counts its detections wrongly", "3.0"),
        ([BOX, BOX], [0.9, 0.8], [1, 2], 1.5, "counts its detections wrongly", "1.5"),
        ([BOX, BOX], [0.9, 0.8], [1, 2], float("nan"), "counts its detections wrongly", "nan"),
    ],
)
def test_outputs_that_cannot_be_are_refused(tmp_path, boxes, scores, classes, count, says, found):
    write_graph(tmp_path / "graph.pb", boxes, scores, classes, count)
    detector = ApiDetector(tmp_path / "graph.pb", *api_graph.check_inference_graph(tmp_path / "graph.pb"), 2, saved_model=False)
    with pytest.raises(StageError, match=says) as caught:
        detector(np.zeros([1, 96, 96, 3], np.uint8))
    assert caught.value.found == found


def test_what_is_behind_the_last_detection_does_not_count(tmp_path):
    write_graph(tmp_path / "graph.pb", [BOX, WORSE], [0.9, 0.0], [2, 0], 1)
    detector = ApiDetector(tmp_path / "graph.pb", *api_graph.check_inference_graph(tmp_path / "graph.pb"), 2, saved_model=False)
    found = detector(np.zeros([1, 96, 96, 3], np.uint8))
    assert (found.classes.tolist(), found.scores.tolist(), found.boxes.shape) == ([1], [np.float32(0.9)], (1, 4))
