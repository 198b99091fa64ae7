"""Rules that hold for a pipeline.config of either version of the Object Detection API; rules_tf1.py and rules_tf2.py have the others.

A rule takes a TrainEvalPipelineConfig, returns warnings, and raises StageError with the override that mends what it refuses.
"""

from _odapi.config_overrides import walk_strings
from _odapi.versions import FIXED_LAYERS, LEAST_SIDE, LEAST_SIDES
from _runtime import StageError

PLACEHOLDER = "PATH_TO_BE_CONFIGURED"
# Fields whose value is a number of things that the API's builders make one by one, and more of them than any model has.
_REPEATING = (
    "anchor_generator.ssd_anchor_generator.num_layers",
    "anchor_generator.multiscale_anchor_generator.min_level",
    "anchor_generator.multiscale_anchor_generator.max_level",
    "anchor_generator.multiscale_anchor_generator.scales_per_octave",
    "box_predictor.convolutional_box_predictor.num_layers_before_predictor",
    "box_predictor.weight_shared_convolutional_box_predictor.num_layers_before_predictor",
    "feature_extractor.num_layers",
    "feature_extractor.fpn.min_level",
    "feature_extractor.fpn.max_level",
    "feature_extractor.bifpn.min_level",
    "feature_extractor.bifpn.max_level",
    "feature_extractor.bifpn.num_iterations",
)
MOST = 50


def refuse(what, field, expected, found, remedy):
    """The StageError about one field of the config."""
    return StageError(what, f"pipeline.config: {field}", expected, found, remedy)


def override(line):
    """The remedy that is one override."""
    return f"override `{line}`"


def number(value):
    """`value` in six digits, as YAML reads a number: it takes 1e-05 for a text."""
    text = "%g" % value
    return text.replace("e", ".0e") if "e" in text and "." not in text else text


def lint(config, rules):
    """Warnings of all `rules` about `config`; StageError of the first that refuses it."""
    return [text for rule in rules for text in rule(config)]


def all_problems(config, rules):
    """(errors, warnings) of all `rules` about `config`, where `lint` stops at the first error."""
    errors, warnings = [], []
    for rule in rules:
        try:
            warnings += rule(config)
        except StageError as error:
            errors.append(error)
    return errors, warnings


def is_ssd(config):
    """Only an SSD becomes a TensorFlow Lite detector."""
    if config.model.WhichOneof("model") == "ssd":
        return []
    found = "`{}`".format(config.model.WhichOneof("model"))
    raise refuse("the model is not an SSD", "model", "`ssd`", found, "start from a template in data/templates")


def image_size(config):
    """A fixed size, no smaller than the feature extractor takes."""
    resizer = config.model.ssd.image_resizer
    kind = resizer.WhichOneof("image_resizer_oneof")
    if kind != "fixed_shape_resizer":
        raise refuse(
            "the input has no fixed size, which a TensorFlow Lite model needs",
            "model.ssd.image_resizer",
            "`fixed_shape_resizer`",
            f"`{kind}`",
            override("model.ssd.image_resizer.fixed_shape_resizer: {height: %d, width: %d}" % _fixed(resizer, kind)),
        )
    size, least = resizer.fixed_shape_resizer, LEAST_SIDES.get(config.model.ssd.feature_extractor.type, LEAST_SIDE)
    if min(size.height, size.width) < least:
        raise refuse(
            "the input is too small for the feature extractor",
            "model.ssd.image_resizer.fixed_shape_resizer",
            "at least %d pixels a side" % least,
            "%d x %d" % (size.height, size.width),
            override("model.ssd.image_resizer.fixed_shape_resizer: {height: %d, width: %d}" % ((160, 160) if least < 160 else (320, 320))),
        )
    return []


def _fixed(resizer, kind):
    """(height, width) that comes nearest to what another resizer makes."""
    side = resizer.keep_aspect_ratio_resizer.max_dimension if kind == "keep_aspect_ratio_resizer" else 300
    return (side, side) if 0 < side <= 2048 else (300, 300)


def counts(config):
    """Nothing that is built so often that building would not end."""
    ssd = config.model.ssd
    for path in _REPEATING:
        message, fields = ssd, path.split(".")
        for name in fields[:-1]:
            message = getattr(message, name, None) if message is not None else None
        number = getattr(message, fields[-1], 0) if message is not None else 0
        if not -MOST <= number <= MOST:
            field = f"model.ssd.{path}"
            raise refuse("the number is beyond all use", field, "at most %d" % MOST, number, override("%s: null" % field))
    return []


def layers(config):
    """As many anchor layers as feature maps; pyramid.py has the rule for feature pyramids."""
    features, generator = config.model.ssd.feature_extractor, config.model.ssd.anchor_generator
    if generator.WhichOneof("anchor_generator_oneof") != "ssd_anchor_generator" or features.type.replace("_keras", "").endswith("fpn"):
        return []
    fixed = features.type in FIXED_LAYERS
    anchors, maps = generator.ssd_anchor_generator.num_layers, FIXED_LAYERS.get(features.type, features.num_layers)
    if anchors != maps:
        field = "model.ssd.anchor_generator.ssd_anchor_generator.num_layers"
        raise refuse(
            "anchors and feature maps differ in number",
            field,
            "%d, %s" % (maps, "which %s always has" % features.type if fixed else "as model.ssd.feature_extractor.num_layers"),
            anchors,
            override("%s: %d" % (field, maps) if fixed else "model.ssd.feature_extractor.num_layers: %d" % anchors),
        )
    return []


def steps(config):
    """A training that ends, with something in each batch."""
    if not config.train_config.num_steps:
        raise refuse(
            "the training would never end",
            "train_config.num_steps",
            "a number of steps",
            "0 (forever)",
            override("train_config.num_steps: 20000"),
        )
    if not config.train_config.batch_size:
        raise refuse("the batch is empty", "train_config.batch_size", "at least 1", 0, override("train_config.batch_size: 8"))
    return []


def schedule(config):
    """A learning rate that rises to its base and lasts as long as the training."""
    optimizer = config.train_config.optimizer
    name = optimizer.WhichOneof("optimizer")
    if name is None:
        raise refuse(
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
    cosine, last = rate.cosine_decay_learning_rate, config.train_config.num_steps
    if cosine.warmup_steps and cosine.warmup_learning_rate > cosine.learning_rate_base:
        raise refuse(
            "the learning rate would fall while it warms up",
            f"{field}.warmup_learning_rate",
            f"at most learning_rate_base ({cosine.learning_rate_base:g})",
            f"{cosine.warmup_learning_rate:g}",
            override(f"{field}.warmup_learning_rate: {number(cosine.learning_rate_base / 10)}"),
        )
    if cosine.total_steps <= cosine.warmup_steps + cosine.hold_base_rate_steps:
        raise refuse(
            "the learning rate's warm-up outlasts its schedule",
            f"{field}.warmup_steps",
            "below total_steps (%d)" % cosine.total_steps,
            cosine.warmup_steps + cosine.hold_base_rate_steps,
            override("%s.warmup_steps: %d" % (field, cosine.total_steps // 20)),
        )
    if cosine.total_steps < last:
        return [
            "the learning rate is 0 from step %d on, but training lasts %d: override `%s.total_steps: %d`"
            % (cosine.total_steps, last, field, last)
        ]
    return []


def backbone_batch_norm(config):
    """A MobileNet whose batch norm follows a training that starts from random weights (models/*mobilenet*: 0.9997 is written there)."""
    features = config.model.ssd.feature_extractor
    if (
        not features.type.startswith("ssd_mobilenet")
        or features.override_base_feature_extractor_hyperparams
        or config.train_config.num_steps >= 20000
    ):
        return []
    return [
        "model.ssd.feature_extractor.override_base_feature_extractor_hyperparams is false: "
        "the backbone's batch norm then averages with a fixed decay of 0.9997, not %g, "
        "and its statistics lag by thousands of steps: from random weights mAP stays near 0" % features.conv_hyperparams.batch_norm.decay
    ]


def no_checkpoint(stage, more=""):
    """The rule that refuses a checkpoint's path. stage: the one that takes `warm_start`; more: said of its parameters."""

    def rule(config):
        found = config.train_config.fine_tune_checkpoint
        if not found:
            return []
        raise refuse(
            "fine_tune_checkpoint names a path, which a stage cannot see",
            "train_config.fine_tune_checkpoint",
            "unset",
            f"`{found}`",
            f"override `train_config.fine_tune_checkpoint: null`, and give the {stage} stage the checkpoint's folder "
            f"as its parameter `warm_start`{more}; without one it trains from random weights",
        )

    return rule


def placeholders(config):
    """Nothing left that somebody was to fill in."""
    for path, value in walk_strings(config):
        if PLACEHOLDER in value and path != "train_config.fine_tune_checkpoint":  # which no_checkpoint refuses
            raise refuse("a placeholder is left", path, "a value", f"`{value}`", override(f"{path}: null"))
    return []


def data(images, per_class):
    """The rule that warns of a batch with more images than there are (`images`) and of classes without boxes (per_class: name to count)."""

    def rule(config):
        warnings = []
        if config.train_config.batch_size > images:
            warnings.append(
                "train_config.batch_size (%d) is larger than the number of train images (%d)" % (config.train_config.batch_size, images)
            )
        empty = sorted(name for name, boxes in per_class.items() if not boxes)
        if empty:
            warnings.append("no train image shows: {}; the model cannot learn what it never sees".format(", ".join(empty)))
        return warnings

    return rule
