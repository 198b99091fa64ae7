"""Models that no step has trained are marked, and refused by the mark."""

import pytest
from _conversion.use import use_of
from _runtime import StageError
from _untrained.marks import passed_on, refuse_untrained

UNTRAINED = "its weights are untrained: they are those that training begins with"
DUMMY = "it has dummy ranges [0, 6]: tensors without a range from training were given this one"


class Task:
    def __init__(self):
        self.warned = []

    def warn(self, text):
        self.warned.append(text)


@pytest.mark.parametrize("about", [{}, {"untrained": False}])
def test_a_trained_one_is_passed_on_without_a_word(about):
    task = Task()
    assert passed_on(task, about) == {}
    assert task.warned == []
    refuse_untrained(about, "graph.json")


def test_the_mark_is_passed_on_and_refused():
    task = Task()
    about = passed_on(task, {"untrained": True, "step": 0})
    assert about == {"untrained": True}
    assert "untrained" in task.warned[0]
    with pytest.raises(StageError, match="the model is untrained") as caught:
        refuse_untrained(about, "graph.json")
    assert caught.value.where == "graph.json"
    assert "`untrained` to false" in caught.value.remedy


@pytest.mark.parametrize(
    ("graph", "ranges", "because"),
    [
        ({}, None, None),
        ({"untrained": True}, None, UNTRAINED),
        ({}, [0, 6], DUMMY),
        ({"untrained": True}, [0, 6], f"{UNTRAINED}; {DUMMY}"),
    ],
)
def test_what_is_not_for_use_says_why(graph, ranges, because):
    assert use_of(graph, ranges) == {"usable": because is None, "unusable_because": because}
