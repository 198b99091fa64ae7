"""What the data says and what the other stages do, written into an experiment."""

from garden_fields import get_field, set_field

from _garden.experiment import BACKGROUND

TRAIN, VALIDATION = "task.train_data", "task.validation_data"
DECAY_STEPS = "trainer.optimizer_config.learning_rate.cosine.decay_steps"


def fill(experiment, data, warn):
    """Write into the experiment what the data says and the stages need; the changes.

    data: _configure.fill.Data; warn: called with a text.
    """
    split = data.evaluation_split()
    if split != "val":
        doubt = "do not choose settings or the exported checkpoint by it" if split == "test" else "its mAP flatters the model"
        warn("there is no val split: evaluation during training reads `%s`; %s" % (split, doubt))
    records, stretched = "the records say so", "inference stretches each image to the input's size, so training does"
    classes = "the label map has %d classes, and the Garden counts the background" % len(data.classes)
    # The one list of what is not the template's to say.
    wanted = [
        ("task.model.num_classes", len(data.classes) + BACKGROUND, classes),
        (TRAIN + ".input_path", [data.patterns["train"]], records),
        (VALIDATION + ".input_path", [data.patterns[split]], records),
        (TRAIN + ".is_training", True, "augmentation and shuffling"),
        (VALIDATION + ".is_training", False, "every image is evaluated once, as it is"),
        (VALIDATION + ".drop_remainder", False, "a last, smaller batch would be left out"),
        (TRAIN + ".dtype", "float32", "the model computes in float32"),
        (VALIDATION + ".dtype", "float32", "the model computes in float32"),
        (TRAIN + ".parser.keep_aspect_ratio", False, stretched),
        (VALIDATION + ".parser.keep_aspect_ratio", False, stretched),
        # Training labels its anchors with all objects, whatever the parser's limit is.
        (VALIDATION + ".parser.max_num_instances", max(1, data.most_objects(split)), "so many objects has one image of `%s`" % split),
        ("task.annotation_file", None, "evaluation reads the objects of the records"),
        ("task.use_coco_metrics", True, "mAP as COCO defines it"),
        ("task.model.norm_activation.use_sync_bn", False, "there is one device, and only plain batch norm is folded when quantizing"),
    ]
    return [change for path, value, why in wanted for change in set_field(experiment, path, value, why)]


def follow_train_steps(before, experiment):
    """Keep the cosine schedule's end at train_steps where the template (`before`: {path: value}) had it there; the change, in a list."""
    if experiment.trainer.optimizer_config.learning_rate.type != "cosine":
        return []
    if before[DECAY_STEPS] != before["trainer.train_steps"] or get_field(experiment, DECAY_STEPS) != before[DECAY_STEPS]:
        return []
    return set_field(experiment, DECAY_STEPS, experiment.trainer.train_steps, "the schedule ends with the training")
