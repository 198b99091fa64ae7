"""A checkpoint artifact, read with its faults explained: its step, and what fails when it is restored."""

from contextlib import contextmanager

import tensorflow as tf

from _runtime import StageError


def checkpoint_step(prefix, told):
    """The global step stored in the checkpoint, which must be the one that checkpoint.json tells. Raises StageError."""
    reader = open_checkpoint(prefix)
    if not reader.has_tensor("global_step"):
        raise StageError(
            "the checkpoint has no global step",
            prefix,
            "the variable global_step",
            "%d others" % len(reader.get_variable_to_shape_map()),
            "give a checkpoint that training wrote",
        )
    try:
        step = int(reader.get_tensor("global_step"))
    except tf.errors.OpError as error:
        raise _unreadable(prefix, error) from None
    if step != told:
        raise StageError("the checkpoint is of another step than it says", prefix, told, step, "train again")
    return step


def warn_of_delay(task, config, step):
    """Warn where a model with quantization nodes has the weights of a step before quantization began."""
    delay = config.graph_rewriter.quantization.delay
    if config.HasField("graph_rewriter") and step < delay:
        task.warn(
            "the checkpoint is of step %d, before quantization began (graph_rewriter.quantization.delay is %d): "
            "its weights were never trained for 8 bits" % (step, delay)
        )


def open_checkpoint(prefix):
    """A reader of the checkpoint. Raises StageError where it is missing or damaged."""
    try:
        return tf.train.load_checkpoint(prefix)
    except (tf.errors.OpError, ValueError) as error:
        raise _unreadable(prefix, error) from None


def _unreadable(prefix, error):
    return StageError(
        "the checkpoint cannot be read",
        prefix,
        "a whole TensorFlow 1 checkpoint",
        _first_line(error),
        "train again, or restore its files",
    )


@contextmanager
def fresh_graph(prefix):
    """A new default graph, in which the checkpoint is restored; what fails there becomes a StageError that names the variables."""
    with tf.Graph().as_default() as graph:
        try:
            yield graph
        except tf.errors.OpError as error:
            raise _restore_error(graph, prefix, error) from None
        except ValueError as error:
            # What the API says of a config that it cannot build.
            raise StageError(
                "the Object Detection API cannot build this model",
                "pipeline.config",
                "a model that it builds",
                _first_line(error),
                "mend the config that the checkpoint was trained with",
            ) from None


def _restore_error(graph, prefix, error):
    stored = open_checkpoint(prefix).get_variable_to_shape_map()
    wanted = {variable.op.name: variable.shape.as_list() for variable in graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES)}
    missing = sorted(name for name in wanted if name not in stored)
    if missing:
        return StageError(
            "the checkpoint lacks variables of the model",
            missing[0],
            "%d variables" % len(wanted),
            "%d are missing%s" % (len(missing), _more(missing)),
            _missing_remedy(missing),
        )
    other = sorted(name for name in wanted if stored[name] != wanted[name])
    if other:
        return StageError(
            "the checkpoint is of another model",
            other[0],
            "shape %s" % wanted[other[0]],
            "shape %s" % stored[other[0]],
            "take the pipeline.config that it was trained with",
        )
    return StageError(
        "the checkpoint cannot be restored",
        prefix,
        "a whole TensorFlow 1 checkpoint",
        _first_line(error),
        "train again, or restore its files",
    )


def _more(names):
    return "" if len(names) == 1 else ", among them %s" % ", ".join(names[1:4])


def _missing_remedy(missing):
    if all("_quant/" in name for name in missing):
        return "it was trained without quantization: train with graph_rewriter, or take the config that it was trained with"
    if all("BoxPredictor" in name and "BatchNorm" in name for name in missing):
        return "it was trained without the patched prediction heads: train it with the train image"
    return "take the pipeline.config that it was trained with"


def _first_line(error):
    return (str(getattr(error, "message", error)).strip() or type(error).__name__).splitlines()[0][:300]
