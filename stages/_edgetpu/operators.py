"""What the Edge TPU compiler maps, operator by operator: one table of constraints, each row with its source and how sure it is.

Confidence: "seen": in a model beside what the real compiler made of it, or in its log; "documented": in a published table, and nothing
that was seen contradicts it; "inferred": follows from what was seen. Where rows and sightings leave a question open, the answer is
unknown. What was seen beats what a page says.

To add an operator: a row in OPERATORS; a new condition is a function in constraints.py.
"""

from typing import NamedTuple, Tuple

from _edgetpu import constraints as only
from _tflite.schema import operator_code

SEEN, DOCUMENTED, INFERRED = "seen", "documented", "inferred"

# Where it was read.
PAIRS = "google-coral/test_data: models and what the compiler made of them"
LOGS = "logs of edgetpu_compiler 2.0 to 16.0"
CORAL_2019 = "coral.ai, supported operations, as of 2019"
AXIS = "Axis, ARTPEC-7 supported operations (the Edge TPU's later table)"
SCHEMA_VERSIONS = "TensorFlow Lite, tools/versioning/runtime_version.cc"


class Row(NamedTuple):
    """An operator that can be mapped. constraints: each tells what is wrong with an operator, or None; runtime: the oldest runtime for
    which it is known to be mapped; newest: the newest version of the operator that the compiler's TensorFlow Lite knows; largest: elements
    of the largest tensor with which it was seen mapped, where a larger one was seen not to be (0: none was).
    """

    constraints: Tuple = ()
    source: str = CORAL_2019
    confidence: str = DOCUMENTED
    runtime: int = 10
    newest: int = 1
    largest: int = 0


OPERATORS = {
    "ADD": Row((only.like_shapes,), PAIRS, SEEN, newest=3),
    "AVERAGE_POOL_2D": Row((only.no_fused_activation,), PAIRS, SEEN, newest=3),
    "CONCATENATION": Row((only.no_fused_activation, only.zero_padding_alone, only.long_rows), PAIRS, SEEN, newest=3),
    "CONV_2D": Row((only.constant_weights, only.same_dilation, only.ungrouped), PAIRS, SEEN, newest=5),
    "DEPTHWISE_CONV_2D": Row((only.constant_weights, only.same_dilation, only.multiplier_of_one), PAIRS, SEEN, newest=6),
    "EXPAND_DIMS": Row(source=AXIS, runtime=13),
    "FULLY_CONNECTED": Row((only.constant_weights, only.default_weights_format, only.one_row), PAIRS, SEEN, newest=9),
    "L2_NORMALIZATION": Row(source=LOGS, confidence=SEEN, newest=2),
    "LOGISTIC": Row(source=PAIRS, confidence=SEEN, newest=3),
    "MAX_POOL_2D": Row((only.no_fused_activation,), LOGS, SEEN, newest=3, largest=51200),
    "MAXIMUM": Row((only.like_shapes,), newest=4),
    "MEAN": Row((only.not_over_batch, only.depth_multiple_of_4), AXIS, newest=3, largest=24576),
    "MINIMUM": Row((only.like_shapes,), newest=4),
    "MUL": Row((only.like_shapes,), PAIRS, SEEN, newest=4),
    "PAD": Row((only.no_batch_padding, only.no_depth_padding_before_13), PAIRS, SEEN, newest=3),
    "PACK": Row((only.contradicted,), AXIS, runtime=13, newest=3),
    "PRELU": Row((only.alpha_of_channels,), AXIS, runtime=13),
    "QUANTIZE": Row(source=PAIRS, confidence=SEEN, runtime=12, newest=2),
    "REDUCE_MAX": Row((only.not_over_batch,), AXIS, runtime=14, newest=3),
    "REDUCE_MIN": Row((only.not_over_batch,), AXIS, runtime=14, newest=3),
    "RELU": Row(newest=3),
    "RELU6": Row(newest=3),
    "RELU_N1_TO_1": Row(),
    "RESHAPE": Row((only.not_too_large,), PAIRS, SEEN),
    "RESIZE_BILINEAR": Row((only.small_factor, only.half_pixels_from_12), PAIRS, SEEN, newest=4, largest=55296),
    "RESIZE_NEAREST_NEIGHBOR": Row((only.small_factor, only.whole_pixels, only.nearest_before_14), LOGS, SEEN, newest=4, largest=819200),
    "SLICE": Row(newest=5),
    "SOFTMAX": Row((only.one_row, only.at_most_16000), PAIRS, SEEN, newest=3),
    "SPACE_TO_DEPTH": Row(newest=2),
    "SPLIT": Row((only.last_axis,), PAIRS, SEEN, newest=4),
    "SQUEEZE": Row((only.leading_dimensions,), newest=2),
    "STRIDED_SLICE": Row((only.strides_of_one, only.no_masks), LOGS, SEEN, newest=5),
    "SUB": Row((only.like_shapes,), PAIRS, SEEN, newest=5),
    "SUM": Row((only.not_over_batch,), LOGS, SEEN, runtime=13, newest=2),
    "TANH": Row(source=LOGS, confidence=SEEN, newest=3),
    "TILE": Row(source=PAIRS, confidence=SEEN, runtime=12, newest=2),
    "TRANSPOSE": Row((only.not_too_large, only.batch_stays_first), LOGS, SEEN, runtime=14, newest=5),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": Row(source=PAIRS, confidence=SEEN, runtime=12, newest=3),
}

# Never mapped in 58 models beside what the compiler made of them, nor in its logs; but then, none of them worked on 8 bits there.
NEVER_MAPPED = ("ARG_MAX", "CAST", "DEQUANTIZE", "DIV", "FLOOR_DIV", "GATHER_ND", "SQRT", "UNPACK")

# Newest versions, known to the compiler's TensorFlow Lite, of operators that the table above does not have and that have more than one:
# a newer one makes the compiler refuse the whole model, mapped or not.
_OTHER_VERSIONS = {
    "ABS": 3,
    "ARG_MAX": 2,
    "ARG_MIN": 2,
    "BATCH_MATMUL": 4,
    "BATCH_TO_SPACE_ND": 3,
    "BIDIRECTIONAL_SEQUENCE_LSTM": 3,
    "BIDIRECTIONAL_SEQUENCE_RNN": 3,
    "BROADCAST_TO": 3,
    "DEPTH_TO_SPACE": 2,
    "DEQUANTIZE": 4,
    "DIV": 2,
    "EMBEDDING_LOOKUP": 3,
    "EQUAL": 3,
    "FAKE_QUANT": 2,
    "FILL": 3,
    "FLOOR_DIV": 2,
    "GATHER": 5,
    "GATHER_ND": 3,
    "GREATER": 2,
    "GREATER_EQUAL": 2,
    "LEAKY_RELU": 2,
    "LESS": 2,
    "LESS_EQUAL": 2,
    "LOG_SOFTMAX": 2,
    "LSTM": 4,
    "MIRROR_PAD": 2,
    "NOT_EQUAL": 3,
    "PADV2": 3,
    "REVERSE_V2": 3,
    "RNN": 3,
    "RSQRT": 2,
    "SELECT": 2,
    "SPACE_TO_BATCH_ND": 3,
    "SPARSE_TO_DENSE": 3,
    "SPLIT_V": 2,
    "SQUARED_DIFFERENCE": 2,
    "SVDF": 4,
    "TOPK_V2": 2,
    "TRANSPOSE_CONV": 3,
    "UNIDIRECTIONAL_SEQUENCE_RNN": 3,
    "UNPACK": 4,
}
_LAST = "HASHTABLE_SIZE"  # the last operator that the compiler's TensorFlow Lite has, by its code


def newest_version(op):
    """The newest version of a builtin operator that the compiler knows; 0 for an operator that is newer than the compiler."""
    code = operator_code(op)
    if code is None or code > operator_code(_LAST):
        return 0
    return OPERATORS[op].newest if op in OPERATORS else _OTHER_VERSIONS.get(op, 1)
