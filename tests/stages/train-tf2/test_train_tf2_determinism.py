"""`deterministic: true` gives the same bytes: from run to run, and whether or not it was killed in between."""

import os
import signal
import subprocess
import sys
import time

import pytest
import tiny_training_tf2
import yaml
from tiny_training_tf2 import config_text

from stage_helpers import STAGES, load, write_task

ENVIRONMENT = dict(PYTHONPATH=str(STAGES), MPLBACKEND="Agg", PYTHONHASHSEED="0", **tiny_training_tf2.ENVIRONMENT)
CROPS = "data_augmentation_options { ssd_random_crop { } } data_augmentation_options { random_horizontal_flip { } }"


def make_task(folder, inputs, **params):
    write_task(folder, "train-tf2", dict(tiny_training_tf2.PARAMS, deterministic=True, checkpoint_every=3, **params), inputs)
    return folder


def start(folder, **environment):
    command = [sys.executable, str(STAGES / "train-tf2" / "run.py"), str(folder / "task.json")]
    log = open(str(folder / "log"), "ab")  # noqa: SIM115  the process has it
    return subprocess.Popen(command, env=dict(os.environ, **dict(ENVIRONMENT, **environment)), cwd=str(folder), stdout=log, stderr=log)


def finish(folder):
    assert start(folder).wait(400) == 0, (folder / "log").read_text()[-4000:]
    return {path.name: path.read_bytes() for path in (folder / "output").iterdir() if path.name not in ("history.json", "events")}


@pytest.mark.slow
def test_a_training_gives_the_bytes_of_another_that_was_killed_and_resumed(tmp_path):
    records = tiny_training_tf2.write_records(tmp_path / "records")
    text = (
        config_text(num_steps=6)
        .replace("data_augmentation_options { random_horizontal_flip { } }", CROPS)
        .replace("use_dropout: false", "use_dropout: true")
    )
    inputs = tiny_training_tf2.inputs(records, tiny_training_tf2.write_config(tmp_path / "config", text, num_steps=6))
    whole, again = make_task(tmp_path / "whole", inputs), make_task(tmp_path / "again", inputs)
    with start(again) as killed:
        deadline = time.monotonic() + 400
        while not (again / "scratch" / "checkpoints" / "model.ckpt-3.seal.json").exists():
            assert killed.poll() is None, (again / "log").read_text()[-4000:]
            assert time.monotonic() < deadline
            time.sleep(0.01)
        killed.send_signal(signal.SIGKILL)
    assert not (again / "result.json").exists()
    resumed, unbroken = finish(again), finish(whole)
    assert b"resuming from step" in (again / "log").read_bytes()
    assert sorted(unbroken) == ["checkpoint.json", "model.ckpt-6.data-00000-of-00001", "model.ckpt-6.index", "pipeline.config"]
    assert [name for name in unbroken if resumed[name] != unbroken[name]] == []
    assert b'"intra_op_threads": 1' in unbroken["checkpoint.json"]


def test_hashes_that_differ_from_run_to_run_are_refused(tmp_path):
    folder = make_task(tmp_path / "run", {})
    assert start(folder, PYTHONHASHSEED="random").wait(60) == 1
    assert "PYTHONHASHSEED" in (folder / "result.json").read_text()


def test_what_tensorflow_reads_at_import_is_set_before(monkeypatch):
    process = load("_training", "process")
    monkeypatch.setattr(process.sys, "flags", type("Flags", (), {"hash_randomization": 0}))
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    process.prepare(deterministic=False)
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "1"
    process.prepare(deterministic=True)
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "0"


@pytest.mark.parametrize("stage", ["train", "train-tf2", "train-garden"])
def test_the_largest_seed_that_a_stage_takes_is_the_largest_of_tensorflow(stage):
    import tensorflow as tf

    largest = yaml.safe_load((STAGES / stage / "stage.yaml").read_text())["params"]["seed"]["maximum"]
    tf.keras.utils.set_random_seed(largest)
    with pytest.raises(ValueError, match="Seed must be between"):
        tf.keras.utils.set_random_seed(largest + 1)
