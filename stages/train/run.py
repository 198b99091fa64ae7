"""Quantization-aware training of an SSD with the TensorFlow 1 Object Detection API; resumes after a kill."""

import shutil
from pathlib import Path

import tensorflow as tf
from training_evaluation import Evaluator
from training_graph import Api, TrainingGraph, keep_freed_memory
from training_loop import Plan, Trainer, last_float_step
from training_warm_start import find_checkpoint, restore_fitting

from _odapi.config_text import print_config, read_config
from _runtime import run, write_json, write_text
from _training.checkpoints import CheckpointFolder
from _training.records import check_records, resolve_paths

FLOAT = "before_quantization"


def main(task):
    """Train to num_steps, and write the chosen checkpoint, its config, and the history of the training."""
    tf.logging.set_verbosity(tf.logging.WARN)
    keep_freed_memory()
    records, source = task.input("records"), task.input("config").path / "pipeline.config"
    check_records(records.path, records.json("records.json"), task.cpus)
    config = read_config(source)
    resolve_paths(config, records.path)
    write_text(task.scratch / "pipeline.config", print_config(config))
    plan = make_plan(config, task.params)
    seed, threads = task.params["seed"], (task.params["intra_op_threads"], task.params["inter_op_threads"])
    folder, float_folder = CheckpointFolder(task.scratch / "checkpoints"), CheckpointFolder(task.scratch / FLOAT)
    sealed = resume_point(task, folder)
    with tf.summary.FileWriter(str(task.scratch / "events" / "train")) as train_events, tf.summary.FileWriter(
        str(task.scratch / "events" / "eval")
    ) as evaluation_events:
        api = Api(task.scratch / "pipeline.config", task.scratch / "unused", seed)
        evaluator = Evaluator(api, seed, threads, evaluation_events)
        trainer = Trainer(
            task,
            lambda: TrainingGraph(api, seed, threads, plan.deterministic, worth_optimizing(plan)),
            evaluator,
            folder,
            train_events,
            plan,
            float_folder,
        )
        trainer.run(sealed, lambda graph: warm_start(task, graph))
        evaluator.close()
    export(task, plan, folder, trainer.history, source, export_float(task, plan, float_folder))
    task.tools["tensorflow"] = tf.__version__


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


def make_plan(config, params):
    """The `Plan` of a pipeline.config and the stage's parameters."""
    return Plan(
        num_steps=config.train_config.num_steps,
        delay=config.graph_rewriter.quantization.delay if config.HasField("graph_rewriter") else None,
        checkpoint_every=params["checkpoint_every"],
        evaluate_every=params["evaluate_every"],
        keep=params["keep_checkpoints"],
        deterministic=params["deterministic"],
    )


def resume_point(task, folder):
    """The newest whole checkpoint of an earlier attempt, or None; says which damaged ones it passed over, and removes them."""
    sealed, rejected = folder.newest()
    for step, reason in rejected:
        task.warn("the checkpoint of step %d cannot be used: %s" % (step, reason))
        folder.remove(step)
    if sealed is not None:
        task.say("resuming from step %d" % sealed.step)
    elif rejected:
        task.warn("no earlier checkpoint can be used: training starts from the beginning")
    return sealed


def warm_start(task, graph):
    """Restore from the parameter `warm_start` what fits; what `restore_fitting` reports, or None without the parameter."""
    if task.params["warm_start"] is None:
        return None
    report = restore_fitting(graph.session, graph.model_variables, find_checkpoint(Path(task.params["warm_start"])))
    left = len(report["missing"]) + len(report["other_shape"])
    task.say(
        "warm start: %d variables restored, %d not (%d are not in the checkpoint, %d have another shape there)"
        % (len(report["restored"]), left, len(report["missing"]), len(report["other_shape"]))
    )
    return report


def export(task, plan, folder, history, config, before_quantization):
    """Write the chosen checkpoint, the config as it was configured, checkpoint.json, and as evidence history.json and events.

    before_quantization: what `export_float` wrote.
    """
    best = history.best(plan.delay) if task.params["export"] == "best" else None
    if best and not folder.whole(best["step"]):
        task.warn("the best checkpoint, of step %d, is damaged: the last one is exported" % best["step"])
        best = None
    step = best["step"] if best else plan.num_steps
    for name in folder.files(step):
        shutil.copyfile(str(folder.path / name), str(task.output / name))
    shutil.copyfile(str(config), str(task.output / "pipeline.config"))
    warm = history.warm_start
    # Part of the artifact's digest: nothing that differs from run to run belongs here.
    write_json(
        task.output / "checkpoint.json",
        {
            "schema": 1,
            "step": step,
            "prefix": "model.ckpt-%d" % step,
            FLOAT: before_quantization,
            "classes": task.input("config").json("config.json")["classes"],
            "selected_by": "highest mAP@0.5 among the evaluations after quantization began" if best else "last",
            "evaluations": history.evaluations,
            "num_steps": plan.num_steps,
            "quantization_delay": plan.delay,
            "deterministic": plan.deterministic,
            "seed": task.params["seed"],
            "intra_op_threads": task.params["intra_op_threads"],
            "warm_start": warm and {name: len(found) for name, found in warm.items()},
        },
    )
    write_json(task.output / "history.json", dict(history.state(), schema=1))
    shutil.copytree(str(task.scratch / "events"), str(task.output / "events"))
    chosen = next((entry for entry in history.evaluations if entry["step"] == step), None)
    if chosen:
        task.metrics.update(step=step, map=chosen["map"], map50=chosen["map50"])


if __name__ == "__main__":
    run(main)
