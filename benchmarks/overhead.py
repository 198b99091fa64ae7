"""What the build system adds to a stage: one that draws six pictures, built by a pipeline and started by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from measure import load

from edgemill.build import Build
from edgemill.console import Console
from edgemill.engines import environments
from edgemill.engines.local import LocalEngine
from edgemill.engines.process import StopRequests
from edgemill.pipelines import load_pipeline
from edgemill.workspace import Workspace

STAGES = 10


def main() -> None:
    """Print seconds per stage both ways, and the difference."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        stages = {f"shapes-{seed}": {"stage": "shapes", "params": {"train": 3, "val": 3, "seed": seed}} for seed in range(STAGES)}
        path = root / "many.yaml"
        path.write_text(yaml.safe_dump({"schema": 1, "stages": stages}), encoding="utf-8")
        pipeline = load_pipeline(path)
        step = pipeline.steps["shapes-0"]
        stops = StopRequests()
        folder = environments.make(step.image, print, stops)
        with Path(os.devnull).open("w", encoding="utf-8") as quiet:
            begin = time.perf_counter()
            Build(pipeline, Workspace(root / "workspace"), LocalEngine(stops), Console(quiet), stops).run()
            built = (time.perf_counter() - begin) / STAGES
        env = environments.stage_environment(folder, step.image) | {"PYTHONPATH": str(step.contract.folder.parent)}
        begin = time.perf_counter()
        for seed in range(STAGES):
            work = root / f"bare-{seed}"
            for part in ("output", "scratch"):
                (work / part).mkdir(parents=True)
            task = {
                "schema": 1,
                "stage": "shapes",
                "name": "shapes",
                "params": {**step.params, "seed": seed},
                "inputs": {},
                "cpus": 1,
                "run": None,
            }
            task |= {"output": str(work / "output"), "scratch": str(work / "scratch"), "result": str(work / "result.json")}
            (work / "task.json").write_text(json.dumps(task), encoding="utf-8")
            subprocess.run(
                [folder / "bin" / "python", step.contract.program, work / "task.json"], env=env, check=True, stdout=subprocess.DEVNULL
            )
        bare = (time.perf_counter() - begin) / STAGES
        print(
            f"a stage in a pipeline {built:.3f} s, started by hand {bare:.3f} s: {built - bare:+.3f} s (limit 0.3 s), {built / bare:.2f} ×"
        )
        print(load())


if __name__ == "__main__":
    sys.exit(main())
