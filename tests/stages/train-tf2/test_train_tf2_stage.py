"""The train-tf2 stage as a whole, on a detector of seconds: what it leaves, how it resumes, stops and warm-starts, what it refuses."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
import tensorflow as tf
import tiny_training_tf2
from tiny_training_tf2 import config_text

from stage_helpers import STAGES, run_program, write_task


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return tiny_training_tf2.write_records(tmp_path_factory.mktemp("stage") / "records")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return tiny_training_tf2.write_config(tmp_path_factory.mktemp("stage") / "config", config_text())


@pytest.fixture(scope="module")
def done(tmp_path_factory, records, config):
    """The `Outcome` of a training of four steps, evaluated at each second."""
    params = dict(tiny_training_tf2.PARAMS, evaluate_every=2)
    inputs = tiny_training_tf2.inputs(records, config)
    outcome = run_program(tmp_path_factory.mktemp("trained") / "run", "train-tf2", params, inputs, env=tiny_training_tf2.ENVIRONMENT)
    assert outcome.code == 0, outcome.log
    return outcome


@pytest.fixture
def train(run_here, records, config):
    """train(PARAMETER=…): the `Outcome` of a training of four steps in this process."""

    def call(folder=config, **params):
        return run_here("train-tf2", dict(tiny_training_tf2.PARAMS, **params), tiny_training_tf2.inputs(records, folder))

    return call


def events(folder):
    """The tags of all TensorBoard events in a folder."""
    files = [str(path) for path in folder.iterdir()]
    return {value.tag for path in files for event in tf.compat.v1.train.summary_iterator(path) for value in event.summary.value}


@pytest.mark.slow
class TestOutput:
    def test_it_is_the_checkpoint_with_config_and_history(self, done, config):
        assert sorted(path.name for path in done.output.iterdir()) == [
            "checkpoint.json",
            "events",
            "history.json",
            "model.ckpt-4.data-00000-of-00001",
            "model.ckpt-4.index",
            "pipeline.config",
        ]
        assert (done.output / "pipeline.config").read_bytes() == (config / "pipeline.config").read_bytes()

    def test_checkpoint_json_says_what_it_is(self, done):
        said = done.json("checkpoint.json")
        evaluations = said.pop("evaluations")
        assert [entry["step"] for entry in evaluations] == [2, 4]
        assert said == {
            "schema": 1,
            "step": 4,
            "prefix": "model.ckpt-4",
            "classes": ["circle", "square", "triangle"],
            "selected_by": "last",
            "num_steps": 4,
            "quantization_delay": None,
            "deterministic": False,
            "seed": 1,
            "intra_op_threads": 2,
            "warm_start": None,
        }
        assert done.result["metrics"]["map50"] == evaluations[-1]["map50"]

    def test_the_history_has_each_step(self, done):
        history = done.json("history.json")
        assert [entry["step"] for entry in history["steps"]] == [1, 2, 3, 4]
        assert {entry["learning_rate"] for entry in history["steps"]} == {0.01}
        assert all(entry["loss"] > 0 and entry["steps_per_s"] > 0 for entry in history["steps"])

    def test_tensorboard_has_numbers_and_pictures(self, done):
        parts = {"loss", "classification_loss", "localization_loss", "regularization_loss", "learning_rate", "steps_per_s"}
        assert events(done.output / "events" / "train") == parts
        assert {"DetectionBoxes_Precision/mAP@.50IOU", "Loss/total_loss", "eval_side_by_side_0_0"} <= events(
            done.output / "events" / "eval"
        )

    def test_progress_tells_loss_speed_time_left_and_learning_rate(self, done):
        lines = re.findall(r'"done": 4, "total": 4, "unit": "step", "values": \{(.*?)\}', done.log)
        assert sorted(re.findall(r'"(\w+)":', lines[-1])) == ["eta_s", "learning_rate", "loss", "steps_per_s"]

    def test_the_checkpoint_is_one_of_objects_that_any_program_restores(self, done):
        names = {name.split("/")[0] for name, _ in tf.train.list_variables(str(done.output / "model.ckpt-4"))}
        assert names == {"_CHECKPOINTABLE_OBJECT_GRAPH", "model", "optimizer", "step"}

    def test_it_warm_starts_another_training(self, train, done):
        second = train(warm_start=str(done.output), seed=2)
        assert second.code == 0, second.error
        counts, names = second.json("checkpoint.json")["warm_start"], second.json("history.json")["warm_start"]
        assert counts == {"restored": len(names["restored"]), "missing": 0, "other_shape": 0}
        assert any(name.startswith("BoxPredictor/ConvolutionalClassHead_0") for name in names["restored"])
        assert any(name.endswith("moving_mean") for name in names["restored"])


@pytest.mark.parametrize(
    ("old", "new", "where", "remedy"),
    [
        ("eval_config {", "graph_rewriter { quantization { delay: 2 } } eval_config {", "graph_rewriter", "stage `train`"),
        ("use_moving_average: false", "use_moving_average: true", "use_moving_average", "use_moving_average: false"),
        ("    use_moving_average: false\n", "", "use_moving_average", "use_moving_average: false"),
        ("train_config {", 'train_config { fine_tune_checkpoint: "a/ckpt-0"', "fine_tune_checkpoint", "`warm_start`"),
        ('"ssd_mobilenet_v1_keras"', '"ssd_mobilenet_v1"', "pipeline.config: model", "configure-tf2"),
    ],
)
def test_what_would_be_ignored_or_cannot_be_built_is_refused(train, tmp_path, old, new, where, remedy):
    text = config_text()
    assert old in text
    folder = tiny_training_tf2.write_config(tmp_path / "config", text.replace(old, new))
    error = train(folder).error
    assert where in error["where"]
    assert remedy in error["remedy"]


def test_damaged_records_stop_it_before_anything_is_built(run_here, tmp_path, config):
    records = tiny_training_tf2.write_records(tmp_path / "records")
    shard = records / "train.record-00001-of-00002"
    shard.write_bytes(shard.read_bytes()[:-1])
    done = run_here("train-tf2", tiny_training_tf2.PARAMS, tiny_training_tf2.inputs(records, config))
    assert done.error["where"] == str(shard)


@pytest.mark.slow
def test_a_signal_leaves_a_checkpoint_of_the_step_reached_and_the_next_run_goes_on_there(tmp_path, records):
    config = tiny_training_tf2.write_config(tmp_path / "config", config_text(num_steps=100000))
    folder = tmp_path / "stopped"
    params = dict(tiny_training_tf2.PARAMS, checkpoint_every=100000)
    write_task(folder, "train-tf2", params, tiny_training_tf2.inputs(records, config))
    assert stop_at(folder, rb'"done": ([5-9]|[0-9]{2,}),', signal.SIGTERM) == 143
    (seal,) = (folder / "scratch" / "checkpoints").glob("*.seal.json")
    assert b"the next run resumes there" in (folder / "log").read_bytes()
    step = int(re.search(r"ckpt-(\d+)", seal.name).group(1))
    assert stop_at(folder, rb'"done": %d,' % (step + 1), signal.SIGKILL) == -signal.SIGKILL
    assert b"resuming from step %d" % step in (folder / "log").read_bytes()


def stop_at(folder, pattern, number):
    """Run the task in `folder`, send it the signal `number` once its log has the pattern; its exit status."""
    command = [sys.executable, str(STAGES / "train-tf2" / "run.py"), str(folder / "task.json")]
    environment = dict(os.environ, PYTHONPATH=str(STAGES), MPLBACKEND="Agg", PYTHONHASHSEED="0", **tiny_training_tf2.ENVIRONMENT)
    with open(str(folder / "log"), "wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=str(folder), stdout=log, stderr=subprocess.STDOUT)
        try:
            deadline = time.monotonic() + 240
            while not re.search(pattern, (folder / "log").read_bytes()):
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)
            process.send_signal(number)
            return process.wait(60)
        finally:
            process.kill()
