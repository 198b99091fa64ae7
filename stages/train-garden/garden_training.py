"""The Garden's model in training: its task's own step, its optimizer, and what a checkpoint holds."""

import tensorflow as tf
from garden_input import training_data

from _garden.model import build_model, checkpoint_of, make_task
from _runtime import StageError

# What the Garden calls the parts of the loss, and what they are called here; the localization loss is still to be weighted.
_LOSSES = {"total_loss": "loss", "cls_loss": "classification_loss", "box_loss": "localization_loss"}
# Operations whose random numbers depend on how often they ran before, which no checkpoint holds.
_RANDOM = frozenset(("RandomUniform", "RandomUniformInt", "RandomStandardNormal", "TruncatedNormal", "Multinomial", "RandomShuffle"))


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
    """Trains step by step (see _training.loop.Trainer)."""

    def __init__(self, garden, seed, deterministic):
        self._garden, self._seed, self._deterministic = garden, seed, deterministic
        experiment = garden.experiment
        self._optimizer = garden.task.create_optimizer(experiment.trainer.optimizer_config, experiment.runtime)
        self._checkpoint = checkpoint_of(garden.model, optimizer=self._optimizer, global_step=self._optimizer.iterations)
        self._metrics = [_Value(name) for name in _LOSSES]
        self._step = tf.function(self._train_step)
        self._batches = None
        self._checked = not deterministic

    def _train_step(self, batch):
        rate = self._optimizer.learning_rate
        values = {"learning_rate": rate(self._optimizer.iterations) if callable(rate) else tf.identity(rate)}
        self._garden.task.train_step(batch, self._garden.model, self._optimizer, self._metrics)
        values.update((_LOSSES[metric.name], metric.result()) for metric in self._metrics)
        return values

    def begin(self, step):
        """Start the input for the steps from `step` on."""
        garden = self._garden
        self._batches = iter(training_data(garden.experiment, garden.records, self._seed, step, self._deterministic))

    def advance(self, most):
        """Run a step; a list with a dict of its `loss`, the parts of that and the `learning_rate`."""
        batch = next(self._batches)
        if not self._checked:
            check_repeatable(self._step.get_concrete_function(batch))
            self._checked = True
        return [{name: float(value) for name, value in self._step(batch).items()}]

    def global_step(self):
        """Steps done, as the optimizer counts them."""
        return int(self._optimizer.iterations)

    def save(self, prefix):
        """Write a checkpoint: the model by the Garden's names, the optimizer and the step."""
        self._checkpoint.write(prefix)

    def restore(self, prefix):
        """Set every variable from a checkpoint of this same training; the optimizer's follow once it has them."""
        self._checkpoint.read(prefix).assert_existing_objects_matched()


def check_repeatable(function):
    """Refuse a training step, a concrete function, that draws random numbers: a resumed training would draw others. Raises StageError."""
    graph = function.graph.as_graph_def()
    drawn = [
        node.name for nodes in (graph.node, *(each.node_def for each in graph.library.function)) for node in nodes if node.op in _RANDOM
    ]
    if drawn:
        raise StageError(
            "deterministic training is not possible with this experiment",
            drawn[0],
            "no random choice within a step",
            "%d" % len(drawn),
            "set the backbone's stochastic_depth_drop_rate to 0, or `deterministic: false`",
        )
