"""Fill a pipeline.config with what the data says and the pipeline overrides, and refuse what would train in vain."""

from pathlib import Path

import tensorflow as tf
from configure_anchors import lint_anchors
from configure_build import check_builds
from configure_fill import Data, fill, follow_num_steps
from configure_lint import lint

from _odapi.config_overrides import apply_overrides
from _odapi.config_text import print_config, read_config
from _runtime import run, write_json, write_text


def main(task):
    """Write pipeline.config (input paths are names inside the records artifact) and config.json (what was changed, and why)."""
    tf.logging.set_verbosity(tf.logging.ERROR)
    data = Data(task.input("records"))
    template = read_config(Path(task.params["template"]))
    config = read_config(Path(task.params["template"]))
    changes = apply_overrides(config, task.params["overrides"])
    changes += follow_num_steps(template, config)
    if config.model.WhichOneof("model") == "ssd":
        changes += fill(config, data, task.warn)
    for text in lint(config, data.images["train"], data.per_class["train"], task.params["allow_float"]):
        task.warn(text)
    check_builds(config)
    for text in lint_anchors(config, data.train_boxes(), data.classes):
        task.warn(text)
    write_text(task.output / "pipeline.config", print_config(config))
    write_json(task.output / "config.json", summary(config, data, changes, task.warnings))
    task.tools["tensorflow"] = tf.__version__


def summary(config, data, changes, warnings):
    """What other stages and the report want to know of the config."""
    size = config.model.ssd.image_resizer.fixed_shape_resizer
    quantized = config.HasField("graph_rewriter")
    return {
        "schema": 1,
        "input_size": [size.height, size.width],
        "num_classes": len(data.classes),
        "classes": data.classes,
        "num_steps": config.train_config.num_steps,
        "batch_size": config.train_config.batch_size,
        "quantization_delay": config.graph_rewriter.quantization.delay if quantized else None,
        "evaluation_split": data.evaluation_split(),
        "changes": changes,
        "warnings": list(warnings),
    }


if __name__ == "__main__":
    run(main)
