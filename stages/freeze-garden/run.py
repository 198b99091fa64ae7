"""Export a checkpoint of the Model Garden's RetinaNet as the SavedModel that the converter reads."""

import shutil

import tensorflow as tf
from garden_export import class_count, exported_detector

from _garden.experiment import FILE, read_experiment, versions
from _garden.model import build_model, restore
from _runtime import StageError, run
from _tf2_export.artifact import write_artifact
from _untrained.marks import passed_on

_STEP = "global_step/.ATTRIBUTES/VARIABLE_VALUE"


def main(task):
    """Restore the checkpoint, every variable of it, and write the saved-model artifact."""
    task.tools.update(versions())
    checkpoint = task.input("checkpoint")
    about, experiment = checkpoint.json("checkpoint.json"), read_experiment(checkpoint.path / FILE)
    check_exportable(experiment, about, task.params)
    model, prefix = build_model(experiment), str(checkpoint.path / about["prefix"])
    variables = restore(model, prefix)
    check_step(prefix, about["step"])
    exported = exported_detector(experiment, model, task.params, about["classes"], about["step"])
    described = write_artifact(task.output, exported, task.params["postprocess"], passed_on(task, about))
    shutil.copyfile(str(checkpoint.path / FILE), str(task.output / FILE))
    task.metrics.update({"variables": variables, "anchors": described["anchors"], "step": about["step"]})


def check_exportable(experiment, about, params):
    """Refuse a checkpoint that is not what it says, and parameters that do not fit the model. Raises StageError."""
    classes, quantized = class_count(experiment), experiment.task.quantization is not None
    if len(about["classes"]) != classes:
        raise StageError(
            "the checkpoint's classes do not fit its experiment",
            "checkpoint.json: classes",
            "%d names (task.model.num_classes is %d, with the background)" % (classes, experiment.task.model.num_classes),
            "%d: %s" % (len(about["classes"]), ", ".join(about["classes"][:5])),
            "train again with the label map of the data",
        )
    if about["quantized"] != quantized:
        raise StageError(
            "checkpoint and experiment disagree about quantization",
            "experiment.yaml: task.quantization",
            "as checkpoint.json says: quantized %s" % about["quantized"],
            quantized,
            "take the checkpoint and the experiment.yaml of the same training",
        )
    if params["max_classes_per_detection"] > classes:
        # The operator would leave the places of the missing classes unwritten.
        raise StageError(
            "a box cannot have more classes than the model",
            "freeze-garden.max_classes_per_detection",
            "at most %d" % classes,
            params["max_classes_per_detection"],
            "lower max_classes_per_detection",
        )


def check_step(prefix, told):
    """The step stored in the checkpoint must be the one that checkpoint.json tells. Raises StageError."""
    step = int(tf.train.load_variable(prefix, _STEP))
    if step != told:
        raise StageError("the checkpoint is of another step than it says", prefix, told, step, "train again")


if __name__ == "__main__":
    run(main)
