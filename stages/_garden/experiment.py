"""Experiments of the Model Garden: reading and writing experiment.yaml, and what of the Garden's conventions is not ours.

The Garden (tf-models-official) describes a training as an experiment: a tree of typed fields, `task` (model, losses, data), `trainer`
(steps, optimizer) and `runtime`. A file is laid over the fields of a registered experiment. Here that is the mobile RetinaNet of its
quantization project, which is the float one where `task.quantization` is null.
"""

import tensorflow as tf
import yaml
from official.core import exp_factory
from official.projects.qat.vision import registry_imports  # noqa: F401  registers experiments and tasks
from official.projects.qat.vision.configs.common import Quantization
from official.vision.ops import preprocess_ops

from _runtime import StageError

EXPERIMENT = "retinanet_mobile_coco_qat"
FILE = "experiment.yaml"
# The Garden's model has an output for the background, first of all: its label ids are those of the label map.
BACKGROUND = 1
# How the Garden normalizes pixels from 0 to 255, for red, green and blue: (pixel - mean) / std (official/vision/ops/preprocess_ops.py).
MEAN, STD = list(preprocess_ops.MEAN_RGB), list(preprocess_ops.STDDEV_RGB)


def new_experiment():
    """The registered experiment that files are laid over, in float; a new object each time."""
    experiment = exp_factory.get_exp_config(EXPERIMENT)
    experiment.task.quantization = None
    return experiment


def read_yaml(path):
    """The mapping in a YAML file. Raises StageError with the line where it is none."""
    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise StageError("the experiment is not UTF-8 text", path, "YAML", str(error), "save it as UTF-8") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "%s:%d" % (path, mark.line + 1) if mark else path
        raise StageError("the experiment is not YAML", where, "a mapping", str(error).replace("\n", " "), "mend that line") from error
    if not isinstance(fields, dict):
        what = "the experiment has no fields"
        raise StageError(
            what, path, "a mapping with `task` and `trainer`", type(fields).__name__, "start from a template in data/templates"
        )
    return fields


def read_experiment(path):
    """The experiment in a complete experiment.yaml, as configure-garden writes it. Raises StageError."""
    experiment, fields = new_experiment(), read_yaml(path)
    try:
        experiment.override(fields, is_strict=True)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise StageError(
            "the experiment is not one of the Model Garden's RetinaNet",
            path,
            "the fields of `%s`" % EXPERIMENT,
            "%s: %s" % (type(error).__name__, error),
            "take the experiment.yaml that configure-garden wrote",
        ) from error
    return experiment


def print_experiment(experiment):
    """The experiment as YAML: all fields, sorted, so that equal experiments give equal bytes."""
    return yaml.safe_dump(plain(experiment.as_dict()), sort_keys=True, default_flow_style=False, width=120)


def as_yaml(value):
    """A value in one line, as an override in YAML is to say it: `null`, `false`, `1.0e-05`, `[1.0, 2.0]`."""
    text = yaml.safe_dump(plain(value), sort_keys=False, default_flow_style=True, width=float("inf"))
    return text.split("\n...")[0].strip()


def plain(value):
    """`value` with tuples as lists, all the way down: what YAML and JSON know."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def quantization():
    """What quantization-aware training quantizes: backbone (always), decoder and head, all with 8 bits."""
    return Quantization(quantize_detection_decoder=True, quantize_detection_head=True)


def input_size(experiment):
    """[height, width] of the model's input in pixels."""
    return [int(side) for side in experiment.task.model.input_size[:2]]


def versions():
    """{package: version} of what made a result."""
    from importlib.metadata import version

    return {"tensorflow": tf.__version__, "tf-models-official": version("tf-models-official")}
