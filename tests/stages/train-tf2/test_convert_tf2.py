"""Conversion by TensorFlow 2's converter: what is in the model, the same bytes each time, and what is refused."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from _detection.detection_records import share_examples, share_plan
from _detection.inference import record_input
from _detection.postprocess import attributes, postprocess
from _detection.resize import normalize
from _litert.interface import input_table, read_interface
from _runtime import Interrupted, StageError
from _tflite.custom_options import read_options
from _tflite.model import read_model
from freeze_fixtures_tf2 import CONVERT, SIDE, converted_tiny, decode, frozen_tiny, train_records, write_by_hand
from tiny_config_tf2 import CLASSES, SIZE

import detector_images
from stage_helpers import STAGES, artifact, load

converter = load("convert-tf2", "converter_process")
representative = load("convert-tf2", "representative")
conversion = load("convert-tf2", "run")
detect_model = load("package", "detect_model")


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory, tiny_checkpoint_tf2):
    return converted_tiny(tmp_path_factory, tiny_checkpoint_tf2)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return train_records(tmp_path_factory)


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory):
    """The folder of a saved-model artifact of three convolutions."""
    return write_by_hand(tmp_path_factory.mktemp("by-hand"))


@pytest.fixture
def convert(run_here, records):
    """convert(SAVED MODEL FOLDER, records=…, parameters that differ from the usual)."""

    def call(folder, records=records, **params):
        inputs = {"model": artifact("freeze-tf2", "saved-model", folder), "records": records}
        return run_here("convert-tf2", dict(CONVERT, **params), inputs)

    return call


def counts(lint):
    return {found["op"]: found["count"] for found in lint["operators"]}


def picture(number):
    """uint8 [1, height, width, 3] for the detector by hand."""
    return detector_images.picture(number, SIDE, SIDE)[None]


def run_model(folder, pixels):
    """(boxes, classes, scores, count) of a converted model's operator, by TensorFlow's own interpreter."""
    content, lint = (folder / "model.tflite").read_bytes(), json.loads((folder / "lint.json").read_text())
    interpreter = tf.lite.Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]
    table = input_table(read_interface(read_model(content)).source, lint["mean"], lint["std"])
    interpreter.set_tensor(source["index"], table[pixels, np.arange(3) % table.shape[1]])
    interpreter.invoke()
    return [interpreter.get_tensor(found["index"])[0] for found in interpreter.get_output_details()]


def raw_detections(folder, pixels):
    """`Detections` of the SavedModel's raw outputs, decoded as the operator does it."""
    graph = json.loads((folder / "graph.json").read_text())
    source = tf.constant(normalize(pixels, graph["input"]["mean"], graph["input"]["std"]))
    found = tf.saved_model.load(str(folder / "saved_model")).signatures["raw_outputs"](source)
    how = attributes(graph["decode"], "graph.json")
    raw = [found[graph["raw_outputs"][name]][0].numpy() for name in ("boxes", "scores")]
    return postprocess(*raw, np.load(folder / "anchors.npy"), how)


def test_the_lint_says_what_the_model_is(tiny_model):
    lint = json.loads((tiny_model / "lint.json").read_text())
    assert (lint["usable"], lint["inference_type"], lint["mean"], lint["std"], lint["input_size"]) == (
        True,
        "int8",
        127.5,
        127.5,
        [SIZE, SIZE],
    )
    (found,) = lint["inputs"]
    assert (found["name"], found["shape"], found["type"]) == (
        "serving_default_normalized_input_image_tensor:0",
        [1, SIZE, SIZE, 3],
        "uint8",
    )
    assert 2 / 255 * 0.9 < found["scale"] < 2 / 255 * 1.1
    assert lint["output_order"] == ["boxes", "classes", "scores", "count"]
    assert [found["shape"] for found in lint["outputs"]] == [[1, 20, 4], [1, 20], [1, 20], [1]]
    assert lint["bytes"] == (tiny_model / "model.tflite").stat().st_size


def test_every_operator_but_the_post_process_is_int8(tiny_model):
    model = read_model((tiny_model / "model.tflite").read_bytes())
    floats = {operator.op for operator in model.operators for index in operator.outputs if model.tensors[index].type == "float32"}
    assert floats == {"DEQUANTIZE", "TFLite_Detection_PostProcess"}
    assert counts(json.loads((tiny_model / "lint.json").read_text()))["DEQUANTIZE"] == 2


def test_the_operator_has_all_attributes_and_the_anchors_of_graph_json(tmp_path_factory, tiny_checkpoint_tf2, tiny_model):
    # The converter itself leaves detections_per_class out.
    frozen = frozen_tiny(tmp_path_factory, tiny_checkpoint_tf2)
    model = read_model((tiny_model / "model.tflite").read_bytes())
    operator = next(each for each in model.operators if each.custom)
    assert read_options(operator.options) == pytest.approx(json.loads((frozen / "graph.json").read_text())["decode"])
    interpreter = tf.lite.Interpreter(model_path=str(tiny_model / "model.tflite"))
    interpreter.allocate_tensors()
    assert np.array_equal(interpreter.get_tensor(operator.inputs[2]), np.load(frozen / "anchors.npy"))
    assert (tiny_model / "anchors.npy").read_bytes() == (frozen / "anchors.npy").read_bytes()
    assert json.loads((tiny_model / "labels.json").read_text()) == {"schema": 1, "classes": CLASSES}


@pytest.mark.slow
def test_conversion_writes_the_same_bytes_each_time(convert, tmp_path_factory, tiny_checkpoint_tf2, tiny_model):
    done = convert(frozen_tiny(tmp_path_factory, tiny_checkpoint_tf2))
    assert done.error is None
    for path in tiny_model.iterdir():
        assert (done.output / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "mean", "std"),
    [
        ("uint8", [123.68, 116.779, 103.939], 1.0),
        ("int8", [123.68, 116.28, 103.53], [58.395, 57.12, 57.375]),
        ("float32", 127.5, 127.5),
    ],
)
def test_an_input_of_each_type_gets_what_its_pixels_are(convert, monkeypatch, tmp_path, kind, mean, std):
    folder = write_by_hand(tmp_path, mean=mean, std=std, nms_score_threshold=0.01)
    done = convert(folder, input_type=kind)
    assert done.error is None
    lint = done.json("lint.json")
    assert (lint["inputs"][0]["type"], lint["mean"], lint["std"]) == (kind, mean, std)
    # detect.py of a package, with TensorFlow's own interpreter in LiteRT's place, which this image has not.
    monkeypatch.setattr(detect_model, "import_runtime", lambda: tf.lite)
    places = {name: place for place, name in enumerate(lint["output_order"])}
    detector = detect_model.Detector(str(done.output / "model.tflite"), dict(lint, outputs=places))
    source = read_interface(read_model((done.output / "model.tflite").read_bytes())).source
    for number in (1, 2, 3):
        found, expected = detector(picture(number)[0]), raw_detections(folder, picture(number))
        given = source.real(detector._interpreter.get_tensor(source.index))
        assert given == pytest.approx(normalize(picture(number), mean, std), abs=0.51 * (source.scale or 0) + 1e-6)
        assert found.scores[:5] == pytest.approx(expected.scores[:5], abs=0.08)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("quantization", "types", "closeness"),
    [
        ("float16", {"float32", "float16", "int32"}, 0.01),
        ("dynamic-range", {"float32", "int8", "int32"}, 0.05),
        ("float", {"float32", "int32"}, 1e-4),
    ],
)
def test_others_measure_nothing_and_keep_a_float_input(convert, tmp_path_factory, tiny_checkpoint_tf2, quantization, types, closeness):
    frozen = frozen_tiny(tmp_path_factory, tiny_checkpoint_tf2)
    done = convert(frozen, records=None, quantization=quantization)
    assert done.error is None
    lint = done.json("lint.json")
    assert set(lint["tensors"]) == types
    assert (lint["inference_type"], lint["inputs"][0]["type"]) == (quantization, "float32")
    pixels = detector_images.picture(1, SIZE, SIZE)[None]
    assert run_model(done.output, pixels)[2] == pytest.approx(raw_detections(frozen, pixels).scores, abs=closeness)


@pytest.mark.slow
def test_the_regular_suppression_keeps_as_many_boxes_of_a_class_as_was_asked_for(convert, tmp_path):
    folder = write_by_hand(tmp_path, use_regular_nms=True, detections_per_class=2, nms_score_threshold=0.01, nms_iou_threshold=0.9)
    done = convert(folder, records=None, quantization="float")
    _, classes, scores, count = run_model(done.output, picture(1))
    expected = raw_detections(folder, picture(1))
    assert scores[: int(count)] == pytest.approx(expected.scores, abs=1e-5)
    assert classes[: int(count)].tolist() == expected.classes.tolist()
    assert max(np.bincount(expected.classes)) == 2


@pytest.mark.slow
def test_without_the_operator_the_outputs_are_the_raw_ones(convert, tmp_path):
    done = convert(write_by_hand(tmp_path, postprocess=False))
    assert done.error is None
    lint = done.json("lint.json")
    assert (lint["output_order"], lint["postprocess"]) == (["boxes", "scores"], None)
    assert "TFLite_Detection_PostProcess" not in counts(lint)
    assert lint["decode"] == decode()


@pytest.mark.slow
def test_a_model_that_was_trained_for_quantization_needs_no_images(convert, tmp_path):
    folder = write_by_hand(tmp_path, trained=True)
    done = convert(folder, records=None)
    assert done.error is None
    assert done.json("lint.json")["tensors"]["int8"] > 0
    expected = raw_detections(folder, picture(2))
    assert run_model(done.output, picture(2))[2][: len(expected.scores)][:5] == pytest.approx(expected.scores[:5], abs=0.05)


def test_images_are_drawn_from_the_train_split_the_same_for_a_seed():
    index = {"splits": {"train": {"shards": [{"file": "a", "records": 30}, {"file": "b", "records": 70}]}, "val": {"shards": []}}}
    drawn = representative.draw(index, 20, 1)
    assert drawn == representative.draw(index, 20, 1)
    assert drawn != representative.draw(index, 20, 2)
    assert [name for name, _ in drawn] == ["a", "b"]
    assert sum(len(places) for _, places in drawn) == 20
    assert all(places == sorted(set(places)) and places[-1] < (30 if name == "a" else 70) for name, places in drawn)
    assert representative.draw(index, 1000, 3) == [("a", list(range(30))), ("b", list(range(70)))]


def test_they_are_prepared_as_inference_prepares_them(records, tmp_path):
    folder = Path(records["path"])
    index = json.loads((folder / "records.json").read_text())
    representative.write_images(folder, representative.draw(index, 100, 1), [20, 30], tmp_path / "images")
    written = np.fromfile(str(tmp_path / "images"), np.uint8).reshape(-1, 20, 30, 3)
    (share,) = share_plan(index, "train", 1)
    expected = [record_input(where, example, (20, 30))[0] for where, example in share_examples(folder, share)]
    assert np.array_equal(written, np.stack(expected))
    assert len(written) == 12


@pytest.mark.slow
def test_fewer_images_than_asked_for_are_all_taken_with_a_warning(convert, by_hand):
    done = convert(by_hand, representative_images=100)
    assert done.result["metrics"]["representative_images"] == 12
    assert "has 12 images" in done.result["warnings"][0]


def test_records_with_other_classes_are_refused(convert, by_hand, tmp_path):
    other = detector_images.write_records(tmp_path, ["circle", "square", "cross"], 2, split="train")
    done = convert(by_hand, records=other)
    assert "name a class differently" in done.error["what"]
    assert done.error["where"] == "graph.json, class 3"


def test_records_without_a_train_split_are_refused(convert, by_hand, tmp_path):
    done = convert(by_hand, records=detector_images.write_records(tmp_path, CLASSES, 2, split="val"))
    assert done.error["what"] == "there are no images to calibrate with"
    assert done.error["found"] == "val: 2 images"


def test_int8_without_records_is_refused(convert, by_hand):
    error = convert(by_hand, records=None).error
    assert error["where"] == "convert-tf2: input records"
    assert "float16" in error["remedy"]


@pytest.mark.parametrize(
    ("name", "value"), [("mean", None), ("std", None), ("std", 0.0), ("mean", [1.0, 2.0]), ("std", [1.0, 1.0, -1.0]), ("mean", "128")]
)
def test_a_model_that_does_not_say_how_its_input_is_normalized_is_refused(name, value):
    graph = {"input": {"mean": 127.5, "std": [1.0, 2.0, 3.0]}}
    conversion.check_normalization(graph)
    graph["input"][name] = value
    with pytest.raises(StageError, match="does not say how its input is normalized") as caught:
        conversion.check_normalization(graph)
    assert caught.value.where == f"graph.json: input.{name}"


@pytest.mark.slow
def test_pictures_that_the_model_was_not_made_for_are_refused(convert, tmp_path):
    # Trained with other ranges than its mean and std give: what a representative set with other preprocessing would measure.
    folder = write_by_hand(tmp_path, trained=True)
    graph = json.loads((folder / "graph.json").read_text())
    graph["input"].update(mean=0.0, std=1.0)
    (folder / "graph.json").write_text(json.dumps(graph))
    done = convert(folder)
    assert done.error["what"] == "the model's input has another range than normalized pixels"
    assert done.error["expected"].startswith("about 0 to 255")
    assert not list(done.output.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(("odd", "operator"), [(tf.sin, "SIN"), (tf.floor, "FLOOR")])
def test_an_operator_without_an_int8_version_is_refused_with_its_layer(convert, tmp_path, odd, operator):
    done = convert(write_by_hand(tmp_path, odd=odd))
    assert done.error["what"] == "an operator of the int8 model computes in float32"
    assert f"operator {operator} " in done.error["where"]
    assert done.error["where"].endswith("of the layer net/odd")
    assert "float16" in done.error["remedy"]
    assert not list(done.output.iterdir())


@pytest.mark.slow
def test_an_operator_that_tensorflow_lite_lacks_is_refused_with_its_layer(convert, tmp_path):
    folder = write_by_hand(tmp_path, odd=tf.math.erf)
    for quantization in ("int8", "float16"):
        done = convert(folder, quantization=quantization)
        assert "Erf" in done.error["what"] + done.error["found"]
        assert "net/odd" in done.error["where"] + done.error["found"]
        assert not list(done.output.iterdir())


@pytest.mark.slow
def test_a_saved_model_that_is_damaged_is_a_failure_with_the_converters_words(convert, by_hand, tmp_path):
    folder = shutil.copytree(by_hand, tmp_path / "copied")
    (folder / "saved_model/saved_model.pb").write_bytes(b"\x08\x01\x12\xff")
    error = convert(folder).error
    assert error["what"] == "the converter failed"
    assert "parsing" in error["found"].lower() or "DecodeError" in error["found"]


def test_a_converter_that_does_not_finish_is_killed_with_what_it_started(convert, by_hand):
    done = convert(by_hand, seconds=1)
    assert done.error["what"] == "the converter did not finish"
    assert not list((done.output.parent / "scratch").iterdir())


def pretend(monkeypatch, tmp_path, text):
    """Have another program run in the converter's place."""
    program = tmp_path / "program.py"
    program.write_text(text)
    monkeypatch.setattr(converter, "_PROGRAM", program)
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


REQUEST = converter.Request("saved_model", "int8", "uint8", {"size": [8, 8], "mean": 0.0, "std": 1.0})


@pytest.mark.parametrize(("text", "says"), [("", "no file"), ("open('model.tflite', 'wb')", "an empty file")])
def test_a_converter_that_ends_well_and_leaves_nothing_is_an_error(monkeypatch, tmp_path, text, says):
    scratch = pretend(monkeypatch, tmp_path, text)
    with pytest.raises(StageError, match="left no model") as caught:
        converter.run_converter(REQUEST, lambda _path: None, scratch, 60)
    assert caught.value.found == says


def test_the_end_of_its_log_is_told_without_tensorflows_notes(monkeypatch, tmp_path):
    program = "import sys; print('no such layer'); print('2026-01-01 00:00:00.1: I tensorflow/core/util.cc:1] a note'); sys.exit(3)"
    scratch = pretend(monkeypatch, tmp_path, program)
    with pytest.raises(StageError, match="the converter failed") as caught:
        converter.run_converter(REQUEST, lambda _path: None, scratch, 60)
    assert caught.value.found == "no such layer"


def test_a_converter_that_is_killed_is_said_to_be(monkeypatch, tmp_path):
    scratch = pretend(monkeypatch, tmp_path, "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(StageError, match="was killed") as caught:
        converter.run_converter(REQUEST, lambda _path: None, scratch, 60)
    assert "memory" in caught.value.remedy


@pytest.mark.parametrize("error", [StageError("an image cannot be decoded"), Interrupted(15)])
def test_images_that_cannot_be_prepared_end_the_converter_at_once(monkeypatch, tmp_path, error):
    scratch = pretend(monkeypatch, tmp_path, "import time; time.sleep(600)")

    def fail(_path):
        raise error

    start = time.monotonic()
    with pytest.raises(type(error)):
        converter.run_converter(REQUEST, fail, scratch, 300)
    assert time.monotonic() - start < 60
    assert not list(scratch.iterdir())


# A stage that has a converter wait for images (at the path that is given), writes none, and does not end.
STAGE = """
import os, subprocess, sys, time
program = "import converter_program as made, sys; print('waiting', flush=True); next(made.normalized_images(sys.argv[1], [8, 8], 0, 1, %d))"
subprocess.Popen([sys.executable, "-c", program % os.getpid(), sys.argv[1]])
time.sleep(600)
"""


def test_a_converter_that_waits_for_images_ends_with_a_stage_that_is_killed(tmp_path):
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(STAGES), str(STAGES / "convert-tf2")]))
    command = [sys.executable, "-c", STAGE, str(tmp_path / "images")]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as stage:
        assert any(line == "waiting\n" for line in stage.stdout)
        stage.kill()
        said, _ = stage.communicate(timeout=60)  # to the end of what both write to, so this is the end of the converter, too
    assert "the stage has ended" in said
