"""The stages predict-edgetpu, a gate, and inspect-edgetpu."""

import json

import pytest
import yaml
from _edgetpu.targets import TARGETS
from edgetpu_models import Chain, pairs
from litert_operator import AS_INT8, FLOAT, INT32, small_detector
from tflite_files import write_model

from stage_helpers import ROOT, artifact

TARGET = "coral-runtime-14"
PARAMS = {"path": None, "target": TARGET, "max_cpu_ops": None, "allow": ["TFLite_Detection_PostProcess"], "unknown": "warn"}


@pytest.mark.parametrize("stage", ["predict-edgetpu", "inspect-edgetpu", "compile"])
def test_the_targets_of_a_contract_are_those_that_there_are(stage):
    contract = yaml.safe_load((ROOT / "stages" / stage / "stage.yaml").read_text(encoding="utf-8"))
    assert contract["params"]["target"]["enum"] == list(TARGETS)


@pytest.fixture
def predict(run_stage, tmp_path):
    """predict(CONTENT, …) runs the stage on a file with that content, or on a bound model for bound=True."""

    def call(content, bound=False, **params):
        if bound:
            return run_stage("predict-edgetpu", dict(PARAMS, **params), {"model": write_model(tmp_path / "model", content)})
        path = tmp_path / "some.tflite"
        path.write_bytes(content)
        return run_stage("predict-edgetpu", dict(PARAMS, path=str(path), **params), {"model": None})

    return call


def behind_an_unknown_operator():
    chain = Chain()
    chain.conv()
    chain.add("HARD_SWISH")
    return chain.bytes()


def with_an_operator_on_the_cpu():
    chain = Chain()
    chain.conv()
    chain.add("ARG_MAX", kind=INT32, scale=None)
    chain.conv()
    return chain.bytes()


def test_a_bound_model(predict):
    done = predict(small_detector(AS_INT8).bytes(), bound=True, max_cpu_ops=0, allow=["TFLite_Detection_PostProcess", "DEQUANTIZE"])
    assert done.error is None
    told = json.loads((done.output / "prediction.json").read_text())
    assert told["target"] == {"name": TARGET, "runtime": 14, "compiler": "16.0"}
    assert told["counts"] == done.result["metrics"]
    assert sum(told["counts"].values()) == len(told["operators"])
    assert told["model"]["bytes"] == len(small_detector(AS_INT8).bytes())
    assert "mapped" in (done.output / "prediction.txt").read_text()


def test_a_gate_names_the_first_operator_and_keeps_the_table(predict):
    done = predict(with_an_operator_on_the_cpu(), max_cpu_ops=1)
    assert done.error["what"] == "more of the model would run on the CPU than max_cpu_ops allows"
    assert done.error["where"] == "some.tflite, operator 1, arg_max_1"
    assert done.error["found"].startswith("2 on the CPU, 0 unknown; first ARG_MAX")
    assert "unsupported data type" in (done.output / "prediction.txt").read_text()
    assert predict(with_an_operator_on_the_cpu(), max_cpu_ops=2).error is None


def test_without_a_limit_nothing_is_refused(predict):
    assert predict(with_an_operator_on_the_cpu()).error is None


def test_allowed_operators_do_not_count(predict):
    assert predict(with_an_operator_on_the_cpu(), max_cpu_ops=0, allow=["ARG_MAX", "CONV_2D"]).error is None


def test_a_gate_that_depends_on_unknown_operators_says_so(predict):
    done = predict(behind_an_unknown_operator(), max_cpu_ops=0)
    assert done.error is None
    assert "holds only if the 1 operators that are unknown are mapped" in done.result["warnings"][0]
    assert "HARD_SWISH" in done.result["warnings"][0]
    refused = predict(behind_an_unknown_operator(), max_cpu_ops=0, unknown="refuse")
    assert "0 on the CPU, 1 unknown" in refused.error["found"]


def test_a_float_model_does_not_pass_a_gate(predict):
    done = predict(small_detector(False).bytes(), max_cpu_ops=0)
    assert "float32" in done.error["found"]


def test_a_model_that_the_compiler_would_refuse_does_not_pass_a_gate(predict):
    chain = Chain()
    chain.add("TRANSPOSE_CONV", version=4)
    assert predict(chain.bytes()).error is None
    done = predict(chain.bytes(), max_cpu_ops=5)
    assert "does not know this version" in done.error["what"]
    assert done.error["expected"] == "a model that the compiler takes"


@pytest.mark.parametrize(("params", "bound"), [({}, None), ({"path": "x"}, "model")])
def test_neither_or_both(run_stage, tmp_path, params, bound):
    inputs = {"model": write_model(tmp_path / "model", small_detector(AS_INT8).bytes()) if bound else None}
    done = run_stage("predict-edgetpu", dict(PARAMS, **params), inputs)
    assert done.error["what"] == "there is not exactly one model to predict about"


def test_what_is_no_model(predict):
    assert "not a TensorFlow Lite model" in predict(b"no model at all, but long enough").error["what"]
    assert "compiled already" in predict(pairs()["keras_lstm_mnist_ptq"][1]).error["what"]


@pytest.fixture
def inspect(run_stage, tmp_path):
    """inspect(CONTENT, …) runs the stage on a file with that content."""

    def call(content, target=None):
        path = tmp_path / "x_edgetpu.tflite"
        path.write_bytes(content)
        return run_stage("inspect-edgetpu", {"path": str(path), "target": target}, {"compiled": None})

    return call


def test_inspecting_a_real_one(inspect):
    done = inspect(pairs()["mobilenet_v1_0.25_128_quant"][1], TARGET)
    assert done.error is None
    told = json.loads((done.output / "compiled.json").read_text())["files"][0]
    assert (told["runtime"], told["packages"][0]["cached"]) == (12, 566912)
    assert "Edge TPU runtime 12" in (done.output / "compiled.txt").read_text()


def test_a_too_new_runtime_is_refused_and_the_description_kept(inspect):
    done = inspect(pairs()["mobilenet_v1_0.25_128_quant"][1], "coral-runtime-10")
    assert (done.error["expected"], done.error["found"]) == ("runtime 10 or older (coral-runtime-10)", "runtime 12")
    assert (done.output / "compiled.txt").is_file()


def test_inspecting_an_artifact_of_several_files(run_stage, tmp_path):
    folder = tmp_path / "compiled"
    (folder / "co_compiled").mkdir(parents=True)
    (folder / "model_edgetpu.tflite").write_bytes(pairs()["mobilenet_v1_0.25_128_quant"][1])
    (folder / "co_compiled" / "other_edgetpu.tflite").write_bytes(pairs()["keras_lstm_mnist_ptq"][1])
    done = run_stage("inspect-edgetpu", {"path": None, "target": None}, {"compiled": artifact("compile", "edgetpu", folder)})
    names = [each["file"] for each in json.loads((done.output / "compiled.json").read_text())["files"]]
    assert names == ["other_edgetpu.tflite", "model_edgetpu.tflite"]


def test_inspecting_a_model_that_is_not_compiled(inspect):
    chain = Chain(kind=FLOAT)
    chain.add("QUANTIZE")
    assert "not compiled" in inspect(chain.bytes()).error["what"]
