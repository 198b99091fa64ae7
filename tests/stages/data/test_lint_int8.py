"""The lint of models that TensorFlow 2's converter makes: int8, float16 and dynamic range, and each way in which they may be wrong."""

import numpy as np
import pytest
from _runtime import StageError
from _tflite.lint import Expected, lint, pixel_range
from ai_edge_litert import schema_py_generated as litert
from litert_operator import AS_INT8, ATTRIBUTES, CLASSES, FLOAT, INT8, INT32, OUTPUTS, RAW_OUTPUTS, SIDE, UINT8, run_model, small_detector

from detector_images import picture

INPUT = "normalized_input_image_tensor"
FLOAT16 = litert.TensorType.FLOAT16
CODE = litert.BuiltinOperator


def quantization(scales, zero_point=0, dimension=0):
    made = litert.QuantizationParametersT()
    made.scale, made.zeroPoint, made.quantizedDimension = list(scales), [zero_point] * len(scales), dimension
    return made


def int8_detector(kind=INT8, operator=True):
    """A `ModelBuilder` of an int8 detector as TensorFlow 2 makes it: a scale for each channel, and before an input of another type
    QUANTIZE.
    """
    model = small_detector(AS_INT8, operator)
    for name, depth in (("box", 4), ("class", CLASSES)):
        scale = model.named(f"{name}/weights").quantization.scale[0]
        model.named(f"{name}/weights").quantization = quantization([scale] * depth)
        model.named(f"{name}/bias").quantization = quantization([scale / 128] * depth)
    if kind != INT8:
        at = model.tensor("image", [1, SIDE, SIDE, 3], kind, None, *((1 / 128, 128) if kind == UINT8 else ()))
        model.operator(CODE.QUANTIZE, [at], model.inputs)
        model.operators.insert(0, model.operators.pop())
        model.inputs = [at]
    return model


def expected(**changes):
    return Expected("int8", INPUT, [1, SIDE, SIDE, 3], 128, 128.0, OUTPUTS, ATTRIBUTES, "int8")._replace(**changes)


def refused(model, **changes):
    """The StageError of a model that the lint must refuse."""
    with pytest.raises(StageError) as caught:
        lint(model.bytes(), expected(**changes))
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize(("kind", "name"), [(INT8, "int8"), (UINT8, "uint8"), (FLOAT, "float32")])
def test_a_good_model_passes_with_an_input_of_each_type_and_runs(kind, name):
    content = int8_detector(kind).bytes()
    report = lint(content, expected(input_type=name, input_name=INPUT if kind == INT8 else "image"))
    assert report["inputs"][0]["type"] == name
    pixels = picture(1, SIDE, SIDE)[None]
    given = {INT8: (pixels.astype(int) - 128).astype(np.int8), UINT8: pixels, FLOAT: ((pixels.astype(np.float32) - 128) / 128)}[kind]
    assert run_model(content, given)[3][0] > 0


def test_raw_outputs_may_be_dequantized_or_not():
    lint(int8_detector(operator=False).bytes(), expected(outputs=RAW_OUTPUTS, postprocess=None))
    model = int8_detector(operator=False)
    ends = [model.tensor(model.tensors[index].name + "_real", model.tensors[index].shape, FLOAT) for index in model.outputs]
    for source, end in zip(model.outputs, ends, strict=True):
        model.operator(CODE.DEQUANTIZE, [source], [end])
    model.outputs = ends
    lint(model.bytes(), expected(outputs=[name + "_real" for name in RAW_OUTPUTS], postprocess=None))


def test_one_scale_for_all_channels_passes_where_it_was_trained_so():
    content = small_detector(AS_INT8).bytes()
    lint(content, expected(trained=True))
    with pytest.raises(StageError, match="not quantized as int8 kernels take them"):
        lint(content, expected())


def set_type(name, kind, scale=None):
    def change(model):
        model.named(name).type = kind
        model.named(name).quantization = None if scale is None else quantization([scale])

    return change


def set_quantization(name, *arguments):
    def change(model):
        model.named(name).quantization = quantization(*arguments)

    return change


def through_float(model):
    """An operator without an int8 version, as the converter leaves it: between DEQUANTIZE and QUANTIZE."""
    source = model.tensors.index(model.named("class/add_fold"))
    shape = model.tensors[source].shape
    real, made = (model.tensor(name, shape, FLOAT) for name in ("tfl.dequantize", "net/odd/Sin"))
    back = model.tensor("tfl.quantize", shape, INT8, None, 0.05, 0)
    reader = next(operator for operator in model.operators if source in operator.inputs)
    reader.inputs = [back if index == source else index for index in reader.inputs]
    place = model.operators.index(reader)
    for code, one, other in ((CODE.QUANTIZE, made, back), (CODE.SIN, real, made), (CODE.DEQUANTIZE, source, real)):
        model.operator(code, [one], [other])
        model.operators.insert(place, model.operators.pop())


def conversion(code, source, kind):
    def change(model):
        at = model.tensor("more", model.named(source).shape, kind, None, *((0.1, 0) if kind == INT8 else ()))
        model.operator(code, [model.tensors.index(model.named(source))], [at])

    return change


def no_constant_weights(model):
    model.named("class/weights").buffer = 0


@pytest.mark.parametrize(
    ("change", "says", "where"),
    [
        (through_float, "an operator of the int8 model computes in float32", "operator SIN 4, of the layer net/odd"),
        (set_type("class/add_fold", FLOAT), "an operator of the int8 model computes in float32", "CONV_2D 2, of the layer class"),
        (set_type("class/bias", FLOAT), "a tensor of the int8 model is float32", "tensor class/bias"),
        (set_type("class/add_fold", UINT8, 0.05), "a tensor of the int8 model is uint8", "tensor class/add_fold"),
        (set_quantization("class/add_fold", []), "an int8 tensor has no usable scale", "tensor class/add_fold"),
        (set_quantization("class/add_fold", [0.1], -129), "an int8 tensor has no usable scale", "tensor class/add_fold"),
        (set_quantization("class/add_fold", [float("inf")]), "an int8 tensor has no usable scale", "tensor class/add_fold"),
        (set_quantization("class/weights", [0.1] * 3, 1), "not quantized as int8 kernels take them", "tensor class/weights"),
        (set_quantization("class/weights", [0.1]), "not quantized as int8 kernels take them", "tensor class/weights"),
        (set_quantization("class/weights", [0.1] * 3, 0, 3), "not quantized as int8 kernels take them", "tensor class/weights"),
        (set_quantization("class/weights", [0.1, 0.1, 0.0]), "not quantized as int8 kernels take them", "tensor class/weights"),
        (set_quantization("class/bias", [0.5] * 3), "a bias is not quantized with its layer", "tensor class/bias"),
        (set_quantization("class/bias", [0.5]), "a bias is not quantized with its layer", "tensor class/bias"),
        (no_constant_weights, "the weights of an operator are not constant", "tensor class/weights"),
        (conversion(CODE.DEQUANTIZE, "class/add_fold", FLOAT), "a tensor of the int8 model is float32", "tensor more"),
        (conversion(CODE.FAKE_QUANT, "class/add_fold", INT8), "the int8 model converts between number formats", "operator FAKE_QUANT 8"),
    ],
)
def test_what_must_not_be_is_named_with_its_place(change, says, where):
    model = int8_detector()
    change(model)
    error = refused(model)
    assert says in error.what
    assert error.where.endswith(where)


def test_a_change_of_scale_between_int8_and_int8_is_no_change_of_format():
    model = int8_detector()
    conversion(CODE.QUANTIZE, "class/add_fold", INT8)(model)
    lint(model.bytes(), expected())


@pytest.mark.parametrize(
    ("mean", "std", "passes"),
    [
        (128, 128.0, True),
        (127.5, 127.5, True),
        ([124.0, 128.0, 130.0], [128.0, 127.0, 126.0], True),
        (0.0, 255.0, False),  # 0 to 1, where the model was calibrated with -1 to 1
        (0.0, 1.0, False),
        ([123.68, 116.779, 103.939], 1.0, False),
    ],
)
@pytest.mark.parametrize("kind", ["int8", "uint8", "float32"])
def test_the_inputs_range_must_be_that_of_normalized_pixels(mean, std, passes, kind):
    model = int8_detector({"int8": INT8, "uint8": UINT8, "float32": FLOAT}[kind])
    changes = {"mean": mean, "std": std, "input_type": kind, "input_name": INPUT if kind == "int8" else "image"}
    if passes:
        lint(model.bytes(), expected(**changes))
    else:
        assert refused(model, **changes).what == "the model's input has another range than normalized pixels"


def test_the_range_of_pixels_is_that_of_all_channels():
    assert pixel_range(127.5, 127.5) == (-1.0, 1.0)
    assert pixel_range([100.0, 0.0, 50.0], 1.0) == (-100.0, 255.0)
    assert pixel_range([100.0, 0.0, 50.0], [100.0, 255.0, 1.0]) == (-50.0, 205.0)


def test_the_inputs_type_must_be_the_one_that_was_asked_for():
    error = refused(int8_detector(), input_type="uint8")
    assert (error.expected, error.found) == ("uint8", "int8")


def stored(kind):
    """A float detector whose weights are stored as float16, and become float32, or as int8."""
    model = small_detector(quantized=False)
    for name, depth in (("box", 4), ("class", CLASSES)):
        weights = model.named(f"{name}/weights")
        values = np.frombuffer(model.buffers[weights.buffer], np.float32)
        if kind == INT8:
            weights.type, weights.quantization = INT8, quantization([0.01] * depth)
            model.buffers[weights.buffer] = np.rint(values / 0.01).astype(np.int8).tobytes()
            continue
        half = model.tensor(f"{name}/half", weights.shape, FLOAT16, values.astype(np.float16))
        weights.buffer = 0
        model.operator(CODE.DEQUANTIZE, [half], [model.tensors.index(weights)])
        model.operators.insert(0, model.operators.pop())
    return model


@pytest.mark.parametrize(("kind", "name"), [(FLOAT16, "float16"), (INT8, "dynamic-range")])
def test_weights_that_are_stored_in_fewer_bits_pass_and_run(kind, name):
    content = stored(kind).bytes()
    report = lint(content, expected(inference_type=name, input_type="float32"))
    assert report["inputs"][0]["type"] == "float32"
    pixels = (picture(1, SIDE, SIDE)[None].astype(np.float32) - 128) / 128
    scores = [run_model(each, pixels)[2] for each in (content, small_detector(quantized=False).bytes())]
    assert scores[0] == pytest.approx(scores[1], abs=0.05)


def computed_in_half(model):
    model.named("class/add_fold").type = FLOAT16


def computed_in_int8(model):
    model.named("class/add_fold").type, model.named("class/add_fold").quantization = INT8, quantization([0.1])


def dequantized_on_the_way(model):
    at = model.tensor("more", [1], FLOAT)
    model.operator(CODE.DEQUANTIZE, [model.tensors.index(model.named("class/add_fold"))], [at])


@pytest.mark.parametrize(
    ("kind", "name", "change", "says"),
    [
        (FLOAT16, "float16", computed_in_half, "is computed in float16"),
        (FLOAT16, "float16", set_type("class/shape", INT8, 0.1), "a tensor of the float16 model is int8"),
        (FLOAT16, "float16", dequantized_on_the_way, "converts between number formats"),
        (INT8, "dynamic-range", computed_in_int8, "is computed in int8"),
        (INT8, "dynamic-range", set_type("class/shape", UINT8, 0.1), "a tensor of the dynamic-range model is uint8"),
        (INT8, "dynamic-range", dequantized_on_the_way, "converts between number formats"),
    ],
)
def test_what_is_computed_otherwise_than_in_float32_is_refused(kind, name, change, says):
    model = stored(kind)
    change(model)
    assert says in refused(model, inference_type=name, input_type="float32").what


@pytest.mark.parametrize("name", ["float16", "dynamic-range"])
def test_a_model_that_stores_its_weights_in_float32_was_not_quantized(name):
    error = refused(small_detector(quantized=False), inference_type=name, input_type="float32")
    assert error.what.startswith(f"no weights of the {name} model are stored as")


def test_int32_shapes_need_no_scale():
    model = int8_detector()
    model.tensor("spare", [2], INT32, b"\0" * 8)
    lint(model.bytes(), expected())
