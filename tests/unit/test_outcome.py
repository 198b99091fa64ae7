"""Results of programs, and the messages of failures."""

import errno
from types import SimpleNamespace

import pytest

from edgemill.engines.seam import Ending, Outcome
from edgemill.errors import EdgeMillError, RequestError
from edgemill.outcome import failure, last_lines, read_result, unwritten

GOOD = b'{"schema": 1, "error": null, "metrics": {"map": 0.5}, "tools": {"a": "1"}, "warnings": ["dark"]}'


def test_a_result_is_read_complete(tmp_path):
    path = tmp_path / "result.json"
    path.write_bytes(GOOD)
    assert read_result(path) == (
        {"schema": 1, "error": None, "metrics": {"map": 0.5}, "tools": {"a": "1"}, "warnings": ["dark"]},
        None,
    )
    path.write_bytes(b'{"schema": 1}')
    assert read_result(path) == ({"schema": 1, "error": None, "metrics": {}, "tools": {}, "warnings": []}, None)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "it wrote no result"),
        (b"", "cannot be read"),
        (b"{", "cannot be read"),
        (b"\xff", "cannot be read"),
        (b"[" * 100_000, "cannot be read"),
        (GOOD.replace(b"0.5", b"NaN"), "cannot be read"),
        (GOOD.replace(b"0.5", b"1e999"), "cannot be read"),
        (b"[1]", "of another schema"),
        (b"null", "of another schema"),
        (b"{}", "of another schema"),
        (GOOD.replace(b'"schema": 1', b'"schema": 2'), "of another schema"),
        (GOOD.replace(b"null", b'"no"'), "'error' is of a wrong type"),
        (GOOD.replace(b'{"map": 0.5}', b"[1]"), "'metrics' is of a wrong type"),
        (GOOD.replace(b'{"a": "1"}', b"3"), "'tools' is of a wrong type"),
        (GOOD.replace(b'["dark"]', b'"dark"'), "'warnings' is of a wrong type"),
    ],
)
def test_a_result_that_is_none_is_told(tmp_path, content, problem):
    path = tmp_path / "result.json"
    if content is not None:
        path.write_bytes(content)
    result, found = read_result(path)
    assert problem in found
    assert result == {"error": None, "metrics": {}, "tools": {}, "warnings": []}


def test_a_result_that_is_a_folder_is_told(tmp_path):
    assert "cannot be read" in read_result(tmp_path)[1]


@pytest.mark.parametrize(
    ("ending", "code", "error", "says"),
    [
        (Ending.EXITED, 3, None, "its program ended without saying why"),
        (Ending.EXITED, 0, None, "it exited with 0, but it wrote no result"),
        (Ending.EXITED, 1, {"what": "the third record is wrong"}, "the third record is wrong"),
        (Ending.KILLED, 139, None, "it was killed by signal 11"),
        (Ending.KILLED, 137, None, "it was killed by signal 9 (out of memory?)"),
        (Ending.TIMEOUT, 137, None, "it took longer than its limit of 20 s"),
    ],
)
def test_how_it_ended_in_words(mini, tmp_path, ending, code, error, says):
    log = tmp_path / "act.log"
    log.write_text("first\nlast words\n")
    step = mini.pipeline().steps["act"]
    message = str(failure(step, Outcome(code, ending, ["python", "run me.py"], 1.0), {"error": error}, "it wrote no result", log))
    assert message.startswith(f"the stage 'act' failed: {says}")
    for part in ("command: python 'run me.py'", f"exit status: {code}", f"log: {log}", "run the same command again"):
        assert part in message
    assert ("last words" in message) is (error is None)


@pytest.mark.parametrize("free", [0, 1 << 30])
def test_a_failure_on_a_full_disk_says_so(mini, tmp_path, monkeypatch, free):
    """The program could not even write why it failed."""
    log = tmp_path / "act.log"
    log.write_text("")
    monkeypatch.setattr("shutil.disk_usage", lambda _path: SimpleNamespace(free=free))
    step = mini.pipeline().steps["act"]
    error = failure(step, Outcome(1, Ending.EXITED, ["python"], 1.0), {"error": None}, "it wrote no result", log)
    assert ("the disk is full: free space (./mill gc" in error.remedy) is (free == 0)


def test_the_end_of_a_log(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"\n".join(b"line %d" % n for n in range(100)) + b"\nstep 1\rstep 2\r\n\xff\x1b[2J\n\n" + b"x" * 3000 + b"\n")
    assert last_lines(log, 4) == ["line 99", "step 2", "�?[2J", "x" * 500]
    log.write_bytes(b"")
    assert last_lines(log) == []


@pytest.mark.parametrize(
    ("number", "text", "remedy"),
    [
        (errno.ENOSPC, "No space left on device", "./mill gc"),
        (errno.EDQUOT, "quota", "./mill gc"),
        (errno.EACCES, "Permission", "mend that"),
    ],
)
def test_what_the_system_refused(tmp_path, number, text, remedy):
    message = str(unwritten("it failed", OSError(number, text), tmp_path))
    assert message.startswith(f"it failed: {text}")
    assert str(tmp_path) in message
    assert remedy in message
    assert "/some/file" in str(unwritten("it failed", OSError(number, text, "/some/file"), tmp_path))


def test_a_message_has_a_line_for_each_thing_known():
    error = EdgeMillError("what happened", where="here\nand there", found="", expected="this", remedy="do that")
    assert str(error) == "what happened\n  where:    here\n            and there\n  expected: this\n  next:     do that"
    assert str(EdgeMillError("what happened")) == "what happened"
    assert (EdgeMillError("x").exit_code, RequestError("x").exit_code) == (1, 2)
