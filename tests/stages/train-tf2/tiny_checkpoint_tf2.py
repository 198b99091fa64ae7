"""A small TensorFlow 2 detector's checkpoint, made in seconds: random weights, the same each time."""

import json

import numpy as np
import tensorflow as tf
from _odapi.config_text import parse_config
from object_detection.builders import model_builder
from tiny_config_tf2 import CLASSES, config_text

STEP = 2


def build_model(config, seed=1):
    """The detection model of a TrainEvalPipelineConfig with all of its variables."""
    tf.keras.utils.set_random_seed(seed)
    model = model_builder.build(config.model, is_training=False)
    resizer = config.model.ssd.image_resizer.fixed_shape_resizer
    images, shapes = model.preprocess(tf.zeros([1, resizer.height, resizer.width, 3]))
    model.predict(images, shapes)
    return model


def spread_weights(model):
    """Give every kernel random values of a size (He et al. 2015) that carries a picture's content through all layers to the detections."""
    random = np.random.RandomState(1)
    for variable in model.trainable_variables:
        if "kernel" in variable.name:
            depthwise = "depthwise" in variable.name
            inputs = np.prod(variable.shape[:2]) if depthwise else np.prod(variable.shape[:-1])
            head = 0.3 if "Head" in variable.name else 1.0  # scores that are neither all 0 nor all 1
            variable.assign(random.normal(0, head * np.sqrt(2 / inputs), variable.shape).astype(np.float32))


def write_checkpoint(folder, text=None, classes=None):
    """Write a checkpoint-tf2 artifact to the existing `folder`; text: its pipeline.config (that of tiny_config_tf2 by default)."""
    text, classes = text or config_text(), classes or CLASSES
    config = parse_config(text, "tiny")
    model = build_model(config)
    spread_weights(model)
    step = tf.Variable(STEP, dtype=tf.int64, trainable=False)
    tf.train.Checkpoint(step=step, model=model).write(str(folder / ("model.ckpt-%d" % STEP)))
    (folder / "pipeline.config").write_text(text, encoding="utf-8")
    about = {
        "schema": 1,
        "step": STEP,
        "prefix": "model.ckpt-%d" % STEP,
        "classes": classes,
        "selected_by": "last",
        "evaluations": [],
        "num_steps": STEP,
        "quantization_delay": None,
        "deterministic": False,
        "seed": 1,
        "intra_op_threads": 1,
        "warm_start": None,
    }
    (folder / "checkpoint.json").write_text(json.dumps(about), encoding="utf-8")
    (folder / "history.json").write_text('{"schema": 1, "steps": [], "evaluations": []}\n', encoding="utf-8")
    return folder
