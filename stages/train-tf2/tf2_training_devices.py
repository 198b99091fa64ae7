"""Where a training runs, and what makes its operations' results the same each time."""

import tensorflow as tf

from _runtime import StageError
from _training.devices import warn_of_idle_gpus


def use_deterministic_operations():
    """Let every operation compute the same bits each time; one that cannot raises an error. Dropout layers get generators of their own."""
    tf.config.experimental.enable_op_determinism()
    tf.keras.backend.experimental.enable_tf_random_generator()


def make_strategy(task, batch_size, deterministic):
    """The tf.distribute strategy: mirrored over all GPUs where there are several, else one device.

    Each replica gets an equal part of `batch_size`, and the gradients are summed, so that the number of GPUs does not change what is
    learned. A deterministic training uses one device: sums over several come in no fixed order.
    """
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    if len(gpus) > 1 and not deterministic:
        task.say("training on %d GPUs" % len(gpus))
        return mirrored(["/gpu:%d" % number for number in range(len(gpus))], batch_size)
    warn_of_idle_gpus(task, "deterministic training")
    return tf.distribute.OneDeviceStrategy("/gpu:0" if gpus else "/cpu:0")


def mirrored(devices, batch_size):
    """A MirroredStrategy over `devices`; StageError where they cannot share a batch equally."""
    if batch_size % len(devices):
        raise StageError(
            "the batch cannot be shared equally among the devices",
            "pipeline.config: train_config.batch_size",
            "a multiple of %d" % len(devices),
            batch_size,
            "override `train_config.batch_size: %d`" % (-(-batch_size // len(devices)) * len(devices)),
        )
    return tf.distribute.MirroredStrategy(devices)
