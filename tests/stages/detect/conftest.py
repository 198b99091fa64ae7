"""Fixtures of the detect image's tests: a package with a small real model, and its detect.py run with one library for videos or none."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "data"))

from detect_runs import CLASSES, own
from litert_operator import ATTRIBUTES, SIDE, small_detector

from stage_helpers import STAGES, load


@pytest.fixture(scope="session")
def package(tmp_path_factory):
    """The folder of a package, as the package stage would make it of a model that finds something everywhere."""
    folder = tmp_path_factory.mktemp("package")
    source = (STAGES / "package" / "detect.py").read_text(encoding="utf-8")
    (folder / "detect.py").write_text(load("package", "detect_program").build(source, STAGES), encoding="utf-8")
    (folder / "model.tflite").write_bytes(small_detector().bytes())
    (folder / "labels.txt").write_text("".join(name + "\n" for name in CLASSES), encoding="utf-8")
    facts = {"mean": 128, "std": 128, "decode": ATTRIBUTES, "input_size": [SIDE, SIDE], "classes": CLASSES, "threshold": 0.3}
    (folder / "model.json").write_text(json.dumps(facts), encoding="utf-8")
    return folder


@pytest.fixture
def command(package, tmp_path):
    """command(*arguments, hide=…) gives what `subprocess` needs to run detect.py in the folder `work`, without the libraries in `hide`."""
    work = tmp_path / "work"
    work.mkdir()

    def call(*arguments, hide=()):
        hidden = tmp_path / "-".join(["without", *hide])
        for name in hide:
            (hidden / name).mkdir(parents=True, exist_ok=True)
            (hidden / name / "__init__.py").write_text("raise ImportError('not here')")
        environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONPATH": str(hidden), "TERM": "xterm"}
        line = [sys.executable, str(package / "detect.py"), *map(str, arguments)]
        return {"args": line, "cwd": str(work), "env": environment}

    call.work = work
    return call


@pytest.fixture
def detect(command):
    """detect(*arguments, hide=…) runs it; returns exit status, output and errors."""

    def call(*arguments, hide=()):
        done = subprocess.run(**command(*arguments, hide=hide), check=False, capture_output=True, timeout=120)
        return done.returncode, done.stdout.decode(), "".join(filter(own, done.stderr.decode().splitlines(keepends=True)))

    call.work = command.work
    return call
