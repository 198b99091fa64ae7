"""Builds .tflite files for tests with LiteRT's own schema and FlexBuffers: independent of the reader and the lint under test."""

from typing import NamedTuple

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from flatbuffers import flexbuffers

OUTPUTS = ["TFLite_Detection_PostProcess" + end for end in ("", ":1", ":2", ":3")]
RAW_OUTPUTS = ["raw_outputs/box_encodings", "raw_outputs/class_predictions"]
FLOAT, UINT8, INT8, INT32 = (getattr(schema.TensorType, name) for name in ("FLOAT32", "UINT8", "INT8", "INT32"))
SIDE, CELL, CLASSES = 24, 4, 3  # of the small detector: pixels, pixels an anchor, classes

ATTRIBUTES = {
    "max_detections": 10,
    "max_classes_per_detection": 1,
    "detections_per_class": 5,
    "use_regular_nms": False,
    "nms_score_threshold": 0.25,
    "nms_iou_threshold": 0.5,
    "num_classes": CLASSES,
    "y_scale": 10.0,
    "x_scale": 10.0,
    "h_scale": 5.0,
    "w_scale": 5.0,
}


def options(attributes):
    """FlexBuffer bytes of a map, its keys written in the order given."""
    builder = flexbuffers.Builder()
    with builder.Map():
        for name, value in attributes.items():
            builder.Key(name)
            if isinstance(value, bool):
                builder.Bool(value)
            elif isinstance(value, int):
                builder.Int(value)
            elif isinstance(value, str):
                builder.String(value)
            else:
                builder.Float(value, 4)
    return bytes(builder.Finish())


class ModelBuilder:
    """Collects tensors and operators; `bytes()` packs them. The objects stay open to changes: `tensors`, `operators`, `outputs`."""

    def __init__(self):
        self.tensors, self.operators, self.inputs, self.outputs = [], [], [], []
        self.codes, self.buffers = [], [b""]

    def tensor(self, name, shape, kind, data=None, scale=None, zero_point=0):
        made = schema.TensorT()
        made.name, made.shape, made.type, made.buffer = name, list(shape), kind, 0
        if data is not None:
            made.buffer = len(self.buffers)
            self.buffers.append(np.ascontiguousarray(data).tobytes())
        if scale is not None:
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale, made.quantization.zeroPoint = [scale], [zero_point]
        self.tensors.append(made)
        return len(self.tensors) - 1

    def named(self, name):
        return next(found for found in self.tensors if found.name == name)

    def operator(self, code, inputs, outputs, settings=None, custom=None, custom_options=b""):
        """`code`: of BuiltinOperator; custom: name of a custom operator."""
        made = schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = self._code(code, custom), list(inputs), list(outputs)
        if settings is not None:
            made.builtinOptions = settings
            made.builtinOptionsType = getattr(schema.BuiltinOptions, type(settings).__name__[:-1])
        if custom_options:
            made.customOptions = np.frombuffer(custom_options, np.uint8)
        self.operators.append(made)
        return made

    def _code(self, code, custom):
        made = schema.OperatorCodeT()
        made.builtinCode = made.deprecatedBuiltinCode = code
        made.customCode, made.version = custom, 1
        self.codes.append(made)
        return len(self.codes) - 1

    def postprocess(self, inputs, attributes):
        outputs = [self.tensor(name, [], FLOAT) for name in OUTPUTS]
        self.operator(schema.BuiltinOperator.CUSTOM, inputs, outputs, custom=OUTPUTS[0], custom_options=options(attributes))
        self.outputs = outputs

    def bytes(self):
        graph = schema.SubGraphT()
        graph.tensors, graph.operators, graph.inputs, graph.outputs = self.tensors, self.operators, self.inputs, self.outputs
        model = schema.ModelT()
        model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, self.codes, [graph], []
        for data in self.buffers:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data, np.uint8) if data else None
            model.buffers.append(buffer)
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def grid_anchors():
    """One anchor for each cell of the small detector: float32 [n, 4], centre and size."""
    centres = (np.arange(SIDE // CELL) + 0.5) * CELL / SIDE
    y, x = (grid.reshape(-1) for grid in np.meshgrid(centres, centres, indexing="ij"))
    return np.stack([y, x, np.full_like(y, 0.3), np.full_like(y, 0.25)], axis=1).astype(np.float32)


class Numbers(NamedTuple):
    """How a model's numbers are quantized. zero: of what is between -x and x; weights_zero: of weights; least: of what is from 0 on."""

    kind: int
    array: type
    zero: int
    weights_zero: int
    least: int


# TOCO's uint8, and the int8 of TensorFlow 2, whose weights are symmetric.
AS_UINT8 = Numbers(UINT8, np.uint8, 128, 127, 0)
AS_INT8 = Numbers(INT8, np.int8, 0, 0, -128)


def small_detector(quantized=AS_UINT8, operator=True, attributes=None, seed=1, classes=CLASSES):
    """A `ModelBuilder` of a detector of one convolution for each head: structure, names and quantization as converters make them.

    quantized: `Numbers`, or False for a float model; classes: columns of the scores.
    """
    random = np.random.RandomState(seed)
    model = ModelBuilder()
    cells = SIDE // CELL
    kind = quantized.kind if quantized else FLOAT
    image = model.tensor("normalized_input_image_tensor", [1, SIDE, SIDE, 3], kind, None, *((1 / 128, quantized.zero) if quantized else ()))
    model.inputs = [image]
    boxes = _head(model, random, image, "box", 4, quantized, cells, None if operator else RAW_OUTPUTS[0])
    logits = _head(model, random, image, "class", classes, quantized, cells, None)
    name = "convert_scores" if operator else RAW_OUTPUTS[1]
    scores = model.tensor(name, [1, cells * cells, classes], kind, None, *((1 / 256, quantized.least) if quantized else ()))
    model.operator(schema.BuiltinOperator.LOGISTIC, [logits], [scores])
    if not operator:
        model.outputs = [boxes, scores]
        return model
    if quantized is AS_INT8:  # which the operator does not take
        boxes, scores = (_dequantized(model, index) for index in (boxes, scores))
    anchors = grid_anchors()
    if quantized is AS_UINT8:
        scale = float(anchors.max()) / 255
        at = model.tensor("anchors", anchors.shape, UINT8, np.rint(anchors / scale).astype(np.uint8), scale, 0)
    else:
        at = model.tensor("anchors", anchors.shape, FLOAT, anchors)
    model.postprocess([boxes, scores, at], attributes or ATTRIBUTES)
    return model


def _dequantized(model, index):
    made = model.tensor(model.tensors[index].name + "_dequantized", model.tensors[index].shape, FLOAT)
    model.operator(schema.BuiltinOperator.DEQUANTIZE, [index], [made])
    return made


def _head(model, random, image, name, depth, quantized, cells, output):
    weights = random.normal(0, 0.2, [depth, CELL, CELL, 3]).astype(np.float32)
    bias = random.normal(0, 0.5, [depth]).astype(np.float32)
    settings = schema.Conv2DOptionsT()
    settings.padding, settings.strideW, settings.strideH = schema.Padding.VALID, CELL, CELL
    if quantized:
        scale, zero = 2 * float(abs(weights).max()) / 254, quantized.weights_zero
        steps = (np.rint(weights / scale) + zero).astype(quantized.array)
        sources = [
            model.tensor(f"{name}/weights", weights.shape, quantized.kind, steps, scale, zero),
            model.tensor(f"{name}/bias", bias.shape, INT32, np.rint(bias / scale * 128).astype(np.int32), scale / 128, 0),
        ]
    else:
        sources = [model.tensor(f"{name}/weights", weights.shape, FLOAT, weights), model.tensor(f"{name}/bias", bias.shape, FLOAT, bias)]
    kind, span = (quantized.kind, (0.05, quantized.zero)) if quantized else (FLOAT, ())
    convolved = model.tensor(f"{name}/add_fold", [1, cells, cells, depth], kind, None, *span)
    model.operator(schema.BuiltinOperator.CONV_2D, [image, *sources], [convolved], settings)
    shape = model.tensor(f"{name}/shape", [3], INT32, np.array([1, cells * cells, depth], np.int32))
    flat = model.tensor(output or f"{name}/Reshape", [1, cells * cells, depth], kind, None, *span)
    model.operator(schema.BuiltinOperator.RESHAPE, [convolved, shape], [flat])
    return flat


def postprocess_model(anchors, columns, attributes):
    """A model that is the post-process operator alone. Inputs: float32 box encodings [1, n, 4] and scores [1, n, columns]."""
    model = ModelBuilder()
    count = len(anchors)
    model.inputs = [model.tensor(RAW_OUTPUTS[0], [1, count, 4], FLOAT), model.tensor(RAW_OUTPUTS[1], [1, count, columns], FLOAT)]
    model.postprocess([*model.inputs, model.tensor("anchors", [count, 4], FLOAT, np.asarray(anchors, np.float32))], attributes)
    return model.bytes()


def run_model(content, *values):
    """The outputs of a model, in its order, from LiteRT."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    for found, value in zip(interpreter.get_input_details(), values, strict=True):
        interpreter.set_tensor(found["index"], value)
    interpreter.invoke()
    return [interpreter.get_tensor(found["index"]) for found in interpreter.get_output_details()]
