"""What the data says and what the other stages do, written into an experiment."""

from garden_fields import get_field, set_field

from _detection.label_map import parse_label_map
from _garden.experiment import BACKGROUND
from _runtime import StageError

LABEL_MAP = "label_map.pbtxt"
TRAIN, VALIDATION = "task.train_data", "task.validation_data"
# Split that evaluation reads during training, best first.
EVALUATION_SPLITS = ("val", "test", "train")
DECAY_STEPS = "trainer.optimizer_config.learning_rate.cosine.decay_steps"


class Data:
    """What configure-garden must know of a records artifact.

    classes: names in the order of their ids (1 is the first); images: split to number of images; files: split to the names of its shards;
    per_class: split to {class: boxes}. Raises StageError.
    """

    def __init__(self, records):
        fields, where = records.json("records.json"), records.path / "records.json"
        if fields.get("schema") != 2:
            raise StageError("the records have another schema", where, 2, fields.get("schema"), "build the records again")
        self.classes = list(fields["classes"])
        self.images = {name: split["images"] for name, split in fields["splits"].items()}
        self.per_class = {name: split["per_class"] for name, split in fields["splits"].items()}
        self.files = {name: [shard["file"] for shard in split["shards"]] for name, split in fields["splits"].items()}
        path = records.path / LABEL_MAP
        named = parse_label_map(path.read_text(encoding="utf-8"), str(path))
        if named != self.classes:
            what = "the label map and records.json disagree about the classes"
            raise StageError(what, path, self.classes, named, "build the records again: the artifact has been changed")
        if not self.images.get("train"):
            found = ", ".join("%s: %d" % item for item in sorted(self.images.items())) or "no split"
            raise StageError("the records have no train images", where, "a split `train` with images", found, "give ingest a train split")

    def evaluation_split(self):
        """The first of val, test, train that has images."""
        return next(split for split in EVALUATION_SPLITS if self.images.get(split))


def fill(experiment, data, warn):
    """Write into the experiment what the data says and the stages need; the changes. warn: called with a text."""
    split = data.evaluation_split()
    if split != "val":
        doubt = "do not choose settings or the exported checkpoint by it" if split == "test" else "its mAP flatters the model"
        warn("there is no val split: evaluation during training reads `%s`; %s" % (split, doubt))
    records, stretched = "the records say so", "inference stretches each image to the input's size, so training does"
    classes = "the label map has %d classes, and the Garden counts the background" % len(data.classes)
    # The one list of what is not the template's to say.
    wanted = [
        ("task.model.num_classes", len(data.classes) + BACKGROUND, classes),
        (TRAIN + ".input_path", data.files["train"], records),
        (VALIDATION + ".input_path", data.files[split], records),
        (TRAIN + ".is_training", True, "augmentation and shuffling"),
        (VALIDATION + ".is_training", False, "every image is evaluated once, as it is"),
        (VALIDATION + ".drop_remainder", False, "a last, smaller batch would be left out"),
        (TRAIN + ".dtype", "float32", "the model computes in float32"),
        (VALIDATION + ".dtype", "float32", "the model computes in float32"),
        (TRAIN + ".parser.keep_aspect_ratio", False, stretched),
        (VALIDATION + ".parser.keep_aspect_ratio", False, stretched),
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
