"""The compiled model of an edgetpu artifact, for those who run or pack one whole model."""

from _runtime import StageError

MODEL = "model_edgetpu.tflite"


def whole_model(artifact, user):
    """Path of the artifact's compiled model. user: the step that wants it. Raises StageError where it is in segments."""
    path = artifact.path / MODEL
    if path.is_file():
        return path
    found = sorted(each.name for each in artifact.path.glob("model*_edgetpu.tflite"))
    raise StageError(
        "the model is compiled in %d segments, each for an Edge TPU of its own, and %s takes a whole one" % (len(found), user),
        artifact.name,
        MODEL,
        ", ".join(found) or "no compiled model",
        "bind a step `compile` without `segments`; segments are run by the PipelinedModelRunner of Coral's libraries",
    )
