"""Fixtures for the stages' tests; helpers are in stage_helpers.py. Python 3.7 syntax."""

import pytest
from _runtime import StageError, Task

from stage_helpers import Outcome, load, run_program, write_task


@pytest.fixture
def run_stage(tmp_path):
    """run_stage(STAGE, params, inputs, …): like `run_program`, but each call has a folder of its own."""

    def call(stage, params, inputs, run=None, cpus=1, env=None, timeout=300, scratch=None):
        folder = tmp_path / ("%s-%d" % (stage, len(list(tmp_path.glob(stage + "-*")))))
        return run_program(folder, stage, params, inputs, cpus, run, env, timeout, scratch)

    return call


@pytest.fixture
def run_here(tmp_path):
    """run_here(STAGE, params, inputs): like `run_stage`, but in this process, where the libraries are loaded already."""

    def call(stage, params, inputs, cpus=1, run=None):
        folder = tmp_path / f"{stage}-{len(list(tmp_path.glob(stage + '-*')))}"
        task = Task(write_task(folder, stage, params, inputs, cpus, run))
        try:
            load(stage, "run").main(task)
        except StageError as error:
            task.finish(error.as_dict())
            return Outcome(folder, 1, "")
        task.finish()
        return Outcome(folder, 0, "")

    return call
