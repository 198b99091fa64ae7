"""The training loop, with a graph that only counts: when it writes checkpoints, evaluates, resumes, stops and gives up."""

import json
import signal
import threading

import pytest
import tensorflow as tf
from _runtime import Interrupted, StageError

from stage_helpers import load

advice = load("_training", "advice")
loop = load("_training", "loop")
checkpoints = load("_training", "checkpoints")


@pytest.fixture(autouse=True)
def _stops_like_a_stage():
    """SIGTERM raises Interrupted, as _runtime.run has it."""

    def stop(number, _frame):
        raise Interrupted(number)

    before = signal.signal(signal.SIGTERM, stop)
    yield
    signal.signal(signal.SIGTERM, before)


def terminate():
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)


def terminate_twice():
    terminate()
    terminate()


class Graph:
    """Counts steps. at: step to its loss, to an error instead of it, or to what is called once it is done; at_once: steps of one call."""

    def __init__(self, at=None, at_once=1):
        self.count, self.begun, self.restored, self.at = 0, [], None, at or {}
        self.at_once = at_once
        self.loss = 1.0

    def begin(self, step):
        self.begun.append(step)

    def advance(self, most):
        return [self._step() for _ in range(min(most, self.at_once))]

    def _step(self):
        event = self.at.get(self.count + 1)
        if isinstance(event, BaseException):
            raise event
        self.count += 1
        if callable(event):
            event = event()
        return {"loss": event if event is not None else self.loss, "learning_rate": 0.1, "classification_loss": 0.5}

    def global_step(self):
        return self.count

    def save(self, prefix):
        event = self.at.get("save")
        if event:
            raise event
        for suffix in (".index", ".data-00000-of-00001"):
            with open(prefix + suffix, "w") as stream:
                stream.write(f"step {self.count}")

    def restore(self, prefix):
        self.restored = prefix
        self.count = int(prefix.rsplit("-", 1)[1])


class Evaluator:
    """Gives mAP@0.5 by step; notes which checkpoints it was shown."""

    def __init__(self, map50=None):
        self.seen, self.map50 = [], {} if map50 is None else map50

    def evaluate(self, prefix, step):
        assert prefix.endswith(f"model.ckpt-{step}")
        self.seen.append(step)
        return {"step": step, "map": 0.1, "map50": self.map50.get(step, 0.2), "loss": 1.0}


class Task:
    """Collects what the loop tells the user."""

    def __init__(self):
        self.said, self.shown, self.metrics = [], [], {}

    def say(self, text):
        self.said.append(text)

    def progress(self, done, total, unit, force=False, **values):
        self.shown.append((done, total, unit, values))


class Events:
    """Keeps the names of the numbers by step, and where training began again."""

    def __init__(self):
        self.written, self.begun = {}, []

    def scalars(self, step, values):
        self.written[step] = sorted(values)

    def resumed(self, step):
        self.begun.append(step)

    def flush(self):
        pass


class Run:
    """One attempt to train in `path`; `start()` runs it."""

    def __init__(self, path, graph=None, evaluator=None, fields=advice.OBJECT_DETECTION_API, **plan):
        settings = {"num_steps": 10, "delay": 4, "checkpoint_every": 3, "evaluate_every": 0, "keep": 9, "deterministic": False}
        settings.update(plan)
        self.graph, self.evaluator, self.task = graph or Graph(), evaluator or Evaluator(), Task()
        self.folder, self.float_folder = checkpoints.CheckpointFolder(path), checkpoints.CheckpointFolder(path / "float")
        self.graphs = 0
        plan = loop.Plan(**settings)
        self.events = Events()
        self.trainer = loop.Trainer(
            self.task, self._make, self.evaluator, self.folder, self.events, plan, tf.errors.OpError, fields, self.float_folder
        )

    def _make(self):
        self.graphs += 1
        return self.graph

    def start(self, warm_start=lambda graph: None):
        self.trainer.run(self.folder.newest()[0], warm_start)
        return self


def test_checkpoints_are_written_at_every_multiple_and_at_the_end(tmp_path):
    assert Run(tmp_path).start().folder.steps() == [10, 9, 6, 3]


def test_without_evaluate_every_the_last_checkpoint_is_evaluated(tmp_path):
    assert Run(tmp_path).start().evaluator.seen == [10]


def test_evaluations_bring_checkpoints_of_their_own(tmp_path):
    run = Run(tmp_path, evaluate_every=4).start()
    assert run.evaluator.seen == [4, 8, 10]
    assert run.folder.steps() == [10, 9, 8, 6, 4, 3]


def test_only_the_newest_checkpoints_and_the_best_are_kept(tmp_path):
    run = Run(tmp_path, evaluator=Evaluator({2: 0.9, 6: 0.8, 8: 0.8}), checkpoint_every=2, evaluate_every=2, keep=2, num_steps=20)
    assert run.start().folder.steps() == [20, 18, 8]


@pytest.mark.parametrize(("delay", "kept"), [(4, [4]), (0, []), (None, []), (9, [9]), (10, [])])
def test_the_last_checkpoint_before_quantization_is_kept_apart(tmp_path, delay, kept):
    run = Run(tmp_path, delay=delay, keep=1).start()
    assert run.float_folder.steps() == kept
    assert all(run.float_folder.whole(step) for step in kept)


def test_a_resumed_training_has_that_of_the_attempt_before(tmp_path):
    with pytest.raises(StageError):
        Run(tmp_path, Graph({8: tf.errors.InternalError(None, None, "lost")})).start()
    run = Run(tmp_path).start()
    assert run.trainer.history.resumed_from == [6]
    assert run.float_folder.whole(4)


@pytest.mark.parametrize(("delay", "best"), [(4, 6), (0, 2), (None, 2), (9, 10), (10, None)])
def test_the_best_is_chosen_among_evaluations_after_quantization_began(tmp_path, delay, best):
    run = Run(tmp_path, evaluator=Evaluator({2: 0.9, 6: 0.8}), evaluate_every=2, delay=delay).start()
    assert (run.trainer.history.best(delay) or {}).get("step") == best


def test_of_equally_good_evaluations_the_later_is_the_best(tmp_path):
    assert Run(tmp_path, evaluate_every=2).start().trainer.history.best(4)["step"] == 10


def test_progress_names_step_loss_speed_time_left_and_phase(tmp_path):
    shown = Run(tmp_path).start().task.shown
    assert [(done, total, unit) for done, total, unit, _ in shown] == [(step, 10, "step") for step in range(11)]
    assert set(shown[5][3]) == {"loss", "steps_per_s", "eta_s", "learning_rate", "phase"}
    assert [values["phase"] for _, _, _, values in shown[1:]] == ["float"] * 3 + ["quantized"] * 7


def test_a_training_without_quantization_has_no_phases(tmp_path):
    assert "phase" not in Run(tmp_path, delay=None).start().task.shown[5][3]


def test_events_tell_loss_learning_rate_and_speed_of_each_step_kept(tmp_path):
    written = Run(tmp_path).start().events.written
    assert written == {step: ["classification_loss", "learning_rate", "loss", "steps_per_s"] for step in range(1, 11)}


@pytest.mark.parametrize("at_once", [2, 3, 100])
def test_however_many_steps_a_call_makes_all_is_as_with_one(tmp_path, at_once):
    one = Run(tmp_path / "one", evaluate_every=4).start()
    many = Run(tmp_path / "many", Graph(at_once=at_once), evaluate_every=4).start()
    assert many.folder.steps() == one.folder.steps()
    assert many.float_folder.steps() == one.float_folder.steps() == [4]
    assert many.evaluator.seen == one.evaluator.seen
    assert [done for done, *_ in many.task.shown] == [done for done, *_ in one.task.shown]
    assert [entry["step"] for entry in many.trainer.history.steps] == list(range(1, 11))


def test_the_start_of_quantization_is_said(tmp_path):
    assert "step 4: quantization begins" in Run(tmp_path).start().task.said


class TestResume:
    def test_it_goes_on_from_the_newest_checkpoint_with_the_history(self, tmp_path):
        with pytest.raises(Interrupted):
            Run(tmp_path, Graph({8: terminate}), evaluate_every=4).start()
        second = Run(tmp_path, evaluate_every=4).start()
        assert second.graph.restored.endswith("model.ckpt-8")
        assert second.trainer.history.resumed_from == second.events.begun == [8]
        assert [entry["step"] for entry in second.trainer.history.evaluations] == [4, 8, 10]
        assert [entry["step"] for entry in second.trainer.history.steps] == list(range(1, 11))

    def test_an_evaluation_that_was_due_when_it_was_killed_is_made_up_for(self, tmp_path):
        with pytest.raises(KeyboardInterrupt):
            Run(tmp_path, evaluator=Evaluator(Killed()), evaluate_every=4).start()
        second = Run(tmp_path, evaluate_every=4).start()
        assert second.evaluator.seen == [4, 8, 10]

    def test_a_finished_training_is_not_built_again(self, tmp_path):
        Run(tmp_path).start()
        second = Run(tmp_path).start()
        assert (second.graphs, second.evaluator.seen, second.task.shown) == (0, [], [])

    def test_a_finished_training_that_was_not_evaluated_is_only_evaluated(self, tmp_path):
        with pytest.raises(KeyboardInterrupt):
            Run(tmp_path, evaluator=Evaluator(Killed())).start()
        second = Run(tmp_path).start()
        assert (second.graphs, second.evaluator.seen) == (0, [10])

    def test_a_warm_start_is_made_once(self, tmp_path):
        with pytest.raises(Interrupted):
            Run(tmp_path, Graph({8: terminate})).start(lambda graph: {"restored": ["a"]})
        second = Run(tmp_path).start(lambda graph: pytest.fail("warm start of a resumed training"))
        assert second.trainer.history.warm_start == {"restored": ["a"]}


class Killed(dict):
    """An evaluation that does not survive."""

    def get(self, step, default=None):
        raise KeyboardInterrupt


class TestStop:
    def test_a_stopped_training_keeps_what_it_did(self, tmp_path):
        run = Run(tmp_path, Graph({8: terminate}))
        with pytest.raises(Interrupted):
            run.start()
        assert run.folder.newest()[0].step == 8
        assert "stopped at step 8; the next run resumes there" in run.task.said

    @pytest.mark.parametrize("at_once", [1, 4, 100])
    def test_it_notes_every_step_of_the_call_first(self, tmp_path, at_once):
        run = Run(tmp_path, Graph({7: terminate}, at_once=at_once), checkpoint_every=9)
        with pytest.raises(Interrupted):
            run.start()
        sealed = run.folder.newest()[0]
        assert [entry["step"] for entry in sealed.state["steps"]] == list(range(1, sealed.step + 1))
        assert sorted(run.events.written) == list(range(1, sealed.step + 1))
        assert sealed.step == {1: 7, 4: 8, 100: 9}[at_once]

    def test_weights_that_became_no_numbers_in_the_call_are_not_kept(self, tmp_path):
        run = Run(tmp_path, Graph({7: terminate, 8: float("nan")}, at_once=3))
        with pytest.raises(StageError, match="not a number"):
            run.start()
        assert run.folder.newest()[0].step == 6

    def test_a_second_signal_is_not_waited_for_and_the_call_not_kept(self, tmp_path):
        run = Run(tmp_path, Graph({8: terminate_twice}))
        with pytest.raises(Interrupted):
            run.start()
        assert run.graph.count == 8
        assert run.folder.newest()[0].step == 6
        assert "stopped within a step; the next run resumes from step 6" in run.task.said

    def test_between_calls_a_signal_is_heard_at_once(self, tmp_path):
        run = Run(tmp_path, Graph())
        run.graph.save = lambda prefix: terminate()
        with pytest.raises(Interrupted):
            run.start()
        assert run.graph.count == 3

    def test_a_deterministic_one_goes_back_to_its_last_checkpoint(self, tmp_path):
        run = Run(tmp_path, Graph({8: terminate}), deterministic=True)
        with pytest.raises(Interrupted):
            run.start()
        assert run.folder.newest()[0].step == 6

    def test_one_that_is_stopped_before_its_graph_is_built_leaves_nothing(self, tmp_path):
        run = Run(tmp_path)
        with pytest.raises(Interrupted):
            run.start(warm_start=interrupt)
        assert run.folder.newest() == (None, [])


def interrupt(graph):
    raise Interrupted(15)


class TestSegments:
    def test_a_deterministic_training_begins_its_input_anew_at_each_checkpoint(self, tmp_path):
        assert Run(tmp_path, deterministic=True, evaluate_every=4).start().graph.begun == [0, 3, 4, 6, 8, 9]

    def test_a_resumed_one_begins_where_one_that_never_stopped_would(self, tmp_path):
        with pytest.raises(Interrupted):
            Run(tmp_path, Graph({8: terminate}), deterministic=True).start()
        assert Run(tmp_path, deterministic=True).start().graph.begun == [6, 9]

    def test_otherwise_the_input_is_begun_once(self, tmp_path):
        assert Run(tmp_path).start().graph.begun == [0]


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_ends_the_training(tmp_path, loss):
    run = Run(tmp_path, Graph({5: loss}))
    with pytest.raises(StageError) as raised:
        run.start()
    assert raised.value.where == "step 5"
    assert "learning rate" in raised.value.remedy
    assert "classification_loss 0.5" in raised.value.found
    assert run.folder.newest()[0].step == 3


@pytest.mark.parametrize(
    ("at", "where", "remedy"),
    [
        ({5: tf.errors.DataLossError(None, None, "corrupted record at 12")}, "step 5", "build them again"),
        ({5: tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")}, "step 5", "batch_size"),
        ({"save": tf.errors.ResourceExhaustedError(None, None, "disk")}, "model.ckpt-3", "resumes from step 0"),
        ({"save": OSError(28, "No space left on device")}, "model.ckpt-3", "resumes from step 0"),
    ],
    ids=["record", "memory", "TensorFlow's disk", "disk"],
)
def test_what_the_user_can_mend_is_said(tmp_path, at, where, remedy):
    with pytest.raises(StageError) as raised:
        Run(tmp_path, Graph(at)).start()
    assert raised.value.where.endswith(where)
    assert remedy in raised.value.remedy


def test_remedies_name_the_fields_of_the_config_that_is_trained(tmp_path):
    for number, event in enumerate((float("nan"), tf.errors.ResourceExhaustedError(None, None, "OOM"))):
        with pytest.raises(StageError) as raised:
            Run(tmp_path / str(number), Graph({5: event}), fields=advice.MODEL_GARDEN).start()
        assert raised.value.remedy in (advice.MODEL_GARDEN.loss, advice.MODEL_GARDEN.memory)
    assert not [text for text in advice.MODEL_GARDEN if "train_config" in text or "model.ssd" in text or "encode_background" in text]


def test_what_is_sealed_is_json_without_nan(tmp_path):
    Run(tmp_path).start()
    json.loads((tmp_path / "model.ckpt-10.seal.json").read_text(), parse_constant=pytest.fail)
