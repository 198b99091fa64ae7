"""export-apps makes what other programs read, or says in which field of the package the reason is that it cannot."""

import json

import numpy as np
import pytest
import yaml
from app_models import CLASSES, FACTS, compiled_detector, frigate_labels, inside
from litert_operator import AS_INT8, AS_UINT8, ATTRIBUTES, SIDE, run_model, small_detector

from stage_helpers import load

USUAL = {"boxes": 0, "classes": 1, "scores": 2, "count": 3}
PICTURE = np.random.default_rng(4).integers(0, 256, (1, SIDE, SIDE, 3), np.uint8)


def files(outcome):
    assert outcome.code == 0, outcome.log
    return sorted(path.relative_to(outcome.output).as_posix() for path in outcome.output.rglob("*") if path.is_file())


def config(outcome):
    assert outcome.code == 0, outcome.log
    return yaml.safe_load((outcome.output / "frigate" / "config.yml").read_text(encoding="utf-8"))


def notes(outcome, program):
    assert outcome.code == 0, outcome.log
    return outcome.json("apps.json")["programs"][program]["notes"]


def test_these_files_are_made(export):
    outcome = export()
    assert files(outcome) == [
        "android/README.md",
        "android/assets/labels.txt",
        "android/assets/model.tflite",
        "apps.json",
        "frigate/config.yml",
        "frigate/labelmap.txt",
        "frigate/model.tflite",
    ]
    told = outcome.json("apps.json")
    assert told["classes"] == CLASSES
    assert (told["programs"]["frigate"]["detector"], told["programs"]["android"]["threshold"]) == ("cpu", 0.45)
    assert outcome.result["tools"] == {"tflite-support": "0.4.4"}
    assert outcome.result["metrics"] == {"programs": 2, "files": 6}


def test_a_compiled_model_goes_to_frigate_and_to_the_task_library(export, compiled):
    outcome = export(compiled=compiled)
    assert {"frigate/model_edgetpu.tflite", "task-library/model_edgetpu.tflite", "android/assets/model.tflite"} <= set(files(outcome))
    assert "frigate/model.tflite" not in files(outcome)
    assert (outcome.output / "frigate" / "model_edgetpu.tflite").read_bytes() == compiled.bytes()
    assert compiled.bytes() in (outcome.output / "task-library" / "model_edgetpu.tflite").read_bytes()
    assert outcome.json("apps.json")["programs"]["frigate"]["detector"] == "edgetpu"


@pytest.mark.parametrize(("programs", "folders"), [(["frigate"], {"frigate"}), (["android"], {"android"})])
def test_only_what_is_asked_for_is_made(export, programs, folders):
    assert {name.split("/")[0] for name in files(export(programs=programs))} == {*folders, "apps.json"}


def test_the_same_package_gives_the_same_bytes(export, package, compiled):
    where = package(None, compiled)
    first, second = export(where=where), export(where=where)
    assert files(first) == files(second)
    assert all((first.output / name).read_bytes() == (second.output / name).read_bytes() for name in files(first))
    assert inside((first.output / "android" / "assets" / "model.tflite").read_bytes())[1] == {(1980, 1, 1, 0, 0, 0)}


# Frigate


@pytest.mark.parametrize("with_compiled", [False, True])
def test_frigates_configuration_is_the_models(export, with_compiled):
    outcome = export(compiled=compiled_detector() if with_compiled else None, folder="/config/model/", device="pci:0")
    told = config(outcome)
    name = "model_edgetpu.tflite" if with_compiled else "model.tflite"
    assert told["model"] == {
        "path": "/config/model/" + name,
        "labelmap_path": "/config/model/labelmap.txt",
        "width": SIDE,
        "height": SIDE,
        "input_tensor": "nhwc",
        "input_pixel_format": "rgb",
        "model_type": "ssd",
    }
    edge_tpu, cpu = {"coral": {"type": "edgetpu", "device": "pci:0"}}, {"cpu": {"type": "cpu", "num_threads": 3}}
    assert told["detectors"] == (edge_tpu if with_compiled else cpu)
    assert told["objects"]["track"] == CLASSES


def test_frigates_filters_are_the_evaluations_thresholds(export):
    assert config(export())["objects"]["filters"] == {
        "ace": {"min_score": 0.5, "threshold": 0.5},
        "7 of hearts": {"min_score": 0.45, "threshold": 0.45},
        "cœur ♥": {"min_score": 0.6, "threshold": 0.6},
    }
    assert "filters" not in config(export(threshold=None, thresholds=None))["objects"]


@pytest.mark.parametrize("classes", [CLASSES, ["1 club", "12", "no: yes"], ["- [x]", "#tag", "'a' \"b\" \\n"]])
def test_frigate_reads_the_packages_name_for_every_number(export, classes):
    outcome = export(classes=classes, thresholds={})
    text = (outcome.output / "frigate" / "labelmap.txt").read_text(encoding="utf-8")
    assert frigate_labels(text) == dict(enumerate(classes))
    told = config(outcome)
    assert told["objects"]["track"] == list(told["objects"]["filters"]) == classes


def test_frigate_finds_by_place_what_the_package_finds(export):
    """Its detector gives pixels as they are, and takes outputs by their place."""
    outcome = export()
    boxes, classes, scores, count = run_model((outcome.output / "frigate" / "model.tflite").read_bytes(), PICTURE)
    assert (boxes.shape[2], count[0] > 2) == (4, True)
    names = frigate_labels((outcome.output / "frigate" / "labelmap.txt").read_text(encoding="utf-8"))
    assert {names[int(number)] for number in classes[0][: int(count[0])]} <= set(CLASSES)
    assert (np.diff(scores[0][: int(count[0])]) <= 0).all()


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        (
            {"thresholds": {"ace": 0.3}},
            "Frigate takes no object that scores less than 0.4, though the evaluation's threshold is lower for: ace",
        ),
        ({"threshold": 0.0, "thresholds": {"ace": 0.0, "cœur ♥": 0.4}}, "threshold is lower for: ace, 7 of hearts"),
        ({"decode": {**ATTRIBUTES, "max_detections": 100}}, "Frigate takes the 20 surest of the model's 100 objects"),
        ({"classes": ["person", "face", "ups"]}, "does not track them: face, ups; rename them in labelmap.txt"),
        ({"classes": ["a/b", "c+", "d#"]}, "MQTT topics, which Frigate makes of names, cannot hold / + or #: a/b, c+, d#"),
    ],
)
def test_what_frigate_does_otherwise_is_noted(export, facts, says):
    outcome = export(**facts)
    assert any(says in note for note in notes(outcome, "frigate"))
    assert any(says in warning for warning in outcome.result["warnings"])
    assert says in (outcome.output / "frigate" / "config.yml").read_text(encoding="utf-8")


def test_without_any_of_that_there_is_no_note(export):
    outcome = export()
    assert notes(outcome, "frigate") == notes(outcome, "android") == outcome.result["warnings"] == []
    assert notes(export(threshold=None, thresholds=None), "frigate") == []


def shifted(model):
    """The model with an input that is one level off the pixels: scale 1 / 127.5, zero point 127, for -1 to 1."""
    source = model.tensors[model.inputs[0]]
    source.quantization.scale, source.quantization.zeroPoint = [1 / 127.5], [127]
    return model


def test_pixels_that_are_one_level_off_are_noted(export):
    outcome = export(shifted(small_detector()), mean=127.5, std=127.5)
    assert any("Frigate gives each pixel as it is, where some should be one level off" in note for note in notes(outcome, "frigate"))
    assert any("Android gives each pixel as it is" in note for note in notes(outcome, "android"))


# Android


@pytest.mark.parametrize(
    ("threshold", "says"), [(0.45, ".setScoreThreshold(0.45f)"), (1, ".setScoreThreshold(1.0f)"), (None, ".setScoreThreshold(0.5f)")]
)
def test_the_readme_names_file_and_threshold(export, threshold, says):
    outcome = export(threshold=threshold)
    readme = (outcome.output / "android" / "README.md").read_text(encoding="utf-8")
    assert says in readme
    assert 'createFromFileAndOptions(context, "model.tflite", options)' in readme
    assert ".setMaxResults(10)" in readme
    assert ("the threshold is a guess" in readme) == (threshold is None)
    if threshold is not None:
        assert "of the classes it is: ace 0.5, cœur ♥ 0.6." in readme
    assert (outcome.output / "android" / "assets" / "labels.txt").read_text(encoding="utf-8") == "".join(name + "\n" for name in CLASSES)


def test_a_float_model_is_for_android_alone(export):
    outcome = export(small_detector(False), programs=["android"])
    assert outcome.code == 0, outcome.log
    outcome = export(small_detector(False))
    assert outcome.error["what"] == "Frigate's detector `cpu` does not give the model what it reads"


# What cannot be


def int8_compiled():
    model = compiled_detector()
    source = model.tensors[model.inputs[0]]
    source.type, source.quantization.zeroPoint = small_detector(AS_INT8).tensors[0].type, [0]
    return model


def test_int8_pixels_are_given_by_newer_frigates_on_an_edge_tpu_alone(export):
    outcome = export(compiled=int8_compiled())
    assert any("the model reads int8, which Frigate gives it since" in note for note in notes(outcome, "frigate"))


def placed(*order):
    """A model with its outputs in another order, and what its model.json says of it."""
    model = small_detector()
    model.outputs = [model.outputs[place] for place in order]
    return model, {role: order.index(place) for role, place in USUAL.items()}


def wrong_scale():
    model = small_detector()
    model.tensors[model.inputs[0]].quantization.scale = [1 / 64]
    return model


def cut():
    content = small_detector().bytes()
    return content[: len(content) // 2]


TWO_EACH = {**ATTRIBUTES, "max_classes_per_detection": 2}


@pytest.mark.parametrize(
    ("given", "what", "where", "found"),
    [
        (
            {"postprocess": False},
            "the model puts out raw boxes and scores, which no other program decodes",
            "model.json: postprocess",
            "false",
        ),
        (
            {"model": small_detector(operator=False), "outputs": {"boxes": 0, "scores": 1}},
            "the model has no post-process operator, though model.json says so",
            "model.tflite",
            "boxes, scores",
        ),
        ({"model": small_detector(False)}, "Frigate's detector `cpu` does not give the model what it reads", "input normalized", "float32"),
        ({"model": small_detector(AS_INT8)}, "Frigate's detector `cpu` does not give the model what it reads", "input normalized", "int8"),
        (
            {"model": small_detector(AS_INT8), "programs": ["android"]},
            "the Task Library does not give the model",
            "input normalized",
            "int8",
        ),
        (
            {"model": placed(2, 0, 3, 1)[0], "outputs": placed(2, 0, 3, 1)[1]},
            "Frigate takes the outputs by their place",
            "outputs",
            "scores, boxes",
        ),
        (
            {"model": placed(2, 0, 3, 1)[0]},
            "the model does not have the outputs that model.json tells",
            "model.json: outputs",
            '"boxes": 0',
        ),
        (
            {"mean": 0, "std": 255},
            "the model's input is not pixels as they are, which is all that Frigate gives",
            "model.json: mean 0, std 255",
            "",
        ),
        ({"mean": [123.7, 116.3, 103.5], "std": 128}, "the model's input is not pixels as they are", "mean [123.7, 116.3, 103.5]", ""),
        ({"model": wrong_scale()}, "the model's input is not pixels as they are", "scale 0.015625, zero point 128", ""),
        ({"model": wrong_scale(), "programs": ["android"]}, "which is all that Android gives", "zero point 128", ""),
        ({"decode": TWO_EACH}, "the model puts out several classes for each box", "model.json: decode: max_classes_per_detection", "2"),
        ({"decode": {**ATTRIBUTES, "num_classes": 4}}, "model.json does not name every class of the model", "model.json: classes", "3"),
        ({"decode": {}}, "the model does not say how its boxes are decoded", "model.json: decode", "no max_detections"),
        ({"input_size": [SIDE, SIDE + 1]}, "the model does not have the input that model.json tells", "input_size, of model.tflite", "25"),
        ({"input_size": [SIDE]}, "the file does not tell how the model is run", "model.json: input_size", "[24]"),
        ({"mean": "much"}, "the file does not tell how the model is run", "model.json: mean", '"much"'),
        ({"std": 0}, "the file does not tell how the model is run", "model.json: std", "0"),
        ({"std": ...}, "the file does not tell how the model is run", "model.json: std", "null"),
        ({"classes": []}, "the file does not tell how the model is run", "model.json: classes", "[]"),
        ({"labels": ["ace", "king", "queen"]}, "labels.txt and model.json do not have the same classes", "labels.txt", "ace, king, queen"),
        (
            {"classes": ["a", "b\u2028c", "d"]},
            "a class name cannot be written as a line of a label file",
            "model.json: classes, class 1",
            "b\\u2028c",
        ),
        ({"classes": ["a", "b", " c"]}, "a class name cannot be written as a line of a label file", "model.json: classes, class 2", '" c"'),
        ({"classes": ["", "b", "c"]}, "a class name cannot be written as a line of a label file", "model.json: classes, class 0", '""'),
        ({"model": cut()}, "the model is damaged", "model.tflite", "byte"),
        ({"model": b"no model at all"}, "the file is not a TensorFlow Lite model", "model.tflite", "del"),
        ({"compiled": cut()}, "the model is damaged", "model_edgetpu.tflite", "byte"),
    ],
)
def test_what_another_program_could_not_run_is_refused(export, given, what, where, found):
    outcome = export(**given)
    assert outcome.code == 1, outcome.log
    assert what in outcome.error["what"]
    assert where in outcome.error["where"]
    assert found in outcome.error["found"]
    assert outcome.error["expected"]
    assert outcome.error["remedy"]
    assert not list(outcome.output.iterdir())


@pytest.mark.parametrize("text", ["{", "[]", ""])
def test_a_model_json_that_is_none_is_refused(export, package, text):
    folder = package()
    (folder / "model.json").write_text(text)
    outcome = export(where=folder)
    assert outcome.code == 1
    assert "model.json" in outcome.error["where"]
    assert outcome.error["remedy"] == "take all files from one package: build it again"


def test_the_outputs_are_where_tensorflow_1_puts_them_where_model_json_is_silent(export):
    assert export(outputs=None).code == 0


def test_three_means_are_a_level_for_each_colour(export):
    model = small_detector(False)
    outcome = export(model, programs=["android"], mean=[120, 110, 100], std=[1, 2, 3])
    assert outcome.code == 0, outcome.log


def test_the_tables_of_facts_hold_for_the_models():
    """The fixtures' model.json is that of the small detector, or every refusal here could have another cause."""
    package = load("export-apps", "app_package")
    assert package.USUAL_OUTPUTS == USUAL
    assert FACTS["decode"]["num_classes"] == len(CLASSES)
    assert json.dumps(FACTS)
    assert AS_UINT8.array is np.uint8
