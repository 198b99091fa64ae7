"""Locks between processes."""

import os
import signal
import time

import pytest
from mini import in_child, wait_until

from edgemill import locks
from edgemill.locks import Lock, held, holders, is_held


def test_one_holder_at_a_time(tmp_path):
    one, other = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    assert one.try_acquire("one")
    assert not other.try_acquire("other")
    assert other.holder() == "one"
    assert is_held(tmp_path / "lock")
    one.release()
    assert not is_held(tmp_path / "lock")
    assert other.try_acquire("other")
    assert one.holder() == "other"


def test_several_may_share_and_then_none_may_have_it_alone(tmp_path):
    one, other, third = (Lock(tmp_path / "lock") for _ in range(3))
    assert one.try_acquire(shared=True)
    assert other.try_acquire(shared=True)
    assert not third.try_acquire()
    one.release()
    other.release()
    assert third.try_acquire()
    assert not one.try_acquire(shared=True)


def test_a_shorter_signature_leaves_nothing_of_a_longer_one(tmp_path):
    for holder in ("a-long-signature", "short"):
        with held(tmp_path / "lock", holder) as lock:
            assert lock.holder() == holder


def test_waiting_is_told_who_holds(tmp_path):
    one = Lock(tmp_path / "lock")
    one.try_acquire("one")
    told = []

    def waiting(holder):
        told.append(holder)
        one.release()

    with held(tmp_path / "lock", "other", waiting):
        assert told == ["one"]


def test_a_lock_ends_with_its_process(tmp_path):
    def die_holding():
        Lock(tmp_path / "lock").try_acquire("dead")
        os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(die_holding) == -signal.SIGKILL
    assert not is_held(tmp_path / "lock")
    assert Lock(tmp_path / "lock").holder() == "dead"


def test_a_child_that_was_given_the_descriptor_keeps_the_lock(tmp_path):
    lock = Lock(tmp_path / "lock")
    lock.try_acquire("parent")
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    lock.release()
    try:
        assert is_held(tmp_path / "lock")
        assert holders(tmp_path / "lock") == [child]
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    wait_until(lambda: not is_held(tmp_path / "lock"), "the lock's end")


def test_a_lock_that_cannot_be_signed_is_not_taken(tmp_path, monkeypatch):
    """Unsigned, it would pass for a dead run's, and its holder's stage would be killed."""

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(locks.os, "pwrite", full)
    lock = Lock(tmp_path / "lock")
    with pytest.raises(OSError, match="No space"):
        lock.try_acquire("one")
    with pytest.raises(ValueError, match="not held"):
        lock.fileno()
    assert not is_held(tmp_path / "lock")


def test_a_lock_that_nobody_made_is_not_held(tmp_path):
    assert not is_held(tmp_path / "absent")
    assert not (tmp_path / "absent").exists()
    assert holders(tmp_path / "absent") == []
