"""What the tests of the stages infer-frozen and infer-checkpoint share: their parameters, what they leave, and a run that is killed."""

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
from _detection.detection_records import read_index, stream_detections

from stage_helpers import STAGES, Outcome, write_task

SHARED = {"split": "val", "shards": 0, "discard_image_pixels": True, "layers": 0}
POSTPROCESS = {"max_detections": 20, "max_classes_per_detection": 1, "detections_per_class": 20, "regular_nms": False}


def found_in(done):
    """The `Found` of each image of a run, in order."""
    assert done.error is None, done.error
    return list(stream_detections(done.output, read_index(done.output)))


def files_of(done, *names):
    """{name: bytes} of the shards that a run wrote, and of the files `names`."""
    assert done.code == 0, done.log
    paths = [*done.output.glob("*.detections-*"), *[done.output / name for name in names]]
    return {path.name: path.read_bytes() for path in paths}


def assert_same(found, expected, places=0):
    """Whether `Detections` are others, to so many places behind the point; 0 means bit for bit."""
    assert found.classes.tolist() == expected.classes.tolist()
    for name in ("boxes", "scores"):
        left, right = getattr(found, name), getattr(expected, name)
        assert np.array_equal(left, right) if not places else np.allclose(left, right, rtol=0, atol=10.0**-places), name


def kill_in_the_middle(folder, stage, params, inputs, shard, waiting):
    """Start a stage in `folder`, kill it with SIGKILL when it waits for the file `shard` of its records, and give it that file.

    waiting: how many shards of detections are whole by then. Returns {name: inode} of these.
    """
    whole = shard.with_name(shard.name + ".whole")
    shard.rename(whole)
    os.mkfifo(str(shard))  # nobody writes: whoever opens it waits
    write_task(folder, stage, params, inputs, cpus=2)
    with open(str(folder / "log"), "wb") as log:
        process = subprocess.Popen(_command(folder, stage), stdout=log, stderr=subprocess.STDOUT, **_surroundings(folder))
        try:
            deadline = time.monotonic() + 120
            while len(list((folder / "scratch").glob("shards/*.json"))) < waiting:
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.02)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(60)
    shard.unlink()
    whole.rename(shard)
    return inodes(folder / "scratch" / "shards")


def inodes(folder):
    """{name: inode} of the whole shards of detections in a folder."""
    return {path.name: path.stat().st_ino for path in folder.glob("*.detections-?????-of-?????")}


def resume(folder, stage):
    """Run the stage again in the folder where an earlier attempt was killed, with its scratch folder; the `Outcome`."""
    shutil.rmtree(str(folder / "output"))
    (folder / "output").mkdir()
    done = subprocess.run(
        _command(folder, stage), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, check=False, **_surroundings(folder)
    )
    return Outcome(folder, done.returncode, done.stdout.decode("utf-8", "replace"))


def _command(folder, stage):
    return [sys.executable, str(STAGES / stage / "run.py"), str(folder / "task.json")]


def _surroundings(folder):
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "LANG": "C.UTF-8", "PYTHONPATH": str(STAGES), "MPLBACKEND": "Agg"}
    return {"cwd": str(folder / "scratch"), "env": dict(environment, PYTHONDONTWRITEBYTECODE="1")}
