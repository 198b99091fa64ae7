"""Freezing: what is exported, that it is the same each time, and what is refused."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tiny_detector
from _odapi.exportable import check_exportable
from _runtime import StageError
from _tf1_export.normalization import quantized_normalization, training_normalization
from google.protobuf import text_format
from object_detection.protos import pipeline_pb2

from conftest import FREEZE
from stage_helpers import artifact


def config(text=None):
    return text_format.Parse(text or tiny_detector.config_text(), pipeline_pb2.TrainEvalPipelineConfig())


def graph_in(folder):
    graph = tf.GraphDef()
    graph.ParseFromString((folder / "tflite_graph.pb").read_bytes())
    return graph


@pytest.fixture
def freeze(run_here):
    """freeze(CHECKPOINT, parameters that differ from the usual)."""

    def call(checkpoint, **params):
        return run_here("freeze", dict(FREEZE, **params), {"checkpoint": artifact("train", "checkpoint", checkpoint)})

    return call


@pytest.fixture(scope="module")
def float_checkpoint(tmp_path_factory):
    """The folder of a checkpoint artifact that was trained without quantization."""
    folder = tmp_path_factory.mktemp("float")
    tiny_detector.write_checkpoint(folder, tiny_detector.config_text(quantized=False), steps=1)
    return folder


@pytest.fixture
def copied(tiny_checkpoint, tmp_path):
    """A copy of the checkpoint artifact, to be spoilt."""
    folder = tmp_path / "copied"
    shutil.copytree(str(tiny_checkpoint), str(folder))
    return folder


def test_graph_json_says_what_later_stages_need(tiny_graph):
    described = json.loads((tiny_graph / "graph.json").read_text())
    assert described["input"] == {
        "name": "normalized_input_image_tensor",
        "shape": [1, 96, 96, 3],
        "mean": 128,
        "std": 128.0,
        "trained_mean": 127.5,
        "trained_std": 127.5,
    }
    assert described["outputs"] == ["TFLite_Detection_PostProcess" + end for end in ("", ":1", ":2", ":3")]
    assert described["raw_outputs"] == {"boxes": "raw_outputs/box_encodings", "scores": "raw_outputs/class_predictions"}
    assert described["classes"] == tiny_detector.CLASSES
    assert (described["postprocess"], described["quantized"], described["input_size"], described["step"]) == (True, True, [96, 96], 2)
    assert described["decode"]["max_detections"] == 20
    assert described["decode"]["nms_iou_threshold"] == pytest.approx(0.6)


def test_the_operator_has_the_attributes_that_graph_json_tells(tiny_graph):
    described = json.loads((tiny_graph / "graph.json").read_text())["decode"]
    operator = next(node for node in graph_in(tiny_graph).node if node.op == "TFLite_Detection_PostProcess")
    attributes = {name: getattr(operator.attr[name], operator.attr[name].WhichOneof("value")) for name in described}
    assert attributes == described


def test_anchors_are_boxes_in_the_image_by_centre_and_size(tiny_graph):
    anchors = np.load(str(tiny_graph / "anchors.npy"))
    assert anchors.dtype == np.float32
    assert anchors.shape == (json.loads((tiny_graph / "graph.json").read_text())["anchors"], 4)
    assert (anchors[:, :2] > 0).all()
    assert (anchors[:, :2] < 1).all()
    assert (anchors[:, 2:] > 0).all()


def test_every_weight_is_a_constant(tiny_graph):
    assert not [node.name for node in graph_in(tiny_graph).node if node.op in ("Variable", "VariableV2", "VarHandleOp")]


@pytest.mark.slow
def test_two_runs_write_the_same_bytes_and_tensorflow_can_load_them(run_stage, tiny_checkpoint, tiny_graph):
    # Each in a process of its own: the order of protobuf's maps changes with the process.
    params = dict(FREEZE, inference_graph=True, saved_model=True)
    runs = [run_stage("freeze", params, {"checkpoint": artifact("train", "checkpoint", tiny_checkpoint)}, timeout=600) for _ in range(2)]
    assert [done.code for done in runs] == [0, 0], runs[0].log
    files = [{str(path.relative_to(done.output)): path.read_bytes() for path in done.output.rglob("*") if path.is_file()} for done in runs]
    assert files[0] == files[1]
    assert {"inference_graph/frozen_inference_graph.pb", "saved_model/saved_model.pb"} < set(files[0])
    for path in tiny_graph.iterdir():
        assert files[0][path.name] == path.read_bytes(), path.name
    with tf.Graph().as_default(), tf.Session() as session:
        model = tf.saved_model.loader.load(session, ["serve"], str(runs[0].output / "saved_model"))
        signature = model.signature_def["serving_default"]
        found = session.run(
            signature.outputs["detection_boxes"].name, {signature.inputs["inputs"].name: np.zeros([1, 50, 70, 3], np.uint8)}
        )
        assert found.shape == (1, 20, 4)


@pytest.mark.slow
def test_without_the_operator_the_outputs_are_the_raw_ones(freeze, tiny_checkpoint):
    done = freeze(tiny_checkpoint, postprocess=False)
    assert done.error is None
    described = done.json("graph.json")
    assert described["outputs"] == ["raw_outputs/box_encodings", "raw_outputs/class_predictions"]
    assert described["decode"]["num_classes"] == 3
    assert "TFLite_Detection_PostProcess" not in {node.op for node in graph_in(done.output).node}


@pytest.mark.slow
def test_a_parameter_reaches_the_operator(freeze, tiny_checkpoint):
    done = freeze(tiny_checkpoint, detections_per_class=7, max_classes_per_detection=2, max_detections=11, regular_nms=True)
    operator = next(node for node in graph_in(done.output).node if node.op == "TFLite_Detection_PostProcess")
    found = {name: operator.attr[name].i for name in ("detections_per_class", "max_classes_per_detection", "max_detections")}
    assert found == {"detections_per_class": 7, "max_classes_per_detection": 2, "max_detections": 11}
    assert operator.attr["use_regular_nms"].b is True


@pytest.mark.slow
def test_a_float_checkpoint_freezes_with_a_warning_and_an_audit_that_says_so(freeze, run_here, float_checkpoint):
    done = freeze(float_checkpoint)
    assert done.error is None
    assert "not trained for quantization" in done.result["warnings"][0]
    table = done.json("fake_quant_audit.json")
    assert table["quantized"] is False
    assert {row["status"] for row in table["layers"]} == {"not quantized"}
    frozen = {"graph": artifact("freeze", "frozen-graph", done.output)}
    refused = run_here("convert", {"inference_type": "uint8", "dummy_ranges": None, "seconds": 300}, frozen)
    assert "not trained for quantization" in refused.error["what"]
    converted = run_here("convert", {"inference_type": "float", "dummy_ranges": None, "seconds": 300}, frozen)
    assert converted.error is None
    assert converted.json("lint.json")["inference_type"] == "float"


@pytest.mark.slow
def test_a_checkpoint_without_the_quantization_variables_is_named_so(freeze, float_checkpoint, tmp_path):
    folder = tmp_path / "copied"
    shutil.copytree(str(float_checkpoint), str(folder))
    (folder / "pipeline.config").write_text(tiny_detector.config_text())
    done = freeze(folder)
    assert done.code == 1
    assert done.error["what"] == "the checkpoint lacks variables of the model"
    assert "_quant/m" in done.error["where"]
    assert "graph_rewriter" in done.error["remedy"]
    assert not list(done.output.iterdir())


@pytest.mark.slow
def test_a_checkpoint_of_another_shape_is_named_so(freeze, copied):
    text = (copied / "pipeline.config").read_text().replace("num_classes: 3", "num_classes: 2")
    (copied / "pipeline.config").write_text(text)
    (copied / "checkpoint.json").write_text(json.dumps({"schema": 1, "step": 2, "prefix": "model.ckpt-2", "classes": ["a", "b"]}))
    done = freeze(copied)
    assert done.error["what"] == "the checkpoint is of another model"
    assert "ClassPredictor" in done.error["where"]


@pytest.mark.slow
def test_a_checkpoint_from_before_quantization_is_warned_of(freeze, copied):
    (copied / "pipeline.config").write_text(tiny_detector.config_text(delay=500))
    done = freeze(copied)
    assert done.error is None
    assert "before quantization began" in done.result["warnings"][0]


def damage(folder, how):
    about = json.loads((folder / "checkpoint.json").read_text())
    if how == "index":
        index = next(folder.glob("*.index"))
        index.write_bytes(index.read_bytes()[:40])
    elif how == "config":
        (folder / "pipeline.config").write_text("model { sssd { } }")
    else:
        about.update(how)
        (folder / "checkpoint.json").write_text(json.dumps(about))


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"classes": None}, "does not say what its classes are called"),
        ({"classes": ["a", "b"]}, "classes do not fit its config"),
        ({"step": 3}, "is of another step than it says"),
        ({"prefix": "model.ckpt-9"}, "the checkpoint cannot be read"),
        ("index", "the checkpoint cannot be read"),
        ("config", "has no field"),
    ],
)
def test_a_checkpoint_that_does_not_hold_together_is_refused(freeze, copied, how, says):
    damage(copied, how)
    done = freeze(copied)
    assert done.code == 1
    assert says in done.error["what"]
    assert done.error["remedy"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("fixed_shape_resizer { height: 96 width: 96 }", "keep_aspect_ratio_resizer { }", "fixed input size"),
        ("width: 96 }", "width: 96 convert_to_grayscale: true }", "grey models"),
        (
            "faster_rcnn_box_coder { y_scale: 10.0 x_scale: 10.0 height_scale: 5.0 width_scale: 5.0 }",
            "square_box_coder { }",
            "one box coding",
        ),
        (
            "ssd_anchor_generator { num_layers: 3 min_scale: 0.2 max_scale: 0.95 aspect_ratios: 1.0 aspect_ratios: 2.0 }",
            "multiscale_anchor_generator { normalize_coordinates: false }",
            "fractions of the image",
        ),
    ],
)
def test_a_config_that_cannot_become_a_tflite_detector_is_refused_by_its_field(old, new, says):
    text = tiny_detector.config_text()
    assert old in text
    with pytest.raises(StageError, match=says) as caught:
        check_exportable(config(text.replace(old, new)), FREEZE, "freeze")
    assert caught.value.where.startswith("pipeline.config: model.ssd.")


def test_other_models_than_ssd_are_refused():
    with pytest.raises(StageError, match="only SSD"):
        check_exportable(config("model { faster_rcnn { } }"), FREEZE, "freeze")


def test_more_classes_for_a_box_than_the_model_has_are_refused():
    with pytest.raises(StageError) as caught:
        check_exportable(config(), dict(FREEZE, max_classes_per_detection=4), "freeze")
    assert (caught.value.where, caught.value.found) == ("freeze.max_classes_per_detection", "4")


def test_the_normalization_is_that_of_the_feature_extractor():
    assert training_normalization(config(), [96, 96]) == (127.5, 127.5)


def test_a_normalization_that_differs_by_channel_is_refused():
    text = tiny_detector.config_text().replace('"ssd_mobilenet_v2"', '"ssd_resnet50_v1_fpn"').replace("num_layers: 3 override", "override")
    with pytest.raises(StageError, match="normalizes its input"):
        training_normalization(config(text), [96, 96])


@pytest.mark.parametrize(
    ("mean", "std", "expected"),
    [
        (127.5, 127.5, (128, 128.0)),  # MobileNet, Inception
        (0.0, 1.0, (0, 1.0)),
        (0.0, 255.0, (0, 255.0)),
        (128.0, 64.0, (128, 64.0)),
    ],
)
def test_the_quantized_mean_is_whole_and_black_stays_exact(mean, std, expected):
    whole, scale = quantized_normalization(mean, std)
    assert (whole, scale) == expected
    assert whole / scale == mean / std
