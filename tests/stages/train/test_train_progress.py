"""Speed, and the points that are kept of a run."""

import pytest

from stage_helpers import load

progress = load("_training", "progress")


class Clock:
    """A clock that is moved by hand."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_speed_forgets_what_is_long_ago():
    clock = Clock()
    speed = progress.Speed(window=10, clock=clock)
    speed.restart()
    for seconds in [5] * 4 + [1] * 20:
        clock.now += seconds
        speed.count()
    assert speed.recent() == pytest.approx(1.0)
    assert speed.overall() == pytest.approx(24 / 40)


def test_speed_counts_training_time_only():
    clock = Clock()
    speed = progress.Speed(clock=clock)
    for _ in range(3):
        speed.restart()
        for _ in range(4):
            clock.now += 0.5
            speed.count()
        clock.now += 100
    assert speed.overall() == pytest.approx(2.0)
    assert speed.recent() == pytest.approx(2.0)


def test_speed_counts_several_steps_at_once():
    clock = Clock()
    speed = progress.Speed(clock=clock)
    speed.restart()
    for _ in range(3):
        clock.now += 2
        speed.count(10)
    assert speed.recent() == speed.overall() == pytest.approx(5.0)


@pytest.mark.parametrize(("found", "told"), [(0.1234567, 0.123457), (-1.0, 0.0), (float("nan"), 0.0), (1, 1.0)])
def test_a_precision_without_any_object_is_zero(found, told):
    assert progress.as_map(found) == told


def test_speed_before_the_first_step_is_zero():
    speed = progress.Speed()
    speed.restart()
    assert (speed.recent(), speed.overall()) == (0.0, 0.0)


@pytest.mark.parametrize(("num_steps", "kept"), [(10, 10), (500, 500), (5000, 500), (200000, 500)])
def test_a_history_of_any_length_keeps_at_most_some_hundred_points_and_the_last(num_steps, kept):
    history = progress.History(num_steps)
    for step in range(1, num_steps + 1):
        history.note(step, {"loss": 1.0}, 1.0)
    assert len(history.steps) == kept
    assert history.steps[-1]["step"] == num_steps


def test_a_history_survives_being_written():
    history = progress.History(10)
    history.note(1, {"loss": 1.23456789, "learning_rate": 0.01}, 2.0)
    history.evaluations.append({"step": 1, "map": 0.1, "map50": 0.2, "loss": 1.0})
    again = progress.History(10, history.state())
    assert again.state() == history.state()
    assert again.steps == [{"step": 1, "loss": 1.23457, "learning_rate": 0.01, "steps_per_s": 2.0}]
    assert again.evaluated(1)
    assert not again.evaluated(2)
