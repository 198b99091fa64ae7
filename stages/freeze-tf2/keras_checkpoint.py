"""A checkpoint of the TensorFlow 2 Object Detection API, restored into its model with every variable accounted for.

`tf.train.Checkpoint.restore` leaves what it cannot restore as it is, and says nothing. So each variable is given a value before that no
training gives it: what still has it afterwards was not in the checkpoint.
"""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from object_detection.builders import model_builder

from _runtime import StageError

_OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"  # the key that every checkpoint of TensorFlow 2 has, and none of TensorFlow 1
_STEP = "step/.ATTRIBUTES/VARIABLE_VALUE"
_UNTOUCHED = -float(2**100)
_ANOTHER = "take the pipeline.config that the checkpoint was trained with"


class Restored(NamedTuple):
    """model: with the checkpoint's weights; anchors: float32 [n, 4], ymin, xmin, ymax, xmax; variables: their number."""

    model: Any
    anchors: np.ndarray
    variables: int


def restore_model(config, prefix, step, size):
    """The `Restored` model of a TrainEvalPipelineConfig. prefix: of the checkpoint; step: that it should be of; size: [height, width].

    Raises StageError where the checkpoint cannot be read, is of TensorFlow 1, of another step or of another model, or lacks a variable.
    """
    _check_checkpoint(prefix, step)
    model, anchors = _build(config, size)
    for variable in model.variables:
        variable.assign(tf.fill(variable.shape, tf.cast(_UNTOUCHED, variable.dtype)))
    try:
        tf.train.Checkpoint(model=model).restore(prefix).expect_partial()
    except ValueError as error:
        raise StageError(
            "the checkpoint is of another model", prefix, "the shapes of the config's model", _first_line(error), _ANOTHER
        ) from None
    except (tf.errors.OpError, IndexError) as error:
        raise _unreadable(prefix, error) from None
    _check_restored(model.variables, prefix)
    return Restored(model, anchors, len(model.variables))


def _check_checkpoint(prefix, step):
    try:
        reader = tf.train.load_checkpoint(prefix)
        keys = reader.get_variable_to_shape_map()
        stored = int(reader.get_tensor(_STEP)) if _STEP in keys else step
    except (tf.errors.OpError, ValueError, IndexError, RuntimeError) as error:
        raise _unreadable(prefix, error) from None
    if _OBJECTS not in keys:
        raise StageError(
            "the checkpoint is one of TensorFlow 1",
            prefix,
            "a checkpoint that train-tf2 wrote",
            "%d variables by name, among them %s" % (len(keys), ", ".join(sorted(keys)[:2])),
            "freeze it with the stage freeze, in the TensorFlow 1 chain",
        )
    if stored != step:
        raise StageError("the checkpoint is of another step than it says", prefix, step, stored, "train again")


def _build(config, size):
    """(model with all its variables, anchors): Keras makes a variable when its layer first runs."""
    try:
        model = model_builder.build(config.model, is_training=False)
        predicted = model.predict(tf.zeros([1, *size, 3]), None)
    except (ValueError, tf.errors.OpError) as error:
        # What the API says of a config that it cannot build.
        raise StageError(
            "the Object Detection API cannot build this model",
            "pipeline.config",
            "a model that it builds",
            _first_line(error),
            "mend the config that the checkpoint was trained with",
        ) from None
    return model, predicted["anchors"].numpy()


def _check_restored(variables, prefix):
    values = [(variable.name.partition(":")[0], variable.numpy()) for variable in variables]
    missing = [name for name, value in values if (value == value.dtype.type(_UNTOUCHED)).all()]
    if len(missing) == len(values):
        raise StageError(
            "the checkpoint holds none of the model's variables",
            prefix,
            "%d variables" % len(values),
            "0 of them",
            "give a checkpoint that training wrote (the first file of the API's own training, ckpt-1, may be empty), and the "
            "pipeline.config that it was trained with",
        )
    if missing:
        found = "%d are missing: %s" % (len(missing), ", ".join(missing[:3]) + (", …" if len(missing) > 3 else ""))
        raise StageError("the checkpoint lacks variables of the model", missing[0], "%d variables" % len(values), found, _ANOTHER)
    broken = [name for name, value in values if not np.isfinite(value).all()]
    if broken:
        found = "NaN or infinity, in %d variables" % len(broken)
        raise StageError("the checkpoint's weights are not finite", broken[0], "numbers", found, "training diverged: look at its loss")


def _unreadable(prefix, error):
    return StageError(
        "the checkpoint cannot be read", prefix, "a whole TensorFlow 2 checkpoint", _first_line(error), "train again, or restore its files"
    )


def _first_line(error):
    return (str(getattr(error, "message", error)).strip() or type(error).__name__).splitlines()[0][:300]
