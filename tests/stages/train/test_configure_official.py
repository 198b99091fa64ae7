"""What classify-configs says of TensorFlow 1 (in the other image, from what _odapi declares) is what this image's API does."""

import json
from typing import NamedTuple

import pytest
import tensorflow as tf
from _configure import rules, rules_tf1
from _configure.build import check_builds
from _configure.fill import fill
from _odapi.config_overrides import apply_overrides
from _odapi.config_text import read_config
from _odapi.versions import PYTHON_2_EXTRACTORS
from _runtime import StageError
from object_detection.builders import model_builder

from stage_helpers import ROOT, shared

OFFICIAL = json.loads((ROOT / "tests" / "stages" / "golden" / "official_configs.json").read_text())
HERE = sorted(name for name, said in OFFICIAL.items() if said["class"] in ("train", "either"))


class Records(NamedTuple):
    classes: list
    images: dict
    patterns: dict

    def evaluation_split(self):
        return "val"

    def most_objects(self, _split):
        return 1


def official(name):
    return read_config(shared() / "data" / "configs" / name)


@pytest.mark.parametrize("name", HERE)
def test_with_the_overrides_that_are_named_a_config_is_trained_here(name):
    config = official(name)
    fill(config, Records(["object"], {"train": 1000, "val": 10}, {"train": "train.record", "val": "val.record"}), len)
    apply_overrides(config, OFFICIAL[name]["overrides"]["train"])
    rules.lint(config, rules_tf1.rules_of(allow_float=False))
    with tf.Graph().as_default():
        check_builds(config)


@pytest.mark.parametrize("name", sorted(set(OFFICIAL) - set(HERE)))
def test_any_other_cannot_be_read_or_is_no_model_that_this_api_trains_for_tensorflow_lite(name):
    try:
        config = official(name)
    except StageError:
        return
    kind = config.model.ssd.feature_extractor.type
    if config.model.WhichOneof("model") == "ssd" and config.train_config.optimizer.WhichOneof("optimizer"):
        assert kind in PYTHON_2_EXTRACTORS or kind not in model_builder.SSD_FEATURE_EXTRACTOR_CLASS_MAP
