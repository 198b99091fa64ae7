"""The fixture of the small project, for the conftest.py of each part of the tests that uses it."""

import pytest
from mini import Mini


@pytest.fixture
def mini(tmp_path):
    """A small project of its own for each test; see mini.py."""
    return Mini(tmp_path / "project")


@pytest.fixture(scope="session", autouse=True)
def session_environments(tmp_path_factory):
    """Environments of the small project are made once a session, away from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEMILL_ENVS", str(tmp_path_factory.mktemp("envs")))
        patch.delenv("EDGEMILL_WORKSPACE", raising=False)
        patch.setenv("EDGEMILL_ENGINE", "local")  # tests of containers name their engine; these must not find a daemon
        yield
