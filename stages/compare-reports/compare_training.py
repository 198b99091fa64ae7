"""Both runs' training curves in the same charts."""

from _report.artifacts import CHECKPOINTS
from _report.plots import Series, line_chart, points


def training_charts(first, second):
    """Charts of training loss, validation loss and mAP@0.5 by step, each with a line for each run; those that neither has are left out."""
    told = [(side.name, *_history(side)) for side in (first, second)]
    steps = (0, max((row["step"] for _, *tables in told for rows in tables for row in rows), default=1))
    charts = [
        line_chart("t-loss", "Training loss", [Series(name, points(rows, "loss")) for name, rows, _ in told], "step", x_range=steps),
        line_chart(
            "t-validation",
            "Validation loss",
            [Series(name, points(tested, "loss"), markers=True) for name, _, tested in told],
            "step",
            x_range=steps,
        ),
        line_chart(
            "t-map",
            "mAP@0.5 during training",
            [Series(name, points(tested, "map50"), markers=True) for name, _, tested in told],
            "step",
            x_range=steps,
            y_range=(0, 1),
        ),
    ]
    return [chart for chart in charts if chart]


def _history(side):
    """(training steps, evaluations) of a side's last checkpoint; empty where it has none."""
    checkpoint = next(reversed(side.artifacts.of(*CHECKPOINTS)), None)
    history = (checkpoint.json("history.json") if checkpoint else None) or {}
    return history.get("steps") or [], history.get("evaluations") or []
