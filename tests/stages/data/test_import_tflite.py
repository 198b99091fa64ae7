"""A .tflite of somebody else's as an artifact: what is found in it, its labels in any usual form, and which models are refused."""

import json

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as litert
from litert_operator import AS_INT8, AS_UINT8, ATTRIBUTES, FLOAT, SIDE, grid_anchors, small_detector
from tflite_files import CLASSES, detections_of, same_detections

import detector_images
from stage_helpers import artifact

NAMES = "circle\nsquare\ntriangle\n"
LABEL_MAP = "item { id: 1 name: 'circle' }\nitem { id: 2 name: 'square' }\nitem { id: 3 name: 'triangle' }\n"


@pytest.fixture
def import_model(run_here, tmp_path):
    """import_model(bytes, labels=text, …): the outcome; labels_name: of their file; anchors: an array, or bytes; beside: text of a
    lint.json in the same folder; others: parameters.
    """

    def call(content, labels=NAMES, labels_name="labels.txt", anchors=None, beside=None, **params):
        folder = tmp_path / ("theirs-%d" % len(list(tmp_path.glob("theirs-*"))))
        folder.mkdir()
        given = {"path": folder / "theirs.tflite", "labels": folder / labels_name}
        given["path"].write_bytes(content)
        given["labels"].write_bytes(labels.encode() if isinstance(labels, str) else labels)
        if beside is not None:
            (folder / "lint.json").write_text(beside)
        if anchors is not None:
            given["anchors"] = folder / "theirs.npy"
            given["anchors"].write_bytes(anchors) if isinstance(anchors, bytes) else np.save(given["anchors"], anchors)
        usual = {"anchors": None, "mean": None, "std": None, "decode": {}}
        return run_here("import-tflite", {**usual, **{name: str(path) for name, path in given.items()}, **params}, {})

    return call


@pytest.fixture
def infer(run_here, tmp_path):
    """infer(outcome of an import): the detections of infer-tflite with it, {image id: Found}."""

    def call(done, classes=CLASSES, by_name=False):
        assert done.error is None, done.error
        folder = tmp_path / ("records-%d" % len(list(tmp_path.glob("records-*"))))
        folder.mkdir()
        inputs = {"model": artifact("import", "tflite", done.output), "records": detector_images.write_records(folder, classes)}
        params = {"split": "val", "shards": 1, "discard_image_pixels": True, "layers": 0, "kernels": "fast", "classes_by_name": by_name}
        found = run_here("infer-tflite", params, inputs)
        assert found.error is None, found.error
        return detections_of(found)

    return call


def as_tf2_names(model, order=(1, 3, 0, 2)):
    """A model's outputs as TensorFlow 2 exports them: renamed, in another order."""
    for number, index in enumerate(model.outputs):
        model.tensors[index].name = "StatefulPartitionedCall:%d" % number
    model.outputs = [model.outputs[place] for place in order]
    return model.bytes()


def test_all_that_the_file_says_is_read_off_it(import_model):
    content = small_detector().bytes()
    done = import_model(content)
    assert done.error is None, done.error
    assert (done.output / "model.tflite").read_bytes() == content
    lint = done.json("lint.json")
    assert (lint["inference_type"], lint["mean"], lint["std"], lint["input_size"]) == ("uint8", 128, 128.0, [SIDE, SIDE])
    assert lint["decode"] == pytest.approx(ATTRIBUTES)
    assert lint["output_order"] == ["boxes", "classes", "scores", "count"]
    assert done.json("labels.json") == {"schema": 1, "classes": CLASSES}
    anchors = np.load(done.output / "anchors.npy")
    assert anchors.dtype == np.float32
    np.testing.assert_allclose(anchors, grid_anchors(), atol=grid_anchors().max() / 255)  # the operator's are uint8


def test_an_int8_model_of_tensorflow_2_runs_as_it_is(import_model, infer):
    done = import_model(as_tf2_names(small_detector(AS_INT8)))
    lint = done.json("lint.json")
    assert (lint["inference_type"], lint["mean"], lint["std"]) == ("int8", 128, 128.0)
    assert lint["output_order"] == ["classes", "count", "boxes", "scores"]
    np.testing.assert_array_equal(np.load(done.output / "anchors.npy"), grid_anchors())
    assert sum(len(found.detections.scores) for found in infer(done).values()) > 5


def test_a_float_model_needs_mean_and_std(import_model, infer):
    content = small_detector(False).bytes()
    refused = import_model(content)
    assert refused.error["what"] == "the model's input is float, and nobody says what it makes of pixels"
    given = import_model(content, mean=[128], std=[128])
    assert (given.json("lint.json")["inference_type"], given.json("lint.json")["mean"]) == ("float", 128)
    whole, channels = infer(given), infer(import_model(content, mean=[128, 128, 128], std=[128, 128, 128]))
    assert all(same_detections(whole[number].detections, channels[number].detections) for number in whole)


def test_raw_outputs_are_decoded_with_given_anchors(import_model, infer):
    content = small_detector(False, operator=False).bytes()
    chosen = {name: ATTRIBUTES[name] for name in ("max_detections", "nms_score_threshold", "nms_iou_threshold")}
    raw = import_model(content, anchors=grid_anchors(), mean=[128], std=[128], decode=chosen)
    own = import_model(small_detector(False).bytes(), mean=[128], std=[128])
    one, other = infer(raw), infer(own)
    assert all(same_detections(one[number].detections, other[number].detections, atol=1e-5) for number in one)


def test_anchors_may_be_doubles(import_model):
    done = import_model(small_detector(operator=False).bytes(), anchors=grid_anchors().astype(np.float64))
    assert np.load(done.output / "anchors.npy").dtype == np.float32


def test_a_mean_that_does_not_fit_the_inputs_steps_is_told(import_model):
    warnings = import_model(small_detector().bytes(), mean=[0], std=[1]).result["warnings"]
    assert warnings == [
        "the model's input tells only 2 of 256 grey levels apart with this mean and std; its own steps are 0.0078125 apart, from 128"
    ]
    assert import_model(small_detector().bytes(), mean=[127.5], std=[127.5]).result["warnings"] == []


@pytest.mark.parametrize(
    ("labels", "name", "expected"),
    [
        (NAMES, "labels.txt", CLASSES),
        ("\ufeffcircle\r\nsquare\r\ntriangle\r\n\r\n", "labels.txt", CLASSES),
        ("background\n" + NAMES, "labels.txt", CLASSES),
        ("???\n" + NAMES, "labels.txt", CLASSES),
        ("circle\n???\ntriangle", "labels", ["circle", "???2", "triangle"]),
        ("???\ncircle\n???\n???", "labels", ["circle", "???2", "???3"]),
        ("Background\nsquare\ntriangle", "labels.txt", ["Background", "square", "triangle"]),
        ("0  circle\n1  square\n2  triangle\n", "coco_labels.txt", CLASSES),
        ("0  circle\n2  triangle\n", "coco_labels.txt", ["circle", "???2", "triangle"]),
        ("0 background\n1 circle\n2 square\n3 triangle\n", "labels.txt", CLASSES),
        ("2 doves\nthe 3 graces\n7\n", "labels.txt", ["2 doves", "the 3 graces", "7"]),
        (LABEL_MAP, "labels.pbtxt", CLASSES),
        ("item { id: 0 name: 'background' }\n" + LABEL_MAP, "labels.pbtxt", CLASSES),
        ("item { id: 3 name: '/m/1' display_name: 'c' }\nitem { id: 1 name: 'a' }", "labels.pbtxt", ["a", "???2", "c"]),
    ],
    ids=[
        "a name a line",
        "with a byte order mark, Windows' line ends, empty lines at the end",
        "after the background",
        "after ???",
        "??? for a gap",
        "??? for background and gaps",
        "a class called Background, where the number tells",
        "numbered from 0",
        "numbered with a gap",
        "numbered with the background",
        "numbers that are part of names",
        "a label map",
        "a label map with the background",
        "a label map with a gap and display names",
    ],
)
def test_labels_are_read_in_every_usual_form(import_model, labels, name, expected):
    done = import_model(small_detector().bytes(), labels=labels, labels_name=name)
    assert done.error is None, done.error
    assert done.json("labels.json")["classes"] == expected


def test_cocos_label_map_fits_a_model_of_90_classes_and_a_dataset_of_three(import_model, infer, shared_data):
    path = shared_data("label_maps") / "official__mscoco_label_map.pbtxt"
    content = small_detector(attributes=dict(ATTRIBUTES, num_classes=90), classes=91).bytes()
    done = import_model(content, labels=path.read_bytes(), labels_name="coco.pbtxt")
    classes = done.json("labels.json")["classes"]
    assert (len(classes), classes[0], classes[11], classes[89]) == (90, "person", "???12", "toothbrush")
    complete = shared_data("label_maps") / "official__mscoco_complete_label_map.pbtxt"
    assert len(import_model(content, labels=complete.read_bytes(), labels_name="all.pbtxt").json("labels.json")["classes"]) == 90
    found = infer(done, classes=["zebra", "dog", "person"], by_name=True)
    assert {label for each in found.values() for label in each.detections.classes.tolist()} <= {0, 1, 2}


def test_a_real_model_is_imported_and_finds_what_its_file_says(import_model, infer, shared_data):
    content = (shared_data("tflite") / "ssd_mobilenet_v1_uint8_postprocess.tflite").read_bytes()
    done = import_model(content, labels="bird\n")
    lint = done.json("lint.json")
    assert (lint["input_size"], lint["decode"]["num_classes"], lint["decode"]["max_detections"]) == ([300, 300], 1, 10)
    assert np.load(done.output / "anchors.npy").shape == (1917, 4)
    assert sorted(infer(done, classes=["bird"])) == [1, 2, 3, 4, 5, 6]


def compiled():
    model = small_detector()
    model.operator(litert.BuiltinOperator.CUSTOM, [0], [model.tensor("x", [1], FLOAT)], custom="edgetpu-custom-op")
    return model.bytes()


def without_a_constant():
    model = small_detector()
    model.named("anchors").buffer = 0
    return model.bytes()


def not_finite():
    model = small_detector(False)
    model.buffers[model.named("box/bias").buffer] = np.full(4, np.nan, np.float32).tobytes()
    return model.bytes()


GOOD, RAW = small_detector().bytes(), small_detector(operator=False).bytes()
ZEROS = np.zeros([36, 4], np.float32)


@pytest.mark.parametrize(
    ("content", "given", "says", "where"),
    [
        (b"", {}, "the model is an empty file", "theirs.tflite"),
        (b"\x89PNG\r\n\x1a\n", {}, "not a TensorFlow Lite model", "theirs.tflite"),
        (GOOD[:-500], {}, None, "theirs.tflite"),
        (compiled(), {}, "compiled for the Edge TPU", "theirs.tflite"),
        (without_a_constant(), {}, "the model computes its anchors", "tensor anchors"),
        (not_finite(), {"mean": [128], "std": [128]}, "values that are not finite", "TFLite_Detection_PostProcess"),
        (RAW, {}, "no post-process operator, and its anchors are not given", "theirs.tflite"),
        (RAW, {"anchors": ZEROS[:5]}, "the anchors are not the model's", "theirs.npy"),
        (RAW, {"anchors": ZEROS.astype(int)}, "no table of numbers", "theirs.npy"),
        (RAW, {"anchors": ZEROS * np.nan}, "no table of numbers", "theirs.npy"),
        (RAW, {"anchors": b"1 2 3 4"}, "the anchors cannot be read", "theirs.npy"),
        (GOOD, {"anchors": ZEROS}, "the model has its own anchors", "import-tflite.anchors"),
        (GOOD, {"decode": {"max_detections": 5}}, "decodes its boxes itself", "import-tflite.decode"),
        (GOOD, {"mean": [128]}, "one of mean and std is missing", "import-tflite"),
        (GOOD, {"mean": [128], "std": [0]}, "mean or std is no good", "import-tflite"),
        (GOOD, {"mean": [1, 2], "std": [1, 2]}, "mean or std is no good", "import-tflite"),
        (GOOD, {"labels": ""}, "the labels are empty", "labels.txt"),
        (GOOD, {"labels": "circle\nsquare\n"}, "the labels are not as many as the model's classes", "labels.txt"),
        (GOOD, {"labels": "background\ncircle\nsquare\nstar\nmoon\n"}, "the labels are not as many", "labels.txt"),
        (GOOD, {"labels": "circle\n\ntriangle\n"}, "a class has no name", "labels.txt:2"),
        (GOOD, {"labels": "circle\nsquare\ncircle\n"}, "two classes have the same name", "labels.txt:3"),
        (GOOD, {"labels": "0 circle\n0 square\n1 star\n"}, "two classes have the same number", "labels.txt:2"),
        (GOOD, {"labels": "0 circle\n999999 square\n"}, "a class's number is very high", "labels.txt"),
        (GOOD, {"labels": b"\xff\xfe\x00"}, "the labels are not UTF-8", "labels.txt"),
        (GOOD, {"labels": "item { id: -1 name: 'a' }", "labels_name": "l.pbtxt"}, "a class's number is below 0", "l.pbtxt:1"),
        (GOOD, {"labels": "circle", "labels_name": "l.pbtxt"}, "the label map cannot be read", "l.pbtxt:1"),
        (GOOD, {"path": None}, "the parameter path is missing", "import-tflite.path"),
        (GOOD, {"path": "/nowhere/a.tflite"}, "the model cannot be read: No such file", "/nowhere/a.tflite"),
        (GOOD, {"path": "/"}, "the model cannot be read: Is a directory", "/"),
    ],
)
def test_what_cannot_be_used_is_refused(import_model, content, given, says, where):
    done = import_model(content, **given)
    assert done.code == 1
    assert says is None or says in done.error["what"], done.error
    assert done.error["where"].endswith(where), done.error
    assert done.error["remedy"]
    assert not list(done.output.iterdir())


UNUSABLE = json.dumps({"schema": 1, "usable": False, "unusable_because": "its weights are untrained"})


def test_a_model_that_a_conversion_marked_as_not_for_use_is_refused_with_its_reason(import_model, tmp_path):
    error = import_model(GOOD, beside=UNUSABLE).error
    assert error["what"] == "the model is marked as not for use"
    assert error["where"].endswith("lint.json")
    assert (error["expected"], error["found"]) == ("usable: true", "its weights are untrained")
    assert error["remedy"]
    (tmp_path / "link.tflite").symlink_to(tmp_path / "theirs-0" / "theirs.tflite")
    assert import_model(GOOD, path=str(tmp_path / "link.tflite")).error["found"] == "its weights are untrained"
    assert import_model(GOOD, beside=json.dumps({"usable": False})).error["found"] == "usable: false"


@pytest.mark.parametrize("beside", ["", "no JSON", "[false]", "{}", "null", '{"usable": true}', '{"usable": null}', "\x00\ud7ff"], ids=repr)
def test_any_other_lint_json_is_nobodys_business(import_model, beside):
    assert import_model(GOOD, beside=beside).error is None


def test_the_name_of_the_file_is_not_in_the_artifact(import_model):
    done = import_model(small_detector().bytes(), labels_name="a-strange-name.txt")
    assert not [path for path in done.output.iterdir() if b"theirs" in path.read_bytes() or b"strange" in path.read_bytes()]
    assert json.loads((done.output / "lint.json").read_text())["schema"] == 1


def test_what_is_told_in_figures(import_model):
    assert import_model(small_detector(AS_UINT8).bytes()).result["metrics"] == {
        "bytes": len(small_detector().bytes()),
        "operators": 6,
        "classes": 3,
        "anchors": 36,
    }
