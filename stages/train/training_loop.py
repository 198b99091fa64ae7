"""Train to the last step: checkpoints, evaluations, progress, resuming, and what to do when stopped."""

import math
import time
from typing import NamedTuple, Optional

import tensorflow as tf

from _runtime import Interrupted, StageError
from _training.progress import History, Speed


class Plan(NamedTuple):
    """How to train. Steps: `evaluate_every` 0 evaluates only at the end, `delay` None never quantizes; `keep` newest checkpoints stay."""

    num_steps: int
    delay: Optional[int]
    checkpoint_every: int
    evaluate_every: int
    keep: int
    deterministic: bool


def next_stop(step, plan):
    """The next step after `step` at which a checkpoint is written: each multiple of checkpoint_every and evaluate_every, and the last."""
    return min([plan.num_steps] + [(step // every + 1) * every for every in (plan.checkpoint_every, plan.evaluate_every) if every])


def last_float_step(plan):
    """The last step before quantization, whose weights know nothing of it; None where no step is without it, or each."""
    return plan.delay if plan.delay and plan.delay < plan.num_steps else None


def evaluation_due(step, plan):
    """Whether the checkpoint of `step` is to be evaluated."""
    return step == plan.num_steps or bool(plan.evaluate_every and step and step % plan.evaluate_every == 0)


class Trainer:
    """Trains as `plan` says, keeping its checkpoints in `folder` (a _training.checkpoints.CheckpointFolder).

    make_graph: called for a training_graph.TrainingGraph unless the last step is already done; evaluator: a training_evaluation.Evaluator;
    writer: a tf.summary.FileWriter; float_folder: another CheckpointFolder, for the checkpoint of `last_float_step`. Nothing resumes from
    that one, so that keeping it changes no bit of a deterministic training.
    """

    def __init__(self, task, make_graph, evaluator, folder, writer, plan, float_folder):
        self._task, self._folder, self._writer, self._plan = task, folder, writer, plan
        self._float_folder = float_folder
        self._make_graph, self._evaluator = make_graph, evaluator
        self._graph = None
        self._speed = Speed()
        self._mark = time.monotonic()
        self._saved = 0
        self.history = History(plan.num_steps)

    def run(self, sealed, warm_start):
        """Train to the last step, from the checkpoint `sealed` if not None, else from weights that `warm_start(graph)` may set
        (it returns what the history shall say of that).

        Raises StageError where the loss is no number, and Interrupted where the engine wants to stop: then, unless deterministic, with a
        checkpoint of the step reached.
        """
        if sealed is not None:
            self._saved = sealed.step
            self.history = History(self._plan.num_steps, sealed.state)
            self.history.resumed_from.append(sealed.step)
            # TensorBoard then drops what an earlier attempt wrote of later steps.
            self._writer.add_session_log(tf.SessionLog(status=tf.SessionLog.START), sealed.step)
        try:
            self._evaluate_if_due(self._saved)
            if self._saved < self._plan.num_steps:
                self._train(sealed, warm_start)
        except Interrupted:
            self._stop()
            raise

    def _train(self, sealed, warm_start):
        self._graph = self._make_graph()
        if sealed is not None:
            self._graph.restore(sealed.prefix)
        else:
            self.history.warm_start = warm_start(self._graph)
        if not self._plan.deterministic:
            self._graph.begin(self._saved)
        self._task.progress(self._saved, self._plan.num_steps, "step", force=True)
        while self._saved < self._plan.num_steps:
            self._segment(self._saved, next_stop(self._saved, self._plan))
            self._evaluate_if_due(self._saved)
        self._task.metrics["steps_per_s"] = round(self._speed.overall(), 4)

    def _segment(self, step, end):
        """Train from the checkpoint of `step` to that of `end`."""
        if self._plan.deterministic:
            self._graph.begin(step)
        self._speed.restart()
        while step < end:
            values = self._step(step)
            step += 1
            self._speed.count()
            self._note(step, values)
            if step == last_float_step(self._plan):
                self._write_checkpoint(self._float_folder, step)
        self._checkpoint(step)

    def _step(self, step):
        try:
            return self._graph.step()
        except tf.errors.OpError as error:
            raise _broken(f"step {step + 1}", error) from error

    def _note(self, step, values):
        """Progress of one step; refuses a loss that is no number."""
        plan = self._plan
        if not math.isfinite(values["loss"]):
            parts = ", ".join("{} {:g}".format(*item) for item in sorted(values.items()) if item[0].endswith("_loss"))
            raise StageError(
                "the loss is not a number any more",
                "step %d" % step,
                "a finite loss",
                "{} ({})".format(values["loss"], parts),
                "lower the learning rate or warm it up longer; "
                "without focal loss, see that encode_background_as_zeros and the anchors fit the data",
            )
        speed = self._speed.recent()
        if self.history.note(step, values, speed):
            self._write(step, dict(values, steps_per_s=speed))
        if step == plan.delay:
            self._task.say("step %d: quantization begins" % step)
        left = (plan.num_steps - step) / speed if speed else None
        self._task.progress(
            step,
            plan.num_steps,
            "step",
            loss=round(values["loss"], 4),
            steps_per_s=round(speed, 3),
            eta_s=left and round(left, 1),
            phase="quantized" if plan.delay is not None and step >= plan.delay else "float",
        )

    def _write(self, step, values):
        entries = [tf.Summary.Value(tag=name, simple_value=value) for name, value in sorted(values.items())]
        self._writer.add_summary(tf.Summary(value=entries), step)

    def _checkpoint(self, step):
        """Write and seal the checkpoint of `step`, and remove those that are no longer needed."""
        self._write_checkpoint(self._folder, step)
        self._saved = step
        best = self.history.best(self._plan.delay)
        self._folder.prune(self._plan.keep, {best["step"]} if best else ())
        self._writer.flush()

    def _write_checkpoint(self, folder, step):
        try:
            self._graph.save(folder.prefix(step))
            self._seal(folder, step)
        except (tf.errors.OpError, OSError) as error:
            raise StageError(
                "the checkpoint could not be written",
                folder.prefix(step),
                "room for it",
                str(error).splitlines()[0],
                f"free space on the disk and run again: training resumes from step {self._saved}",
            ) from error

    def _seal(self, folder, step):
        now = time.monotonic()
        self.history.seconds += now - self._mark
        self._mark = now
        folder.seal(step, self.history.state())

    def _evaluate_if_due(self, step):
        if not evaluation_due(step, self._plan) or self.history.evaluated(step):
            return
        try:
            result = self._evaluator.evaluate(self._folder.prefix(step), step)
        except tf.errors.OpError as error:
            raise _broken(f"evaluation of step {step}", error) from error
        self.history.evaluations.append(result)
        self._seal(self._folder, step)
        self._task.say("step %d: mAP %.3f, mAP@0.5 %.3f" % (step, result["map"], result["map50"]))

    def _stop(self):
        """Keep what was done since the last checkpoint. A deterministic run goes back to that one: its input begins anew only there."""
        if self._graph is None or self._plan.deterministic:
            return
        step = self._graph.global_step()
        if step > self._saved:
            self._checkpoint(step)
            self._task.say("stopped at step %d; the next run resumes there" % step)


def _broken(where, error):
    """The StageError for what TensorFlow raised while it read records or computed."""
    return StageError(
        "TensorFlow could not go on",
        where,
        "readable records and finite values",
        "{}: {}".format(type(error).__name__, (error.message or "").split("\n")[0]),
        "records that changed or are damaged are the usual cause: build them again; the stage's log names the operation",
    )
