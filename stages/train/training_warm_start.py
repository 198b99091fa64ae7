"""Start from another model's checkpoint: take what fits by name and shape, and say what did not."""

import tensorflow as tf

from _runtime import StageError
from _training.warm_start import check_version, unreadable

# Classification checkpoints name the backbone's variables without it.
_BACKBONE = "FeatureExtractor/"


def restore_fitting(session, variables, prefix):
    """Set each of `variables` (of the model: no optimizer slots, no step counters) that the checkpoint has with the same shape.

    Returns {"restored": [names], "missing": [names], "other_shape": [{"name", "checkpoint", "model"}]}, sorted by name.
    """
    try:
        reader = tf.train.NewCheckpointReader(prefix)
    except (tf.errors.OpError, ValueError) as error:
        raise unreadable(prefix, 1, error) from error
    shapes = reader.get_variable_to_shape_map()
    check_version(shapes, prefix, 1)
    fitting, missing, other = {}, [], []
    for variable in sorted(variables, key=lambda v: v.op.name):
        name = variable.op.name
        source = name if name in shapes else name[len(_BACKBONE) :] if name.startswith(_BACKBONE) else name
        if source not in shapes:
            missing.append(name)
        elif list(shapes[source]) != variable.shape.as_list():
            other.append({"name": name, "checkpoint": list(shapes[source]), "model": variable.shape.as_list()})
        else:
            fitting[source] = variable
    if not fitting:
        raise StageError(
            "nothing in the checkpoint of warm_start fits this model",
            prefix,
            f"variables such as `{missing[0]}`" if missing else "equal shapes",
            "%d variables, as `%s`" % (len(shapes), min(shapes) if shapes else ""),
            "use a checkpoint of the same architecture and depth multiplier",
        )
    try:
        tf.train.Saver(fitting).restore(session, prefix)
    except tf.errors.OpError as error:
        raise unreadable(prefix, 1, error) from error
    return {"restored": sorted(variable.op.name for variable in fitting.values()), "missing": missing, "other_shape": other}
