"""COCO metrics of a checkpoint on the evaluation split, by the Garden's own evaluator.

It decodes as the Garden does: scores of each class by itself, non-maximum suppression within each class. Images and boxes are those of the
input's size; stretching changes no overlap.
"""

import tensorflow as tf
from garden_input import evaluation_data

from _garden.model import restore
from _training.progress import as_map

_TOTAL = "total_loss"


class GardenEvaluator:
    """Evaluates checkpoints with the model that training uses: its variables have then the values of that very checkpoint."""

    def __init__(self, garden, events):
        """garden: garden_training.Garden; events: a _training.events.Events."""
        self._garden, self._events = garden, events
        self._step = self._data = self._metrics = None

    def evaluate(self, prefix, step):
        """{"step", "map", "map50", "loss"} of the checkpoint `prefix`; mAP as COCO defines it, 0 to 1."""
        garden = self._garden
        restore(garden.model, prefix)
        if self._step is None:
            self._build()
        state, losses, images = None, 0.0, 0
        for metric in self._metrics:
            metric.reset_states()
        for batch in self._data:
            outputs, total = self._step(*batch)
            state = garden.task.aggregate_logs(state, outputs)
            count = int(batch[0].shape[0])
            losses, images = losses + float(total) * count, images + count
        values = garden.task.reduce_aggregated_logs(state)
        self._write(step, values, losses / images)
        return {"step": step, "map": as_map(values["AP"]), "map50": as_map(values["AP50"]), "loss": round(losses / images, 6)}

    def _build(self):
        garden = self._garden
        self._metrics = garden.task.build_metrics(training=False)
        self._data = evaluation_data(garden.experiment, garden.records)
        loss = garden.task.loss

        @tf.function(input_signature=self._data.element_spec)
        def step(images, labels):
            truth = labels["groundtruths"]
            number = tf.reshape(truth["num_detections"], [-1])  # NumPy 2 takes no list of one for a number
            labels = dict(labels, groundtruths=dict(truth, num_detections=number))
            outputs = garden.task.validation_step((images, labels), garden.model)
            return outputs, outputs.pop(loss)

        self._step = step

    def _write(self, step, values, loss):
        numbers = {"evaluation/%s" % name: float(value) for name, value in values.items()}
        self._events.scalars(step, dict(numbers, loss=loss))
        self._events.flush()
