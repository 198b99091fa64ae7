"""A model's classes told by their names in those of a dataset: for a model that knows more classes, or has them in another order."""

import numpy as np

from _detection.postprocess import Detections
from _runtime import StageError


class ByName:
    """A detector whose classes are the dataset's; what it finds of others is left out. Shows its layers where the inner one does.

    detector: with the classes `theirs`; ours: the dataset's names. Raises StageError where the model lacks one of them.
    """

    def __init__(self, detector, theirs, ours):
        missing = [name for name in ours if name not in theirs]
        if missing:
            raise StageError(
                "the model does not know a class of the dataset",
                "labels.json",
                ", ".join(ours),
                "no %s" % ", ".join(missing),
                "name the class as the model's labels do, or choose a model that knows it",
            )
        twice = [name for name in ours if theirs.count(name) > 1]
        if twice:
            raise StageError(
                "a class of the model has another one's name", "labels.json", "%s once" % twice[0], "twice", "import it with other labels"
            )
        self._detector = detector
        self._ids = np.array([ours.index(name) if name in ours else -1 for name in theirs], np.int64)
        if hasattr(detector, "layers"):
            self.layers = detector.layers

    def __call__(self, pixels):
        found = self._detector(pixels)
        classes = self._ids[np.asarray(found.classes, np.int64)]
        kept = classes >= 0
        return Detections(found.boxes[kept], classes[kept], found.scores[kept])
