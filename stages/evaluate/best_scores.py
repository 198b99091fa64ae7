"""The score from which on a model's detections are best taken: where F1, the harmonic mean of precision and recall, is largest."""

import numpy as np

from _detection.accuracy import DIGITS


def best_score(scores, right, objects):
    """{"score", "precision", "recall", "f1"} where detections of that score or a higher one have the largest F1; None where none is right.

    scores: float32 [n]; right: bool [n], whether a detection found an object (at IoU 0.5); objects: how many there are to find. Detections
    that count for nothing are not among them. Of equal F1 the highest score. score is a float32's shortest decimal: compare it as one.
    """
    if not right.any():
        return None
    order = np.argsort(-scores, kind="stable")
    scores, hits = scores[order], np.cumsum(right[order])
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))  # equal scores are taken together
    taken = last + 1
    # F1 = 2 TP / (TP + FP + TP + FN)
    f1 = 2 * hits[last] / (taken + objects)
    best = int(np.argmax(f1))
    found = int(hits[last[best]])
    values = {"precision": found / int(taken[best]), "recall": found / objects, "f1": float(f1[best])}
    return {"score": short(scores[last[best]]), **{name: round(value, DIGITS) for name, value in values.items()}}


def short(score):
    """The shortest decimal number that is the same float32."""
    return float(str(np.float32(score)))
