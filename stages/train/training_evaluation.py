"""COCO metrics of a checkpoint on the evaluation split, in one graph that is built once and used for every evaluation."""

import tensorflow as tf
from training_graph import session_config

from _training.progress import as_map

_MAP, _MAP50 = "DetectionBoxes_Precision/mAP", "DetectionBoxes_Precision/mAP@.50IOU"
_LOSS = "Loss/total_loss"


class Evaluator:
    """Evaluates checkpoints. The graph is made at the first call, because a short run needs it once and a resumed one perhaps never.

    The graph quantizes from the first step on: before quantization.delay it shows what quantizing the weights of that moment would give.
    """

    def __init__(self, api, seed, threads, events):
        """api: training_graph.Api; events: a _training.events.Events for TensorBoard."""
        self._api, self._seed, self._threads, self._events = api, seed, threads, events
        self._session = None

    def evaluate(self, prefix, step):
        """{"step", "map", "map50", "loss"} of the checkpoint `prefix`; mAP as COCO defines it, 0 to 1 (-1 becomes 0: no object at all)."""
        if self._session is None:
            self._build()
        self._saver.restore(self._session, prefix)
        self._session.run(self._restart)
        while True:
            try:
                self._session.run(self._updates)
            except tf.errors.OutOfRangeError:
                break
        values = self._session.run(self._values)
        self._write(values, step)
        return {"step": step, "map": as_map(values[_MAP]), "map50": as_map(values[_MAP50]), "loss": round(float(values[_LOSS]), 6)}

    def close(self):
        """Free the session."""
        if self._session is not None:
            self._session.close()

    def _build(self):
        with tf.Graph().as_default() as graph:
            tf.set_random_seed(self._seed)
            tf.train.create_global_step()
            iterator = self._api.evaluation_input().make_initializable_iterator()
            features, labels = iterator.get_next()
            spec = self._api.model(features, labels, tf.estimator.ModeKeys.EVAL)
            self._values = {name: value for name, (value, _) in spec.eval_metric_ops.items()}
            self._updates = tf.group(*[update for _, update in spec.eval_metric_ops.values()])
            self._saver = spec.scaffold.saver
            self._restart = [tf.local_variables_initializer(), iterator.initializer]
            tables = tf.tables_initializer()
        self._session = tf.Session(graph=graph, config=session_config(*self._threads, optimize=False))
        self._session.run(tables)

    def _write(self, values, step):
        """Numbers and pictures with boxes, as the API names them."""
        for name, value in sorted(values.items()):
            if isinstance(value, bytes):
                self._events.summary(step, tf.Summary.FromString(value))
            elif getattr(value, "ndim", 0) == 0:
                self._events.scalars(step, {name: float(value)})
        self._events.flush()
