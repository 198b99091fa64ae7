"""Quantization-aware training of an SSD with the TensorFlow 1 Object Detection API; resumes after a kill."""

import shutil
from pathlib import Path

import tensorflow as tf
from training_evaluation import Evaluator
from training_graph import Api, TrainingGraph
from training_untrained import write_untrained
from training_warm_start import restore_fitting

from _odapi.config_text import print_config, read_config
from _runtime import run, write_text
from _training.advice import OBJECT_DETECTION_API
from _training.checkpoints import CheckpointFolder, resume_point
from _training.events import Events
from _training.export import export
from _training.loop import Trainer, last_float_step, make_plan
from _training.memory import keep_freed_memory
from _training.records import check_records, resolve_paths
from _training.warm_start import find_checkpoint, say_restored

FLOAT = "before_quantization"


def main(task):
    """Train to num_steps, and write the chosen checkpoint, its config, and the history; or write the checkpoint of step 0."""
    tf.logging.set_verbosity(tf.logging.WARN)
    keep_freed_memory()
    records, source = task.input("records"), task.input("config").path / "pipeline.config"
    if not task.params["untrained"]:
        check_records(records.path, records.json("records.json"), task.cpus)
    config = read_config(source)
    resolve_paths(config, records.path)
    delay = config.graph_rewriter.quantization.delay if config.HasField("graph_rewriter") else None
    plan = make_plan(config.train_config.num_steps, delay, task.params)
    if task.params["untrained"]:
        write_untrained(task, plan, config, source, {FLOAT: None})
    else:
        train(task, plan, config, source)
    task.tools["tensorflow"] = tf.__version__


def train(task, plan, config, source):
    """Train as `plan` says, and write the artifact. config: with absolute paths; source: its file as configured."""
    write_text(task.scratch / "pipeline.config", print_config(config))
    seed, threads = task.params["seed"], (task.params["intra_op_threads"], task.params["inter_op_threads"])
    folder, float_folder = CheckpointFolder(task.scratch / "checkpoints"), CheckpointFolder(task.scratch / FLOAT)
    sealed = resume_point(task, folder)
    with Events(task.scratch / "events" / "train") as train_events, Events(task.scratch / "events" / "eval") as evaluation_events:
        api = Api(task.scratch / "pipeline.config", task.scratch / "unused", seed)
        evaluator = Evaluator(api, seed, threads, evaluation_events)
        trainer = Trainer(
            task,
            lambda: TrainingGraph(api, seed, threads, plan.deterministic, worth_optimizing(plan)),
            evaluator,
            folder,
            train_events,
            plan,
            tf.errors.OpError,
            OBJECT_DETECTION_API,
            float_folder,
        )
        trainer.run(sealed, lambda graph: warm_start(task, graph))
        evaluator.close()
    export(task, plan, folder, trainer.history, source, {FLOAT: export_float(task, plan, float_folder)})


def export_float(task, plan, folder):
    """Write the checkpoint of the last step before quantization, where there is one; {"step", "prefix"}, or None."""
    step = last_float_step(plan)
    if step is None or not task.params["keep_float"]:
        return None
    if not folder.whole(step):
        task.warn("the checkpoint of step %d, the last before quantization, is lost: what quantization costs cannot be told apart" % step)
        return None
    (task.output / FLOAT).mkdir()
    for name in folder.files(step):
        shutil.copyfile(str(folder.path / name), str(task.output / FLOAT / name))
    return {"step": step, "prefix": "%s/model.ckpt-%d" % (FLOAT, step)}


def worth_optimizing(plan):
    """Whether TensorFlow may rewrite the graph: not where its time outweighs the gain, nor where its choices could change a bit."""
    return not plan.deterministic and plan.num_steps >= 200


def warm_start(task, graph):
    """Restore from the parameter `warm_start` what fits; what `restore_fitting` reports, or None without the parameter."""
    if task.params["warm_start"] is None:
        return None
    report = restore_fitting(graph.session, graph.model_variables, find_checkpoint(Path(task.params["warm_start"]), 1))
    say_restored(task, report)
    return report


if __name__ == "__main__":
    run(main)
