"""The Garden's RetinaNet of an experiment: built in float or with fake-quantization, and filled from a checkpoint with nothing lost."""

import hashlib
from collections import Counter

import numpy as np
import tensorflow as tf
from official.core import task_factory
from official.projects.qat.vision.modeling import factory

from _garden.experiment import quantization
from _runtime import StageError

_VARIABLE = "/.ATTRIBUTES/VARIABLE_VALUE"
PARTS = ("backbone", "decoder", "head")
# What the Garden raises for a model that it cannot build, and tfmot for one that it cannot quantize.
REFUSALS = (ValueError, TypeError, KeyError, AttributeError, RuntimeError, NotImplementedError, AssertionError, IndexError)


def make_task(experiment):
    """The Garden's task (losses, metrics, steps) of an experiment."""
    return task_factory.get_task(experiment.task)


def build_model(experiment):
    """The model with new weights, fake-quantized where `task.quantization` is set. Raises StageError where the Garden refuses it."""
    try:
        return make_task(experiment).build_model()
    except REFUSALS as error:
        quantized = experiment.task.quantization is not None
        raise StageError(
            "the Model Garden cannot %s this model" % ("quantize" if quantized else "build"),
            "experiment.yaml: task.model",
            "a RetinaNet of layers that can be quantized" if quantized else "a model that it builds",
            "%s: %s" % (type(error).__name__, _first_line(error)),
            "start from a template in data/templates",
        ) from error


def quantize(experiment, model):
    """(the model with fake-quantization and the weights of the float `model`, {part: (kept, all) variables}).

    `experiment.task.quantization` is set. Raises StageError where a weight of the float model is not in the quantized one: its part would
    start from random weights.
    """
    experiment.task.quantization = quantization()
    try:
        quantized = factory.build_qat_retinanet(model, experiment.task.quantization, model_config=experiment.task.model)
    except REFUSALS as error:
        raise StageError(
            "the Model Garden cannot quantize this model",
            "experiment.yaml: task.model",
            "a RetinaNet of layers that can be quantized",
            "%s: %s" % (type(error).__name__, _first_line(error)),
            "start from a template in data/templates",
        ) from error
    kept = {part: kept_variables(getattr(model, part), getattr(quantized, part)) for part in PARTS}
    for part, (found, total) in kept.items():
        if found < total:
            raise StageError(
                "quantizing the model dropped pretrained weights of its %s" % part,
                "experiment.yaml: task.model.%s" % part,
                "all %d variables" % total,
                "%d of them" % found,
                "make the image's environment again: its patch series mends tfmot's remove_input_range",
            )
    return quantized, kept


def kept_variables(source, target):
    """(how many variables of `source` have a variable of the same shape and content in `target`, how many it has); Keras layers."""
    there = Counter(_content(variable) for variable in target.weights)
    wanted = Counter(_content(variable) for variable in source.weights)
    return sum((there & wanted).values()), sum(wanted.values())


def _content(variable):
    value = np.ascontiguousarray(variable.numpy())
    return value.shape, value.dtype.str, hashlib.sha256(value.tobytes()).hexdigest()


def checkpoint_of(model, **more):
    """A tf.train.Checkpoint of the model by the names that the Garden's own programs look for; `more`: other objects to keep."""
    return tf.train.Checkpoint(model=model, **model.checkpoint_items, **more)


def restore(model, prefix, what="the checkpoint"):
    """Set all variables of the model from the checkpoint `prefix`; how many. Raises StageError where one is missing or of another shape."""
    stored = stored_variables(prefix, what)
    try:
        checkpoint_of(model).read(prefix).assert_existing_objects_matched().expect_partial()
    except (AssertionError, ValueError) as error:
        raise StageError(
            "%s is of another model" % what,
            prefix,
            "%d variables of %s" % (len(model.weights), ", ".join(PARTS)),
            "%d others: %s" % (len(stored), _first_line(error)),
            "take the checkpoint and the experiment.yaml of the same training",
        ) from error
    except tf.errors.OpError as error:
        raise _unreadable(what, prefix, error) from error
    return len(model.weights)


def stored_variables(prefix, what="the checkpoint"):
    """Names of the variables in an object-based checkpoint. Raises StageError where it cannot be read, or is one of TensorFlow 1."""
    try:
        names = sorted(tf.train.load_checkpoint(prefix).get_variable_to_shape_map())
    except (tf.errors.OpError, ValueError) as error:
        raise _unreadable(what, prefix, error) from error
    found = [name for name in names if name.endswith(_VARIABLE)]
    if not found:
        raise StageError(
            "%s is one of TensorFlow 1" % what,
            prefix,
            "an object-based checkpoint, as train-garden writes it",
            "variables such as %s" % (names[0] if names else "none"),
            "train with train-garden",
        )
    return found


def _unreadable(what, prefix, error):
    return StageError(
        "%s cannot be read" % what, prefix, "a whole TensorFlow 2 checkpoint", _first_line(error), "train again, or restore its files"
    )


def _first_line(error):
    return (str(getattr(error, "message", None) or error).strip() or type(error).__name__).splitlines()[0][:300]
