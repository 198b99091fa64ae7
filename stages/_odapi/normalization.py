"""How pixels become a feature extractor's input, told from what it makes of three grey pictures."""

import numpy as np

from _runtime import StageError

LEVELS = (0.0, 100.0, 255.0)  # of the grey pictures
_TOLERANCE = 1e-3  # grey levels


def linear_normalization(probes, where):
    """(mean, std), lists with one for each channel: value = (pixel - mean) / std.

    probes: for each of `LEVELS` what a pixel of that grey becomes, [channels]. Raises StageError where it is no rising linear function of
    the pixel, which a quantized input cannot express.
    """
    black, grey, white = (np.asarray(probe, np.float64) for probe in probes)
    slope = (white - black) / LEVELS[2]
    if not (slope > 0).all() or np.abs(black + LEVELS[1] * slope - grey).max() > _TOLERANCE * slope.max():
        raise _not_linear(where, "(pixel - mean) / std for each channel", black, white)
    return [round(float(value), 3) for value in -black / slope], [round(float(value), 3) for value in 1.0 / slope]


def same_for_all(mean, std, where):
    """(mean, std) as numbers. mean, std: as `linear_normalization` tells them. Raises StageError where the channels differ."""
    if np.ptp(mean) > _TOLERANCE or np.ptp(std) > _TOLERANCE * min(std):
        black, white = (((level - np.array(mean)) / std) for level in (LEVELS[0], LEVELS[2]))
        raise _not_linear(where, "the same (pixel - mean) / std for each channel", black, white)
    return mean[0], std[0]


def _not_linear(where, expected, black, white):
    return StageError(
        "the feature extractor normalizes its input in a way that a quantized input cannot",
        where,
        expected,
        "black becomes %s, white %s" % (black.round(6).tolist(), white.round(6).tolist()),
        "use a MobileNet or Inception feature extractor",
    )
