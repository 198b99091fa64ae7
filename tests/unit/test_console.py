"""What a person sees, and how a stage's output is told apart into events and log."""

import io
import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgemill.console import Console, OutputSplitter, describe_progress, number, printable, seconds


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def _a_wide_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")


EVENT = {"edgemill": "progress", "done": 1, "total": 4, "unit": "step", "values": {"loss": 1.23456, "steps_per_s": 2.0}}


def test_a_terminal_has_one_live_line():
    stream = Terminal()
    console = Console(stream)
    console.start("train", 8)
    console.progress(EVENT)
    console.progress({**EVENT, "done": 2})
    assert "\n" not in stream.getvalue()
    console.say("a line that stays")
    assert stream.getvalue().endswith("\ra line that stays\n") or stream.getvalue().endswith(" \ra line that stays\n")


def test_a_live_line_leaves_nothing_of_a_longer_one():
    stream = Terminal()
    console = Console(stream)
    console.start("train", 8)
    console.progress({**EVENT, "values": {"a_long_name": "x" * 30}})
    before = len(stream.getvalue().rpartition("\r")[2])
    console.progress(EVENT)
    assert len(stream.getvalue().rpartition("\r")[2]) == before


def test_a_live_line_is_not_longer_than_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    stream = Terminal()
    console = Console(stream)
    console.start("train", 8)
    console.progress({**EVENT, "values": {"name": "x" * 200}})
    assert max(map(len, stream.getvalue().split("\r"))) < 30


@pytest.mark.parametrize("stream", [io.StringIO, Terminal], ids=["pipe", "dumb terminal"])
def test_elsewhere_a_plain_line_comes_now_and_then(stream, monkeypatch):
    from edgemill import console as module

    monkeypatch.setenv("TERM", "dumb")
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    out = stream()
    console = Console(out)
    console.start("train", 8)
    for done in range(1, 5):
        now[0] += module.PLAIN_SECONDS / 2
        console.progress({**EVENT, "done": done})
    assert "\r" not in out.getvalue()
    assert [line.split()[1:3] for line in out.getvalue().splitlines()] == [["running"], ["step", "2/4"], ["step", "4/4"]]


@pytest.mark.parametrize(
    ("event", "elapsed", "text"),
    [
        (EVENT, 10, "step 1/4  loss 1.235  steps/s 2  30 s left"),
        ({**EVENT, "values": {"eta_s": 75}}, 10, "step 1/4  75 s left"),
        ({**EVENT, "done": 4, "values": {}}, 10, "step 4/4"),
        ({**EVENT, "done": 0, "values": {}}, 10, "step 0/4"),
        ({"edgemill": "progress"}, 10, " 0/0"),
        ({**EVENT, "done": "many", "total": None, "values": [1]}, 10, "step 0/0"),
        ({**EVENT, "done": float("inf"), "values": {"eta_s": "soon"}}, 10, "step 0/4"),
        ({**EVENT, "done": True, "values": {"a": {"b": 1}}}, 10, "step True/4  a {'b': 1}  30 s left"),
    ],
)
def test_progress_in_words(event, elapsed, text):
    assert describe_progress(event, elapsed) == text


@given(st.dictionaries(st.sampled_from(["done", "total", "unit", "values"]), st.none() | st.text() | st.floats() | st.lists(st.integers())))
def test_no_event_of_a_stage_stops_the_host(event):
    Console(Terminal()).progress(json.loads(json.dumps({"edgemill": "progress", **event})))


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (10, "10 s"), (119.4, "119 s"), (185, "3 min 05 s"), (7199, "119 min 59 s"), (7800, "2 h 10 min")],
)
def test_time_spans(value, text):
    assert seconds(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.123456, "0.1235"), (3, "3"), (1e-9, "1e-09"), ("a", "a")])
def test_numbers(value, text):
    assert number(value) == text


def test_what_would_steer_the_terminal_is_not_printed():
    stream = io.StringIO()
    Console(stream).warn("a\x1b[2Jb\r\x07c\nd\té")
    assert stream.getvalue() == "  warning: a?[2Jb??c\nd\té\n"
    assert printable("\x9b1m") == "?1m"


def split(blocks):
    log, events = io.BytesIO(), []
    splitter = OutputSplitter(log, events.append)
    for block in blocks:
        splitter.feed(block)
    splitter.close()
    return log.getvalue(), events


@pytest.mark.parametrize(
    ("output", "log", "events"),
    [
        (b"", b"", []),
        (b"words\n", b"words\n", []),
        (b"no end", b"no end", []),
        (b'{"edgemill": "message"}\n', b"", [{"edgemill": "message"}]),
        (b'{"edgemill": "message"}', b"", [{"edgemill": "message"}]),
        (b'a\n{"edgemill": 1}\nb\n', b"a\nb\n", [{"edgemill": 1}]),
        (b' {"edgemill": 1}\n', b' {"edgemill": 1}\n', []),
        (b'a {"edgemill": 1}\n', b'a {"edgemill": 1}\n', []),
        (b'{"edgemill": 1\n', b'{"edgemill": 1\n', []),
        (b'{"edgemill": \xff}\n', b'{"edgemill": \xff}\n', []),
        (b'{"edgemill":' + b"[" * 100_000 + b"\n", b'{"edgemill":' + b"[" * 100_000 + b"\n", []),
        (b"\x00\xff\r\n\r", b"\x00\xff\r\n\r", []),
        (b"x" * (3 << 20), b"x" * (3 << 20), []),
    ],
)
def test_events_are_told_from_the_log(output, log, events):
    assert split([output]) == (log, events)
    assert split([output[i : i + 65536] for i in range(0, len(output), 65536)]) == (log, events)


LINES = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.sampled_from([b'{"edgemill": "progress", "done": 1}', b'{"edgemill":', b'{"edgemill": ]', b"{}", b""]),
    ),
    max_size=8,
)


@given(lines=LINES, cuts=st.lists(st.integers(0, 200), max_size=12))
def test_how_the_pipe_cuts_the_output_makes_no_difference(lines, cuts):
    output = b"\n".join(lines)
    places = [0, *sorted(cut for cut in cuts if cut < len(output)), len(output)]
    assert split([output[a:b] for a, b in itertools.pairwise(places)]) == split([output])


def test_a_line_without_end_is_not_kept_in_memory():
    log = io.BytesIO()
    splitter = OutputSplitter(log, print)
    for _ in range(40):
        splitter.feed(b"x" * 65536)
    assert len(log.getvalue()) > 1 << 20
