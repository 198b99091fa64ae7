import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from mini import Mini

# A loaded machine is slow, which is no fault; and what CI finds, it must find again.
settings.register_profile(
    "project", deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None, derandomize=os.environ.get("CI") == "true"
)
settings.load_profile("project")


@pytest.fixture(scope="session", autouse=True)
def _own_environments(tmp_path_factory):
    """Environments of the small project are made once a session, away from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEMILL_ENVS", str(tmp_path_factory.mktemp("envs")))
        for name in ("EDGEMILL_WORKSPACE", "EDGEMILL_ENGINE"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture
def mini(tmp_path):
    """A small project of its own for each test; see support/mini.py."""
    return Mini(tmp_path / "project")
