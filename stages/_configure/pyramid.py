"""Feature pyramids: which levels a config asks for, and whether anchors, feature extractor and input size agree about them."""

from _configure.rules import override, refuse
from _odapi.versions import FIXED_PYRAMID

# Level 5 (stride 32) is the last that a backbone has; the levels above are strided convolutions of it, and nothing is added to them.
_BACKBONE_LEVEL = 5
_EXTRACTOR = "model.ssd.feature_extractor"
_SIZE = "model.ssd.image_resizer.fixed_shape_resizer"


def pyramid(config):
    """Rule: the levels exist, the anchors have the same, and the input's size lets the levels be added up. See rules.py."""
    extractor = config.model.ssd.feature_extractor
    kind = _kind(extractor)
    if kind is None:
        return []
    if extractor.type in FIXED_PYRAMID and extractor.HasField("fpn"):
        _fixed(extractor)
    low, high = levels(extractor)
    if not 2 <= low <= min(high, _BACKBONE_LEVEL):
        raise refuse(
            "the backbone has no such levels",
            f"{_EXTRACTOR}.{kind}",
            "min_level from 2 to %d, and max_level no less" % _BACKBONE_LEVEL,
            "min_level %d, max_level %d" % (low, high),
            override(f"{_EXTRACTOR}.{kind}.min_level: 3` and `{_EXTRACTOR}.{kind}.max_level: 7"),
        )
    _anchors(config, low, high)
    _size(config, low, high if kind == "bifpn" else min(high, _BACKBONE_LEVEL))
    return []


def levels(extractor):
    """(lowest, highest) level of an SsdFeatureExtractor with a pyramid; level n has a place for every 2**n pixels of the input."""
    if extractor.type in FIXED_PYRAMID:
        return FIXED_PYRAMID[extractor.type][:2]
    message = getattr(extractor, _kind(extractor))
    return message.min_level, message.max_level


def _kind(extractor):
    """The field that describes the extractor's pyramid: "fpn", "bifpn", or None where it has none."""
    name = extractor.type[: -len("_keras")] if extractor.type.endswith("_keras") else extractor.type
    return next((kind for kind in ("bifpn", "fpn") if name.endswith("_" + kind)), None)


def _fixed(extractor):
    for name, value in zip(("min_level", "max_level", "additional_layer_depth"), FIXED_PYRAMID[extractor.type]):
        if getattr(extractor.fpn, name) != value:
            raise refuse(
                "%s takes no notice of its fpn settings" % extractor.type,
                f"{_EXTRACTOR}.fpn.{name}",
                "%d, which it always has" % value,
                getattr(extractor.fpn, name),
                override("%s.fpn.%s: %d" % (_EXTRACTOR, name, value)),
            )


def _anchors(config, low, high):
    generator = config.model.ssd.anchor_generator
    kind = generator.WhichOneof("anchor_generator_oneof")
    if kind == "multiscale_anchor_generator":
        anchors = generator.multiscale_anchor_generator
        for name, level in (("min_level", low), ("max_level", high)):
            if getattr(anchors, name) != level:
                raise refuse(
                    "anchors and feature maps are of different levels",
                    f"model.ssd.anchor_generator.{kind}.{name}",
                    "%d, as the feature extractor's" % level,
                    getattr(anchors, name),
                    override("model.ssd.anchor_generator.%s.%s: %d" % (kind, name, level)),
                )
    elif kind == "ssd_anchor_generator" and generator.ssd_anchor_generator.num_layers != high - low + 1:
        raise refuse(
            "anchors and feature maps differ in number",
            "model.ssd.anchor_generator.ssd_anchor_generator.num_layers",
            "%d, for the levels %d to %d" % (high - low + 1, low, high),
            generator.ssd_anchor_generator.num_layers,
            override("model.ssd.anchor_generator.ssd_anchor_generator.num_layers: %d" % (high - low + 1)),
        )


def _size(config, low, top):
    """A level is added to the one below it at twice its size, which therefore must be even (models/feature_map_generators.py)."""
    extractor, resizer = config.model.ssd.feature_extractor, config.model.ssd.image_resizer
    if resizer.WhichOneof("image_resizer_oneof") != "fixed_shape_resizer":
        return
    size = resizer.fixed_shape_resizer
    if extractor.use_explicit_padding and extractor.type not in FIXED_PYRAMID:  # what stands over is then cut off
        return
    multiple = max(extractor.pad_to_multiple, 1)
    for side in (size.height, size.width):
        padded = _ceil(side, multiple) * multiple
        for level in range(low, top):
            if _ceil(padded, 2**level) % 2:
                whole = tuple(_ceil(each, 2**top) * 2**top for each in (size.height, size.width))
                raise refuse(
                    "the levels of the feature pyramid do not fit onto each other",
                    _SIZE,
                    "sides that are multiples of %d" % 2**top,
                    "%d x %d: level %d has %d places a side, and level %d, doubled, %d"
                    % (size.height, size.width, level, _ceil(padded, 2**level), level + 1, 2 * _ceil(padded, 2 ** (level + 1))),
                    override("%s: {height: %d, width: %d}" % ((_SIZE, *whole))),
                )


def _ceil(number, divisor):
    return -(-number // divisor)
