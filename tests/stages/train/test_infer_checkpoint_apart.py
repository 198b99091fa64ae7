"""Work with TensorFlow in a process of its own."""

import multiprocessing
import os
import signal
import time

import pytest
import tensorflow as tf
from _runtime import StageError
from _tf1_inference.apart import run_apart


def doubled(value):
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run(tf.constant(value) * 2)


def refuse(where):
    raise StageError("something is wrong", where, "this", "that", "mend it")


def die(status):
    os._exit(status)


def fail(text):
    raise RuntimeError(text)


def test_what_the_function_returns_comes_back_though_a_session_has_run_here():
    assert doubled(2) == 4
    assert run_apart(doubled, 21) == 42


def test_a_failure_that_the_user_can_act_on_passes_through_with_all_it_says():
    with pytest.raises(StageError) as caught:
        run_apart(refuse, "here")
    assert caught.value.as_dict() == {
        "what": "something is wrong",
        "where": "here",
        "expected": "this",
        "found": "that",
        "remedy": "mend it",
    }


def test_a_process_that_dies_is_told():
    with pytest.raises(StageError, match="a process died") as caught:
        run_apart(die, 9)
    assert caught.value.found == "exit status 9"


def test_a_defect_leaves_its_traceback_in_the_log(capfd):
    with pytest.raises(StageError, match="a process died"):
        run_apart(fail, "a defect of the function")
    assert "RuntimeError: a defect of the function" in capfd.readouterr().err


def test_a_stop_ends_the_process_too():
    class Stopped(BaseException):
        pass

    def stop(_number, _frame):
        raise Stopped

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(Stopped):
            run_apart(time.sleep, 300)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert multiprocessing.active_children() == []
