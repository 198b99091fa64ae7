"""Child processes: their output, how they end, and what is left of them."""

import os
import signal
import sys
import threading

import pytest
from mini import lives, wait_until

from edgemill.engines import process
from edgemill.engines.process import StopRequests, supervise
from edgemill.engines.seam import Ending
from edgemill.errors import StoppedError


@pytest.fixture
def run(tmp_path):
    """run(SHELL TEXT) supervises a shell; returns its outcome and its output."""

    def call(text, timeout=30.0, stops=None, on_output=None, **options):
        output = bytearray()
        outcome = supervise(
            ["sh", "-c", text],
            env={"PATH": os.environ["PATH"]},
            cwd=tmp_path,
            on_output=on_output or output.extend,
            timeout=timeout,
            stops=stops or StopRequests(),
            **options,
        )
        return outcome, bytes(output)

    return call


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(process, "PATIENCE_SECONDS", tuple((signum, 0.3) for signum, _ in process.PATIENCE_SECONDS))


@pytest.mark.parametrize(
    ("text", "code", "ending"),
    [
        ("true", 0, Ending.EXITED),
        ("exit 3", 3, Ending.EXITED),
        ("exit 130", 130, Ending.EXITED),
        ("kill -9 $$", 137, Ending.KILLED),
        ("kill -11 $$", 139, Ending.KILLED),
        ("exec >&- 2>&-; sleep 0.3; exit 4", 4, Ending.EXITED),
    ],
)
def test_how_a_program_ended_is_not_lost(run, text, code, ending):
    outcome, _ = run(text)
    assert (outcome.exit_code, outcome.ending) == (code, ending)
    assert outcome.command == ["sh", "-c", text]
    assert outcome.seconds > 0


def test_output_and_errors_come_in_their_order_and_whole(run):
    _, output = run("for n in 1 2 3; do echo out $n; echo err $n >&2; done; printf 'no end'")
    assert output == b"out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\nno end"
    _, output = run(f"{sys.executable} -c 'import sys; sys.stdout.write(\"x\" * 3000000)'")
    assert len(output) == 3_000_000


def test_output_comes_while_the_program_runs(run, tmp_path):
    """The program goes on only once its first line was handed on."""

    def seen(_block):
        (tmp_path / "seen").touch()

    outcome, _ = run("echo first; while [ ! -e seen ]; do sleep 0.05; done", on_output=seen)
    assert outcome.exit_code == 0


def test_it_reads_nothing_from_this_terminal(run):
    assert run("cat; echo end")[1] == b"end\n"


def test_a_program_that_cannot_be_started_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        supervise([str(tmp_path / "absent")], env={}, cwd=tmp_path, on_output=print, timeout=1, stops=StopRequests())


@pytest.mark.parametrize("text", ["sleep 60", "trap '' INT; sleep 60", "trap '' INT TERM; while true; do sleep 0.1; done"])
def test_the_limit_ends_it_in_stages(run, impatient, text):
    outcome, _ = run(text, timeout=0.3)
    assert outcome.ending is Ending.TIMEOUT
    assert outcome.exit_code >= 128


def test_what_it_leaves_running_in_its_session_is_killed(run, tmp_path):
    outcome, _ = run("sleep 60 & echo $! > child; exit 5")
    assert outcome.exit_code == 5
    child = int((tmp_path / "child").read_text())
    wait_until(lambda: not lives(child), "the child's end")


def test_a_child_that_holds_the_pipe_does_not_keep_the_host(run):
    """It has left the session, so it lives on; the host must not wait for the end of its output."""
    _, output = run("setsid sh -c 'echo $$; exec sleep 60' & sleep 0.5; echo end")
    os.kill(int(output.split()[0]), signal.SIGKILL)
    assert output.endswith(b"end\n")


def test_an_error_while_handing_on_output_ends_the_program(run, tmp_path):
    def full(_block):
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        run("echo $$ > pid; echo text; sleep 60", on_output=full)
    assert not lives(int((tmp_path / "pid").read_text()))


def test_only_the_descriptors_that_are_handed_on_stay_open(run, tmp_path):
    with (tmp_path / "kept").open("w") as kept, (tmp_path / "closed").open("w") as closed:
        os.set_inheritable(closed.fileno(), True)
        _, output = run("ls -l /proc/self/fd", keep_open=(kept.fileno(),))
    assert b"/kept" in output
    assert b"/closed" not in output


def later(action, seconds=0.3):
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer


@pytest.mark.parametrize("count", [1, 2])
def test_a_stop_asked_for_ends_it(run, count):
    stops = StopRequests()
    text = "sleep 60" if count == 1 else "trap '' INT TERM; while true; do sleep 0.1; done"
    timer = later(lambda: setattr(stops, "count", count))
    outcome, _ = run(text, stops=stops)
    timer.join()
    assert outcome.ending is Ending.STOPPED
    with pytest.raises(StoppedError):
        stops.check()


def test_a_second_signal_while_nothing_is_supervised_stops_at_once():
    stops = StopRequests()
    stops.check()
    with stops.caught():
        signal.raise_signal(signal.SIGINT)
        assert stops.count == 1
        with pytest.raises(StoppedError) as raised:
            signal.raise_signal(signal.SIGTERM)
    assert raised.value.exit_code == 130
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
