"""Training of a detector with the TensorFlow 2 Object Detection API; resumes after a kill."""

from _runtime import run
from _training.process import prepare


def main(task):
    """Train to num_steps, and write the chosen checkpoint, its config, and the history of the training."""
    prepare(task.params["deterministic"])
    # TensorFlow reads its environment when it is imported.
    from tf2_training_run import train

    train(task)


if __name__ == "__main__":
    run(main)
