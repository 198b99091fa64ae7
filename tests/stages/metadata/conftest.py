"""Fixtures of the metadata image's tests: packages of small real models, and the stage export-apps run on them."""

import ctypes
import importlib.util
import json
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "data"))

from app_models import CLASSES, FACTS, compiled_detector
from litert_operator import small_detector

from stage_helpers import artifact

# What is compiled in tflite-support wants libusb, which is here as a wheel.
ctypes.CDLL(str(Path(importlib.util.find_spec("libusb_package").origin).parent / "libusb-1.0.so"), ctypes.RTLD_GLOBAL)


@pytest.fixture
def package(tmp_path):
    """package(model, …) is the folder of a package. model, compiled: `ModelBuilder` or bytes; the rest changes model.json."""

    def call(model=None, compiled=None, labels=None, **facts):
        folder = tmp_path / ("package-%d" % len(list(tmp_path.glob("package-*"))))
        folder.mkdir()
        told = {**FACTS, **facts}
        for name, made in (("model.tflite", model or small_detector()), ("model_edgetpu.tflite", compiled)):
            if made is not None:
                (folder / name).write_bytes(made if isinstance(made, bytes) else made.bytes())
        names = told["classes"] if labels is None else labels
        (folder / "labels.txt").write_text("".join("%s\n" % name for name in names), encoding="utf-8")
        (folder / "model.json").write_text(json.dumps({name: value for name, value in told.items() if value is not ...}), encoding="utf-8")
        return folder

    return call


@pytest.fixture
def export(run_stage, package):
    """export(model, programs=…, …) runs the stage on such a package."""

    def call(model=None, compiled=None, programs=("frigate", "android"), folder="/config", device="usb", where=None, **facts):
        params = {"programs": list(programs), "frigate_folder": folder, "frigate_device": device}
        made = where or package(model, compiled, **facts)
        return run_stage("export-apps", params, {"package": artifact("package", "package", made)})

    return call


@pytest.fixture
def compiled():
    """A detector in the form that the Edge TPU compiler gives it."""
    assert len(CLASSES) == 3
    return compiled_detector()
