"""The train stage as a whole, on a detector of seconds: what it leaves, and how it resumes and warm-starts."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
import tensorflow as tf
import tiny_training

from stage_helpers import STAGES

CHECKPOINT = ["model.ckpt-4.data-00000-of-00001", "model.ckpt-4.index"]


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return tiny_training.write_records(tmp_path_factory.mktemp("stage") / "records")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return tiny_training.write_config(tmp_path_factory.mktemp("stage") / "config", tiny_training.config_text())


@pytest.fixture
def train(run_here, records, config):
    """train(PARAMETER=…): the `Outcome` of a training of four steps."""

    def call(**params):
        return run_here("train", dict(tiny_training.PARAMS, **params), tiny_training.inputs(records, config))

    return call


def events(folder):
    """The tags of all TensorBoard events in a folder."""
    files = [str(path) for path in folder.iterdir()]
    return {value.tag for path in files for event in tf.train.summary_iterator(path) for value in event.summary.value}


def test_a_training_leaves_checkpoint_config_history_and_events(train, config):
    done = train(evaluate_every=2)
    assert done.code == 0, done.error
    assert sorted(path.name for path in done.output.iterdir()) == [
        "before_quantization",
        "checkpoint.json",
        "events",
        "history.json",
        *CHECKPOINT,
        "pipeline.config",
    ]
    assert (done.output / "pipeline.config").read_bytes() == (config / "pipeline.config").read_bytes()
    said, history = done.json("checkpoint.json"), done.json("history.json")
    assert {name: said[name] for name in ("step", "prefix", "num_steps", "quantization_delay", "selected_by", "warm_start")} == {
        "step": 4,
        "prefix": "model.ckpt-4",
        "num_steps": 4,
        "quantization_delay": 2,
        "selected_by": "last",
        "warm_start": None,
    }
    assert [entry["step"] for entry in said["evaluations"]] == [2, 4]
    assert said["evaluations"] == history["evaluations"]
    assert [entry["step"] for entry in history["steps"]] == [1, 2, 3, 4]
    assert history["resumed_from"] == []
    assert {"loss", "learning_rate", "steps_per_s"} <= events(done.output / "events" / "train")
    assert "DetectionBoxes_Precision/mAP@.50IOU" in events(done.output / "events" / "eval")
    assert done.result["metrics"]["map50"] == said["evaluations"][-1]["map50"]


@pytest.mark.slow
def test_a_warm_start_says_what_it_restored(train):
    first = train(seed=5)
    second = train(seed=6, warm_start=str(first.output))
    assert second.code == 0, second.error
    counts, names = second.json("checkpoint.json")["warm_start"], second.json("history.json")["warm_start"]
    assert counts == {"restored": len(names["restored"]), "missing": 0, "other_shape": 0}
    assert any(name.startswith("BoxPredictor_0/ClassPredictor/BatchNorm") for name in names["restored"])
    assert any(name.endswith("weights_quant/max") for name in names["restored"])
    assert not [name for name in names["restored"] if name.endswith(("global_step", "fake_quantization_step", "Momentum"))]


def test_damaged_records_stop_it_before_tensorflow_starts(run_here, tmp_path, config):
    records = tiny_training.write_records(tmp_path / "records")
    shard = records / "train.record-00001-of-00002"
    shard.write_bytes(shard.read_bytes()[:-1])
    done = run_here("train", tiny_training.PARAMS, tiny_training.inputs(records, config))
    assert done.error["where"] == str(shard)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_leaves_a_checkpoint_of_the_step_reached(tmp_path, run_stage, records, number, code):
    config = tiny_training.write_config(tmp_path / "config", tiny_training.config_text(num_steps=100000))
    params = dict(tiny_training.PARAMS, checkpoint_every=100000)
    folder = tmp_path / "stopped"
    with pytest.raises(subprocess.TimeoutExpired):
        run_stage("train", params, tiny_training.inputs(records, config), timeout=0.1)  # writes the task
    (task,) = tmp_path.glob("train-0/task.json")
    (folder / "output").mkdir(parents=True)
    (folder / "scratch").mkdir()
    (folder / "task.json").write_text(task.read_text().replace(str(task.parent), str(folder)))
    command = [sys.executable, str(STAGES / "train" / "run.py"), str(folder / "task.json")]
    environment = dict(os.environ, PYTHONPATH=str(STAGES), MPLBACKEND="Agg")
    with open(str(folder / "log"), "wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=str(folder), stdout=log, stderr=subprocess.STDOUT)
        try:
            deadline = time.monotonic() + 240
            # Progress is thinned where steps are quick: any step from the fifth on will do.
            while not re.search(rb'"done": ([5-9]|[0-9]{2,}),', (folder / "log").read_bytes()):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
            process.send_signal(number)
            assert process.wait(60) == code
        finally:
            process.kill()
    seals = list((folder / "scratch" / "checkpoints").glob("*.seal.json"))
    assert len(seals) == 1
    assert b"the next run resumes there" in (folder / "log").read_bytes()
