"""Images/s of the records stage against a plain script like the API's create_pascal_tf_record, and against `cp -r` of the images.

All three read the same files, BCCD's 364 images 50 times over, each with other bytes. They take turns, so that a change of the machine's
load meets all; what one has written is removed before the next begins. Needs 1.3 GB of disk.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import struct
import subprocess
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from measure import load

from edgemill.engines import environments
from edgemill.engines.process import StopRequests
from edgemill.images import load_images

ROOT = Path(__file__).resolve().parents[1]
STAGES = ROOT / "stages"
BCCD = Path(os.environ.get("EDGEMILL_SHARED") or ROOT.parent / "shared") / "data" / "datasets" / "bccd" / "BCCD"
CLASSES = ["Platelets", "RBC", "WBC"]
CORNERS = ("xmin", "ymin", "xmax", "ymax")


def main() -> None:
    """Print images/s and MB/s of each, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--copies", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--cpus", type=int, default=os.cpu_count())
    given = parser.parse_args()
    pythons = {}
    for name in ("data", "train"):
        image = load_images()[name]
        folder = environments.make(image, print, StopRequests())
        pythons[name] = (folder / "bin" / "python", environments.stage_environment(folder, image))
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        images, size = replicate(root, given.copies)
        print(f"{images} images, {size / 1e6:.0f} MB; {load()}", flush=True)
        task = write_task(root, given.cpus)
        turns: dict[str, Callable[[], float]] = {
            "plain script": lambda: plain(pythons["train"], root, images),
            "records stage": lambda: stage(pythons["data"], root, task, images),
            "cp -r": lambda: copy(root),
        }
        seconds: dict[str, list[float]] = {name: [] for name in turns}
        for number in range(given.rounds):
            for turn, call in turns.items():
                os.sync()
                seconds[turn].append(call())
            took = ", ".join(f"{turn} {times[-1]:.2f} s" for turn, times in seconds.items())
            print(f"round {number + 1}: {took}; {load()}", flush=True)
    middle = {turn: statistics.median(times) for turn, times in seconds.items()}
    for turn, time_taken in middle.items():
        print(f"{turn}: {images / time_taken:.0f} images/s, {size / 1e6 / time_taken:.0f} MB/s (median of {given.rounds} rounds)")
    print(f"records stage: {middle['plain script'] / middle['records stage']:.1f} × the plain script without its imports (at least 10)")
    print(f"records stage: {middle['cp -r'] / middle['records stage']:.2f} × cp -r (at least 0.5)")
    print(load())


def replicate(root: Path, copies: int) -> tuple[int, int]:
    """BCCD `copies` times, each JPEG with a comment of its own: as VOC in root/voc, and as a dataset artifact in root/dataset.

    The pictures are the same files (hard links). Returns the number of images, and their bytes.
    """
    split_of = {
        name: split for split in ("train", "val", "test") for name in (BCCD / "ImageSets" / "Main" / f"{split}.txt").read_text().split()
    }
    for folder in ("voc/Annotations", "voc/JPEGImages", "dataset/images"):
        (root / folder).mkdir(parents=True)
    splits: dict[str, list[dict[str, Any]]] = {split: [] for split in set(split_of.values())}
    for stem, split in sorted(split_of.items()):
        data = (BCCD / "JPEGImages" / f"{stem}.jpg").read_bytes()
        text = (BCCD / "Annotations" / f"{stem}.xml").read_text(encoding="utf-8")
        for number in range(copies):
            name, comment = f"{stem}_{number}", str(number).encode()
            copied = data[:2] + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + data[2:]
            digest = hashlib.sha256(copied).hexdigest()
            (root / "voc" / "Annotations" / f"{name}.xml").write_text(text.replace(f"{stem}.jpg", f"{name}.jpg"), encoding="utf-8")
            (root / "dataset" / "images" / f"{digest}.jpg").write_bytes(copied)
            os.link(root / "dataset" / "images" / f"{digest}.jpg", root / "voc" / "JPEGImages" / f"{name}.jpg")
            image = {"file": f"images/{digest}.jpg", "name": f"{name}.jpg", "sha256": digest, "bytes": len(copied), "format": "JPEG"}
            splits[split].append({"annotation": f"{name}.xml", **image, **described(text)})
    write_dataset(root / "dataset", splits)
    members = [image for images in splits.values() for image in images]
    return len(members), sum(image["bytes"] for image in members)


def described(text: str) -> dict[str, Any]:
    """Size and objects that a VOC annotation tells."""
    tree = ET.fromstring(text)  # noqa: S314  our own data
    objects = [
        {"class": item.findtext("name"), "bbox": [float(item.findtext(f"bndbox/{corner}") or 0) for corner in CORNERS]}
        for item in tree.iter("object")
    ]
    return {"width": int(tree.findtext("size/width") or 0), "height": int(tree.findtext("size/height") or 0), "objects": objects}


def write_dataset(folder: Path, splits: dict[str, list[dict[str, Any]]]) -> None:
    """dataset.json, SPLIT.jsonl and the label map (see stages/_detection/dataset.py)."""
    counts, number = {}, 0
    for split, images in sorted(splits.items()):
        for image in images:
            number += 1
            image["id"] = number
        if split == "train":
            images.sort(key=lambda image: image["sha256"])
        lines = [json.dumps(image, separators=(",", ":")) + "\n" for image in images]
        (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
        objects = sum(len(image["objects"]) for image in images)
        counts[split] = {"images": len(images), "objects": objects, "bytes": sum(image["bytes"] for image in images), "masks": 0}
    (folder / "dataset.json").write_text(json.dumps({"schema": 2, "classes": CLASSES, "splits": counts, "hierarchy": {}}), encoding="utf-8")
    (folder / "label_map.pbtxt").write_text("".join(f"item {{\n  id: {n}\n  name: '{c}'\n}}\n" for n, c in enumerate(CLASSES, 1)))


def write_task(root: Path, cpus: int) -> Path:
    """The records stage's task.json, as the host writes it."""
    task = {"schema": 1, "stage": "records", "name": "records", "params": {"shards": 0}, "cpus": cpus, "run": None}
    task["inputs"] = {"dataset": {"name": "ingest", "kind": "dataset", "path": str(root / "dataset"), "key": "0" * 64, "digest": "0" * 64}}
    task |= {"output": str(root / "output"), "scratch": str(root), "result": str(root / "result.json")}
    (root / "task.json").write_text(json.dumps(task), encoding="utf-8")
    return root / "task.json"


def plain(python: tuple[Path, dict[str, str]], root: Path, images: int) -> float:
    """Seconds of the plain script, without those in which it imports TensorFlow."""
    record = root / "plain.record"
    said = run(python, [Path(__file__).with_name("records_plain.py"), root / "voc", record, *CLASSES])
    record.unlink()
    count, seconds = said.split()[-2:]
    if int(count) != images:
        raise SystemExit(f"the plain script wrote {count} records of {images}")
    return float(seconds)


def stage(python: tuple[Path, dict[str, str]], root: Path, task: Path, images: int) -> float:
    """Seconds of the stage's program, from its start to its end: imports, checksums and flushing to the disk are in it."""
    (root / "output").mkdir()
    begin = time.perf_counter()
    run(python, [STAGES / "records" / "run.py", task])
    seconds = time.perf_counter() - begin
    told = json.loads((root / "output" / "records.json").read_text(encoding="utf-8"))
    if sum(split["images"] for split in told["splits"].values()) != images:
        raise SystemExit("the records stage has not written every image")
    shutil.rmtree(root / "output")
    return seconds


def copy(root: Path) -> float:
    """Seconds of `cp -r` of the images."""
    begin = time.perf_counter()
    subprocess.run(["cp", "-r", root / "dataset" / "images", root / "copy"], check=True)
    seconds = time.perf_counter() - begin
    shutil.rmtree(root / "copy")
    return seconds


def run(python: tuple[Path, dict[str, str]], arguments: Sequence[str | Path]) -> str:
    """What a program says that an image's Python runs."""
    env = {**python[1], "PYTHONPATH": str(STAGES), "HOME": tempfile.gettempdir()}
    done = subprocess.run([python[0], *arguments], env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout[-1000:] + done.stderr[-2000:])
    return done.stdout


if __name__ == "__main__":
    main()
