"""The training itself, once the process is set up for it: TensorFlow is imported from here on."""

import logging

import tensorflow as tf
from garden_evaluation import GardenEvaluator
from garden_pretrained import Pretrained, check_pretrained, load_pretrained
from garden_training import Garden, GardenTraining

from _garden.experiment import FILE, MEAN, STD, input_size, print_experiment, quantization, read_experiment, versions
from _runtime import StageError, write_text
from _training.advice import MODEL_GARDEN
from _training.checkpoints import CheckpointFolder, resume_point
from _training.devices import set_threads, warn_of_idle_gpus
from _training.events import Events
from _training.export import export, export_untrained
from _training.loop import Trainer, make_plan
from _training.memory import keep_freed_memory
from _training.records import check_records
from _training.untrained import noise, settle
from _untrained.marks import refuse_untrained


def train(task):
    """Do the task of the stage train-garden."""
    keep_freed_memory()
    threads, untrained = set_up(task), task.params["untrained"]
    records, source = task.input("records"), task.input("config")
    if not untrained:
        check_records(records.path, records.json("records.json"), task.cpus)
    experiment, classes = read_experiment(source.path / FILE), source.json("config.json")["classes"]
    pretrained = task.input("pretrained") and Pretrained(task.input("pretrained"))
    quantized = check_quantize(task.params["quantize"], pretrained, experiment)
    if pretrained:
        if not untrained:
            refuse_untrained(pretrained.about, "pretrained: checkpoint.json")
        check_pretrained(pretrained, experiment, classes, quantized)
    write_text(task.scratch / FILE, print_experiment(experiment))
    plan = make_plan(experiment.trainer.train_steps, None, task.params)
    more = {"quantized": quantized, "intra_op_threads": threads, "pretrained_step": pretrained.step if pretrained else None}
    report = {}
    loaded = (lambda: _loaded(task, pretrained, experiment, report)) if pretrained else None
    if untrained:
        write_untrained(task, plan, Garden(experiment, records.path, loaded), more)
    else:
        _train(task, plan, experiment, loaded, report, more)
    task.tools.update(versions())


def write_untrained(task, plan, garden, more):
    """Write the artifact of step 0: the seed's weights, in a state in which they can be converted. more: fields of checkpoint.json."""
    seed = task.params["seed"]
    training = GardenTraining(garden, seed, plan.deterministic)
    images = (noise(seed, input_size(garden.experiment)) - MEAN) / STD
    settle(garden.model, seed, lambda: garden.model(images, training=True))
    export_untrained(task, plan, training.save, task.scratch / FILE, more)


def _train(task, plan, experiment, loaded, report, more):
    """Train as `plan` says, and write the artifact.

    loaded: makes the model of the pretrained checkpoint, and fills `report`; None without one; more: fields of checkpoint.json.
    """
    folder = CheckpointFolder(task.scratch / "checkpoints")
    sealed = resume_point(task, folder)
    garden = Garden(experiment, task.input("records").path, None if sealed else loaded)
    with Events(task.scratch / "events" / "train") as train_events, Events(task.scratch / "events" / "eval") as evaluation_events:
        evaluator = GardenEvaluator(garden, evaluation_events)
        trainer = Trainer(
            task,
            lambda: GardenTraining(garden, task.params["seed"], plan.deterministic),
            evaluator,
            folder,
            train_events,
            plan,
            tf.errors.OpError,
            MODEL_GARDEN,
        )
        trainer.run(sealed, lambda _: report or None)
    export(task, plan, folder, trainer.history, task.scratch / FILE, more)


def _loaded(task, pretrained, experiment, report):
    model, found = load_pretrained(task, pretrained, experiment)
    report.update(found)
    return model


def set_up(task):
    """Set this process's threads and random numbers by the stage's parameters; returns its intra-op threads."""
    params = task.params
    tf.get_logger().setLevel(logging.ERROR)
    warn_of_idle_gpus(task, "train-garden")
    intra_op, _ = set_threads(params["intra_op_threads"], params["inter_op_threads"], params["deterministic"])
    tf.keras.utils.set_random_seed(params["seed"])
    if params["deterministic"]:
        tf.config.experimental.enable_op_determinism()
    return intra_op


def check_quantize(wanted, pretrained, experiment):
    """Whether to train quantization-aware; sets `experiment.task.quantization`. Raises StageError where it cannot be."""
    if not wanted:
        return False
    if pretrained is None:
        raise StageError(
            "quantization-aware training starts from a float model, and there is none",
            "train-garden.quantize",
            "the input `pretrained`: a checkpoint of a float training",
            "no input `pretrained`",
            "train in float first (`quantize: false`), and give that checkpoint as `pretrained`",
        )
    if experiment.task.freeze_backbone:
        raise StageError(
            "a frozen backbone is not frozen once it is quantized",
            "experiment.yaml: task.freeze_backbone",
            "false",
            "true",
            "override `task.freeze_backbone: false`",
        )
    experiment.task.quantization = quantization()
    return True
