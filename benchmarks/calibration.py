"""Seconds that the int8 conversion of a pipeline takes with our representative images, against the converter on prepared arrays.

Ours are decoded, resized and normalized while the converter starts and runs; theirs are float arrays in memory before it starts. Both have
the same images, model and settings, in a process of their own; what is timed is `convert()`, of which calibration is the most part. The two
take turns, so that a change of the machine's load meets both.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from measure import load

from edgemill import PROJECT
from edgemill.commands import Request
from edgemill.engines import environments
from edgemill.engines.local import LocalEngine
from edgemill.engines.process import StopRequests
from edgemill.pipelines import Step
from edgemill.plan import make_plan
from edgemill.workspace import Artifact

STAGE = PROJECT / "stages" / "convert-tf2"
PREPARE = """
import json, pathlib, sys
import numpy as np
from _detection.resize import normalize
from representative import draw, write_images
records, graph, count, seed, room = pathlib.Path(sys.argv[1]), json.load(open(sys.argv[2])), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
size, drawn = graph["input_size"], draw(json.load(open(records / "records.json")), count, seed)
write_images(records, drawn, size, room + "/images")
pixels = np.fromfile(room + "/images", np.uint8).reshape(-1, 1, *size, 3)
np.save(room + "/arrays.npy", np.stack([normalize(each, graph["input"]["mean"], graph["input"]["std"]) for each in pixels]))
print(len(pixels))
"""
# The converter as its documentation uses it (https://ai.google.dev/edge/litert/models/post_training_integer_quant).
PLAIN = """
import sys, time
import numpy as np
import tensorflow as tf
arrays = np.load(sys.argv[2])
converter = tf.lite.TFLiteConverter.from_saved_model(sys.argv[1], signature_keys=["serving_default"])
converter.allow_custom_ops = True
converter.optimizations = [tf.lite.Optimize.DEFAULT]
converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
converter.inference_input_type = tf.uint8
converter.representative_dataset = lambda: ([each] for each in arrays)
start = time.perf_counter()
converter.convert()
print("seconds", time.perf_counter() - start)
"""


def main() -> None:
    """Print the median seconds of each, and their ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pipeline", default="demo-tf2")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    request = Request(options.pipeline)
    statuses = make_plan(request.load(), request.place(), LocalEngine())
    converts = [status.step for status in statuses.values() if status.step.contract.name == STAGE.name]
    step = next(each for each in converts if "records" in each.inputs)
    found = {name: statuses[feeders[0]].artifact for name, feeders in step.inputs.items()}
    inputs = {name: artifact for name, artifact in found.items() if artifact is not None}
    if len(inputs) < len(found):
        raise SystemExit(f"build the model first: ./mill export -p {options.pipeline}")
    folder = environments.make(step.image, print, StopRequests())
    params = {**step.params, "quantization": "int8", "input_type": "uint8", "representative_images": options.images}
    ours: list[float] = []
    theirs: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        room = Path(name)
        count = prepare(folder, step, inputs, params, room)
        for number in range(options.rounds):
            theirs.append(plain(folder, step, inputs, room))
            ours.append(stage(folder, step, inputs, params, room / str(number)))
            print(f"round {number + 1}: converter {theirs[-1]:.2f} s, ours {ours[-1]:.2f} s; {load()}", flush=True)
    ratio = statistics.median(ours) / statistics.median(theirs)
    rates = f"{count} images: ours {statistics.median(ours):.2f} s, the converter on prepared arrays {statistics.median(theirs):.2f} s"
    print(f"{rates}: ratio {ratio:.3f} (at most 1.0)")
    print(load())


def run(folder: Path, step: Step, *command: Any) -> str:
    """What a command prints in the stage's environment."""
    env = environments.stage_environment(folder, step.image) | {"PYTHONPATH": f"{PROJECT / 'stages'}:{STAGE}"}
    return subprocess.run([folder / "bin" / "python", *command], env=env, capture_output=True, text=True, check=True).stdout


def prepare(folder: Path, step: Step, inputs: dict[str, Artifact], params: dict[str, Any], room: Path) -> int:
    """Write the arrays that the plain loop has; the number of images, which may be fewer than asked for."""
    graph, images, seed = inputs["model"].path / "graph.json", str(params["representative_images"]), str(params["seed"])
    return int(run(folder, step, "-c", PREPARE, inputs["records"].path, graph, images, seed, room))


def plain(folder: Path, step: Step, inputs: dict[str, Artifact], room: Path) -> float:
    """Seconds of `convert()` on prepared arrays."""
    told = run(folder, step, "-c", PLAIN, inputs["model"].path / "saved_model", room / "arrays.npy")
    return float(told.rpartition("seconds ")[2])


def stage(folder: Path, step: Step, inputs: dict[str, Artifact], params: dict[str, Any], work: Path) -> float:
    """Seconds of `convert()` that our stage tells."""
    for part in ("output", "scratch"):
        (work / part).mkdir(parents=True)
    bound = {
        role: {"name": role, "kind": artifact.manifest["kind"], "path": str(artifact.path), "key": artifact.key, "digest": artifact.digest}
        for role, artifact in inputs.items()
    }
    task = {"schema": 1, "stage": STAGE.name, "name": STAGE.name, "params": params, "inputs": bound, "cpus": 2, "run": None}
    task |= {"output": str(work / "output"), "scratch": str(work / "scratch"), "result": str(work / "result.json")}
    (work / "task.json").write_text(json.dumps(task), encoding="utf-8")
    run(folder, step, STAGE / "run.py", work / "task.json")
    return float(json.loads((work / "result.json").read_text(encoding="utf-8"))["metrics"]["seconds"])


if __name__ == "__main__":
    main()
