"""Models of a few operators for the tests of the Edge TPU's prediction, and the pairs of a model and what the compiler made of it."""

import numpy as np
from _edgetpu.prediction import predict
from _edgetpu.targets import TARGETS
from ai_edge_litert import schema_py_generated as schema
from litert_operator import INT8, INT32, ModelBuilder

from stage_helpers import shared

TARGET = TARGETS["coral-runtime-14"]
OPS = schema.BuiltinOperator
SHAPE = (1, 4, 4, 8)


class Chain(ModelBuilder):
    """Operators after one another, each on the output of the one before; all int8 with a scale unless told otherwise."""

    def __init__(self, shape=SHAPE, kind=INT8):
        super().__init__()
        self.last = self.tensor("input", shape, kind, scale=0.5)
        self.inputs = [self.last]

    def constant(self, values, kind=INT32):
        """A constant tensor; without a scale where it is of shapes."""
        array = np.asarray(values, np.int32 if kind == INT32 else np.int8)
        return self.tensor("constant", array.shape, kind, array, scale=None if kind == INT32 else 0.5)

    def add(self, name, settings=None, constants=(), shape=SHAPE, kind=INT8, version=1, before=(), source=None, scale=0.5):
        """Append an operator by its name: `before` and `constants` are tensors before and after what it reads. Returns its output."""
        made = self.tensor("%s_%d" % (name.lower(), len(self.operators)), shape, kind, scale=scale)
        self.operator(getattr(OPS, name), [*before, self.last if source is None else source, *constants], [made], settings)
        self.codes[-1].version = version
        self.last = made
        self.outputs = [made]
        return made

    def conv(self, weights=True, **settings):
        """A convolution of 3 x 3."""
        options = options_of("Conv2D", strideW=1, strideH=1, dilationWFactor=1, dilationHFactor=1, **settings)
        filters = self.constant(np.ones((8, 3, 3, 8)), INT8) if weights else self.tensor("computed", (1, 3, 3, 8), INT8, scale=0.5)
        return self.add("CONV_2D", options, [filters, self.constant(np.ones(8))], version=3)


def options_of(name, **fields):
    """Builtin options, as LiteRT's schema calls them."""
    made = getattr(schema, name + "OptionsT")()
    for field, value in fields.items():
        setattr(made, field, value)
    return made


def verdicts(model, target=TARGET):
    """[(op, verdict, rule)] of a `ModelBuilder`."""
    return [(each.op, each.verdict, each.rule) for each in predict(model.bytes(), target).verdicts]


def pairs():
    """{name: (bytes of the model, bytes of what the compiler made of it)}, real ones."""
    folder = shared() / "data" / "edgetpu" / "pairs"
    compiled = sorted(folder.glob("*_edgetpu.tflite"))
    names = [path.name[: -len("_edgetpu.tflite")] for path in compiled]
    return {name: ((folder / (name + ".tflite")).read_bytes(), path.read_bytes()) for name, path in zip(names, compiled)}
