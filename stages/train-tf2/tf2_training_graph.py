"""The Object Detection API's training step, many of them in one call of TensorFlow."""

import tensorflow as tf
from object_detection import model_lib_v2
from object_detection.builders import optimizer_builder
from tf2_training_input import sequential_input, train_dataset
from tf2_training_model import build_model

from _training.advice import OBJECT_DETECTION_API
from _training.loop import segment_seed
from _training.pace import Pace
from _training.randomness import check_repeatable


class TrainingGraph:
    """Trains, as _training.loop.Trainer wants it. `model`: the DetectionModel.

    config: a TrainEvalPipelineConfig with absolute paths; strategy: of tf.distribute; deterministic: the input gives the same batches
    each time, and what draws at random within a step is refused.
    """

    def __init__(self, config, strategy, seed, deterministic):
        self._config, self._strategy, self._seed, self._deterministic = config, strategy, seed, deterministic
        tf.keras.utils.set_random_seed(seed)
        with strategy.scope():
            self.model = build_model(config, is_training=True)
            only_first = tf.VariableAggregation.ONLY_FIRST_REPLICA
            self._step = tf.Variable(0, trainable=False, dtype=tf.int64, name="global_step", aggregation=only_first)
            self._optimizer, (rate,) = optimizer_builder.build(config.train_config.optimizer, global_step=self._step)
            # Made before the function is traced, which would otherwise be traced twice.
            self._optimizer._create_all_weights(self.model.trainable_variables)  # noqa: SLF001  there is no public way
        self._rate = rate if callable(rate) else lambda: rate
        self._checkpoint = tf.train.Checkpoint(step=self._step, model=self.model, optimizer=self._optimizer)
        self._train, self._names, self._iterator, self._pace = None, None, None, Pace()

    def begin(self, step):
        """Start the input for the steps from `step` on; the first time, have TensorFlow trace the training step."""
        seed = segment_seed(self._seed, step)
        if self._deterministic:
            reset_dropout(self.model, seed)
            with sequential_input(seed):
                self._iterator = self._make_iterator()
        else:
            tf.random.set_seed(seed)  # the API's shuffling has no other seed: without it a resumed training would see the same data again
            self._iterator = self._make_iterator()
        if self._train is None:
            self._train = tf.function(self._steps)
            traced = self._train.get_concrete_function(self._iterator, tf.constant(1))
            if self._deterministic:
                check_repeatable(traced.graph.as_graph_def(), OBJECT_DETECTION_API)

    def _make_iterator(self):
        make = self._strategy.distribute_datasets_from_function
        return iter(make(lambda context: train_dataset(self._config, self.model, context)))

    def _steps(self, iterator, count):
        """Train `count` steps; float32 [count, len(self._names)], the numbers that each step has to tell."""
        told = tf.TensorArray(tf.float32, size=count)
        for number in tf.range(count):
            told = told.write(number, self._one_step(iterator))
        return told.stack()

    def _one_step(self, iterator):
        rate = self._rate()
        with tf.name_scope(""):  # or the loop's name would become part of the variables' names
            losses = self._strategy.run(self._one_replica, args=next(iterator))
        values = {name: self._strategy.reduce("SUM", loss, axis=None) for name, loss in losses.items()}
        values["learning_rate"] = rate
        self._names = [_short_name(name) for name in sorted(values)]
        return tf.stack([tf.cast(values[name], tf.float32) for name in sorted(values)])

    def _one_replica(self, features, labels):
        train_config = self._config.train_config
        losses = model_lib_v2.eager_train_step(
            self.model,
            features,
            labels,
            train_config.unpad_groundtruth_tensors,
            self._optimizer,
            training_step=self._step,
            add_regularization_loss=train_config.add_regularization_loss,
            clip_gradients_value=train_config.gradient_clipping_by_norm or None,
            num_replicas=self._strategy.num_replicas_in_sync,
        )
        self._step.assign_add(1)
        return losses

    def advance(self, most):
        """Run as many steps as take about a second, and at most `most`: a list with a dict for each."""
        rows = self._pace.run(lambda count: self._train(self._iterator, tf.constant(count)).numpy(), most)
        return [dict(zip(self._names, row.tolist())) for row in rows]

    def global_step(self):
        """Steps done, as the checkpoint will say."""
        return int(self._step.numpy())

    def save(self, prefix):
        """Write a checkpoint of step, model and optimizer."""
        self._checkpoint.write(prefix)

    def restore(self, prefix):
        """Set every variable from a checkpoint of this same graph."""
        self._checkpoint.read(prefix).assert_consumed()


def _short_name(name):
    """`loss` for `Loss/total_loss`, and a part's name without the API's prefix."""
    return {"Loss/total_loss": "loss"}.get(name, name.rsplit("/", 1)[-1])


def reset_dropout(model, seed):
    """Let a model's dropout layers draw from `seed` on: their generators' states are in no checkpoint. Returns how many there are.

    Only with generators of their own (see tf2_training_devices.use_deterministic_operations) can they be reset.
    """
    layers = [layer for layer in model.submodules if isinstance(layer, tf.keras.__internal__.layers.BaseRandomLayer)]
    generators = [layer._random_generator._generator for layer in layers]  # noqa: SLF001  no public way leads there
    for number, generator in enumerate(generators):
        generator.reset_from_seed(seed + number)
    return len(generators)
