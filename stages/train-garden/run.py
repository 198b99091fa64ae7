"""Training of the Model Garden's RetinaNet, in float or quantization-aware; resumes after a kill."""

from _runtime import run
from _training.process import prepare


def main(task):
    """Train to train_steps, and write the chosen checkpoint, its experiment and the history of the training."""
    prepare(task.params["deterministic"])
    # TensorFlow reads its environment when it is imported.
    from garden_work import train

    train(task)


if __name__ == "__main__":
    run(main)
