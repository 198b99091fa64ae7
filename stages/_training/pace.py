"""How many steps one call of TensorFlow makes. Imports no framework."""

import time

# Seconds that one call shall take: what the call itself costs is then lost in it, and a stop need not wait long. Steps at most, as the
# Object Detection API's own loop for TensorFlow 2 (model_lib_v2.NUM_STEPS_PER_ITERATION).
_SECONDS, _MOST = 1.0, 100


class Pace:
    """Begins with one step a call, and follows the time that the last call took."""

    def __init__(self):
        self.at_once = 1

    def run(self, train, most):
        """What `train(count)` returns, for as many steps as take about a second, and at most `most`."""
        count, start = min(most, self.at_once), time.monotonic()
        done = train(count)
        seconds = (time.monotonic() - start) / count
        self.at_once = max(1, min(_MOST, int(_SECONDS / seconds)))
        return done
