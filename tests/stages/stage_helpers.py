"""Helpers for the stages' tests: import a stage's modules, and what a run of its program left. Python 3.7 syntax."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STAGES = ROOT / "stages"
if str(STAGES) not in sys.path:
    sys.path.insert(0, str(STAGES))


def load(stage, module):
    """Import `stages/STAGE/MODULE.py`. Its folder joins sys.path, so modules of different stages must have different names."""
    folder = str(STAGES / stage)
    if folder not in sys.path:
        sys.path.append(folder)
    spec = importlib.util.spec_from_file_location("%s_%s" % (stage.replace("-", "_"), module), str(STAGES / stage / (module + ".py")))
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


class Outcome:
    """What a stage's program left: `code` (exit status), `result` (result.json or None), `error` (its error or None), `output`, `log`."""

    def __init__(self, folder, code, log):
        result = folder / "result.json"
        self.code = code
        self.result = json.loads(result.read_text(encoding="utf-8")) if result.exists() else None
        self.error = (self.result or {}).get("error")
        self.output = folder / "output"
        self.log = log

    def json(self, name):
        """Parse an output file."""
        return json.loads((self.output / name).read_text(encoding="utf-8"))


def write_task(folder, stage, params, inputs, cpus=1, run=None, scratch=None):
    """Make a stage's work folder as the host does, with the files {name: text} in `scratch`; returns the fields of its task.json."""
    for name in ("output", "scratch"):
        (folder / name).mkdir(parents=True)
    for name, text in (scratch or {}).items():
        (folder / "scratch" / name).write_text(text, encoding="utf-8")
    task = {"schema": 1, "stage": stage, "name": stage, "params": params, "inputs": inputs, "cpus": cpus, "run": run}
    task.update(output=str(folder / "output"), scratch=str(folder / "scratch"), result=str(folder / "result.json"))
    (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")
    return task


def run_program(folder, stage, params, inputs, cpus=1, run=None, env=None, timeout=600, scratch=None):
    """Run a stage's program in `folder` as the host does; `env` adds to its environment, `timeout` in seconds."""
    write_task(folder, stage, params, inputs, cpus, run, scratch)
    environment = {
        "PATH": "%s:/usr/bin:/bin" % os.path.dirname(sys.executable),
        "HOME": str(folder / "scratch"),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(STAGES),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "MPLBACKEND": "Agg",
    }
    environment.update(env or {})
    done = subprocess.run(
        [sys.executable, str(STAGES / stage / "run.py"), str(folder / "task.json")],
        cwd=str(folder / "scratch"),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=timeout,
        check=False,
    )
    return Outcome(folder, done.returncode, done.stdout.decode("utf-8", "replace"))


def artifact(name, kind, path):
    """A task's entry for an input artifact in the folder `path`."""
    return {"name": name, "kind": kind, "path": str(path), "key": "k" * 64, "digest": "d" * 64}


def shared():
    """The folder of shared test data, beside the project; without it the test is skipped, but fails where CI promises it."""
    folder = Path(os.environ.get("EDGEMILL_SHARED") or ROOT.parent / "shared")
    if not folder.is_dir():
        reason = "no shared data at %s (EDGEMILL_SHARED says where it is)" % folder
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder
