"""What is in a model that edgetpu_compiler made: for each operator that runs on the Edge TPU its package of executables.

The operator's options are a map (libedgetpu, tflite/custom_op_data.cc) whose entries "4" and "7" are packages; a package and its
executables are FlatBuffers (libedgetpu, executable/executable.fbs).
"""

from typing import List, NamedTuple, Tuple

from _edgetpu.words import CUSTOM_OP
from _runtime import StageError
from _tflite.custom_options import read_map
from _tflite.flatbuffer import DamagedError, FlatBuffer
from _tflite.model import read_model, short_name

_PACKAGE, _MORE_PACKAGES = "4", "7"
_IDENTIFIER = b"DWN1"
_TYPES = ("stand-alone", "parameter-caching", "execution-only")
_MOST_EXECUTABLES = 64


class Layer(NamedTuple):
    """An input or output of an executable. bytes: with padding; shape: y, x, z."""

    name: str
    bytes: int
    shape: Tuple[int, int, int]


class Executable(NamedTuple):
    """A program of the Edge TPU. type: "stand-alone", "parameter-caching" (loads the parameters into the cache, once) or "execution-only"
    (runs on parameters in the cache); all sizes in bytes; parameters: that it brings; an execution-only one's own are streamed at every
    inference; token: parameters of executables with the same token are cached together, as those of co-compiled models.
    """

    type: str
    chip: str
    bytes: int
    instructions: int
    parameters: int
    scratch: int
    narrow_memory_per_tile: int
    token: str
    inputs: List[Layer]
    outputs: List[Layer]


class Package(NamedTuple):
    """What one operator runs. runtime: the oldest Edge TPU runtime that can run it; compiler: as far as the compiler writes it."""

    operator: int
    runtime: int
    compiler: str
    model: str
    bytes: int
    executables: List[Executable]

    @property
    def cached(self):
        """Bytes of parameters that stay on the Edge TPU."""
        return sum(each.parameters for each in self.executables if each.type == "parameter-caching")

    @property
    def streamed(self):
        """Bytes of parameters that are sent to the Edge TPU at every inference."""
        return sum(each.parameters for each in self.executables if each.type != "parameter-caching")


def read_compiled(content, where="model_edgetpu.tflite"):
    """(`Model`, its `Package`s) of the bytes of a compiled model.

    Raises StageError where it is no TensorFlow Lite model, has no operator for the Edge TPU, or a package that cannot be read.
    """
    model = read_model(content, where)
    operators = [operator for operator in model.operators if operator.op == CUSTOM_OP]
    if not operators:
        raise StageError(
            "the model is not compiled for the Edge TPU: nothing of it runs there",
            where,
            "an operator %s" % CUSTOM_OP,
            "%d operators, none of that name" % len(model.operators),
            "give what edgetpu_compiler wrote; ./mill edgetpu.predict tells what it would map",
        )
    packages = []
    for operator in operators:
        try:
            packages.extend(_packages(operator))
        except DamagedError as error:
            place = "%s, operator %d" % (where, operator.index)
            raise StageError(
                "the operator's package is damaged", place, "a package for the Edge TPU (DWN1)", error, "compile the model again"
            ) from None
    return model, packages


def mapped_operators(model, compiled):
    """Whether the compiler mapped each operator of a `Model`, told by what it made of it, `compiled`.

    It did where no operator of the compiled model that runs on the CPU puts out one of its outputs.
    """
    left = {compiled.tensors[index].name for each in compiled.operators if each.op != CUSTOM_OP for index in each.outputs}
    return [all(model.tensors[index].name not in left for index in each.outputs) for each in model.operators]


def require_runtime(packages, target, where):
    """Raise StageError where a package asks for a newer runtime than the `Target` has."""
    needed = max(package.runtime for package in packages)
    if needed > target.runtime:
        raise StageError(
            "the compiled model asks for a newer Edge TPU runtime than the target has",
            where,
            "runtime %d or older (%s)" % (target.runtime, target.name),
            "runtime %d" % needed,
            "compile with -m %d (compile.target: %s), or update the devices and name their target" % (target.runtime, target.name),
        )


def _packages(operator):
    options = read_map(operator.options)
    blobs = [options.get(_PACKAGE), *(options.get(_MORE_PACKAGES) or ())]
    for blob in blobs:
        if not isinstance(blob, bytes) or blob[4:8] != _IDENTIFIER:
            raise DamagedError("no package (%s)" % (repr(blob[4:8]) if isinstance(blob, bytes) else type(blob).__name__))
        yield _package(operator, blob)


def _package(operator, blob):
    root = FlatBuffer(blob).root()
    multiple = FlatBuffer(root.bytes(1)).root()
    count = multiple.span(0, 4)[1]
    if not 0 < count <= _MOST_EXECUTABLES:
        raise DamagedError("%d executables" % count)
    executables = [_executable(each) for each in multiple.blobs(0)]
    return Package(operator.index, root.number(0, "i"), root.text(4), root.text(7), len(blob), executables)


def _executable(content):
    table = FlatBuffer(content).root()
    kind = table.number(13, "h")
    return Executable(
        _TYPES[kind] if 0 <= kind < len(_TYPES) else "type %d" % kind,
        table.text(10),
        len(content),
        sum(each.span(0, 1)[1] for each in table.tables(5)),
        table.span(6, 1)[1],
        table.number(4, "i"),
        table.number(12, "i"),
        "%016x" % table.number(14, "Q"),
        [_layer(each) for each in table.tables(8)],
        [_layer(each) for each in table.tables(9)],
    )


def _layer(table):
    return Layer(table.text(0), table.number(1, "i"), tuple(table.number(slot, "i") for slot in (2, 3, 4)))


def as_json(model, packages):
    """The fields of compiled.json but for the file's name."""
    return {
        "schema": 1,
        "bytes": model.size,
        "runtime": max(package.runtime for package in packages),
        "operators": [{"index": each.index, "op": each.op} for each in model.operators],
        "packages": [
            dict(
                package._asdict(),
                executables=[
                    dict(each._asdict(), inputs=_layers(each.inputs), outputs=_layers(each.outputs)) for each in package.executables
                ],
                cached=package.cached,
                streamed=package.streamed,
            )
            for package in packages
        ],
    }


def _layers(layers):
    return [dict(layer._asdict(), shape=list(layer.shape)) for layer in layers]


def describe_lines(model, packages):
    """The same as lines for people."""
    names = [each.op for each in model.operators if each.op != CUSTOM_OP]
    yield "%d bytes, %d operators: %d on the Edge TPU, %d on the CPU%s" % (
        model.size,
        len(model.operators),
        len(model.operators) - len(names),
        len(names),
        " (%s)" % ", ".join(sorted(set(names))) if names else "",
    )
    for package in packages:
        yield ""
        yield "operator %d: needs Edge TPU runtime %d or newer; package of %d bytes" % (package.operator, package.runtime, package.bytes)
        yield "  parameters: %d bytes cached on the Edge TPU, %d bytes sent at every inference" % (package.cached, package.streamed)
        for each in package.executables:
            yield "  %s executable, %d bytes: instructions %d, parameters %d, scratch %d, narrow memory of a tile %d, chip %s, token %s" % (
                each.type,
                each.bytes,
                each.instructions,
                each.parameters,
                each.scratch,
                each.narrow_memory_per_tile,
                each.chip or "not told",
                each.token,
            )
            for role, layers in (("input", each.inputs), ("output", each.outputs)):
                for layer in layers:
                    yield "    %-6s  %s  %s" % (role, "x".join(map(str, layer.shape)), short_name(layer.name))
