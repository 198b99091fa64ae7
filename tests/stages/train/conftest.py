"""Fixtures of the TensorFlow 1 images' tests: a small detector that each stage of the chain has worked on, made once."""

import json
import os
import subprocess
import sys

import pytest
import tiny_detector
from _runtime import StageError, Task

from stage_helpers import STAGES, Outcome, artifact, load

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


def run_program(folder, stage, params, inputs, cpus=1):
    """Run a stage's program in `folder` as the host does, for fixtures that live longer than a test (see `run_stage` for the others)."""
    (folder / "output").mkdir(parents=True)
    (folder / "scratch").mkdir()
    task = {
        "schema": 1,
        "stage": stage,
        "name": stage,
        "params": params,
        "inputs": inputs,
        "output": str(folder / "output"),
        "scratch": str(folder / "scratch"),
        "result": str(folder / "result.json"),
        "cpus": cpus,
        "run": None,
    }
    (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")
    environment = {
        "PATH": f"{os.path.dirname(sys.executable)}:/usr/bin:/bin",
        "HOME": str(folder),
        "PYTHONPATH": str(STAGES),
        "PYTHONDONTWRITEBYTECODE": "1",
        "MPLBACKEND": "Agg",
        "LANG": "C.UTF-8",
    }
    done = subprocess.run(
        [sys.executable, str(STAGES / stage / "run.py"), str(folder / "task.json")],
        cwd=str(folder / "scratch"),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=600,
        check=False,
    )
    return Outcome(folder, done.returncode, done.stdout.decode("utf-8", "replace"))


@pytest.fixture
def run_here(tmp_path):
    """run_here(STAGE, params, inputs): like `run_stage`, but in this process, where TensorFlow is loaded already."""

    def call(stage, params, inputs):
        folder = tmp_path / f"{stage}-{len(list(tmp_path.glob(stage + '-*')))}"
        (folder / "output").mkdir(parents=True)
        (folder / "scratch").mkdir()
        task = Task(
            {
                "schema": 1,
                "stage": stage,
                "name": stage,
                "params": params,
                "inputs": inputs,
                "output": str(folder / "output"),
                "scratch": str(folder / "scratch"),
                "result": str(folder / "result.json"),
                "cpus": 1,
                "run": None,
            }
        )
        try:
            load(stage, "run").main(task)
        except StageError as error:
            task.finish(error.as_dict())
            return Outcome(folder, 1, "")
        task.finish()
        return Outcome(folder, 0, "")

    return call


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
