"""Ctrl-C and SIGTERM: once asks politely, twice kills; nothing is left running, and the exit status is 130."""

import json
import signal

import pytest
from mini import end, only, processes_in, wait_until

from edgemill.engines import process as process_module


@pytest.fixture
def started(mini):
    """started(DO) begins a build whose stage `act` does that, and waits until it does; whatever is left is killed afterwards."""
    processes = []

    def begin(do):
        process = mini.start("build", "-p", "act", "--set", f"act.do={do}")
        processes.append(process)
        wait_until(lambda: mini.tally["act"] and "sleeping" in mini.output, "the stage")
        assert len(processes_in(mini.workspace)) >= 1
        return process

    yield begin
    for process in processes:
        process.kill()
        process.wait()
    for pid in processes_in(mini.workspace):
        end(pid)


def record(mini):
    return json.loads(only(list(mini.workspace.runs.glob("*/run.json"))).read_text())


def check_stopped(mini, process, do):
    assert process.wait(90) == 130
    assert processes_in(mini.workspace) == []
    assert list(mini.workspace.artifacts.glob("act/*")) == []
    assert "Traceback" not in mini.output
    assert f"error: stopped while 'act' ran\n  where:    log: {mini.workspace.runs}" in mini.output
    assert "the same command goes on from here" in mini.output
    assert record(mini)["state"] == "stopped"
    assert mini.ran("act") == ["act"]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_once_lets_the_stage_end_politely(mini, started, signum):
    process = started("polite")
    process.send_signal(signum)
    check_stopped(mini, process, "polite")
    assert (mini.root / "farewell").read_text() == "ended politely"


def test_twice_kills_a_stage_that_does_not_listen(mini, started):
    process = started("stubborn")
    process.send_signal(signal.SIGINT)
    wait_until(lambda: "Ctrl-C once more" in mini.output, "the answer to the first")
    process.send_signal(signal.SIGINT)
    process.wait(process_module.PATIENCE_SECONDS[0][1] - 3)  # before its patience with one alone is at an end
    check_stopped(mini, process, "stubborn")


def test_what_left_the_stages_session_ends_with_it(mini, started):
    process = started("detached_then_sleep")
    process.send_signal(signal.SIGINT)
    check_stopped(mini, process, "detached_then_sleep")


@pytest.mark.slow
def test_once_kills_a_stage_that_does_not_listen_after_a_while(mini, started):
    process = started("stubborn")
    process.send_signal(signal.SIGINT)
    check_stopped(mini, process, "stubborn")


def test_a_stop_while_another_run_is_waited_for(mini, started):
    first = started("stubborn")
    second = mini.start("build", "-p", "act", "--set", "act.do=stubborn")
    wait_until(lambda: "waiting for the run" in mini.output, "the second run")
    second.send_signal(signal.SIGINT)
    assert second.wait(90) == 130
    assert first.poll() is None
    assert len(processes_in(mini.workspace)) == 1


def test_a_resumable_stage_says_where_it_goes_on(mini):
    path = mini.stages / "learn" / "run.py"
    path.write_text(path.read_text().replace("def main(task):\n", "def main(task):\n    import time\n    time.sleep(300)\n"))
    process = mini.start("build", "-p", "learn")
    try:
        wait_until(lambda: processes_in(mini.workspace) and "learn  running" in mini.output, "the stage")
        process.send_signal(signal.SIGINT)
        assert process.wait(90) == 130
    finally:
        process.kill()
        process.wait()
    assert "the same command goes on from the last checkpoint" in mini.output


def test_a_stop_between_two_stages_is_heeded(mini):
    """The stage ends well although it was asked to stop: its artifact counts, and the next stage does not begin."""
    from killing import KillingEngine

    from edgemill.build import Build
    from edgemill.engines.local import LocalEngine
    from edgemill.errors import StoppedError

    job = mini.job("act")
    engine = KillingEngine(LocalEngine(job.stops), after=lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(StoppedError):
        Build(job.pipeline, job.workspace, engine, job.console, job.stops).run()
    assert mini.tally == {"read": 1}
    assert len(list(mini.workspace.artifacts.glob("read/*"))) == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
