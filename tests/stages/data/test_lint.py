"""The lint of a .tflite: what it reports, and each way in which a model may be wrong."""

import contextlib
import random
import struct
import time

import pytest
from _runtime import StageError
from _tflite import schema
from _tflite.canonical import canonical_model
from _tflite.custom_options import canonical, read_options
from _tflite.flatbuffer import DamagedError, FlatBuffer
from _tflite.lint import Expected, describe, lint
from _tflite.model import read_model
from ai_edge_litert import schema_py_generated as litert
from hypothesis import given, settings
from hypothesis import strategies as some
from litert_operator import ATTRIBUTES, FLOAT, INT32, OUTPUTS, RAW_OUTPUTS, SIDE, UINT8, options, run_model, small_detector

from detector_images import picture

INPUT = "normalized_input_image_tensor"


def expected(**changes):
    usual = Expected("uint8", INPUT, [1, SIDE, SIDE, 3], 128, 128.0, OUTPUTS, ATTRIBUTES)
    return usual._replace(**changes)


def refused(model, **changes):
    """The StageError of a model (bytes or builder) that the lint must refuse."""
    with pytest.raises(StageError) as caught:
        lint(model if isinstance(model, bytes) else model.bytes(), expected(**changes))
    assert caught.value.remedy
    return caught.value


def test_a_good_model_is_described():
    content = small_detector().bytes()
    report = lint(content, expected())
    assert report["bytes"] == len(content)
    assert report["inputs"] == [{"name": INPUT, "shape": [1, SIDE, SIDE, 3], "type": "uint8", "scale": 1 / 128, "zero_point": 128}]
    assert [found["name"] for found in report["outputs"]] == OUTPUTS
    assert report["operators"] == [
        {"op": "CONV_2D", "count": 2, "custom": False},
        {"op": "LOGISTIC", "count": 1, "custom": False},
        {"op": "RESHAPE", "count": 2, "custom": False},
        {"op": "TFLite_Detection_PostProcess", "count": 1, "custom": True},
    ]
    assert report["tensors"] == {"float32": 4, "int32": 4, "uint8": 9}
    assert report["postprocess"] == pytest.approx(ATTRIBUTES)


def test_a_good_model_runs():
    # The builder's models are real: what the lint passes, LiteRT runs.
    boxes, _classes, scores, count = run_model(small_detector().bytes(), picture(1, SIDE, SIDE)[None])
    assert boxes.shape == (1, 10, 4)
    assert 0 < count[0] <= 10
    assert scores[0, 0] > 0.25


def test_models_without_the_operator_and_float_ones_pass():
    lint(small_detector(operator=False).bytes(), expected(outputs=RAW_OUTPUTS, postprocess=None))
    report = lint(small_detector(quantized=False).bytes(), expected(inference_type="float"))
    assert set(report["tensors"]) == {"float32", "int32"}


def set_type(name, kind):
    def change(model):
        model.named(name).type = kind
        model.named(name).quantization = None

    return change


def set_quantization(name, scale, zero_point):
    def change(model):
        made = litert.QuantizationParametersT()
        made.scale, made.zeroPoint = scale, zero_point
        model.named(name).quantization = made

    return change


def rename(name, other):
    def change(model):
        model.named(name).name = other

    return change


def custom_operator(name):
    def change(model):
        model.operator(litert.BuiltinOperator.CUSTOM, [0], [model.tensor("x", [1], UINT8, None, 1.0, 0)], custom=name)

    return change


def dequantize(model):
    model.operator(litert.BuiltinOperator.DEQUANTIZE, [model.outputs[0]], [model.tensor("real", [1], UINT8, None, 1.0, 0)])


def other_options(**changes):
    def change(model):
        model.operators[-1].customOptions = list(options(dict(ATTRIBUTES, **changes)))

    return change


def spoil_options(model):
    model.operators[-1].customOptions = [1, 2, 3]


def swap_outputs(model):
    model.outputs = [model.outputs[place] for place in (1, 0, 2, 3)]


def drop_operator(model):
    model.operators.pop()


def short_data(model):
    model.buffers[model.named("box/weights").buffer] = b"\0" * 7


def no_constant_weights(model):
    model.named("class/weights").buffer = 0


@pytest.mark.parametrize(
    ("change", "says", "where"),
    [
        (set_type("class/add_fold", FLOAT), "a tensor of the uint8 model is float32", "tensor class/add_fold"),
        (set_type("box/weights", FLOAT), "a tensor of the uint8 model is float32", "tensor box/weights"),
        (set_type("anchors", litert.TensorType.INT8), "a tensor of the uint8 model is int8", "tensor anchors"),
        (set_quantization("class/add_fold", [], []), "a uint8 tensor has no usable scale", "tensor class/add_fold"),
        (set_quantization("class/add_fold", [0.0], [0]), "a uint8 tensor has no usable scale", "tensor class/add_fold"),
        (set_quantization("class/add_fold", [float("nan")], [0]), "a uint8 tensor has no usable scale", "tensor class/add_fold"),
        (set_quantization("class/add_fold", [0.1], [256]), "a uint8 tensor has no usable scale", "tensor class/add_fold"),
        (set_quantization("class/bias", [0.5], [0]), "a bias is not quantized with its layer", "tensor class/bias"),
        (set_quantization(INPUT, [2 / 255], [128]), "the model's input is scaled otherwise", f"input {INPUT}"),
        (set_quantization(INPUT, [1 / 128], [127]), "the model's input is scaled otherwise", f"input {INPUT}"),
        (rename(INPUT, "image"), "the model's inputs are not the graph's", "model.tflite"),
        (rename(OUTPUTS[2], "scores"), "the model's outputs are not the graph's", "model.tflite"),
        (swap_outputs, "the model's outputs are not the graph's, in its order", "model.tflite"),
        (dequantize, "the uint8 model converts between number formats", "operator DEQUANTIZE 6"),
        (custom_operator("Tan"), "a custom operator that no runtime brings", "operator Tan 6"),
        (custom_operator("TFLite_Detection_PostProcess"), "post-process operator is not as in the graph", "model.tflite"),
        (drop_operator, "post-process operator is not as in the graph", "model.tflite"),
        (other_options(max_detections=11), "has another max_detections than the graph", "operator TFLite_Detection_PostProcess 5"),
        (other_options(use_regular_nms=True), "has another use_regular_nms than the graph", "operator TFLite_Detection_PostProcess 5"),
        (other_options(y_scale=10.1), "has another y_scale than the graph", "operator TFLite_Detection_PostProcess 5"),
        (spoil_options, "options of the post-process operator cannot be read", "operator TFLite_Detection_PostProcess 5"),
        (short_data, "holds another number of bytes than its shape says", "tensor box/weights"),
        (no_constant_weights, "the weights of an operator are not constant", "tensor class/weights"),
    ],
)
def test_what_must_not_be_is_named_with_its_place(change, says, where):
    model = small_detector()
    change(model)
    error = refused(model)
    assert says in error.what
    assert error.where.endswith(where)


def test_a_float_tensor_tells_who_uses_it():
    model = small_detector()
    set_type("class/add_fold", FLOAT)(model)
    assert refused(model).found.startswith("float32, used by CONV_2D 2, RESHAPE 3")


def test_several_problems_are_told_at_once():
    model = small_detector()
    set_type("class/add_fold", FLOAT)(model)
    set_type("box/add_fold", FLOAT)(model)
    assert "more is wrong: a tensor of the uint8 model is float32 at model.tflite, tensor class/add_fold" in refused(model).found


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"inference_type": "float"}, "input has another type"),
        ({"input_shape": [1, 300, 300, 3]}, "input has another shape"),
        ({"mean": 127.0}, "scaled otherwise"),
        ({"std": 127.5}, "scaled otherwise"),
    ],
)
def test_the_input_must_be_the_graphs(changes, says):
    assert says in refused(small_detector(), **changes).what


def test_a_float_model_may_hold_no_quantized_tensor_and_no_conversion():
    model = small_detector(quantized=False)
    set_type("class/add_fold", UINT8)(model)
    assert "a tensor of the float model is uint8" in refused(model, inference_type="float").what
    model = small_detector(quantized=False)
    dequantize(model)
    model.tensors[-1].type, model.tensors[-1].quantization = FLOAT, None
    assert "the float model converts" in refused(model, inference_type="float").what


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is an empty file"),
        (b"TFL3", "is not a TensorFlow Lite model"),
        (b"<html>not found</html>", "is not a TensorFlow Lite model"),
        (b"\x10\0\0\0TFL3", "is damaged"),
        (b"\xff\xff\xff\x7fTFL3" + b"\0" * 100, "is damaged"),
    ],
)
def test_what_is_no_model_is_refused(content, says):
    assert says in refused(content).what


def test_a_stub_is_refused():
    model = small_detector()
    model.operators, model.outputs = [], []
    assert "has no operators" in refused(model).what


@pytest.mark.parametrize("part", ["tensors", "operators"])
def test_an_index_that_leads_nowhere_is_damage(part):
    model = small_detector()
    if part == "tensors":
        model.operators[0].inputs = [0, 999, 2]
    else:
        model.operators[0].opcodeIndex = 77
    assert "is damaged" in refused(model).what


def test_operator_and_type_names_are_those_of_the_schema():
    operators = {code: name for name, code in vars(litert.BuiltinOperator).items() if isinstance(code, int)}
    types = {code: name for name, code in vars(litert.TensorType).items() if isinstance(code, int)}
    assert {code: schema.operator_name(code) for code in operators} == operators
    assert {code: schema.type_name(code).upper() for code in types} == types
    assert schema.operator_name(max(operators) + 1) == f"OPERATOR_{max(operators) + 1}"


# --- canonical options ---


def shuffled(seed):
    names = list(ATTRIBUTES)
    random.Random(seed).shuffle(names)
    return {name: ATTRIBUTES[name] for name in names}


def test_options_written_in_any_order_become_the_same_bytes():
    written = {options(shuffled(seed)) for seed in range(30)}
    assert len(written) == 30
    assert len({canonical(found) for found in written}) == 1
    assert {len(found) for found in written} == {len(canonical(written.pop()))}


def test_canonical_options_mean_the_same():
    for seed in range(10):
        found = options(shuffled(seed))
        assert read_options(canonical(found)) == read_options(found) == pytest.approx(ATTRIBUTES)
        assert canonical(canonical(found)) == canonical(found)


def test_a_canonical_model_detects_the_same():
    pixels = picture(1, SIDE, SIDE)[None]
    for seed in range(3):
        content = small_detector(attributes=shuffled(seed)).bytes()
        after = canonical_model(content)
        assert len(after) == len(content)
        assert after != content
        for one, other in zip(run_model(content, pixels), run_model(after, pixels), strict=True):
            assert (one == other).all()


@given(
    some.dictionaries(
        some.text(alphabet="abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=20),
        some.one_of(some.booleans(), some.integers(-(2**40), 2**40), some.floats(width=32, allow_nan=False)),
        min_size=1,
        max_size=20,
    ),
    some.randoms(use_true_random=False),
)
def test_any_map_of_numbers_becomes_canonical(values, shuffle):
    names = list(values)
    shuffle.shuffle(names)
    one, other = options(values), options({name: values[name] for name in names})
    assert read_options(one) == values
    assert canonical(one) == canonical(other)
    assert read_options(canonical(one)) == values


@pytest.mark.parametrize("broken", [b"", b"\0", b"\x24\x01", options({"a": "text"}), b"\xff" * 40])
def test_options_that_are_no_map_of_numbers_are_refused(broken):
    with pytest.raises(DamagedError):
        canonical(broken)


# --- damage ---

GOOD = small_detector().bytes()


def survives(content):
    """The lint and the reader end with a report or a StageError, and soon."""
    start = time.monotonic()
    for function in (lambda: lint(content, expected()), lambda: canonical_model(content), lambda: describe(read_model(content))):
        with contextlib.suppress(StageError):
            function()
    assert time.monotonic() - start < 20


@given(some.integers(0, len(GOOD) - 1), some.binary(min_size=1, max_size=8))
def test_bytes_written_over_a_model_are_survived(place, data):
    survives(GOOD[:place] + data + GOOD[place + len(data) :])


@given(some.integers(0, len(GOOD)))
def test_a_truncated_model_is_survived(length):
    survives(GOOD[:length])


LIES = [0, 1, 4, 255, 2**31 - 1, 2**31, 2**32 - 1, len(GOOD)]


@given(some.lists(some.tuples(some.integers(0, len(GOOD) // 4 - 1), some.sampled_from(LIES)), min_size=1, max_size=6))
@settings(max_examples=300)
def test_offsets_and_counts_that_lie_are_survived(changes):
    content = bytearray(GOOD)
    for place, value in changes:
        struct.pack_into("<I", content, 4 * place, value)
    survives(bytes(content))


@given(some.binary(max_size=400))
def test_noise_behind_the_identifier_is_survived(data):
    survives(struct.pack("<I", 8) + b"TFL3" + data)


def test_every_single_byte_may_be_wrong():
    for place in range(0, len(GOOD), 7):
        content = bytearray(GOOD)
        content[place] ^= 0xFF
        survives(bytes(content))


def test_tensors_that_share_one_long_vector_are_refused_soon():
    # 20,000 tensors, all of them one tensor of 20,000 dimensions: reading each would take minutes.
    model = small_detector()
    model.tensor("wide", [1] * 20000, UINT8, None, 1.0, 0)
    model.tensors += [model.tensors[0]] * 20000
    content = bytearray(model.bytes())
    subgraph = FlatBuffer(bytes(content)).root().tables(2)[0]
    start, count = subgraph.span(0, 4)
    wide = next(table.offset for table in subgraph.tables(0) if table.text(3) == "wide")
    for place in range(start, start + 4 * count, 4):
        struct.pack_into("<I", content, place, wide - place)
    began = time.monotonic()
    with pytest.raises(StageError, match="damaged") as caught:
        read_model(bytes(content))
    assert "parts of the file overlap" in caught.value.found
    assert time.monotonic() - began < 20


def test_int32_tensors_need_no_scale():
    model = small_detector()
    model.tensor("spare", [2], INT32, b"\0" * 8)
    lint(model.bytes(), expected())
