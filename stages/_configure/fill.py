"""What the data says, written into a pipeline.config: classes, shard names, label map, counts, and what evaluation needs."""

import numpy as np

from _detection.label_map import parse_label_map
from _odapi.config_overrides import set_field
from _runtime import StageError

LABEL_MAP = "label_map.pbtxt"
BOXES = "%s.boxes.npy"
NUM_CLASSES = "model.ssd.num_classes"
METRICS = "coco_detection_metrics"
# Split that evaluation reads during training, best first.
EVALUATION_SPLITS = ("val", "test", "train")


class Data:
    """What configure must know of a records artifact.

    classes: names in the order of their ids (1 is the first); images: split to number of images; patterns: split to the glob of its
    shards, as the input readers want it; per_class: split to {class: boxes}. Raises StageError.
    """

    def __init__(self, records):
        self._folder = records.path
        fields = records.json("records.json")
        if fields.get("schema") != 2:
            where = records.path / "records.json"
            raise StageError("the records have another schema", where, 2, fields.get("schema"), "build the records again")
        self.classes = list(fields["classes"])
        splits = fields["splits"]
        self.images = {name: split["images"] for name, split in splits.items()}
        self.per_class = {name: split["per_class"] for name, split in splits.items()}
        self.patterns = {name: shard_pattern([shard["file"] for shard in split["shards"]]) for name, split in splits.items()}
        path = records.path / LABEL_MAP
        named = parse_label_map(path.read_text(encoding="utf-8"), str(path))
        if named != self.classes:
            raise StageError(
                "the label map and records.json disagree about the classes",
                path,
                self.classes,
                named,
                "build the records again: the artifact has been changed",
            )
        if not self.images.get("train"):
            raise StageError(
                "the records have no train images",
                records.path / "records.json",
                "a split `train` with images",
                ", ".join("%s: %d" % item for item in sorted(self.images.items())) or "no split",
                "give ingest a train split",
            )

    def train_boxes(self):
        """Sizes of all train boxes: structured array of "class" and "image" (ids), "width" and "height" (fractions of the image's)."""
        return self._boxes("train")

    def most_objects(self, split):
        """The most objects in one image of a split; 0 where it has none."""
        return int(np.unique(self._boxes(split)["image"], return_counts=True)[1].max(initial=0))

    def evaluation_split(self):
        """The first of val, test, train that has images."""
        return next(split for split in EVALUATION_SPLITS if self.images.get(split))

    def _boxes(self, split):
        return np.load(str(self._folder / (BOXES % split)), allow_pickle=False)


def shard_pattern(files):
    """`train.record-?????-of-00002` for the shards of a split; the file's own name where there is one."""
    if len(files) == 1:
        return files[0]
    stem, total = files[0].rsplit("-of-", 1)
    return "{}-?????-of-{}".format(stem.rsplit("-", 1)[0], total)


def check_classes(overrides, data):
    """StageError where an override gives another number of classes than the label map has."""
    wanted = overrides.get(NUM_CLASSES, len(data.classes))
    if wanted != len(data.classes):
        raise StageError(
            "an override gives another number of classes than the label map has",
            f"overrides: {NUM_CLASSES}",
            "%d: %s" % (len(data.classes), ", ".join(data.classes)),
            wanted,
            f"leave `{NUM_CLASSES}` out: it follows the records",
        )


def fill(config, data, warn):
    """Write into `config` what the data says; the changes, as of `apply_overrides`. warn: called with a text."""
    split = data.evaluation_split()
    if split != "val":
        doubt = "do not choose settings or the exported checkpoint by it" if split == "test" else "its mAP flatters the model"
        warn(f"there is no val split: evaluation during training reads `{split}`; {doubt}")
    steps = _readers(config)
    why = "the records say so"
    steps += [
        set_field(config, NUM_CLASSES, len(data.classes), "the label map has %d classes" % len(data.classes)),
        set_field(config, "train_input_reader.tf_record_input_reader.input_path", [data.patterns["train"]], why),
        set_field(config, "train_input_reader.label_map_path", LABEL_MAP, why),
        set_field(config, "eval_input_reader.0.tf_record_input_reader.input_path", [data.patterns[split]], why),
        set_field(config, "eval_input_reader.0.label_map_path", LABEL_MAP, why),
        set_field(config, "eval_config.num_examples", data.images[split], f"number of `{split}` images"),
    ]
    return [change for change in steps + _evaluation(config) + _limits(config, data, split) + _averages(config) if change]


def follow_num_steps(template, config):
    """Keep the cosine schedule's end at num_steps where the template had it there, or left it unset; the change, in a list."""
    rate = _cosine(config)
    before = _cosine(template)
    if rate is None:
        return []
    same = before is not None and before.HasField("total_steps") and before.total_steps == template.train_config.num_steps
    if rate.HasField("total_steps") and not (same and rate.total_steps == before.total_steps):
        return []
    path = "train_config.optimizer.{}.learning_rate.cosine_decay_learning_rate.total_steps".format(
        config.train_config.optimizer.WhichOneof("optimizer")
    )
    change = set_field(config, path, config.train_config.num_steps, "the schedule ends with the training")
    return [change] if change else []


def _cosine(config):
    optimizer = config.train_config.optimizer
    name = optimizer.WhichOneof("optimizer")
    rate = getattr(optimizer, name).learning_rate if name else None
    if rate is None or rate.WhichOneof("learning_rate") != "cosine_decay_learning_rate":
        return None
    return rate.cosine_decay_learning_rate


def _readers(config):
    """One evaluation reader, and nothing but TFRecords."""
    changes = []
    count = len(config.eval_input_reader)
    if count != 1:
        del config.eval_input_reader[:]
        config.eval_input_reader.add()
        changes.append({"field": "eval_input_reader", "from": "%d readers" % count, "to": "1 reader", "why": "one evaluation set"})
    return changes


def _evaluation(config):
    every = "every image is evaluated once, in order"
    return [
        set_field(config, "eval_config.metrics_set", [METRICS], "mAP as COCO defines it"),
        set_field(config, "eval_config.batch_size", 1, "a last, smaller batch would be left out"),
        set_field(config, "eval_input_reader.0.shuffle", False, every),
        set_field(config, "eval_input_reader.0.num_readers", 1, every),
        set_field(config, "eval_input_reader.0.sample_1_of_n_examples", 1, every)
        if config.eval_input_reader[0].sample_1_of_n_examples != 1
        else None,
    ]


def _limits(config, data, split):
    """Room for all objects of an image: inputs.py of both versions cuts what is above the reader's limit, in training as in evaluation."""
    readers = (
        ("train_input_reader", config.train_input_reader, "train"),
        ("eval_input_reader.0", config.eval_input_reader[0], split),
    )
    changes = []
    for path, reader, name in readers:
        most = data.most_objects(name)
        if most > reader.max_number_of_boxes:
            why = f"so many objects has one image of `{name}`, and those above the limit would be left out"
            changes.append(set_field(config, path + ".max_number_of_boxes", most, why))
    return changes


def _averages(config):
    """The optimizer's averaged copy of the weights costs time and is on by default, but only eval_config.use_moving_averages reads it."""
    if not config.train_config.optimizer.use_moving_average or config.eval_config.use_moving_averages:
        return []
    return [
        set_field(
            config, "train_config.optimizer.use_moving_average", False, "nothing reads the averages: eval_config.use_moving_averages is off"
        )
    ]


def summary(config, data, changes, warnings):
    """What other stages and the report want to know of the config: the fields of config.json."""
    size = config.model.ssd.image_resizer.fixed_shape_resizer
    quantized = config.HasField("graph_rewriter")
    return {
        "schema": 1,
        "input_size": [size.height, size.width],
        "num_classes": len(data.classes),
        "classes": data.classes,
        "num_steps": config.train_config.num_steps,
        "batch_size": config.train_config.batch_size,
        "quantization_delay": config.graph_rewriter.quantization.delay if quantized else None,
        "evaluation_split": data.evaluation_split(),
        "changes": changes,
        "warnings": list(warnings),
    }
