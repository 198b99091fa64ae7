"""Refuse a pipeline.config that would train in vain, before a minute is spent on it. Each rule raises StageError or returns warnings."""

from _odapi.config_overrides import walk_strings
from _odapi.config_text import nearest
from _runtime import StageError

PLACEHOLDER = "PATH_TO_BE_CONFIGURED"
# MobileNet's and Inception's SSD extractors assert at least this many pixels a side (object_detection/utils/shape_utils.py).
LEAST_SIDE = 33


def lint(config, images, per_class, allow_float):
    """Warnings about `config`, a filled TrainEvalPipelineConfig.

    images: number of train images; per_class: class to number of train boxes; allow_float: accept a config without quantization.
    Raises StageError with the override that mends it.
    """
    if config.model.WhichOneof("model") != "ssd":
        raise _refuse(
            "the model is not an SSD",
            "model",
            "`ssd`",
            "`{}`".format(config.model.WhichOneof("model")),
            "start from a template in data/templates",
        )
    warnings = []
    for rule in (_extractor, _image_size, _layers, _head_batch_norm, _freeze_batch_norm, _steps, _schedule, _no_checkpoint, _placeholders):
        warnings += rule(config)
    warnings += _quantization(config, allow_float)
    if config.train_config.batch_size > images:
        warnings.append(
            "train_config.batch_size (%d) is larger than the number of train images (%d)" % (config.train_config.batch_size, images)
        )
    empty = sorted(name for name, boxes in per_class.items() if not boxes)
    if empty:
        warnings.append("no train image shows: {}; the model cannot learn what it never sees".format(", ".join(empty)))
    return warnings


def _refuse(what, field, expected, found, remedy):
    return StageError(what, f"pipeline.config: {field}", expected, found, remedy)


def _override(line):
    return f"override `{line}`"


def _extractor(config):
    from object_detection.builders.model_builder import SSD_FEATURE_EXTRACTOR_CLASS_MAP

    known, field, kind = (
        sorted(SSD_FEATURE_EXTRACTOR_CLASS_MAP),
        "model.ssd.feature_extractor.type",
        config.model.ssd.feature_extractor.type,
    )
    if kind.endswith("_keras"):
        raise _refuse(
            "the feature extractor is a Keras one, which TensorFlow 1's quantization cannot rewrite",
            field,
            "one of: {}".format(", ".join(known)),
            f"`{kind}`",
            _override("{}: {}".format(field, kind[: -len("_keras")])),
        )
    if kind not in known:
        best = nearest(kind, known)
        raise _refuse(
            "the feature extractor is unknown",
            field,
            "one of: {}".format(", ".join(known)),
            f"`{kind}`",
            _override("{}: {}".format(field, best or "ssd_mobilenet_v2")),
        )
    return (
        []
        if "mobilenet" in kind
        else [f"model.ssd.feature_extractor.type {kind} is far slower than a MobileNet and may not map to an accelerator"]
    )


def _image_size(config):
    resizer = config.model.ssd.image_resizer
    kind = resizer.WhichOneof("image_resizer_oneof")
    if kind != "fixed_shape_resizer":
        raise _refuse(
            "the input has no fixed size, which a TensorFlow Lite model needs",
            "model.ssd.image_resizer",
            "`fixed_shape_resizer`",
            f"`{kind}`",
            _override("model.ssd.image_resizer.fixed_shape_resizer: {height: 300, width: 300}"),
        )
    size = resizer.fixed_shape_resizer
    if min(size.height, size.width) < LEAST_SIDE:
        raise _refuse(
            "the input is too small for the feature extractor",
            "model.ssd.image_resizer.fixed_shape_resizer",
            "at least %d pixels a side" % LEAST_SIDE,
            "%d x %d" % (size.height, size.width),
            _override("model.ssd.image_resizer.fixed_shape_resizer: {height: 160, width: 160}"),
        )
    return []


def _layers(config):
    ssd = config.model.ssd
    if ssd.anchor_generator.WhichOneof("anchor_generator_oneof") != "ssd_anchor_generator" or ssd.feature_extractor.HasField("fpn"):
        return []
    anchors, features = ssd.anchor_generator.ssd_anchor_generator.num_layers, ssd.feature_extractor.num_layers
    if anchors != features:
        raise _refuse(
            "anchors and feature maps differ in number",
            "model.ssd.anchor_generator.ssd_anchor_generator.num_layers",
            "%d, as model.ssd.feature_extractor.num_layers" % features,
            anchors,
            _override("model.ssd.feature_extractor.num_layers: %d" % anchors),
        )
    return []


def _head_batch_norm(config):
    predictor = config.model.ssd.box_predictor
    kind = predictor.WhichOneof("box_predictor_oneof")
    field = f"model.ssd.box_predictor.{kind}.conv_hyperparams.batch_norm"
    if kind == "weight_shared_convolutional_box_predictor":
        return [
            (
                "the weight-shared box predictor's last convolutions keep their biases: "
                "only those of the convolutional box predictor are patched"
            )
        ]
    if kind != "convolutional_box_predictor":
        raise _refuse(
            "the box predictor is not one that an SSD can use",
            "model.ssd.box_predictor",
            "`convolutional_box_predictor`",
            f"`{kind}`",
            "start from a template in data/templates",
        )
    hyperparams = predictor.convolutional_box_predictor.conv_hyperparams
    if not hyperparams.HasField("batch_norm"):
        raise _refuse(
            "the heads' batch norm has no settings, so it would use each image's own statistics when detecting",
            field,
            "a batch_norm",
            "none",
            _override(f"{field}: {{train: true, center: true, scale: true, decay: 0.97, epsilon: 0.001}}"),
        )
    if not hyperparams.batch_norm.center:
        return [f"{field}.center is false: the heads then have no offset, and class_prediction_bias_init is lost"]
    return []


def _freeze_batch_norm(config):
    ssd = config.model.ssd
    norm = "model.ssd.feature_extractor.conv_hyperparams.batch_norm"
    if ssd.freeze_batchnorm and ssd.feature_extractor.conv_hyperparams.HasField("batch_norm"):
        raise _refuse(
            "freeze_batchnorm is ignored wherever conv_hyperparams carry a batch_norm",
            "model.ssd.freeze_batchnorm",
            "false",
            "true",
            f"override `model.ssd.freeze_batchnorm: false`, and `{norm}.train: false` to freeze it",
        )
    extractor = ssd.feature_extractor
    decay = extractor.conv_hyperparams.batch_norm.decay
    if (
        extractor.type.startswith("ssd_mobilenet")
        and not extractor.override_base_feature_extractor_hyperparams
        and config.train_config.num_steps < 20000
    ):
        return [
            (
                "model.ssd.feature_extractor.override_base_feature_extractor_hyperparams is false: "
                "the backbone's batch norm then averages with a fixed decay "
                f"of 0.9997, not {decay:g}, and its statistics lag by thousands of steps: from random weights mAP stays near 0"
            )
        ]
    return []


def _steps(config):
    if not config.train_config.num_steps:
        raise _refuse(
            "the training would never end",
            "train_config.num_steps",
            "a number of steps",
            "0 (forever)",
            _override("train_config.num_steps: 20000"),
        )
    if not config.train_config.batch_size:
        raise _refuse("the batch is empty", "train_config.batch_size", "at least 1", 0, _override("train_config.batch_size: 8"))
    return []


def _schedule(config):
    optimizer = config.train_config.optimizer
    name = optimizer.WhichOneof("optimizer")
    if name is None:
        raise _refuse(
            "there is no optimizer",
            "train_config.optimizer",
            "rms_prop_optimizer, momentum_optimizer or adam_optimizer",
            "none",
            "start from a template in data/templates",
        )
    rate = getattr(optimizer, name).learning_rate
    field = f"train_config.optimizer.{name}.learning_rate.cosine_decay_learning_rate"
    if rate.WhichOneof("learning_rate") != "cosine_decay_learning_rate":
        return []
    cosine, steps = rate.cosine_decay_learning_rate, config.train_config.num_steps
    if cosine.warmup_steps and cosine.warmup_learning_rate > cosine.learning_rate_base:
        raise _refuse(
            "the learning rate would fall while it warms up",
            f"{field}.warmup_learning_rate",
            f"at most learning_rate_base ({cosine.learning_rate_base:g})",
            f"{cosine.warmup_learning_rate:g}",
            _override(f"{field}.warmup_learning_rate: {cosine.learning_rate_base / 10:g}"),
        )
    if cosine.total_steps <= cosine.warmup_steps + cosine.hold_base_rate_steps:
        raise _refuse(
            "the learning rate's warm-up outlasts its schedule",
            f"{field}.warmup_steps",
            "below total_steps (%d)" % cosine.total_steps,
            cosine.warmup_steps + cosine.hold_base_rate_steps,
            _override("%s.warmup_steps: %d" % (field, cosine.total_steps // 20)),
        )
    if cosine.total_steps < steps:
        return [
            "the learning rate is 0 from step %d on, but training lasts %d: override `%s.total_steps: %d`"
            % (cosine.total_steps, steps, field, steps)
        ]
    return []


def _no_checkpoint(config):
    found = config.train_config.fine_tune_checkpoint
    if found:
        raise _refuse(
            "fine_tune_checkpoint names a path, which a stage cannot see",
            "train_config.fine_tune_checkpoint",
            "unset",
            f"`{found}`",
            "override `train_config.fine_tune_checkpoint: null`, and give the train stage the checkpoint's folder "
            "as its parameter `warm_start`; without one it trains from random weights",
        )
    return []


def _placeholders(config):
    for path, value in walk_strings(config):
        if PLACEHOLDER in value:
            raise _refuse("a placeholder is left", path, "a value", f"`{value}`", _override(f"{path}: null"))
    return []


def _quantization(config, allow_float):
    if not config.HasField("graph_rewriter"):
        if allow_float:
            return ["there is no graph_rewriter: training is not quantization-aware, and convert can make a float model only"]
        raise _refuse(
            "training would not be quantization-aware",
            "graph_rewriter",
            "graph_rewriter.quantization",
            "none",
            "override `graph_rewriter.quantization: {delay: %d, weight_bits: 8, activation_bits: 8}`, "
            "or set this stage's `allow_float: true`" % (config.train_config.num_steps // 2),
        )
    quantization = config.graph_rewriter.quantization
    for name in ("weight_bits", "activation_bits"):
        if getattr(quantization, name) != 8:
            raise _refuse(
                "only 8 bits can be trained and converted",
                f"graph_rewriter.quantization.{name}",
                8,
                getattr(quantization, name),
                _override(f"graph_rewriter.quantization.{name}: 8"),
            )
    steps = config.train_config.num_steps
    if quantization.delay >= steps:
        raise _refuse(
            "quantization would never start",
            "graph_rewriter.quantization.delay",
            "below train_config.num_steps (%d)" % steps,
            quantization.delay,
            _override("graph_rewriter.quantization.delay: %d" % (steps // 2)),
        )
    quantized = steps - quantization.delay
    if quantized < steps / 10.0:
        return [
            "only %d of %d steps are quantized: the weights have little time to adapt; override `graph_rewriter.quantization.delay: %d`"
            % (quantized, steps, steps // 2)
        ]
    return []
