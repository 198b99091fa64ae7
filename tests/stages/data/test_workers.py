"""Work in several processes: results in order, failures that arrive, and an end."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from _detection.workers import ordered_map
from _runtime import StageError

from stage_helpers import STAGES


def double(number):
    return 2 * number


def refuse_seven(number):
    if number == 7:
        raise StageError("seven", "item 7", remedy="leave it out")
    return number


def die_at_seven(number):
    if number == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def own_process(_):
    return os.getpid()


@pytest.mark.parametrize("processes", [1, 2, 5])
@pytest.mark.parametrize("number", [0, 1, 16, 17, 500])
def test_results_come_in_order(processes, number):
    assert list(ordered_map(double, range(number), processes)) == [2 * item for item in range(number)]


def test_several_processes_work():
    found = set(ordered_map(own_process, range(100), 2, chunk=1))
    assert os.getpid() not in found
    assert len(found) == 2


@pytest.mark.parametrize("processes", [1, 2])
def test_a_failure_passes_through(processes):
    with pytest.raises(StageError, match="seven") as caught:
        list(ordered_map(refuse_seven, range(100), processes, chunk=2))
    assert (caught.value.where, caught.value.remedy) == ("item 7", "leave it out")


def test_a_worker_that_is_killed_ends_the_work():
    with pytest.raises(StageError, match="worker process died") as caught:
        list(ordered_map(die_at_seven, range(100), 2, chunk=2))
    assert "memory" in caught.value.remedy


def mark(path):
    Path(path).touch()
    time.sleep(0.1)


def test_what_waits_is_given_up_when_nobody_wants_it(tmp_path):
    results = ordered_map(mark, [str(tmp_path / str(number)) for number in range(100)], 2, chunk=1)
    next(results)
    results.close()
    assert len(list(tmp_path.iterdir())) < 9  # of the nine under way, two run and a few are on their way to a process


STAGE = r"""
import os, sys, time
from _detection.workers import ordered_map
from _runtime import run

def work(number):
    os.write(1, b"worker %d\n" % os.getpid())
    time.sleep(0.2 if number < 2 else 1.5)

def main(task):
    for _ in ordered_map(work, range(100), 2, chunk=1):
        os.write(1, b"ready\n")

run(main)
"""


@pytest.fixture
def stage(tmp_path):
    """A stage that waits for its two workers, in a process group of its own; (process, workers' ids)."""
    (tmp_path / "run.py").write_text(STAGE)
    task = {
        "schema": 1,
        "stage": "x",
        "name": "x",
        "params": {},
        "inputs": {},
        "output": str(tmp_path),
        "scratch": str(tmp_path),
        "result": str(tmp_path / "result.json"),
        "cpus": 2,
        "run": None,
    }
    (tmp_path / "task.json").write_text(json.dumps(task))
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "run.py"), str(tmp_path / "task.json")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env=dict(os.environ, PYTHONPATH=str(STAGES)),
    )
    workers = set()
    for line in process.stdout:
        if line == b"ready\n":
            break
        workers.add(int(line.split()[1]))
    yield process, workers
    process.stdout.close()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_until_gone(process_id):
    """Wait for a process that is not ours to end (an unreaped one has)."""
    with contextlib.suppress(FileNotFoundError):
        while Path("/proc/%d/stat" % process_id).read_text().rsplit(")", 1)[1].split()[0] != "Z":
            time.sleep(0.05)


def test_workers_end_with_a_killed_parent(stage):
    process, workers = stage
    process.kill()
    process.stdout.read()  # ends when nobody holds the log any more
    assert len(workers) == 2
    for worker in workers:
        wait_until_gone(worker)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_group_is_the_parents_to_answer(stage, tmp_path, signum):
    """The stage ends as a stopped one, not as one whose worker died, even where the workers get the signal first."""
    process, workers = stage
    for worker in workers:
        os.kill(worker, signum)
    time.sleep(0.3)
    os.killpg(process.pid, signum)
    said = process.stdout.read()
    assert b"died" not in said
    assert b"Traceback" not in said
    assert process.wait(timeout=60) == 128 + signum
    assert not (tmp_path / "result.json").exists()
    for worker in workers:
        wait_until_gone(worker)


def test_what_is_not_asked_for_is_not_awaited():
    results = ordered_map(double, range(10000), 2, chunk=1)
    assert next(results) == 0
    results.close()
