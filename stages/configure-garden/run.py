"""Fill an experiment of the Model Garden with what the data says and the pipeline overrides, and refuse what would train in vain."""

from pathlib import Path

from garden_anchors import lint_anchors
from garden_fields import flatten, get_field, lay_over, set_fields
from garden_fill import DECAY_STEPS, fill, follow_train_steps
from garden_lint import check_overrides, lint

from _configure.fill import Data
from _garden.experiment import FILE, input_size, new_experiment, print_experiment, quantization, read_yaml, versions
from _garden.model import build_model
from _runtime import run, write_json, write_text


def main(task):
    """Write experiment.yaml (input paths are names inside the records artifact) and config.json (what was changed, and why)."""
    experiment, data, changes = fill_and_lint(task)
    check_builds(experiment, task.params["quantizable"])
    write_text(task.output / FILE, print_experiment(experiment))
    write_json(task.output / "config.json", summary(experiment, data, changes, task.warnings))
    task.tools.update(versions())


def fill_and_lint(task):
    """(the experiment, what the records say, the changes), with all that is refused or told before anything is built."""
    data, template = Data(task.input("records")), Path(task.params["template"])
    experiment = new_experiment()
    lay_over(experiment, read_yaml(template), template.name)
    before = {path: get_field(experiment, path) for path in (DECAY_STEPS, "trainer.train_steps")}
    overrides = flatten(task.params["overrides"])
    check_overrides(overrides, len(data.classes))
    changes = set_fields(experiment, overrides, "overrides")
    changes += follow_train_steps(before, experiment) + fill(experiment, data, task.warn)
    for text in lint(experiment, data) + lint_anchors(experiment, data.train_boxes(), data.classes):
        task.warn(text)
    return experiment, data, changes


def check_builds(experiment, quantizable):
    """Have the Garden build the model, fake-quantized if it shall be `quantizable`: what it refuses, training would refuse later."""
    experiment.task.quantization = quantization() if quantizable else None
    build_model(experiment)
    experiment.task.quantization = None


def summary(experiment, data, changes, warnings):
    """What other stages and the report want to know of the experiment."""
    return {
        "schema": 1,
        "input_size": input_size(experiment),
        "num_classes": len(data.classes),
        "classes": data.classes,
        "num_steps": experiment.trainer.train_steps,
        "batch_size": experiment.task.train_data.global_batch_size,
        "quantization_delay": None,
        "evaluation_split": data.evaluation_split(),
        "changes": changes,
        "warnings": list(warnings),
    }


if __name__ == "__main__":
    run(main)
