"""Speed, time left and the history of a training run."""

import math
import time

# Points kept of the loss curve: enough for a picture, however long the run.
_POINTS = 500


class Speed:
    """Steps a second over the last seconds, and since the start."""

    def __init__(self, window=15.0, clock=time.monotonic):
        self._clock, self._window = clock, window
        self._marks = []
        self._steps, self._seconds = 0, 0.0

    def restart(self):
        """Begin a stretch of steps: what came before (evaluation, writing a checkpoint) is no training time."""
        self._marks = [(self._clock(), self._steps)]

    def count(self, steps=1):
        """Note that some steps are done."""
        now = self._clock()
        self._seconds += now - self._marks[-1][0]
        self._steps += steps
        self._marks.append((now, self._steps))
        while len(self._marks) > 2 and now - self._marks[0][0] > self._window:
            self._marks.pop(0)

    def recent(self):
        """Steps a second lately; 0 before the first step."""
        seconds = self._marks[-1][0] - self._marks[0][0]
        return (self._marks[-1][1] - self._marks[0][1]) / seconds if seconds > 0 else 0.0

    def overall(self):
        """Steps a second of all stretches together; 0 before the first step."""
        return self._steps / self._seconds if self._seconds > 0 else 0.0


class History:
    """What training has seen so far: made from, and given back as, the `state` of a sealed checkpoint."""

    def __init__(self, num_steps, state=None):
        state = state or {}
        self._every = max(1, num_steps // _POINTS)
        self._last = num_steps
        self.steps = list(state.get("steps", []))
        self.evaluations = list(state.get("evaluations", []))
        self.resumed_from = list(state.get("resumed_from", []))
        self.warm_start = state.get("warm_start")
        self.seconds = state.get("seconds", 0.0)

    def note(self, step, values, steps_per_s):
        """Keep one step of the loss curve, if it is one of those kept; whether it is."""
        if step % self._every and step != self._last:
            return False
        self.steps.append(
            {
                "step": step,
                "loss": _short(values["loss"]),
                "learning_rate": _short(values.get("learning_rate", 0.0)),
                "steps_per_s": round(steps_per_s, 3),
            }
        )
        return True

    def evaluated(self, step):
        """Whether the checkpoint of `step` has been evaluated."""
        return any(entry["step"] == step for entry in self.evaluations)

    def best(self, delay):
        """The evaluation with the highest mAP@0.5 after quantization began (the later of equals), or None."""
        entries = [entry for entry in self.evaluations if delay is None or entry["step"] > delay]
        return max(entries, key=lambda entry: (entry["map50"], entry["step"])) if entries else None

    def state(self):
        """Everything, as JSON."""
        return {
            "steps": self.steps,
            "evaluations": self.evaluations,
            "resumed_from": self.resumed_from,
            "warm_start": self.warm_start,
            "seconds": round(self.seconds, 3),
        }


def as_map(value):
    """A mean average precision as COCO's evaluator gives it, 0 to 1: -1 (there is no object at all) and NaN become 0."""
    value = float(value)
    return 0.0 if math.isnan(value) or value < 0 else round(value, 6)


def _short(value):
    return float(f"{value:.6g}")
