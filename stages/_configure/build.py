"""Let the Object Detection API build what the config describes: what its builders refuse, training would refuse a minute later."""

from object_detection.builders import model_builder, optimizer_builder, preprocessor_builder

from _runtime import StageError

# What the builders, and Keras below them, raise for a config that they cannot use.
REFUSALS = (ArithmeticError, AssertionError, AttributeError, LookupError, NameError, RuntimeError, TypeError, ValueError)


def check_builds(config, optimizer=optimizer_builder.build):
    """Build model, optimizer and augmentation of a TrainEvalPipelineConfig; StageError where the API refuses one. Returns the model.

    optimizer: called with the Optimizer message.
    """
    model = _build("model", model_builder.build, config.model, is_training=True)
    _build("train_config.optimizer", optimizer, config.train_config.optimizer)
    for place, option in enumerate(config.train_config.data_augmentation_options):
        _build("train_config.data_augmentation_options.%d" % place, preprocessor_builder.build, option)
    return model


def _build(field, build, message, **more):
    try:
        return build(message, **more)
    except REFUSALS as error:
        raise refused(field, error) from error


def refused(field, error):
    """The StageError for what the API said of a field."""
    return StageError(
        "the Object Detection API refuses the config",
        f"pipeline.config: {field}",
        "a config that it can build",
        f"{type(error).__name__}: {error}",
        "mend that part of the config",
    )
