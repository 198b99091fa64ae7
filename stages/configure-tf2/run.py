"""Fill a pipeline.config of TensorFlow 2 with what the data says and the pipeline overrides, and refuse what would train in vain."""

from pathlib import Path

import tensorflow as tf
from object_detection.builders import optimizer_builder
from tf2_trial import check_runs

from _configure import rules, rules_tf2
from _configure.anchors import lint_anchors
from _configure.build import check_builds
from _configure.fill import Data, check_classes, fill, follow_num_steps, summary
from _configure.from_tf1 import convert
from _odapi.config_overrides import apply_overrides
from _odapi.config_text import print_config, read_config
from _runtime import run, write_json, write_text


def main(task):
    """Write pipeline.config (input paths are names inside the records artifact) and config.json (what was changed, and why)."""
    tf.get_logger().setLevel("ERROR")
    data = Data(task.input("records"))
    template = read_config(Path(task.params["template"]))
    config = read_config(Path(task.params["template"]))
    check_classes(task.params["overrides"], data)
    changes = apply_overrides(config, task.params["overrides"])
    changes += follow_num_steps(template, config)
    rules.is_ssd(config)
    if task.params["from_tf1"]:
        changes += convert(config, task.warn)
    changes += fill(config, data, task.warn)
    for text in rules.lint(config, [*rules_tf2.rules_of(), rules.data(data.images["train"], data.per_class["train"])]):
        task.warn(text)
    model = check_builds(config, _build_optimizer)
    for text in lint_anchors(config, data.train_boxes(), data.classes):
        task.warn(text)
    check_runs(model, config)
    write_text(task.output / "pipeline.config", print_config(config))
    write_json(task.output / "config.json", summary(config, data, changes, task.warnings))
    task.tools["tensorflow"] = tf.__version__


def _build_optimizer(message):
    return optimizer_builder.build(message, global_step=tf.Variable(0, trainable=False, dtype=tf.int64))


if __name__ == "__main__":
    run(main)
