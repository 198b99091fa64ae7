"""detect.py finds what the pipeline's own inference finds, and tells in one line what is wrong."""

import csv
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from _detection.postprocess import attributes
from _detection.resize import load_rgb, model_input, normalize
from _litert.detector import LiteRtDetector
from _litert.interface import read_interface
from _tflite.lint import describe
from _tflite.model import read_model
from litert_operator import AS_INT8, AS_UINT8, CLASSES, OUTPUTS, SIDE, small_detector
from package_files import package_of
from PIL import Image, ImageColor, ImageOps
from pycocotools.coco import COCO
from synthetic import write
from whole_run import DECODE, read

from stage_helpers import load, run_program, shared

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
        scale = tuple(SAYS.get("quantization", (1 / 128, 128)))
        return [
            {
                "index": 0,
                "name": "in",
                "shape": np.array([1, 160, 160, 3]),
                "quantization": scale,
                "dtype": np.dtype(SAYS.get("type", "uint8")).type,
            }
        ]
    def get_output_details(self):
        return [
            {"index": number, "name": "out", "shape": np.array([1]), "quantization": (0.0, 0), "dtype": np.float32}
            for number in range(len(SAYS["outputs"]))
        ]
    def set_tensor(self, index, value):
        np.save(os.path.join(HERE, "fed.npy"), value)
    def invoke(self):
        pass
    def get_tensor(self, index):
        return np.array(SAYS["outputs"][index], np.float32)
"""
# Boxes of the post-process operator: ymin, xmin, ymax, xmax as parts of the picture. The last is beyond the count.
BOXES = [[[0.1, 0.2, 0.5, 0.6], [-0.5, 0.5, 0.5, 1.5], [0.0, 0.0, 0.0, 0.5], [0, 0, 1, 1], [0, 0, 1, 1]]]
FOUND = [BOXES, [[1, 0, 0, 1, 0]], [[0.9, 0.75, 0.7, 0.4, 0.99]], [4]]
NOTHING = [[[[0, 0, 1, 1]]], [[0]], [[0.1]], [0]]
NO_LITERT = "raise ImportError('no LiteRT')"


@pytest.fixture(scope="module")
def usual_package(tmp_path_factory):
    """The package of a whole synthetic run; its model is not a real one."""
    root = tmp_path_factory.mktemp("usual")
    return package_of(partial(run_program, root / "package"), root / "run")


@pytest.fixture
def package(run_stage, usual_package, tmp_path):
    """package(…) is a package that a test may change."""

    def call(**kinds):
        if kinds:
            return package_of(run_stage, tmp_path / "run", **kinds)
        shutil.copytree(usual_package, tmp_path / "usual", dirs_exist_ok=True)
        return tmp_path / "usual"

    return call


@pytest.fixture
def detect(package, tmp_path):
    """detect(*arguments) runs a package's detect.py with the stand-in runtime in the folder `work`; returns exit status, output, errors."""
    made = []

    def call(*arguments, says=None, folder=None, runtime=STAND_IN, libraries=None, **kinds):
        if not made or folder or kinds:
            made[:] = [folder or package(**kinds)]
        fake = tmp_path / "runtime" / "ai_edge_litert"
        write(fake / "__init__.py", "")
        write(fake / "interpreter.py", runtime)
        write(fake / "says.json", says or {"outputs": FOUND})
        for name in ("tflite_runtime", "av", "cv2"):
            write(tmp_path / "runtime" / name / "__init__.py", "raise ImportError('not here')")
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        done = subprocess.run(
            [sys.executable, str(made[0] / "detect.py"), *map(str, arguments)],
            check=False,
            cwd=work,
            capture_output=True,
            timeout=60,
            env={
                "PATH": "/usr/bin:/bin",
                "PYTHONPATH": str(tmp_path / "runtime"),
                "LANG": "C.UTF-8",
                **({"LD_LIBRARY_PATH": str(libraries)} if libraries else {}),
            },
        )
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    call.work = tmp_path / "work"
    return call


@pytest.fixture
def photo(tmp_path):
    """photo(NAME, …) draws a picture of 200 × 100 pixels."""

    def call(name="photo.png", **options):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.linear_gradient("L").resize((200, 100)).convert("RGB").save(path, **options)
        return path

    call.folder = tmp_path / "photos"
    return call


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_each_object_is_a_line_and_at_the_end_they_are_counted(detect, photo):
    path = photo()
    code, out, err = detect(path)
    assert (code, err) == (0, "")
    # Clipped to the picture; no area, below the threshold, or beyond the operator's count: left out.
    assert out.splitlines() == [
        "%s: square 0.90 xmin=40 ymin=10 xmax=120 ymax=50" % path,
        "%s: circle 0.75 xmin=100 ymin=0 xmax=200 ymax=50" % path,
        "1 picture, 2 objects: circle 1, square 1",
        "with boxes: detections",
    ]


NOISE = np.random.default_rng(3).integers(0, 256, (90, 211, 3), np.uint8)


def fed(detect, tmp_path, **says):
    """What the model is given for a noisy picture, and the uint8 pixels that evaluation makes of it."""
    path = tmp_path / "noise.png"
    Image.fromarray(NOISE).save(path)
    code, _, err = detect(path, "--overwrite", "--output", "found", says={"outputs": FOUND, **says})
    assert code == 0, err
    return np.load(tmp_path / "runtime" / "ai_edge_litert" / "fed.npy"), model_input(load_rgb(path), 160, 160)


def test_a_uint8_model_of_tensorflow_1_is_fed_the_pixels_that_evaluation_fed_it(detect, tmp_path):
    given, pixels = fed(detect, tmp_path)
    assert given.dtype == np.uint8
    assert np.array_equal(given, pixels)


def test_a_float_model_is_fed_normalized_pixels(detect, tmp_path):
    given, pixels = fed(detect, tmp_path, type="float32", quantization=(0.0, 0))
    assert given.dtype == np.float32
    assert np.array_equal(given, normalize(pixels, 128, 128))


@pytest.mark.parametrize(
    ("kind", "scale", "zero_point"), [("int8", 1 / 128, 0), ("int8", 1 / 127.5, -1), ("uint8", 0.02, 40), ("int8", 0.001, 0)]
)
def test_an_integer_input_is_quantized_by_its_scale_and_zero_point(detect, tmp_path, kind, scale, zero_point):
    given, pixels = fed(detect, tmp_path, type=kind, quantization=(scale, zero_point))
    real = (pixels.astype(np.float64) - 128) / 128
    assert given.dtype == kind
    exact = np.clip(real / scale + zero_point, np.iinfo(kind).min, np.iinfo(kind).max)
    assert np.abs(given - exact).max() <= 0.501  # halves go either way


def test_scores_must_reach_the_threshold_of_their_class(detect, photo):
    """The evaluation's: circle 0.412, square 0.512."""
    scores = [[0.512, 0.4119999, 0.4, 0.51]]
    classes = [[1, 0, 0, 1]]
    boxes = [[[0, 0, 0.5, 0.5]] * 4]
    code, out, _ = detect(photo(), says={"outputs": [boxes, classes, scores, [4]]})
    assert code == 0
    # 0.4119999 is 0.412 in the six digits that thresholds have.
    assert [line.split(": ")[1][:11] for line in out.splitlines()[:-2]] == ["square 0.51", "circle 0.41"]
    assert "2 objects" in out


def test_a_threshold_of_ones_own_is_for_all_classes_and_inclusive(detect, photo):
    path = photo()
    assert "3 objects" in detect(path, "--threshold", "0.4")[1]
    assert "2 objects" in detect(path, "--threshold", "0.75", "--output", "two")[1]
    assert detect(path, "--threshold", "0.95", "--output", "none")[1].splitlines()[:2] == [
        "%s: nothing found (a lower --threshold would show: square 0.90)" % path,
        "1 picture, 0 objects",
    ]


def test_without_an_evaluation_the_threshold_is_a_half_and_that_is_said(detect, photo):
    code, out, err = detect(photo(), says={"outputs": [BOXES, FOUND[1], [[0.51, 0.49, 0.4, 0.4, 0.4]], [4]]}, evaluated=False)
    assert (code, "1 object: square 1" in out) == (0, True)
    assert err == "detect.py: note: the model was not evaluated: objects that score 0.5 or more are taken; --threshold sets another limit\n"
    assert detect(photo(), "--threshold", "0.4", "--output", "two")[2] == ""


def test_a_class_without_a_threshold_of_its_own_has_that_of_all(detect, package, photo):
    folder = package()
    facts = read(folder / "model.json")
    write(folder / "model.json", {**facts, "threshold": 0.8, "thresholds": {"square": 0.95, "circle": None}})
    scores = [[0.9, 0.79, 0.85, 0.4, 0.99]]
    assert "nothing found" in detect(photo(), folder=folder, says={"outputs": [BOXES, FOUND[1], scores, [4]]})[1]


def test_outputs_in_another_order_are_told_by_the_package(detect, package, photo):
    boxes, classes, scores, count = FOUND
    expected = detect(photo())[1].splitlines()[:2]
    folder = package(
        change=lambda root: write(
            root / "convert" / "lint.json",
            {**read(root / "convert" / "lint.json"), "output_order": ["scores", "boxes", "count", "classes"]},
        )
    )
    out = detect(photo(), "--output", "other", folder=folder, says={"outputs": [scores, boxes, count, classes]})[1]
    assert out.splitlines()[:2] == expected


def test_the_table_has_a_row_an_object(detect, photo):
    photo("a.png")
    photo("b/cœur, ♥.png")
    assert detect(photo.folder, "--csv", "tables/found.csv")[0] == 0
    with (detect.work / "tables" / "found.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["file"] for row in rows] == [str(photo.folder / name) for name in ("a.png", "a.png", "b/cœur, ♥.png", "b/cœur, ♥.png")]
    assert rows[0] == {
        "file": str(photo.folder / "a.png"),
        "frame": "",
        "time": "",
        "label": "square",
        "score": "0.9",
        "xmin": "40.0",
        "ymin": "10.0",
        "xmax": "120.0",
        "ymax": "50.0",
    }


def test_the_json_is_coco_data_and_its_annotations_are_coco_results(detect, photo, tmp_path):
    photo("a.png")
    photo("b.png")
    assert detect(photo.folder, "--json", "found.json")[0] == 0
    path = detect.work / "found.json"
    coco = COCO(str(path))
    assert [image["file_name"] for image in coco.imgs.values()] == [str(photo.folder / name) for name in ("a.png", "b.png")]
    assert [(image["width"], image["height"], image["drawn"]) for image in coco.imgs.values()] == [
        (200, 100, "%s_detections.jpg" % name) for name in "ab"
    ]
    assert {each["id"]: each["name"] for each in coco.cats.values()} == {1: "circle", 2: "square"}
    results = coco.loadRes(read(path)["annotations"])
    assert [(each["image_id"], each["category_id"], each["score"], each["bbox"]) for each in results.anns.values()] == [
        (image, *found) for image in (1, 2) for found in [(2, 0.9, [40.0, 10.0, 80.0, 40.0]), (1, 0.75, [100.0, 0.0, 100.0, 50.0])]
    ]


def test_a_picture_without_objects_is_an_image_of_the_json(detect, photo):
    detect(photo(), "--json", "found.json", "--csv", "found.csv", says={"outputs": NOTHING})
    told = read(detect.work / "found.json")
    assert (len(told["images"]), told["annotations"]) == (1, [])
    assert (detect.work / "found.csv").read_text() == "file,frame,time,label,score,xmin,ymin,xmax,ymax\n"


def test_pictures_are_written_with_boxes_and_the_same_each_time(detect, photo):
    path = photo()
    detect(path, "--output", "first")
    detect(path, "--output", "second")
    first, second = (detect.work / name / "photo_detections.jpg" for name in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()
    with Image.open(first) as drawn, Image.open(path) as original:
        assert drawn.size == (200, 100)
        assert np.abs(np.asarray(drawn, int) - np.asarray(original, int)).max() > 60
        red, green, blue = drawn.getpixel((80, 49))
        assert red < 130 < blue, "the lower edge of the first box, in the colour of class 1: #56B4E9"
        assert green > 130


def test_a_folder_is_read_with_all_below_it_sorted_and_its_folders_are_kept(detect, photo):
    for name in ("z.png", "b/a.JPG", "b/a.png", "a/a.webp", "a.b/c.bmp"):
        photo(name)
    code, out, err = detect(photo.folder, "--output", "found")
    assert (code, err) == (0, "")
    named = [line.split(": ")[0] for line in out.splitlines()[:-2:2]]
    assert named == [str(photo.folder / name) for name in ("a/a.webp", "a.b/c.bmp", "b/a.JPG", "b/a.png", "z.png")]
    assert files(detect.work / "found") == [
        "a.b/c_detections.jpg",
        "a/a_detections.jpg",
        "b/a_detections-2.jpg",
        "b/a_detections.jpg",
        "z_detections.jpg",
    ]


def test_other_files_of_a_folder_are_passed_over_and_counted(detect, photo):
    photo("a.png")
    for name in ("a.xml", "b.XML", "README", ".DS_Store", "._a.png", ".hidden/b.png"):
        write(photo.folder / name, "text")
    code, out, err = detect(photo.folder)
    assert (code, "1 picture, " in out) == (0, True)
    assert err == (
        "detect.py: note: %s: passed over, for they are neither pictures nor videos: 5 (without ending 2, .png 1, .xml 2)\n" % photo.folder
    )


def test_a_folder_without_pictures_is_told_and_the_others_are_done(detect, photo, tmp_path):
    empty, other = tmp_path / "empty", tmp_path / "other"
    empty.mkdir()
    write(other / "a.txt", "text")
    code, out, err = detect(empty, other, photo())
    assert code == 2
    assert "1 picture, 2 objects" in out
    assert err.splitlines()[1:] == [
        "detect.py: error: %s: there is no picture and no video in the folder (expected one or more, found nothing)" % empty,
        "detect.py: error: %s: there is no picture and no video in the folder (expected one or more, found other files: 1)" % other,
    ]


def test_results_among_the_pictures_are_not_read_as_pictures(detect, photo):
    photo("work/a.png")
    (detect.work).symlink_to(photo.folder / "work")
    assert "1 picture, " in detect(".", "--output", "found")[1]
    assert "1 picture, " in detect(".", "--output", "found", "--overwrite")[1]
    code, _, err = detect(".", "--output", ".")
    assert (code, "the results would go among the pictures" in err) == (2, True)


def test_links_are_followed_but_not_in_circles(detect, photo):
    photo("one/a.png")
    (photo.folder / "two").mkdir()
    (photo.folder / "two" / "link").symlink_to(photo.folder / "one")
    (photo.folder / "one" / "up").symlink_to(photo.folder)
    assert "1 picture, " in detect(photo.folder)[1]
    assert "1 picture, " in detect(photo.folder / "two", "--output", "linked")[1]


def test_a_picture_that_is_named_twice_is_done_once(detect, photo):
    path = photo()
    code, out, _ = detect(path, photo.folder, path.parent / "." / path.name)
    assert (code, "1 picture, 2 objects" in out) == (0, True)


def test_pictures_of_one_name_and_the_originals_are_not_written_over(detect, photo):
    paths = [photo("a/photo.png"), photo("b/Photo.jpg"), photo("c/photo_detections.jpg")]
    before = [path.read_bytes() for path in paths]
    code, _, _ = detect(*paths, "--output", paths[2].parent)
    assert code == 0
    assert files(paths[2].parent) == [
        "Photo_detections-3.jpg",
        "photo_detections-2.jpg",
        "photo_detections.jpg",
        "photo_detections_detections.jpg",
    ]
    assert [path.read_bytes() for path in paths] == before


def test_nothing_is_written_over_without_a_word(detect, photo):
    path = photo()
    assert detect(path, "--output", "found", "--csv", "found.csv")[0] == 0
    before = (detect.work / "found" / "photo_detections.jpg").stat().st_mtime_ns
    for arguments in (["--output", "found"], ["--output", "other", "--csv", "found.csv"], ["--output", "found", "--csv", "found.csv"]):
        code, out, err = detect(path, *arguments)
        assert (code, out) == (2, "")
        assert "what would be written is there already" in err
        assert "--overwrite" in err
    assert (detect.work / "found" / "photo_detections.jpg").stat().st_mtime_ns == before
    assert detect(path, "--output", "found", "--csv", "found.csv", "--overwrite")[0] == 0


def test_without_a_folder_named_a_new_one_is_made_each_time(detect, photo):
    path = photo()
    assert [detect(path)[1].splitlines()[-1] for _ in range(3)] == [
        "with boxes: detections",
        "with boxes: detections-2",
        "with boxes: detections-3",
    ]


@pytest.mark.parametrize("arguments", [["--csv", "PHOTO"], ["--json", "PHOTO"], ["--csv", "one", "--json", "one"]])
def test_a_table_is_never_written_over_a_picture_or_another_table(detect, photo, arguments):
    path = photo()
    before = path.read_bytes()
    code, _, err = detect(path, "--overwrite", *(str(path) if each == "PHOTO" else each for each in arguments))
    assert (code, "a table would be written over something else" in err) == (2, True)
    assert path.read_bytes() == before


def test_a_label_in_any_script_can_be_drawn(detect, photo):
    code, out, err = detect(photo(), classes=["丸", "cœur ♥"])
    assert (code, err) == (0, "")
    assert "cœur ♥ 0.90" in out
    assert (detect.work / "detections" / "photo_detections.jpg").stat().st_size > 500


def test_a_file_name_that_is_no_text_is_told_as_well_as_can_be(detect, photo):
    path = photo()
    odd = path.parent / "a\udcff\n.png"
    path.rename(odd)
    code, out, err = detect(path.parent, "--csv", "found.csv", "--json", "found.json")
    assert (code, err) == (0, "")
    assert out.startswith("%s/a??.png: square 0.90 " % path.parent)
    assert files(detect.work) == ["detections/a??_detections.jpg", "found.csv", "found.json"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photo_is_seen_upright_as_the_training_saw_it(detect, photo, tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.png"
    Image.fromarray(NOISE).save(path, exif=exif)
    code, _, err = detect(path, "--json", "found.json")
    assert (code, err) == (0, "")
    with Image.open(path) as picture:
        upright = ImageOps.exif_transpose(picture)
    told = read(detect.work / "found.json")["images"][0]
    assert (told["width"], told["height"]) == upright.size
    assert np.array_equal(np.load(tmp_path / "runtime" / "ai_edge_litert" / "fed.npy"), model_input(np.asarray(upright), 160, 160))


def test_a_picture_that_cannot_be_read_is_told_and_the_others_are_done(detect, photo):
    good = photo()
    bad = write(photo.folder / "bad.jpg", "this is no picture")
    cut = photo.folder / "cut.png"
    cut.write_bytes(good.read_bytes()[:200])
    code, out, err = detect("gone.jpg", bad, cut, good)
    assert code == 2
    assert "1 picture, 2 objects" in out
    lines = err.splitlines()
    assert lines[0] == "detect.py: error: gone.jpg: there is no such picture"
    assert lines[1].startswith("detect.py: error: %s: the picture cannot be decoded (expected a whole JPEG or PNG, found " % bad)
    assert lines[2].startswith("detect.py: error: %s: the picture cannot be decoded" % cut)
    assert len(lines) == 3


def test_a_video_without_a_library_that_reads_it_is_an_error_that_names_both(detect, photo):
    video = write(photo.folder / "clip.mp4", "a video")
    photo()
    code, out, err = detect(photo.folder)
    assert (code, "1 picture, 2 objects" in out) == (2, True)
    assert err == ("detect.py: error: %s: nothing here reads videos; pip install av (PyAV), or opencv-python-headless (OpenCV)\n" % video)


@pytest.mark.parametrize(
    ("arguments", "given", "code", "says"),
    [
        ([], {"runtime": NO_LITERT}, 2, "there is no LiteRT here; pip install ai-edge-litert (or tflite-runtime)"),
        (["--model", "/nowhere/model.tflite"], {}, 2, "/nowhere/model.json: the file cannot be read"),
        (["--labels", "/nowhere/labels.txt"], {}, 2, "/nowhere/labels.txt: the labels cannot be read"),
        (["--edgetpu"], {}, 2, "model_edgetpu.tflite: there is no such model"),
        (["--output", "/proc/nowhere"], {}, 2, "/proc/nowhere: it cannot be written (found No such file or directory)"),
        (["--csv", "/proc/nowhere/found.csv"], {}, 2, "/proc/nowhere: it cannot be written"),
        (["--json", "/dev/full"], {}, 2, "what would be written is there already"),
        (["--json", "/dev/full", "--overwrite"], {}, 2, "it cannot be written (found No space left on device)"),
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
            {"says": {"outputs": [FOUND[0], [[7, 0, 0, 0, 0]], *FOUND[2:]]}},
            2,
            "the model found a class that has no label (expected a class in 0..1, found 7); give the labels of this model with --labels",
        ),
        ([], {"says": {"outputs": [BOXES, FOUND[1], [[float("nan")] * 5], [4]]}}, 2, "the model puts out values that are not finite"),
        ([], {"says": {"outputs": FOUND[:2]}}, 2, "anchors.npy: the anchors cannot be read"),
        ([], {"says": {"outputs": FOUND[:3]}}, 2, "the model's outputs are not a detector's"),
        ([], {"says": {"outputs": FOUND, "type": "int8", "quantization": (0.0, 0)}}, 2, "the model's input has no scale"),
    ],
)
def test_what_is_missing_or_wrong_is_one_line_and_an_exit_status(detect, photo, arguments, given, code, says):
    found = detect(photo(), *arguments, **given)
    assert found[0] == code
    assert not found[1] or "/dev/full" in arguments
    assert found[2].startswith("detect.py: error: ")
    assert says in found[2]
    assert found[2].count("\n") == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"outputs": {"boxes": 0, "scores": 0, "classes": 1, "count": 2}}, "model.json: outputs: the model's outputs are not a detector's"),
        ({"outputs": {"boxes": 0, "scores": 1}}, "told to be"),
        ({"classes": ["circle"]}, "the labels are not those of the model (expected 1 lines, found 2)"),
        ({"decode": {"num_classes": 2}}, "the model does not say how its boxes are decoded"),
    ],
)
def test_a_model_json_that_is_not_the_models_is_told(detect, package, photo, change, says):
    folder = package()
    write(folder / "model.json", {**read(folder / "model.json"), **change})
    code, out, err = detect(photo(), folder=folder)
    assert (code, out) == (2, "")
    assert says in err


def test_a_model_json_without_what_it_needs_is_told(detect, package, photo):
    folder = package()
    write(folder / "model.json", {"schema": 1})
    assert "model.json: the file does not tell how the model is run" in detect(photo(), folder=folder)[2]


@pytest.mark.parametrize("arguments", [["--threshold", "50"], ["--threshold", "nan"], ["--threshold", "much"], ["--every", "0"], []])
def test_a_wrong_command_line_ends_with_2(detect, photo, arguments):
    code, out, err = detect(*([photo(), *arguments] if arguments else []))
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith("detect.py: error: ")


def test_labels_of_the_models_number_may_be_others(detect, photo, tmp_path):
    labels = write(tmp_path / "labels.txt", "Kreis\nQuadrat\n")
    assert "Quadrat 0.90" in detect(photo(), "--labels", labels)[1]
    labels = write(tmp_path / "labels.txt", "Kreis\n")
    assert "the labels are not those of the model (expected 2 lines, found 1)" in detect(photo(), "--labels", labels)[2]


def test_a_missing_edge_tpu_has_its_own_exit_status(detect, package, photo):
    folder = package()
    (folder / "model_edgetpu.tflite").write_bytes(b"compiled")
    code, out, err = detect(photo(), "--edgetpu", folder=folder)
    assert (code, out) == (3, "")
    assert err.startswith("detect.py: error: libedgetpu.so.1: the Edge TPU cannot be used (found ")
    assert err.endswith("; install the Edge TPU runtime, plug in the device, or run without --edgetpu\n")
    assert err.count("\n") == 1
    assert not list(detect.work.iterdir())


def test_the_library_without_an_edge_tpu_is_told_likewise(detect, package, photo, tmp_path):
    """Any library that can be loaded stands for Google's; the stand-in runtime then finds no device, as LiteRT tells it."""
    folder = package()
    (folder / "model_edgetpu.tflite").write_bytes(b"compiled")
    (tmp_path / "libraries").mkdir()
    loaded = next(line.split()[-1] for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines() if "/libc" in line)
    (tmp_path / "libraries" / "libedgetpu.so.1").symlink_to(loaded)
    code, out, err = detect(photo(), "--edgetpu", folder=folder, libraries=tmp_path / "libraries")
    assert (code, out) == (3, "")
    assert "libedgetpu.so.1: the Edge TPU cannot be used (found Failed to load delegate from libedgetpu.so.1); install" in err
    assert err.count("\n") == 1


def test_raw_outputs_are_decoded_with_the_packages_anchors(detect, package, photo):
    folder = package()
    np.save(folder / "anchors.npy", np.array([[0.5, 0.5, 0.4, 0.2], [0.25, 0.25, 0.5, 0.5]], np.float32))
    raw = [[[[0, 0, 0, 0], [0, 0, 0, 0]]], [[[0.0, 0.1, 0.8], [0.0, 0.6, 0.2]]]]  # background first
    code, out, _ = detect(photo(), folder=folder, says={"outputs": raw})
    assert code == 0
    assert [line.split(": ")[1] for line in out.splitlines()[:2]] == [
        "square 0.80 xmin=80 ymin=30 xmax=120 ymax=70",
        "circle 0.60 xmin=0 ymin=0 xmax=100 ymax=50",
    ]


def test_a_stop_is_heard_when_what_belongs_together_is_written():
    together, done = load("package", "detect_outputs").together, []

    def work():
        with together():
            signal.raise_signal(signal.SIGINT)
            done.append("the picture, the table and the JSON")
        done.append("the next")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["the picture, the table and the JSON"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_help_is_there_without_a_runtime(detect):
    code, out, _ = detect("--help", runtime=NO_LITERT)
    assert (code, "--edgetpu" in out) == (0, True)


def package_with(run_stage, tmp_path, content, classes):
    """A package of a real .tflite."""
    about = describe(read_model(content))

    def change(root):
        (root / "convert" / "model.tflite").write_bytes(content)
        decode = {**DECODE, "num_classes": len(classes), **(about["postprocess"] or {})}
        decode["use_regular_nms"] = bool(decode["use_regular_nms"])
        lint = {**read(root / "convert" / "lint.json"), **about, "decode": decode, "input_size": about["inputs"][0]["shape"][1:3]}
        write(root / "convert" / "lint.json", lint)

    return package_of(run_stage, tmp_path / "run", classes, change, evaluated=False)


def agree(folder, photos, tmp_path, least):
    """Whether detect.py and the pipeline's own inference find the same; `least` objects in a picture."""
    done = subprocess.run(
        [sys.executable, str(folder / "detect.py"), *map(str, photos), "--json", "found.json", "--threshold", "0.01"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
        timeout=300,
    )
    assert b"error" not in done.stderr
    told = read(tmp_path / "found.json")
    facts = read(folder / "model.json")
    interface = read_interface(read_model((folder / "model.tflite").read_bytes()))
    how = attributes(facts["decode"], "model.json")
    detector = LiteRtDetector(folder / "model.tflite", interface, facts["mean"], facts["std"], None, how, "fast", {})
    for path, image in zip(photos, told["images"], strict=True):
        found = detector(model_input(load_rgb(path), *facts["input_size"]))
        kept = found.scores >= 0.01
        sides = np.array([image["height"], image["width"]] * 2)
        boxes = np.clip(found.boxes[kept].astype(np.float64), 0, 1) * sides
        real = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        ours = [each for each in told["annotations"] if each["image_id"] == image["id"]]
        assert len(ours) >= least
        assert [each["category_id"] - 1 for each in ours] == found.classes[kept][real].tolist()
        assert [np.float32(each["score"]) for each in ours] == found.scores[kept][real].tolist()
        corners = [[y, x, y + height, x + width] for x, y, width, height in (each["bbox"] for each in ours)]
        assert np.abs(np.array(corners) - boxes[real]).max() < 0.0021


def test_detect_finds_what_the_pipelines_inference_finds(run_stage, tmp_path):
    content = (shared() / "data" / "tflite" / "ssd_mobilenet_v1_uint8_postprocess.tflite").read_bytes()
    photos = sorted((shared() / "data" / "datasets" / "playing_cards").rglob("*.JPG"))[:4]
    assert len(photos) == 4
    count = describe(read_model(content))["postprocess"]["num_classes"]
    folder = package_with(run_stage, tmp_path, content, ["class %d" % number for number in range(1, count + 1)])
    agree(folder, photos, tmp_path, 4)


@pytest.mark.parametrize("numbers", [AS_UINT8, AS_INT8, False])
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 0, 3, 1)])
def test_so_it_does_for_any_type_of_numbers_and_any_order_of_outputs(run_stage, tmp_path, numbers, order):
    model = small_detector(numbers)
    model.outputs = [model.outputs[place] for place in order]
    folder = package_with(run_stage, tmp_path, model.bytes(), ["class %d" % number for number in range(CLASSES)])
    assert read(folder / "model.json")["outputs"]["boxes"] == order.index(0)
    assert len(OUTPUTS) == len(order)
    photo = tmp_path / "noise.png"
    Image.fromarray(NOISE[:SIDE, : 2 * SIDE]).save(photo)
    agree(folder, [photo], tmp_path, 1)


def test_no_box_crosses_a_label():
    """The box of the surer object runs through where the other one's label is."""
    outputs, found_of = load("package", "detect_outputs"), load("package", "detect_model").Found
    sure, less = found_of("a", 0, 0.9, [20, 10, 120, 52]), found_of("b", 1, 0.5, [10, 60, 120, 110])
    alone, both = (np.asarray(outputs.draw(np.full((120, 160, 3), 128, np.uint8), found)) for found in ([less], [sure, less]))
    labels = (alone == ImageColor.getrgb(outputs.colour_of(1))).all(axis=2)
    labels[60:] = False  # the box itself
    assert labels.any()
    assert np.array_equal(both[labels], alone[labels])
