"""What of a pipeline.config belongs to which version of the Object Detection API, declared once.

TF1: the wheel tf-object-detection 0.0.3 (image `train`); TF2: tf-models-research-object-detection 2.8 (image `train-tf2`). The tests
test_odapi_versions.py of both images hold every line to the API's own maps (builders/model_builder.py), descriptors and source.
"""

from _odapi.descriptors import is_repeated

TF1, TF2 = "TensorFlow 1", "TensorFlow 2"

# Message type to the fields that only TF2's schema has. TF1's schema has nothing of its own.
NEWER_FIELDS = {
    "AdamOptimizer": ("epsilon",),
    "BatchNonMaxSuppression": ("change_coordinate_frame", "use_combined_nms", "use_cpu_nms", "use_hard_nms", "use_partitioned_nms"),
    "CalibrationConfig": ("temperature_scaling_calibration",),
    "ClassificationLoss": ("penalty_reduced_logistic_focal_loss", "weighted_dice_classification_loss"),
    "DetectionModel": ("center_net", "experimental_model"),
    "EvalConfig": (
        "all_metrics_per_category",
        "force_no_resize",
        "image_classes_field_map_empty_to_ones",
        "keypoint_edge",
        "parameterized_metric",
        "retain_original_image_additional_channels",
        "skip_predictions_for_unlabeled_class",
        "super_categories",
        "use_dummy_loss_in_eval",
    ),
    "FasterRcnn": (
        "context_config",
        "output_final_box_features",
        "output_final_box_rpn_features",
        "return_raw_detections_during_predict",
        "use_combined_nms_in_first_stage",
        "use_partitioned_nms_in_first_stage",
    ),
    "FasterRcnnFeatureExtractor": ("conv_hyperparams", "fpn", "override_base_feature_extractor_hyperparams", "pad_to_multiple"),
    "Hyperparams": ("force_use_bias", "sync_batch_norm"),
    "ImageResizer": ("pad_to_multiple_resizer",),
    "Initializer": ("keras_initializer_by_name",),
    "InputReader": (
        "drop_remainder",
        "expand_labels_hierarchy",
        "frame_index",
        "include_source_id",
        "input_type",
        "keypoint_type_weight",
        "load_context_features",
        "load_context_image_ids",
        "load_dense_pose",
        "load_keypoint_depth_features",
        "load_track_id",
        "sample_from_datasets_weights",
        "use_keypoint_label_map",
    ),
    "LocalizationLoss": ("l1_localization_loss", "weighted_giou"),
    "PreprocessingStep": (
        "adjust_gamma",
        "random_downscale_to_target_pixels",
        "random_jpeg_quality",
        "random_patch_gaussian",
        "random_scale_crop_and_pad_to_square",
        "random_square_crop_by_scale",
    ),
    "RandomHorizontalFlip": ("probability",),
    "RandomJitterBoxes": ("jitter_mode",),
    "RandomRotation90": ("keypoint_rot_permutation", "probability"),
    "RandomVerticalFlip": ("probability",),
    "Ssd": ("return_raw_detections_during_predict",),
    "SsdFeatureExtractor": ("bifpn", "spaghettinet_arch_name"),
    "TrainConfig": ("fine_tune_checkpoint_version", "run_fine_tune_checkpoint_dummy_computation"),
    "WeightSharedConvolutionalBoxPredictor": ("apply_conv_hyperparams_pointwise", "apply_conv_hyperparams_to_heads"),
}
# Message type to the names of enum values that only TF2's schema has.
NEWER_VALUES = {"Hyperparams.Activation": ("SWISH",)}
# Those of NEWER_FIELDS without which TensorFlow 2 would not be: a config that has one was written for it. Later releases of the API for
# TensorFlow 1 have the others, too.
TF2_MARKS = {
    ("TrainConfig", "fine_tune_checkpoint_version"),
    ("DetectionModel", "center_net"),
    ("FasterRcnnFeatureExtractor", "fpn"),
    ("FasterRcnnFeatureExtractor", "conv_hyperparams"),
    ("Hyperparams", "force_use_bias"),
    ("Hyperparams", "sync_batch_norm"),
    ("Initializer", "keras_initializer_by_name"),
    ("SsdFeatureExtractor", "bifpn"),
}

_MOBILENET = ("ssd_mobilenet_v1", "ssd_mobilenet_v1_fpn", "ssd_mobilenet_v2", "ssd_mobilenet_v2_fpn")
_RESNET_FPN = ("ssd_resnet50_v1_fpn", "ssd_resnet101_v1_fpn", "ssd_resnet152_v1_fpn")
EFFICIENTDET = tuple("ssd_efficientnet-b%d_bifpn_keras" % size for size in range(8))
# An SSD's feature extractors by version. TF1's wheel has Keras ones of the MobileNets, too, but its quantization cannot rewrite them.
SSD_EXTRACTORS = {
    TF1: (
        *_MOBILENET,
        *_RESNET_FPN,
        "embedded_ssd_mobilenet_v1",
        "ssd_inception_v2",
        "ssd_inception_v3",
        "ssd_mobilenet_v1_ppn",
        "ssd_pnasnet",
        "ssd_resnet50_v1_ppn",
        "ssd_resnet101_v1_ppn",
        "ssd_resnet152_v1_ppn",
    ),
    TF2: tuple(name + "_keras" for name in (*_MOBILENET, *_RESNET_FPN)) + EFFICIENTDET,
}
# Of releases of the API for TensorFlow 1 after TF1's wheel; no image has them.
NEWER_TF1_EXTRACTORS = (
    "ssd_mobiledet_cpu",
    "ssd_mobiledet_dsp",
    "ssd_mobiledet_edgetpu",
    "ssd_mobiledet_gpu",
    "ssd_mobilenet_edgetpu",
    "ssd_mobilenet_v2_mnasfpn",
    "ssd_mobilenet_v3_large",
    "ssd_mobilenet_v3_small",
    "ssd_spaghettinet",
)
# The same network in TensorFlow 2.
COUNTERPARTS = {name: name + "_keras" for name in (*_MOBILENET, *_RESNET_FPN)}
# For the others, the network of TensorFlow 2 that is nearest in size and purpose.
_NEAREST = {
    "embedded_ssd_mobilenet_v1": "ssd_mobilenet_v1_keras",
    "ssd_mobilenet_v1_ppn": "ssd_mobilenet_v1_keras",
    "ssd_mobilenet_v2_mnasfpn": "ssd_mobilenet_v2_fpn_keras",
    "ssd_pnasnet": "ssd_resnet101_v1_fpn_keras",
    "ssd_inception_v2": "ssd_resnet50_v1_fpn_keras",
    "ssd_inception_v3": "ssd_resnet50_v1_fpn_keras",
    "ssd_resnet50_v1_ppn": "ssd_resnet50_v1_fpn_keras",
    "ssd_resnet101_v1_ppn": "ssd_resnet101_v1_fpn_keras",
    "ssd_resnet152_v1_ppn": "ssd_resnet152_v1_fpn_keras",
}
# Keras extractors that take no notice of their `fpn` message: min_level, max_level and additional_layer_depth are always these
# (models/ssd_resnet_v1_fpn_keras_feature_extractor.py hands none of them on).
FIXED_PYRAMID = {name + "_keras": (3, 7, 256) for name in _RESNET_FPN}
# Extractors of TF1's wheel that Python 3 cannot run: models/feature_map_generators.py asks for the first of a dictionary's keys by place.
PYTHON_2_EXTRACTORS = ("ssd_mobilenet_v1_ppn", "ssd_resnet50_v1_ppn", "ssd_resnet101_v1_ppn", "ssd_resnet152_v1_ppn")
# Feature maps of an extractor that refuses num_layers (models/embedded_ssd_mobilenet_v1_feature_extractor.py).
FIXED_LAYERS = {"embedded_ssd_mobilenet_v1": 5}
# Least pixels a side that an extractor takes (models/*: shape_utils.check_min_image_dim); any other takes LEAST_SIDE.
LEAST_SIDE = 33
LEAST_SIDES = dict.fromkeys((*_RESNET_FPN, *FIXED_PYRAMID, *EFFICIENTDET), 129)

# What TensorFlow 2's training reads of `train_config` is in model_lib_v2.py and inputs.py; these fields are in its schema and read by
# nothing there. REFUSED change what is trained, so who sets one is refused; DROPPED only say how TensorFlow 1 goes about it: a warning.
REFUSED_IN_TF2 = {
    "train_config.freeze_variables": "freeze all of the batch norm with `model.ssd.freeze_batchnorm: true`, or train everything",
    "train_config.update_trainable_variables": "train everything",
    "train_config.bias_grad_multiplier": "train biases like the rest",
}
DROPPED_IN_TF2 = (
    "train_config.sync_replicas",
    "train_config.replicas_to_aggregate",
    "train_config.startup_delay_steps",
    "train_config.keep_checkpoint_every_n_hours",
    "train_config.batch_queue_capacity",
    "train_config.num_batch_queue_threads",
    "train_config.prefetch_queue_capacity",
    "train_config.max_number_of_boxes",
    "train_config.summarize_gradients",
)


def nearest_extractor(kind):
    """The feature extractor of TensorFlow 2 for what `kind` is in TensorFlow 1: the same network, or the nearest to it."""
    return COUNTERPARTS.get(kind) or _NEAREST.get(kind, "ssd_mobilenet_v2_fpn_keras" if "fpn" in kind else "ssd_mobilenet_v2_keras")


def newer_parts(message, prefix=""):
    """(dotted path, message type, field or enum value) of all that is set in `message` and that TF1's schema lacks."""
    for field, value in message.ListFields():
        path, kind = prefix + field.name, message.DESCRIPTOR.name
        if field.name in NEWER_FIELDS.get(kind, ()):
            yield path, kind, field.name
            continue
        if field.enum_type and not is_repeated(field):
            name = field.enum_type.values_by_number[value].name
            if name in NEWER_VALUES.get("%s.%s" % (kind, field.enum_type.name), ()):
                yield path, kind, name
        if field.message_type and not field.message_type.GetOptions().map_entry:
            for place, item in enumerate(value if is_repeated(field) else [value]):
                yield from newer_parts(item, "%s.%d." % (path, place) if is_repeated(field) else path + ".")


def is_newer(message_type, name):
    """Whether only TF2's schema has that field of a message type, or that value of an enum type ("Hyperparams.Activation")."""
    return name in NEWER_FIELDS.get(message_type, ()) or name in NEWER_VALUES.get(message_type, ())
