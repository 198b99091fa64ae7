"""`./mill test`: linter, type checker, and the tests, each part with the Python of its image."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from edgemill import PROJECT
from edgemill.engines import environments
from edgemill.engines.process import StopRequests
from edgemill.images import load_images

# A part of tests/ and the image that it runs in; the host's own environment where there is none.
PARTS = {
    "unit": None,
    "faults": None,
    "engines": None,
    "containers": None,
    "pipelines": None,
    "stages/data": "data-test",
    "stages/detect": "detect-test",
    "stages/metadata": "metadata-test",
    "stages/report": "report-test",
    "stages/train": "train-test",
    "stages/train-tf2": "train-tf2-test",
}
NO_TESTS = 5  # pytest's exit status where it found no test
CHECKS = (["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"])


@dataclass
class Tally:
    """How many tests passed, failed and were skipped, and what else went wrong."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    problems: list[str] = field(default_factory=list)

    def add(self, junit: Path) -> None:
        """Count a junit XML file that pytest wrote."""
        for suite in ET.parse(junit).getroot().iter("testsuite"):  # noqa: S314  written by the pytest that we ran
            tests, bad, skipped = (int(suite.get(name, 0)) for name in ("tests", "failures", "skipped"))
            bad += int(suite.get("errors", 0))
            self.passed += tests - bad - skipped
            self.failed += bad
            self.skipped += skipped


def run_tests(*, fast: bool = False, only: str = "", arguments: str = "") -> int:
    """Run every check and test; prints their count last. Returns the exit status: 0 for success."""
    tally = Tally()
    # What a shell starts in the background ignores Ctrl-C, and so would its children: those of the tests must not.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not only:
        for check in CHECKS:
            print(f"== {' '.join(check)}", flush=True)
            if subprocess.run([sys.executable, "-m", *check], cwd=PROJECT, check=False).returncode:
                tally.problems.append(" ".join(check))
    for part in _parts(only):
        _run_part(part, tally, fast=fast, arguments=shlex.split(arguments))
    for problem in tally.problems:
        print(f"not passed: {problem}")
    print(f"{tally.passed} passed, {tally.failed} failed, {tally.skipped} skipped", flush=True)
    return 1 if tally.failed or tally.problems or not tally.passed else 0


def _parts(only: str) -> Iterator[str]:
    for part in PARTS:
        if (PROJECT / "tests" / part).is_dir() and part.startswith(only):
            yield part


def _run_part(part: str, tally: Tally, *, fast: bool, arguments: list[str]) -> None:
    image_name = PARTS[part]
    python, env = sys.executable, {**os.environ, "PYTHONPATH": str(PROJECT)}
    if image_name is not None:
        image = load_images()[image_name]
        folder = environments.make(image, print, StopRequests())
        python = str(folder / "bin" / "python")
        env |= environments.stage_environment(folder, image) | {"PYTHONPATH": str(PROJECT / "stages"), "HOME": os.environ.get("HOME", "/")}
    print(f"== tests/{part} ({image_name or 'host'})", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        junit = Path(temporary) / "junit.xml"
        command = [
            python,
            "-m",
            "pytest",
            "-q",
            "--junitxml",
            str(junit),
            "-p",
            "no:cacheprovider",
            *(["-m", "not slow"] if fast else []),
            *arguments,
            f"tests/{part}",
        ]
        code = subprocess.run(command, cwd=PROJECT, env=env, check=False).returncode
        if junit.is_file():
            tally.add(junit)
        if code not in (0, 1, NO_TESTS) or (code == 1 and not junit.is_file()):
            tally.problems.append(f"tests/{part}: pytest ended with {code}")
