"""Starting from another model's checkpoint: which one is meant, of which version of TensorFlow it is, and what is said of it."""

from _runtime import StageError

# The entry of a checkpoint that only TensorFlow 2's object-based ones have (tensorflow/python/checkpoint/checkpoint.py).
OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


def find_checkpoint(folder, version):
    """Prefix of the one checkpoint in `folder`; StageError where there is none or several. version: TensorFlow's that is wanted, 1 or 2."""
    prefixes = sorted(str(path)[: -len(".index")] for path in folder.glob("*.index"))
    if len(prefixes) != 1:
        raise StageError(
            "warm_start needs a folder with one checkpoint",
            folder,
            "one NAME.index with its NAME.data-…",
            ", ".join(prefix.rsplit("/", 1)[-1] for prefix in prefixes) or "none",
            "name the folder of a single TensorFlow %d checkpoint" % version,
        )
    return prefixes[0]


def check_version(names, prefix, version):
    """StageError where a checkpoint with entries of these `names` is one of the other version of TensorFlow."""
    if (OBJECT_GRAPH in names) == (version == 2):
        return
    if version == 2:
        raise StageError(
            "the checkpoint of warm_start is one of TensorFlow 1",
            prefix,
            "an object-based checkpoint of TensorFlow 2",
            "variables by name, as `%s`" % min(names, default=""),
            "take the architecture's checkpoint for TensorFlow 2, or train with the stage `train` (TensorFlow 1)",
        )
    raise StageError(
        "the checkpoint of warm_start is one of TensorFlow 2",
        prefix,
        "a TensorFlow 1 checkpoint, with variables by name",
        "an object-based one (it has `%s`)" % OBJECT_GRAPH,
        "take the architecture's checkpoint for TensorFlow 1, or train with the stage `train-tf2`",
    )


def unreadable(prefix, version, error):
    """The StageError for a checkpoint that cannot be read; error: what TensorFlow raised."""
    return StageError(
        "the checkpoint of warm_start cannot be read",
        prefix,
        "a TensorFlow %d checkpoint" % version,
        str(error).splitlines()[0],
        "download it again",
    )


def say_restored(task, report):
    """Tell the user of `report`: {"restored": [names], "missing": [names], "other_shape": [{"name", "checkpoint", "model"}]}."""
    left = len(report["missing"]) + len(report["other_shape"])
    task.say(
        "warm start: %d variables restored, %d not (%d are not in the checkpoint, %d have another shape there)"
        % (len(report["restored"]), left, len(report["missing"]), len(report["other_shape"]))
    )
