"""How far a model's layers are from those of the model before it, layer by layer."""

import numpy as np

from _detection.accuracy import DIGITS
from _detection.layer_samples import FILE, read_samples
from _runtime import StageError

MOST = 20  # layers that are told, the worst


def compare_layers(before, after):
    """What two models' layers put out for the same images, compared by the layers' names.

    before, after: {layer: float32 [images, values]} of `layer_samples`, of a model and of the one after it. Returns
    {"layers": [{"layer", "error", "range": [low, high]}], the worst first, at most 20; "compared": how many; "only_before", "only_after":
    how many layers one of them lacks; "other_shape": [{"layer", "before", "after"}], of which they keep different numbers of values}.

    error: root-mean-square difference, divided by the range of the values of the model before: 0.01 is two and a half steps of 8 bits. A
    layer without a range (all its values are equal) has the error 0 where nothing differs, else 1. Where one has more images, the first
    ones that both have are compared.
    """
    shared = sorted(set(before) & set(after))
    other = [name for name in shared if before[name].shape[1:] != after[name].shape[1:]]
    layers = [_compared(name, before[name], after[name]) for name in shared if name not in other]
    return {
        "layers": sorted(layers, key=lambda layer: (-layer["error"], layer["layer"]))[:MOST],
        "compared": len(layers),
        "only_before": len(before) - len(shared),
        "only_after": len(after) - len(shared),
        "other_shape": [{"layer": name, "before": before[name].shape[1], "after": after[name].shape[1]} for name in other],
    }


def _compared(name, before, after):
    images = min(len(before), len(after))
    reference, values = before[:images].astype(np.float64), after[:images].astype(np.float64)
    low, high = float(reference.min()), float(reference.max())
    error = float(np.sqrt(np.mean((values - reference) ** 2)))
    relative = error / (high - low) if high > low else float(error > 0)
    return {"layer": name, "error": round(relative, DIGITS), "range": [_short(low), _short(high)]}


def _short(value):
    """Six digits that count: a layer that was hardly trained has a range of millionths."""
    return float("%.6g" % value) + 0.0  # no -0.0


def read_layers(model):
    """{layer: float32 [images, values]} of a `detection_checks.Model`, or None where it has none. Raises StageError for bad values."""
    samples = read_samples(model.folder)
    for name, values in (samples or {}).items():
        if values.ndim != 2 or not values.size or not np.isfinite(values).all():
            found = "values that are not finite" if values.size else "shape %s" % (values.shape,)
            raise StageError(
                "a layer's sample of %s cannot be compared" % model.name,
                "%s: %s" % (model.folder / FILE, name),
                "finite float32 [images, values]",
                found,
                "infer again; where the values are the model's own, its training diverged: look at the loss",
            )
    return samples


def why_unknown(before, after, samples):
    """Why the layers of two `Model`s cannot be compared, in words; None where they can. samples: [of before, of after], each or None."""
    lacking = [model.name for model, own in zip((before, after), samples, strict=True) if own is None]
    if lacking:
        return "there are no samples of the layers of %s: set `layers` of its inference stage" % " and ".join(lacking)
    if not set(samples[0]) & set(samples[1]):
        return "%s and %s have no layer of the same name" % (before.name, after.name)
    return None
