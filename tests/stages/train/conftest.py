"""Fixtures of the TensorFlow 1 images' tests: a small detector that each stage of the chain has worked on, made once."""

import pytest
import tiny_detector

from stage_helpers import artifact, run_program

FREEZE = {
    "postprocess": True,
    "max_detections": 20,
    "max_classes_per_detection": 1,
    "detections_per_class": 20,
    "regular_nms": False,
    "inference_graph": False,
    "saved_model": False,
}
CONVERT = {"inference_type": "uint8", "dummy_ranges": None, "seconds": 300}


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory):
    """The folder of a checkpoint artifact (see tiny_detector)."""
    folder = tmp_path_factory.mktemp("checkpoint")
    tiny_detector.write_checkpoint(folder, tiny_detector.config_text())
    return folder


@pytest.fixture(scope="session")
def tiny_graph(tmp_path_factory, tiny_checkpoint):
    """The folder of the frozen-graph artifact that the stage freeze makes of `tiny_checkpoint`."""
    inputs = {"checkpoint": artifact("train", "checkpoint", tiny_checkpoint)}
    done = run_program(tmp_path_factory.mktemp("freeze") / "run", "freeze", FREEZE, inputs)
    assert done.code == 0, done.log
    return done.output


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory, tiny_graph):
    """The folder of the tflite artifact that the stage convert makes of `tiny_graph`."""
    inputs = {"graph": artifact("freeze", "frozen-graph", tiny_graph)}
    done = run_program(tmp_path_factory.mktemp("convert") / "run", "convert", CONVERT, inputs)
    assert done.code == 0, done.log
    return done.output
