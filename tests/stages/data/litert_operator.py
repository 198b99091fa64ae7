"""Builds .tflite files for tests with LiteRT's own schema: independent of the reader under test."""
import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from flatbuffers import flexbuffers

OUTPUTS = ["TFLite_Detection_PostProcess", "TFLite_Detection_PostProcess:1", "TFLite_Detection_PostProcess:2", "TFLite_Detection_PostProcess:3"]


def options(attributes):
    """FlexBuffer bytes of the operator's attributes, in the order given."""
    builder = flexbuffers.Builder()
    with builder.Map():
        for name, value in attributes.items():
            writer = builder.Bool if isinstance(value, bool) else builder.Int if isinstance(value, int) else builder.Float
            if isinstance(value, float):
                builder.Key(name)
                builder.Float(value, 4)
            else:
                writer(name, value)
    return bytes(builder.Finish())


def tensor(name, shape, kind, buffer=0, scale=None, zero_point=None):
    """A TensorT of the schema."""
    made = schema.TensorT()
    made.name, made.shape, made.type, made.buffer = name, list(shape), kind, buffer
    if scale is not None:
        made.quantization = schema.QuantizationParametersT()
        made.quantization.scale, made.quantization.zeroPoint = [scale], [zero_point]
    return made


def pack(tensors, operators, codes, inputs, outputs, buffers):
    """Bytes of a model with one subgraph."""
    graph = schema.SubGraphT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = tensors, operators, inputs, outputs
    model = schema.ModelT()
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, codes, [graph], []
    for data in [b"", *buffers]:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(data, np.uint8) if data else None
        model.buffers.append(buffer)
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def postprocess_model(anchors, columns, attributes):
    """A model that is the post-process operator alone. Inputs: float32 box encodings [1, n, 4] and scores [1, n, columns]."""
    count = len(anchors)
    kind = schema.TensorType.FLOAT32
    tensors = [tensor("raw_outputs/box_encodings", [1, count, 4], kind), tensor("raw_outputs/class_predictions", [1, count, columns], kind),
               tensor("anchors", [count, 4], kind, buffer=1), *(tensor(name, [], kind) for name in OUTPUTS)]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode, code.version = "TFLite_Detection_PostProcess", 1
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0, 1, 2], [3, 4, 5, 6]
    operator.customOptions = np.frombuffer(options(attributes), np.uint8)
    return pack(tensors, [operator], [code], [0, 1], [3, 4, 5, 6], [np.asarray(anchors, np.float32).tobytes()])


def run_postprocess(model, encodings, scores):
    """(boxes [m, 4], classes [m], scores [m], count) that LiteRT puts out."""
    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    for found, value in zip(interpreter.get_input_details(), (encodings, scores), strict=True):
        interpreter.set_tensor(found["index"], np.asarray(value, np.float32)[np.newaxis])
    interpreter.invoke()
    boxes, classes, values, count = (interpreter.get_tensor(found["index"]) for found in interpreter.get_output_details())
    return boxes[0], classes[0], values[0], int(count[0])
