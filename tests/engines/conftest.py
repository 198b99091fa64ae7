import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from mini_fixtures import mini  # noqa: F401  a fixture


@pytest.fixture(autouse=True)
def _own_environments(tmp_path, monkeypatch):
    """Each test makes environments in a folder of its own."""
    monkeypatch.setenv("EDGEMILL_ENVS", str(tmp_path / "envs"))
    monkeypatch.delenv("EDGEMILL_WORKSPACE", raising=False)
    monkeypatch.setenv("EDGEMILL_ENGINE", "local")  # tests of containers name their engine; these must not find a daemon
