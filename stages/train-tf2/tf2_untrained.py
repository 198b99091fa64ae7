"""The model before its first step: the seed's weights, in a state in which they can be converted."""

import tensorflow as tf
from tf2_training_graph import TrainingGraph
from tf2_training_model import picture_size

from _training.export import export_untrained
from _training.untrained import noise, settle


def write_untrained(task, plan, config, source, more):
    """Write the artifact of step 0. config: a TrainEvalPipelineConfig; source: its file as configured; more: fields of checkpoint.json."""
    seed = task.params["seed"]
    graph = TrainingGraph(config, tf.distribute.get_strategy(), seed, plan.deterministic)
    images, shapes = graph.model.preprocess(noise(seed, picture_size(config)))
    tf.keras.backend.set_learning_phase(True)
    settle(graph.model, seed, lambda: graph.model.predict(images, shapes))
    export_untrained(task, plan, graph.save, source, more)
