"""A warm start takes what fits by name and shape, and says what did not."""

import pytest
import tensorflow as tf
from _runtime import StageError

from stage_helpers import load

warm = load("train", "training_warm_start")
shared = load("_training", "warm_start")
graphs = load("train", "training_graph")


def write(folder, **variables):
    """A checkpoint with variables of the given names (`__` for `/`) and values."""
    with tf.Graph().as_default(), tf.Session() as session:
        made = [tf.get_variable(name.replace("__", "/"), initializer=tf.constant(value)) for name, value in variables.items()]
        session.run([variable.initializer for variable in made])
        tf.train.Saver(made).save(session, str(folder / "model.ckpt"), write_meta_graph=False)
    return folder


def restore(prefix, **variables):
    """(report, {name: value}) of a model whose variables are all zeros at first."""
    with tf.Graph().as_default(), tf.Session() as session:
        made = [tf.get_variable(name.replace("__", "/"), initializer=tf.zeros(shape)) for name, shape in variables.items()]
        session.run([variable.initializer for variable in made])
        report = warm.restore_fitting(session, made, prefix)
        return report, {variable.op.name: session.run(variable).tolist() for variable in made}


def test_what_fits_is_restored_and_the_rest_is_named(tmp_path):
    write(tmp_path, same=[1.0, 2.0], other_shape=[1.0, 2.0, 3.0], only_here=[5.0])
    report, values = restore(shared.find_checkpoint(tmp_path, 1), same=[2], other_shape=[2], only_in_model=[1])
    assert report == {
        "restored": ["same"],
        "missing": ["only_in_model"],
        "other_shape": [{"name": "other_shape", "checkpoint": [3], "model": [2]}],
    }
    assert values == {"same": [1.0, 2.0], "other_shape": [0.0, 0.0], "only_in_model": [0.0]}


def test_a_classification_checkpoint_fits_the_backbone(tmp_path):
    write(tmp_path, MobilenetV2__Conv__weights=[3.0])
    report, values = restore(
        shared.find_checkpoint(tmp_path, 1), FeatureExtractor__MobilenetV2__Conv__weights=[1], BoxPredictor_0__weights=[1]
    )
    assert report["restored"] == ["FeatureExtractor/MobilenetV2/Conv/weights"]
    assert values["FeatureExtractor/MobilenetV2/Conv/weights"] == [3.0]


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    write(tmp_path, resnet=[1.0])
    with pytest.raises(StageError, match="nothing in the checkpoint") as raised:
        restore(shared.find_checkpoint(tmp_path, 1), mobilenet=[1])
    assert "depth multiplier" in raised.value.remedy


def test_a_checkpoint_of_tensorflow_2_is_refused_with_the_stage_for_it(tmp_path):
    with tf.Graph().as_default(), tf.Session() as session:
        made = tf.get_variable("same", initializer=tf.constant([1.0]))
        session.run(made.initializer)
        tf.train.Checkpoint(same=made).save(str(tmp_path / "ckpt"), session=session)
    with pytest.raises(StageError, match="one of TensorFlow 2") as raised:
        restore(shared.find_checkpoint(tmp_path, 1), same=[1])
    assert "_CHECKPOINTABLE_OBJECT_GRAPH" in raised.value.found
    assert "train-tf2" in raised.value.remedy


@pytest.mark.parametrize(("files", "found"), [([], "none"), (["a.index", "b.index"], "a, b")])
def test_the_folder_must_hold_one_checkpoint(tmp_path, files, found):
    for name in files:
        (tmp_path / name).touch()
    with pytest.raises(StageError) as raised:
        shared.find_checkpoint(tmp_path, 1)
    assert raised.value.found == found


@pytest.mark.parametrize("content", [b"", b"no table at all" * 20])
def test_a_damaged_checkpoint_is_refused(tmp_path, content):
    prefix = shared.find_checkpoint(write(tmp_path, same=[1.0]), 1)
    (tmp_path / "model.ckpt.index").write_bytes(content)
    with pytest.raises(StageError, match="cannot be read"):
        restore(prefix, same=[1])


def test_a_checkpoint_whose_data_is_cut_is_refused(tmp_path):
    prefix = shared.find_checkpoint(write(tmp_path, same=[1.0] * 100), 1)
    data = tmp_path / "model.ckpt.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:200])
    with pytest.raises(StageError, match="cannot be read"):
        restore(prefix, same=[100])


@pytest.mark.parametrize(
    "optimizer",
    [tf.train.AdamOptimizer(0.1), tf.train.RMSPropOptimizer(0.1, momentum=0.9), tf.train.MomentumOptimizer(0.1, 0.9)],
    ids=lambda optimizer: optimizer.get_name(),
)
def test_counters_and_the_optimizers_own_variables_are_not_the_models(optimizer):
    with tf.Graph().as_default():
        step = tf.train.create_global_step()
        weights = tf.get_variable("layer/weights", [1])
        tf.get_variable("layer/act_quant/min", [], trainable=False)
        tf.get_variable("layer/BatchNorm/moving_mean", [1], trainable=False)
        tf.get_variable("fake_quantization_step", [], tf.int64, trainable=False)
        optimizer.minimize(weights * weights, global_step=step)
        assert [variable.op.name for variable in graphs.model_variables()] == [
            "layer/weights",
            "layer/act_quant/min",
            "layer/BatchNorm/moving_mean",
        ]
