"""Fixtures of the data image's tests; helpers are in voc_files.py."""

import os

import hypothesis
import pytest
import voc_files

hypothesis.settings.register_profile("edgemill", database=None, deadline=None, derandomize=True, max_examples=100)
hypothesis.settings.register_profile("long", database=None, deadline=None, max_examples=1500)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "edgemill"))


@pytest.fixture
def shared_data():
    """shared_data(NAME): the folder NAME of the shared data; without it the test is skipped, and under CI fails."""

    def find(name):
        folder = voc_files.shared_data(name)
        if folder is None:
            reason = "needs the shared data %s (in ../shared/data, or $EDGEMILL_SHARED/data)" % name
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
        return folder

    return find
