"""Open Images at scale: reading and judging two million boxes by the stage ingest, against reading the same file by pandas and by nothing.

The table (250,000 images, 600 classes) is made anew. Each of the three runs in a process of its own, in the data image's environment,
and they take turns: `ingest` reads in blocks on all cores, joins the parts and judges every box (in the image, with an area, not there
twice); `pandas` is a plain read_csv on one core, which judges nothing; `bytes` counts the file's line ends. Memory is the most that a
process held, ru_maxrss; for ingest the parent's and, for each worker, the largest worker's, so that shared pages count several times.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import load

PROJECT = Path(__file__).resolve().parents[1]
IMAGES = 250_000
BOXES_OF_AN_IMAGE = 8
CLASSES = 600
ROUNDS = 3
WIDTH, HEIGHT = 1024, 768  # pixels of every image
HEADER = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside\n"
BOXES_LEAST, MEMORY_MOST = 500_000, 1.2e9  # boxes/s; bytes


def main() -> int:
    """Make the table and run the three in the environment of the data image. Returns the exit status: 1 where a limit is missed."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    # Only here, for in the data image's environment there is no edgemill.
    environments = importlib.import_module("edgemill.engines.environments")
    image = importlib.import_module("edgemill.images").load_images()["data"]
    folder = environments.make(image, print, importlib.import_module("edgemill.engines.process").StopRequests())
    sources = os.pathsep.join([str(PROJECT / "stages"), str(PROJECT / "stages/ingest")])
    env = environments.stage_environment(folder, image) | {"PYTHONPATH": sources, "PYTHONDONTWRITEBYTECODE": "1"}
    with tempfile.TemporaryDirectory() as name:
        make_tables(Path(name))
        results: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for _ in range(ROUNDS):
            for way, done in results.items():
                command = [folder / "bin" / "python", __file__, "--inside", way, name]
                done.append(json.loads(subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout))
        size = (Path(name) / "train-annotations-bbox.csv").stat().st_size
    return report(results, size)


def make_tables(folder: Path) -> None:
    """Write the table of boxes and the class descriptions; the same ones each time."""
    chance = random.Random(1)  # noqa: S311  no secret
    with (folder / "class-descriptions-boxable.csv").open("w", encoding="utf-8") as stream:
        stream.writelines(f"/m/0{number:04x},Class {number}\n" for number in range(CLASSES))
    with (folder / "train-annotations-bbox.csv").open("w", encoding="utf-8") as stream:
        stream.write(HEADER)
        for _ in range(IMAGES):
            identity = f"{chance.getrandbits(64):016x}"
            for _ in range(BOXES_OF_AN_IMAGE):
                label, flags = chance.randrange(CLASSES), chance.getrandbits(4)
                xmin, xmax = sorted((chance.random(), chance.random()))
                ymin, ymax = sorted((chance.random(), chance.random()))
                flag = f"{flags & 1},{flags >> 1 & 1},{flags >> 2 & 1},{flags >> 3}"
                stream.write(f"{identity},xclick,/m/0{label:04x},1,{xmin:.6f},{xmax:.6f},{ymin:.6f},{ymax:.6f},{flag},0\n")


def report(results: dict[str, list[dict[str, float]]], size: int) -> int:
    """Print boxes/s (the median round and the best), the ratio of each to pandas, and memory."""
    speeds = {way: sorted(done["boxes"] / done["seconds"] for done in rounds) for way, rounds in results.items()}
    memory = {way: max(done["memory"] for done in rounds) for way, rounds in results.items()}
    middle = {way: rates[len(rates) // 2] for way, rates in speeds.items()}
    print(f"{IMAGES * BOXES_OF_AN_IMAGE:,} boxes in {size / 1e6:.0f} MB")
    for way, rates in speeds.items():
        print(
            f"{way:7} median {middle[way]:>12,.0f} boxes/s, best {rates[-1]:>12,.0f}; "
            f"{middle[way] / middle['pandas']:6.2f} × pandas; memory {memory[way] / 1e6:,.0f} MB"
        )
    parts = results["ingest"][-1]
    print(f"ingest: read and joined {parts['read']:.2f} s, judged {parts['judged']:.2f} s on {os.cpu_count()} cores")
    print(f"limits: {BOXES_LEAST:,} boxes/s, {MEMORY_MOST / 1e6:,.0f} MB")
    print(load())
    return 0 if middle["ingest"] >= BOXES_LEAST and memory["ingest"] <= MEMORY_MOST else 1


def by_ingest(folder: Path) -> dict[str, float]:
    """As the stage does it, but for the images, which are taken to be there, all of one size."""
    assembly, gather, problems = (importlib.import_module(name) for name in ("assembly", "gather", "problems"))
    checked = importlib.import_module("image_files").Checked(width=WIDTH, height=HEIGHT, orientation=1)
    places = importlib.import_module("places").Places(folder, "ingest")
    layout = importlib.import_module("layouts").BY_NAME["open-images"]
    with tempfile.TemporaryDirectory() as scratch:
        audit = problems.Audit("drop", Path(scratch) / "problems")
        begin = time.perf_counter()
        sources = [layout.source(places, "train", {"folder": "."})]
        table = gather.read_sources(layout, sources, places, scratch, os.cpu_count(), lambda *_: None, audit)
        read = time.perf_counter() - begin
        drafts = [assembly.Draft(row, image.name, image.file, checked, "train", stored=False) for row, image in enumerate(table.images)]
        objects = assembly.make_objects(table, drafts, audit)
        seconds = time.perf_counter() - begin
    if (
        len(table.images) != IMAGES
        or len(table.label) != IMAGES * BOXES_OF_AN_IMAGE
        or len(objects.row) + audit.number() != len(table.label)
    ):
        raise SystemExit(f"{len(table.images)} images, {len(table.label)} boxes read, {len(objects.row)} kept, {audit.counts()}")
    return {"boxes": len(table.label), "seconds": seconds, "read": read, "judged": seconds - read}


def by_pandas(folder: Path) -> dict[str, float]:
    """A plain read_csv."""
    pandas = importlib.import_module("pandas")
    begin = time.perf_counter()
    frame = pandas.read_csv(folder / "train-annotations-bbox.csv")
    return {"boxes": len(frame), "seconds": time.perf_counter() - begin}


def by_bytes(folder: Path) -> dict[str, float]:
    """The line ends, counted."""
    begin, lines = time.perf_counter(), 0
    with (folder / "train-annotations-bbox.csv").open("rb") as stream:
        while piece := stream.read(1 << 20):
            lines += piece.count(b"\n")
    return {"boxes": lines - 1, "seconds": time.perf_counter() - begin}


WAYS = {"ingest": by_ingest, "pandas": by_pandas, "bytes": by_bytes}


def inside(way: str, folder: str) -> None:
    """Print what one way measured, and the most memory that it held, in bytes, as JSON."""
    result = WAYS[way](Path(folder))
    own, workers = (resource.getrusage(who).ru_maxrss * 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(json.dumps(result | {"memory": own + workers * (os.cpu_count() or 1)}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        inside(*sys.argv[2:])
    else:
        sys.exit(main())
