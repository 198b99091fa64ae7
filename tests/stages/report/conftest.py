"""Fixtures of the report image's tests; run_files.py makes the artifacts."""

import os

import hypothesis
import pytest
from page_text import Page
from pair_files import RECORDS, two_runs
from run_files import manifest, read, task_run, whole_run

hypothesis.settings.register_profile("edgemill", database=None, deadline=None, derandomize=True, max_examples=60)
hypothesis.settings.register_profile("long", database=None, deadline=None, max_examples=1500)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "edgemill"))

PARAMS = {"pictures": 8, "picture_bytes": 2000000}
COMPARED = {**RECORDS, "pictures": 20, "picture_bytes": 2000000}


@pytest.fixture
def report(run_here):
    """report(entries, …) runs the stage on task entries; returns its Page."""

    def call(entries, run=None, **params):
        outcome = run_here("report", {**PARAMS, **params}, {"artifacts": list(entries)}, run=run)
        assert outcome.code == 0, outcome.error
        return Page((outcome.output / "report.html").read_text(encoding="utf-8"), outcome.output / "report.html")

    return call


@pytest.fixture(scope="session")
def usual():
    """The page of the usual run, once it is made."""
    return {}


@pytest.fixture
def page(report, tmp_path, usual):
    """page(…) is the report on a whole synthetic run, with some artifacts left out or changed.

    change: called with the artifacts' folder before their manifests are written again; what it writes into more.json goes into them.
    """

    def call(**asked):
        if asked:
            return make(**asked)
        if not usual:
            usual["page"] = make()
        return usual["page"]

    def make(without=(), run="whole", params=None, change=None, added=(), **kinds):
        root = tmp_path / ("run%d" % len(list(tmp_path.glob("run*"))))
        entries = whole_run(root, **kinds)
        if change:
            change(root)
            more = read(root / "more.json") if (root / "more.json").exists() else {}
            entries = {name: manifest(root / name, name, **more.get(name, {})) for name in entries}
        given = [entry for name, entry in entries.items() if name not in without]
        return report([*given, *added], task_run() if run == "whole" else run, **(params or {}))

    return call


@pytest.fixture
def compare(run_here, tmp_path):
    """compare(…) is the page about two runs. change: of their folders; inputs, params: changes to the task."""

    def call(change=None, inputs=None, params=None, **more):
        given = two_runs(tmp_path / ("pair%d" % len(list(tmp_path.glob("pair*")))), change, **more)
        outcome = run_here("compare-reports", {**COMPARED, **(params or {})}, inputs(given) if inputs else given)
        assert outcome.code == 0, outcome.error
        return Page((outcome.output / "report.html").read_text(encoding="utf-8"), outcome.output / "report.html")

    return call
