"""What is in a compiled model: read off real ones, and refused where it is damaged or needs a newer runtime."""

import json

import pytest
from _edgetpu.compiled import as_json, describe_lines, read_compiled, require_runtime
from _edgetpu.targets import TARGETS
from _edgetpu.words import CUSTOM_OP
from _runtime import StageError
from _tflite.custom_options import read_map
from edgetpu_models import OPS, Chain, pairs
from flatbuffers import flexbuffers
from hypothesis import given, settings
from hypothesis import strategies as st

# Of each real one: runtime, (type, parameters, instructions) of its executables, and the operators that stay on the CPU.
PAIRS = {
    "deeplabv3_mnv2_dm05_pascal_quant": (12, [("execution-only", 0, 160672), ("parameter-caching", 766720, 8016)], 8),
    "keras_lstm_mnist_ptq": (12, [("execution-only", 576, 60864), ("parameter-caching", 43968, 3152)], 0),
    "mobilenet_v1_0.25_128_quant": (12, [("execution-only", 0, 170032), ("parameter-caching", 566912, 12624)], 0),
    "mobilenet_v1_0.5_160_quant": (12, [("execution-only", 0, 205936), ("parameter-caching", 1473280, 12624)], 0),
    "mobilenet_v1_1.0_224_quant_embedding_extractor": (12, [("execution-only", 0, 87584), ("parameter-caching", 3363072, 4688)], 0),
    "posenet_mobilenet_v1_075_353_481_16_quant_decoder": (12, [("execution-only", 0, 118368), ("parameter-caching", 1444608, 4816)], 1),
}


@pytest.mark.parametrize("name", PAIRS)
def test_real_ones(name):
    source, compiled = pairs()[name]
    model, packages = read_compiled(compiled)
    runtime, executables, left = PAIRS[name]
    assert [package.runtime for package in packages] == [runtime]
    package = packages[0]
    assert [(each.type, each.parameters, each.instructions) for each in package.executables] == executables
    assert (package.cached, package.streamed) == (executables[1][1], executables[0][1])
    assert {each.chip for each in package.executables} == {"beagle"}
    assert len({each.token for each in package.executables}) == 1
    assert len(model.operators) == left + 1
    assert len(source) < len(compiled)
    report = as_json(model, packages)
    assert report["runtime"] == runtime
    json.dumps(report)
    text = "\n".join(describe_lines(model, packages))
    assert "needs Edge TPU runtime %d or newer" % runtime in text
    assert "%d bytes cached" % package.cached in text


def test_inputs_and_outputs_have_the_model_s_sides():
    _, packages = read_compiled(pairs()["mobilenet_v1_0.25_128_quant"][1])
    runs = packages[0].executables[0]
    assert [(each.name, each.shape, each.bytes) for each in runs.inputs] == [("input", (128, 128, 3), 128 * 128 * 3)]
    assert [each.shape for each in runs.outputs] == [(1, 1, 1001)]


@pytest.mark.parametrize(("target", "refused"), [("coral-runtime-14", False), ("coral-runtime-12", False), ("coral-runtime-10", True)])
def test_a_newer_runtime_than_the_target_s_is_refused_with_the_numbers(target, refused):
    _, packages = read_compiled(pairs()["keras_lstm_mnist_ptq"][1])
    if not refused:
        require_runtime(packages, TARGETS[target], "model")
        return
    with pytest.raises(StageError) as caught:
        require_runtime(packages, TARGETS[target], "model")
    assert caught.value.expected == "runtime 10 or older (coral-runtime-10)"
    assert caught.value.found == "runtime 12"
    assert "-m 10" in caught.value.remedy


def test_a_model_that_is_not_compiled_is_refused():
    with pytest.raises(StageError, match="not compiled") as caught:
        read_compiled(pairs()["keras_lstm_mnist_ptq"][0])
    assert "edgetpu.predict" in caught.value.remedy


def options_map(**entries):
    builder = flexbuffers.Builder()
    with builder.Map():
        for key, value in entries.items():
            builder.Key(key.strip("_"))
            builder.Add(value)
    return bytes(builder.Finish())


def compiled_of(options):
    chain = Chain()
    chain.conv()
    made = chain.tensor("output", (1, 4, 4, 8), 9, scale=0.5)
    chain.operator(OPS.CUSTOM, [chain.last], [made], custom=CUSTOM_OP, custom_options=options)
    return chain.bytes()


@pytest.mark.parametrize(
    "options",
    [
        b"",
        b"\x00\x01\x02",
        options_map(_1=1),
        options_map(_4="no package"),
        options_map(_4=7),
        options_map(_4=b"\x10\0\0\0DWN1"),
        options_map(_4=b"\x10\0\0\0DWN1" + bytes(64)),
    ],
)
def test_damaged_packages_are_refused(options):
    with pytest.raises(StageError, match="package is damaged") as caught:
        read_compiled(compiled_of(options), "model_edgetpu.tflite")
    assert caught.value.where == "model_edgetpu.tflite, operator 1"


def test_every_package_of_an_operator_is_read():
    """As libedgetpu has it: the first under "4", others in the vector "7"."""
    compiled = [read_compiled(pairs()[name][1]) for name in ("keras_lstm_mnist_ptq", "mobilenet_v1_0.25_128_quant")]
    blobs = [read_map(next(each.options for each in model.operators if each.op == CUSTOM_OP))["4"] for model, _ in compiled]
    _, packages = read_compiled(compiled_of(options_map(_4=blobs[0], _7=[blobs[1]])))
    assert [package.cached for package in packages] == [packages_of[0].cached for _, packages_of in compiled]
    with pytest.raises(StageError, match="package is damaged"):
        read_compiled(compiled_of(options_map(_4=blobs[0], _7=[blobs[1][:4] + b"NONE" + blobs[1][8:]])))


def test_options_with_bytes_and_vectors_are_read_as_flexbuffers_writes_them():
    entries = {"a": 1, "b": b"\x00\x01" * 300, "c": "text", "d": [1, -2, 300000], "e": 0.5, "f": True, "g": ["x", b"yz"]}
    found = read_map(options_map(**entries))
    assert found == dict(entries, c=b"text", g=[b"x", b"yz"])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 255)), min_size=1, max_size=6))
def test_whatever_is_changed_in_a_compiled_model_it_is_read_or_refused(changes):
    content = bytearray(pairs()["keras_lstm_mnist_ptq"][1])
    for place, value in changes:
        content[8 + place % (len(content) - 8)] = value
    try:
        model, packages = read_compiled(bytes(content))
    except StageError:
        return
    json.dumps(as_json(model, packages))
    assert list(describe_lines(model, packages))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 5000), st.integers(0, 255))
def test_whatever_is_changed_at_the_package_s_head_it_is_read_or_refused(place, value):
    """The head of the file and of the package, where offsets are."""
    content = bytearray(pairs()["keras_lstm_mnist_ptq"][1])
    start = bytes(content).find(b"DWN1") - 8
    content[start + place] = value
    try:
        model, packages = read_compiled(bytes(content))
    except StageError:
        return
    json.dumps(as_json(model, packages))
