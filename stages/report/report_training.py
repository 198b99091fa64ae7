"""The page's part on how the model was made: configuration and training."""

from _report.artifacts import CHECKPOINTS, CONFIGS
from _report.page import plain, seconds
from _report.plots import Mark, Series, line_chart, points


def configs(artifacts):
    """What each config.json changed, with the reasons."""
    found = []
    for each in artifacts.of(*CONFIGS):
        config = each.json("config.json")
        facts = [
            (name.replace("_", " "), plain(config[name]))
            for name in ("input_size", "num_classes", "num_steps", "quantization_delay", "batch_size")
            if config.get(name) is not None
        ]
        found.append({"name": each.name, "facts": facts, "changes": config.get("changes") or []})
    return found


def trainings(artifacts):
    """Curves and facts of each checkpoint's training."""
    return [_training(each, number) for number, each in enumerate(artifacts.of(*CHECKPOINTS))]


def _training(artifact, number):
    checkpoint, history = artifact.json("checkpoint.json"), artifact.json("history.json") or {}
    steps = history.get("steps") or []
    evaluations = history.get("evaluations") or checkpoint.get("evaluations") or []
    delay, total = checkpoint.get("quantization_delay"), checkpoint.get("num_steps")
    last = max([total or 0, *(row["step"] for row in [*steps, *evaluations])])
    took = artifact.manifest.get("seconds")
    facts = [
        ("step of the checkpoint", checkpoint.get("step")),
        ("steps in all", total),
        ("selected by", checkpoint.get("selected_by")),
        ("quantization starts at step", delay),
        ("time of the stage", None if took is None else seconds(took)),
    ]
    return {
        "name": artifact.name,
        "facts": [(name, plain(value)) for name, value in facts if value is not None],
        "evaluations": evaluations,
        "charts": [chart for chart in _charts(number, steps, evaluations, delay, last) if chart],
    }


def _charts(number, steps, evaluations, delay, last):
    when = f" Quantization starts at step {delay:,}." if delay else ""
    common = {"x_range": (0, last), "marks": [Mark(delay, "quantization starts")] if delay else []}
    yield line_chart(
        f"loss-{number}",
        "Loss",
        [Series("training loss", points(steps, "loss")), Series("validation loss", points(evaluations, "loss"), markers=True)],
        "step",
        lead=f"Loss at each recorded training step, and at each evaluation.{when}",
        **common,
    )
    yield line_chart(
        f"rate-{number}",
        "Learning rate",
        [Series("learning rate", points(steps, "learning_rate"))],
        "step",
        log=False,
        lead=f"Learning rate at each recorded step.{when}",
        **common,
    )
    yield line_chart(
        f"map-{number}",
        "mAP of the evaluations during training",
        [Series("mAP@0.5", points(evaluations, "map50"), markers=True), Series("mAP", points(evaluations, "map"), markers=True)],
        "step",
        y_range=(0, 1),
        lead=f"mAP and mAP at IoU 0.5 of each evaluation.{when}",
        table=False,
        **common,
    )
