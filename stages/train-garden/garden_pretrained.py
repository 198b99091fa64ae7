"""Starting from the checkpoint of an earlier training: as it is, or quantized; every weight arrives, or training does not begin."""

import copy

from _garden.experiment import FILE, as_yaml, plain, read_experiment
from _garden.model import PARTS, build_model, quantize, restore
from _runtime import StageError


class Pretrained:
    """A checkpoint-garden artifact. experiment, about: as it was trained; step: of the checkpoint."""

    def __init__(self, artifact):
        self.about = artifact.json("checkpoint.json")
        self.experiment = read_experiment(artifact.path / FILE)
        self.prefix = str(artifact.path / self.about["prefix"])
        self.quantized, self.step = self.about["quantized"], self.about["step"]


def check_pretrained(pretrained, experiment, classes, quantized):
    """Refuse a checkpoint of another model, other classes, or one that is quantized where float is to be trained. Raises StageError."""
    if pretrained.quantized and not quantized:
        raise StageError(
            "the pretrained model is quantized, and a float one is to be trained",
            "train-garden.quantize",
            "true",
            "false",
            "set `quantize: true`, or give the checkpoint of a float training",
        )
    if pretrained.about["classes"] != classes:
        raise StageError(
            "the pretrained model has other classes",
            "pretrained: classes",
            classes,
            pretrained.about["classes"],
            "train on the same label map",
        )
    wanted, found = (_architecture(each) for each in (experiment, pretrained.experiment))
    for field in sorted(set(wanted) | set(found)):
        if wanted.get(field) != found.get(field):
            raise StageError(
                "the pretrained model is another one",
                "experiment.yaml: task.model.%s" % field,
                as_yaml(found.get(field)),
                as_yaml(wanted.get(field)),
                "override `task.model.%s: %s`, or train the float model with this configuration" % (field, as_yaml(found.get(field))),
            )


# Last names of fields below task.model that make no variables, and change nothing of what trained ones compute.
_OF_TRAINING_ONLY = frozenset(
    (
        "norm_momentum",
        "use_sync_bn",
        "input_size",
        "stochastic_depth_drop_rate",
        "flat_stochastic_depth_drop_rate",
        "init_stochastic_depth_rate",
    )
)


def _architecture(experiment):
    """{dotted field below task.model: value} of what decides the model's variables and what they compute."""
    fields = plain(experiment.task.model.as_dict())
    fields.pop("detection_generator")  # has no variables
    return {path: value for path, value in _leaves(fields, "") if path.rsplit(".", 1)[-1] not in _OF_TRAINING_ONLY}


def _leaves(value, path):
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, "%s.%s" % (path, name) if path else name)
    else:
        yield path, value


def load_pretrained(task, pretrained, experiment):
    """(the model with the pretrained weights, {"restored": [names], "missing": [], "other_shape": []}).

    It is fake-quantized where `experiment.task.quantization` says so. Raises StageError where a weight of the checkpoint would not arrive.
    """
    quantizing = experiment.task.quantization is not None and not pretrained.quantized
    start = copy.deepcopy(experiment)
    if quantizing:
        start.task.quantization = None
    model = build_model(start)
    restore(model, pretrained.prefix, "the pretrained checkpoint")
    names = ["%s/%s" % (part, variable.name) for part in PARTS for variable in getattr(model, part).weights]
    kept = {part: (len(getattr(model, part).weights),) * 2 for part in PARTS}
    if quantizing:
        model, kept = quantize(experiment, model)
    found, total = (sum(each[place] for each in kept.values()) for place in (0, 1))
    parts = ", ".join("%s %d of %d" % (part, *kept[part]) for part in PARTS)
    task.say("pretrained step %d: restored %d of %d variables (%s)" % (pretrained.step, found, total, parts))
    return model, {"restored": names, "missing": [], "other_shape": []}
