import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from docker_mini import DockerMini, docker, require_daemon


@pytest.fixture(scope="session", autouse=True)
def _daemon():
    """A real daemon, and none of the user's settings."""
    require_daemon()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("EDGEMILL_WORKSPACE", "EDGEMILL_ENGINE", "EDGEMILL_BASES", "EDGEMILL_WHEELS", "EDGEMILL_OFFLINE"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture
def mini(tmp_path, monkeypatch):
    """A small project of its own for each test, built by the Docker engine; see docker_mini.py."""
    monkeypatch.setenv("EDGEMILL_ENVS", str(tmp_path / "envs"))
    monkeypatch.setenv("EDGEMILL_STAND_INS", str(tmp_path / "project" / "docker" / "stand-ins.yaml"))
    project = DockerMini(tmp_path / "project")
    yield project
    for container in project.containers():
        docker("rm", "-f", container, check=False)
