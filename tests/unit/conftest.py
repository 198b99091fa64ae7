import os
import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from mini_fixtures import mini, session_environments  # noqa: F401  fixtures

# A loaded machine is slow, which is no fault; and what CI finds, it must find again.
settings.register_profile(
    "project", deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None, derandomize=os.environ.get("CI") == "true"
)
settings.load_profile("project")
