"""What every stage program relies on: its result whatever happens, progress lines, and files that are whole."""

import errno
import json
import os
import signal
import subprocess
import sys

import pytest
from _runtime import StageError, Task, atomic_write, sha256_file, write_json

from stage_helpers import STAGES

PROGRAM = """
import os, sys, time
sys.path.insert(0, %r)
from _runtime import StageError, run, write_text

def main(task):
    %s

run(main)
"""


def fields(folder, **changes):
    task = {"schema": 1, "stage": "s", "name": "s", "params": {}, "inputs": {"one": None, "several": None}, "cpus": 1, "run": None}
    return {**task, "output": str(folder), "scratch": str(folder), "result": str(folder / "result.json"), **changes}


@pytest.fixture
def program(tmp_path):
    """program(body of main): the process that runs it, and where its result will be."""

    def start(body, **changes):
        (tmp_path / "task.json").write_text(json.dumps(fields(tmp_path, **changes)))
        (tmp_path / "run.py").write_text(PROGRAM % (str(STAGES), body))
        command = [sys.executable, str(tmp_path / "run.py"), str(tmp_path / "task.json")]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return start


def result(folder):
    return json.loads((folder / "result.json").read_text())


@pytest.mark.parametrize(
    ("body", "what", "remedy"),
    [
        ("raise StageError('no such class', where='a.xml:3', expected='ace', found='acd', remedy='mend it')", "no such class", "mend it"),
        (f"raise OSError({errno.ENOSPC}, 'No space left on device', '/full')", "No space left on device", "./mill gc"),
        (f"raise OSError({errno.EDQUOT}, 'Disk quota exceeded', '/full')", "Disk quota exceeded", "./mill gc"),
        ("[][1]", "IndexError: list index out of range", "defect in the stage"),
        ("raise OSError(5, 'Input/output error')", "OSError: [Errno 5] Input/output error", "defect in the stage"),
    ],
)
def test_a_failure_is_told_and_exits_with_1(program, tmp_path, body, what, remedy):
    process = program(body)
    process.communicate(timeout=30)
    assert process.returncode == 1
    assert result(tmp_path)["error"]["what"] == what
    assert remedy in result(tmp_path)["error"]["remedy"]


def test_a_full_disk_is_named_by_its_file(program, tmp_path):
    program("raise OSError(28, 'No space left on device', '/full')").communicate(timeout=30)
    assert result(tmp_path)["error"]["where"] == "/full"


def test_success_keeps_metrics_tools_and_warnings(program, tmp_path):
    process = program("task.metrics['map'] = 0.5; task.tools['tf'] = '1.13.1'; task.warn('doubtful')")
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert result(tmp_path) == {"schema": 1, "error": None, "metrics": {"map": 0.5}, "tools": {"tf": "1.13.1"}, "warnings": ["doubtful"]}
    assert json.loads(out) == {"edgemill": "message", "level": "warning", "text": "doubtful"}


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_ends_the_program_with_the_signals_exit_status_and_no_result(program, tmp_path, signum):
    process = program("task.say('ready'); time.sleep(60)")
    process.stdout.readline()
    process.send_signal(signum)
    process.communicate(timeout=30)
    assert process.returncode == 128 + signum
    assert not (tmp_path / "result.json").exists()


def test_progress_is_thinned_but_the_last_line_always_comes(program):
    out, _ = program("[task.progress(n, 1000, 'step', loss=1.0) for n in range(1001)]").communicate(timeout=30)
    events = [json.loads(line) for line in out.splitlines()]
    assert len(events) < 100
    assert (events[0]["done"], events[-1]["done"]) == (0, 1000)


def test_events_stand_on_lines_of_their_own_between_prints(program):
    out, _ = program("print('a'); task.say('b'); print('c')").communicate(timeout=30)
    assert [line[:1] for line in out.splitlines()] == ["a", "{", "c"]


def test_absent_inputs_are_none_and_an_empty_list(tmp_path):
    task = Task(fields(tmp_path))
    assert task.input("one") is None
    assert task.inputs("several") == []


def test_a_task_of_another_schema_is_refused(tmp_path):
    with pytest.raises(StageError, match="another schema"):
        Task(fields(tmp_path, schema=2))


def test_a_file_is_whole_or_not_there(tmp_path):
    (tmp_path / "a").write_text("old")

    def write_half():
        with atomic_write(tmp_path / "a") as stream:
            stream.write(b"new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_json_is_the_same_bytes_for_the_same_value_and_holds_no_nan(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": "é"})
    write_json(tmp_path / "b.json", {"a": "é", "b": 1})
    assert sha256_file(tmp_path / "a.json") == sha256_file(tmp_path / "b.json")
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", {"a": float("nan")})


def test_published_files_can_be_read_by_everybody(tmp_path):
    write_json(tmp_path / "a.json", {})
    assert os.stat(tmp_path / "a.json").st_mode & 0o777 == 0o644
