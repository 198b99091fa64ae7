"""Fixtures for the stages' tests; helpers are in stage_helpers.py. Python 3.7 syntax."""

import json
import os
import subprocess
import sys

import pytest

from stage_helpers import STAGES, Outcome


@pytest.fixture
def run_stage(tmp_path):
    """run_stage(STAGE, params, inputs, …) writes task.json as the host does and runs the program; each call has a folder of its own."""

    def call(stage, params, inputs, run=None, cpus=1, env=None, timeout=120):
        folder = tmp_path / ("%s-%d" % (stage, len(list(tmp_path.glob(stage + "-*")))))
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
            "run": run,
        }
        (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")
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
        done = subprocess.run(  # noqa: PLW1510 - how it ended is what the tests look at
            [sys.executable, str(STAGES / stage / "run.py"), str(folder / "task.json")],
            cwd=str(folder / "scratch"),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
        )
        return Outcome(folder, done.returncode, done.stdout.decode("utf-8", "replace"))

    return call
