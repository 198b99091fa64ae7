"""A class hierarchy expands objects upwards and absences downwards, as the Object Detection API's own program does."""

import pytest
from _runtime import StageError

from stage_helpers import load

Expansion = load("evaluate-odapi", "odapi_hierarchy").Expansion


def names(classes, expanded):
    return {classes[number - 1]: sorted(classes[each - 1] for each in stood) for number, stood in expanded.items()}


def test_the_api_s_published_case():
    # dataset_tools/oid_hierarchical_labels_expansion_test.py of the wheel: below its root b, c (d, e, f (d)) and f (d).
    classes = ["b", "c", "d", "e", "f"]
    expansion = Expansion(classes, {"c": ["d", "e", "f"], "f": ["d"]}, "dataset.json")
    boxes, present, absent = (names(classes, each) for each in (expansion.boxes, expansion.present, expansion.absent))
    assert (boxes["b"], boxes["d"]) == (["b"], ["c", "d", "f"])
    assert present["d"] == ["c", "d", "f"]
    assert (absent["b"], absent["c"]) == (["b"], ["c", "d", "e", "f"])


@pytest.mark.parametrize(
    ("classes", "hierarchy", "boxes", "absent"),
    [
        pytest.param(["cat", "dog"], {}, {1: [1], 2: [2]}, {1: [1], 2: [2]}, id="none: each class stands for itself"),
        pytest.param(["cat", "animal"], {"animal": ["cat"]}, {1: [1, 2], 2: [2]}, {1: [1], 2: [2, 1]}, id="a child counts for its parent"),
        pytest.param(["cat"], {"animal": ["cat", "cow"]}, {1: [1]}, {1: [1]}, id="classes that the dataset lacks are left out"),
        pytest.param(
            ["cat", "thing"],
            {"thing": ["animal"], "animal": ["cat"]},
            {1: [1, 2], 2: [2]},
            {1: [1], 2: [2, 1]},
            id="one between that it lacks",
        ),
        pytest.param(
            ["cat, big", "animal, any"], {"animal, any": ["cat, big"]}, {1: [1, 2], 2: [2]}, {1: [1], 2: [2, 1]}, id="commas in names"
        ),
        pytest.param(["1", "2"], {"1": ["2"]}, {1: [1], 2: [2, 1]}, {1: [1, 2], 2: [2]}, id="numbers as names"),
    ],
)
def test_what_a_class_stands_for(classes, hierarchy, boxes, absent):
    expansion = Expansion(classes, hierarchy, "dataset.json")
    assert (expansion.boxes, expansion.present, expansion.absent) == (boxes, boxes, absent)


@pytest.mark.parametrize(
    ("hierarchy", "found"),
    [
        ({"a": ["a"]}, "a > a"),
        ({"a": ["b"], "b": ["a"]}, "a > b > a"),
        ({"x": ["a"], "a": ["b", "c"], "c": ["d"], "d": ["a"]}, "a > c > d > a"),
    ],
)
def test_a_class_below_itself_is_an_error(hierarchy, found):
    with pytest.raises(StageError, match="round in a circle") as error:
        Expansion(["a", "b"], hierarchy, "dataset.json")
    assert (error.value.where, error.value.found) == ("dataset.json: hierarchy", found)
