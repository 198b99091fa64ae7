"""Inference with the frozen graph: TensorFlow's raw outputs, decoded as the .tflite's operator does."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tiny_detector
from _detection.detection_records import write_shard
from _detection.postprocess import Attributes, postprocess
from _detection.resize import load_rgb, model_input, sha256
from _runtime import StageError, sha256_file
from _tf1.graph import read_graph, write_message
from _tf1_inference.raw_detector import raw_graph
from inference_runs import SHARED, assert_same, files_of, found_in, inodes, kill_in_the_middle, resume
from object_detection.core import standard_fields
from object_detection.metrics import tf_example_parser

import detector_images
from stage_helpers import artifact

PARAMS = dict(SHARED, form="tflite-graph")
INPUT = "normalized_input_image_tensor"
OUTPUTS = ["raw_outputs/box_encodings", "raw_outputs/class_predictions"]


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return detector_images.write_records(tmp_path_factory.mktemp("records"), tiny_detector.CLASSES, count=20, shards=2)


@pytest.fixture
def infer(run_here, tiny_graph, records):
    """infer(graph=…, data=…, PARAMETER=…), in this process."""

    def call(graph=tiny_graph, data=records, **params):
        return run_here("infer-frozen", dict(PARAMS, **params), inputs(graph, data))

    return call


@pytest.fixture
def spoilt(tiny_graph, tmp_path):
    folder = tmp_path / "spoilt"
    shutil.copytree(str(tiny_graph), str(folder))
    return folder


def inputs(graph, data):
    return {"graph": artifact("freeze", "frozen-graph", graph), "records": data}


def pixels_of(data, number):
    """The model's input for an image of the records, read from its file."""
    (path,) = Path(data["path"]).glob(f"dataset/images/{number}.*")
    return model_input(load_rgb(path), 96, 96)


def test_detections_are_decoded_from_the_graphs_raw_outputs(infer, tiny_graph, records):
    found = found_in(infer())
    assert [image.image_id for image in found] == list(range(1, 21))
    how = Attributes(**json.loads((tiny_graph / "graph.json").read_text())["decode"])
    anchors = np.load(str(tiny_graph / "anchors.npy"))
    with tf.Session(graph=tf.Graph()) as session:
        tf.import_graph_def(raw_graph(tiny_graph / "tflite_graph.pb", INPUT, OUTPUTS), name="")
        for number in (1, 2, 20):
            pixels = (pixels_of(records, number).astype(np.float32) - 128) / 128
            boxes, scores = session.run([name + ":0" for name in OUTPUTS], {INPUT + ":0": pixels})
            expected = postprocess(boxes[0], scores[0], anchors, how)
            assert len(expected.scores) > 0
            assert_same(found[number - 1].detections, expected, places=5)


def test_the_index_tells_the_model_and_each_record_the_sha256_of_its_input(infer, tiny_graph, records):
    done = infer()
    index = done.json("inference.json")
    assert {name: index[name] for name in ("split", "classes", "images", "masks", "pixels")} == {
        "split": "val",
        "classes": tiny_detector.CLASSES,
        "images": 20,
        "masks": False,
        "pixels": False,
    }
    assert index["model"] == {
        "kind": "frozen-graph",
        "runtime": "TensorFlow",
        "version": "1.13.1",
        "nms": "class-agnostic",
        "sha256": sha256_file(tiny_graph / "tflite_graph.pb"),
        "input_size": [96, 96],
    }
    found = found_in(done)
    assert index["detections"] == sum(len(image.detections.scores) for image in found) > 0
    assert found[0].input_sha256 == sha256(pixels_of(records, 1))
    assert done.json("timing.json")["images"] == 20


@pytest.mark.slow
def test_the_result_does_not_depend_on_the_number_of_processes(run_stage, tiny_graph, records):
    one, two = (run_stage("infer-frozen", dict(PARAMS, layers=2), inputs(tiny_graph, records), cpus=cpus) for cpus in (1, 2))
    files = files_of(one, "inference.json", "layers.npz")
    assert files == files_of(two, "inference.json", "layers.npz")
    assert len(files) == 4


def test_shards_are_as_many_as_asked_for_and_hold_the_images_in_order(infer):
    done, usual = infer(shards=7), infer()
    names = ["val.detections-%05d-of-00007" % number for number in range(7)]
    assert sorted(path.name for path in done.output.glob("*.detections-*")) == names
    assert [shard["records"] for shard in done.json("inference.json")["shards"]] == [3, 3, 3, 3, 3, 3, 2]
    for left, right in zip(found_in(done), found_in(usual)):
        assert left.image_id == right.image_id
        assert_same(left.detections, right.detections)


def examples_in(done):
    """The tf.Examples of a run's shards, read by TensorFlow."""
    paths = sorted(str(path) for path in done.output.glob("*.detections-*"))
    with tf.Graph().as_default(), tf.Session() as session:
        record = tf.data.TFRecordDataset(paths).make_one_shot_iterator().get_next()
        found = []
        while True:
            try:
                found.append(tf.train.Example.FromString(session.run(record)))
            except tf.errors.OutOfRangeError:
                return found


@pytest.mark.parametrize("discard", [True, False])
def test_a_record_keeps_what_the_images_record_has_and_its_pixels_unless_they_are_discarded(infer, records, discard):
    examples = examples_in(infer(discard_image_pixels=discard))
    (path,) = Path(records["path"]).glob("dataset/images/3.*")
    feature = examples[2].features.feature
    assert ("image/encoded" in feature) is not discard
    if not discard:
        assert feature["image/encoded"].bytes_list.value[0] == path.read_bytes()
    assert feature["image/filename"].bytes_list.value[0].decode() == path.name
    assert list(feature["image/object/class/label"].int64_list.value) == [1]


class TextParser(tf_example_parser.StringParser):
    """The API's own joins bytes as text, which only Python 2 can."""

    def parse(self, tf_example):
        return tf_example.features.feature[self.field_name].bytes_list.value[0].decode()


def test_the_object_detection_apis_offline_evaluation_reads_the_records(infer, spoilt):
    # Where nothing is found, too: its lists are empty, not absent.
    described = json.loads((spoilt / "graph.json").read_text())
    described["decode"]["nms_score_threshold"] = 0.99999
    (spoilt / "graph.json").write_text(json.dumps(described))
    parser = tf_example_parser.TfExampleDetectionAndGTParser()
    fields = standard_fields.DetectionResultFields
    parser.items_to_handlers[fields.key] = TextParser(standard_fields.TfExampleFields.source_id)
    done, nothing = infer(), infer(graph=spoilt)
    for example, image in zip(examples_in(done), found_in(done)):
        parsed = parser.parse(example)
        assert parsed[fields.key] == str(image.image_id)
        np.testing.assert_array_equal(parsed[fields.detection_boxes], image.detections.boxes)
        np.testing.assert_array_equal(parsed[fields.detection_scores], image.detections.scores)
        np.testing.assert_array_equal(parsed[fields.detection_classes], image.detections.classes + 1)
        assert parsed[standard_fields.InputDataFields.groundtruth_boxes].shape == (1, 4)
    assert nothing.result["warnings"] == ["nothing was found in 20 images"]
    assert all(len(parser.parse(example)[fields.detection_boxes]) == 0 for example in examples_in(nothing))


@pytest.mark.slow
def test_a_run_that_was_killed_keeps_its_whole_shards_and_ends_with_the_same_bytes(run_stage, tiny_graph, tmp_path):
    data = detector_images.write_records(tmp_path / "records", tiny_detector.CLASSES, count=12, shards=2)
    params, folder = dict(PARAMS, shards=6), tmp_path / "killed"
    shard = tmp_path / "records" / "val.record-00001-of-00002"
    kept = kill_in_the_middle(folder, "infer-frozen", params, inputs(tiny_graph, data), shard, waiting=3)
    assert len(kept) == 3
    assert not list((folder / "output").iterdir())
    done = resume(folder, "infer-frozen")
    assert "6 of 12 images had been done before" in done.log
    assert kept.items() < inodes(done.output).items()
    uninterrupted = run_stage("infer-frozen", params, inputs(tiny_graph, data))
    assert files_of(done, "inference.json") == files_of(uninterrupted, "inference.json")


@pytest.mark.parametrize(
    ("classes", "says"),
    [
        (["circle", "square"], "different numbers of classes"),
        (["circle", "triangle", "square"], "name a class differently"),
    ],
)
def test_records_with_another_label_map_are_refused(infer, tmp_path, classes, says):
    done = infer(data=detector_images.write_records(tmp_path / "other", classes, count=1))
    assert says in done.error["what"]
    assert done.error["where"].startswith("graph.json")


def test_an_unknown_split_is_refused(infer):
    assert infer(split="test").error["expected"] == "one of val"


def test_an_image_that_cannot_be_decoded_is_named_with_its_record(infer, tmp_path):
    data = detector_images.write_records(tmp_path / "bad", tiny_detector.CLASSES, count=2)
    images = [json.loads(line) for line in (tmp_path / "bad" / "dataset" / "val.jsonl").read_text().splitlines()]
    good = (tmp_path / "bad" / "dataset" / images[0]["file"]).read_bytes()
    examples = [detector_images.example(images[0], good), detector_images.example(images[1], b"\xff\xd8\xff")]
    shard = tmp_path / "bad" / "val.record-00000-of-00001"
    write_shard(shard, examples)
    done = infer(data=data)
    assert done.error["what"] == "an image cannot be decoded"
    assert done.error["where"] == f"{shard}, record 2"


def change_graph(folder, change):
    graph = read_graph(folder / "tflite_graph.pb")
    change(graph)
    write_message(graph, folder / "tflite_graph.pb")


def rename(name):
    def change(graph):
        next(node for node in graph.node if node.name == name).name = "something_else"

    return change


def test_a_graph_without_its_outputs_is_refused(infer, spoilt):
    change_graph(spoilt, rename("raw_outputs/class_predictions"))
    done = infer(graph=spoilt)
    assert done.error["what"] == "the frozen graph lacks an input or output"
    assert done.error["expected"] == "raw_outputs/class_predictions"


def test_a_graph_that_lacks_a_node_is_refused(infer, spoilt):
    change_graph(spoilt, rename("BoxPredictor_0/ClassPredictor/Conv2D_Fold"))
    done = infer(graph=spoilt)
    assert done.error["what"] == "the graph lacks a node"
    assert done.error["where"].endswith("tflite_graph.pb: BoxPredictor_0/ClassPredictor/Conv2D_Fold")
    assert done.error["found"] == "BoxPredictor_0/ClassPredictor/add_fold (Add) reads it"


def test_a_graph_with_an_operator_that_tensorflow_lacks_is_refused(infer, spoilt):
    def change(graph):
        next(node for node in graph.node if node.name == "BoxPredictor_0/ClassPredictor/Conv2D_Fold").op = "Conv9D"

    change_graph(spoilt, change)
    done = infer(graph=spoilt)
    assert done.error["what"] == "TensorFlow 1.13.1 cannot load the graph"
    assert "Conv9D" in done.error["found"]


@pytest.mark.parametrize("change", [{"shape": [1, 64, 64, 3]}, {"name": "anchors"}])
def test_an_input_that_is_not_the_one_described_is_refused(infer, spoilt, change):
    described = json.loads((spoilt / "graph.json").read_text())
    described["input"].update(change)
    (spoilt / "graph.json").write_text(json.dumps(described))
    assert infer(graph=spoilt).error["what"] == "the frozen graph's input is not the one described"


def test_weights_that_are_not_finite_are_an_error_that_names_the_record(infer, spoilt):
    def poison(graph):
        node = next(node for node in graph.node if node.name == "BoxPredictor_0/BoxEncodingPredictor/BatchNorm/beta")
        value = tf.make_ndarray(node.attr["value"].tensor)
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(np.full_like(value, np.nan)))

    change_graph(spoilt, poison)
    done = infer(graph=spoilt)
    assert done.error["what"] == "the model puts out values that are not finite"
    assert done.error["where"].startswith("raw_outputs/box_encodings, anchor 0, on ")
    assert done.error["where"].endswith("val.record-00000-of-00002, record 1")


@pytest.mark.parametrize(("shape", "kind"), [((3, 4), np.float32), ((147, 4), np.float64)])
def test_anchors_of_another_model_are_refused(infer, spoilt, shape, kind):
    np.save(str(spoilt / "anchors.npy"), np.zeros(shape, kind))
    assert infer(graph=spoilt).error["what"] == "the anchors are not the graph's"


def test_a_file_that_is_no_graph_is_refused(spoilt):
    (spoilt / "tflite_graph.pb").write_bytes(b"\xff\xff\xff\xff")
    with pytest.raises(StageError, match="cannot be read"):
        raw_graph(spoilt / "tflite_graph.pb", "a", ["b"])
