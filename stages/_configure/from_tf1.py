"""A config of the Object Detection API for TensorFlow 1, turned into what says the same to TensorFlow 2."""

from _configure.rules import is_ssd, override, refuse
from _configure.rules_tf2 import EXTRACTOR_TYPE, KERAS_RHO, convolutions
from _odapi.config_overrides import set_field
from _odapi.versions import COUNTERPARTS, DROPPED_IN_TF2, SSD_EXTRACTORS, TF2, nearest_extractor

_RESTORING = ("fine_tune_checkpoint", "fine_tune_checkpoint_type", "from_detection_checkpoint", "load_all_detection_checkpoint_vars")


def convert(config, warn):
    """Change `config` in place; the changes, as of `apply_overrides`. warn: called with a text.

    Raises StageError where TensorFlow 2 has no counterpart.
    """
    is_ssd(config)
    changes = [_extractor(config), *_quantization(config), *_batch_norm(config), _optimizer(config), *_checkpoint(config, warn)]
    changes += [
        set_field(config, path, None, "nothing in TensorFlow 2's training reads it")
        for path in DROPPED_IN_TF2
        if config.train_config.HasField(path.split(".")[1])
    ]
    if config.train_config.use_bfloat16:
        changes.append(set_field(config, "train_config.use_bfloat16", None, "it is for TPUs"))
    return [change for change in changes if change]


def _extractor(config):
    kind = config.model.ssd.feature_extractor.type
    if kind in SSD_EXTRACTORS[TF2]:
        return None
    if kind in COUNTERPARTS:
        return set_field(config, EXTRACTOR_TYPE, COUNTERPARTS[kind], "the same network, made of Keras layers")
    near = nearest_extractor(kind)
    raise refuse(
        "TensorFlow 2 has no counterpart of the feature extractor",
        EXTRACTOR_TYPE,
        "one of: {}".format(", ".join(sorted(COUNTERPARTS))),
        f"`{kind}`",
        "train it with TensorFlow 1 (the stages configure and train), or {} (the nearest, but another network)".format(
            override(f"{EXTRACTOR_TYPE}: {near}")
        ),
    )


def _quantization(config):
    if not config.HasField("graph_rewriter"):
        return []
    why = "TensorFlow 2 takes no notice of it; convert-tf2 quantizes after training, train-garden trains quantization-aware"
    return [set_field(config, "graph_rewriter", None, why)]


def _batch_norm(config):
    """Freezing is asked for by each batch_norm in TensorFlow 1, and by freeze_batchnorm, for all of them, in TensorFlow 2."""
    changes, ssd = [], config.model.ssd
    found = [(field + ".batch_norm", each.batch_norm) for field, each in convolutions(config) if each.HasField("batch_norm")]
    frozen = [field for field, each in found if not each.train]
    if frozen and len(frozen) < len(found):
        raise refuse(
            "TensorFlow 2 freezes all batch norm of a model, or none",
            frozen[0] + ".train",
            "the same as the others'",
            "false",
            override(f"{frozen[0]}.train: true"),
        )
    if found and not frozen and ssd.freeze_batchnorm:
        why = "TensorFlow 1 ignores it where conv_hyperparams carry a batch_norm; TensorFlow 2 would freeze all batch norm"
        changes.append(set_field(config, "model.ssd.freeze_batchnorm", False, why))
    if frozen:
        changes.append(set_field(config, "model.ssd.freeze_batchnorm", True, "so TensorFlow 2 freezes what batch_norm.train froze"))
    changes += [
        set_field(config, f"{field}.train", None, "TensorFlow 2 takes no notice of it") for field, each in found if each.HasField("train")
    ]
    return changes


def _optimizer(config):
    optimizer = config.train_config.optimizer
    if optimizer.WhichOneof("optimizer") != "rms_prop_optimizer" or not optimizer.rms_prop_optimizer.decay:
        return None
    decay = optimizer.rms_prop_optimizer.decay
    why = (
        "TensorFlow 2 takes it for a decay of the learning rate, and averages squared gradients with a decay of %g%s, from 0 instead of 1"
        % (
            KERAS_RHO,
            "" if abs(decay - KERAS_RHO) < 1e-6 else " instead of %g" % decay,
        )
    )
    return set_field(config, "train_config.optimizer.rms_prop_optimizer.decay", 0.0, why)


def _checkpoint(config, warn):
    changes, train = [], config.train_config
    if train.fine_tune_checkpoint:
        warn(
            "from_tf1 removed train_config.fine_tune_checkpoint (%s), which TensorFlow 2 cannot restore: training starts from random "
            "weights unless train-tf2 is given a checkpoint of TensorFlow 2 as `warm_start`" % train.fine_tune_checkpoint
        )
    why = "train-tf2 has the parameters warm_start and warm_start_type"
    changes += [set_field(config, f"train_config.{name}", None, why) for name in _RESTORING if train.HasField(name)]
    changes.append(set_field(config, "train_config.fine_tune_checkpoint_version", "V2", "TensorFlow 2 restores its own checkpoints alone"))
    return changes
