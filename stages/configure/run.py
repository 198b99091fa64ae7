"""Fill a pipeline.config with what the data says and the pipeline overrides, and refuse what would train in vain."""

from pathlib import Path

import tensorflow as tf

from _configure import rules, rules_tf1
from _configure.anchors import lint_anchors
from _configure.build import check_builds
from _configure.fill import Data, check_classes, fill, follow_num_steps, summary
from _odapi.config_overrides import apply_overrides
from _odapi.config_text import print_config, read_config
from _runtime import run, write_json, write_text


def main(task):
    """Write pipeline.config (input paths are names inside the records artifact) and config.json (what was changed, and why)."""
    tf.logging.set_verbosity(tf.logging.ERROR)
    data = Data(task.input("records"))
    template = read_config(Path(task.params["template"]))
    config = read_config(Path(task.params["template"]))
    check_classes(task.params["overrides"], data)
    changes = apply_overrides(config, task.params["overrides"])
    changes += follow_num_steps(template, config)
    rules.is_ssd(config)
    changes += fill(config, data, task.warn)
    train_images, per_class = data.images["train"], data.per_class["train"]
    for text in rules.lint(config, [*rules_tf1.rules_of(task.params["allow_float"]), rules.data(train_images, per_class)]):
        task.warn(text)
    with tf.Graph().as_default():
        check_builds(config)
    for text in lint_anchors(config, data.train_boxes(), data.classes):
        task.warn(text)
    write_text(task.output / "pipeline.config", print_config(config))
    write_json(task.output / "config.json", summary(config, data, changes, task.warnings))
    task.tools["tensorflow"] = tf.__version__


if __name__ == "__main__":
    run(main)
