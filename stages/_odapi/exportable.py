"""What of a pipeline.config becomes a TensorFlow Lite detector: which models can, and how their boxes are decoded."""

from _runtime import StageError


def check_exportable(config, params, stage):
    """Refuse what cannot become a TensorFlow Lite detector, with the config's field or the parameter of the stage. Raises StageError."""
    kind = config.model.WhichOneof("model")
    if kind != "ssd":
        raise StageError("only SSD models can be exported for TensorFlow Lite", "pipeline.config: model", "ssd", kind, "train an SSD")
    resizer = config.model.ssd.image_resizer.WhichOneof("image_resizer_oneof")
    if resizer != "fixed_shape_resizer":
        raise StageError(
            "a TensorFlow Lite detector needs a fixed input size",
            "pipeline.config: model.ssd.image_resizer",
            "fixed_shape_resizer",
            resizer,
            "train with a fixed_shape_resizer",
        )
    if config.model.ssd.image_resizer.fixed_shape_resizer.convert_to_grayscale:
        raise StageError(
            "grey models are not supported",
            "pipeline.config: model.ssd.image_resizer.fixed_shape_resizer.convert_to_grayscale",
            "false",
            "true",
            "train on three channels",
        )
    coder = config.model.ssd.box_coder.WhichOneof("box_coder_oneof")
    if coder != "faster_rcnn_box_coder":
        raise StageError(
            "the post-process decodes one box coding only",
            "pipeline.config: model.ssd.box_coder",
            "faster_rcnn_box_coder",
            coder,
            "train with a faster_rcnn_box_coder",
        )
    generator = config.model.ssd.anchor_generator
    if generator.HasField("multiscale_anchor_generator") and not generator.multiscale_anchor_generator.normalize_coordinates:
        raise StageError(
            "the post-process takes anchors in fractions of the image",
            "pipeline.config: model.ssd.anchor_generator.multiscale_anchor_generator.normalize_coordinates",
            "true",
            "false",
            "train with normalize_coordinates: true",
        )
    if params["max_classes_per_detection"] > config.model.ssd.num_classes:
        # The operator would leave the places of the missing classes unwritten.
        raise StageError(
            "a box cannot have more classes than the model",
            "%s.max_classes_per_detection" % stage,
            "at most %d (model.ssd.num_classes)" % config.model.ssd.num_classes,
            params["max_classes_per_detection"],
            "lower max_classes_per_detection",
        )


def input_size(config):
    """[height, width] of the model's input in pixels."""
    resizer = config.model.ssd.image_resizer.fixed_shape_resizer
    return [resizer.height, resizer.width]


def decode_attributes(config, params):
    """Attributes of TFLite_Detection_PostProcess, which also say how to decode the raw outputs of a graph without it.

    params: max_detections, max_classes_per_detection, detections_per_class and regular_nms of the stage.
    """
    ssd = config.model.ssd
    coder, nms = ssd.box_coder.faster_rcnn_box_coder, ssd.post_processing.batch_non_max_suppression
    return {
        "max_detections": params["max_detections"],
        "max_classes_per_detection": params["max_classes_per_detection"],
        "detections_per_class": params["detections_per_class"],
        "use_regular_nms": params["regular_nms"],
        "nms_score_threshold": nms.score_threshold,
        "nms_iou_threshold": nms.iou_threshold,
        "num_classes": ssd.num_classes,
        "y_scale": coder.y_scale,
        "x_scale": coder.x_scale,
        "h_scale": coder.height_scale,
        "w_scale": coder.width_scale,
    }
