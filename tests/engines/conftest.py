import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from mini import Mini


@pytest.fixture(autouse=True)
def _own_environments(tmp_path, monkeypatch):
    """Each test makes environments in a folder of its own."""
    monkeypatch.setenv("EDGEMILL_ENVS", str(tmp_path / "envs"))
    for name in ("EDGEMILL_WORKSPACE", "EDGEMILL_ENGINE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def mini(tmp_path):
    """A small project of its own for each test; see support/mini.py."""
    return Mini(tmp_path / "project")
