import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from mini_fixtures import mini, session_environments  # noqa: F401  fixtures


@pytest.fixture
def small_disk(tmp_path, request):
    """A file system of its own, of the module's `SIZE` bytes. Skips where this user may not mount one; fails there in CI."""
    place = tmp_path / "disk"
    place.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={request.module.SIZE}"]
    done = subprocess.run(["mount", *options, "tmpfs", str(place)], capture_output=True, text=True, check=False)
    if done.returncode:
        if os.environ.get("CI") == "true":
            pytest.fail(f"a file system cannot be mounted: {done.stderr.strip()}")
        pytest.skip(f"a file system cannot be mounted: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)
