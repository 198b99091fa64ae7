"""parity.py compares two models of a package: in what they find, and in time; without a device it says so."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from litert_operator import AS_INT8, AS_UINT8, ATTRIBUTES, SIDE, small_detector
from PIL import Image
from synthetic import write
from whole_run import read

from stage_helpers import STAGES, load, shared

CLASSES = ["ace", "king", "queen"]
FACTS = {"mean": 128, "std": 128, "decode": ATTRIBUTES, "input_size": [SIDE, SIDE], "classes": CLASSES, "threshold": 0.5, "thresholds": {}}


def source():
    return load("package", "detect_program").build((STAGES / "package" / "parity.py").read_text(encoding="utf-8"), STAGES, "parity.py")


@pytest.fixture(scope="module")
def names():
    """What the program defines."""
    defined = {"__name__": "parity", "__file__": "parity.py"}
    exec(compile(source(), "parity.py", "exec"), defined)
    return defined


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The folder of a package: a uint8 model, and beside it the same in float and int8, and one with other weights."""
    folder = tmp_path_factory.mktemp("package")
    write(folder / "parity.py", source())
    for name, model in {
        "model.tflite": small_detector(AS_UINT8),
        "float.tflite": small_detector(False),
        "int8.tflite": small_detector(AS_INT8),
        "stranger.tflite": small_detector(AS_UINT8, seed=7),
    }.items():
        (folder / name).write_bytes(model.bytes())
    write(folder / "model.json", FACTS)
    rng = np.random.default_rng(5)
    (folder / "photos").mkdir()
    for number in range(6):
        levels = rng.integers(0, 256, (4, 8, 3), np.uint8)
        Image.fromarray(levels).resize((SIDE * 2 + number, SIDE), Image.Resampling.BICUBIC).save(folder / "photos" / ("%d.png" % number))
    return folder


@pytest.fixture
def parity(package, tmp_path):
    """parity(*arguments) runs it in an empty folder; returns exit status, output, and errors without what LiteRT itself says."""

    def call(*arguments, folder=package):
        done = subprocess.run(
            [sys.executable, str(folder / "parity.py"), *map(str, arguments)],
            check=False,
            cwd=call.work,
            capture_output=True,
            timeout=60,
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
        )
        told = [line for line in done.stderr.decode().splitlines() if not line.startswith("INFO: ")]
        return done.returncode, done.stdout.decode(), "\n".join(told)

    call.work = tmp_path / "work"
    call.work.mkdir()
    return call


def compared(parity, package, *arguments, other="model.tflite"):
    code, out, err = parity(package / "photos", "--other", package / other, "--json", "parity.json", *arguments)
    assert (code, err) == (0, "")
    return read(parity.work / "parity.json"), out


def test_a_model_agrees_with_itself_in_everything(parity, package):
    told, out = compared(parity, package)
    first, second = told["models"]["first"], told["models"]["second"]
    assert first["objects"] == second["objects"] == told["objects_in_both"] > 5
    assert first["sha256"] == second["sha256"]
    assert (first["found_by_other"], second["found_by_other"]) == (1, 1)
    assert told["score_difference"] == told["box_difference_pixels"] == {"greatest": 0, "mean": 0}
    assert told["pictures_that_agree"] == told["pictures"] == 6
    assert "6 of 6 pictures agree completely: same classes, IoU 0.5 or more" in out
    assert "100.0 %" in out


@pytest.mark.parametrize("other", ["model.tflite", "int8.tflite"])
def test_a_float_model_differs_a_little_from_its_quantized_one(parity, package, other):
    told, _ = compared(parity, package, "--model", package / "float.tflite", other=other)
    assert 0 < told["score_difference"]["mean"] <= told["score_difference"]["greatest"] < 0.1
    assert 0 < told["box_difference_pixels"]["mean"] <= told["box_difference_pixels"]["greatest"] < SIDE / 2
    assert min(model["found_by_other"] for model in told["models"].values()) > 0.5
    assert told["models"]["second"]["file"] == other
    assert {model["runs_on"] for model in told["models"].values()} == {"CPU"}


def test_two_models_that_have_nothing_to_do_with_each_other_do_not_agree(parity, package):
    told, _ = compared(parity, package, other="stranger.tflite")
    assert told["pictures_that_agree"] < 6
    assert min(model["found_by_other"] for model in told["models"].values()) < 0.5


def test_the_numbers_are_the_same_whichever_is_the_first(parity, package):
    one, _ = compared(parity, package, other="float.tflite")
    code, _, _ = parity(package / "photos", "--model", package / "float.tflite", "--other", package / "model.tflite", "--json", "2.json")
    two = read(parity.work / "2.json")
    assert code == 0
    assert (one["objects_in_both"], one["score_difference"]) == (two["objects_in_both"], two["score_difference"])
    assert one["models"]["first"]["objects"] == two["models"]["second"]["objects"]


def test_times_are_of_every_run_but_the_first_which_is_told_apart(parity, package):
    told, out = compared(parity, package, "--repeat", "3", "--images", "4")
    assert (told["pictures"], told["repeat"]) == (4, 3)
    for model in told["models"].values():
        times = model["milliseconds"]
        assert times["runs"] == 12
        assert 0 < times["median"] <= times["percentile_90"]
        assert times["warm_up"] > 0
    assert "first run, left out" in out
    assert "12 runs of each" in out


def test_the_table_tells_what_the_json_tells(parity, package):
    told, out = compared(parity, package, other="int8.tflite")
    first, second = told["models"]["first"], told["models"]["second"]
    lines = {line[:31].strip(): line[31:].split("  ") for line in out.splitlines()[:8]}
    cells = {name: [cell.strip() for cell in row if cell.strip()] for name, row in lines.items()}
    assert cells[""] == ["model.tflite", "int8.tflite"]
    assert cells["objects"] == [str(first["objects"]), str(second["objects"])]
    assert cells["median time"] == ["%.2f ms" % each["milliseconds"]["median"] for each in (first, second)]
    assert "differs by %.4f at most" % told["score_difference"]["greatest"] in out


def test_the_runtime_and_the_models_are_named(parity, package):
    import ai_edge_litert

    told, _ = compared(parity, package)
    assert told["runtime"] == {"name": "ai_edge_litert", "version": ai_edge_litert.__version__}


@pytest.mark.parametrize(
    ("most", "chosen"), [(None, [0, 1, 2, 3, 4, 5]), (3, [0, 2, 4]), (1, [0]), (6, [0, 1, 2, 3, 4, 5]), (9, [0, 1, 2, 3, 4, 5])]
)
def test_so_many_pictures_are_taken_from_all_over(names, most, chosen):
    assert names["spread"](list(range(6)), most) == chosen


@pytest.fixture
def judge(names):
    """judge(first, second): `Compared` of objects (class, score, box); the least score is 0.5."""

    def call(first, second):
        objects = [[names["Found"](CLASSES[number], number, score, list(box)) for number, score, box in each] for each in (first, second)]
        return names["compare"](*objects, [[0.5] * 3] * 2)

    return call


BOX, NEAR, FAR = (0, 0, 10, 10), (0, 0, 10, 5), (0, 0, 10, 4.9)


@pytest.mark.parametrize(
    ("first", "second", "pairs", "counts", "low"),
    [
        ([], [], 0, (0, 0), (0, 0)),
        ([(0, 0.9, BOX)], [(0, 0.6, BOX)], 1, (1, 1), (0, 0)),
        ([(0, 0.9, BOX)], [(0, 0.9, NEAR)], 1, (1, 1), (0, 0)),  # IoU 0.5 is enough
        ([(0, 0.9, BOX)], [(0, 0.9, FAR)], 0, (1, 1), (0, 0)),
        ([(0, 0.9, BOX)], [(0, 0.9, (20, 20, 30, 30))], 0, (1, 1), (0, 0)),
        ([(0, 0.9, BOX)], [(1, 0.9, BOX)], 0, (1, 1), (0, 0)),  # another class
        ([(0, 0.5, BOX)], [(0, 0.49, BOX)], 0, (1, 0), (1, 0)),  # seen, but below the threshold
        ([(0, 0.2, BOX)], [(0, 0.49, BOX)], 0, (0, 0), (0, 0)),
        ([(0, 0.2, BOX)], [(0, 0.7, BOX)], 0, (0, 1), (0, 1)),
        ([(0, 0.9, BOX), (0, 0.8, BOX)], [(0, 0.9, BOX)], 1, (2, 1), (0, 0)),  # each at most once
        ([(0, 0.9, BOX)], [(0, 0.9, NEAR), (0, 0.6, BOX)], 1, (1, 2), (0, 0)),
    ],
)
def test_objects_are_the_same_by_class_and_overlap_and_each_counts_once(judge, first, second, pairs, counts, low):
    told = judge(first, second)
    assert (len(told.pairs), (told.first, told.second), told.low) == (pairs, counts, low)


def test_of_several_the_one_that_overlaps_most_is_the_same(judge):
    told = judge([(0, 0.9, BOX)], [(0, 0.9, NEAR), (0, 0.6, BOX)])
    assert told.pairs[0].second.score == 0.6


@pytest.mark.parametrize(
    ("times", "median", "high"),
    [
        ([0.003], 3, 3),
        ([0.001, 0.002], 1.5, 2),
        ([0.001 * n for n in range(1, 11)], 5.5, 9),
        ([0.001 * n for n in range(20, 0, -1)], 10.5, 18),
    ],
)
def test_the_median_and_the_90th_percentile(names, times, median, high):
    class Timed:
        warm_up = 0.5

    Timed.times = times
    assert names["latency"](Timed) == {"median": median, "percentile_90": pytest.approx(high), "warm_up": 500, "runs": len(times)}


def test_without_a_compiled_model_it_says_so_and_what_else_it_can_do(parity, package):
    code, out, err = parity(package / "photos")
    assert (code, out) == (2, "")
    what = "there is no compiled model (found No such file or directory); name another model to compare with: --other FILE"
    assert err == "parity.py: error: %s: %s" % (package / "model_edgetpu.tflite", what)


@pytest.fixture
def with_compiled(package, tmp_path):
    """The package with a model that was compiled for the Edge TPU, whatever it finds."""
    folder = tmp_path / "compiled"
    shutil.copytree(package, folder)
    shutil.copyfile(shared() / "data" / "edgetpu" / "pairs" / "mobilenet_v1_0.25_128_quant_edgetpu.tflite", folder / "model_edgetpu.tflite")
    return folder


@pytest.mark.skipif(Path("/dev/apex_0").exists(), reason="an Edge TPU is here")
def test_without_an_edge_tpu_it_is_one_line_and_exit_status_3(parity, with_compiled):
    code, out, err = parity(with_compiled / "photos", "--json", "parity.json", folder=with_compiled)
    assert (code, out) == (3, "")
    assert err.startswith("parity.py: error: libedgetpu.so.1: the Edge TPU cannot be used (found ")
    assert err.endswith("; install the Edge TPU runtime, plug in the device, or compare models for the CPU with --model and --other")
    assert "\n" not in err
    assert not os.listdir(parity.work)


def test_a_model_is_known_as_compiled_whatever_its_name(parity, with_compiled):
    path = with_compiled / "other.tflite"
    (with_compiled / "model_edgetpu.tflite").rename(path)
    assert parity(with_compiled / "photos", "--other", path, folder=with_compiled)[0] == 3
    assert parity(with_compiled / "photos", "--model", path, "--other", with_compiled / "model.tflite", folder=with_compiled)[0] == 3


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--model", "/nowhere/a.tflite"], "/nowhere/a.tflite: the model cannot be read (found No such file or directory); give --model"),
        (["--other", "/nowhere/a.tflite"], "/nowhere/a.tflite: the model cannot be read (found No such file or directory); give --model"),
        (["--json", "/proc/nowhere/found.json"], "it cannot be written"),
        (["--json", "/dev/full"], "what would be written is there already"),
        (["--images", "0"], "0 is not 1 or more"),
        (["--repeat", "-1"], "-1 is not 1 or more"),
        (["--threshold", "2"], "2 is not between 0 and 1"),
    ],
)
def test_what_is_missing_or_wrong_is_told_and_the_exit_status_is_2(parity, package, arguments, says):
    given = arguments if "--other" in arguments else [*arguments, "--other", package / "model.tflite"]
    code, out, err = parity(package / "photos", *given)
    assert (code, out) == (2, "")
    assert says in err
    assert err.splitlines()[-1].startswith("parity.py: error: ")


def test_models_of_other_classes_are_not_compared(parity, package, tmp_path):
    shutil.copyfile(package / "model.tflite", tmp_path / "model.tflite")
    write(tmp_path / "model.json", {**FACTS, "classes": ["ace", "queen", "king"]})
    code, _, err = parity(package / "photos", "--other", tmp_path / "model.tflite")
    assert code == 2
    assert "the two models do not have the same classes in the same order (expected ace, king, queen, found ace, queen, king)" in err


GUESS = "the model was not evaluated: objects that score 0.5 or more are taken; --threshold sets another limit"


@pytest.mark.parametrize(
    ("first", "second", "says"),
    [(0.3, 0.4, []), (None, None, [GUESS]), (None, 0.4, ["%(model)s: " + GUESS]), (0.3, None, ["%(other)s: " + GUESS])],
)
def test_a_model_whose_thresholds_are_a_guess_is_told_whichever_it_is(parity, package, tmp_path, first, second, says):
    paths = {}
    for name, threshold in (("model", first), ("other", second)):
        paths[name] = tmp_path / name / "model.tflite"
        paths[name].parent.mkdir()
        shutil.copyfile(package / "model.tflite", paths[name])
        write(paths[name].with_name("model.json"), {**FACTS, "threshold": threshold})
    code, _, err = parity(package / "photos", "--model", paths["model"], "--other", paths["other"])
    assert (code, err.splitlines()) == (0, ["parity.py: note: " + each % paths for each in says])
    assert parity(package / "photos", "--model", paths["model"], "--other", paths["other"], "--threshold", "0.5")[2] == ""


def test_a_picture_that_cannot_be_read_is_told_and_the_others_are_compared(parity, package, tmp_path):
    bad = write(tmp_path / "bad.png", "no picture")
    code, out, err = parity(bad, package / "photos", "--other", package / "model.tflite")
    assert (code, "6 of 6 pictures agree" in out) == (2, True)
    assert err.startswith("parity.py: error: %s: the picture cannot be decoded" % bad)


def test_where_no_picture_can_be_read_there_is_nothing_to_compare(parity, package, tmp_path):
    (tmp_path / "empty").mkdir()
    code, out, err = parity(tmp_path / "empty", "--other", package / "model.tflite")
    assert (code, out) == (2, "")
    assert "there is nothing to compare (expected one picture that can be read, found none)" in err


def test_videos_and_other_files_are_passed_over_and_that_is_told(parity, package, tmp_path):
    shutil.copytree(package / "photos", tmp_path / "mixed")
    write(tmp_path / "mixed" / "clip.mp4", "a video")
    write(tmp_path / "mixed" / "notes.txt", "text")
    code, out, err = parity(tmp_path / "mixed", "--other", package / "model.tflite")
    assert (code, "6 of 6 pictures" in out) == (0, True)
    assert "parity.py: note: videos are passed over: 1" in err
    assert "neither pictures nor videos: 1 (.txt 1)" in err


def test_the_json_is_not_written_over_without_a_word(parity, package):
    compared(parity, package)
    before = (parity.work / "parity.json").read_bytes()
    code, _, err = parity(package / "photos", "--other", package / "float.tflite", "--json", "parity.json")
    assert (code, "what would be written is there already" in err) == (2, True)
    assert (parity.work / "parity.json").read_bytes() == before
    assert parity(package / "photos", "--other", package / "float.tflite", "--json", "parity.json", "--overwrite")[0] == 0
    assert json.loads((parity.work / "parity.json").read_text())["models"]["second"]["file"] == "float.tflite"


def test_a_json_that_cannot_be_written_is_told(parity, package):
    code, out, err = parity(package / "photos", "--other", package / "model.tflite", "--json", "/dev/full", "--overwrite")
    assert (code, out) == (2, "")
    assert "/dev/full: it cannot be written (found No space left on device)" in err


def test_a_stop_is_told_and_has_its_own_exit_status(names, capsys):
    def stopped(*_):
        raise KeyboardInterrupt

    whole, names["compare_all"] = names["compare_all"], stopped
    try:
        assert names["main"](["photos"]) == 130
    finally:
        names["compare_all"] = whole
    assert capsys.readouterr().err == "parity.py: stopped\n"


def test_without_thresholds_of_an_evaluation_that_is_said(parity, package, tmp_path):
    folder = tmp_path / "unevaluated"
    shutil.copytree(package, folder)
    write(folder / "model.json", {**FACTS, "threshold": None})
    code, _, err = parity(folder / "photos", "--other", folder / "model.tflite", folder=folder)
    assert (code, "the model was not evaluated" in err) == (0, True)


def test_the_help_names_every_option(parity):
    code, out, _ = parity("--help")
    assert code == 0
    assert all(option in out for option in ("--images", "--repeat", "--threshold", "--model", "--other", "--json", "--overwrite"))
