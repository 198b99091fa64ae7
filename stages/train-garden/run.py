"""Training of the Model Garden's RetinaNet, in float or quantization-aware; resumes after a kill."""

import os

from _runtime import run


def main(task):
    """Set up the process, which must come before TensorFlow is imported, and train."""
    threads = task.params["intra_op_threads"], task.params["inter_op_threads"]
    if task.params["deterministic"]:
        # Sums over several threads, and oneDNN's, come out differently from run to run.
        threads = 1, 1
        os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
    from garden_work import train

    train(task, threads)


if __name__ == "__main__":
    run(main)
