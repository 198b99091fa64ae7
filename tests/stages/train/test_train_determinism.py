"""Training to the same bits: the input pipeline, the order of assignments, and a real training killed and resumed."""

import hashlib
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
import tiny_training
from _runtime import StageError
from object_detection import inputs

from stage_helpers import STAGES, load

determinism = load("train", "training_determinism")
graphs = load("train", "training_graph")
loop = load("_training", "loop")
records_module = load("_training", "records")
config_text = load("_odapi", "config_text")


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return tiny_training.write_records(tmp_path_factory.mktemp("determinism") / "records")


@pytest.fixture(scope="module")
def api(tmp_path_factory, records):
    """The Object Detection API for a tiny detector that trains on `records`."""
    folder = tmp_path_factory.mktemp("api")
    config = config_text.parse_config(tiny_training.config_text(num_steps=4, delay=2), "tiny")
    records_module.resolve_paths(config, records)
    (folder / "pipeline.config").write_text(config_text.print_config(config))
    return graphs.Api(folder / "pipeline.config", folder / "unused", seed=1)


def batches(api, seed, count=6):
    """The sha256 of the next `count` batches: pictures and boxes."""
    with tf.Graph().as_default(), determinism.sequential_input(seed):
        iterator = api.train_input().make_initializable_iterator()
        features, labels = iterator.get_next()
        wanted = [features["image"], labels["groundtruth_boxes"]]
        with tf.Session() as session:
            session.run([tf.tables_initializer(), iterator.initializer])
            return [
                hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in session.run(wanted))).hexdigest()
                for _ in range(count)
            ]


class TestInput:
    def test_the_same_seed_gives_the_same_augmented_batches_in_the_same_order(self, api):
        first = batches(api, 7)
        assert batches(api, 7) == first
        assert len(set(first)) == len(first)

    def test_another_seed_gives_others(self, api):
        assert not set(batches(api, 7)) & set(batches(api, 8))

    def test_the_api_is_left_as_it_was(self, api):
        before = dict(inputs.INPUT_BUILDER_UTIL_MAP)
        with pytest.raises(RuntimeError), determinism.sequential_input(1):
            raise RuntimeError
        assert before == inputs.INPUT_BUILDER_UTIL_MAP

    def test_seeds_of_segments_differ_by_step_and_by_seed(self):
        seeds = [loop.segment_seed(seed, step) for seed in (1, 2, 11) for step in (0, 1, 10, 100)]
        assert len(set(seeds)) == len(seeds)
        assert all(0 <= seed < 2**31 for seed in seeds)


def writers_and_readers(read):
    """A graph in which `read(variable)` reads what an update operation writes; (graph, the update, operations that must come before it)."""
    with tf.Graph().as_default() as graph:
        average = tf.get_variable("average", initializer=tf.constant([1.0, 2.0]), use_resource=False, trainable=False)
        weight = tf.get_variable("weight", initializer=tf.constant([1.0, 2.0]), use_resource=False)
        tensor = read(average)
        update = tf.assign_sub(average, [0.5, 0.5])
        tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, update)
        loss = tf.reduce_sum(weight * tensor)
        tf.train.GradientDescentOptimizer(0.1).minimize(loss)
        determinism.order_assignments(graph, [loss])
    return graph, update.op


def comes_before(earlier, later):
    waiting, seen = [later], set()
    while waiting:
        for operation in [tensor.op for tensor in waiting[-1].inputs] + list(waiting.pop().control_inputs):
            if operation is earlier:
                return True
            if operation not in seen:
                seen.add(operation)
                waiting.append(operation)
    return False


class TestOrder:
    def test_an_average_is_updated_after_it_was_read_through_an_alias(self):
        graph, update = writers_and_readers(lambda average: tf.multiply(tf.reshape(average, [1, 2]), 2.0, name="reader"))
        assert comes_before(graph.get_operation_by_name("reader"), update)

    def test_a_reader_in_a_branch_that_is_not_taken_does_not_stop_the_update(self):
        def read(average):
            return tf.cond(tf.constant(value=False), lambda: average * 2.0, lambda: average * 3.0)

        graph, update = writers_and_readers(read)
        with tf.Session(graph=graph) as session:
            session.run([variable.initializer for variable in graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES)])
            assert session.run(update.outputs[0]).tolist() == [0.5, 1.5]

    def test_weights_are_written_when_every_gradient_and_the_loss_are_known(self):
        graph, _ = writers_and_readers(lambda average: average * 2.0)
        (apply,) = [operation for operation in graph.get_operations() if operation.type.startswith("Apply")]
        loss = next(operation for operation in graph.get_operations() if operation.type == "Sum")
        assert comes_before(loss, apply)


class TestRandom:
    """Dropout draws from the seed and the step's number, so that a resumed training goes on as if it had never stopped."""

    def draws(self, seed, steps):
        with tf.Graph().as_default() as graph:
            step = tf.train.create_global_step()
            kept = tf.nn.dropout(tf.ones([50]), rate=0.5)
            assert determinism.make_random_stateless(graph, seed) == 1
            with tf.Session() as session:
                session.run(step.initializer)
                found = {}
                for number in steps:
                    session.run(step.assign(number))
                    found[number] = tuple(session.run(kept).tolist())
                return found

    def test_the_same_step_drops_the_same_whatever_came_before(self):
        assert self.draws(1, [5, 6])[6] == self.draws(1, [6])[6]

    def test_steps_and_seeds_differ(self):
        assert len(set(self.draws(1, [5, 6]).values()) | set(self.draws(2, [5, 6]).values())) == 4

    def test_what_draws_otherwise_is_refused(self):
        with tf.Graph().as_default() as graph:
            tf.train.create_global_step()
            tf.random_shuffle([1, 2, 3], name="sampler")
            with pytest.raises(StageError) as raised:
                determinism.make_random_stateless(graph, 1)
        assert raised.value.found == "RandomShuffle"

    def test_initial_weights_are_left_alone(self):
        with tf.Graph().as_default() as graph:
            tf.train.create_global_step()
            tf.get_variable("weights", [3], initializer=tf.random_normal_initializer())
            assert determinism.make_random_stateless(graph, 1) == 0


def trained(api, folder, steps, threads):
    """sha256 of the checkpoint after `steps` steps."""
    graph = graphs.TrainingGraph(api, 1, (threads, 2), deterministic=True, optimize=False)
    graph.begin(0)
    for _ in range(steps):
        graph.advance()
    folder.mkdir()
    graph.save(str(folder / "model.ckpt"))
    graph.close()
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_two_trainings_give_the_same_bits(api, tmp_path):
    first = trained(api, tmp_path / "first", 4, threads=1)
    assert len(first) == 2
    assert trained(api, tmp_path / "second", 4, threads=1) == first


@pytest.mark.slow
def test_two_trainings_with_two_threads_give_the_same_bits(api, tmp_path):
    assert trained(api, tmp_path / "first", 4, threads=2) == trained(api, tmp_path / "second", 4, threads=2)


@pytest.mark.slow
def test_a_training_that_is_killed_and_resumed_gives_the_bits_of_one_that_is_not(run_stage, tmp_path, records):
    config = tiny_training.write_config(tmp_path / "config", tiny_training.config_text(num_steps=12, delay=4))
    params = dict(tiny_training.PARAMS, deterministic=True, checkpoint_every=3)
    whole = run_stage("train", params, tiny_training.inputs(records, config), timeout=300)
    assert whole.code == 0, whole.log
    task = whole.output.parent / "task.json"
    again = tmp_path / "again"
    for name in ("output", "scratch"):
        (again / name).mkdir(parents=True)
    (again / "task.json").write_text(task.read_text().replace(str(whole.output.parent), str(again)))
    environment = dict(os.environ, PYTHONPATH=str(STAGES), MPLBACKEND="Agg")
    command = [sys.executable, str(STAGES / "train" / "run.py"), str(again / "task.json")]
    with subprocess.Popen(command, env=environment, cwd=str(again), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as killed:
        deadline = time.monotonic() + 240
        while not (again / "scratch" / "checkpoints" / "model.ckpt-6.seal.json").exists():
            assert killed.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        killed.send_signal(signal.SIGKILL)
    assert not (again / "result.json").exists()
    subprocess.run(command, env=environment, cwd=str(again), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, timeout=300)
    files = [path.relative_to(whole.output) for path in whole.output.rglob("*") if path.is_file()]
    digested = sorted(path for path in files if path.parts[0] not in ("history.json", "events"))
    assert [str(path) for path in digested] == [
        "before_quantization/model.ckpt-4.data-00000-of-00001",
        "before_quantization/model.ckpt-4.index",
        "checkpoint.json",
        "model.ckpt-12.data-00000-of-00001",
        "model.ckpt-12.index",
        "pipeline.config",
    ]
    assert [name for name in digested if (whole.output / name).read_bytes() != (again / "output" / name).read_bytes()] == []
