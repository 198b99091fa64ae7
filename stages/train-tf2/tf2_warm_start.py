"""Start from another model's object-based checkpoint: take what fits by its place in the model and its shape, and say what did not."""

from contextlib import contextmanager
from pathlib import Path

import tensorflow as tf

from _odapi.config_text import read_config
from _runtime import StageError
from _training.warm_start import check_version, unreadable


def warm_start(model, prefix, kind, config):
    """Set the variables of `model` (a DetectionModel, with all of them made) that the checkpoint has.

    kind: `detection`: all, but in the prediction heads only those of equal shape, as their number of classes may be another;
    `classification`: the backbone alone, from a classifier's or a detector's checkpoint; `full`: all, without exception.
    config: of the model, for messages. Returns {"restored": [names], "missing": [names], "other_shape": [{"name", "checkpoint",
    "model"}]}, sorted by name. Raises StageError where the checkpoint is no object-based one, or of another architecture.
    """
    with _readable(prefix):
        reader = tf.train.load_checkpoint(prefix)
        shapes = reader.get_variable_to_shape_map()
        check_version(shapes, prefix, 2)
        keys = _matched_keys(_root(model, prefix, kind), prefix)
    wanted = _backbone(model).variables if kind == "classification" else _all_variables(model)
    must = {id(variable) for variable in (wanted if kind == "full" else _must_fit(model, kind))}
    fitting, missing, other = [], [], []
    for variable in sorted(wanted, key=lambda variable: variable.name):
        name, key = variable.name.split(":")[0], keys.get(id(variable))
        if key is None:
            missing.append(name)
        elif shapes[key] != variable.shape.as_list():
            other.append({"name": name, "checkpoint": shapes[key], "model": variable.shape.as_list()})
        else:
            fitting.append((variable, key))
    fitted = {id(variable) for variable, _ in fitting}
    if not fitting or must - fitted:
        lost = [variable.name.split(":")[0] for variable in wanted if id(variable) in must - fitted]
        raise _other_model(prefix, kind, config, shapes, {"missing": missing, "other_shape": other}, lost)
    with _readable(prefix):
        values = [reader.get_tensor(key) for _, key in fitting]
    for (variable, _), value in zip(fitting, values):
        variable.assign(value)
    return {"restored": [variable.name.split(":")[0] for variable, _ in fitting], "missing": missing, "other_shape": other}


@contextmanager
def _readable(prefix):
    """Within this context, what TensorFlow raises of a damaged checkpoint becomes a StageError."""
    try:
        yield
    except (tf.errors.OpError, ValueError, RuntimeError, IndexError) as error:
        raise unreadable(prefix, 2, error) from error


def _backbone(model):
    return model.feature_extractor.classification_backbone


def _all_variables(model):
    found, seen = [], set()
    for trackable in tf.train.TrackableView(model).descendants():
        if isinstance(trackable, tf.Variable) and id(trackable) not in seen:
            seen.add(id(trackable))
            found.append(trackable)
    return found


def _must_fit(model, kind):
    """What another model of the same architecture has, too: the feature extractor, or its backbone."""
    return _backbone(model).variables if kind == "classification" else _all_variables(model.feature_extractor)


def _root(model, prefix, kind):
    """What the checkpoint's objects are compared with, by the names that the API gives them (SSDMetaArch.restore_from_objects)."""
    if kind == "classification" and "feature_extractor" in tf.train.CheckpointView(prefix).children(0):
        return tf.train.Checkpoint(**model.restore_from_objects("classification"))
    return tf.train.Checkpoint(model=model)


def _matched_keys(root, prefix):
    """The id() of each variable below `root` that has its counterpart in the checkpoint, to that one's key there."""
    view = tf.train.CheckpointView(prefix)
    nodes = view._object_graph_proto.nodes  # noqa: SLF001  its public methods do not tell the keys
    keys = {}
    for node, trackable in view.match(root).items():
        if isinstance(trackable, tf.Variable) and nodes[node].attributes:
            keys[id(trackable)] = nodes[node].attributes[0].checkpoint_key
    return keys


def _other_model(prefix, kind, config, shapes, report, lost):
    """The StageError for a checkpoint that does not fit; lost: names of variables that it should have had in their shape."""
    stored = sorted(name for name in shapes if name.startswith(("model/", "feature_extractor/")))
    if not stored:
        return StageError(
            "the checkpoint of warm_start holds no model",
            prefix,
            "variables below `model/` or `feature_extractor/`",
            "%d entries: %s" % (len(shapes), ", ".join(sorted(shapes)[:4])),
            "take a later checkpoint: the API writes its first one, ckpt-1, before the model is made",
        )
    if kind != "classification" and all(name.startswith("feature_extractor/") for name in stored):
        return StageError(
            "the checkpoint of warm_start is a classifier's",
            prefix,
            "a detector's, with variables below `model/`",
            "variables below `feature_extractor/`",
            "set `warm_start_type: classification`",
        )
    return StageError(
        "the checkpoint of warm_start is of another architecture" if kind != "full" else "the checkpoint of warm_start is of another model",
        prefix,
        _architecture(config),
        "%s; of %d variables that must fit %s" % (_told(prefix), len(lost), _first(lost, report)),
        "take the same architecture's checkpoint"
        + ("" if kind == "classification" else ", or set `warm_start_type: %s`" % {"full": "detection"}.get(kind, "classification")),
    )


def _architecture(config):
    extractor = getattr(config.model, config.model.WhichOneof("model")).feature_extractor
    return "`%s`, depth multiplier %g" % (extractor.type, getattr(extractor, "depth_multiplier", 1))


def _told(prefix):
    """What lies beside the checkpoint to say of which architecture it is."""
    path = Path(prefix).parent / "pipeline.config"
    if not path.is_file():
        return "unknown (no pipeline.config beside it)"
    try:
        return _architecture(read_config(path))
    except (StageError, AttributeError, TypeError):
        return "unknown (its pipeline.config cannot be read)"


def _first(lost, report):
    """What is wrong with the first of the variables that should fit."""
    for entry in report["other_shape"]:
        if entry["name"] in lost:
            return "the first that does not is `{name}`: {checkpoint} instead of {model}".format(**entry)
    return "the first that is missing is `%s`" % lost[0] if lost else "none"
