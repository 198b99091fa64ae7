"""Checkpoints that can be trusted after a kill: each is sealed with the sha256 of its files and what training knew at that step.

TensorFlow's own `checkpoint` file is written but never read: it names the newest checkpoint, whatever its state. Here a checkpoint counts
only if its seal does and all its files have the content that the seal says; otherwise the one before it is tried.
"""

import json
import re
import shutil
from typing import Any, NamedTuple

from _runtime import sha256_file, write_json

_INDEX_OR_SEAL = re.compile(r"^model\.ckpt-(\d+)\.(?:index|seal\.json|data-\d+-of-\d+)$")


class Rejected(NamedTuple):
    """A checkpoint that cannot be used, and why."""

    step: int
    reason: str


class Sealed(NamedTuple):
    """A checkpoint that can be used. prefix: absolute path of its files without extension; state: as it was given to `seal`."""

    step: int
    prefix: str
    state: Any


class CheckpointFolder:
    """The checkpoints of one training, in the folder `path`."""

    def __init__(self, path):
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        # TensorFlow 2 writes into such a folder first; one that is there now was left by a kill.
        for left in path.glob("model.ckpt-*_temp"):
            shutil.rmtree(str(left))

    def prefix(self, step):
        """Path of the checkpoint of `step` without extension, as TensorFlow wants it."""
        return str(self.path / ("model.ckpt-%d" % step))

    def files(self, step):
        """Names of the checkpoint's files, its seal left out."""
        stem = "model.ckpt-%d." % step
        return sorted(
            entry.name
            for entry in self.path.iterdir()
            if entry.name == stem + "index" or (entry.name.startswith(stem + "data-") and ".tempstate" not in entry.name)
        )

    def seal(self, step, state):
        """Vouch for the files of `step` as they are now; `state` (JSON) is given back by `newest`. Sealing again replaces the state."""
        files = {name: {"sha256": sha256_file(self.path / name), "bytes": (self.path / name).stat().st_size} for name in self.files(step)}
        write_json(self._seal(step), {"schema": 1, "step": step, "files": files, "state": state})

    def newest(self):
        """(the newest `Sealed` checkpoint that is whole, or None; the newer ones that are not, as a list of `Rejected`)."""
        rejected = []
        for step in self.steps():
            state, reason = self._verify(step)
            if reason is None:
                return Sealed(step, self.prefix(step), state), rejected
            rejected.append(Rejected(step, reason))
        return None, rejected

    def steps(self):
        """Steps of which there is any file, newest first."""
        found = {int(match.group(1)) for match in (_INDEX_OR_SEAL.match(entry.name) for entry in self.path.iterdir()) if match}
        return sorted(found, reverse=True)

    def whole(self, step):
        """Whether the checkpoint of `step` is there and as it was sealed."""
        return self._verify(step)[1] is None

    def remove(self, step):
        """Remove the checkpoint of `step`: its seal first, so that a kill in between leaves nothing that looks whole."""
        stem = "model.ckpt-%d." % step
        names = sorted(
            (entry.name for entry in self.path.iterdir() if entry.name.startswith(stem)), key=lambda name: not name.endswith("seal.json")
        )
        for name in names:
            (self.path / name).unlink()

    def prune(self, keep, also):
        """Keep the newest `keep` checkpoints and those of the steps `also`."""
        for step in self.steps()[keep:]:
            if step not in also:
                self.remove(step)

    def _seal(self, step):
        return self.path / ("model.ckpt-%d.seal.json" % step)

    def _verify(self, step):
        """(state, None), or (None, reason) where the checkpoint cannot be used."""
        try:
            seal = json.loads(self._seal(step).read_text(encoding="utf-8"))
            files, state = dict(seal["files"]), seal["state"]
        except FileNotFoundError:
            return None, "it was not finished"
        except (ValueError, KeyError, TypeError):
            return None, "its seal is damaged"
        if not any(name.endswith(".index") for name in files) or len(files) < 2:
            return None, "its seal is damaged"
        reasons = [reason for reason in (_damage(self.path / name, listed) for name, listed in sorted(files.items())) if reason]
        return (None, reasons[0]) if reasons else (state, None)


def resume_point(task, folder):
    """The newest whole checkpoint of an earlier attempt, or None; says which damaged ones it passed over, and removes them."""
    sealed, rejected = folder.newest()
    for step, reason in rejected:
        task.warn("the checkpoint of step %d cannot be used: %s" % (step, reason))
        folder.remove(step)
    if sealed is not None:
        task.say("resuming from step %d" % sealed.step)
    elif rejected:
        task.warn("no earlier checkpoint can be used: training starts from the beginning")
    return sealed


def _damage(path, listed):
    """What is wrong with a file of which the seal says `listed`, or None."""
    if not path.is_file():
        return f"{path.name} is missing"
    if path.stat().st_size != listed["bytes"]:
        return "%s has %d bytes instead of %d" % (path.name, path.stat().st_size, listed["bytes"])
    return f"{path.name} has changed since it was written" if sha256_file(path) != listed["sha256"] else None
