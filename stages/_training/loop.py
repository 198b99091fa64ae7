"""Train to the last step: checkpoints, evaluations, progress, resuming, and what to do when stopped. Imports no framework."""

import hashlib
import math
import time
from typing import NamedTuple, Optional

from _runtime import Interrupted, StageError
from _training.progress import History, Speed
from _training.stopping import heard_at_end


class Plan(NamedTuple):
    """How to train. Steps: `evaluate_every` 0 evaluates only at the end, `delay` None never quantizes; `keep` newest checkpoints stay."""

    num_steps: int
    delay: Optional[int]
    checkpoint_every: int
    evaluate_every: int
    keep: int
    deterministic: bool


def make_plan(num_steps, delay, params):
    """The `Plan` of a config's number of steps and quantization delay (None without quantization) and the stage's parameters."""
    return Plan(
        num_steps=num_steps,
        delay=delay,
        checkpoint_every=params["checkpoint_every"],
        evaluate_every=params["evaluate_every"],
        keep=params["keep_checkpoints"],
        deterministic=params["deterministic"],
    )


def next_stop(step, plan):
    """The next step after `step` at which a checkpoint is written: each multiple of checkpoint_every and evaluate_every, and the last."""
    return min([plan.num_steps] + [(step // every + 1) * every for every in (plan.checkpoint_every, plan.evaluate_every) if every])


def last_float_step(plan):
    """The last step before quantization, whose weights know nothing of it; None where no step is without it, or each."""
    return plan.delay if plan.delay and plan.delay < plan.num_steps else None


def evaluation_due(step, plan):
    """Whether the checkpoint of `step` is to be evaluated."""
    return step == plan.num_steps or bool(plan.evaluate_every and step and step % plan.evaluate_every == 0)


def segment_seed(seed, step):
    """Seed of a training's input from `step` on: 31 bits of the sha256 of "seed:step".

    A training that is resumed does not begin the same data again. In a deterministic one each segment, from one checkpoint to the next, has
    a seed of its own: so a resumed training sees the data of one that never stopped.
    """
    return int(hashlib.sha256(("%d:%d" % (seed, step)).encode("ascii")).hexdigest()[:8], 16) & 0x7FFFFFFF


class Trainer:
    """Trains as `plan` says, keeping its checkpoints in `folder` (a _training.checkpoints.CheckpointFolder).

    make_graph: called, unless the last step is already done, for what trains, with these methods:
        begin(step): start the input for the steps from `step` on; called once or, in a deterministic training, for each segment
        advance(most): run at least one and at most `most` steps; a list with a dict for each: `loss`, its parts (`…_loss`), `learning_rate`
        global_step(), save(prefix), restore(prefix)
    evaluator: its evaluate(prefix, step) gives the checkpoint's {"step", "map", "map50", "loss"}; events: a _training.events.Events;
    errors: the class of the framework's errors, which have a `message`; advice: a _training.advice.Advice; float_folder: another
    CheckpointFolder, for the checkpoint of `last_float_step`. Nothing resumes from that one, so that keeping it changes no bit of a
    deterministic training.
    """

    def __init__(self, task, make_graph, evaluator, folder, events, plan, errors, advice, float_folder=None):
        self._task, self._folder, self._events, self._plan = task, folder, events, plan
        self._float_folder, self._errors, self._advice = float_folder, errors, advice
        self._make_graph, self._evaluator = make_graph, evaluator
        self._graph = None
        self._speed = Speed()
        self._mark = time.monotonic()
        self._saved = self._noted = 0
        self.history = History(plan.num_steps)

    def run(self, sealed, warm_start):
        """Train to the last step, from the checkpoint `sealed` if not None, else from weights that `warm_start(graph)` may set
        (it returns what the history shall say of that).

        Raises StageError where the loss is no number, and Interrupted where the engine wants to stop: then, unless deterministic, with a
        checkpoint of the step reached.
        """
        if sealed is not None:
            self._saved = self._noted = sealed.step
            self.history = History(self._plan.num_steps, sealed.state)
            self.history.resumed_from.append(sealed.step)
            self._events.resumed(sealed.step)
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
        last_float = last_float_step(self._plan) if self._float_folder else None
        while step < end:
            stop = last_float if last_float and step < last_float < end else end
            with heard_at_end():  # what is done is noted before a stop seals it
                done = self._advance(step, stop - step)
                self._speed.count(len(done))
                for values in done:
                    step += 1
                    self._note(step, values)
            if step == last_float:
                self._write_checkpoint(self._float_folder, step)
        self._checkpoint(step)

    def _advance(self, step, most):
        try:
            return self._graph.advance(most)
        except self._errors as error:
            raise self._broken(f"step {step + 1}", error) from error

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
                self._advice.loss,
            )
        speed = self._speed.recent()
        if self.history.note(step, values, speed):
            self._events.scalars(step, dict(values, steps_per_s=speed))
        if step == plan.delay:
            self._task.say("step %d: quantization begins" % step)
        left = (plan.num_steps - step) / speed if speed else None
        shown = {"loss": round(values["loss"], 4), "steps_per_s": round(speed, 3), "eta_s": left and round(left, 1)}
        if "learning_rate" in values:
            shown["learning_rate"] = float("%.4g" % values["learning_rate"])
        if plan.delay is not None:
            shown["phase"] = "quantized" if step >= plan.delay else "float"
        self._task.progress(step, plan.num_steps, "step", **shown)
        self._noted = step

    def _checkpoint(self, step):
        """Write and seal the checkpoint of `step`, and remove those that are no longer needed."""
        self._write_checkpoint(self._folder, step)
        self._saved = step
        best = self.history.best(self._plan.delay)
        self._folder.prune(self._plan.keep, {best["step"]} if best else ())
        self._events.flush()

    def _write_checkpoint(self, folder, step):
        try:
            self._graph.save(folder.prefix(step))
            self._seal(folder, step)
        except (self._errors, OSError) as error:
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
        except self._errors as error:
            raise self._broken(f"evaluation of step {step}", error) from error
        self.history.evaluations.append(result)
        self._seal(self._folder, step)
        self._task.say("step %d: mAP %.3f, mAP@0.5 %.3f" % (step, result["map"], result["map50"]))

    def _stop(self):
        """Keep what was done since the last checkpoint.

        A deterministic run goes back to that one, for its input begins anew only there; and so does one whose losses of the last steps
        are not known, because two signals came within them: its weights may be no numbers any more.
        """
        if self._graph is None or self._plan.deterministic:
            return
        step = self._graph.global_step()
        if step != self._noted:
            self._task.say("stopped within a step; the next run resumes from step %d" % self._saved)
        elif step > self._saved:
            self._checkpoint(step)
            self._task.say("stopped at step %d; the next run resumes there" % step)

    def _broken(self, where, error):
        """The StageError for what the framework raised while it read records or computed."""
        kind, first = type(error).__name__, (error.message or "").split("\n")[0]
        if kind == "ResourceExhaustedError":
            return StageError(
                "there is not enough memory",
                where,
                "room for one batch with all that training keeps of it",
                first,
                self._advice.memory,
            )
        return StageError(
            "TensorFlow could not go on",
            where,
            "readable records and finite values",
            f"{kind}: {first}",
            "records that changed or are damaged are the usual cause: build them again; the stage's log names the operation",
        )
