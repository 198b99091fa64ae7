"""The training step, its input and the evaluation, each beside the API's own; devices; dropout."""

import hashlib
import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tiny_training_tf2
from _odapi.config_text import parse_config
from _runtime import StageError
from _training.advice import MODEL_GARDEN, OBJECT_DETECTION_API
from object_detection import inputs
from tiny_checkpoint_tf2 import build_model
from tiny_training_tf2 import config_text

from stage_helpers import load

devices = load("train-tf2", "tf2_training_devices")
evaluation = load("train-tf2", "tf2_training_evaluation")
feeding = load("train-tf2", "tf2_training_input")
graphs = load("train-tf2", "tf2_training_graph")
pace = load("_training", "pace")
randomness = load("_training", "randomness")
records_module = load("_training", "records")

AUGMENTED = "data_augmentation_options { random_horizontal_flip { } } data_augmentation_options { ssd_random_crop { } }"


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return tiny_training_tf2.write_records(tmp_path_factory.mktemp("graph") / "records")


def resolved(records, text):
    """The TrainEvalPipelineConfig of `text` with absolute paths."""
    config = parse_config(text, "tiny")
    records_module.resolve_paths(config, records)
    return config


@pytest.fixture(scope="module")
def config(records):
    return resolved(records, config_text().replace("data_augmentation_options { random_horizontal_flip { } }", AUGMENTED))


@pytest.fixture(scope="module")
def model(config):
    return build_model(config)


@pytest.fixture(scope="module")
def graph(records):
    made = graphs.TrainingGraph(resolved(records, config_text()), tf.distribute.OneDeviceStrategy("/cpu:0"), seed=1, deterministic=True)
    made.begin(0)
    return made


@pytest.fixture(scope="module")
def learned(graph, tmp_path_factory):
    """Prefix of a checkpoint that has learned to find something in the pictures."""
    graph.begin(0)
    graph._pace.at_once = 40
    graph.advance(40)
    prefix = str(tmp_path_factory.mktemp("learned") / "model.ckpt-40")
    graph.save(prefix)
    return prefix


@pytest.mark.slow
class TestSteps:
    def test_each_step_of_a_call_tells_its_loss_with_its_parts_and_the_learning_rate(self, graph):
        before, graph._pace.at_once = graph.global_step(), 3
        done = graph.advance(5)
        assert graph.global_step() == before + 3
        assert len(done) == 3
        for values in done:
            parts = values.pop("loss"), values.pop("learning_rate")
            assert sorted(values) == ["classification_loss", "localization_loss", "regularization_loss"]
            assert parts == (pytest.approx(sum(values.values()), rel=1e-4), pytest.approx(0.01))

    def test_a_call_makes_no_more_steps_than_asked_for(self, graph):
        before, graph._pace.at_once = graph.global_step(), 100
        assert len(graph.advance(2)) == 2
        assert graph.global_step() == before + 2

    def test_a_checkpoint_brings_back_weights_optimizer_and_step(self, graph, tmp_path):
        graph.save(str(tmp_path / "model.ckpt-1"))
        step, weights = graph.global_step(), [variable.numpy() for variable in graph.model.variables]
        momenta = [variable.numpy() for variable in graph._optimizer.variables()]
        graph._pace.at_once = 1
        graph.advance(1)
        assert not all(np.array_equal(*pair) for pair in zip(momenta, graph._optimizer.variables()))
        graph.restore(str(tmp_path / "model.ckpt-1"))
        assert graph.global_step() == step
        assert all(np.array_equal(*pair) for pair in zip(weights, graph.model.variables))
        assert all(np.array_equal(*pair) for pair in zip(momenta, graph._optimizer.variables()))

    def test_a_new_segment_does_not_have_the_step_traced_again(self, graph):
        graph.begin(7)
        graph._pace.at_once = 1
        graph.advance(1)
        assert graph._train.experimental_get_tracing_count() == 1


def batches(config, model, seed, count=4):
    """The sha256 of the next `count` batches: pictures and boxes."""
    with feeding.sequential_input(seed):
        made = feeding.train_dataset(config, model, None)
    return [
        hashlib.sha256(features["image"].numpy().tobytes() + labels["groundtruth_boxes"].numpy().tobytes()).hexdigest()
        for features, labels in made.take(count)
    ]


@pytest.mark.slow
class TestInput:
    def test_the_same_seed_gives_the_same_augmented_batches_in_the_same_order(self, config, model):
        first = batches(config, model, 7)
        assert batches(config, model, 7) == first
        assert len(set(first)) == len(first)

    def test_another_seed_gives_others(self, config, model):
        assert not set(batches(config, model, 7)) & set(batches(config, model, 8))

    def test_the_api_and_tensorflow_are_left_as_they_were(self, config, model):
        before = dict(inputs.INPUT_BUILDER_UTIL_MAP), tf.compat.v1.image.sample_distorted_bounding_box
        batches(config, model, 7, count=0)
        assert before == (dict(inputs.INPUT_BUILDER_UTIL_MAP), tf.compat.v1.image.sample_distorted_bounding_box)


def no_events():
    """An Events that keeps nothing."""

    class Events:
        def scalars(self, step, values):
            pass

        picture = flush = lambda *_: None

    return Events()


@pytest.mark.slow
class TestEvaluation:
    def test_its_numbers_are_those_of_the_apis_own_loop(self, records, learned):
        from object_detection import model_lib_v2
        from object_detection.builders import model_builder
        from object_detection.utils import config_util

        config = resolved(records, config_text())
        ours = evaluation.Evaluator(config, 1, False, no_events()).evaluate(learned, 40)
        other = model_builder.build(config.model, is_training=True)
        configs = config_util.create_configs_from_pipeline_proto(config)
        configs["eval_input_config"] = configs["eval_input_configs"][0]
        dataset = inputs.eval_input(config.eval_config, config.eval_input_reader[0], config.model, model=other)
        step = tf.Variable(40, dtype=tf.int64)
        tf.train.Checkpoint(model=other).read(learned).expect_partial()
        theirs = model_lib_v2.eager_eval_loop(other, configs, dataset, global_step=step)
        assert ours["map"] == pytest.approx(theirs["DetectionBoxes_Precision/mAP"], abs=1e-6)
        assert ours["map50"] == pytest.approx(theirs["DetectionBoxes_Precision/mAP@.50IOU"], abs=1e-6)
        assert ours["loss"] == pytest.approx(float(theirs["Loss/total_loss"]), rel=1e-4)
        assert ours["map50"] > 0

    def test_every_picture_counts_once_whatever_the_config_says(self, records):
        text = (
            config_text()
            .replace("shuffle: false num_epochs: 1", "shuffle: true")
            .replace("batch_size: 1 num_examples", "batch_size: 3 num_examples")
        )
        evaluator = evaluation.Evaluator(resolved(records, text), 1, False, no_events())
        evaluator._build()
        seen = [features[inputs.HASH_KEY].numpy().tolist() for features, _ in evaluator._dataset]
        assert len(seen) == 1
        assert len(set(seen[0])) == 2

    def test_coco_metrics_are_there_whatever_the_config_asks_for(self, records):
        text = config_text().replace('metrics_set: "coco_detection_metrics"', 'metrics_set: "pascal_voc_detection_metrics"')
        evaluator = evaluation.Evaluator(resolved(records, text), 1, False, no_events())
        evaluator._build()
        assert list(evaluator._eval_config.metrics_set) == ["pascal_voc_detection_metrics", "coco_detection_metrics"]


def test_how_many_steps_a_call_makes_follows_the_pace(monkeypatch):
    clock, followed = itertools.count(step=0.02), pace.Pace()
    monkeypatch.setattr(pace.time, "monotonic", lambda: next(clock))
    assert [followed.run(lambda count: count, most) for most in (200, 20, 200)] == [1, 20, 100]
    monkeypatch.setattr(pace.time, "monotonic", itertools.count(step=500).__next__)
    assert [followed.run(lambda count: count, 200) for _ in range(2)] == [100, 1]


def test_a_resumed_training_does_not_begin_the_same_data_again():
    graph = object.__new__(graphs.TrainingGraph)
    graph._seed, graph._deterministic, graph._train = 1, False, "traced"
    graph._make_iterator = lambda: tf.data.Dataset.range(100).shuffle(100).as_numpy_iterator()  # without a seed, as the API's own

    def order(step):
        graph.begin(step)
        return list(graph._iterator)

    assert order(0) == order(0)
    assert order(0) != order(5)


class TestDevices:
    def test_without_a_gpu_it_is_the_processor(self):
        strategy = devices.make_strategy(None, 3, False)
        assert (type(strategy).__name__, strategy.num_replicas_in_sync) == ("OneDeviceStrategy", 1)

    @pytest.mark.parametrize(("gpus", "told"), [(0, []), (1, []), (3, ["train-garden uses one of the 3 GPUs; the others are idle"])])
    def test_idle_gpus_are_told(self, monkeypatch, gpus, told):
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind] * gpus)
        task = type("Task", (), {"warn": lambda self, text: warned.append(text)})()
        warned = []
        load("_training", "devices").warn_of_idle_gpus(task, "train-garden")
        assert warned == told

    def test_a_batch_that_cannot_be_shared_is_refused(self):
        with pytest.raises(StageError) as raised:
            devices.mirrored(["/cpu:0", "/cpu:1"], 3)
        assert (raised.value.expected, raised.value.found) == ("a multiple of 2", "3")
        assert "batch_size: 4" in raised.value.remedy

    @pytest.mark.slow
    def test_two_devices_learn_from_both_halves_of_a_batch(self, records):
        program = Path(__file__).with_name("mirrored_step_tf2.py")
        done = subprocess.run([sys.executable, str(program), str(records)], capture_output=True, text=True, check=False, timeout=400)
        assert done.returncode == 0, done.stderr[-4000:]
        told = dict(line.split("=") for line in done.stdout.splitlines() if "=" in line)
        assert told["replicas"] == "2"
        assert float(told["moved"]) > 1e-4
        assert float(told["difference"]) < 1e-3 * float(told["moved"])


class TestRandom:
    def test_dropout_draws_the_same_from_the_same_seed_and_a_training_step_with_it_is_accepted(self):
        tf.keras.backend.experimental.enable_tf_random_generator()
        try:
            layer = tf.keras.layers.Dropout(0.5)
            layer(tf.ones([1, 8]))
        finally:
            tf.keras.backend.experimental.disable_tf_random_generator()

        @tf.function
        def draw(count):
            kept = tf.TensorArray(tf.float32, size=count)
            for number in tf.range(count):
                kept = kept.write(number, layer(tf.ones([50]), training=True))
            return kept.stack()

        model = tf.keras.Sequential([layer])
        drawn = {}
        for name, seed in (("first", 5), ("again", 5), ("other", 6)):
            assert graphs.reset_dropout(model, seed) == 1
            drawn[name] = draw(tf.constant(2)).numpy()
        assert np.array_equal(drawn["first"], drawn["again"])
        assert not np.array_equal(drawn["first"], drawn["other"])
        assert not np.array_equal(*drawn["first"])
        randomness.check_repeatable(draw.get_concrete_function(tf.constant(2)).graph.as_graph_def(), OBJECT_DETECTION_API)

    def test_what_draws_otherwise_is_refused(self):
        @tf.function
        def sample(count):
            total = tf.constant(0)
            for _ in tf.range(count):
                total += tf.random.shuffle([1, 2, 3])[0]
            return total

        with pytest.raises(StageError, match="deterministic training is not possible") as raised:
            randomness.check_repeatable(sample.get_concrete_function(tf.constant(2)).graph.as_graph_def(), OBJECT_DETECTION_API)
        assert raised.value.found == "RandomShuffle"
        assert "model.ssd.loss" in raised.value.remedy

    def test_so_is_what_draws_outside_of_every_function(self):
        traced = tf.function(lambda: tf.random.uniform([2])).get_concrete_function()
        with pytest.raises(StageError) as raised:
            randomness.check_repeatable(traced.graph.as_graph_def(), MODEL_GARDEN)
        assert raised.value.remedy == MODEL_GARDEN.random
