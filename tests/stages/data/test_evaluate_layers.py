"""Where accuracy is lost, the layers of the two models are compared by name, the worst first."""

import numpy as np
import pytest
from _detection.accuracy import Accuracy
from _detection.detection_checks import Model
from _detection.layer_samples import write_samples
from _runtime import StageError

from stage_helpers import load

compare_layers = load("evaluate", "layer_errors").compare_layers
chain_steps = load("evaluate", "chain_steps").chain_steps


def values(*rows):
    return np.array(rows, np.float32)


def test_a_layers_error_is_the_root_mean_square_difference_by_the_range_before():
    told = compare_layers({"conv": values([0, 4], [10, 2])}, {"conv": values([0, 4], [10, 6])})
    assert told["layers"] == [{"layer": "conv", "error": 0.2, "range": [0.0, 10.0]}]  # sqrt(16 / 4) / 10


def test_the_worst_layers_come_first_and_no_more_than_20():
    before = {"layer%02d" % number: values([0, 1]) for number in range(25)}
    after = {name: rows + np.float32(number % 7 / 10) for number, (name, rows) in enumerate(before.items())}
    told = compare_layers(before, after)
    errors = [layer["error"] for layer in told["layers"]]
    assert (len(errors), told["compared"]) == (20, 25)
    assert errors == sorted(errors, reverse=True)
    assert [layer["layer"] for layer in told["layers"][:3]] == ["layer06", "layer13", "layer20"]


def test_layers_that_one_lacks_are_counted_and_other_shapes_told():
    before = {"both": values([0, 1]), "old": values([1, 2]), "older": values([1, 2]), "grown": values([1, 2])}
    after = {"both": values([0, 1]), "new": values([1, 2]), "grown": values([1, 2, 3])}
    assert compare_layers(before, after) == {
        "layers": [{"layer": "both", "error": 0.0, "range": [0.0, 1.0]}],
        "compared": 1,
        "only_before": 2,
        "only_after": 1,
        "other_shape": [{"layer": "grown", "before": 2, "after": 3}],
    }


def test_the_images_that_both_have_are_compared():
    assert compare_layers({"conv": values([0, 1], [9, 9])}, {"conv": values([0, 1])})["layers"][0] == {
        "layer": "conv",
        "error": 0.0,
        "range": [0.0, 1.0],
    }


@pytest.mark.parametrize(("after", "error"), [([3, 3], 0.0), ([3, 4], 1.0)])
def test_a_layer_without_a_range_is_right_or_wrong(after, error):
    assert compare_layers({"conv": values([3, 3])}, {"conv": values(after)})["layers"][0]["error"] == error


def test_a_range_is_told_however_small_it_is():
    layer = compare_layers({"conv": values([-1e-9, 2.34567891e-8])}, {"conv": values([0, 0])})["layers"][0]
    assert layer["range"] == [-1e-9, 2.34568e-8]


def chain(tmp_path, *steps):
    """(models, accuracies) of (name, mAP@0.5, layers or None)."""
    models, accuracies = [], []
    for name, map50, layers in steps:
        folder = tmp_path / name
        folder.mkdir()
        if layers is not None:
            write_samples(folder / "layers.npz", [{key: rows[place] for key, rows in layers.items()} for place in range(2)])
        models.append(Model(name, folder, {"model": {}}))
        accuracies.append(Accuracy(name, "tflite", map50 / 2, map50, {}))
    return chain_steps(models, accuracies)


def layers(error):
    return {"a": values([0, 1], [0, 1]), "b": values([0, 1], [0, 1 + error]), "c": values([0, 2], [0, 2]), "d": values([1, 2], [0, 2])}


def test_the_step_that_lost_most_is_explained_by_its_layers(tmp_path):
    entries, largest = chain(tmp_path, ("float", 0.9, layers(0)), ("trained", 0.88, layers(0.1)), ("tflite", 0.8, layers(0.5)))
    assert (largest["model"], largest["against"], largest["map50_change"], largest["map_change"]) == ("tflite", "trained", -0.08, -0.04)
    assert [layer["layer"] for layer in largest["layers"]] == ["b", "a", "c", "d"]
    assert largest["layers"][0] == {"layer": "b", "error": pytest.approx(0.2 / 1.1, abs=1e-6), "range": [0.0, 1.1]}
    assert largest["layers_unknown_because"] is None
    assert largest["layers_summary"] == {"compared": 4, "only_before": 0, "only_after": 0, "other_shape": []}
    assert entries[0]["layers_compared"] is None
    assert [layer["layer"] for layer in entries[1]["layers_compared"]] == ["b", "a", "c"]
    assert entries[2]["layers_compared"] == largest["layers"][:3]


UNKNOWN = {
    "the model's": (layers(0), None, "there are no samples of the layers of second: set `layers` of its inference stage"),
    "both": (None, None, "there are no samples of the layers of first and second: set `layers` of its inference stage"),
    "none alike": (layers(0), {"x": values([0, 1], [0, 1])}, "first and second have no layer of the same name"),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_why_layers_are_unknown_is_told(tmp_path, case):
    before, after, because = UNKNOWN[case]
    entries, largest = chain(tmp_path, ("first", 0.9, before), ("second", 0.8, after))
    assert (largest["layers"], largest["layers_summary"], largest["layers_unknown_because"]) == (None, None, because)
    assert entries[1]["layers_compared"] is None


def test_without_a_loss_there_is_no_largest(tmp_path):
    entries, largest = chain(tmp_path, ("first", 0.8, layers(0)), ("second", 0.8, layers(0.1)), ("third", 0.9, None))
    assert largest is None
    assert entries[1]["layers_compared"][0]["layer"] == "b"


def test_a_sample_that_is_not_finite_is_named(tmp_path):
    with pytest.raises(StageError, match="a layer's sample of second cannot be compared") as error:
        chain(tmp_path, ("first", 0.9, layers(0)), ("second", 0.8, {"conv": values([1, np.nan], [1, 2])}))
    assert error.value.where == "%s: conv" % (tmp_path / "second" / "layers.npz")
