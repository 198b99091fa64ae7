"""A folder a case: pipeline.yaml is built with the real images, then verify.py is run on what came out."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
CASES = sorted(path.parent for path in HERE.glob("*/pipeline.yaml"))


def needs_shared_data(case):
    if "shared/" in (case / "pipeline.yaml").read_text() and not (PROJECT.parent / "shared" / "data").is_dir():
        missing = "the case needs ../shared/data beside the project"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_pipeline_gives_what_verify_expects(case, tmp_path):
    needs_shared_data(case)
    build = [PROJECT / "mill", "build", "-p", case / "pipeline.yaml", "--engine", "local", "--workspace", tmp_path]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    verify = [sys.executable, case / "verify.py", tmp_path / "pipelines" / "pipeline"]
    done = subprocess.run(verify, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
