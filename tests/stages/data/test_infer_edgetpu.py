"""Inference on an Edge TPU, as far as a machine without one goes: what is refused, and what it says that is missing."""

import ctypes
import json

import numpy as np
import pytest
from _detection.postprocess import Attributes
from _litert.interface import read_interface
from _runtime import StageError
from _tflite.model import read_model
from ai_edge_litert import schema_py_generated as litert
from litert_operator import ATTRIBUTES, FLOAT, SIDE, UINT8, ModelBuilder, grid_anchors, small_detector
from tflite_files import CLASSES, write_model

import detector_images
from stage_helpers import artifact, load

LIBRARY = "libedgetpu.so.1"


def has_library():
    try:
        return bool(ctypes.CDLL(LIBRARY))
    except OSError:
        return False


without_library = pytest.mark.skipif(has_library(), reason="this machine has %s" % LIBRARY)


def compiled_detector(side=SIDE):
    """What the compiler makes of `small_detector`: one operator of its own before the post-process."""
    model = ModelBuilder()
    image = model.tensor("normalized_input_image_tensor", [1, side, side, 3], UINT8, None, 1 / 128, 128)
    model.inputs = [image]
    raw = [model.tensor("box", [1, 36, 4], UINT8, None, 0.05, 128), model.tensor("convert_scores", [1, 36, 3], UINT8, None, 1 / 256, 0)]
    model.operator(litert.BuiltinOperator.CUSTOM, [image], raw, custom="edgetpu-custom-op", custom_options=b"\0" * 16)
    model.postprocess([*raw, model.tensor("anchors", [36, 4], FLOAT, grid_anchors())], ATTRIBUTES)
    return model


@pytest.fixture
def infer(run_here, tmp_path):
    """infer(bytes of the compiled model): the stage's outcome; source: digest of the model that it says it was compiled from; name: of
    the compiled model's file.
    """

    def call(content, source="d" * 64, classes=CLASSES, name="model_edgetpu.tflite"):
        folder, records = tmp_path / "compiled", tmp_path / "records"
        folder.mkdir()
        records.mkdir()
        (folder / name).write_bytes(content)
        (folder / "manifest.json").write_text(json.dumps({"inputs": {"model": {"digest": source}}}))
        inputs = {
            "compiled": artifact("compile", "edgetpu", folder),
            "model": write_model(tmp_path / "model", small_detector().bytes()),
            "records": detector_images.write_records(records, classes),
        }
        params = {"split": "val", "shards": 0, "discard_image_pixels": True, "layers": 0, "device": "", "classes_by_name": False}
        return run_here("infer-edgetpu", params, inputs)

    return call


def with_filled_shapes():
    """As the real compiler leaves it: it knows what the post-process operator puts out."""
    model = compiled_detector()
    for index, shape in zip(model.outputs, ([1, 10, 4], [1, 10], [1, 10], [1]), strict=True):
        model.tensors[index].shape = shape
    return model.bytes()


@without_library
@pytest.mark.parametrize("content", [compiled_detector().bytes(), with_filled_shapes()], ids=["shapes as they were", "shapes filled in"])
def test_without_the_runtime_it_says_what_is_missing_and_how_to_do_without(infer, content):
    done = infer(content)
    assert done.error["what"] == "this machine has no Edge TPU runtime"
    assert done.error["where"] == LIBRARY
    assert "libedgetpu1-std" in done.error["remedy"]
    assert "optional: true" in done.error["remedy"]
    assert not list(done.output.iterdir())


@pytest.mark.parametrize(
    ("content", "given", "says"),
    [
        (compiled_detector().bytes(), {"source": "e" * 64}, "the compiled model was made from another model"),
        (compiled_detector(side=30).bytes(), {}, "the compiled model's inputs are not the model's"),
        (small_detector(operator=False).bytes(), {}, "the compiled model's outputs are not the model's"),
        (compiled_detector().bytes(), {"classes": CLASSES[:2]}, "the model and the dataset have different numbers of classes"),
        (b"", {}, "the model is an empty file"),
    ],
)
def test_what_does_not_belong_together_is_refused_before_any_device_is_asked_for(infer, content, given, says):
    assert infer(content, **given).error["what"] == says


def test_a_model_in_segments_is_refused_by_the_names_of_its_files(infer):
    error = infer(compiled_detector().bytes(), name="model_segment_0_of_1_edgetpu.tflite").error
    assert "is compiled in 1 segments" in error["what"]
    assert (error["where"], error["found"]) == ("compile", "model_segment_0_of_1_edgetpu.tflite")
    assert "without `segments`" in error["remedy"]


@without_library
def test_a_device_that_cannot_be_used_is_named(tmp_path):
    content = compiled_detector().bytes()
    (tmp_path / "m.tflite").write_bytes(content)
    detector_class = load("infer-edgetpu", "edgetpu_detector").EdgeTpuDetector
    interface = read_interface(read_model(content))
    detector = detector_class(tmp_path / "m.tflite", interface, 128, 128.0, grid_anchors(), Attributes(**ATTRIBUTES), "usb:1")
    assert not hasattr(detector, "layers")
    with pytest.raises(StageError) as caught:
        detector(np.zeros([1, SIDE, SIDE, 3], np.uint8))
    assert (caught.value.what, caught.value.where) == ("no Edge TPU can be used", "usb:1")
    assert caught.value.remedy
