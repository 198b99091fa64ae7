"""A model whose outputs or options are rewritten: the same model to those who run it."""

import pytest
from _runtime import StageError
from _tflite.canonical import canonical_model, with_options, with_outputs
from _tflite.custom_options import read_options
from _tflite.lint import describe
from _tflite.model import read_model
from litert_operator import ATTRIBUTES, OUTPUTS, SIDE, options, run_model, small_detector

from detector_images import picture

PIXELS = picture(1, SIDE, SIDE)[None]


def shuffled_outputs():
    """A model with its outputs in the order of TensorFlow 2's converter: scores, boxes, their number, classes."""
    model = small_detector()
    model.outputs = [model.outputs[place] for place in (2, 0, 3, 1)]
    return model.bytes()


def test_outputs_come_in_the_order_of_their_names():
    content = shuffled_outputs()
    assert describe(read_model(content))["output_order"] == ["scores", "boxes", "count", "classes"]
    ordered = with_outputs(content, OUTPUTS)
    assert [found["name"] for found in describe(read_model(ordered))["outputs"]] == OUTPUTS
    for one, other in zip(run_model(ordered, PIXELS), run_model(small_detector().bytes(), PIXELS), strict=True):
        assert (one == other).all()


@pytest.mark.parametrize("names", [OUTPUTS[:3], [*OUTPUTS[:3], "other"], [*OUTPUTS[:3], OUTPUTS[0]], [*OUTPUTS, "other"]])
def test_a_model_whose_outputs_have_other_names_stays_as_it_is(names):
    assert with_outputs(shuffled_outputs(), names) == shuffled_outputs()


def test_the_operator_runs_with_its_new_options():
    new = dict(ATTRIBUTES, max_detections=3, nms_score_threshold=0.5, use_regular_nms=True, detections_per_class=2)
    content = with_options(small_detector().bytes(), options(new))
    assert read_options(read_model(content).operators[-1].options) == pytest.approx(new)
    wanted = small_detector(attributes=new).bytes()
    for one, other in zip(run_model(content, PIXELS), run_model(wanted, PIXELS), strict=True):
        assert (one == other).all()
    assert canonical_model(content) == canonical_model(with_options(small_detector().bytes(), options(dict(sorted(new.items())))))


def test_options_of_any_length_stand_whole_at_the_files_end():
    for length in range(1, 9):
        content = with_options(small_detector().bytes(), bytes(range(1, 1 + length)))
        assert read_model(content).operators[-1].options == bytes(range(1, 1 + length))
        assert len(content) % 4 == 0


def test_a_model_without_the_operator_has_no_options():
    with pytest.raises(StageError, match="no post-process operator"):
        with_options(small_detector(operator=False).bytes(), b"\1")
