"""Helpers for the stages' tests: run a stage's program as the host does, and import a stage's modules. Python 3.7 syntax."""
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


def artifact(name, kind, path):
    """A task's entry for an input artifact in the folder `path`."""
    return {"name": name, "kind": kind, "path": str(path), "key": "k" * 64, "digest": "d" * 64}


@pytest.fixture
def run_stage(tmp_path):
    """run_stage(STAGE, params, inputs, …) writes task.json as the host does and runs the program; each call has a folder of its own."""
    def call(stage, params, inputs, run=None, cpus=1, env=None, timeout=120):
        folder = tmp_path / ("%s-%d" % (stage, len(list(tmp_path.glob(stage + "-*")))))
        (folder / "output").mkdir(parents=True)
        (folder / "scratch").mkdir()
        task = {"schema": 1, "stage": stage, "name": stage, "params": params, "inputs": inputs, "output": str(folder / "output"),
                "scratch": str(folder / "scratch"), "result": str(folder / "result.json"), "cpus": cpus, "run": run}
        (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")
        environment = {"PATH": "%s:/usr/bin:/bin" % os.path.dirname(sys.executable), "HOME": str(folder / "scratch"), "LANG": "C.UTF-8",
                       "PYTHONPATH": str(STAGES), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0", "MPLBACKEND": "Agg"}
        environment.update(env or {})
        done = subprocess.run([sys.executable, str(STAGES / stage / "run.py"), str(folder / "task.json")], cwd=str(folder / "scratch"),
                              env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout)
        return Outcome(folder, done.returncode, done.stdout.decode("utf-8", "replace"))
    return call
