"""A whole training: what is checked before, the loop, and what is left at the end."""

import logging
from pathlib import Path

import tensorflow as tf
from tf2_training_devices import make_strategy, use_deterministic_operations
from tf2_training_evaluation import Evaluator
from tf2_training_graph import TrainingGraph
from tf2_untrained import write_untrained
from tf2_warm_start import warm_start

from _odapi.config_text import print_config, read_config
from _runtime import StageError, write_text
from _training.advice import OBJECT_DETECTION_API
from _training.checkpoints import CheckpointFolder, resume_point
from _training.devices import set_threads
from _training.events import Events
from _training.export import export
from _training.loop import Trainer, make_plan
from _training.memory import keep_freed_memory
from _training.records import check_records, resolve_paths
from _training.warm_start import find_checkpoint, say_restored


def train(task):
    """Do the task of the stage train-tf2."""
    tf.get_logger().setLevel(logging.ERROR)
    keep_freed_memory()
    records, source = task.input("records"), task.input("config").path / "pipeline.config"
    if not task.params["untrained"]:
        check_records(records.path, records.json("records.json"), task.cpus)
    config = read_config(source)
    check_config(config)
    resolve_paths(config, records.path)
    write_text(task.scratch / "pipeline.config", print_config(config))
    plan = make_plan(config.train_config.num_steps, None, task.params)
    threads = set_threads(task.params["intra_op_threads"], task.params["inter_op_threads"], plan.deterministic)
    if plan.deterministic:
        use_deterministic_operations()
    (write_untrained if task.params["untrained"] else _train)(task, plan, config, source, {"intra_op_threads": threads[0]})
    task.tools["tensorflow"] = tf.__version__


def _train(task, plan, config, source, more):
    """Train as `plan` says, and write the artifact. source: the file of the config as configured; more: fields of checkpoint.json."""
    seed, strategy = task.params["seed"], make_strategy(task, config.train_config.batch_size, plan.deterministic)
    folder = CheckpointFolder(task.scratch / "checkpoints")
    sealed = resume_point(task, folder)
    with Events(task.scratch / "events" / "train") as train_events, Events(task.scratch / "events" / "eval") as evaluation_events:
        trainer = Trainer(
            task,
            lambda: TrainingGraph(config, strategy, seed, plan.deterministic),
            Evaluator(config, seed, plan.deterministic, evaluation_events),
            folder,
            train_events,
            plan,
            tf.errors.OpError,
            OBJECT_DETECTION_API,
        )
        trainer.run(sealed, lambda graph: start_warm(task, config, graph))
    export(task, plan, folder, trainer.history, source, more)


def check_config(config):
    """Refuse what TensorFlow 2's training would ignore without a word; StageError names the field and what to write instead."""
    refused = [
        (
            "graph_rewriter",
            config.HasField("graph_rewriter"),
            "no graph_rewriter: TensorFlow 2's Object Detection API cannot train for quantization",
            "remove it (configure with the stage configure-tf2), or train with the stage `train`",
        ),
        (
            "train_config.optimizer.use_moving_average",
            config.train_config.optimizer.use_moving_average,
            "false: the averages would be in no exported model",
            "override `train_config.optimizer.use_moving_average: false`",
        ),
        (
            "train_config.fine_tune_checkpoint",
            bool(config.train_config.fine_tune_checkpoint),
            "no path: a stage cannot see it",
            "override it with null, and give the checkpoint's folder as the parameter `warm_start`",
        ),
    ]
    for field, given, expected, remedy in refused:
        if given:
            raise StageError("training would ignore a part of the config", "pipeline.config: " + field, expected, "it is set", remedy)


def start_warm(task, config, graph):
    """Restore what the parameters `warm_start` and `warm_start_type` ask for; the report of it, or None without them."""
    if task.params["warm_start"] is None:
        return None
    prefix = find_checkpoint(Path(task.params["warm_start"]), 2)
    report = warm_start(graph.model, prefix, task.params["warm_start_type"], config)
    say_restored(task, report)
    return report
