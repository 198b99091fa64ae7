"""What a .tflite file says: tensors, operators, inputs and outputs (TensorFlow Lite schema, version 3)."""

import struct
from typing import List, NamedTuple, Optional, Tuple

from _runtime import StageError
from _tflite import schema
from _tflite.builtin_options import read_builtin_options
from _tflite.flatbuffer import DamagedError, FlatBuffer

IDENTIFIER = b"TFL3"
# More than any model has: beyond them a file is damaged, and checking it would take for ever.
_MOST_DIMENSIONS = 8
_MOST_INTERFACES = 64
_LONGEST_NAME = 1000


class Tensor(NamedTuple):
    """A tensor. type: "uint8", "float32", …; scales, zero_points: empty where it is not quantized; bytes: of its constant data, 0 for one
    that is computed at run time; type_place: where its type is stored in the file, or None where it is the default (float32); dimension:
    along which the scales lie, where it has several; place: where its constant data are in the file; variable: whether it keeps
    its value from one run to the next.
    """

    index: int
    name: str
    type: str
    shape: Tuple[int, ...]
    scales: Tuple[float, ...]
    zero_points: Tuple[int, ...]
    bytes: int
    type_place: Optional[int]
    dimension: int = 0
    place: Optional[int] = None
    variable: bool = False


class Operator(NamedTuple):
    """An operator. op: "CONV_2D", … or a custom operator's own name; inputs, outputs: tensor indices, -1 for an absent optional input;
    options: a custom operator's bytes, which start at options_place in the file; version: of the operator, from 1; builtin: a builtin
    operator's options by their schema's names, those that `builtin_options` knows.
    """

    index: int
    op: str
    custom: bool
    inputs: Tuple[int, ...]
    outputs: Tuple[int, ...]
    options: bytes
    options_place: Optional[int]
    version: int = 1
    builtin: Optional[dict] = None


class Model(NamedTuple):
    """A model. inputs, outputs: tensor indices; size: bytes of the file; description: the converter's own."""

    tensors: List[Tensor]
    operators: List[Operator]
    inputs: Tuple[int, ...]
    outputs: Tuple[int, ...]
    size: int
    description: str


def read_model(content, where="model.tflite"):
    """Parse the bytes of a .tflite with one subgraph.

    Raises StageError for anything else: an empty file, another format, damage, or indices that lead nowhere.
    """
    if not content:
        raise StageError(
            "the model is an empty file", where, "a TensorFlow Lite flatbuffer", "0 bytes", "run convert again and read its log"
        )
    if len(content) < 8 or content[4:8] != IDENTIFIER:
        raise StageError(
            "the file is not a TensorFlow Lite model",
            where,
            "the identifier TFL3 at byte 4",
            repr(content[4:8]),
            "give the .tflite that the converter wrote",
        )
    try:
        return _model(FlatBuffer(content), where)
    except (DamagedError, struct.error) as error:
        raise StageError("the model is damaged", where, "a whole TensorFlow Lite flatbuffer", error, "convert it again") from None


def _model(buffer, where):
    root = buffer.root()
    subgraphs = root.tables(2)
    if len(subgraphs) != 1:
        raise StageError("the model does not have exactly one subgraph", where, 1, len(subgraphs), "give a model for inference")
    codes = [_operator_code(table) for table in root.tables(1)]
    data = [table.span(0, 1) for table in root.tables(4)]
    tensors = [_tensor(index, table, data) for index, table in enumerate(subgraphs[0].tables(0))]
    operators = [_operator(index, table, codes) for index, table in enumerate(subgraphs[0].tables(3))]
    model = Model(tensors, operators, subgraphs[0].numbers(1, "i"), subgraphs[0].numbers(2, "i"), len(buffer.content), root.text(3))
    _check_limits(model)
    _check_indices(model)
    return model


def _operator_code(table):
    # Codes above 126 are in the wider field 3 only, which converters of TensorFlow 1 do not write.
    code = max(table.number(0, "b"), table.number(3, "i"))
    custom = code == schema.CUSTOM
    return (table.text(1) if custom else schema.operator_name(code)), custom, table.number(2, "i", 1)


def _tensor(index, table, data):
    quantization = table.table(4)
    scales, zero_points = ((), ()) if quantization is None else (quantization.numbers(2, "f"), quantization.numbers(3, "q"))
    dimension = 0 if quantization is None else quantization.number(6, "i")
    buffer = table.number(2, "I")
    if buffer >= len(data):
        raise DamagedError("tensor %d has buffer %d of %d" % (index, buffer, len(data)))
    return Tensor(
        index,
        table.text(3),
        schema.type_name(table.number(1, "b")),
        table.numbers(0, "i"),
        scales,
        zero_points,
        data[buffer][1],
        table.place(1),
        dimension,
        data[buffer][0],
        bool(table.number(5, "b")),
    )


def _operator(index, table, codes):
    code = table.number(0, "I")
    if code >= len(codes):
        raise DamagedError("operator %d has code %d of %d" % (index, code, len(codes)))
    op, custom, version = codes[code]
    builtin = None if custom else read_builtin_options(op, table.table(4))
    return Operator(index, op, custom, table.numbers(1, "i"), table.numbers(2, "i"), table.bytes(5), table.span(5, 1)[0], version, builtin)


def _check_limits(model):
    if max(len(model.inputs), len(model.outputs)) > _MOST_INTERFACES:
        raise DamagedError("%d inputs and %d outputs" % (len(model.inputs), len(model.outputs)))
    for tensor in model.tensors:
        if len(tensor.shape) > _MOST_DIMENSIONS or len(tensor.name) > _LONGEST_NAME:
            raise DamagedError(
                "tensor %d has %d dimensions and a name of %d characters" % (tensor.index, len(tensor.shape), len(tensor.name))
            )
    for operator in model.operators:
        if len(operator.op) > _LONGEST_NAME:
            raise DamagedError("operator %d has a name of %d characters" % (operator.index, len(operator.op)))


def _check_indices(model):
    count = len(model.tensors)
    for operator in model.operators:
        if any(not -1 <= index < count for index in operator.inputs) or any(not 0 <= index < count for index in operator.outputs):
            raise DamagedError("operator %d names a tensor that does not exist" % operator.index)
    if any(not 0 <= index < count for index in model.inputs + model.outputs):
        raise DamagedError("an input or output of the model does not exist")


def short_name(name):
    """A tensor's name; of one that the converter made of several, the first."""
    return name.split(";")[0]
