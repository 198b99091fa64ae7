"""The Garden's model in training: its task's own step, its optimizer, and what a checkpoint holds."""

import tensorflow as tf
from garden_input import training_data

from _garden.model import build_model, checkpoint_of, make_task
from _training.advice import MODEL_GARDEN
from _training.pace import Pace
from _training.randomness import check_repeatable

# What the Garden calls the parts of the loss, and what they are called here; the localization loss is still to be weighted.
_LOSSES = {"total_loss": "loss", "cls_loss": "classification_loss", "box_loss": "localization_loss"}
_VALUES = (*_LOSSES.values(), "learning_rate")


class Garden:
    """An experiment's task and model, the latter built when it is first asked for; training and evaluation share it.

    make_model: called for the model; records: the folder of the shards.
    """

    def __init__(self, experiment, records, make_model=None):
        self.experiment, self.records, self.task = experiment, records, make_task(experiment)
        self._make_model = make_model or (lambda: build_model(experiment))
        self._model = None

    @property
    def model(self):
        """The Keras model."""
        if self._model is None:
            self._model = self._make_model()
        return self._model


class _Value:
    """Stands for one of the Garden's metrics, and gives the value of the step itself instead of an average."""

    def __init__(self, name):
        self.name, self._value = name, None

    def update_state(self, value):
        self._value = value

    def result(self):
        return self._value


class GardenTraining:
    """Trains as _training.loop.Trainer wants it.

    seed: of shuffling and augmentation, from which each start of the input has its own; deterministic: what draws at random within a step
    is refused.
    """

    def __init__(self, garden, seed, deterministic):
        self._garden, self._seed, self._deterministic = garden, seed, deterministic
        experiment, model = garden.experiment, garden.model
        self._optimizer = garden.task.create_optimizer(experiment.trainer.optimizer_config, experiment.runtime)
        # Made before the step is traced, and before a checkpoint is restored.
        self._optimizer._create_all_weights(model.trainable_variables)  # noqa: SLF001  there is no public way
        self._checkpoint = checkpoint_of(model, optimizer=self._optimizer, global_step=self._optimizer.iterations)
        self._metrics = [_Value(name) for name in _LOSSES]
        self._train, self._batches, self._pace = None, None, Pace()

    def begin(self, step):
        """Start the input for the steps from `step` on; the first time, have TensorFlow trace the training step."""
        garden = self._garden
        self._batches = iter(training_data(garden.experiment, garden.records, self._seed, step, self._deterministic))
        if self._train is None:
            self._train = tf.function(self._steps)
            traced = self._train.get_concrete_function(self._batches, tf.constant(1))
            if self._deterministic:
                check_repeatable(traced.graph.as_graph_def(), MODEL_GARDEN)

    def _steps(self, batches, count):
        """Train `count` steps; float32 [count, len(_VALUES)], the numbers that each step has to tell."""
        told = tf.TensorArray(tf.float32, size=count)
        for number in tf.range(count):
            told = told.write(number, self._one_step(next(batches)))
        return told.stack()

    def _one_step(self, batch):
        rate = self._optimizer.learning_rate
        values = {"learning_rate": rate(self._optimizer.iterations) if callable(rate) else tf.identity(rate)}
        self._garden.task.train_step(batch, self._garden.model, self._optimizer, self._metrics)
        values.update((_LOSSES[metric.name], metric.result()) for metric in self._metrics)
        return tf.stack([tf.cast(values[name], tf.float32) for name in _VALUES])

    def advance(self, most):
        """Run as many steps as take about a second, and at most `most`: a list with a dict for each."""
        rows = self._pace.run(lambda count: self._train(self._batches, tf.constant(count)).numpy(), most)
        return [dict(zip(_VALUES, row.tolist())) for row in rows]

    def global_step(self):
        """Steps done, as the optimizer counts them."""
        return int(self._optimizer.iterations)

    def save(self, prefix):
        """Write a checkpoint: the model by the Garden's names, the optimizer and the step."""
        self._checkpoint.write(prefix)

    def restore(self, prefix):
        """Set every variable from a checkpoint of this same training."""
        self._checkpoint.read(prefix).assert_consumed()
