"""Refuse an experiment that would train in vain, or says what no stage reads, before a minute is spent on it.

Each rule raises StageError with the override that mends it, or returns warnings.
"""

from garden_fields import field_paths, get_field

from _garden.experiment import BACKGROUND, as_yaml, new_experiment, plain
from _runtime import StageError

# Fields that train-garden does not read, and what says it instead. A path stands for all below it.
UNREAD = {
    "runtime": "train-garden computes on one device, in float32, with the threads that it is given",
    "task.model.detection_generator.tflite_post_processing": "freeze-garden's parameters",
    "task.export_config": "freeze-garden's parameters",
}
_TRAINER = {
    "train-garden's parameter checkpoint_every": ("checkpoint_interval",),
    "train-garden's parameter evaluate_every": ("validation_interval",),
    "train-garden's parameter keep_checkpoints": ("max_to_keep",),
    "train-garden's parameter export": ("best_checkpoint_export_subdir", "best_checkpoint_eval_metric", "best_checkpoint_metric_comp"),
    "all images of the split are evaluated": ("validation_steps",),
    "evaluation is a part of the training": ("continuous_eval_timeout", "validation_summary_subdir"),
    "progress is told step by step": ("steps_per_loop", "summary_interval", "allow_tpu_summary"),
    "a loss that is no number ends the training": ("recovery_max_trials", "recovery_begin_steps", "loss_upper_bound"),
    "a training that is stopped leaves a checkpoint": ("preemption_on_demand_checkpoint",),
    "TensorFlow always traces the steps": ("train_tf_while_loop", "train_tf_function", "eval_tf_while_loop", "eval_tf_function"),
}
# Of train_data and validation_data.
_DATA = {
    "the records are read from their shards": (
        "tfds_name",
        "tfds_split",
        "tfds_data_dir",
        "tfds_as_supervised",
        "tfds_skip_decoding_feature",
        "file_type",
        "weights",
        "decoder.simple_decoder",
        "decoder.label_map_decoder",
    ),
    "train-garden decides how they are read": (
        "cache",
        "cycle_length",
        "block_length",
        "sharding",
        "prefetch_buffer_size",
        "ram_budget",
        "autotune_algorithm",
    ),
    "there is no tf.data service": (
        "enable_tf_data_service",
        "tf_data_service_address",
        "tf_data_service_job_name",
        "trainer_id",
        "enable_shared_tf_data_service_between_parallel_trainers",
        "apply_tf_data_service_before_batching",
    ),
    "images have three channels": ("parser.num_channels",),
    "aug_type says it": ("parser.aug_policy",),
}
_TRAIN = {
    "train-garden's parameter seed": ("seed",),
    "train-garden's parameter deterministic": ("deterministic",),
    "every batch of a training is a whole one": ("drop_remainder",),
}
_VALIDATION = {"every image is evaluated once, in order": ("seed", "deterministic", "shuffle_buffer_size")}
UNREAD.update(
    ("%s.%s" % (holder, name), instead)
    for holder, table in (
        ("trainer", _TRAINER),
        ("task.train_data", dict(_DATA, **_TRAIN)),
        ("task.validation_data", dict(_DATA, **_VALIDATION)),
    )
    for instead, names in table.items()
    for name in names
)
DECIDED = {
    "task.quantization": "train-garden's parameters `quantize: true` and its input `pretrained`, the checkpoint of a float training",
    "task.init_checkpoint": "train-garden's input `pretrained`, because a stage sees no other path",
}
FOREIGN = {
    "task.use_wod_metrics": (False, "Waymo's metrics"),
    "task.differential_privacy_config": (None, "differential privacy"),
    "task.model.head.attribute_heads": ([], "attributes, which the records do not have"),
    "trainer.optimizer_config.ema": (None, "averaged weights"),
    "task.train_data.decoder.type": ("simple_decoder", "other decoders"),
    "task.validation_data.decoder.type": ("simple_decoder", "other decoders"),
    "task.model.detection_generator.apply_nms": (True, "evaluation without it"),
    "task.model.detection_generator.decode_boxes": (True, "evaluation without it"),
}
_RATE, _WARMUP = "trainer.optimizer_config.learning_rate", "trainer.optimizer_config.warmup"


def lint(experiment, data):
    """Warnings about a filled experiment. data: _configure.fill.Data. Raises StageError."""
    warnings = []
    for rule in (_decided, _foreign, _size, _architecture, _steps, _rate, _warmup, _unread):
        warnings += rule(experiment)
    batch, images = experiment.task.train_data.global_batch_size, data.images["train"]
    if batch > images:
        warnings.append("task.train_data.global_batch_size (%d) is larger than the number of train images (%d)" % (batch, images))
    empty = sorted(name for name, boxes in data.per_class["train"].items() if not boxes)
    if empty:
        warnings.append("no train image shows: %s; the model cannot learn what it never sees" % ", ".join(empty))
    return warnings


def check_overrides(overrides, classes):
    """Refuse overrides that would be ignored: of what no stage reads, and of what the records and other stages say. Raises StageError."""
    for path in sorted(overrides):
        unread = next((name for name in UNREAD if path == name or path.startswith(name + ".")), None)
        if unread:
            raise _refuse(
                "nothing reads this field", path, "no override of it", repr(overrides[path]), "remove it: %s" % UNREAD[unread], True
            )
    count = overrides.get("task.model.num_classes", classes + BACKGROUND)
    if count != classes + BACKGROUND:
        hint = ": the Garden counts the background" if count == classes else ""
        found = "%r, for a label map of %d classes" % (count, classes)
        raise _refuse(
            "the number of classes does not fit the label map%s" % hint,
            "task.model.num_classes",
            classes + BACKGROUND,
            found,
            "remove it",
            True,
        )
    for data in ("train_data", "validation_data"):
        path = "task.%s.parser.keep_aspect_ratio" % data
        if overrides.get(path):
            what = "training would see other images than inference, which stretches each to the input's size"
            raise _refuse(what, path, "false", "true", "remove it", True)


def _refuse(what, field, expected, found, remedy, override=False):
    return StageError(what, "%s: %s" % ("overrides" if override else "experiment.yaml", field), expected, found, remedy)


def _override(path, value):
    return "override `%s: %s`" % (path, as_yaml(value))


def _decided(experiment):
    for path, instead in DECIDED.items():
        value = get_field(experiment, path)
        if value:
            raise _refuse("this is not the experiment's to say", path, "null", repr(plain(value)), "leave it out: %s says it" % instead)
    return []


def _foreign(experiment):
    for path, (expected, what) in FOREIGN.items():
        value = plain(get_field(experiment, path))
        if value != expected:
            raise _refuse("train-garden knows no %s" % what, path, expected, repr(value), _override(path, expected))
    if experiment.task.model.detection_generator.nms_version == "tflite":
        field = "task.model.detection_generator.nms_version"
        what = "this suppression is the converter's to put in, and finds nothing in training's evaluation"
        raise _refuse(what, field, "v1, v2 or batched", "tflite", _override(field, "v2"))
    precision = experiment.runtime.mixed_precision_dtype
    if precision not in (None, "float32"):
        field = "runtime.mixed_precision_dtype"
        raise _refuse("the model is trained in float32", field, "float32", precision, "set it to float32 in the template, or leave it out")
    return []


def _size(experiment):
    model, field = experiment.task.model, "task.model.input_size"
    size = list(model.input_size)
    if len(size) != 3 or size[2] != 3 or min(size) < 1:
        raise _refuse("the input has no fixed size", field, "[height, width, 3]", size, _override(field, [160, 160, 3]))
    if not 2 <= model.min_level <= model.max_level:
        where = "task.model.min_level"
        raise _refuse(
            "the levels are in the wrong order", where, "2 to max_level (%d)" % model.max_level, model.min_level, _override(where, 3)
        )
    stride = 2**model.max_level
    if any(side % stride for side in size[:2]):
        fitting = [max(stride, stride * round(side / stride)) for side in size[:2]]
        level = max(
            (level for level in range(model.min_level, model.max_level) if not any(side % 2**level for side in size[:2])), default=None
        )
        remedy = _override(field, [*fitting, 3]) + (", or `task.model.max_level: %d`" % level if level else "")
        expected = "multiples of %d, which is 2^max_level (%d)" % (stride, model.max_level)
        raise _refuse(
            "the input would be padded at its lower and right edge, which inference does not do", field, expected, size[:2], remedy
        )
    return []


def _architecture(experiment):
    model = experiment.task.model
    if "spinenet" in (model.backbone.type or ""):
        what = "a SpineNet's head cannot be quantized on export"
        remedy = _override("task.model.backbone", {"type": "mobilenet", "mobilenet": {"model_id": "MobileNetV2"}})
        raise _refuse(what, "task.model.backbone.type", "mobilenet", model.backbone.type, remedy)
    if model.decoder.type != "fpn":
        fpn = {"num_filters": 64, "use_separable_conv": True, "use_keras_layer": True}
        remedy = _override("task.model.decoder", {"type": "fpn", "fpn": fpn})
        raise _refuse("only an FPN can be quantized", "task.model.decoder.type", "fpn", model.decoder.type, remedy)
    if not model.decoder.fpn.use_keras_layer:
        field = "task.model.decoder.fpn.use_keras_layer"
        raise _refuse("the FPN's additions are no layers, so they cannot be quantized", field, "true", "false", _override(field, True))
    return [] if "mobile" in model.backbone.type else ["a backbone of the type %s is far slower than a MobileNet" % model.backbone.type]


def _steps(experiment):
    if experiment.trainer.train_steps < 1:
        field = "trainer.train_steps"
        raise _refuse("the training has no steps", field, "at least 1", experiment.trainer.train_steps, _override(field, 20000))
    for name in ("train_data", "validation_data"):
        batch, field = get_field(experiment, "task.%s.global_batch_size" % name), "task.%s.global_batch_size" % name
        if batch < 1:
            raise _refuse("the batch is empty", field, "at least 1", batch, _override(field, 8))
    return []


def _rate(experiment):
    config, steps = experiment.trainer.optimizer_config, experiment.trainer.train_steps
    for name in ("optimizer", "learning_rate"):
        if getattr(config, name).type is None:
            field = "trainer.optimizer_config.%s.type" % name
            raise _refuse("there is no %s" % name.replace("_", " "), field, "a choice", "null", "start from a template in data/templates")
    rate = config.learning_rate.get()
    if config.learning_rate.type == "stepwise":
        if len(rate.values) != len(rate.boundaries) + 1:
            expected = "%d, one more than boundaries" % (len(rate.boundaries) + 1)
            remedy = "give a value for before, between and after the boundaries"
            raise _refuse("the schedule's steps do not fit", _RATE + ".stepwise.values", expected, len(rate.values), remedy)
        late = [step for step in rate.boundaries if step >= steps]
        return ["the learning rate would change at step %d, but training ends at %d" % (late[0], steps)] if late else []
    if config.learning_rate.type == "cosine" and rate.decay_steps < steps:
        field = _RATE + ".cosine.decay_steps"
        return [
            "the learning rate is at its end from step %d on, but training lasts %d: %s"
            % (rate.decay_steps, steps, _override(field, steps))
        ]
    if config.learning_rate.type == "cosine" and rate.decay_steps > steps:
        field = _RATE + ".cosine.decay_steps"
        return ["the schedule lasts %d steps, but training ends at %d: %s" % (rate.decay_steps, steps, _override(field, steps))]
    return []


def _warmup(experiment):
    config, steps = experiment.trainer.optimizer_config, experiment.trainer.train_steps
    if config.warmup.type is None:
        return []
    warmup, field = config.warmup.get(), "%s.%s" % (_WARMUP, config.warmup.type)
    if warmup.warmup_steps >= steps:
        remedy = _override(field + ".warmup_steps", max(1, steps // 20))
        raise _refuse(
            "the warm-up outlasts the training", field + ".warmup_steps", "below train_steps (%d)" % steps, warmup.warmup_steps, remedy
        )
    first = getattr(config.learning_rate.get(), "initial_learning_rate", None)
    start = getattr(warmup, "warmup_learning_rate", None)
    if isinstance(first, float) and start is not None and start > first:
        remedy = _override(field + ".warmup_learning_rate", float("%g" % (first / 10)))
        expected = "at most initial_learning_rate (%g)" % first
        raise _refuse("the learning rate would fall while it warms up", field + ".warmup_learning_rate", expected, "%g" % start, remedy)
    return []


def _unread(experiment):
    """One warning for all fields that differ from the registered experiment's and that nothing reads."""
    default, named = new_experiment(), []
    for path in UNREAD:
        below = [path, *(each for each in field_paths(experiment) if each.startswith(path + "."))]
        leaves = [each for each in below if not any(other.startswith(each + ".") for other in below)]
        named += [each for each in leaves if get_field(experiment, each) != get_field(default, each)]
    return ["nothing reads these fields of the template: %s" % ", ".join(sorted(named))] if named else []
