"""What every stage program needs: its task, progress lines, a result, and files written whole.

Python 3.7 and the standard library only, because it runs in every image. A stage program is::

    from _runtime import StageError, run

    def main(task):
        dataset = task.input("dataset")
        ...

    if __name__ == "__main__":
        run(main)
"""

import errno
import hashlib
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from contextlib import contextmanager
from pathlib import Path

SCHEMA = 1


class StageError(Exception):
    """A failure that the user can act on.

    what: one sentence; where: file and line, record or layer; expected, found: values; remedy: what to do next.
    """

    def __init__(self, what, where=None, expected=None, found=None, remedy=None):
        super().__init__(what)
        self.what = what
        self.where = None if where is None else str(where)
        self.expected = None if expected is None else str(expected)
        self.found = None if found is None else str(found)
        self.remedy = remedy

    def as_dict(self):
        return {name: getattr(self, name) for name in ("what", "where", "expected", "found", "remedy")}


class Interrupted(BaseException):
    """The engine asked the stage to stop (SIGTERM or SIGINT)."""


class Input:
    """One input artifact: `path` (a read-only folder), and what the host says of it."""

    def __init__(self, fields):
        self.name = fields["name"]
        self.kind = fields["kind"]
        self.path = Path(fields["path"])
        self.key = fields["key"]
        self.digest = fields["digest"]

    def json(self, name):
        """Parse the JSON file `name` of this artifact."""
        return json.loads((self.path / name).read_text(encoding="utf-8"))

    def manifest(self):
        """The artifact's manifest (see docs/architecture.md)."""
        return self.json("manifest.json")


class Task:
    """The job: parameters, inputs and where to write. Made from `task.json`."""

    def __init__(self, fields):
        if fields.get("schema") != SCHEMA:
            raise StageError("task.json has another schema", expected=SCHEMA, found=fields.get("schema"))
        self.stage = fields["stage"]
        self.name = fields["name"]
        self.params = fields["params"]
        self.output = Path(fields["output"])
        self.scratch = Path(fields["scratch"])
        self.cpus = fields["cpus"]
        self.run = fields["run"]
        self.metrics = {}
        self.tools = {}
        self.warnings = []
        self._result = Path(fields["result"])
        self._inputs = fields["inputs"]
        self._last_progress = None

    def input(self, name):
        """The input `name`, or None where an optional one is absent."""
        fields = self._inputs[name]
        return None if fields is None else Input(fields)

    def inputs(self, name):
        """The inputs bound to a `many` input, in the pipeline's order; empty where there are none."""
        return [Input(fields) for fields in self._inputs[name] or []]

    def progress(self, done, total, unit, force=False, **values):
        """Report `done` of `total` units; at most four lines a second, but always the last."""
        now = time.monotonic()
        if not force and done < total and self._last_progress is not None and now - self._last_progress < 0.25:
            return
        self._last_progress = now
        _emit({"edgemill": "progress", "done": done, "total": total, "unit": unit, "values": values})

    def say(self, text):
        """Tell the user something worth a line."""
        _emit({"edgemill": "message", "level": "info", "text": text})

    def warn(self, text):
        """Tell the user of something doubtful; it is kept in the manifest and shown in the report."""
        self.warnings.append(text)
        _emit({"edgemill": "message", "level": "warning", "text": text})

    def finish(self, error=None):
        """Write result.json: `error` is None or the fields of a `StageError`."""
        write_json(
            self._result, {"schema": SCHEMA, "error": error, "metrics": self.metrics, "tools": self.tools, "warnings": self.warnings}
        )


def _emit(event):
    # One write of less than PIPE_BUF bytes: lines of several processes do not mix.
    sys.stdout.flush()
    os.write(sys.stdout.fileno(), (json.dumps(event) + "\n").encode("utf-8"))


def run(main):
    """Run `main(task)` on the task.json named on the command line; exit 0, 1 (failed) or 128 + signal (stopped)."""
    task = Task(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))

    def stop(signum, _frame):
        raise Interrupted(signum)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        main(task)
    except StageError as error:
        task.finish(error.as_dict())
        sys.stdout.flush()
        print("error: %s" % error.what, file=sys.stderr)
        sys.exit(1)
    except Interrupted as signal_received:
        sys.exit(128 + signal_received.args[0])
    except Exception as error:  # noqa: BLE001  the boundary: anything else is a defect, reported with its traceback in the log
        traceback.print_exc()
        task.finish(_disk_full(error) or _defect(error))
        sys.exit(1)
    task.finish()


def _disk_full(error):
    """The fields of the failure where the disk is full or a quota is used up, else None."""
    if not isinstance(error, OSError) or error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return None
    remedy = "free space (./mill gc removes what no pipeline uses)"
    return StageError(error.strerror, error.filename or _innermost(error), "room for what the stage writes", None, remedy).as_dict()


def _defect(error):
    what = "%s: %s" % (type(error).__name__, error)
    return StageError(what, _innermost(error), remedy="this looks like a defect in the stage: read its log").as_dict()


def _innermost(error):
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return "%s:%d" % (frame.filename, frame.lineno)


@contextmanager
def atomic_write(path, mode="wb"):
    """A file that appears at `path` whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=str(path.parent), prefix=".%s." % path.name)
    try:
        with os.fdopen(handle, mode, **({} if "b" in mode else {"encoding": "utf-8", "newline": "\n"})) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, 0o644)
        os.replace(name, str(path))
    except BaseException:
        os.unlink(name)
        raise


def write_json(path, value):
    """Write `value` as JSON: sorted keys, so that the same value gives the same bytes; NaN is refused."""
    with atomic_write(path, "w") as stream:
        json.dump(value, stream, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        stream.write("\n")


def write_text(path, text):
    """Write `text` in UTF-8 with Unix line ends."""
    with atomic_write(path, "w") as stream:
        stream.write(text)


def sha256_file(path):
    """Hex sha256 of a file's bytes."""
    digest = hashlib.sha256()
    with open(str(path), "rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
