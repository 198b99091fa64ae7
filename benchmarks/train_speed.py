"""Steps/s of a pipeline's training stage against the Object Detection API's own loop, in the same environment, records and config.

That loop is model_main (TensorFlow 1, stage train) or model_lib_v2.train_loop as model_main_tf2 calls it (TensorFlow 2, stage train-tf2).
The two take turns, so that a change of the machine's load meets both.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from measure import load

from edgemill.commands import Request
from edgemill.engines import environments
from edgemill.engines.local import LocalEngine
from edgemill.engines.process import StopRequests
from edgemill.pipelines import Step
from edgemill.plan import make_plan
from edgemill.workspace import Artifact

STEADY_AFTER = 100  # steps that build the graph and warm up
# model_main logs at a level that it does not show by itself.
LOUD = (
    "import runpy, tensorflow as tf; tf.logging.set_verbosity(tf.logging.INFO); "
    "runpy.run_module('object_detection.model_main', run_name='__main__', alter_sys=True)"
)
# What model_main_tf2 does on one machine; it logs its speed with three digits only, but writes it in full for TensorBoard.
TRAIN_LOOP = """
import glob, sys
import tensorflow as tf
from object_detection import model_lib_v2
config, folder, steps = sys.argv[1], sys.argv[2], int(sys.argv[3])
with tf.distribute.MirroredStrategy().scope():
    model_lib_v2.train_loop(pipeline_config_path=config, model_dir=folder, train_steps=steps, checkpoint_every_n=steps)
for path in glob.glob(folder + "/train/*"):
    for event in tf.compat.v1.train.summary_iterator(path):
        for value in event.summary.value:
            if value.tag == "steps_per_sec":
                print("steps/s", event.step, float(tf.make_ndarray(value.tensor)))
"""


def main() -> None:
    """Print the median steps/s of each, and their ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pipeline", default="demo")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    request = Request(options.pipeline)
    pipeline = request.load()
    statuses = make_plan(pipeline, request.place(), LocalEngine())
    train = next(status.step for status in statuses.values() if status.step.contract.name in LOOPS)
    loop = LOOPS[train.contract.name]
    inputs = {name: statuses[feeders[0]].artifact for name, feeders in train.inputs.items()}
    if None in inputs.values():
        raise SystemExit(f"build the data first: ./mill data -p {options.pipeline}, ./mill train -p {options.pipeline}")
    folder = environments.make(train.image, print, StopRequests())
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(options.rounds):
        with tempfile.TemporaryDirectory() as name:
            theirs += loop(train, folder, inputs, Path(name), options.steps)
            ours += stage(train, folder, inputs, Path(name), options.steps)
        print(
            f"round {number + 1}: {loop.__name__} {statistics.median(theirs):.2f}, ours {statistics.median(ours):.2f} steps/s; {load()}",
            flush=True,
        )
    ratio = statistics.median(ours) / statistics.median(theirs)
    rates = f"{train.contract.name} {statistics.median(ours):.3f} steps/s, {loop.__name__} {statistics.median(theirs):.3f} steps/s"
    print(f"{rates}: ratio {ratio:.3f} (at least 0.98)")
    print(load())


def resolved_config(inputs: dict[str, Any], steps: int) -> str:
    """The pipeline.config with paths that the API's program can open, and another number of steps."""
    records = inputs["records"].path
    text = (inputs["config"].path / "pipeline.config").read_text(encoding="utf-8")
    text = re.sub(r'(input_path|label_map_path): "(?!/)', rf'\1: "{records}/', text)
    return re.sub(r"num_steps: \d+", f"num_steps: {steps}", re.sub(r"(delay): \d+", rf"\1: {steps // 3}", text))


def model_main(train: Step, folder: Path, inputs: dict[str, Any], room: Path, steps: int) -> list[float]:
    """Steps/s that the API's own program logs, once it runs steadily (it logs every 100 steps)."""
    config = room / "pipeline.config"
    config.write_text(resolved_config(inputs, steps), encoding="utf-8")
    command = [folder / "bin" / "python", "-c", LOUD, f"--pipeline_config_path={config}", f"--model_dir={room / 'model'}"]
    command += [f"--num_train_steps={steps}"]
    env = environments.stage_environment(folder, train.image) | {"HOME": str(room)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    # The Estimator logs its speed every 100 steps; the first of these builds the graph and warms up.
    rates = [float(rate) for rate in re.findall(r"global_step/sec: ([0-9.]+)", done.stderr + done.stdout)][1:]
    if not rates:
        raise SystemExit(
            f"model_main logged no speed after its first {STEADY_AFTER} steps: ask for more with --steps\n" + done.stderr[-2000:]
        )
    return rates


def train_loop(train: Step, folder: Path, inputs: dict[str, Any], room: Path, steps: int) -> list[float]:
    """Steps/s that the API's loop of TensorFlow 2 tells of each 100 steps, once it runs steadily."""
    config = room / "pipeline.config"
    config.write_text(resolved_config(inputs, steps), encoding="utf-8")
    env = environments.stage_environment(folder, train.image) | {"HOME": str(room)}
    command = [folder / "bin" / "python", "-c", TRAIN_LOOP, config, room / "model", str(steps)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    told = re.findall(r"^steps/s (\d+) ([0-9.e+-]+)$", done.stdout, re.MULTILINE)
    rates = [float(rate) for step, rate in told if int(step) > STEADY_AFTER]
    if not rates:
        raise SystemExit(
            f"train_loop told no speed after its first {STEADY_AFTER} steps: ask for more with --steps\n" + done.stderr[-2000:]
        )
    return rates


LOOPS = {"train": model_main, "train-tf2": train_loop}


def stage(train: Step, folder: Path, inputs: dict[str, Artifact], room: Path, steps: int) -> list[float]:
    """Steps/s that our stage records in its history, once it runs steadily."""
    work = room / "stage"
    for part in ("output", "scratch", "config"):
        (work / part).mkdir(parents=True)
    config = inputs["config"].path
    for name in ("config.json", "pipeline.config"):
        text = (config / name).read_text(encoding="utf-8")
        if name == "config.json":
            told = json.loads(text)
            delay = None if told["quantization_delay"] is None else steps // 3
            text = json.dumps({**told, "num_steps": steps, "quantization_delay": delay})
        else:
            text = re.sub(r"num_steps: \d+", f"num_steps: {steps}", re.sub(r"(delay): \d+", rf"\1: {steps // 3}", text))
        (work / "config" / name).write_text(text, encoding="utf-8")
    bound = {
        role: {"name": role, "kind": artifact.manifest["kind"], "path": str(artifact.path), "key": artifact.key, "digest": artifact.digest}
        for role, artifact in inputs.items()
    }
    bound["config"]["path"] = str(work / "config")
    params = {**train.params, "evaluate_every": 0, "export": "last", "deterministic": False}
    name = train.contract.name
    task = {"schema": 1, "stage": name, "name": name, "params": params, "inputs": bound, "cpus": 2, "run": None}
    task |= {"output": str(work / "output"), "scratch": str(work / "scratch"), "result": str(work / "result.json")}
    (work / "task.json").write_text(json.dumps(task), encoding="utf-8")
    env = environments.stage_environment(folder, train.image) | {"PYTHONPATH": str(train.contract.folder.parent), "HOME": str(room)}
    command = [folder / "bin" / "python", train.contract.program, work / "task.json"]
    subprocess.run(command, env=env, check=True, capture_output=True)
    history = json.loads((work / "output" / "history.json").read_text(encoding="utf-8"))
    return [entry["steps_per_s"] for entry in history["steps"] if entry["step"] > STEADY_AFTER and entry.get("steps_per_s")]


if __name__ == "__main__":
    main()
