"""Work in several processes: results in order, failures that arrive, and an end."""
import os
import signal

import pytest
from _detection.workers import ordered_map
from _runtime import StageError


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


def test_what_is_not_asked_for_is_not_awaited():
    results = ordered_map(double, range(10000), 2, chunk=1)
    assert next(results) == 0
    results.close()
