"""Fixtures of the TensorFlow 2 image's tests: a small detector that each stage of the chain has worked on, made once."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def threads():
    """TensorFlow's threads, which can be set only before it first computes, as all tests that train in this process ask for them."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(2)
    tf.config.threading.set_inter_op_parallelism_threads(2)


@pytest.fixture(scope="session")
def tiny_checkpoint_tf2(tmp_path_factory):
    """The folder of a checkpoint-tf2 artifact (see tiny_checkpoint_tf2)."""
    from tiny_checkpoint_tf2 import write_checkpoint

    return write_checkpoint(tmp_path_factory.mktemp("checkpoint-tf2"))
