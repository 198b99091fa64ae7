"""Inference with the frozen graph: TensorFlow's raw outputs, decoded as the .tflite's operator does."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tiny_detector
from _detection.inference import coco_results
from _detection.postprocess import Attributes, Detections, postprocess
from _detection.resize import model_input, sha256
from _runtime import StageError
from _tf1.graph import read_graph, write_message

import detector_images
from stage_helpers import artifact, load

frozen_detector = load("infer-frozen", "frozen_detector")

INPUT = "normalized_input_image_tensor"
OUTPUTS = ["raw_outputs/box_encodings", "raw_outputs/class_predictions"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return detector_images.write_dataset(tmp_path_factory.mktemp("dataset") / "d", tiny_detector.CLASSES, count=20)


@pytest.fixture
def infer(run_stage, tiny_graph, dataset):
    def call(graph=tiny_graph, data=dataset, split="val", cpus=1):
        return run_stage("infer-frozen", {"split": split}, {"graph": artifact("freeze", "frozen-graph", graph), "dataset": data}, cpus=cpus)

    return call


@pytest.fixture
def spoilt(tiny_graph, tmp_path):
    folder = tmp_path / "spoilt"
    shutil.copytree(str(tiny_graph), str(folder))
    return folder


def test_detections_are_the_graphs_own_in_pixels_of_the_image(infer, tiny_graph, dataset):
    done = infer()
    assert done.code == 0, done.log
    number = 3
    pixels = (model_input(f"{dataset['path']}/images/{number}.jpg", 96, 96).astype(np.float32) - 128) / 128
    with tf.Session(graph=tf.Graph()) as session:
        tf.import_graph_def(frozen_detector.raw_graph(tiny_graph / "tflite_graph.pb", INPUT, OUTPUTS), name="")
        boxes, scores = session.run([name + ":0" for name in OUTPUTS], {INPUT + ":0": pixels})
    how = Attributes(**json.loads((tiny_graph / "graph.json").read_text())["decode"])
    found = postprocess(boxes[0], scores[0], np.load(str(tiny_graph / "anchors.npy")), how)
    width, height = detector_images.size(number)
    expected = coco_results({"id": number, "width": width, "height": height}, found)
    assert [row for row in done.json("detections.json") if row["image_id"] == number] == expected
    assert len(expected) > 0


def test_the_sha256_of_each_input_is_kept_in_the_datasets_order(infer, dataset):
    done = infer()
    inference = done.json("inference.json")
    assert (inference["split"], inference["model"]["kind"], inference["model"]["runtime"]) == ("val", "frozen-graph", "TensorFlow")
    assert [image["id"] for image in inference["images"]] == list(range(1, 21))
    assert inference["images"][0]["input_sha256"] == sha256(model_input("{}/images/1.jpg".format(dataset["path"]), 96, 96))
    assert done.json("timing.json")["images"] == 20


@pytest.mark.slow
def test_the_result_does_not_depend_on_the_number_of_processes(infer):
    one, two = infer(cpus=1), infer(cpus=2)
    for name in ("detections.json", "inference.json"):
        assert (one.output / name).read_bytes() == (two.output / name).read_bytes()


@pytest.mark.parametrize(
    ("classes", "says"),
    [
        (["circle", "square"], "different numbers of classes"),
        (["circle", "triangle", "square"], "name a class differently"),
    ],
)
def test_a_dataset_with_other_classes_is_refused(infer, tmp_path, classes, says):
    done = infer(data=detector_images.write_dataset(tmp_path / "other", classes, count=1))
    assert says in done.error["what"]
    assert done.error["where"].startswith("graph.json")


def test_an_unknown_split_is_refused(infer):
    assert infer(split="test").error["expected"] == "one of val"


def test_an_image_that_cannot_be_decoded_is_named(infer, dataset, tmp_path):
    shutil.copytree(dataset["path"], str(tmp_path / "copy"))
    (tmp_path / "copy" / "images" / "5.jpg").write_bytes(b"\xff\xd8\xff")
    done = infer(data=dict(dataset, path=str(tmp_path / "copy")))
    assert done.error["what"] == "an image cannot be decoded"
    assert done.error["where"].endswith("5.jpg")


def change_graph(folder, change):
    graph = read_graph(folder / "tflite_graph.pb")
    change(graph)
    write_message(graph, folder / "tflite_graph.pb")


def test_a_graph_without_its_outputs_is_refused(infer, spoilt):
    def rename(graph):
        for node in graph.node:
            if node.name == "raw_outputs/class_predictions":
                node.name = "something_else"

    change_graph(spoilt, rename)
    done = infer(graph=spoilt)
    assert done.error["what"] == "the frozen graph lacks an input or output"
    assert done.error["expected"] == "raw_outputs/class_predictions"


def test_weights_that_are_not_finite_are_an_error_that_names_the_image(infer, spoilt):
    def poison(graph):
        node = next(node for node in graph.node if node.name == "BoxPredictor_0/BoxEncodingPredictor/BatchNorm/beta")
        value = tf.make_ndarray(node.attr["value"].tensor)
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(np.full_like(value, np.nan)))

    change_graph(spoilt, poison)
    done = infer(graph=spoilt)
    assert done.error["what"] == "the model puts out values that are not finite"
    assert done.error["where"].startswith("raw_outputs/box_encodings, anchor 0, on image ")


@pytest.mark.parametrize(("shape", "kind"), [((3, 4), np.float32), ((147, 4), np.float64)])
def test_anchors_of_another_model_are_refused(infer, spoilt, shape, kind):
    np.save(str(spoilt / "anchors.npy"), np.zeros(shape, kind))
    assert infer(graph=spoilt).error["what"] == "the anchors are not the graph's"


def test_a_file_that_is_no_graph_is_refused(spoilt):
    (spoilt / "tflite_graph.pb").write_bytes(b"\xff\xff\xff\xff")
    with pytest.raises(StageError, match="cannot be read"):
        frozen_detector.raw_graph(spoilt / "tflite_graph.pb", "a", ["b"])


def test_boxes_are_clipped_to_the_image_and_those_outside_left_out():
    boxes = np.array([[-0.5, 0.25, 0.5, 1.5], [1.1, 0.2, 1.3, 0.4], [0.1, 0.2, 0.3, 0.4]], np.float32)
    found = Detections(boxes, np.array([0, 1, 2]), np.array([0.9, 0.8, 0.1], np.float32))
    rows = coco_results({"id": 7, "width": 200, "height": 100}, found)
    assert rows == [
        {"image_id": 7, "category_id": 1, "score": 0.9, "bbox": [50.0, 0.0, 150.0, 50.0]},
        {"image_id": 7, "category_id": 3, "score": 0.1, "bbox": [40.0, 10.0, 40.0, 20.0]},
    ]
