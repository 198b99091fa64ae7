"""The training graph in a session: the Object Detection API's model function, its input, and one step at a time."""

import numpy as np
import tensorflow as tf
from object_detection import model_hparams, model_lib
from object_detection.core import standard_fields as fields
from training_determinism import make_random_stateless, order_assignments, sequential_input

from _training.loop import segment_seed

# Names that the API gives to the parts of the loss, and what they are called here.
_LOSSES = {
    "Loss/classification_loss": "classification_loss",
    "Loss/localization_loss": "localization_loss",
    "regularization_loss": "regularization_loss",
}


def session_config(intra_op_threads, inter_op_threads, optimize):
    """Threads as given. optimize: let TensorFlow rewrite the graph at the first step, which takes some ten seconds and saves 5% of each."""
    config = tf.ConfigProto(intra_op_parallelism_threads=intra_op_threads, inter_op_parallelism_threads=inter_op_threads)
    config.graph_options.rewrite_options.disable_meta_optimizer = not optimize
    return config


class Api:
    """What the Object Detection API makes of a pipeline.config: model function and input functions."""

    def __init__(self, config_path, folder, seed):
        """config_path: a pipeline.config with absolute paths; folder: named to the API, which writes nothing there."""
        run_config = tf.estimator.RunConfig(model_dir=str(folder), tf_random_seed=seed)
        made = model_lib.create_estimator_and_inputs(
            run_config=run_config,
            hparams=model_hparams.create_hparams(None),
            pipeline_config_path=str(config_path),
            sample_1_of_n_eval_examples=1,
        )
        self._run_config = run_config
        self._estimator = made["estimator"]
        self.train_input = made["train_input_fn"]
        self.evaluation_input = made["eval_input_fns"][0]

    def model(self, features, labels, mode):
        """The EstimatorSpec of the model in the default graph."""
        return self._estimator.model_fn(features, labels, mode, self._run_config)


def model_variables():
    """The default graph's variables that belong to the model: weights, averages, ranges; not the optimizer's, nor the step counters.

    What an optimizer keeps for a weight is named WEIGHT/SOMETHING; what it keeps once, and the counters, are named without a slash.
    """
    trained = {variable.op.name for variable in tf.trainable_variables()}
    return [variable for variable in tf.global_variables() if "/" in variable.op.name and variable.op.name.rsplit("/", 1)[0] not in trained]


class TrainingGraph:
    """A session that trains, as _training.loop.Trainer wants it; when deterministic, each segment of the input has its own seed.

    `images`: the tensor of a batch's preprocessed pixels.
    """

    def __init__(self, api, seed, threads, deterministic, optimize):
        """threads: (intra-op, inter-op). deterministic: see `training_determinism`. optimize: see `session_config`."""
        self._api, self._seed, self._deterministic = api, seed, deterministic
        self.graph = tf.Graph()
        with self.graph.as_default():
            tf.set_random_seed(seed)
            tf.train.create_global_step()
            self._iterator, self._initializer = self._make_input()
            features, labels = self._iterator.get_next()
            self.images = features[fields.InputDataFields.image]
            spec = api.model(features, labels, tf.estimator.ModeKeys.TRAIN)
            self._fetches = self._step_fetches(spec)
            if deterministic:
                make_random_stateless(self.graph, seed)
                order_assignments(self.graph, [spec.loss])
            self._saver = tf.train.Saver(max_to_keep=None)
            init = tf.group(tf.global_variables_initializer(), tf.local_variables_initializer())
            tables = tf.tables_initializer()
            self.variables = tf.global_variables()
            self.model_variables = model_variables()
        self.session = tf.Session(graph=self.graph, config=session_config(*threads, optimize))
        self.session.run(init)
        self.session.run(tables)

    def _make_input(self):
        """(iterator, initializer or None): a deterministic run makes a new dataset for each segment."""
        if self._deterministic:
            with sequential_input(self._seed):
                dataset = self._api.train_input()
            return tf.data.Iterator.from_structure(dataset.output_types, dataset.output_shapes), None
        iterator = self._api.train_input().make_initializable_iterator()
        return iterator, iterator.initializer

    def _step_fetches(self, spec):
        operations = self.graph.get_operations
        named = {_LOSSES[operation.name]: operation.outputs[0] for operation in operations() if operation.name in _LOSSES}
        rates = [
            operation.inputs[1]
            for operation in operations()
            if operation.type == "ScalarSummary" and operation.inputs[1].op.name == "learning_rate"
        ]
        fetches = dict(named, train_op=spec.train_op, loss=spec.loss)
        if rates:
            fetches["learning_rate"] = rates[0]
        return fetches

    def begin(self, step):
        """Start the input for the steps from `step` on."""
        if not self._deterministic:
            self.session.run(self._initializer)
            return
        seed = segment_seed(self._seed, step)
        known = len(self.graph.get_collection(tf.GraphKeys.TABLE_INITIALIZERS))
        with self.graph.as_default(), sequential_input(seed):
            initializer = self._iterator.make_initializer(self._api.train_input())
        # Only the label map's tables that this input brought: a table cannot be initialized twice.
        self.session.run(self.graph.get_collection(tf.GraphKeys.TABLE_INITIALIZERS)[known:])
        self.session.run(initializer)

    def advance(self, _most=1):
        """Run one step: a list with a dict of `loss`, `learning_rate` and the parts of the loss, as floats."""
        values = self.session.run(self._fetches)
        del values["train_op"]
        return [{name: float(np.float32(value)) for name, value in values.items()}]

    def global_step(self):
        """Steps done, as the graph counts them."""
        return int(self.session.run(tf.train.get_global_step(self.graph)))

    def save(self, prefix):
        """Write a checkpoint without the graph, which nothing here reads."""
        self._saver.save(self.session, prefix, write_meta_graph=False, write_state=False)

    def restore(self, prefix):
        """Set every variable from a checkpoint of this same graph."""
        self._saver.restore(self.session, prefix)

    def close(self):
        """Free the session."""
        self.session.close()
