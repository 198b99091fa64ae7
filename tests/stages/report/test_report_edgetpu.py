"""The page's part on the Edge TPU: real predictions beside what the real compiler told of models of the same architecture."""

import pytest
from _edgetpu.comparison import compare
from _edgetpu.compiler_log import parse_log
from _edgetpu.prediction import predict
from _edgetpu.targets import TARGETS
from page_text import rows, words
from run_files import manifest, task_run, whole_run, write

from stage_helpers import shared


def prediction():
    """Of an SSD MobileNet v1 in uint8 with its post-process operator."""
    content = (shared() / "data" / "tflite" / "ssd_mobilenet_v1_uint8_postprocess.tflite").read_bytes()
    return predict(content, TARGETS["coral-runtime-14"]).as_json()


def predicted(root, told):
    """The entry of an artifact of the stage predict-edgetpu."""
    write(root / "predict" / "prediction.json", told)
    entry = manifest(root / "predict", "compile", kind="edgetpu-prediction", stage="predict-edgetpu")
    return {**entry, "kind": "edgetpu-prediction", "name": "predict"}


def compiled(root, log, told, target=None, together=False):
    """The entry of an artifact of the stage compile, of a compiler that printed a real log.

    target: another one than the prediction's; together: with another model beside it.
    """
    text = (shared() / "data" / "edgetpu" / "compiler_logs" / log).read_text(encoding="utf-8")
    parsed = parse_log(text)
    file = {"file": "model_edgetpu.tflite", "bytes": 5500000, "runtime": 14, "cached_parameters": 4200000, "streamed_parameters": 0}
    record = {
        "schema": 2,
        "compiler": {"name": "edgetpu_compiler", "version": "16.0"},
        "seconds": 12.5,
        "attempts": 2,
        "files": [file],
        "operators": parsed["runs"][-1]["models"][0]["operators"],
        "comparison": compare(told, parsed),
    }
    if together:
        difference = {"kind": "different", "text": "ADD: 3 predicted, 4 told"}
        record["co_compiled"] = [
            {"name": "other_1", "files": [dict(file, file="other_1_edgetpu.tflite")], "operators": None, "comparison": [difference]}
        ]
    write(root / "compile" / "compile.json", record)
    write(root / "compile" / "prediction.json", dict(told, target=dict(told["target"], name=target or told["target"]["name"])))
    write(root / "compile" / "compiler.log", text)
    return manifest(root / "compile", "compile")


@pytest.fixture
def made(report, tmp_path):
    """made(…) renders a page with a prediction and, with a log, a compiled model."""

    def call(log=None, change=None, **more):
        told = prediction()
        if change:
            change(told)
        entries = [*whole_run(tmp_path / "run").values(), predicted(tmp_path / "run", told)]
        if log:
            entries.append(compiled(tmp_path / "run", log, told, **more))
        return report(entries, task_run())

    return call


def test_a_prediction_without_a_compiler(made):
    page = made()
    section = page.part("edgetpu")
    table = {row[0]: row[1:] for row in rows(section, "What would run where")}
    assert table["CONV_2D"][:2] == ["34", "Edge TPU"]
    assert table["TFLite_Detection_PostProcess"][:2] == ["1", "CPU"]
    assert "float32, not int8 or uint8" in table["TFLite_Detection_PostProcess"][2]
    assert "63 of 64 operators" in page.told("edgetpu")
    assert "is predicted, not told by the compiler" in page.told("unchecked")
    assert "operators on the Edge TPU, predicted" in words(page.document)


def test_a_result_that_is_as_predicted(made):
    page = made("f18_v16_ssd_mnv1.log")
    told = page.told("edgetpu")
    assert "The compiler made of every operator what was predicted." in told
    assert "attempts2; the ones before aborted" in told
    assert "4.2 MB of parameters cached, 0 B sent at every inference" in told
    table = rows(page.part("edgetpu"), "What the compiler told")
    assert ["CUSTOM", "1", "Operation is working on an unsupported data type"] in table
    assert table[0][2] == "Mapped to Edge TPU"
    assert "operators on the Edge TPU, predicted" not in words(page.document)


def test_a_result_that_differs_says_where(made):
    page = made("f02_v2.1_ssd_mnv2_tf1.log")
    told = page.told("edgetpu")
    assert "✕ differ CONV_2D, Mapped to Edge TPU: 34 predicted, 55 told" in told
    assert "made of every operator what was predicted" not in told


def test_models_that_were_compiled_together(made, tmp_path):
    page = made("f18_v16_ssd_mnv1.log", together=True)
    told = page.told("edgetpu")
    assert "The compiler made of every operator what was predicted." in told
    assert "other_1_edgetpu.tflite" in told
    assert "✕ differ ADD: 3 predicted, 4 told" in told


def test_a_prediction_for_another_target_is_another_one(made):
    page = made("f18_v16_ssd_mnv1.log", target="coral-runtime-13")
    assert "coral-runtime-14" in page.told("edgetpu")
    assert "coral-runtime-13" in page.told("edgetpu")
    assert made("f18_v16_ssd_mnv1.log").told("edgetpu").count("coral-runtime-14") == 1


def test_a_refused_model(made):
    def change(told):
        told["refused"] = {"what": "it is refused", "where": "here <b>", "found": "CONV_2D version 9", "remedy": "convert again"}

    assert "✕ refused it is refused: here <b>, CONV_2D version 9. convert again." in made(change=change).told("edgetpu")
