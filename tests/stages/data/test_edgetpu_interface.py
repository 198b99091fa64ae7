"""A compiled model has the inputs and outputs of its source: those of real pairs, and what may and may not differ."""

import pytest
from _edgetpu.interface import require_same_interface
from _runtime import StageError
from _tflite.model import read_model
from edgetpu_models import pairs
from litert_operator import FLOAT, INT8, UINT8, ModelBuilder

IMAGE = ("image", [1, 8, 8, 3], UINT8, 0.5, 3)
SCORES = ("scores", [1, 10], UINT8, 0.25, 128)
BOXES = ("TFLite_Detection_PostProcess", [1, 10, 4], FLOAT, None, 0)
OPEN = (BOXES[0], [], *BOXES[2:])  # as TOCO leaves it


def model(inputs, outputs):
    """A model of nothing but inputs and outputs, each (name, shape, type, scale, zero point)."""
    made = ModelBuilder()
    made.inputs = [made.tensor(name, shape, kind, None, scale, zero) for name, shape, kind, scale, zero in inputs]
    made.outputs = [made.tensor(name, shape, kind, None, scale, zero) for name, shape, kind, scale, zero in outputs]
    return read_model(made.bytes())


def changed(tensor, **fields):
    """A tensor with other `name`, `shape`, `kind`, `scale` or `zero`."""
    return tuple(fields.get(name, value) for name, value in zip(("name", "shape", "kind", "scale", "zero"), tensor, strict=True))


@pytest.mark.parametrize("name", sorted(pairs()))
def test_real_ones_have(name):
    source, compiled = map(read_model, pairs()[name])
    require_same_interface(compiled, source, "model", "")
    with pytest.raises(StageError):
        require_same_interface(compiled, model([IMAGE], [SCORES]), "model", "")


@pytest.mark.parametrize("outputs", [[SCORES], [BOXES, SCORES], [OPEN], []])
def test_the_same_is_the_same(outputs):
    require_same_interface(model([IMAGE], outputs), model([IMAGE], outputs), "model", "")


def test_a_shape_that_the_source_leaves_empty_may_be_filled_in_and_no_other_may_change():
    require_same_interface(model([IMAGE], [BOXES]), model([IMAGE], [OPEN]), "model", "")
    with pytest.raises(StageError, match="outputs are not the model's"):
        require_same_interface(model([IMAGE], [OPEN]), model([IMAGE], [BOXES]), "model", "")


CHANGES = [{"name": "other"}, {"shape": [1, 5]}, {"kind": INT8}, {"scale": 0.75}, {"scale": None}, {"zero": 4}]


@pytest.mark.parametrize("change", CHANGES, ids=str)
@pytest.mark.parametrize("filled", [False, True])
def test_nothing_else_may_change(change, filled):
    source = model([IMAGE], [SCORES, OPEN])
    for role, given in (("inputs", ([changed(IMAGE, **change)], [SCORES])), ("outputs", ([IMAGE], [changed(SCORES, **change)]))):
        compiled = model(given[0], [*given[1], BOXES if filled else OPEN])
        with pytest.raises(StageError) as caught:
            require_same_interface(compiled, source, "model_edgetpu.tflite", "compile it again")
        error = caught.value
        assert error.what == "the compiled model's %s are not the model's" % role
        assert (error.where, error.remedy) == ("model_edgetpu.tflite", "compile it again")
        assert error.expected != error.found


@pytest.mark.parametrize(
    ("outputs", "found"),
    [
        ([OPEN, SCORES], "TFLite_Detection_PostProcess float32 []; scores uint8 [1, 10], scale 0.25, zero point 128"),
        ([SCORES], "scores uint8 [1, 10], scale 0.25, zero point 128"),
        ([SCORES, OPEN, OPEN], "float32 []; TFLite_Detection_PostProcess float32 []"),
        ([], "none"),
    ],
    ids=["another order", "one less", "one more", "none"],
)
def test_as_many_in_the_same_order(outputs, found):
    with pytest.raises(StageError) as caught:
        require_same_interface(model([IMAGE], outputs), model([IMAGE], [SCORES, OPEN]), "model", "")
    assert found in caught.value.found


def test_the_type_of_a_filled_shape_counts_too():
    with pytest.raises(StageError):
        require_same_interface(model([IMAGE], [changed(BOXES, kind=INT8)]), model([IMAGE], [OPEN]), "model", "")
