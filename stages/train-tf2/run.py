"""Training of a detector with the TensorFlow 2 Object Detection API; resumes after a kill."""

import os
import sys

from _runtime import StageError, run


def main(task):
    """Train to num_steps, and write the chosen checkpoint, its config, and the history of the training."""
    prepare(task.params["deterministic"])
    # TensorFlow reads its environment when it is imported.
    from tf2_training_run import train

    train(task)


def prepare(deterministic):
    """Set what must stand in the environment before TensorFlow is imported."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    if not deterministic:
        return
    if sys.flags.hash_randomization:
        raise StageError(
            "deterministic training needs hashes that are the same each time",
            "PYTHONHASHSEED",
            "0",
            os.environ.get("PYTHONHASHSEED", "unset"),
            "run the stage with PYTHONHASHSEED=0, as each image does",
        )
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"  # oneDNN chooses its algorithms by what the machine does at that moment


if __name__ == "__main__":
    run(main)
