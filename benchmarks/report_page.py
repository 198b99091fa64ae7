"""Bytes and first paint of a report of 1,000 evaluated images by 4 models, and the time to make it.

The images are drawn: 640 × 480 pixels, noisy like photographs, seven objects of 20 classes in each. The page is opened from disk in
Chromium, each time in a profile of its own; what counts is the browser's first-contentful-paint, from the begin of the navigation. Needs
Chromium and 200 MB of disk.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CLASSES = [f"class {number}" for number in range(1, 21)]
CHAIN = [
    ("infer-float", "float-checkpoint", "tensorflow", 0.8),
    ("infer-checkpoint", "checkpoint", "tensorflow", 0.77),
    ("infer-frozen", "frozen-graph", "tensorflow", 0.77),
    ("infer-tflite", "tflite", "ai-edge-litert", 0.75),
]
SIZE = (640, 480)
# Without a frame that somebody waits for, a browser without a window may not paint.
PAINTED = """async () => {
  const painted = () => performance.getEntriesByName("first-contentful-paint")[0];
  while (!painted()) await new Promise(requestAnimationFrame);
  return painted().startTime;
}"""
MOST_BYTES, MOST_SECONDS = 5_000_000, 1.0


def main() -> None:
    """Run this program once more with the Python that has Chromium's driver."""
    from edgemill.engines import environments
    from edgemill.engines.process import StopRequests
    from edgemill.images import load_images

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    folder = environments.make(load_images()["report-test"], print, StopRequests())
    command = [str(folder / "bin" / "python"), __file__, "inside", str(given.images), str(given.rounds)]
    sys.exit(subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT / "stages")}, check=False).returncode)


def inside(images: int, rounds: int) -> None:
    """Print bytes, seconds to make the page, and its first paint."""
    sys.path[:0] = [str(ROOT / "tests" / "stages"), str(ROOT / "tests" / "stages" / "report")]
    from measure import load
    from run_files import task_run
    from stage_helpers import run_program

    with tempfile.TemporaryDirectory() as name:
        room = Path(name)
        entries = artifacts(room / "run", images)
        print(f"{images} images, {len(CHAIN)} models, {len(CLASSES)} classes; {load()}", flush=True)
        begin = time.perf_counter()
        params = {"pictures": 96, "picture_bytes": 2_000_000}  # the stage's own
        outcome = run_program(room / "work", "report", params, {"artifacts": entries}, run=task_run())
        if outcome.code:
            sys.exit(outcome.log)
        print(f"made in {time.perf_counter() - begin:.1f} s, {outcome.result['metrics']['pictures']} pictures")
        page = outcome.output / "report.html"
        size, paints = page.stat().st_size, [first_paint(page) for _ in range(rounds)]
        print(f"{size:,} bytes; at most {MOST_BYTES:,}")
        spread = f"{min(paints):.3f} to {max(paints):.3f} s"
        print(f"first paint: {statistics.median(paints):.3f} s (median), {spread}; at most {MOST_SECONDS:.0f} s")
        print(load())


def artifacts(root: Path, count: int) -> list[dict[str, str]]:
    """Write a whole run's artifacts; returns the task's entries."""
    import random

    from run_files import STAGES, dataset, detections, evaluation, image, manifest, models, obj, training, write

    rng, made = random.Random(1), []  # noqa: S311  places of objects
    (root / "ingest" / "images").mkdir(parents=True)
    for number in range(1, count + 1):
        objects = []
        for _ in range(7):
            x, y, side = rng.uniform(0, 500), rng.uniform(0, 350), rng.uniform(20, 130)
            objects.append(obj(rng.choice(CLASSES), x, y, x + side, y + side))
        entry = {**image(number, objects, width=SIZE[0], height=SIZE[1]), "file": f"images/{number}.jpg"}
        draw(root / "ingest" / entry["file"], objects)
        made.append(entry)
    dataset(root / "ingest", made, CLASSES)
    write(root / "records" / "records.json", {"schema": 1})
    write(root / "package" / "labels.txt", "\n".join(CLASSES))
    training(root)
    models(root, CLASSES)
    for name, kind, runtime, _ in CHAIN:
        detections(root / name, kind, runtime, CLASSES, count)
    evaluation(root / "evaluate", made, CLASSES, CHAIN)
    return [manifest(root / name, name) for name in STAGES if (root / name).is_dir()]


def draw(path: Path, objects: list[dict[str, list[float]]]) -> None:
    """A picture with the grain and the shades of a photograph."""
    from PIL import Image, ImageDraw

    shades = Image.effect_noise((16, 12), 110).resize(SIZE, Image.Resampling.BICUBIC)
    picture = Image.merge("RGB", [Image.blend(shades, Image.effect_noise(SIZE, 60), 0.25 + 0.1 * band) for band in range(3)])
    pen = ImageDraw.Draw(picture)
    for number, each in enumerate(objects):
        (pen.ellipse if number % 2 else pen.rectangle)(each["bbox"], fill=(40 + 25 * number, 200 - 20 * number, 90))
    picture.save(path, quality=88)


def first_paint(page: Path) -> float:
    """Seconds from the navigation's begin to the first paint of content."""
    from browser import launched

    with launched() as browser:
        opened = browser.new_page()
        opened.goto(page.as_uri())
        found: float = opened.evaluate(PAINTED)
    return found / 1000


if __name__ == "__main__":
    if sys.argv[1:2] == ["inside"]:
        inside(int(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
