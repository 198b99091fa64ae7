"""detect.py finds what the pipeline's own inference finds, and tells in one line what is wrong."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from _detection.inference import coco_results
from _detection.postprocess import attributes
from _detection.resize import model_input, normalize
from _tflite.lint import describe
from _tflite.model import read_model
from PIL import Image
from synthetic import write
from whole_run import DECODE, read, whole_run

from stage_helpers import load, shared

CLASSES = ["circle", "square"]

# A stand-in for LiteRT: it gives what the files beside it say, whatever the picture. For faults and formats; truth needs the real one.
STAND_IN = """
import json, os
import numpy as np
HERE = os.path.dirname(os.path.abspath(__file__))
SAYS = json.load(open(os.path.join(HERE, "says.json")))
def load_delegate(library):
    raise ValueError("Failed to load delegate from " + library)
class Interpreter:
    def __init__(self, model_path, experimental_delegates):
        if SAYS.get("load"):
            raise ValueError(SAYS["load"])
    def allocate_tensors(self):
        if SAYS.get("allocate"):
            raise RuntimeError(SAYS["allocate"])
    def get_input_details(self):
        return [{"index": 0, "shape": np.array([1, 160, 160, 3]), "dtype": np.dtype(SAYS.get("type", "uint8")).type}]
    def get_output_details(self):
        return [{"index": number, "quantization": (0.0, 0)} for number in range(len(SAYS["outputs"]))]
    def set_tensor(self, index, value):
        np.save(os.path.join(HERE, "fed.npy"), value)
    def invoke(self):
        pass
    def get_tensor(self, index):
        return np.array(SAYS["outputs"][index], np.float32)
"""
# Boxes of the post-process operator: ymin, xmin, ymax, xmax as parts of the picture. The last is beyond the count.
OUTPUTS = [
    [[[0.1, 0.2, 0.5, 0.6], [-0.5, 0.5, 0.5, 1.5], [0.0, 0.0, 0.0, 0.5], [0, 0, 1, 1], [0, 0, 1, 1]]],
    [[1, 0, 0, 1, 0]],
    [[0.9, 0.75, 0.7, 0.4, 0.99]],
    [4],
]


PROVENANCE = {"provenance.intoto.jsonl": "{}\n"}  # what the host lays down for the stage


@pytest.fixture
def package(run_stage, tmp_path):
    """The package of a whole synthetic run; its model is not a real one."""

    def call(classes=CLASSES):
        entries = whole_run(tmp_path / "run", classes)
        outcome = run_stage(
            "package",
            {},
            {
                "model": entries["convert"],
                "compiled": None,
                "graph": entries["freeze"],
                "dataset": entries["ingest"],
                "evaluation": entries["evaluate"],
            },
            scratch=PROVENANCE,
        )
        assert outcome.code == 0, outcome.log
        return outcome.output

    return call


@pytest.fixture
def detect(package, tmp_path):
    """detect(*arguments) runs a package's detect.py with the stand-in runtime in an empty folder; returns exit status, output, errors."""

    def call(*arguments, says=None, folder=None, runtime=STAND_IN, **kinds):
        folder = folder or package(**kinds)
        fake = tmp_path / "runtime" / "ai_edge_litert"
        write(fake / "__init__.py", "")
        write(fake / "interpreter.py", runtime)
        write(fake / "says.json", says or {"outputs": OUTPUTS})
        write(tmp_path / "runtime" / "tflite_runtime" / "__init__.py", "raise ImportError('not here')")
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        done = subprocess.run(
            [sys.executable, str(folder / "detect.py"), *map(str, arguments)],
            check=False,
            cwd=work,
            capture_output=True,
            timeout=60,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path / "runtime"), "LANG": "C.UTF-8"},
        )
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    return call


@pytest.fixture
def photo(tmp_path):
    """photo(NAME, …) draws a picture of 200 × 100 pixels."""

    def call(name="photo.png", **options):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.linear_gradient("L").resize((200, 100)).convert("RGB").save(path, **options)
        return path

    return call


def test_each_object_is_a_line(detect, photo):
    path = photo()
    code, out, err = detect(path)
    assert (code, err) == (0, "")
    # Clipped to the picture; no area, below the threshold, or beyond the operator's count: left out.
    assert out.splitlines() == [
        "%s: square 0.90 xmin=40 ymin=10 xmax=120 ymax=50" % path,
        "%s: circle 0.75 xmin=100 ymin=0 xmax=200 ymax=50" % path,
    ]


@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_the_model_is_fed_what_evaluation_fed_it(detect, tmp_path, kind):
    noise = np.random.default_rng(3).integers(0, 256, (90, 211, 3), np.uint8)
    path = tmp_path / "noise.jpg"
    Image.fromarray(noise).save(path)
    assert detect(path, says={"outputs": OUTPUTS, "type": kind})[0] == 0
    expected = model_input(path, 160, 160)
    if kind == "float32":
        expected = normalize(expected, 128, 128)
    fed = np.load(tmp_path / "runtime" / "ai_edge_litert" / "fed.npy")
    assert fed.dtype == kind
    assert np.array_equal(fed, expected)


def test_the_threshold_is_inclusive_and_nothing_found_is_said(detect, photo):
    path = photo()
    assert len(detect(path, "--threshold", "0.4")[1].splitlines()) == 3
    assert detect(path, "--threshold", "0.95")[1] == "%s: nothing found (a lower --threshold would show: square 0.90)\n" % path


def test_json_tells_the_same(detect, photo):
    path = photo()
    code, out, _ = detect(path, "--json")
    told = json.loads(out)
    assert code == 0
    assert (told["image"], told["width"], told["height"]) == (str(path), 200, 100)
    assert told["detections"] == [
        {"label": "square", "class": 1, "score": 0.9, "box": [40.0, 10.0, 120.0, 50.0]},
        {"label": "circle", "class": 0, "score": 0.75, "box": [100.0, 0.0, 200.0, 50.0]},
    ]


def test_pictures_are_written_with_boxes_and_the_same_each_time(detect, photo, tmp_path):
    path = photo()
    detect(path, "--output", "first")
    detect(path, "--output", "second")
    first, second = (tmp_path / "work" / name / "photo_detections.jpg" for name in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()
    with Image.open(first) as drawn, Image.open(path) as original:
        assert drawn.size == (200, 100)
        assert np.abs(np.asarray(drawn, int) - np.asarray(original, int)).max() > 60
        red, green, blue = drawn.getpixel((80, 49))
        assert red < 130 < blue, "the lower edge of the first box, in the colour of class 1: #56B4E9"
        assert green > 130


def test_pictures_of_one_name_and_the_originals_are_not_written_over(detect, photo, tmp_path):
    paths = [photo("a/photo.png"), photo("b/photo.jpg"), photo("c/photo_detections.jpg")]
    before = [path.read_bytes() for path in paths]
    code, out, _ = detect(*paths, "--output", paths[2].parent, "--json")
    assert code == 0
    written = [json.loads(line)["picture"] for line in out.splitlines()]
    assert [os.path.basename(path) for path in written] == [
        "photo_detections-2.jpg",
        "photo_detections-3.jpg",
        "photo_detections_detections.jpg",
    ]
    assert [path.read_bytes() for path in paths] == before


def test_a_label_in_any_script_can_be_drawn(detect, photo, tmp_path):
    code, out, err = detect(photo(), classes=["丸", "cœur ♥"])
    assert (code, err) == (0, "")
    assert "cœur ♥ 0.90" in out
    assert (tmp_path / "work" / "detections" / "photo_detections.jpg").stat().st_size > 500


def test_a_turned_photo_is_read_as_stored_and_noted(detect, photo):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = photo("turned.jpg", exif=exif)
    code, out, err = detect(path, "--json")
    assert (code, json.loads(out)["width"]) == (0, 200)
    assert err == (
        "detect.py: note: %s: its EXIF orientation (6) is ignored, as in training; turn the picture if nothing is found\n" % path
    )


def test_a_picture_that_cannot_be_read_is_told_and_the_others_are_done(detect, photo, tmp_path):
    good = photo()
    bad = write(tmp_path / "photos" / "bad.jpg", "this is no picture")
    cut = tmp_path / "photos" / "cut.png"
    cut.write_bytes(good.read_bytes()[:200])
    code, out, err = detect("gone.jpg", bad, cut, good)
    assert code == 2
    assert len(out.splitlines()) == 2
    lines = err.splitlines()
    assert lines[0] == "detect.py: error: gone.jpg: there is no such picture"
    assert lines[1].startswith("detect.py: error: %s: the picture cannot be decoded (expected a whole JPEG or PNG, found " % bad)
    assert lines[2].startswith("detect.py: error: %s: the picture cannot be decoded" % cut)
    assert len(lines) == 3


NO_LITERT = "raise ImportError('no LiteRT')"


@pytest.mark.parametrize(
    ("arguments", "given", "code", "says"),
    [
        ([], {"runtime": NO_LITERT}, 2, "there is no LiteRT here; pip install ai-edge-litert (or tflite-runtime)"),
        (["--model", "/nowhere/model.tflite"], {}, 2, "/nowhere/model.json: the file cannot be read"),
        (["--labels", "/nowhere/labels.txt"], {}, 2, "/nowhere/labels.txt: the labels cannot be read"),
        (["--edgetpu"], {}, 2, "model_edgetpu.tflite: there is no such model"),
        (["--output", "/proc/nowhere"], {}, 2, "the picture cannot be written"),
        (
            [],
            {"says": {"load": "Model provided has identifier 'x', should be 'TFL3'", "outputs": []}},
            2,
            "the model cannot be loaded (found Model provided has identifier 'x', should be 'TFL3'); is the file whole? see SHA256SUMS",
        ),
        (
            [],
            {"says": {"allocate": "Encountered unresolved custom op: edgetpu-custom-op.", "outputs": []}},
            2,
            "a model compiled for the Edge TPU runs with --edgetpu only",
        ),
        (
            [],
            {"says": {"outputs": [OUTPUTS[0], [[7, 0, 0, 0, 0]], *OUTPUTS[2:]]}},
            2,
            "the model found a class that has no label (expected a class in 0..1, found 7); give the labels of this model with --labels",
        ),
        ([], {"says": {"outputs": OUTPUTS[:2]}}, 2, "anchors.npy: the anchors cannot be read"),
    ],
)
def test_what_is_missing_or_wrong_is_one_line_and_an_exit_status(detect, photo, arguments, given, code, says):
    found = detect(photo(), *arguments, **given)
    assert found[0] == code
    assert found[1] == ""
    assert found[2].startswith("detect.py: error: ")
    assert says in found[2]
    assert found[2].count("\n") == 1


def test_a_missing_edge_tpu_has_its_own_exit_status(detect, package, photo):
    folder = package()
    (folder / "model_edgetpu.tflite").write_bytes(b"compiled")
    code, out, err = detect(photo(), "--edgetpu", folder=folder)
    assert (code, out) == (3, "")
    assert err.startswith("detect.py: error: libedgetpu.so.1: the Edge TPU cannot be used (found ")
    assert err.endswith("; install the Edge TPU runtime, plug in the device, or run without --edgetpu\n")
    assert err.count("\n") == 1


def test_raw_outputs_are_decoded_with_the_packages_anchors(detect, package, photo):
    folder = package()
    np.save(folder / "anchors.npy", np.array([[0.5, 0.5, 0.4, 0.2], [0.25, 0.25, 0.5, 0.5]], np.float32))
    raw = [[[[0, 0, 0, 0], [0, 0, 0, 0]]], [[[0.0, 0.1, 0.8], [0.0, 0.6, 0.2]]]]  # background first
    code, out, _ = detect(photo(), "--json", folder=folder, says={"outputs": raw})
    assert code == 0
    assert [(each["label"], each["box"]) for each in json.loads(out)["detections"]] == [
        ("square", pytest.approx([80, 30, 120, 70], abs=0.01)),
        ("circle", pytest.approx([0, 0, 100, 50], abs=0.01)),
    ]


def test_the_help_is_there_without_a_runtime(detect):
    code, out, _ = detect("--help", runtime=NO_LITERT)
    assert (code, "--edgetpu" in out) == (0, True)


@pytest.fixture
def real(run_stage, tmp_path):
    """A package of a real uint8 SSD, and a list of real photos."""
    source = shared() / "data" / "tflite" / "ssd_mobilenet_v1_uint8_postprocess.tflite"
    photos = sorted((shared() / "data" / "datasets" / "playing_cards").rglob("*.JPG"))[:4]
    assert len(photos) == 4
    about = describe(read_model(source.read_bytes()))
    classes = ["class %d" % number for number in range(1, about["postprocess"]["num_classes"] + 1)]
    entries = whole_run(tmp_path / "run", classes)
    model = tmp_path / "run" / "convert"
    (model / "model.tflite").write_bytes(source.read_bytes())
    decode = {**DECODE, **about["postprocess"], "use_regular_nms": bool(about["postprocess"].get("use_regular_nms"))}
    write(model / "lint.json", {**read(model / "lint.json"), **about, "decode": decode, "input_size": about["inputs"][0]["shape"][1:3]})
    outcome = run_stage(
        "package",
        {},
        {"model": entries["convert"], "compiled": None, "graph": entries["freeze"], "dataset": entries["ingest"], "evaluation": None},
        scratch=PROVENANCE,
    )
    assert outcome.code == 0, outcome.log
    return outcome.output, photos


def test_detect_finds_what_the_pipelines_inference_finds(real, tmp_path):
    folder, photos = real
    done = subprocess.run(
        [sys.executable, str(folder / "detect.py"), *map(str, photos), "--json", "--threshold", "0.01"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
        timeout=300,
    )
    told = [json.loads(line) for line in done.stdout.decode().splitlines()]
    facts = read(folder / "model.json")
    detector = load("infer-tflite", "litert_detector").LiteRtDetector(
        folder / "model.tflite", facts, None, attributes(facts["decode"], "model.json"), "fast"
    )
    for path, ours in zip(photos, told, strict=True):
        found = detector(model_input(path, *facts["input_size"]))
        expected = [row for row in coco_results({"id": 1, "width": ours["width"], "height": ours["height"]}, found) if row["score"] >= 0.01]
        assert len(expected) > 3
        assert [(each["class"] + 1, each["score"]) for each in ours["detections"]] == [
            (row["category_id"], row["score"]) for row in expected
        ]
        for each, row in zip(ours["detections"], expected, strict=True):
            x, y, width, height = row["bbox"]
            assert each["box"] == pytest.approx([x, y, x + width, y + height], abs=0.0021)
