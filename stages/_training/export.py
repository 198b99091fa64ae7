"""What a training leaves: the chosen checkpoint, its config, and the history."""

import shutil

from _runtime import write_json
from _training.progress import History


def export(task, plan, folder, history, config, more):
    """Write the chosen checkpoint, the config (a file) as it was configured, checkpoint.json, and as evidence history.json and events.

    plan: a _training.loop.Plan; folder: the CheckpointFolder; history: a _training.progress.History; more: further fields of
    checkpoint.json, or such that are not as the parameters say.
    """
    best = history.best(plan.delay) if task.params["export"] == "best" else None
    if best and not folder.whole(best["step"]):
        task.warn("the best checkpoint, of step %d, is damaged: the last one is exported" % best["step"])
        best = None
    step = best["step"] if best else plan.num_steps
    for name in folder.files(step):
        shutil.copyfile(str(folder.path / name), str(task.output / name))
    among = "the evaluations" if plan.delay is None else "the evaluations after quantization began"
    _tell(task, plan, history, config, dict(more, step=step, selected_by="highest mAP@0.5 among " + among if best else "last"))
    shutil.copytree(str(task.scratch / "events"), str(task.output / "events"))
    chosen = next((entry for entry in history.evaluations if entry["step"] == step), None)
    if chosen:
        task.metrics.update(step=step, map=chosen["map"], map50=chosen["map50"])


def export_untrained(task, plan, save, config, more):
    """Write the checkpoint of step 0, by `save(prefix)`, and the other files as `export` does, but no events.

    checkpoint.json is marked (see _untrained.marks), so that nobody takes for a model what is made of it.
    """
    save(str(task.output / "model.ckpt-0"))
    _tell(task, plan, History(plan.num_steps), config, dict(more, step=0, selected_by="none: it is untrained", untrained=True))


def _tell(task, plan, history, config, more):
    """Write the config, checkpoint.json and history.json. more: fields of checkpoint.json, `step` among them."""
    shutil.copyfile(str(config), str(task.output / config.name))
    warm = history.warm_start
    # Part of the artifact's digest: nothing that differs from run to run belongs here.
    about = {
        "schema": 1,
        "prefix": "model.ckpt-%d" % more["step"],
        "classes": task.input("config").json("config.json")["classes"],
        "evaluations": history.evaluations,
        "num_steps": plan.num_steps,
        "quantization_delay": plan.delay,
        "deterministic": plan.deterministic,
        "seed": task.params["seed"],
        "intra_op_threads": task.params["intra_op_threads"],
        "warm_start": warm and {name: len(found) for name, found in warm.items()},
    }
    write_json(task.output / "checkpoint.json", dict(about, **more))
    write_json(task.output / "history.json", dict(history.state(), schema=1))
