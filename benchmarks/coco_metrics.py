"""The evaluate stage against pycocotools as its own demo uses it, on 5,000 images with 500,000 detections.

Both begin with files and end with COCO's numbers, each in a process of its own, imports and all, in the data image's environment, and
they take turns. `pycocotools` reads two JSON files by `COCO` and `loadRes`, then evaluates, accumulates and summarizes. `stage` reads the
dataset and the detections' records, checks and evaluates them, and writes metrics.json, curves.json and matches.jsonl: on one process, and
on as many as there are cores. What it does beyond COCO's numbers is told apart. Memory is the most that the process held, and for each of
its workers the largest one's.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import runpy
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
STAGE = PROJECT / "stages" / "evaluate"
WIDTH, HEIGHT = 640, 480  # pixels of every image
OBJECTS = 7  # of an image, on average
SHARDS = 8
MEMORY_MOST = 3e9  # bytes
MEANS = ("map", "map50", "map75", "map_small", "map_medium", "map_large", "ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large")


def main() -> int:
    """Make the data and run both in the environment of the data image. Returns the exit status: 1 where a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--detections", type=int, default=100, help="of an image")
    parser.add_argument("--classes", type=int, default=80)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    # Only here, for in the data image's environment there is no edgemill.
    environments = importlib.import_module("edgemill.engines.environments")
    image = importlib.import_module("edgemill.images").load_images()["data"]
    folder = environments.make(image, print, importlib.import_module("edgemill.engines.process").StopRequests())
    sources = os.pathsep.join(map(str, (PROJECT / "stages", STAGE)))
    env = environments.stage_environment(folder, image) | {"PYTHONPATH": sources, "PYTHONDONTWRITEBYTECODE": "1"}
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as name:

        def inside(way: str, *arguments: int) -> dict[str, Any]:
            """Seconds from start to end, and what the way tells of itself."""
            command = [folder / "bin" / "python", __file__, "--inside", way, name, *map(str, arguments)]
            begin = time.perf_counter()
            said = subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout
            return {"seconds": time.perf_counter() - begin, **json.loads(said.splitlines()[-1])}

        made = inside("make", given.images, given.detections, given.classes)
        print(
            f"{given.images} images, {made['detections']} detections, {made['objects']} objects, {given.classes} classes; {load()}",
            flush=True,
        )
        turns: dict[str, Callable[[], dict[str, Any]]] = {
            "pycocotools": lambda: inside("plain"),
            "stage, 1 process": lambda: inside("stage", 1),
            f"stage, {cores} processes": lambda: inside("stage", cores),
        }
        results: dict[str, list[dict[str, Any]]] = {turn: [] for turn in turns}
        for _ in range(given.rounds):
            for turn, call in turns.items():
                results[turn].append(call())
                print(f"{turn}: {results[turn][-1]['seconds']:.1f} s, {results[turn][-1]['cpu']:.1f} s CPU; {load()}", flush=True)
        parts = inside("parts")
    return report(results, parts)


def report(results: dict[str, list[dict[str, Any]]], parts: dict[str, Any]) -> int:
    """Print the median of each, its ratio to pycocotools, and memory; 1 where a limit is missed or the numbers differ."""
    middle = {turn: statistics.median(done["seconds"] for done in rounds) for turn, rounds in results.items()}
    cpu = {turn: statistics.median(done["cpu"] for done in rounds) for turn, rounds in results.items()}
    memory = {turn: max(done["memory"] for done in rounds) for turn, rounds in results.items()}
    for turn, seconds in middle.items():
        ratios = f"{seconds / middle['pycocotools']:.2f} of pycocotools' time, {cpu[turn] / cpu['pycocotools']:.2f} of its CPU time"
        print(f"{turn:20} median {seconds:6.1f} s, {cpu[turn]:6.1f} s CPU: {ratios}; memory {memory[turn] / 1e9:.2f} GB")
    told = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in parts["parts"].items())
    print(f"of the stage on 1 process: {told}")
    numbers = {turn: rounds[0]["means"] for turn, rounds in results.items()}
    same = all(means == numbers["pycocotools"] for means in numbers.values())
    print(f"the twelve numbers are {'the same' if same else f'NOT the same: {numbers}'}; mAP {numbers['pycocotools'][0]}")
    print(f"limits: no slower than pycocotools, less than {MEMORY_MOST / 1e9:.0f} GB; {load()}")
    ours = [turn for turn in results if turn != "pycocotools"]
    return int(not same or any(middle[turn] > middle["pycocotools"] or memory[turn] > MEMORY_MOST for turn in ours))


def make(folder: Path, images: str, detections: str, classes: str) -> dict[str, Any]:
    """Write dataset, detections' records, task.json, and both as pycocotools reads them; the same ones each time."""
    np = importlib.import_module("numpy")
    chance = np.random.RandomState(1)
    names = [f"class{number}" for number in range(int(classes))]
    weights = 1 / np.arange(1, len(names) + 1)
    weights /= weights.sum()  # few classes are frequent, as in any dataset
    records, lines = [], []
    for number in range(1, int(images) + 1):
        count = chance.poisson(OBJECTS)
        corner = chance.rand(count, 2) * (WIDTH - 20, HEIGHT - 20)
        sides = np.exp(chance.normal(4.2, 0.9, (count, 2)))
        truth = np.concatenate([corner, np.minimum(corner + sides, (WIDTH, HEIGHT))], axis=1)
        kinds = chance.choice(len(names), count, p=weights)
        objects = [{"class": names[kind], "bbox": box} for kind, box in zip(kinds.tolist(), truth.round(2).tolist(), strict=True)]
        line = {"id": number, "file": f"{number}.jpg", "name": f"{number}.jpg", "sha256": f"{number:064x}", "bytes": 1, "format": "JPEG"}
        lines.append({**line, "width": WIDTH, "height": HEIGHT, "annotation": "", "objects": objects})
        records.append(detected(np, chance, lines[-1], truth, kinds, int(detections), weights))
    found = write_files(folder, names, lines, records)
    return {"detections": found, "objects": sum(len(line["objects"]) for line in lines)}


def detected(np: Any, chance: Any, image: dict[str, Any], truth: Any, kinds: Any, number: int, weights: Any) -> Any:
    """A record's tf.Example: about half of the boxes are near an object, most of these of its class, and they score higher."""
    near = chance.randint(0, len(truth), number // 2) if len(truth) else np.zeros(0, int)
    boxes = chance.rand(number, 2) * (WIDTH, HEIGHT)
    boxes = np.concatenate([boxes, boxes + np.exp(chance.normal(4, 0.9, (number, 2)))], axis=1)
    boxes[: len(near)] = truth[near] + chance.normal(0, 0.08, (len(near), 4)) * np.tile(truth[near, 2:] - truth[near, :2], 2)
    classes = chance.choice(len(weights), number, p=weights)
    classes[: len(near)] = np.where(chance.rand(len(near)) < 0.8, kinds[near], classes[: len(near)])
    scores = chance.beta(1, 12, number)
    scores[: len(near)] = chance.beta(2, 3, len(near))
    records = importlib.import_module("_detection.detection_records")
    example = importlib.import_module("_detection.example_message").Example()
    features = example.features.feature
    for key, text in (("source_id", str(image["id"])), ("key/sha256", image["sha256"])):
        features["image/" + key].bytes_list.value.append(text.encode())
    for key, side in (("width", WIDTH), ("height", HEIGHT)):
        features["image/" + key].int64_list.value.append(side)
    best = np.argsort(-scores, kind="stable")
    normalized = boxes[best][:, [1, 0, 3, 2]] / (HEIGHT, WIDTH, HEIGHT, WIDTH)
    found = importlib.import_module("_detection.postprocess").Detections(normalized, classes[best], scores[best])
    return records.add_detections(example, found, input_sha256=image["sha256"])


def write_files(folder: Path, names: list[str], lines: list[dict[str, Any]], records: list[Any]) -> int:
    """Both forms of the data, and task.json; the number of detections."""
    write_shard = importlib.import_module("_detection.detection_records").write_shard
    for artifact in ("dataset", "detections"):
        (folder / artifact).mkdir()
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "dataset" / "val.jsonl").write_text(text, encoding="utf-8")
    told = {"schema": 2, "classes": names, "splits": {"val": {}}, "hierarchy": {}}
    (folder / "dataset" / "dataset.json").write_text(json.dumps(told), encoding="utf-8")
    shards = [
        write_shard(
            folder / "detections" / f"val.detections-{place:05d}-of-{SHARDS:05d}",
            records[place * len(records) // SHARDS : (place + 1) * len(records) // SHARDS],
        )
        for place in range(SHARDS)
    ]
    found = sum(len(record.features.feature["image/detection/score"].float_list.value) for record in records)
    index = {"schema": 2, "split": "val", "classes": names, "images": len(lines), "detections": found, "masks": False, "pixels": False}
    index |= {"model": {"kind": "tflite", "runtime": "none", "version": "0", "sha256": "0" * 64}, "shards": shards}
    (folder / "detections" / "inference.json").write_text(json.dumps(index), encoding="utf-8")
    write_plain(folder)
    return found


def write_plain(folder: Path) -> None:
    """truth.json and results.json, as COCO's tools read them: the boxes that the stage evaluates."""
    dataset, models, images = opened(folder)
    truth = importlib.import_module("_detection.dataset").coco(list(images.values()), dataset.classes)
    (folder / "truth.json").write_text(json.dumps(truth), encoding="utf-8")
    seen = importlib.import_module("_detection.detection_checks").Seen()
    rows, _ = importlib.import_module("detected").read_detected(models[0], images, dataset.classes, seen)
    columns = (rows.images.tolist(), rows.categories.tolist(), rows.scores.tolist(), rows.boxes.tolist())
    results = [
        {"image_id": image, "category_id": category, "score": score, "bbox": [xmin, ymin, xmax - xmin, ymax - ymin]}
        for image, category, score, (xmin, ymin, xmax, ymax) in zip(*columns, strict=True)
    ]
    (folder / "results.json").write_text(json.dumps(results), encoding="utf-8")


def opened(folder: Path) -> tuple[Any, Any, dict[int, Any]]:
    """The dataset, the models, and {id: image}."""
    dataset = importlib.import_module("_detection.dataset").load(folder / "dataset")
    artifact = importlib.import_module("_runtime").Input(entry("a", "detections", folder / "detections"))
    models = importlib.import_module("_detection.detection_checks").read_models([artifact], dataset)
    return dataset, models, {image["id"]: image for image in dataset.images("val")}


def entry(name: str, kind: str, path: Path) -> dict[str, str]:
    """A task's entry for an artifact."""
    return {"name": name, "kind": kind, "path": str(path), "key": "0" * 64, "digest": "0" * 64}


def plain(folder: Path) -> dict[str, Any]:
    """COCO's numbers by pycocotools' own demo."""
    truth = importlib.import_module("pycocotools.coco").COCO(str(folder / "truth.json"))
    found = truth.loadRes(str(folder / "results.json"))
    evaluation = importlib.import_module("pycocotools.cocoeval").COCOeval(truth, found, "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return {"means": [round(float(value), 6) for value in evaluation.stats]}


def stage(folder: Path, cpus: str) -> dict[str, Any]:
    """The stage's own program."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        limits = dict.fromkeys(("threshold", "min_map", "min_map50", "max_loss_vs_frozen", "max_class_loss_vs_frozen"))
        task = {
            "schema": 1,
            "stage": "evaluate",
            "name": "evaluate",
            "params": {**limits, "min_class_map50": {}},
            "cpus": int(cpus),
            "run": None,
        }
        detections = [entry("a", "detections", folder / "detections")]
        task["inputs"] = {"dataset": entry("d", "dataset", folder / "dataset"), "detections": detections}
        task |= {"output": name, "scratch": name, "result": f"{name}/result.json"}
        (Path(name) / "task.json").write_text(json.dumps(task), encoding="utf-8")
        sys.argv = [str(STAGE / "run.py"), f"{name}/task.json"]
        runpy.run_path(sys.argv[0], run_name="__main__")
        model = json.loads((Path(name) / "metrics.json").read_text(encoding="utf-8"))["models"]["a"]
    return {"means": [model[key] for key in MEANS]}


def parts(folder: Path) -> dict[str, Any]:
    """Seconds of each part of the stage on one process."""
    seconds, begin = {}, time.perf_counter()

    def done(part: str) -> None:
        nonlocal begin
        seconds[part], begin = time.perf_counter() - begin, time.perf_counter()

    dataset, models, images = opened(folder)
    truth = importlib.import_module("_detection.dataset").coco(list(images.values()), dataset.classes)
    objects = importlib.import_module("coco_numbers").object_counts(truth)["per_class"]
    done("reading the dataset")
    seen = importlib.import_module("_detection.detection_checks").Seen()
    found, _ = importlib.import_module("detected").read_detected(models[0], images, dataset.classes, seen)
    done("reading and checking the records")
    model_evaluation = importlib.import_module("model_evaluation")
    evaluation = model_evaluation.evaluate_model(models[0], found, truth, objects, 1, lambda: None)
    done("COCO's numbers, curves and best scores")
    match_lines = importlib.import_module("match_lines")
    shown = {"a": match_lines.taken(evaluation.detected, evaluation.results, evaluation.metrics["best"]["score"])}
    with (folder / "matches.jsonl").open("w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(line) + "\n" for line in match_lines.match_lines(truth, shown, dataset.classes)[1])
    done("matches at the best score")
    return {"parts": seconds}


WAYS: dict[str, Callable[..., dict[str, Any]]] = {"make": make, "plain": plain, "stage": stage, "parts": parts}

if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        way, name, *arguments = sys.argv[2:]
        told = WAYS[way](Path(name), *arguments)
        own, workers = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        told["cpu"] = own.ru_utime + own.ru_stime + workers.ru_utime + workers.ru_stime
        told["memory"] = 1024 * (own.ru_maxrss + (int(arguments[0]) * workers.ru_maxrss if way == "stage" and arguments[0] != "1" else 0))
        print(json.dumps(told))
    else:
        sys.exit(main())
