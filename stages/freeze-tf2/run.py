"""Export a TensorFlow 2 checkpoint as the SavedModel that the converter reads."""

import shutil
from contextlib import nullcontext
from importlib.metadata import version

import tensorflow as tf
from detector_export import exported_detector, write_inference_model
from keras_checkpoint import restore_model
from native_resize import native_resize

from _odapi.checkpoint_classes import checkpoint_classes
from _odapi.config_text import read_config
from _odapi.exportable import check_exportable, input_size
from _runtime import run
from _tf2_export.artifact import write_artifact
from _untrained.marks import passed_on

_API = "tf-models-research-object-detection"


def main(task):
    """Restore the checkpoint, every variable of it, and write the saved-model artifact."""
    task.tools.update({"tensorflow": tf.__version__, _API: version(_API)})
    checkpoint = task.input("checkpoint")
    about = checkpoint.json("checkpoint.json")
    config = read_config(checkpoint.path / "pipeline.config")
    check_exportable(config, task.params, "freeze-tf2")
    classes = checkpoint_classes(about, config.model.ssd.num_classes)
    restored = restore_model(config, str(checkpoint.path / about["prefix"]), about["step"], input_size(config))
    exported = exported_detector(config, restored, task.params, classes, about["step"])
    untrained = passed_on(task, about)
    with native_resize() if task.params["native_resize"] else nullcontext():
        described = write_artifact(task.output, exported, task.params["postprocess"], untrained)
    shutil.copyfile(str(checkpoint.path / "pipeline.config"), str(task.output / "pipeline.config"))
    if task.params["inference_model"] and not untrained:  # nobody is to run it
        write_inference_model(restored.model, task.output / "inference_model")
    task.metrics.update({"variables": restored.variables, "anchors": described["anchors"], "step": about["step"]})


if __name__ == "__main__":
    run(main)
