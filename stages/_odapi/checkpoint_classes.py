"""What the classes of a checkpoint artifact are called."""

from _runtime import StageError


def checkpoint_classes(about, count):
    """Class names, as training recorded them in checkpoint.json (`about`), `count` of them. Raises StageError."""
    classes = about.get("classes")
    if not classes:
        raise StageError(
            "the checkpoint does not say what its classes are called",
            "checkpoint.json: classes",
            "%d names" % count,
            classes,
            "train it with this version, or add the label map's names to checkpoint.json",
        )
    if len(classes) != count:
        raise StageError(
            "the checkpoint's classes do not fit its config",
            "checkpoint.json: classes",
            "%d names (model.ssd.num_classes)" % count,
            "%d: %s" % (len(classes), ", ".join(classes[:5])),
            "train again with the label map of the data",
        )
    return list(classes)
