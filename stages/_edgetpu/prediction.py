"""What edgetpu_compiler would map of a model, told from the .tflite file alone, operator by operator.

Each answer is "mapped", "cpu" or "unknown", with the rule, its source and how sure it is (operators.py). "unknown" is an answer: nothing
that was published or seen decides the case.
"""

from typing import List, NamedTuple, Optional, Tuple

from _edgetpu import operators as table
from _edgetpu.constraints import Facts, Finding, elements
from _edgetpu.memory import largest_activation, parameter_bytes
from _edgetpu.partition import NO, UNKNOWN, YES, boundary, first_partition
from _edgetpu.targets import CACHE_AT_LEAST, CACHE_AT_MOST, COMPILER, TENSORFLOW
from _edgetpu.words import BAD_RANK, BAD_TYPE, CUSTOM_OP, LIMITATION, MAPPED, NOT_SUPPORTED, SECOND
from _runtime import StageError
from _tflite.model import read_model, short_name

_EIGHT_BITS = ("int8", "uint8")
# The compiler's stream of parameters is larger than they are: 1.04 to 1.33 times in models that were seen, but for one of 10 kB.
_STREAM_AT_MOST = 1.35


class Verdict(NamedTuple):
    """About one operator. verdict: "mapped", "cpu" or "unknown"; status: as the compiler would print it, None where that is not known;
    rule: the name of what decided; layer: the name of its first output.
    """

    index: int
    op: str
    version: int
    verdict: str
    status: Optional[str]
    reason: str
    rule: str
    source: str
    confidence: str
    layer: str


class Refusal(NamedTuple):
    """Why the compiler would refuse the whole model."""

    what: str
    where: str
    found: str
    remedy: str
    source: str
    confidence: str


class Prediction(NamedTuple):
    """Of a model for a `Target`. refused: why the compiler would not take it at all; parameter_bytes: constants of the mapped operators;
    activation: (bytes, tensor name) of the largest tensor that is computed; boundary: (names of the tensors that go into the partition,
    of those that come out of it), as far as it is sure.
    """

    target: object
    refused: Optional[Refusal]
    verdicts: List[Verdict]
    parameter_bytes: int
    activation: Tuple[int, str]
    boundary: Tuple[List[str], List[str]]

    def count(self, verdict):
        """How many operators have that verdict."""
        return sum(each.verdict == verdict for each in self.verdicts)

    def as_json(self):
        """The fields of prediction.json."""
        return {
            "schema": 1,
            "target": {"name": self.target.name, "runtime": self.target.runtime, "compiler": COMPILER},
            "refused": self.refused and dict(self.refused._asdict()),
            "quantized": self.quantized,
            "operators": [dict(each._asdict()) for each in self.verdicts],
            "counts": {verdict: self.count(verdict) for verdict in (YES, NO, UNKNOWN)},
            "partition": {"operators": self.count(YES), "inputs": self.boundary[0], "outputs": self.boundary[1]},
            "parameters": {"bytes": self.parameter_bytes, "on_chip_at_most": CACHE_AT_MOST, "verdict": self.memory()},
            "largest_activation": {"bytes": self.activation[0], "tensor": self.activation[1]},
        }

    @property
    def quantized(self):
        """Whether any operator is known to work on 8 bits. Older compilers refuse a model of which none does: "Model not quantized"."""
        return any(each.rule not in ("eight-bits", "refused") for each in self.verdicts)

    def memory(self):
        """Whether the parameters "fit" in the Edge TPU's cache, "stream" from the host at every inference, or this is "unknown"."""
        if self.parameter_bytes > CACHE_AT_MOST:
            return "streams"
        return "fits" if self.parameter_bytes * _STREAM_AT_MOST <= CACHE_AT_LEAST else "unknown"


def predict(content, target, where="model.tflite"):
    """The `Prediction` for the bytes of a .tflite and a `Target`.

    Raises StageError where it is no TensorFlow Lite model with one subgraph, has no operators, or is compiled already.
    """
    model = read_model(content, where)
    if not model.operators:
        raise StageError("the model has no operators", where, "a model for inference", "0 operators", "give the converter's .tflite")
    for operator in model.operators:
        if operator.op == CUSTOM_OP:
            raise StageError(
                "the model is compiled already",
                "%s, operator %d" % (where, operator.index),
                "the .tflite that the compiler is given",
                CUSTOM_OP,
                "give the model from before; ./mill edgetpu.inspect tells what is in this one",
            )
    refused = _refusal(model, where)
    verdicts = _verdicts(model, content, target) if refused is None else [_refused(model, each, refused) for each in model.operators]
    mapped = [model.operators[each.index] for each in verdicts if each.verdict == YES]
    return Prediction(target, refused, verdicts, parameter_bytes(model, mapped), largest_activation(model), boundary(model, mapped))


def _refusal(model, where):
    for look in (_unknown_version, _open_size, _size_at_run_time):
        for operator in model.operators:
            found = look(model, operator)
            if found is not None:
                what, told, remedy, source, confidence = found
                place = "%s, operator %d, %s" % (where, operator.index, short_name(_layer(model, operator)))
                return Refusal(what, place, "%s: %s" % (operator.op, told), remedy, source, confidence)
    return None


def _unknown_version(_model, operator):
    newest = operator.version if operator.custom else table.newest_version(operator.op)
    if operator.version <= newest:
        return None
    known = "knows up to version %d" % newest if newest else "has no such operator"
    return (
        "the compiler does not know this version of an operator, and refuses the model",
        "version %d; compiler %s, with TensorFlow Lite %s, %s" % (operator.version, COMPILER, TENSORFLOW, known),
        "convert with an older converter, or avoid what raised the version",
        table.SCHEMA_VERSIONS,
        table.INFERRED,
    )


_DYNAMIC = "the model has tensors whose size is known only when it runs, and the compiler refuses it"
_FIXED = "export it with fixed sizes, batch 1"


def _open_size(model, operator):
    for index in (*operator.inputs, *operator.outputs):
        if index >= 0 and any(side < 0 for side in model.tensors[index].shape):
            told = "tensor %d, %s, is %s" % (index, short_name(model.tensors[index].name), list(model.tensors[index].shape))
            return _DYNAMIC, told, _FIXED, table.LOGS, table.SEEN
    return None


# Inputs, by their places, that decide an operator's output shape: where one is computed, so is the shape.
_SHAPE_INPUTS = {
    "BATCH_TO_SPACE_ND": (1, 2),
    "BROADCAST_TO": (1,),
    "EXPAND_DIMS": (1,),
    "FILL": (0,),
    "MEAN": (1,),
    "MIRROR_PAD": (1,),
    "PAD": (1,),
    "PADV2": (1,),
    "RANGE": (0, 1, 2),
    "REDUCE_MAX": (1,),
    "REDUCE_MIN": (1,),
    "REDUCE_PROD": (1,),
    "RESHAPE": (1,),
    "RESIZE_BILINEAR": (1,),
    "RESIZE_NEAREST_NEIGHBOR": (1,),
    "SLICE": (1, 2),
    "SPACE_TO_BATCH_ND": (1, 2),
    "SPLIT": (0,),
    "SPLIT_V": (1, 2),
    "STRIDED_SLICE": (1, 2, 3),
    "SUM": (1,),
    "TILE": (1,),
    "TOPK_V2": (1,),
    "TRANSPOSE": (1,),
    "TRANSPOSE_CONV": (0,),
}
_SIZE_FROM_VALUES = ("WHERE", "UNIQUE", "NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5")


def _size_at_run_time(model, operator):
    told = None
    if operator.op in _SIZE_FROM_VALUES:
        told = "the size of what it finds depends on the values"
    for place in _SHAPE_INPUTS.get(operator.op, ()):
        index = operator.inputs[place] if place < len(operator.inputs) else -1
        if index >= 0 and not model.tensors[index].bytes:
            told = "its size depends on the computed tensor %s" % short_name(model.tensors[index].name)
    return told and (_DYNAMIC, told, _FIXED, table.LOGS, table.SEEN)


def _refused(model, operator, refusal):
    judged = _Judged(False, None, "the compiler refuses the model", "refused", refusal.source, refusal.confidence)
    return Verdict(operator.index, operator.op, operator.version, NO, *judged[1:], _layer(model, operator))


class _Judged(NamedTuple):
    """able: True, False, or None for a doubt; the rest as in `Verdict`."""

    able: Optional[bool]
    status: Optional[str]
    reason: str
    rule: str
    source: str
    confidence: str


def _verdicts(model, content, target):
    judged = [_judge(model, content, operator, target) for operator in model.operators]
    places = first_partition([each.able for each in judged], _makers(model))
    begin = next((index for index, place in enumerate(places) if place == YES), len(places))
    left_out = next((index for index in range(begin, len(places)) if places[index] != YES), None)
    cause = "an operator" if left_out is None else "operator %d, %s," % (left_out, model.operators[left_out].op)
    return [_verdict(model, each, found, place, cause) for each, found, place in zip(model.operators, judged, places)]


def _verdict(model, operator, judged, place, cause):
    """The judgement about an operator by itself, or what its place in the graph makes of it. cause: the first that is left out."""
    if judged.able is True and place == UNKNOWN:
        reason = "whether it is in the one partition that the compiler makes depends on %s which is not surely mapped" % cause
        judged = judged._replace(status=None, reason=reason, rule="one-partition", source=table.PAIRS)
    elif judged.able is not False and place == NO:
        reason = "it depends on %s which is not mapped, and the compiler makes one partition" % cause
        judged = judged._replace(status=SECOND, reason=reason, rule="one-partition", source=table.PAIRS)
    return Verdict(operator.index, operator.op, operator.version, place, *judged[1:], _layer(model, operator))


def _judge(model, content, operator, target):
    """Whether the operator could be mapped, by itself: what the first rule says that has something to say."""
    for rule in (_bad_type, _no_table, _bad_rank):
        found = rule(model, operator)
        if found is not None:
            return found
    row = table.OPERATORS[operator.op]
    finding, rule = _first_finding(Facts(model, content, operator, target.runtime), row)
    if finding is not None:
        return _Judged(None if finding.doubt else False, finding.status, finding.reason, rule, row.source, table.DOCUMENTED)
    return _Judged(True, MAPPED, "the table has it, and its constraints are kept", "supported", row.source, row.confidence)


def _no_table(_model, operator):
    if operator.custom:
        return _Judged(False, NOT_SUPPORTED, "it is a custom operator", "custom", table.LOGS, table.SEEN)
    if operator.op in table.NEVER_MAPPED:
        return _Judged(None, None, "it was never seen mapped, and never on 8 bits", "never-mapped", table.PAIRS, table.INFERRED)
    if operator.op not in table.OPERATORS:
        reason = "no table that is known here has it, and no model with it was seen"
        return _Judged(None, None, reason, "not-in-the-table", table.AXIS, table.INFERRED)
    return None


def _first_finding(facts, row):
    """(finding, the constraint's name) of the first constraint that is not kept, a sure one before a doubt; (None, None) for none."""
    # RESHAPE alone may lack the input that says its shape.
    needed = {
        1 if facts.operator.op == "SPLIT" else 0,
        *(_SHAPE_INPUTS.get(facts.operator.op, ()) if facts.operator.op != "RESHAPE" else ()),
    }
    if facts.output is None or any(facts.tensor(place) is None for place in needed):
        return Finding("an input or output is missing", doubt=True), "inputs"
    found = [(constraint(facts), constraint.__name__.replace("_", "-")) for constraint in row.constraints]
    if facts.runtime < row.runtime:
        reason = "it is known from runtime %d on, and the target's is %d" % (row.runtime, facts.runtime)
        found.append((Finding(reason, doubt=True), "runtime"))
    size = max(elements(tensor.shape) for tensor in _computed(facts.model, facts.operator))
    if row.largest and size > row.largest:
        reason = "it has %d elements: up to %d were seen mapped, and larger ones were not" % (size, row.largest)
        found.append((Finding(reason, doubt=True), "larger-than-seen"))
    found = [each for each in found if each[0] is not None]
    return min(found, key=lambda each: each[0].doubt, default=(None, None))


def _computed(model, operator):
    """The tensors that it computes with: inputs that are no constants, and outputs."""
    read = [index for index in operator.inputs if index >= 0 and not model.tensors[index].bytes]
    return [model.tensors[index] for index in (*read, *operator.outputs)]


def _bad_type(model, operator):
    """What it computes with must be quantized to 8 bits; an LSTM's state may have 16."""
    for tensor in _computed(model, operator):
        eight = tensor.type in _EIGHT_BITS or (tensor.variable and tensor.type == "int16")
        if not eight or not tensor.scales:
            found = "%s without a scale: it is not quantized" % tensor.type if eight else "%s, not int8 or uint8" % tensor.type
            reason = "tensor %d, %s, is %s" % (tensor.index, short_name(tensor.name), found)
            # Of the quantization of a float input the compiler says something else.
            return _Judged(False, LIMITATION if operator.op == "QUANTIZE" else BAD_TYPE, reason, "eight-bits", table.LOGS, table.SEEN)
    return None


def _bad_rank(model, operator):
    for tensor in _computed(model, operator):
        if elements(tensor.shape[:-3]) > 1:
            sides = "x".join(str(side) for side in tensor.shape)
            reason = "tensor %d, %s, is %s: only the last three dimensions may be above 1" % (tensor.index, short_name(tensor.name), sides)
            return _Judged(False, BAD_RANK, reason, "three-dimensions", table.CORAL_2019, table.DOCUMENTED)
    return None


def _makers(model):
    made = {tensor: operator.index for operator in model.operators for tensor in operator.outputs}
    return [
        sorted({made[tensor] for tensor in operator.inputs if made.get(tensor, operator.index) < operator.index})
        for operator in model.operators
    ]


def _layer(model, operator):
    return model.tensors[operator.outputs[0]].name if operator.outputs else ""
