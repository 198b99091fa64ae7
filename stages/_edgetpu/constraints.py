"""Conditions under which the Edge TPU compiler maps an operator: each is a function of the operator's `Facts` that tells what is wrong.

It returns a `Finding`, or None where all is well. A finding of doubt says that nobody knows, and then the prediction is "unknown". That
operands which decide a shape are constant need not be asked here: the compiler refuses a model in which one is not (prediction.py).
"""

from typing import NamedTuple, Optional

from _tflite.constants import integers

# Above about this many elements reshapes and transposes were seen mapped and not mapped.
_LARGE = 2**17
_SOFTMAX_ELEMENTS = 16000
_LONGEST_ROWS = 174447  # elements of the largest concatenation of rows that was seen mapped (an SSD's scores); 705600 were seen not to be
_LARGEST_FACTOR = 2.0  # of a resize that nothing that was seen contradicts; 33 was seen not to be mapped


class Finding(NamedTuple):
    """Why an operator is not mapped: reason, in words; doubt: whether that is not sure; status: the compiler's own words, where known."""

    reason: str
    doubt: bool = False
    status: Optional[str] = None


class Facts(NamedTuple):
    """An operator with what is around it. model: the whole; content: the file's bytes; operator: of the model; runtime: the target's."""

    model: object
    content: bytes
    operator: object
    runtime: int

    def tensor(self, place):
        """Its input at `place` (from 0), None where it has none."""
        inputs = self.operator.inputs
        return self.model.tensors[inputs[place]] if place < len(inputs) and inputs[place] >= 0 else None

    @property
    def output(self):
        """Its first output, None where it has none."""
        return self.model.tensors[self.operator.outputs[0]] if self.operator.outputs else None

    def numbers(self, place):
        """The integers of a constant input, None where it is computed."""
        tensor = self.tensor(place)
        return None if tensor is None or not tensor.bytes else integers(self.content, tensor)

    def option(self, name):
        """A builtin option."""
        return (self.operator.builtin or {}).get(name)


def elements(shape):
    """Their number."""
    count = 1
    for side in shape:
        count *= max(1, side)
    return count


def no_fused_activation(facts):
    """None of RELU and the like may be part of the operator."""
    found = facts.option("fused_activation_function")
    return None if found in (None, "NONE") else Finding("it has a fused activation function, %s" % found)


def zero_padding_alone(facts):
    """With a constant among what is concatenated: two inputs, and the constant all zeros."""
    tensors = [facts.tensor(place) for place in range(len(facts.operator.inputs))]
    constants = [tensor for tensor in tensors if tensor is not None and tensor.bytes]
    if not constants:
        return None
    if len(tensors) == 2 and len(constants) == 1 and all(_is_zero(facts, tensor) for tensor in constants):
        return None
    return Finding("one of its inputs is constant, and not a padding with zeros of a single other input")


def long_rows(facts):
    """Of tensors of up to three dimensions, as detectors end with; those of four were seen mapped at any size."""
    shape = facts.output.shape
    if len(shape) > 3 or elements(shape) <= _LONGEST_ROWS:
        return None
    return Finding("it has %d elements in rows: %d were seen mapped, 705600 not" % (elements(shape), _LONGEST_ROWS), doubt=True)


def _is_zero(facts, tensor):
    zero = tensor.zero_points[0] if tensor.zero_points else 0
    return all(value == zero for value in integers(facts.content, tensor) or (None,))


def constant_weights(facts):
    """Weights of 8 bits and bias are known when the model is compiled."""
    weights, bias = facts.tensor(1), facts.tensor(2)
    if weights is None or not weights.bytes:
        return Finding("its weights are %s, not constant" % ("missing" if weights is None else "computed"))
    if weights.type not in ("int8", "uint8"):
        return Finding("its weights are %s, not int8 or uint8" % weights.type)
    return Finding("its bias is computed, not constant") if bias is not None and not bias.bytes else None


def ungrouped(facts):
    """Convolutions in groups were never seen."""
    depth, filters = facts.tensor(0).shape[-1:], facts.tensor(1)
    if filters is None or filters.shape[-1:] == depth:
        return None
    return Finding("it convolves in groups, and no model that does was seen", doubt=True)


def multiplier_of_one(facts):
    """Depthwise convolutions that multiply the channels were never seen."""
    found = facts.option("depth_multiplier")
    return None if found in (None, 0, 1) else Finding("its depth multiplier is %d, and none but 1 was seen" % found, doubt=True)


def like_shapes(facts):
    """Two tensors that are computed have the same shape; that one is spread over the other was never seen."""
    shapes = [tensor.shape for tensor in (facts.tensor(0), facts.tensor(1)) if tensor is not None and not tensor.bytes]
    if len(set(shapes)) < 2:
        return None
    return Finding("it spreads %s over %s, and no model that does was seen" % tuple(_sides(each) for each in shapes), doubt=True)


def same_dilation(facts):
    """As far in x as in y; runtimes before 13 have no dilation in depthwise convolutions."""
    wide, high = facts.option("dilation_w_factor"), facts.option("dilation_h_factor")
    if wide != high:
        return Finding("its dilation is %s in x and %s in y" % (wide, high))
    if facts.operator.op == "DEPTHWISE_CONV_2D" and wide not in (None, 1) and facts.runtime < 13:
        return Finding("it is dilated, and the target's runtime is %d" % facts.runtime, doubt=True)
    return None


def default_weights_format(facts):
    """Not shuffled."""
    return Finding("its weights are stored shuffled") if facts.option("weights_format") else None


def one_row(facts):
    """The output is one-dimensional: all its dimensions but the last are 1."""
    shape = facts.output.shape
    if elements(shape[:-1]) == 1:
        return None
    # One page allows one-dimensional input alone; a softmax of rank 4 was seen mapped.
    return Finding("its output %s has more than one row" % _sides(shape), doubt=facts.operator.op == "SOFTMAX")


def at_most_16000(facts):
    """Of elements."""
    count = elements(facts.output.shape)
    return None if count <= _SOFTMAX_ELEMENTS else Finding("it has %d elements, and %d are allowed" % (count, _SOFTMAX_ELEMENTS))


def not_over_batch(facts):
    """A reduction leaves the batch dimension alone."""
    axes = facts.numbers(1) or ()
    rank = len(facts.tensor(0).shape)
    return Finding("it reduces over the batch dimension") if any(axis in (0, -rank) for axis in axes) and rank > 1 else None


def depth_multiple_of_4(facts):
    """Where a mean is taken over the depth."""
    shape, axes = facts.tensor(0).shape, facts.numbers(1) or ()
    if not any(axis in (len(shape) - 1, -1) for axis in axes):
        return None
    if shape[-1] % 4:
        return Finding("it is a mean over the depth, which is %d and no multiple of 4" % shape[-1])
    return Finding("it is a mean over the depth, and the older table has none", doubt=True) if facts.runtime < 13 else None


def no_batch_padding(facts):
    """The batch dimension is not padded."""
    pads, rank = facts.numbers(1) or (), len(facts.tensor(0).shape)
    if not any(pads[:2]):
        return None
    return Finding("it pads the batch dimension" if rank > 3 else "it pads the first of %d dimensions" % rank, doubt=rank <= 3)


def no_depth_padding_before_13(facts):
    """The older table has padding of x and y alone."""
    if facts.runtime >= 13 or not any((facts.numbers(1) or ())[-2:]):
        return None
    return Finding("it pads the depth, and the table of older runtimes has x and y alone", doubt=True)


def contradicted(_facts):
    """A page lists the operator, and it was never seen mapped."""
    return Finding("one published table has it, and it was never seen mapped", doubt=True)


def alpha_of_channels(facts):
    """A factor for each channel, and no more."""
    alpha = facts.tensor(1)
    if alpha is not None and elements(alpha.shape[:-1]) == 1:
        return None
    return Finding("its alpha %s has more than one dimension (Keras: shared_axes=[1, 2])" % _sides(alpha.shape if alpha else ()))


def not_too_large(facts):
    """Large ones were seen both ways."""
    count = elements(facts.output.shape)
    return (
        None if count <= _LARGE else Finding("it has %d elements: above about %d some are mapped and some are not" % (count, _LARGE), True)
    )


def small_factor(facts):
    """Large factors of a resize are refused for their loss of precision; where that begins nobody has published."""
    before, after = facts.tensor(0).shape, facts.output.shape
    if len(before) != 4 or len(after) != 4:
        return Finding("it resizes %s to %s" % (_sides(before), _sides(after)), doubt=True)
    factors = [float(large) / max(1, small) for small, large in zip(before[1:3], after[1:3])]
    if max(factors) <= _LARGEST_FACTOR and min(factors) >= 1.0:
        return None
    return Finding(
        "it resizes %s to %s, and it is not known up to which factor that is mapped" % (_sides(before), _sides(after)), doubt=True
    )


def half_pixels_from_12(facts):
    """Half-pixel centres were seen mapped for runtime 12 and newer."""
    if facts.runtime >= 12 or not facts.option("half_pixel_centers"):
        return None
    return Finding("it has half-pixel centres, which were seen for runtime 12 and newer", doubt=True)


def whole_pixels(facts):
    """Nearest neighbours with half-pixel centres or aligned corners were never seen."""
    for name in ("half_pixel_centers", "align_corners"):
        if facts.option(name):
            return Finding("it has %s, and no model that does was seen" % name, doubt=True)
    return None


def nearest_before_14(facts):
    """Compiler 14.1 says "Operation version not supported" of one."""
    return Finding("older runtimes were seen not to have it", doubt=True) if facts.runtime < 14 else None


def last_axis(facts):
    """The axis, which is the first input, is the last: along another one it was seen not to be mapped."""
    axis, split = facts.numbers(0) or (), facts.tensor(1)
    rank = len(split.shape) if split is not None else 0
    if axis[:1] in ((-1,), (rank - 1,)):
        return None
    return Finding("it splits along axis %s, and along another one than the last none was seen mapped" % list(axis[:1]), doubt=True)


def leading_dimensions(facts):
    """Up to runtime 12 leading ones alone may go."""
    before, after = facts.tensor(0).shape, facts.output.shape
    if facts.runtime > 12 or tuple(before[len(before) - len(after) :]) == tuple(after):
        return None
    return Finding("it removes dimensions that are not leading, and the target's runtime is %d" % facts.runtime)


def strides_of_one(facts):
    """It leaves no element out."""
    strides = facts.numbers(3)
    return Finding("its strides are %s, not 1" % list(strides)) if strides is not None and any(each != 1 for each in strides) else None


def no_masks(facts):
    """Neither an ellipsis nor a new axis."""
    for name in ("ellipsis_mask", "new_axis_mask"):
        if facts.option(name):
            return Finding("its %s is %d, not 0" % (name, facts.option(name)))
    return None


def batch_stays_first(facts):
    """Transposes that move the batch dimension were not seen."""
    order = facts.numbers(1) or (0,)
    return Finding("it moves the batch dimension", doubt=True) if order[0] != 0 else None


def _sides(shape):
    return "x".join(str(side) for side in shape) or "of no dimension"
