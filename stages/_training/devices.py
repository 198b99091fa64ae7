"""The threads and processors of a training with TensorFlow 2."""

import tensorflow as tf


def set_threads(intra_op, inter_op, deterministic):
    """Set TensorFlow's threads, before it first computes; returns (intra-op, inter-op) as they are: 1 and 1 when deterministic.

    With more, operations of one step overlap, and their sums come out differently from run to run even with op determinism.
    """
    if deterministic:
        intra_op = inter_op = 1
    tf.config.threading.set_intra_op_parallelism_threads(intra_op)
    tf.config.threading.set_inter_op_parallelism_threads(inter_op)
    return intra_op, inter_op


def warn_of_idle_gpus(task, training):
    """Warn where a training that uses one GPU has several. training: what it is called, as "deterministic training"."""
    gpus = tf.config.list_physical_devices("GPU")
    if len(gpus) > 1:
        task.warn("%s uses one of the %d GPUs; the others are idle" % (training, len(gpus)))
