"""Fixtures for the stages' tests; helpers are in stage_helpers.py. Python 3.7 syntax."""

import pytest

from stage_helpers import run_program


@pytest.fixture
def run_stage(tmp_path):
    """run_stage(STAGE, params, inputs, …): like `run_program`, but each call has a folder of its own."""

    def call(stage, params, inputs, run=None, cpus=1, env=None, timeout=300, scratch=None):
        folder = tmp_path / ("%s-%d" % (stage, len(list(tmp_path.glob(stage + "-*")))))
        return run_program(folder, stage, params, inputs, cpus, run, env, timeout, scratch)

    return call
