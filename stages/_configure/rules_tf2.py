"""Rules that hold for a pipeline.config of TensorFlow 2 alone: its networks, and what its training takes no notice of. See rules.py."""

from _configure import rules
from _configure.pyramid import pyramid
from _configure.rules import override, refuse
from _odapi.config_overrides import describe
from _odapi.config_text import nearest
from _odapi.versions import (
    COUNTERPARTS,
    DROPPED_IN_TF2,
    NEWER_TF1_EXTRACTORS,
    REFUSED_IN_TF2,
    SSD_EXTRACTORS,
    TF1,
    TF2,
    nearest_extractor,
)

EXTRACTOR_TYPE = "model.ssd.feature_extractor.type"
HEADS = ("convolutional_box_predictor", "weight_shared_convolutional_box_predictor")
# The average of squared gradients decays by this in Keras, whatever the config says (tf.keras.optimizers.RMSprop: rho).
KERAS_RHO = 0.9
WARM_START = " (and what it is of as `warm_start_type`: detection, classification or full)"


def rules_of():
    """The rules, in their order."""
    return [
        extractor,
        rewriter,
        rules.counts,
        rules.image_size,
        rules.layers,
        pyramid,
        heads,
        unread_by_extractor,
        batch_norm,
        rules.backbone_batch_norm,
        rules.steps,
        rules.schedule,
        rms_prop,
        moving_average,
        unread_by_training,
        dropped_by_training,
        rules.no_checkpoint("train-tf2", WARM_START),
        rules.placeholders,
    ]


def extractor(config):
    """A feature extractor that the image has."""
    known, kind = sorted(SSD_EXTRACTORS[TF2]), config.model.ssd.feature_extractor.type
    if kind in known:
        return []
    if kind in COUNTERPARTS:
        what, remedy = (
            "TensorFlow 1's",
            "set this stage's `from_tf1: true`, or {}".format(override(f"{EXTRACTOR_TYPE}: {COUNTERPARTS[kind]}")),
        )
    elif kind in SSD_EXTRACTORS[TF1] or kind in NEWER_TF1_EXTRACTORS:
        what = "TensorFlow 1's, and TensorFlow 2 has no such network"
        remedy = "{}, the nearest to it, with `from_tf1: true`".format(override(f"{EXTRACTOR_TYPE}: {nearest_extractor(kind)}"))
    else:
        what, remedy = "unknown", override("{}: {}".format(EXTRACTOR_TYPE, nearest(kind, known) or "ssd_mobilenet_v2_keras"))
    raise refuse("the feature extractor is %s" % what, EXTRACTOR_TYPE, "one of: {}".format(", ".join(known)), f"`{kind}`", remedy)


def rewriter(config):
    """No graph_rewriter: model_lib_v2.py never looks at it, so that nothing would be quantized."""
    if not config.HasField("graph_rewriter"):
        return []
    raise refuse(
        "TensorFlow 2 takes no notice of graph_rewriter: nothing would be quantized",
        "graph_rewriter",
        "none",
        "`{}`".format(describe(config, config.DESCRIPTOR.fields_by_name["graph_rewriter"]).strip()),
        "override `graph_rewriter: null`; convert-tf2 quantizes after training, and configure-garden and train-garden train "
        "quantization-aware; of a config for TensorFlow 1, set this stage's `from_tf1: true`",
    )


def heads(config):
    """A box predictor that an SSD can use."""
    kind = config.model.ssd.box_predictor.WhichOneof("box_predictor_oneof")
    if kind in HEADS:
        return []
    raise refuse(
        "the box predictor is not one that an SSD can use",
        "model.ssd.box_predictor",
        " or ".join(f"`{name}`" for name in HEADS),
        f"`{kind}`",
        "start from a template in data/templates",
    )


def unread_by_extractor(config):
    """Nothing that the ResNets' extractors are given and drop (models/ssd_resnet_v1_fpn_keras_feature_extractor.py)."""
    features = config.model.ssd.feature_extractor
    for name in ("use_explicit_padding", "use_depthwise"):
        if features.type.startswith("ssd_resnet") and getattr(features, name):
            field = f"model.ssd.feature_extractor.{name}"
            raise refuse(f"{features.type} takes no notice of {name}", field, "false", "true", override(f"{field}: false"))
    return []


def batch_norm(config):
    """Batch norm that is frozen as a whole or not at all, and nothing else in its place (builders/hyperparams_builder.py)."""
    for field, hyperparams in convolutions(config):
        if hyperparams.HasField("group_norm"):
            raise refuse(
                "TensorFlow 2's layers take no notice of group_norm: nothing would be normalized",
                f"{field}.group_norm",
                "batch_norm",
                "group_norm",
                override(f"{field}.batch_norm: {{center: true, scale: true, decay: 0.97, epsilon: 0.001}}"),
            )
        if hyperparams.HasField("batch_norm") and not hyperparams.batch_norm.train:
            raise refuse(
                "TensorFlow 2 takes no notice of batch_norm.train: the batch norm would be trained",
                f"{field}.batch_norm.train",
                "true or unset",
                "false",
                f"override `{field}.batch_norm.train: null`, and `model.ssd.freeze_batchnorm: true` to freeze all batch norm of the model",
            )
    if config.model.ssd.freeze_batchnorm:
        return [
            (
                "model.ssd.freeze_batchnorm is true: all batch norm, of backbone and heads, keeps the averages that it starts with; "
                "without a `warm_start` of the whole detector these are those of random weights"
            )
        ]
    return []


def convolutions(config):
    """(field, Hyperparams) of an SSD's feature extractor and heads, where they are set."""
    ssd = config.model.ssd
    kind = ssd.box_predictor.WhichOneof("box_predictor_oneof")
    places = [("model.ssd.feature_extractor", ssd.feature_extractor)]
    if kind in HEADS:
        places.append((f"model.ssd.box_predictor.{kind}", getattr(ssd.box_predictor, kind)))
    return [(place + ".conv_hyperparams", message.conv_hyperparams) for place, message in places if message.HasField("conv_hyperparams")]


def rms_prop(config):
    """No decay for RMSProp: builders/optimizer_builder.py hands it to Keras, where it is the learning rate's: rate / (1 + decay * step)."""
    optimizer = config.train_config.optimizer
    if optimizer.WhichOneof("optimizer") != "rms_prop_optimizer" or not optimizer.rms_prop_optimizer.decay:
        return []
    decay, field = optimizer.rms_prop_optimizer.decay, "train_config.optimizer.rms_prop_optimizer.decay"
    raise refuse(
        "TensorFlow 2 takes RMSProp's decay for one of the learning rate, which would be divided by %.3g after 1000 steps"
        % (1 + decay * 1000),
        field,
        "0 (squared gradients are then averaged with a decay of %g)" % KERAS_RHO,
        "%g" % decay,
        override(f"{field}: 0.0"),
    )


def moving_average(config):
    """No average of the weights, which would be the optimizer's own and be exported by nothing."""
    if not config.train_config.optimizer.use_moving_average:
        return []
    raise refuse(
        "the averaged weights would be in the optimizer alone, and nothing exports them",
        "train_config.optimizer.use_moving_average",
        "false",
        "true",
        "override `train_config.optimizer.use_moving_average: false` and `eval_config.use_moving_averages: false`",
    )


def unread_by_training(config):
    """Nothing that would change what is trained, were it read; see _odapi/versions.py."""
    train = config.train_config
    for path, instead in sorted(REFUSED_IN_TF2.items()):
        field = train.DESCRIPTOR.fields_by_name[path.split(".")[1]]
        if getattr(train, field.name):
            found = "`{}`".format(describe(train, field))
            raise refuse(
                f"TensorFlow 2's training takes no notice of {field.name}", path, "unset", found, f"override `{path}: null`: {instead}"
            )
    if train.use_bfloat16:
        raise refuse("bfloat16 is for TPUs", "train_config.use_bfloat16", "false", "true", override("train_config.use_bfloat16: false"))
    if train.load_all_detection_checkpoint_vars:
        raise refuse(
            "TensorFlow 2 refuses load_all_detection_checkpoint_vars",
            "train_config.load_all_detection_checkpoint_vars",
            "false",
            "true",
            "override `train_config.load_all_detection_checkpoint_vars: null`, and give train-tf2 `warm_start_type: full`",
        )
    return []


def dropped_by_training(config):
    """The warning about fields that say how TensorFlow 1 goes about training, where they ask for another way than the usual one."""
    train, asked = config.train_config, []
    for path in DROPPED_IN_TF2:
        field = train.DESCRIPTOR.fields_by_name[path.split(".")[1]]
        if getattr(train, field.name) != field.default_value:
            asked.append(path)
    if not asked:
        return []
    return ["TensorFlow 2's training takes no notice of %s: nothing changes if you leave them out" % ", ".join(asked)]
