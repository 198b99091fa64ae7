"""What the Edge TPU would run of a model, told from the .tflite alone: right, or unknown."""

import json

import numpy as np
import pytest
from _edgetpu.compiled import mapped_operators, read_compiled
from _edgetpu.operators import _OTHER_VERSIONS as OTHER_VERSIONS
from _edgetpu.operators import NEVER_MAPPED, OPERATORS, newest_version
from _edgetpu.partition import NO, UNKNOWN, YES, first_partition
from _edgetpu.prediction import predict
from _edgetpu.prediction_text import table_lines
from _edgetpu.targets import CACHE_AT_LEAST, CACHE_AT_MOST, TARGETS
from _edgetpu.words import BAD_RANK, BAD_TYPE, LIMITATION, MAPPED, SECOND
from _runtime import StageError
from _tflite.model import read_model
from _tflite.schema import _OPERATORS as NAMES
from edgetpu_models import SHAPE, TARGET, Chain, options_of, pairs, verdicts
from hypothesis import given, settings
from hypothesis import strategies as st
from litert_operator import AS_INT8, FLOAT, INT8, INT32, small_detector

from stage_helpers import shared

# What the compiler made of each model: (mapped, on the CPU), and how many of them are told as unknown.
PAIRS = {
    "deeplabv3_mnv2_dm05_pascal_quant": (64, 8, 7),
    "keras_lstm_mnist_ptq": (6, 0, 0),
    "mobilenet_v1_0.25_128_quant": (31, 0, 0),
    "mobilenet_v1_0.5_160_quant": (31, 0, 0),
    "mobilenet_v1_1.0_224_quant_embedding_extractor": (28, 0, 0),
    "posenet_mobilenet_v1_075_353_481_16_quant_decoder": (37, 1, 0),
}


def truth_of(model, compiled):
    """For each operator what the compiler made of it."""
    return [YES if mapped else NO for mapped in mapped_operators(read_model(model), read_compiled(compiled)[0])]


@pytest.mark.parametrize("name", PAIRS)
def test_every_prediction_about_a_real_pair_is_right_or_unknown(name):
    model, compiled = pairs()[name]
    truth = truth_of(model, compiled)
    mapped, cpu, unknown = PAIRS[name]
    assert (truth.count(YES), truth.count(NO)) == (mapped, cpu)
    told = [each.verdict for each in predict(model, TARGET).verdicts]
    assert [place for place, right in zip(told, truth) if place not in (UNKNOWN, right)] == []
    assert told.count(UNKNOWN) == unknown


@pytest.mark.parametrize("name", PAIRS)
def test_the_partition_of_a_real_pair_has_the_executable_s_inputs_and_outputs(name):
    model, compiled = pairs()[name]
    into, out = predict(model, TARGET).boundary
    runs = next(each for each in read_compiled(compiled)[1][0].executables if each.type != "parameter-caching")
    # The state of an LSTM comes out under another name.
    assert set(into) == {each.name for each in runs.inputs}
    assert set(out) == {each.name for each in runs.outputs if not each.name.endswith("_variable_output")}


def test_every_pair_is_in_the_table():
    assert set(pairs()) == set(PAIRS)


@pytest.mark.parametrize("name", PAIRS)
def test_parameters_of_a_real_pair_are_no_more_than_the_compiler_streams(name):
    model, compiled = pairs()[name]
    told = predict(model, TARGET).parameter_bytes
    made = sum(package.cached + package.streamed for package in read_compiled(compiled)[1])
    assert told <= made
    if told > 100000:
        assert made <= 1.35 * told


def test_an_uint8_ssd_of_tensorflow_1_is_mapped_but_for_its_postprocess():
    content = (shared() / "data" / "tflite" / "ssd_mobilenet_v1_uint8_postprocess.tflite").read_bytes()
    prediction = predict(content, TARGET)
    assert [each.verdict for each in prediction.verdicts] == [YES] * 63 + [NO]
    assert (prediction.verdicts[-1].op, prediction.verdicts[-1].status) == ("TFLite_Detection_PostProcess", BAD_TYPE)


@pytest.mark.parametrize("quantized", [True, False])
def test_a_small_detector(quantized):
    model = small_detector(AS_INT8) if quantized else small_detector(False)
    found = predict(model.bytes(), TARGET)
    custom = [each for each in found.verdicts if each.op == "TFLite_Detection_PostProcess"]
    assert [each.verdict for each in custom] == [NO]
    if not quantized:
        assert {each.status for each in found.verdicts} == {BAD_TYPE}
        assert found.count(YES) == 0
        assert not found.quantized
        assert list(table_lines(found))[-1].startswith("nothing of the model would run on the Edge TPU: it is not quantized")


def test_operators_that_depend_on_none_that_is_left_out_are_mapped_after_it():
    """As movenet_single_pose_lightning_ptq of google-coral/test_data is compiled, and not by the order of execution."""
    model = Chain()
    stem = model.conv()
    model.add("DEQUANTIZE", kind=FLOAT, scale=None)
    model.add("LOGISTIC", source=stem, version=2)
    assert [verdict for _, verdict, _ in verdicts(model)] == [YES, NO, YES]


def test_operators_behind_one_that_is_left_out_are_the_second_partition():
    model = Chain()
    model.conv()
    pool(model, 3)
    model.add("LOGISTIC", version=2)
    found = predict(model.bytes(), TARGET).verdicts
    assert [each.verdict for each in found] == [YES, NO, NO]
    assert (found[2].status, found[2].rule) == (SECOND, "one-partition")
    assert "operator 1, AVERAGE_POOL_2D" in found[2].reason


def test_operators_behind_an_unknown_one_are_unknown():
    model = Chain()
    model.conv()
    model.add("HARD_SWISH")
    model.conv()
    assert [(verdict, rule) for _, verdict, rule in verdicts(model)] == [
        (YES, "supported"),
        (UNKNOWN, "not-in-the-table"),
        (UNKNOWN, "one-partition"),
    ]


def test_the_quantization_of_a_float_input_lies_before_the_partition():
    model = Chain(kind=FLOAT)
    model.add("QUANTIZE")
    model.conv()
    found = predict(model.bytes(), TARGET).verdicts
    assert [(each.verdict, each.status) for each in found] == [(NO, LIMITATION), (YES, MAPPED)]


def pad(chain, rows):
    chain.add("PAD", None, [chain.constant(rows)])


def mean(chain, axes, shape=(1, 1, 1, 8)):
    chain.add("MEAN", options_of("Reducer"), [chain.constant(axes)], shape)


def resize(chain, sides, op="RESIZE_BILINEAR", depth=8, version=1, **options):
    settings = options_of("ResizeBilinear" if op == "RESIZE_BILINEAR" else "ResizeNearestNeighbor", **options)
    chain.add(op, settings, [chain.constant(sides)], (1, *sides, depth), version=version)


def concatenation(chain, zeros, activation=0):
    chain.add(
        "CONCATENATION",
        options_of("Concatenation", axis=3, fusedActivationFunction=activation),
        [chain.constant(np.full(SHAPE, 0 if zeros else 1), INT8)],
        (1, 4, 4, 16),
    )


def fully_connected(chain, rows=1, weights_format=0):
    chain.add(
        "FULLY_CONNECTED",
        options_of("FullyConnected", weightsFormat=weights_format),
        [chain.constant(np.ones((8, 8)), INT8), chain.constant(np.ones(8))],
        (rows, 8),
    )


def slices(chain, strides=(1, 1, 1, 1), ellipsis=0, axis=0):
    constants = [chain.constant([0, 0, 0, 0]), chain.constant([1, 4, 4, 8]), chain.constant(strides)]
    chain.add("STRIDED_SLICE", options_of("StridedSlice", ellipsisMask=ellipsis, newAxisMask=axis), constants)


def depthwise(chain, dilation=1, multiplier=1):
    options = options_of(
        "DepthwiseConv2D", strideW=1, strideH=1, dilationWFactor=dilation, dilationHFactor=dilation, depthMultiplier=multiplier
    )
    chain.add("DEPTHWISE_CONV_2D", options, [chain.constant(np.ones((1, 3, 3, 8)), INT8), chain.constant(np.ones(8))])


def pool(chain, activation, op="AVERAGE_POOL_2D"):
    chain.add(op, options_of("Pool2D", fusedActivationFunction=activation))


def convolve(chain, filters, kind=INT8, **settings):
    options = options_of("Conv2D", **dict({"dilationWFactor": 1, "dilationHFactor": 1}, **settings))
    chain.add("CONV_2D", options, [chain.constant(np.ones(filters), kind), chain.constant(np.ones(8))])


def two_computed(chain, op, shape):
    other = chain.tensor("other", shape, INT8, scale=0.5)
    chain.inputs.append(other)
    chain.add(op, None, [other])


def large(chain, op, side, settings=None):
    """A model whose input has `side` x `side` pixels."""
    chain.tensors[0].shape = [1, side, side, 8]
    chain.add(op, settings, [chain.constant([1, 2])] if op == "MEAN" else [], (1, 1, 1, 8))


def computed_weights(chain, op, name):
    chain.add(op, options_of(name), [chain.tensor("weights", (1, 8), INT8, scale=0.5)], (1, 8))


def reduce_batch(chain, op):
    chain.add(op, None, [chain.constant([0])])


def squeeze(chain, shape):
    chain.add("SQUEEZE", None, [], shape)


# (what is built, the verdict, the rule that decides)
CONSTRAINTS = [
    (lambda chain: chain.conv(), YES, "supported"),
    (lambda chain: chain.conv(weights=False), NO, "constant-weights"),
    (lambda chain: convolve(chain, (8, 1, 1, 8), dilationWFactor=2), NO, "same-dilation"),
    (lambda chain: convolve(chain, (8, 1, 1, 4)), UNKNOWN, "ungrouped"),
    (lambda chain: convolve(chain, (1, 1, 1, 8), INT32), NO, "constant-weights"),
    (lambda chain: depthwise(chain, 2), YES, "supported"),
    (lambda chain: depthwise(chain, multiplier=4), UNKNOWN, "multiplier-of-one"),
    (lambda chain: two_computed(chain, "ADD", SHAPE), YES, "supported"),
    (lambda chain: two_computed(chain, "ADD", (1, 4, 4, 1)), UNKNOWN, "like-shapes"),
    (lambda chain: two_computed(chain, "MAXIMUM", (4, 8)), UNKNOWN, "like-shapes"),
    (lambda chain: chain.add("MUL", None, [chain.constant([3], INT8)]), YES, "supported"),
    (lambda chain: computed_weights(chain, "DEPTHWISE_CONV_2D", "DepthwiseConv2D"), NO, "constant-weights"),
    (lambda chain: computed_weights(chain, "FULLY_CONNECTED", "FullyConnected"), NO, "constant-weights"),
    (lambda chain: two_computed(chain, "MINIMUM", (4, 8)), UNKNOWN, "like-shapes"),
    (lambda chain: two_computed(chain, "MUL", (4, 8)), UNKNOWN, "like-shapes"),
    (lambda chain: two_computed(chain, "SUB", (4, 8)), UNKNOWN, "like-shapes"),
    (lambda chain: reduce_batch(chain, "REDUCE_MAX"), NO, "not-over-batch"),
    (lambda chain: reduce_batch(chain, "REDUCE_MIN"), NO, "not-over-batch"),
    (lambda chain: pool(chain, 3, "MAX_POOL_2D"), NO, "no-fused-activation"),
    (lambda chain: large(chain, "MAX_POOL_2D", 80, options_of("Pool2D")), YES, "supported"),
    (lambda chain: large(chain, "MAX_POOL_2D", 81, options_of("Pool2D")), UNKNOWN, "larger-than-seen"),
    (lambda chain: large(chain, "MEAN", 55, options_of("Reducer")), YES, "supported"),
    (lambda chain: large(chain, "MEAN", 56, options_of("Reducer")), UNKNOWN, "larger-than-seen"),
    (lambda chain: large(chain, "AVERAGE_POOL_2D", 500, options_of("Pool2D")), YES, "supported"),
    (lambda chain: chain.add("CONCATENATION", options_of("Concatenation", axis=1), [], (1, 1917, 91)), YES, "supported"),
    (lambda chain: chain.add("CONCATENATION", options_of("Concatenation", axis=1), [], (1, 1917, 92)), UNKNOWN, "long-rows"),
    (lambda chain: chain.add("CONCATENATION", options_of("Concatenation", axis=1), [], (1, 160, 160, 48)), YES, "supported"),
    (lambda chain: pool(chain, 0), YES, "supported"),
    (lambda chain: pool(chain, 3), NO, "no-fused-activation"),
    (lambda chain: concatenation(chain, zeros=True), YES, "supported"),
    (lambda chain: concatenation(chain, zeros=False), NO, "zero-padding-alone"),
    (lambda chain: concatenation(chain, zeros=True, activation=1), NO, "no-fused-activation"),
    (fully_connected, YES, "supported"),
    (lambda chain: fully_connected(chain, rows=2), NO, "one-row"),
    (lambda chain: fully_connected(chain, weights_format=1), NO, "default-weights-format"),
    (lambda chain: pad(chain, [[0, 0], [1, 1], [1, 1], [0, 0]]), YES, "supported"),
    (lambda chain: pad(chain, [[1, 0], [0, 0], [0, 0], [0, 0]]), NO, "no-batch-padding"),
    (lambda chain: chain.add("PAD", None, [chain.constant([[1, 1], [0, 0]])], (3, 8)), NO, "no-batch-padding"),
    (lambda chain: pad(chain, [[0, 0], [0, 0], [0, 0], [0, 4]]), YES, "supported"),
    (lambda chain: mean(chain, [1, 2]), YES, "supported"),
    (lambda chain: mean(chain, [0]), NO, "not-over-batch"),
    (lambda chain: mean(chain, [-4]), NO, "not-over-batch"),
    (lambda chain: mean(chain, [3], (1, 4, 4, 1)), YES, "supported"),
    (lambda chain: resize(chain, (8, 8)), YES, "supported"),
    (lambda chain: resize(chain, (12, 12)), UNKNOWN, "small-factor"),
    (lambda chain: resize(chain, (2, 2)), UNKNOWN, "small-factor"),
    (lambda chain: resize(chain, (8, 8), halfPixelCenters=True, version=3), YES, "supported"),
    (lambda chain: resize(chain, (8, 8), depth=864), YES, "supported"),
    (lambda chain: resize(chain, (8, 8), depth=865), UNKNOWN, "larger-than-seen"),
    (lambda chain: resize(chain, (8, 8), "RESIZE_NEAREST_NEIGHBOR", depth=12800), YES, "supported"),
    (lambda chain: resize(chain, (8, 8), "RESIZE_NEAREST_NEIGHBOR", depth=12801), UNKNOWN, "larger-than-seen"),
    (lambda chain: resize(chain, (12, 12), "RESIZE_NEAREST_NEIGHBOR"), UNKNOWN, "small-factor"),
    (lambda chain: resize(chain, (8, 8), "RESIZE_NEAREST_NEIGHBOR", halfPixelCenters=True, version=3), UNKNOWN, "whole-pixels"),
    (lambda chain: resize(chain, (8, 8), "RESIZE_NEAREST_NEIGHBOR", alignCorners=True), UNKNOWN, "whole-pixels"),
    (slices, YES, "supported"),
    (lambda chain: slices(chain, strides=(1, 2, 1, 1)), NO, "strides-of-one"),
    (lambda chain: slices(chain, ellipsis=1), NO, "no-masks"),
    (lambda chain: slices(chain, axis=1), NO, "no-masks"),
    (lambda chain: chain.add("RESHAPE", None, [chain.constant([1, 128])], (1, 128)), YES, "supported"),
    (lambda chain: chain.add("RESHAPE", None, [chain.constant([1, 2**18])], (1, 2**18)), UNKNOWN, "not-too-large"),
    (lambda chain: chain.add("TRANSPOSE", None, [chain.constant([0, 2, 1, 3])]), YES, "supported"),
    (lambda chain: chain.add("TRANSPOSE", None, [chain.constant([3, 2, 1, 0])]), UNKNOWN, "batch-stays-first"),
    (lambda chain: chain.add("TRANSPOSE", None, [chain.constant([0, 1, 2])], (1, 2, 2**17)), UNKNOWN, "not-too-large"),
    (lambda chain: chain.add("SOFTMAX", None, [], (1, 1001)), YES, "supported"),
    (lambda chain: chain.add("SOFTMAX", None, [], (1, 16001)), NO, "at-most-16000"),
    (lambda chain: chain.add("SOFTMAX", None, [], (1, 4, 4, 8)), UNKNOWN, "one-row"),
    (lambda chain: chain.add("PRELU", None, [chain.constant(np.ones((1, 1, 8)), INT8)]), YES, "supported"),
    (lambda chain: chain.add("PRELU", None, [chain.constant(np.ones((4, 4, 8)), INT8)]), NO, "alpha-of-channels"),
    (lambda chain: chain.add("SPLIT", None, [], before=[chain.constant(3)]), YES, "supported"),
    (lambda chain: chain.add("SPLIT", None, [], before=[chain.constant(-1)]), YES, "supported"),
    (lambda chain: chain.add("SPLIT", None, [], before=[chain.constant(0)]), UNKNOWN, "last-axis"),
    (lambda chain: chain.add("SPLIT", None, [], before=[chain.constant(-4)]), UNKNOWN, "last-axis"),
    (lambda chain: chain.add("SUM", None, [chain.constant([0])]), NO, "not-over-batch"),
    (lambda chain: chain.add("PACK", options_of("Pack", axis=1)), UNKNOWN, "contradicted"),
    (lambda chain: squeeze(chain, (4, 4, 8)), YES, "supported"),
    (lambda chain: chain.add("LOGISTIC", kind=FLOAT, scale=None), NO, "eight-bits"),
    (lambda chain: chain.add("LOGISTIC", scale=None), NO, "eight-bits"),
    (lambda chain: chain.add("ADD", shape=(2, 4, 4, 8)), NO, "three-dimensions"),
    (lambda chain: chain.add("UNPACK", kind=INT8), UNKNOWN, "never-mapped"),
    (lambda chain: chain.add("CAST", kind=INT32), NO, "eight-bits"),
    (lambda chain: chain.add("ABS"), UNKNOWN, "not-in-the-table"),
]


@pytest.mark.parametrize(("build", "verdict", "rule"), CONSTRAINTS)
def test_constraints(build, verdict, rule):
    chain = Chain()
    build(chain)
    found = predict(chain.bytes(), TARGET).verdicts[-1]
    assert (found.verdict, found.rule) == (verdict, rule)
    assert found.reason
    assert found.source
    assert found.confidence in ("seen", "documented", "inferred")
    if rule == "three-dimensions":
        assert found.status == BAD_RANK


# On a target with an older runtime: (what is built, its runtime, the verdict, the rule)
RUNTIMES = [
    (lambda chain: depthwise(chain, 2), 12, UNKNOWN, "same-dilation"),
    (lambda chain: resize(chain, (8, 8), halfPixelCenters=True, version=3), 12, YES, "supported"),
    (lambda chain: resize(chain, (8, 8), halfPixelCenters=True, version=3), 10, UNKNOWN, "half-pixels-from-12"),
    (lambda chain: pad(chain, [[0, 0], [0, 0], [0, 0], [0, 4]]), 12, UNKNOWN, "no-depth-padding-before-13"),
    (lambda chain: pad(chain, [[0, 0], [1, 1], [1, 1], [0, 0]]), 10, YES, "supported"),
    (lambda chain: resize(chain, (8, 8), "RESIZE_NEAREST_NEIGHBOR"), 13, UNKNOWN, "nearest-before-14"),
    (lambda chain: chain.add("TRANSPOSE", None, [chain.constant([0, 2, 1, 3])]), 13, UNKNOWN, "runtime"),
    (lambda chain: mean(chain, [3], (1, 4, 4, 1)), 12, UNKNOWN, "depth-multiple-of-4"),
    (lambda chain: squeeze(chain, (4, 4, 8)), 10, YES, "supported"),
    (lambda chain: chain.add("SQUEEZE", None, [], (1, 4, 8)), 12, NO, "leading-dimensions"),
    (lambda chain: chain.add("SQUEEZE", None, [], (1, 4, 8)), 13, YES, "supported"),
    (lambda chain: chain.conv(), 10, YES, "supported"),
]


@pytest.mark.parametrize(("build", "runtime", "verdict", "rule"), RUNTIMES)
def test_older_runtimes(build, runtime, verdict, rule):
    chain = Chain()
    build(chain)
    found = predict(chain.bytes(), TARGETS["coral-runtime-%d" % runtime]).verdicts[-1]
    assert (found.verdict, found.rule) == (verdict, rule)


def test_a_mean_over_a_depth_that_is_no_multiple_of_4():
    chain = Chain(shape=(1, 4, 4, 6))
    mean(chain, [3], (1, 4, 4, 1))
    assert verdicts(chain) == [("MEAN", NO, "depth-multiple-of-4")]


@pytest.mark.parametrize("op", ["MEAN", "SUM", "PAD", "RESIZE_BILINEAR", "SQUEEZE", "CONV_2D", "SPLIT", "ADD"])
def test_an_operator_without_an_input_is_unknown(op):
    chain = Chain()
    chain.add(op, None, [chain.constant([1, 1])])
    chain.operators[0].inputs = [-1, *chain.operators[0].inputs[1:]] if op != "SPLIT" else [chain.operators[0].inputs[1]]
    found = predict(chain.bytes(), TARGET).verdicts[0]
    assert (found.verdict, found.rule) == (UNKNOWN, "inputs")


@pytest.mark.parametrize(("op", "verdict"), [("MEAN", UNKNOWN), ("TRANSPOSE", UNKNOWN), ("RESHAPE", YES)])
def test_an_operator_that_is_not_told_its_shape_is_unknown_but_for_a_reshape(op, verdict):
    chain = Chain()
    chain.add(op)
    assert predict(chain.bytes(), TARGET).verdicts[0].verdict == verdict


REFUSED = [
    # As the compiler itself said of these: TRANSPOSE_CONV version 4 in 16.0.
    ("TRANSPOSE_CONV", 4, "version 4; compiler 16.0"),
    ("CONV_2D", 6, "knows up to version 5"),
    ("FULLY_CONNECTED", 10, "knows up to version 9"),
    ("EXP", 2, "knows up to version 1"),
    ("RESHAPE", 1, "computed tensor size"),
    ("STRIDED_SLICE", 1, "computed tensor size"),
    ("MEAN", 1, "computed tensor size"),
    ("TRANSPOSE", 1, "computed tensor size"),
    ("PAD", 1, "computed tensor size"),
    ("WHERE", 1, "depends on the values"),
]


@pytest.mark.parametrize(("op", "version", "found"), REFUSED)
def test_models_that_the_compiler_refuses(op, version, found):
    chain = Chain()
    chain.conv()
    chain.add(op, None, [chain.tensor("size", (2,), INT32)], version=version)
    prediction = predict(chain.bytes(), TARGET)
    assert found in prediction.refused.found
    assert "operator 1" in prediction.refused.where
    assert prediction.refused.confidence == ("inferred" if "version" in found else "seen")
    assert {each.source for each in prediction.verdicts} == {prediction.refused.source}
    assert prediction.count(YES) == 0
    assert "refuse" in next(iter(table_lines(prediction)))


@pytest.mark.parametrize(("op", "place"), [("TRANSPOSE_CONV", 0), ("SPLIT", 0)])
def test_a_size_that_is_computed_before_the_data(op, place):
    chain = Chain()
    chain.add(op, None, before=[chain.tensor("size", (4,), INT32)], version=1)
    assert "computed tensor size" in predict(chain.bytes(), TARGET).refused.found
    chain = Chain()
    chain.add(op, None, before=[chain.constant([3])], version=1)
    assert predict(chain.bytes(), TARGET).refused is None


def test_open_sides_are_refused():
    chain = Chain(shape=(-1, 4, 4, 8))
    chain.conv()
    refused = predict(chain.bytes(), TARGET).refused
    assert "[-1, 4, 4, 8]" in refused.found
    assert "fixed sizes" in refused.remedy


def test_operators_that_the_compiler_is_too_old_for():
    assert newest_version("GELU") == newest_version("STABLEHLO_ADD") == newest_version("VAR_HANDLE") == newest_version("OPERATOR_999") == 0
    assert newest_version("FLOOR_MOD") == newest_version("HASHTABLE_SIZE") == 1


def test_an_operator_version_that_the_compiler_knows_is_no_reason():
    chain = Chain()
    chain.add("CONV_2D", options_of("Conv2D"), [chain.constant(np.ones((8, 3, 3, 8)), INT8)], version=5)
    assert predict(chain.bytes(), TARGET).refused is None


def test_a_compiled_model_is_refused():
    with pytest.raises(StageError, match="compiled already") as caught:
        predict(pairs()["keras_lstm_mnist_ptq"][1], TARGET)
    assert "edgetpu.inspect" in caught.value.remedy


@pytest.mark.parametrize("content", [b"", b"no model at all", b"\x1c\0\0\0TFL3" + bytes(40)])
def test_what_is_no_model_is_refused(content):
    with pytest.raises(StageError):
        predict(content, TARGET)


def test_a_truncated_model_is_refused():
    model = pairs()["keras_lstm_mnist_ptq"][0]
    with pytest.raises(StageError):
        predict(model[: len(model) // 2], TARGET)


def test_memory():
    chain = Chain()
    chain.conv()
    prediction = predict(chain.bytes(), TARGET)
    assert prediction.parameter_bytes == 8 * 3 * 3 * 8 + 8 * 4
    assert prediction.memory() == "fits"
    assert prediction._replace(parameter_bytes=CACHE_AT_LEAST).memory() == "unknown"
    assert prediction._replace(parameter_bytes=CACHE_AT_MOST + 1).memory() == "streams"
    assert prediction.activation == (128, "input") or prediction.activation[0] == 128


def test_every_rule_has_its_row_and_every_name_is_an_operator():
    names = set(NAMES)
    assert set(OPERATORS) | set(NEVER_MAPPED) | set(OTHER_VERSIONS) <= names
    assert not set(OPERATORS) & (set(NEVER_MAPPED) | set(OTHER_VERSIONS))
    assert all(row.source and row.confidence and row.newest >= 1 and 10 <= row.runtime <= 14 for row in OPERATORS.values())


# (able, who reads whom, places): a line of operators unless told otherwise.
PARTITIONS = [
    ([True, True], [[], [0]], [YES, YES]),
    ([True, False, True], [[], [0], [1]], [YES, NO, NO]),
    ([False, True], [[], [0]], [NO, YES]),
    ([False, True, False, True], [[], [0], [1], [2]], [NO, YES, NO, NO]),
    ([True, None, True], [[], [0], [1]], [YES, UNKNOWN, UNKNOWN]),
    ([None, True], [[], [0]], [UNKNOWN, YES]),
    ([None, False, True], [[], [0], [1]], [UNKNOWN, NO, UNKNOWN]),
    ([True, False, None], [[], [0], [1]], [YES, NO, NO]),
    ([True, False, True], [[], [0], [0]], [YES, NO, YES]),  # the third reads the first
    ([True, False, True], [[], [0], [0, 1]], [YES, NO, NO]),
    ([False, True, True], [[], [0], []], [NO, UNKNOWN, YES]),  # two beginnings
]


@pytest.mark.parametrize(("able", "makers", "places"), PARTITIONS)
def test_first_partition(able, makers, places):
    assert first_partition(able, makers) == places


def partition_of(able, makers):
    """What TensorFlow Lite's partitioning makes of it where all is known, as its source describes it: subsets of alike operators, each as
    large as it can be, one after the other; the first able one is compiled."""
    done, kind = set(), able[0]
    while len(done) < len(able):
        subset, grown = set(), True
        while grown:
            ready = {
                index
                for index in range(len(able))
                if index not in done | subset and able[index] == kind and set(makers[index]) <= done | subset
            }
            subset |= ready
            grown = bool(ready)
        if kind and subset:
            return subset
        done |= subset
        kind = not kind
    return set()


GRAPHS = st.lists(st.tuples(st.sampled_from([True, False, None]), st.lists(st.integers(0, 30), max_size=3)), min_size=1, max_size=8).map(
    lambda rows: (
        [able for able, _ in rows],
        [sorted({maker % index for maker in makers}) if index else [] for index, (_, makers) in enumerate(rows)],
    )
)


@settings(max_examples=300, deadline=None)
@given(GRAPHS)
def test_a_sure_place_holds_whatever_the_unknown_operators_turn_out_to_be(graph):
    able, makers = graph
    places = first_partition(able, makers)
    unknown = [index for index, each in enumerate(able) if each is None]
    for bits in range(2 ** len(unknown)):
        assumed = [each if each is not None else bool(bits >> unknown.index(index) & 1) for index, each in enumerate(able)]
        inside = partition_of(assumed, makers)
        for index, place in enumerate(places):
            assert place == UNKNOWN or (place == YES) == (index in inside), (assumed, makers, places, inside)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_model_is_refused_or_predicted_about(data):
    """Whatever a changed byte makes of a model: a prediction or a StageError, nothing else."""
    content = bytearray(small_detector(AS_INT8).bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(8, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        prediction = predict(bytes(content), TARGET)
    except StageError:
        return
    json.dumps(prediction.as_json())
    assert list(table_lines(prediction))
