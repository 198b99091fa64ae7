"""Let the Object Detection API build what the config describes: what its builders refuse, training would refuse a minute later."""

import tensorflow as tf
from object_detection.builders import model_builder, optimizer_builder, preprocessor_builder

from _runtime import StageError


def check_builds(config):
    """Build model, optimizer and augmentation of a TrainEvalPipelineConfig; StageError where the API refuses one."""
    parts = [
        ("model", lambda: model_builder.build(config.model, is_training=True)),
        ("train_config.optimizer", lambda: optimizer_builder.build(config.train_config.optimizer)),
    ]
    for place, option in enumerate(config.train_config.data_augmentation_options):
        parts.append(("train_config.data_augmentation_options.%d" % place, lambda option=option: preprocessor_builder.build(option)))
    with tf.Graph().as_default():
        for field, build in parts:
            try:
                build()
            except (ValueError, TypeError, KeyError, AttributeError, RuntimeError, NotImplementedError) as error:
                raise StageError(
                    "the Object Detection API refuses the config",
                    f"pipeline.config: {field}",
                    "a config that it can build",
                    f"{type(error).__name__}: {error}",
                    "mend that part of the config",
                ) from error
