"""Inference with LiteRT: what the model finds, whatever the number of processes, and what is refused."""

import json
import shutil
import struct

import numpy as np
import pytest
from _detection.inference import coco_results
from _detection.postprocess import Attributes, Detections, postprocess
from _detection.resize import model_input, normalize, sha256
from _tflite.lint import Expected, describe, lint
from _tflite.model import read_model
from ai_edge_litert import schema_py_generated as litert
from litert_operator import ATTRIBUTES, FLOAT, OUTPUTS, RAW_OUTPUTS, SIDE, grid_anchors, run_model, small_detector

import detector_images
from stage_helpers import artifact, load

CLASSES = ["circle", "square", "triangle"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return detector_images.write_dataset(tmp_path_factory.mktemp("dataset") / "d", CLASSES, count=40)


def write_model(folder, content, **changes):
    """A tflite artifact as the stage convert writes it; changes: to lint.json."""
    folder.mkdir()
    (folder / "model.tflite").write_bytes(content)
    report = dict(
        describe(read_model(content)),
        schema=1,
        inference_type="uint8",
        mean=128,
        std=128.0,
        input_size=[SIDE, SIDE],
        decode=ATTRIBUTES,
        usable=True,
        unusable_because=None,
    )
    (folder / "lint.json").write_text(json.dumps(dict(report, **changes)))
    (folder / "labels.json").write_text(json.dumps({"schema": 1, "classes": CLASSES}))
    np.save(folder / "anchors.npy", grid_anchors())
    return folder


@pytest.fixture
def infer(run_stage, tmp_path, dataset):
    """infer(bytes of a model, …): the stage's outcome."""

    def call(content, data=dataset, split="val", cpus=1, kernels="fast", **changes):
        folder = tmp_path / "model"
        shutil.rmtree(folder, ignore_errors=True)
        model = artifact("convert", "tflite", write_model(folder, content, **changes))
        return run_stage("infer-tflite", {"split": split, "kernels": kernels}, {"model": model, "dataset": data}, cpus=cpus)

    return call


def rows_of(done, number):
    return [row for row in done.json("detections.json") if row["image_id"] == number]


def image(number):
    width, height = detector_images.size(number)
    return {"id": number, "width": width, "height": height}


def pixels_of(dataset, number):
    return model_input(f"{dataset['path']}/images/{number}.{'jpg' if number % 2 else 'png'}", SIDE, SIDE)


def test_detections_are_the_operators_own_in_pixels_of_the_image(infer, dataset):
    content = small_detector().bytes()
    done = infer(content)
    assert done.code == 0, done.log
    boxes, classes, scores, count = run_model(content, pixels_of(dataset, 3))
    number = int(count[0])
    expected = coco_results(image(3), Detections(boxes[0, :number], classes[0, :number].astype(int), scores[0, :number]))
    assert rows_of(done, 3) == expected
    assert expected


def test_without_the_operator_the_raw_outputs_are_decoded_in_the_same_way(infer, dataset):
    content = small_detector(operator=False).bytes()
    done = infer(content)
    assert done.code == 0, done.log
    boxes, scores = run_model(content, pixels_of(dataset, 4))
    real = postprocess(
        np.float32(0.05) * (boxes[0].astype(np.float32) - 128), scores[0].astype(np.float32) / 256, grid_anchors(), Attributes(**ATTRIBUTES)
    )
    assert rows_of(done, 4) == coco_results(image(4), real)


def test_the_operator_and_its_imitation_find_the_same_on_a_float_model(infer):
    # In a uint8 model the operator's anchors are uint8 too, so there the boxes differ a little.
    one = infer(small_detector(quantized=False).bytes(), inference_type="float")
    other = infer(small_detector(quantized=False, operator=False).bytes(), inference_type="float")
    assert (one.code, other.code) == (0, 0), one.log + other.log
    ours, theirs = one.json("detections.json"), other.json("detections.json")
    assert len(ours) == len(theirs) > 40
    for row, twin in zip(ours, theirs, strict=True):
        assert (row["image_id"], row["category_id"], row["score"]) == (twin["image_id"], twin["category_id"], twin["score"])
        assert row["bbox"] == pytest.approx(twin["bbox"], abs=0.002)


def test_a_float_model_reads_normalized_pixels(infer, dataset):
    content = small_detector(quantized=False).bytes()
    done = infer(content, inference_type="float")
    scores = run_model(content, normalize(pixels_of(dataset, 2), 128, 128.0))[2]
    assert rows_of(done, 2)[0]["score"] == pytest.approx(float(scores[0, 0]), abs=1e-7)


def test_several_classes_of_a_box_are_all_kept(infer, dataset):
    how = dict(ATTRIBUTES, max_classes_per_detection=2, nms_score_threshold=0.05)
    content = small_detector(attributes=how).bytes()
    done = infer(content, decode=how)
    _boxes, _classes, scores, count = run_model(content, pixels_of(dataset, 1))
    assert len(rows_of(done, 1)) == 2 * int(count[0]) > 2
    assert [row["score"] for row in rows_of(done, 1)] == pytest.approx(scores[0, : 2 * int(count[0])].tolist())


def test_the_result_does_not_depend_on_the_number_of_processes(infer):
    content = small_detector().bytes()
    one, three = infer(content, cpus=1), infer(content, cpus=3)
    for name in ("detections.json", "inference.json"):
        assert (one.output / name).read_bytes() == (three.output / name).read_bytes()
    assert [found["id"] for found in three.json("inference.json")["images"]] == list(range(1, 41))
    assert three.json("timing.json")["processes"] == 3


def test_the_sha256_of_the_input_and_of_the_model_are_kept(infer, dataset):
    content = small_detector().bytes()
    inference = infer(content).json("inference.json")
    assert inference["images"][1]["input_sha256"] == sha256(pixels_of(dataset, 2))
    assert inference["model"]["runtime"] == "LiteRT"
    assert (inference["model"]["kind"], len(inference["model"]["sha256"])) == ("tflite", 64)


def test_the_kernels_are_those_asked_for_and_are_named(infer):
    content = small_detector().bytes()
    told = {kernels: infer(content, kernels=kernels) for kernels in ("reference", "fast")}
    assert [told[kernels].json("inference.json")["model"]["kernels"] for kernels in told] == ["reference", "fast"]
    assert ["XNNPACK delegate" in told[kernels].log for kernels in told] == [False, True]


def test_finding_nothing_is_a_warning(infer):
    done = infer(small_detector(attributes=dict(ATTRIBUTES, nms_score_threshold=2.0)).bytes())
    assert done.json("detections.json") == []
    assert "nothing was found" in done.result["warnings"][0]


def swapped():
    model = small_detector()
    model.outputs = [model.outputs[place] for place in (0, 2, 1, 3)]
    return model.bytes()


def without_an_output():
    model = small_detector(operator=False)
    model.outputs = model.outputs[:1]
    return model.bytes()


def swapped_raw():
    model = small_detector(operator=False)
    model.outputs = model.outputs[::-1]
    return model.bytes()


def unloadable():
    model = small_detector()
    model.operator(litert.BuiltinOperator.CUSTOM, [0], [model.tensor("x", [1], FLOAT)], custom="Tan")
    return model.bytes()


@pytest.mark.parametrize(
    ("content", "changes", "says", "found"),
    [
        (swapped, {}, "outputs are not a detector's, or in another order", ", ".join(OUTPUTS[place] for place in (0, 2, 1, 3))),
        (without_an_output, {}, "outputs are not a detector's", RAW_OUTPUTS[0]),
        (swapped_raw, {}, "outputs are not a detector's", ", ".join(RAW_OUTPUTS[::-1])),
        (lambda: small_detector().bytes(), {"inference_type": "float"}, "input is not the one described", "uint8 [1, 24, 24, 3]"),
        (lambda: small_detector().bytes(), {"input_size": [30, 24]}, "input is not the one described", "uint8 [1, 24, 24, 3]"),
        (
            lambda: small_detector().bytes(),
            {"usable": False, "unusable_because": "it has dummy ranges"},
            "not for use",
            "it has dummy ranges",
        ),
        (unloadable, {}, "LiteRT cannot load the model", None),
    ],
)
def test_a_model_that_is_not_what_it_says_is_refused(infer, content, changes, says, found):
    done = infer(content(), **changes)
    assert done.code == 1
    assert says in done.error["what"]
    assert found in (None, done.error["found"])
    assert not list(done.output.iterdir())


@pytest.mark.parametrize("operator", [True, False])
def test_outputs_that_are_not_finite_are_an_error_that_names_the_image(infer, operator):
    model = small_detector(quantized=False, operator=operator)
    place = model.named("box/bias").buffer
    model.buffers[place] = np.full(4, np.nan, np.float32).tobytes()
    done = infer(model.bytes(), inference_type="float")
    assert done.code == 1
    assert done.error["what"] == "the model puts out values that are not finite"
    assert done.error["where"].endswith("1.jpg")


def test_labels_of_another_dataset_are_refused(infer, tmp_path):
    other = detector_images.write_dataset(tmp_path / "other", ["circle", "square", "star"], count=1)
    error = infer(small_detector().bytes(), data=other).error
    assert (error["where"], error["expected"], error["found"]) == ("labels.json, class 3", "star", "triangle")


def test_an_unknown_split_is_refused(infer):
    assert "no split test" in infer(small_detector().bytes(), split="test").error["what"]


def test_a_real_model_decoded_here_equals_its_own_operator(shared_data):
    # Its anchors are the operator's third input, quantized; the raw outputs are the first two.
    content = (shared_data("tflite") / "ssd_mobilenet_v1_uint8_postprocess.tflite").read_bytes()
    # Its threshold of 0.3 would leave nothing of a picture of noise.
    content = content.replace(struct.pack("<f", 0.3), struct.pack("<f", 1e-8))
    model = read_model(content)
    how = Attributes(**{name: describe(model)["postprocess"][name] for name in Attributes._fields})
    assert how.nms_score_threshold < 1e-7
    litert_detector = load("infer-tflite", "litert_detector")
    interpreter = litert_detector.Interpreter(model_content=content, num_threads=1, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    details = {found["index"]: found for found in interpreter.get_tensor_details()}
    for seed in range(3):
        interpreter.set_tensor(model.inputs[0], detector_images.picture(seed, 300, 300)[None])
        interpreter.invoke()
        boxes, scores, anchors = (litert_detector._real(interpreter, details[index]) for index in model.operators[-1].inputs)
        found = postprocess(boxes[0], scores[0], anchors, how)
        theirs = [interpreter.get_tensor(index) for index in model.outputs]
        assert len(found.scores) == theirs[3][0] == 10
        np.testing.assert_array_equal(found.scores, theirs[2][0])
        np.testing.assert_array_equal(found.classes, theirs[1][0].astype(int))
        np.testing.assert_allclose(found.boxes, theirs[0][0], atol=1e-5)


def test_the_lint_passes_a_real_model(shared_data):
    content = (shared_data("tflite") / "ssd_mobilenet_v1_uint8_postprocess.tflite").read_bytes()
    attributes = {"max_detections": 10, "num_classes": 1, "nms_score_threshold": 0.3, "use_regular_nms": False}
    report = lint(content, Expected("uint8", "normalized_input_image_tensor", [1, 300, 300, 3], 128, 128.0, OUTPUTS, attributes))
    assert {found["op"]: found["count"] for found in report["operators"]}["TFLite_Detection_PostProcess"] == 1
