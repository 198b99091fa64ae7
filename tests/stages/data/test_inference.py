"""Running a detector over a split: the same files whatever the processes, nothing twice after a stop, faults told with their record."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from _detection.detection_records import read_index, stream_detections, write_shard
from _detection.example_message import Example
from _detection.inference import check_classes, run_detector
from _detection.layer_samples import read_samples
from _detection.postprocess import Detections
from _detection.resize import load_rgb, model_input, sha256
from _detection.tfrecord_reader import payloads, spans
from _runtime import StageError, Task
from PIL import Image

import detector_images
from stage_helpers import STAGES, artifact, write_task

CLASSES = ["circle", "square"]
SIZE = (16, 24)  # height, width of the toys' input
MODEL = {"kind": "toy", "runtime": "none", "version": "1", "sha256": "0" * 64}


class Toy:
    """Finds as many boxes as the mean of the pixels says, the first with their upper left grey level as its score."""

    def __call__(self, pixels):
        assert pixels.shape == (1, *SIZE, 3)
        count = int(pixels.mean()) % 4
        boxes = np.tile(np.array([0.1, 0.2, 0.6, 0.9], np.float32), (count, 1))
        return Detections(boxes, np.arange(count) % 2, np.linspace(pixels[0, 0, 0, 0] / 255, 0, count, dtype=np.float32))


class Blind(Toy):
    """Finds nothing."""

    def __call__(self, pixels):
        found = super().__call__(pixels)
        return Detections(*(value[:0] for value in found))


class Open(Toy):
    """Shows two layers: one small, one with the pixels themselves."""

    def layers(self, pixels):
        return {"a/mean": pixels.mean(axis=(1, 2)), "b/pixels": pixels.astype(np.float32)}


class Fails(Toy):
    """Fails on the pictures whose upper left pixel is dark, as a model might."""

    def __call__(self, pixels):
        if pixels[0, 0, 0, 0] < 60:
            raise StageError("values are not finite", "scores", "finite", "NaN", "train again")
        return super().__call__(pixels)


@pytest.fixture
def records(tmp_path):
    folder = tmp_path / "records"
    folder.mkdir()
    return detector_images.write_records(folder, CLASSES, count=23, shards=3)


@pytest.fixture
def infer(tmp_path, records):
    """infer(detector, …): the task after `run_detector`; parameters by their names."""

    def call(detector=None, data=records, cpus=1, **params):
        folder = tmp_path / ("run-%d" % len(list(tmp_path.glob("run-*"))))
        given = {"split": "val", "shards": 0, "discard_image_pixels": True, "layers": 0, **params}
        task = Task(write_task(folder, "infer-toy", given, {"records": data}, cpus))
        run_detector(task, SIZE, detector or Toy(), MODEL)
        return task

    return call


def files(task):
    """{name: bytes} of what a task left, timings aside."""
    return {path.name: path.read_bytes() for path in task.output.iterdir() if path.name != "timing.json"}


def found_by(task):
    return list(stream_detections(task.output, read_index(task.output)))


def said(value):
    return [list(map(float, part.ravel())) for part in value]


def test_every_image_is_detected_in_as_the_detector_finds_it(infer, records):
    task = infer()
    found = found_by(task)
    assert [each.image_id for each in found] == list(range(1, 24))
    for each in found:
        name = "%d.%s" % (each.image_id, "jpg" if each.image_id % 2 else "png")
        pixels = model_input(load_rgb("%s/dataset/images/%s" % (records["path"], name)), *SIZE)
        assert each.input_sha256 == sha256(pixels)
        assert said(each.detections) == said(Toy()(pixels))
        assert (each.width, each.height) == detector_images.size(each.image_id)


@pytest.mark.parametrize("shards", [0, 1, 4, 23, 100])
def test_files_are_the_same_whatever_the_number_of_processes(infer, shards):
    one, two, five = (files(infer(Open(), cpus=cpus, shards=shards, layers=3)) for cpus in (1, 2, 5))
    assert one == two == five
    number = {0: 3, 100: 23}.get(shards, shards)
    assert sorted(one) == sorted(
        ["inference.json", "layers.npz", *["val.detections-%05d-of-%05d" % (place, number) for place in range(number)]]
    )


def test_the_number_of_shards_changes_no_record(infer):
    one, seven = (found_by(infer(shards=shards)) for shards in (1, 7))
    assert [said(each.detections) for each in one] == [said(each.detections) for each in seven]


def test_the_index_tells_what_was_run_and_found(infer):
    index = read_index(infer().output)
    shards = index.pop("shards")
    found = sum(len(each.detections.scores) for each in found_by(infer()))
    assert index == {
        "schema": 2,
        "split": "val",
        "classes": CLASSES,
        "images": 23,
        "detections": found,
        "masks": False,
        "pixels": False,
        "model": {**MODEL, "input_size": list(SIZE)},
    }
    assert [shard["records"] for shard in shards] == [8, 8, 7]


def test_timings_are_of_each_image_and_apart_from_what_counts(infer):
    task = infer(cpus=2)
    timing = json.loads((task.output / "timing.json").read_text())
    assert (timing["schema"], timing["images"], timing["processes"]) == (2, 23, 2)
    assert 0 <= timing["seconds_per_image"] <= timing["seconds_per_image_p90"]
    assert timing["seconds_preparing_per_image"] >= 0
    assert task.metrics["images"] == 23
    assert task.metrics["seconds_per_image"] == timing["seconds_per_image"]


@pytest.mark.parametrize("discard", [True, False])
def test_pixels_are_kept_where_they_are_asked_for(infer, discard):
    task = infer(discard_image_pixels=discard)
    assert read_index(task.output)["pixels"] is not discard
    size = sum(path.stat().st_size for path in task.output.glob("val.*"))
    assert (size > 100_000) is not discard


def test_nothing_found_is_a_warning_and_all_images_are_there(infer):
    task = infer(Blind())
    assert task.warnings == ["nothing was found in 23 images"]
    assert len(found_by(task)) == 23


def test_layers_are_sampled_of_the_splits_first_images_across_its_files(infer, records):
    task = infer(Open(), layers=10)
    samples = read_samples(task.output)
    assert {name: value.shape for name, value in samples.items()} == {"a/mean": (10, 3), "b/pixels": (10, 16 * 24 * 3)}
    pixels = model_input(load_rgb("%s/dataset/images/9.jpg" % records["path"]), *SIZE)
    np.testing.assert_array_equal(samples["b/pixels"][8], pixels.reshape(-1))


def test_layers_of_more_images_than_there_are_are_those_of_all(infer):
    assert read_samples(infer(Open(), layers=90).output)["a/mean"].shape == (23, 3)


def test_a_detector_that_does_not_show_its_layers_is_told(infer):
    task = infer(layers=3)
    assert task.warnings == ["layers: 3 was asked for, but this kind of model does not show what its layers put out"]
    assert read_samples(task.output) is None


def rewritten(records, change):
    """Write the first file of the records anew, each tf.Example changed by change(number, features)."""
    path = Path(records["path"]) / "val.record-00000-of-00003"
    examples = [Example.FromString(data) for _, data, _ in payloads(path, list(spans(path)))]
    for number, example in enumerate(examples, 1):
        change(number, example.features.feature)
    write_shard(path, examples)


def test_features_of_others_are_kept_and_old_detections_replaced(infer, records):
    def change(number, features):
        features["their/feature"].int64_list.value.append(number)
        features["image/detection/score"].float_list.value.extend([0.5] * 50)
        features["image/detection/class/text"].bytes_list.value.append(b"of another model")

    plain = found_by(infer())
    rewritten(records, change)
    task = infer(shards=1)
    assert [said(each.detections) for each in found_by(task)] == [said(each.detections) for each in plain]
    data = (task.output / "val.detections-00000-of-00001").read_bytes()
    assert data.count(b"their/feature") == 7
    assert b"of another model" not in data


def without_pixels(number, features):
    if number == 4:
        del features["image/encoded"]


def with_an_empty_picture(number, features):
    if number == 4:
        features["image/encoded"].bytes_list.value[:] = []


def with_half_a_picture(number, features):
    if number == 4:
        data = features["image/encoded"].bytes_list.value[0]
        features["image/encoded"].bytes_list.value[0] = data[: len(data) // 2]


def with_no_picture(number, features):
    if number == 4:
        features["image/encoded"].bytes_list.value[0] = b"GIF89a"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (without_pixels, "a record has no image"),
        (with_an_empty_picture, "a record has no image"),
        (with_half_a_picture, "an image cannot be decoded"),
        (with_no_picture, "an image cannot be decoded"),
    ],
)
@pytest.mark.parametrize("cpus", [1, 3])
def test_a_record_whose_image_cannot_be_used_is_named(infer, records, change, says, cpus):
    rewritten(records, change)
    with pytest.raises(StageError) as caught:
        infer(cpus=cpus, shards=5)
    assert caught.value.what == says
    assert "val.record-00000-of-00003, record 4" in caught.value.where


@pytest.mark.parametrize("cpus", [1, 2])
def test_what_a_detector_raises_is_told_with_the_record(infer, cpus):
    with pytest.raises(StageError) as caught:
        infer(Fails(), cpus=cpus)
    assert caught.value.what == "values are not finite"
    assert caught.value.where.startswith("scores, on ")
    assert ", record " in caught.value.where


def test_an_unknown_split_and_an_empty_one_are_refused(infer, records):
    with pytest.raises(StageError, match="the records have no split test"):
        infer(split="test")
    path = "%s/records.json" % records["path"]
    with open(path) as stream:
        index = json.load(stream)
    index["splits"]["val"]["shards"] = []
    with open(path, "w") as stream:
        json.dump(index, stream)
    with pytest.raises(StageError, match="the split has no images"):
        infer()


def test_pictures_of_every_usual_kind_are_read_as_training_reads_them(infer, tmp_path):
    folder = tmp_path / "kinds"
    folder.mkdir()
    kinds = [("L", "PNG"), ("RGB", "JPEG"), ("RGBA", "PNG"), ("P", "PNG"), ("L", "JPEG"), ("I;16", "PNG")]
    examples, expected = [], []
    for number, (mode, kind) in enumerate(kinds, 1):
        image = Image.fromarray(detector_images.picture(number, 40, 30))
        stream = io.BytesIO()
        (image.convert("L").convert("I;16") if mode == "I;16" else image.convert(mode)).save(stream, kind)
        about = {"id": number, "name": "x", "width": 40, "height": 30, "sha256": "0" * 64}
        examples.append(detector_images.example(about, stream.getvalue()))
        expected.append(sha256(model_input(load_rgb(io.BytesIO(stream.getvalue()), "x"), *SIZE)))
    entry = write_shard(folder / "val.record-00000-of-00001", examples)
    index = {"schema": 2, "classes": CLASSES, "splits": {"val": {"shards": [entry]}}}
    (folder / "records.json").write_text(json.dumps(index))
    task = infer(data=artifact("records", "records", folder))
    assert [each.input_sha256 for each in found_by(task)] == expected


@pytest.mark.parametrize(
    ("model", "dataset", "says", "found"),
    [
        (["a", "b"], ["a"], "different numbers of classes", "2: a, b"),
        ([], ["a"], "different numbers of classes", "0: "),
        (["a", "c", "b"], ["a", "b", "c"], "name a class differently", "c"),
        ([str(number) for number in range(20)], ["a"], "different numbers", "20: 0, 1, 2, 3, 4, 5, 6, 7, …"),
    ],
)
def test_classes_must_be_the_datasets_in_its_order(model, dataset, says, found):
    check_classes(dataset, list(dataset), "labels.json")
    with pytest.raises(StageError, match=says) as caught:
        check_classes(model, dataset, "labels.json")
    assert caught.value.found == found
    assert caught.value.where.startswith("labels.json")


# A run that is killed, and begun again in the same folder.

PROGRAM = """
import sys, time
sys.path.insert(0, {tests!r})
import numpy as np
from _detection.inference import run_detector
from _detection.postprocess import Detections
from _runtime import run


class Slow:
    def __call__(self, pixels):
        time.sleep({seconds})
        return Detections(np.full([2, 4], 0.5, np.float32), np.array([0, 1]), pixels[0, 0, 0, :2].astype(np.float32) / 255)


run(lambda task: run_detector(task, (16, 24), Slow(), {{"kind": "toy", "sha256": "0"}}))
"""


class Run:
    """A stage's program in a folder, which may be started again and again."""

    def __init__(self, folder, records, cpus=2, shards=23):
        params = {"split": "val", "shards": shards, "discard_image_pixels": True, "layers": 0}
        self.folder = folder
        self.finished = folder / "scratch" / "shards"
        write_task(folder, "infer-toy", params, {"records": records}, cpus)

    def start(self, seconds=0.0):
        program = self.folder / "program.py"
        program.write_text(PROGRAM.format(tests=str(STAGES), seconds=seconds))
        command = [sys.executable, str(program), str(self.folder / "task.json")]
        env = {**os.environ, "PYTHONPATH": str(STAGES)}
        return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)

    def until(self, process, shards):
        """Wait until so many shards are finished, while the process runs."""
        while len(list(self.finished.glob("*.json"))) < shards:
            assert process.poll() is None, process.stdout.read()
            time.sleep(0.005)

    def files(self):
        return {path.name: path.read_bytes() for path in (self.folder / "output").iterdir() if path.name != "timing.json"}


@pytest.fixture
def runs(tmp_path, records):
    def make(**given):
        return Run(tmp_path / ("killed-%d" % len(list(tmp_path.glob("killed-*")))), records, **given)

    return make


@pytest.mark.parametrize("whom", ["all", "parent"])
def test_a_killed_run_keeps_what_was_finished_and_ends_with_the_same_bytes(runs, whom):
    whole = runs()
    assert whole.start().wait() == 0
    killed = runs()
    process = killed.start(seconds=0.05)
    killed.until(process, 6)
    (os.killpg if whom == "all" else os.kill)(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.read()  # it ends when the last worker has
    kept = {path.name: path.stat().st_ino for path in killed.finished.glob("val.detections-*") if not path.name.endswith(".json")}
    assert not [name for name in kept if name.startswith(".")]
    assert not list((killed.folder / "output").iterdir())
    again = killed.start()
    log = again.stdout.read().decode()
    assert again.wait() == 0, log
    assert killed.files() == whole.files()
    said_kept = json.loads(next(line for line in log.splitlines() if "had been done before" in line))["text"]
    number = int(said_kept.split()[0])
    assert 6 <= number < 23
    assert said_kept == "%d of 23 images had been done before" % number
    output = killed.folder / "output"
    assert sum((output / name).stat().st_ino == place for name, place in kept.items()) >= number
    assert not killed.finished.exists()


def test_a_shard_that_is_not_as_it_was_left_is_made_again(runs):
    whole = runs()
    assert whole.start().wait() == 0
    killed = runs()
    process = killed.start(seconds=0.02)
    killed.until(process, 4)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    told = sorted(killed.finished.glob("*.json"))
    first, second, third = (path.with_suffix("") for path in told[:3])
    first.write_bytes(first.read_bytes()[:-1])
    second.unlink()
    (third.parent / (third.name + ".json")).write_text("{")
    again = killed.start()
    assert again.wait() == 0, again.stdout.read()
    assert killed.files() == whole.files()


def test_a_run_that_is_asked_to_stop_stops_and_goes_on_later(runs):
    killed = runs(cpus=1)
    process = killed.start(seconds=0.02)
    killed.until(process, 3)
    process.terminate()
    assert process.wait() == 128 + signal.SIGTERM
    assert not (killed.folder / "result.json").exists()
    again = killed.start()
    log = again.stdout.read().decode()
    assert again.wait() == 0
    assert "had been done before" in log
