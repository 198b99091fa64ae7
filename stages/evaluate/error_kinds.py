"""What is wrong with a detection that found nothing, and with an object that was not found: TIDE's kinds of error.

Bolya et al., TIDE: A General Toolbox for Identifying Object Detection Errors (ECCV 2020, https://arxiv.org/abs/2008.08115), section 2.2,
with its thresholds. Where several kinds would fit, the first of its own program (tidecv 1.0.1) counts: localization, classification,
duplicate, background, both. Crowd regions are no objects here.
"""

import numpy as np

FOREGROUND, BACKGROUND = 0.5, 0.1  # IoU from which a box is an object's, and up to which it is nobody's
KINDS = ("correct", "classification", "localization", "both", "duplicate", "background", "missed")
_EXPLAINS_A_MISS = ("classification", "localization")


def error_kind(category, overlaps, categories):
    """(kind, place of the object that it is about, or None) of a detection that COCO's matching at IoU 0.5 found to be false.

    category: the detection's; overlaps: its IoU with each object of its image, float [m]; categories: int [m], of these.
    """
    if not len(overlaps):
        return "background", None
    own = np.where(categories == category, overlaps, 0.0)
    other = np.where(categories == category, 0.0, overlaps)
    best, wrong = int(np.argmax(own)), int(np.argmax(other))
    if BACKGROUND <= own[best] < FOREGROUND:
        return "localization", best
    if other[wrong] >= FOREGROUND:
        return "classification", wrong
    if own[best] >= FOREGROUND:
        return "duplicate", best  # else the matching would have given it that object
    if other[wrong] <= BACKGROUND:
        return "background", None
    return "both", wrong


def missed(found, errors):
    """Places of the objects that nothing explains: not found, and of no false detection that is one of their class or place.

    found: bool [m], whether each object was found; errors: (kind, place) of each false detection.
    """
    explained = {place for kind, place in errors if kind in _EXPLAINS_A_MISS}
    return [place for place, hit in enumerate(found) if not hit and place not in explained]


def confusions(categories, overlaps, truths, found):
    """(place of a false detection, place of the object that it takes for one of its own class), each at most once.

    What COCO's matching left over is matched over classes: the false detections by falling score, each with the object of another class
    that it overlaps most, by an IoU of 0.5 or more, among those that were not found and are not taken yet.
    categories: int [k], the false detections' by falling score; overlaps: float [k, m]; truths: int [m], the objects'; found: bool [m].
    """
    free, pairs = ~np.asarray(found, bool), []
    for place, category in enumerate(categories):
        open_to = np.where(free & (truths != category), overlaps[place], 0.0)
        best = int(np.argmax(open_to)) if len(open_to) else 0
        if len(open_to) and open_to[best] >= FOREGROUND:
            free[best] = False
            pairs.append((place, best))
    return pairs
