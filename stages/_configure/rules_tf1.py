"""Rules that hold for a pipeline.config of TensorFlow 1 alone: its networks, its heads, its quantization. See rules.py."""

from _configure import rules
from _configure.pyramid import pyramid
from _configure.rules import override, refuse
from _odapi.config_text import nearest
from _odapi.versions import NEWER_TF1_EXTRACTORS, PYTHON_2_EXTRACTORS, SSD_EXTRACTORS, TF1, TF2


def rules_of(allow_float):
    """The rules, in their order; allow_float: accept a config without quantization."""
    return [
        extractor,
        rules.counts,
        rules.image_size,
        rules.layers,
        _anchor_places,
        pyramid,
        _head_batch_norm,
        _freeze_batch_norm,
        rules.steps,
        rules.schedule,
        rules.no_checkpoint("train"),
        rules.placeholders,
        _quantization(allow_float),
    ]


def extractor(config):
    """A feature extractor that the image has, and that its quantization can rewrite."""
    known, field, kind = sorted(SSD_EXTRACTORS[TF1]), "model.ssd.feature_extractor.type", config.model.ssd.feature_extractor.type
    if kind.endswith("_keras"):
        base = kind[: -len("_keras")]
        ways = [override("{}: {}".format(field, base if base in known else "ssd_mobilenet_v2"))]
        if kind in SSD_EXTRACTORS[TF2]:
            ways.append("use the stages configure-tf2 and train-tf2")
        raise refuse(
            "the feature extractor is a Keras one, which TensorFlow 1's quantization cannot rewrite",
            field,
            "one of: {}".format(", ".join(known)),
            f"`{kind}`",
            ", or ".join(ways),
        )
    if kind in PYTHON_2_EXTRACTORS:
        raise refuse(
            "the feature extractor fails in this image: it needs Python 2",
            field,
            "one of: {}".format(", ".join(sorted(set(known) - set(PYTHON_2_EXTRACTORS)))),
            f"`{kind}`",
            override("{}: {}".format(field, "ssd_mobilenet_v1" if "mobilenet" in kind else kind.replace("ppn", "fpn"))),
        )
    if kind not in known:
        later = kind in NEWER_TF1_EXTRACTORS
        raise refuse(
            "the feature extractor is %s" % ("of a later release of the API than this image's" if later else "unknown"),
            field,
            "one of: {}".format(", ".join(known)),
            f"`{kind}`",
            override("{}: {}".format(field, nearest(kind, known) or "ssd_mobilenet_v2")),
        )
    return (
        []
        if "mobilenet" in kind
        else [f"model.ssd.feature_extractor.type {kind} is far slower than a MobileNet and may not map to an accelerator"]
    )


def _anchor_places(config):
    """No strides and offsets of anchors: builders/anchor_generator_builder.py makes iterators of them, and refuses what is no list."""
    if config.model.ssd.anchor_generator.WhichOneof("anchor_generator_oneof") != "ssd_anchor_generator":
        return []
    generator, field = config.model.ssd.anchor_generator.ssd_anchor_generator, "model.ssd.anchor_generator.ssd_anchor_generator"
    for name in ("stride", "offset"):
        found = list(getattr(generator, f"height_{name}")) + list(getattr(generator, f"width_{name}"))
        if found:
            raise refuse(
                f"this version of the API cannot read the {name}s of anchors",
                f"{field}.height_{name}",
                "unset",
                found,
                f"override `{field}.height_{name}: null` and `{field}.width_{name}: null`: they then follow from the feature maps' sizes",
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
        raise refuse(
            "the box predictor is not one that an SSD can use",
            "model.ssd.box_predictor",
            "`convolutional_box_predictor`",
            f"`{kind}`",
            "start from a template in data/templates",
        )
    hyperparams = predictor.convolutional_box_predictor.conv_hyperparams
    if not hyperparams.HasField("batch_norm"):
        raise refuse(
            "the heads' batch norm has no settings, so it would use each image's own statistics when detecting",
            field,
            "a batch_norm",
            "none",
            override(f"{field}: {{train: true, center: true, scale: true, decay: 0.97, epsilon: 0.001}}"),
        )
    if not hyperparams.batch_norm.center:
        return [f"{field}.center is false: the heads then have no offset, and class_prediction_bias_init is lost"]
    return []


def _freeze_batch_norm(config):
    ssd = config.model.ssd
    norm = "model.ssd.feature_extractor.conv_hyperparams.batch_norm"
    if ssd.freeze_batchnorm and ssd.feature_extractor.conv_hyperparams.HasField("batch_norm"):
        raise refuse(
            "freeze_batchnorm is ignored wherever conv_hyperparams carry a batch_norm",
            "model.ssd.freeze_batchnorm",
            "false",
            "true",
            f"override `model.ssd.freeze_batchnorm: false`, and `{norm}.train: false` to freeze it",
        )
    return rules.backbone_batch_norm(config)


def _quantization(allow_float):
    """The rule that training is quantization-aware, for long enough."""

    def rule(config):
        if not config.HasField("graph_rewriter"):
            if allow_float:
                return ["there is no graph_rewriter: training is not quantization-aware, and convert can make a float model only"]
            raise refuse(
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
                raise refuse(
                    "only 8 bits can be trained and converted",
                    f"graph_rewriter.quantization.{name}",
                    8,
                    getattr(quantization, name),
                    override(f"graph_rewriter.quantization.{name}: 8"),
                )
        steps = config.train_config.num_steps
        if quantization.delay >= steps:
            raise refuse(
                "quantization would never start",
                "graph_rewriter.quantization.delay",
                "below train_config.num_steps (%d)" % steps,
                quantization.delay,
                override("graph_rewriter.quantization.delay: %d" % (steps // 2)),
            )
        quantized = steps - quantization.delay
        if quantized < steps / 10.0:
            return [
                "only %d of %d steps are quantized: the weights have little time to adapt; override `graph_rewriter.quantization.delay: %d`"
                % (quantized, steps, steps // 2)
            ]
        return []

    return rule
