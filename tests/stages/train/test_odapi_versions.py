"""What the stages declare of the Object Detection API's two versions, held against the one for TensorFlow 1."""

import inspect

import pytest
import tensorflow as tf
from _odapi import versions
from google.protobuf import text_format
from object_detection import model_lib
from object_detection.builders import hyperparams_builder, model_builder
from object_detection.protos import hyperparams_pb2

from odapi_schema import lines, message_types
from stage_helpers import ROOT


def test_the_schema_is_the_recorded_one():
    assert lines({}) == sorted((ROOT / "tests" / "stages" / "golden" / "odapi_tf1_fields.txt").read_text().splitlines())


def test_no_field_of_later_releases_is_here_yet():
    types = message_types()
    assert {name for name in versions.NEWER_FIELDS if name not in types} == set()
    assert [
        (name, field) for name, fields in versions.NEWER_FIELDS.items() for field in fields if field in types[name].fields_by_name
    ] == []


def test_no_value_of_later_releases_is_here_yet():
    types = message_types()
    for enum, names in versions.NEWER_VALUES.items():
        message, name = enum.split(".")
        assert not set(names) & set(types[message].enum_types_by_name[name].values_by_name)


def test_the_marks_of_tensorflow_2_are_fields_of_later_releases():
    assert all(versions.is_newer(*mark) for mark in versions.TF2_MARKS)


def test_the_feature_extractors_are_those_of_the_model_builder():
    assert set(versions.SSD_EXTRACTORS[versions.TF1]) == set(model_builder.SSD_FEATURE_EXTRACTOR_CLASS_MAP)
    known = {*model_builder.SSD_FEATURE_EXTRACTOR_CLASS_MAP, *model_builder.SSD_KERAS_FEATURE_EXTRACTOR_CLASS_MAP}
    assert not known & set(versions.NEWER_TF1_EXTRACTORS)


def test_a_counterpart_is_one_of_this_versions_extractors():
    assert set(versions.COUNTERPARTS) <= set(model_builder.SSD_FEATURE_EXTRACTOR_CLASS_MAP)


@pytest.mark.parametrize("path", sorted(versions.REFUSED_IN_TF2))
def test_a_field_that_tensorflow_2_ignores_exists_here(path):
    assert path.split(".")[1] in message_types()["TrainConfig"].fields_by_name


def test_this_versions_training_can_freeze_variables_and_rewrite_the_graph():
    source = inspect.getsource(model_lib)
    assert "train_config.freeze_variables" in source
    assert "graph_rewriter_config" in source


@pytest.mark.parametrize("kind", sorted(set(versions.LEAST_SIDES) & set(versions.SSD_EXTRACTORS[versions.TF1])))
def test_the_least_side_is_the_extractors_own(kind):
    source = inspect.getsource(inspect.getmodule(model_builder.SSD_FEATURE_EXTRACTOR_CLASS_MAP[kind]))
    assert "check_min_image_dim(\n        %d, preprocessed_inputs)" % versions.LEAST_SIDES[kind] in source


def feature_maps(kind):
    """How many feature maps the extractor makes of a picture of 256 pixels a side."""
    text = "regularizer { l2_regularizer { } } initializer { truncated_normal_initializer { } }"
    hyperparams = hyperparams_builder.build(text_format.Parse(text, hyperparams_pb2.Hyperparams()), is_training=False)
    with tf.Graph().as_default():
        made = model_builder.SSD_FEATURE_EXTRACTOR_CLASS_MAP[kind](
            False, 1.0, 8, 1, hyperparams, override_base_feature_extractor_hyperparams=True
        )
        return len(made.extract_features(tf.zeros([1, 256, 256, 3])))


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["ssd_inception_v2", "ssd_mobilenet_v1", "ssd_mobilenet_v2", "ssd_mobilenet_v2_fpn", "ssd_resnet50_v1_fpn"]
)
def test_the_extractors_run(kind):
    assert feature_maps(kind) == (5 if kind.endswith("fpn") else 6)


@pytest.mark.parametrize("kind", sorted(versions.FIXED_LAYERS))
def test_an_extractor_with_a_fixed_number_of_feature_maps_has_so_many(kind):
    assert feature_maps(kind) == versions.FIXED_LAYERS[kind]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ssd_mobilenet_v1_ppn", "ssd_resnet50_v1_ppn"])
def test_the_pooling_pyramids_fail_under_python_3(kind):
    assert kind in versions.PYTHON_2_EXTRACTORS
    with pytest.raises(TypeError, match="'dict_keys' object is not subscriptable"):
        feature_maps(kind)


def test_those_for_python_2_are_all_that_share_the_pooling_pyramid():
    built = {kind: inspect.getsource(inspect.getmodule(made)) for kind, made in model_builder.SSD_FEATURE_EXTRACTOR_CLASS_MAP.items()}
    assert {kind for kind, source in built.items() if "pooling_pyramid_feature_maps" in source} == set(versions.PYTHON_2_EXTRACTORS)
