"""The stage infer-tflite against LiteRT's own speed, on 1,000 pictures: what reading, decoding, resizing, hashing and writing add.

The model is a public uint8 SSD MobileNet v1 of 300 x 300 pixels (shared data), the pictures are cut out of BCCD's. `interpreter` sets
prepared inputs, invokes and reads the outputs in a loop, on one thread, and only this loop is timed. `stage` is the whole program, from its
start to its end: imports, loading the model, checksums, and flushing to the disk are in it. They take turns, in the data image's
environment, with one process and with two; what two interpreters reach is what this machine's cores allow. CPU seconds are told besides,
because they suffer less from whatever else the machine does.
"""

from __future__ import annotations

import argparse
import importlib
import io
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measure import load

PROJECT = Path(__file__).resolve().parents[1]
STAGES = PROJECT / "stages"
SHARED = Path(os.environ.get("EDGEMILL_SHARED") or PROJECT.parent / "shared") / "data"
MODEL = SHARED / "tflite" / "ssd_mobilenet_v1_uint8_postprocess.tflite"
PHOTOS = SHARED / "datasets" / "bccd" / "BCCD" / "JPEGImages"
SHARDS = 4  # of the records
QUALITY = 90
LEAST_OF_INTERPRETER, LEAST_OF_TWO = 0.9, 1.8


def main() -> int:
    """Measure and print; 1 where a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--reference-images", type=int, default=100, help="with the reference kernels, which are about 14 times slower")
    parser.add_argument("--size", default="300x300", help="of the pictures; others than the model's are resized")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    # Only here, for in the data image's environment there is no edgemill.
    environments = importlib.import_module("edgemill.engines.environments")
    image = importlib.import_module("edgemill.images").load_images()["data"]
    folder = environments.make(image, print, importlib.import_module("edgemill.engines.process").StopRequests())
    env = environments.stage_environment(folder, image) | {"PYTHONPATH": str(STAGES), "PYTHONDONTWRITEBYTECODE": "1"}
    missed = 0
    for kernels, images in (("fast", given.images), ("reference", given.reference_images)):
        if images:
            with tempfile.TemporaryDirectory() as name:
                bench = Bench([str(folder / "bin" / "python")], env, Path(name), kernels, images)
                bench.run([sys.argv[0], "--inside", "make", name, str(images), given.size])
                missed |= report(kernels, images, given.size, measure(bench, given.rounds))
    return missed


class Bench:
    """Runs programs of the data image's environment on the pictures in `room`."""

    def __init__(self, python: list[str], env: dict[str, str], room: Path, kernels: str, images: int) -> None:
        self.python, self.env, self.room, self.kernels, self.images = python, env, room, kernels, images

    def run(self, arguments: list[str]) -> str:
        """What a program says. Raises SystemExit where it fails."""
        done = subprocess.run([*self.python, *arguments], env=self.env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stdout[-1000:] + done.stderr[-2000:])
        return done.stdout

    def interpreters(self, number: int) -> tuple[float, float]:
        """(seconds, CPU seconds) of as many interpreters at a time, each on its share of the inputs."""
        shares = [(self.images * place // number, self.images * (place + 1) // number) for place in range(number)]
        commands = [[__file__, "--inside", "loop", str(self.room), self.kernels, *map(str, share)] for share in shares]
        running = [
            subprocess.Popen([*self.python, *command], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            for command in commands
        ]
        told = [json.loads(process.communicate()[0].splitlines()[-1]) for process in running]
        return max(each["seconds"] for each in told), sum(each["cpu"] for each in told)

    def stage(self, processes: int) -> tuple[float, float]:
        """(seconds, CPU seconds) of the stage's program with as many processes."""
        output, scratch = self.room / "output", self.room / "scratch"
        for path in (output, scratch):
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir()
        params = {"split": "val", "shards": 0, "discard_image_pixels": True, "layers": 0, "kernels": self.kernels, "classes_by_name": False}
        task = {"schema": 1, "stage": "infer-tflite", "name": "infer-tflite", "params": params, "cpus": processes, "run": None}
        task["inputs"] = {name: artifact(self.room / name, kind) for name, kind in (("model", "tflite"), ("records", "records"))}
        task |= {"output": str(output), "scratch": str(scratch), "result": str(self.room / "result.json")}
        (self.room / "task.json").write_text(json.dumps(task), encoding="utf-8")
        os.sync()
        before, begin = cpu_of_children(), time.perf_counter()
        self.run([str(STAGES / "infer-tflite" / "run.py"), str(self.room / "task.json")])
        seconds = time.perf_counter() - begin
        if json.loads((output / "inference.json").read_text(encoding="utf-8"))["images"] != self.images:
            raise SystemExit("the stage has not run on every picture")
        return seconds, cpu_of_children() - before


def cpu_of_children() -> float:
    """CPU seconds of all child processes so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def artifact(path: Path, kind: str) -> dict[str, str]:
    """An input's entry in task.json."""
    return {"name": kind, "kind": kind, "path": str(path), "key": "0" * 64, "digest": "0" * 64}


def measure(bench: Bench, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """(seconds, CPU seconds) of each turn in each round."""
    turns: dict[str, Callable[[], tuple[float, float]]] = {
        "interpreter": lambda: bench.interpreters(1),
        "stage": lambda: bench.stage(1),
        "two interpreters": lambda: bench.interpreters(2),
        "stage, two processes": lambda: bench.stage(2),
    }
    taken: dict[str, list[tuple[float, float]]] = {turn: [] for turn in turns}
    for number in range(rounds):
        for turn, call in turns.items():
            taken[turn].append(call())
        told = ", ".join(f"{turn} {times[-1][0]:.1f} s ({times[-1][1]:.1f} s CPU)" for turn, times in taken.items())
        print(f"{bench.kernels}, round {number + 1}: {told}; {load()}", flush=True)
    return taken


def report(kernels: str, images: int, size: str, taken: dict[str, list[tuple[float, float]]]) -> int:
    """Print ratios, of medians over the rounds; 1 where a limit is missed."""
    wall, cpu = ({turn: statistics.median(pair[place] for pair in times) for turn, times in taken.items()} for place in (0, 1))
    of_interpreter, of_cpu = wall["interpreter"] / wall["stage"], cpu["interpreter"] / cpu["stage"]
    of_two, allowed = wall["stage"] / wall["stage, two processes"], wall["interpreter"] / wall["two interpreters"]
    each = ", ".join(f"{turn} {seconds / images * 1000:.2f} ms" for turn, seconds in wall.items())
    print(f"{kernels} kernels, {images} pictures of {size}, medians of {len(taken['stage'])} rounds, each picture: {each}")
    print(f"  stage: {of_interpreter:.3f} of the interpreter's speed, {of_cpu:.3f} by CPU time (at least {LEAST_OF_INTERPRETER})")
    print(f"  two processes: {of_two:.2f} times one (at least {LEAST_OF_TWO}); two interpreters: {allowed:.2f} times one; {load()}")
    return int(of_interpreter < LEAST_OF_INTERPRETER or of_two < LEAST_OF_TWO)


# What runs in the data image's environment.


def make(room: Path, images: int, size: str) -> None:
    """Write records of pictures cut out of BCCD's, the model as an artifact, and its inputs for each picture."""
    np = importlib.import_module("numpy")
    resize = importlib.import_module("_detection.resize")
    records = importlib.import_module("_detection.detection_records")
    width, height = map(int, size.split("x"))
    pictures = list(cut_out(images, width, height))
    (room / "records").mkdir()
    entries, digests = [], "%064x"
    for place in range(SHARDS):
        chosen = range(images * place // SHARDS, images * (place + 1) // SHARDS)
        examples = [made(number, pictures[number], (width, height), digests % number) for number in chosen]
        entries.append(records.write_shard(room / "records" / f"val.record-{place:05d}-of-{SHARDS:05d}", examples))
    index = {"schema": 2, "classes": ["cell"], "splits": {"val": {"shards": entries}}}
    (room / "records" / "records.json").write_text(json.dumps(index), encoding="utf-8")
    inputs = [resize.model_input(resize.load_rgb(io.BytesIO(data), "picture"), 300, 300) for data in pictures]
    np.save(room / "inputs.npy", np.stack(inputs))
    (room / "labels.txt").write_text("cell\n", encoding="utf-8")
    for name in ("model", "scratch"):
        (room / name).mkdir()
    params = {"path": str(MODEL), "labels": str(room / "labels.txt"), "anchors": None, "mean": None, "std": None, "decode": {}}
    task = {"schema": 1, "stage": "import-tflite", "name": "import", "params": params, "inputs": {}, "cpus": 1, "run": None}
    task |= {"output": str(room / "model"), "scratch": str(room / "scratch"), "result": str(room / "result.json")}
    (room / "task.json").write_text(json.dumps(task), encoding="utf-8")
    subprocess.run([sys.executable, STAGES / "import-tflite" / "run.py", room / "task.json"], check=True, stdout=subprocess.DEVNULL)


def cut_out(images: int, width: int, height: int) -> Any:
    """JPEG bytes of pieces of photos, each another one."""
    image = importlib.import_module("PIL.Image")
    photos = sorted(PHOTOS.iterdir())
    for number in range(images):
        with image.open(photos[number % len(photos)]) as photo:
            across, down = photo.width - width, photo.height - height
            left, top = (number * 37) % (across + 1), (number * 53) % (down + 1)
            stream = io.BytesIO()
            photo.crop((left, top, left + width, top + height)).save(stream, "JPEG", quality=QUALITY)
        yield stream.getvalue()


def made(number: int, data: bytes, size: tuple[int, int], digest: str) -> Any:
    """A record's tf.Example with a box, as the stage records writes it."""
    example = importlib.import_module("_detection.example_message").Example()
    features = example.features.feature
    texts = {"source_id": str(number + 1), "filename": f"{number}.jpg", "format": "jpeg", "key/sha256": digest, "object/class/text": "cell"}
    for key, text in texts.items():
        features["image/" + key].bytes_list.value.append(text.encode())
    features["image/encoded"].bytes_list.value.append(data)
    for key, side in zip(("width", "height"), size, strict=True):
        features["image/" + key].int64_list.value.append(side)
    features["image/object/class/label"].int64_list.value.append(1)
    for corner, value in (("ymin", 0.1), ("xmin", 0.2), ("ymax", 0.6), ("xmax", 0.7)):
        features["image/object/bbox/" + corner].float_list.value.append(value)
    return example


def loop(room: Path, kernels: str, first: int, end: int) -> None:
    """Time the interpreter alone on prepared inputs, and print it."""
    np = importlib.import_module("numpy")
    litert = importlib.import_module("ai_edge_litert.interpreter")
    resolver = {"fast": litert.OpResolverType.AUTO, "reference": litert.OpResolverType.BUILTIN_REF}[kernels]
    interpreter = litert.Interpreter(model_path=str(room / "model" / "model.tflite"), num_threads=1, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    source, outputs = interpreter.get_input_details()[0]["index"], [found["index"] for found in interpreter.get_output_details()]
    inputs = np.load(room / "inputs.npy")[first:end]
    begin, cpu = time.perf_counter(), time.process_time()
    for value in inputs:
        interpreter.set_tensor(source, value)
        interpreter.invoke()
        for index in outputs:
            interpreter.get_tensor(index)
    print(json.dumps({"seconds": time.perf_counter() - begin, "cpu": time.process_time() - cpu}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        way, place, *rest = sys.argv[2:]
        if way == "make":
            make(Path(place), int(rest[0]), rest[1])
        else:
            loop(Path(place), rest[0], int(rest[1]), int(rest[2]))
    else:
        raise SystemExit(main())
