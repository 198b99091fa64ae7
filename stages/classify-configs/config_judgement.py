"""One config: what it describes, which images train it, and what it must be told before.

The rules are those of the stages configure and configure-tf2. What their overrides mend does not count against an image: they are applied
until nothing is refused any more, and TensorFlow 2's API then builds the model. What no override mends does count: another schema, another
kind of model, a network that the image's version of the API lacks.
"""

import re
from typing import NamedTuple

import tensorflow as tf
import yaml
from object_detection.builders import optimizer_builder

from _configure import rules, rules_tf1, rules_tf2
from _configure.build import check_builds
from _configure.fill import fill
from _configure.from_tf1 import convert
from _odapi.config_overrides import apply_overrides
from _odapi.config_text import read_config
from _odapi.versions import NEWER_TF1_EXTRACTORS, PYTHON_2_EXTRACTORS, SSD_EXTRACTORS, TF1, TF2, TF2_MARKS, nearest_extractor, newer_parts
from _runtime import StageError

TRAIN, TRAIN_TF2 = "train", "train-tf2"
# What "class" may be. either: both images train it (TensorFlow 2 what `from_tf1` makes of it); other: none does.
EITHER, OTHER = "either", "other"
CLASSES = (TRAIN, TRAIN_TF2, EITHER, OTHER)
# An override in a rule's remedy, which may name parameters of stages, too.
_OVERRIDE = re.compile(r"`((?:model|train_config|eval_config|graph_rewriter|eval_input_reader|train_input_reader)[\w.]*: [^`]+)`")
_MOST = 50  # errors of one config
_ARCHITECTURES = {"faster_rcnn": "Faster R-CNN", "center_net": "CenterNet", "experimental_model": "an experimental model"}


class StandIn(NamedTuple):
    """Records that a config may be filled with, where there are none (see _configure/fill.py: Data)."""

    classes: list
    images: dict
    patterns: dict

    def evaluation_split(self):
        """As of Data."""
        return "val"

    def most_objects(self, _split):
        """As of Data."""
        return 0


_RECORDS = StandIn(["object"], {"train": 1 << 30, "val": 1}, {"train": "train.record", "val": "val.record"})


def judge(path, name):
    """What configs.json says of the file `path`, called `name` there; never raises for what is in it."""
    said = {"file": name, "model": None, "feature_extractor": None, "input_size": None, "num_classes": None, "quantization_delay": None}
    try:
        config = read_config(path)
    except StageError as error:
        said.update({"class": OTHER, "runs_on": [], "needs": _to_be_read(error), "error": error.as_dict(), "images": {}})
        return said
    said.update(describe(config))
    images = {TRAIN: _tensorflow_1(config), TRAIN_TF2: _tensorflow_2(config)}
    runs_on = [image for image, verdict in images.items() if verdict["because"] is None]
    kind = EITHER if len(runs_on) == 2 else runs_on[0] if runs_on else OTHER
    said.update(
        {"class": kind, "runs_on": runs_on, "needs": _needs(config, images) if kind == OTHER else None, "error": None, "images": images}
    )
    return said


def describe(config):
    """What the config is about; None for what it does not say."""
    kind = config.model.WhichOneof("model")
    model = getattr(config.model, kind) if kind else None
    known = {} if model is None else model.DESCRIPTOR.fields_by_name
    resizer = model.image_resizer if "image_resizer" in known else None
    size = None
    if resizer is not None and resizer.WhichOneof("image_resizer_oneof") == "fixed_shape_resizer":
        size = [resizer.fixed_shape_resizer.height, resizer.fixed_shape_resizer.width]
    return {
        "model": kind,
        "feature_extractor": model.feature_extractor.type if "feature_extractor" in known else None,
        "input_size": size,
        "num_classes": model.num_classes if "num_classes" in known else None,
        "quantization_delay": config.graph_rewriter.quantization.delay if config.HasField("graph_rewriter") else None,
    }


def _tensorflow_1(config):
    newer = list(newer_parts(config))
    if newer:
        marks = [name for _, kind, name in newer if (kind, name) in TF2_MARKS]
        what = "the config is one for TensorFlow 2" if marks else "the schema of TensorFlow 1's API in the image lacks what is set"
        paths = ", ".join(path for path, _, _ in newer)
        remedy = "use the stages configure-tf2 and train-tf2" if marks else "remove it"
        return _no(StageError(what, paths, "fields of that schema", (marks or [newer[0][2]])[0], remedy))
    config = _copy(config)
    try:
        rules.is_ssd(config)
        rules_tf1.extractor(config)
        fill(config, _RECORDS, _unheard)
        return _yes(*_mended(config, rules_tf1.rules_of(allow_float=False)))
    except StageError as error:
        return _no(error)


def _tensorflow_2(config):
    config, changes, warnings = _copy(config), [], []
    try:
        rules.is_ssd(config)
        from_tf1 = config.HasField("graph_rewriter") or config.model.ssd.feature_extractor.type not in SSD_EXTRACTORS[TF2]
        if from_tf1:
            changes = convert(config, warnings.append)
        fill(config, _RECORDS, _unheard)
        overrides, problems, more = _mended(config, rules_tf2.rules_of())
        check_builds(config, _build_optimizer)
    except StageError as error:
        return _no(error)
    return _yes(overrides, problems, warnings + more, from_tf1, changes)


def _mended(config, linted):
    """(overrides, what they mend, warnings): `config` is changed until no rule of `linted` refuses it.

    Raises the StageError that names no override, or whose overrides do not help.
    """
    overrides, problems = {}, []
    while True:
        errors, warnings = rules.all_problems(config, linted)
        if not errors:
            return overrides, [problem.as_dict() for problem in problems], warnings
        lines = dict(pair for line in _OVERRIDE.findall(errors[0].remedy) for pair in yaml.safe_load(line).items())
        if not lines or dict(overrides, **lines) == overrides or len(problems) == _MOST:
            raise errors[0]
        apply_overrides(config, lines)
        overrides.update(lines)
        problems.append(errors[0])


def _yes(overrides, problems, warnings, from_tf1=False, changes=()):
    told = {"because": None, "from_tf1": from_tf1, "changes": list(changes), "overrides": overrides}
    return dict(told, problems=problems, warnings=warnings)


def _no(error):
    return dict(_yes({}, [], []), because=error.as_dict())


def _needs(config, images):
    """What a config that no image trains would need; images: what is said of each."""
    kind = config.model.WhichOneof("model")
    if kind is None:
        return "a model: it describes none"
    if kind == "ssd":
        extractor = config.model.ssd.feature_extractor.type
        if extractor in NEWER_TF1_EXTRACTORS:
            release = "a later release of the API for TensorFlow 1 than the image train has"
            return f"{release}; the nearest feature extractor of train-tf2 is {nearest_extractor(extractor)}"
        if extractor in PYTHON_2_EXTRACTORS:
            return "the API for TensorFlow 1 under Python 2; the nearest feature extractor of train-tf2 is " + nearest_extractor(extractor)
        if extractor in SSD_EXTRACTORS[TF1] or extractor in SSD_EXTRACTORS[TF2]:
            because = images[TRAIN if extractor in SSD_EXTRACTORS[TF1] else TRAIN_TF2]["because"]
            return "to be mended: {} ({})".format(because["what"], because["where"])
        return f"an API that has the feature extractor `{extractor}`"
    return "{}: {} is no SSD, and what is made here for TensorFlow Lite is one".format(_api(config, kind), _architecture(config, kind))


def _api(config, kind):
    """The version of the API that trains a model which is no SSD."""
    extractor = config.model.faster_rcnn.feature_extractor.type
    if kind != "faster_rcnn" or extractor.endswith("_keras"):
        return "the API for TensorFlow 2 itself"
    later = "a later release of " if any(newer_parts(config)) else ""
    return later + "the API for TensorFlow 1 itself"


def _architecture(config, kind):
    if kind != "faster_rcnn":
        return _ARCHITECTURES[kind]
    model = config.model.faster_rcnn
    if any(path.startswith("model.faster_rcnn.context_config") for path, _, _ in newer_parts(config)):
        return "Context R-CNN"
    if model.second_stage_box_predictor.HasField("rfcn_box_predictor"):
        return "R-FCN"
    masks = model.second_stage_box_predictor.mask_rcnn_box_predictor.predict_instance_masks
    return "Mask R-CNN" if model.number_of_stages == 3 or masks else _ARCHITECTURES[kind]


def _to_be_read(error):
    if error.found and error.found.startswith("`["):
        return "the code that defines the extension {}, which no image has".format(error.found.strip("`[]"))
    return "to be mended: {}".format(error.what)


def _copy(config):
    copy = type(config)()
    copy.CopyFrom(config)
    return copy


def _unheard(_):
    """What `fill` warns of is about the stand-in."""


def _build_optimizer(message):
    return optimizer_builder.build(message, global_step=tf.Variable(0, trainable=False, dtype=tf.int64))
