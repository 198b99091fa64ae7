import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from mini_fixtures import mini, session_environments  # noqa: F401  fixtures
