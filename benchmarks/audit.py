"""The ingest stage's check of images (read, hash, decode, judge, hash the picture, copy) against decoding the same files and nothing else.

Both run over the stage's own pool of processes, on all cores, in the data image's environment, and take turns. Data: BCCD and the playing
cards of the shared data, repeated; or the folders that are named.
"""

from __future__ import annotations

import argparse
import importlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measure import load

PROJECT = Path(__file__).resolve().parents[1]
SHARED = ("bccd/BCCD/JPEGImages", "playing_cards/images/train")
ENOUGH = 3000  # images a round, at least
ROUNDS = 5


def main() -> int:
    """Run this program again in the environment of the data image. Returns its exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path, help="folders of JPEG files")
    parser.add_argument("--room", type=Path, default=PROJECT / "workspace", help="where the copies go; /dev/shm leaves the disk out")
    given = parser.parse_args()
    # Only here, for in the data image's environment there is no edgemill.
    environments = importlib.import_module("edgemill.engines.environments")
    image = importlib.import_module("edgemill.images").load_images()["data"]
    stops = importlib.import_module("edgemill.engines.process").StopRequests()
    shared = Path(os.environ.get("EDGEMILL_SHARED") or PROJECT.parent / "shared") / "data" / "datasets"
    folder = environments.make(image, print, stops)
    sources = os.pathsep.join([str(PROJECT / "stages"), str(PROJECT / "stages/ingest")])
    env = environments.stage_environment(folder, image) | {"PYTHONPATH": sources, "PYTHONDONTWRITEBYTECODE": "1"}
    folders = given.folders or [shared / name for name in SHARED]
    given.room.mkdir(exist_ok=True)
    return subprocess.run([folder / "bin" / "python", __file__, "--inside", given.room, *folders], env=env, check=False).returncode


def decode(job: tuple[str, str]) -> None:
    """The limit: Pillow's full decode of a file."""
    with importlib.import_module("PIL.Image").open(job[0]) as image:
        image.load()


def decode_and_copy(job: tuple[str, str]) -> None:
    """The limit with what the disk takes: decode the file, and write its bytes to a new one."""
    decode(job)
    Path(job[1], Path(job[0]).name).write_bytes(Path(job[0]).read_bytes())


def compare(folder: Path, room: Path) -> None:
    """Print the speed of all three over a folder's files, and the ratios. room: where the copies go."""
    check: Callable[[Any], Any] = importlib.import_module("image_files").check_image
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg"))
    repeats = -(-ENOUGH // len(paths))
    cores = os.cpu_count() or 1
    work = {"decode": decode, "decode and copy": decode_and_copy, "check": check}
    wall: dict[str, float] = dict.fromkeys(work, float("inf"))
    cpu = dict(wall)
    for _ in range(ROUNDS):
        for what, function in work.items():
            with tempfile.TemporaryDirectory(dir=room) as name:
                # A folder for each repetition: else all but the first would find their copies made.
                jobs = [(str(path), str(Path(name) / str(number))) for number in range(repeats) for path in paths]
                for number in range(repeats):
                    (Path(name) / str(number)).mkdir()
                spent = seconds(function, jobs, cores)
            wall[what], cpu[what] = min(wall[what], spent[0]), min(cpu[what], spent[1])
    megabytes = repeats * sum(path.stat().st_size for path in paths) / 1e6
    print(f"{folder}: {len(paths)} files, {repeats} times, on {cores} processes; copies to {room}; best of {ROUNDS}; {load()}")
    for what in work:
        rates = (
            f"{len(jobs) / wall[what]:6.0f} images/s  {megabytes / wall[what]:6.1f} MB/s  {1e3 * cpu[what] / len(jobs):6.3f} ms CPU/image"
        )
        ratios = f"{wall['decode'] / wall[what]:.2f} of the decode's speed, {cpu[what] / cpu['decode']:.2f} × its CPU"
        print(f"  {what:<15}  {rates}  {ratios}")


def seconds(function: Callable[[Any], Any], jobs: list[tuple[str, str]], cores: int) -> tuple[float, float]:
    """Wall and CPU seconds of doing all jobs, the workers' among them."""
    ordered_map = importlib.import_module("_detection.workers").ordered_map
    begin = time.perf_counter()
    used = cpu_seconds()
    for _ in ordered_map(function, jobs, cores):
        pass
    return time.perf_counter() - begin, cpu_seconds() - used


def cpu_seconds() -> float:
    """CPU seconds of this process and of its children that ended."""
    return sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        for argument in sys.argv[3:]:
            compare(Path(argument), Path(sys.argv[2]))
    else:
        sys.exit(main())
