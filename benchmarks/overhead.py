"""What the build system adds to a stage: one that draws six pictures, built by a pipeline and started by hand, with either engine."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import yaml
from measure import load

from edgemill.build import Build
from edgemill.console import Console
from edgemill.engines import container_images, environments, ownership
from edgemill.engines.choice import ENGINES
from edgemill.engines.process import StopRequests
from edgemill.pipelines import Step, load_pipeline
from edgemill.workspace import Workspace

STAGES = 10


def main() -> None:
    """Print seconds per stage both ways, and the difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=ENGINES, default="local")
    parser.add_argument("--stages", type=int, default=STAGES)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        stages = {f"shapes-{seed}": {"stage": "shapes", "params": {"train": 3, "val": 3, "seed": seed}} for seed in range(given.stages)}
        path = root / "many.yaml"
        path.write_text(yaml.safe_dump({"schema": 1, "stages": stages}), encoding="utf-8")
        pipeline = load_pipeline(path)
        step = pipeline.steps["shapes-0"]
        stops = StopRequests()
        engine = ENGINES[given.engine](stops)
        engine.prepare(step.image, print)
        with Path(os.devnull).open("w", encoding="utf-8") as quiet:
            begin = time.perf_counter()
            Build(pipeline, Workspace(root / "workspace"), engine, Console(quiet), stops).run()
            built = (time.perf_counter() - begin) / given.stages
        commands = list(_by_hand(root, step, given.engine, given.stages))
        begin = time.perf_counter()
        for command, env in commands:
            subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
        bare = (time.perf_counter() - begin) / given.stages
        how = "docker run" if given.engine == "docker" else "started by hand"
        print(f"a stage in a pipeline {built:.3f} s, {how} {bare:.3f} s: {built - bare:+.3f} s (limit 0.3 s), {built / bare:.2f} ×")
        print(load())


def _by_hand(root: Path, step: Step, engine: str, stages: int) -> Iterator[tuple[list[str], dict[str, str]]]:
    """The command and environment of each stage without the build system, its work folder ready."""
    source = step.contract.folder.parent
    for seed in range(stages):
        work = root / f"bare-{seed}"
        for part in ("output", "scratch"):
            (work / part).mkdir(parents=True)
        task = {"schema": 1, "stage": "shapes", "name": "shapes", "params": {**step.params, "seed": seed}, "inputs": {}, "cpus": 1}
        task |= {"run": None, "output": str(work / "output"), "scratch": str(work / "scratch"), "result": str(work / "result.json")}
        (work / "task.json").write_text(json.dumps(task), encoding="utf-8")
        program = [str(step.contract.program), str(work / "task.json")]
        if engine == "local":
            folder = environments.environment_path(step.image)
            env = environments.stage_environment(folder, step.image) | {"PYTHONPATH": str(source)}
            yield [str(folder / "bin" / "python"), *program], env
            continue
        built = container_images.recorded(step.image)
        if built is None:
            raise RuntimeError("the image was prepared, and is not recorded")
        uid, gid = ownership.unprivileged()
        for path in (work, *work.rglob("*")):
            os.chown(path, uid, gid)
        command = ["docker", "run", "--rm", f"--user={uid}:{gid}", "--network=none", f"--env=PYTHONPATH={source}"]
        command += [f"--volume={work}:{work}", f"--volume={source}:{source}:ro"]
        yield [*command, built.id, "python", *program], dict(os.environ)


if __name__ == "__main__":
    sys.exit(main())
