"""A small project with stages of its own, built in this process, in a forked child, or by the real command line.

Its stages note each time that they run in `tally`, so that a test can count what was really done.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import yaml

from edgemill import PROJECT
from edgemill.build import Build
from edgemill.console import Console
from edgemill.engines.local import LocalEngine
from edgemill.engines.process import StopRequests
from edgemill.images import load_images
from edgemill.pipelines import Pipeline, load_pipeline
from edgemill.plan import StepStatus
from edgemill.workspace import Workspace

TEMPLATE = Path(__file__).parent / "project"
VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"
# The command line of the product, in another project.
PROGRAM = "import sys, pathlib, edgemill; edgemill.PROJECT = pathlib.Path(sys.argv.pop(1)); from edgemill.cli import main; main()"


class Mini:
    """A project in a folder of its own; its workspace is `root/workspace`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copytree(TEMPLATE, root, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(PROJECT / "stages" / "_runtime", root / "stages" / "_runtime", ignore=shutil.ignore_patterns("__pycache__"))
        images = root / "docker" / "images.yaml"
        images.write_text(images.read_text().replace("PYTHON", VERSION))
        (root / "patches").mkdir()
        self.stages = root / "stages"
        self.words = root / "data" / "words.txt"
        self.workspace = Workspace(root / "workspace")

    def pipeline(self, name: str = "chain", *settings: str) -> Pipeline:
        images = load_images(self.root / "docker" / "images.yaml", self.root / "patches")
        return load_pipeline(self.root / "pipelines" / f"{name}.yaml", settings, self.stages, images)

    def write_pipeline(self, text: str, name: str = "own") -> Path:
        path = self.root / "pipelines" / f"{name}.yaml"
        path.write_text(text)
        return path

    def add_stages(
        self, kinds: Mapping[str, object], stages: Mapping[str, tuple[object, object, str]], programs: Mapping[str, str]
    ) -> None:
        """Add artifact kinds, and stages on the host's Python: {name: (inputs, params, kind of the output)}, and the program of each."""
        declared = yaml.safe_load((self.stages / "kinds.yaml").read_text())
        declared["kinds"].update(kinds)
        (self.stages / "kinds.yaml").write_text(yaml.safe_dump(declared))
        for name, (inputs, params, kind) in stages.items():
            (self.stages / name).mkdir()
            contract = {"schema": 1, "help": "A stage.", "image": "host", "inputs": inputs, "output": {"kind": kind}, "params": params}
            (self.stages / name / "stage.yaml").write_text(yaml.safe_dump(contract))
            (self.stages / name / "run.py").write_text(programs[name])

    def job(self, name: str = "chain", *settings: str, verify: bool = False, engine: object = None, stream: object = None) -> Build:
        stops = StopRequests()
        console = Console(stream or io.StringIO())
        return Build(self.pipeline(name, *settings), self.workspace, engine or LocalEngine(stops), console, stops, verify)

    def build(self, name: str = "chain", *settings: str, **options: object) -> dict[str, StepStatus]:
        return self.job(name, *settings, **options).run()

    def said(self, name: str = "chain", *settings: str, **options: object) -> str:
        """Build, and return what the user saw."""
        stream = io.StringIO()
        self.build(name, *settings, stream=stream, **options)
        return stream.getvalue()

    @property
    def tally(self) -> Counter[str]:
        """How often each step's program has run so far."""
        with contextlib.suppress(FileNotFoundError):
            return Counter((self.root / "tally").read_text().split())
        return Counter()

    def ran(self, name: str = "chain", *settings: str, **options: object) -> list[str]:
        """Build, and name the steps whose programs ran."""
        before = self.tally
        self.build(name, *settings, **options)
        return sorted((self.tally - before).elements())

    def mill(self, *arguments: str, env: dict[str, str] | None = None, timeout: float = 180) -> subprocess.CompletedProcess[str]:
        """Run the command line to its end."""
        return subprocess.run(
            self.command(*arguments), env=self.environ(env), cwd=self.root, capture_output=True, text=True, timeout=timeout, check=False
        )

    def start(self, *arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """Start the command line; its output goes to `root/output`."""
        with (self.root / "output").open("ab") as stream:
            return subprocess.Popen(self.command(*arguments), env=self.environ(env), cwd=self.root, stdout=stream, stderr=stream, text=True)

    @property
    def output(self) -> str:
        """What the started command lines have printed."""
        return (self.root / "output").read_text()

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-c", PROGRAM, str(self.root), *arguments]

    @staticmethod
    def environ(more: dict[str, str] | None = None) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(PROJECT), **(more or {})}


def in_child(call: Callable[[], object]) -> int:
    """Run `call` in a forked child; its exit status: 0, 1 after an exception (printed), or minus a signal."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            call()
            status = 0
        except BaseException:  # noqa: BLE001  the child must never return into the test
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def wait_until(condition: Callable[[], object], what: str, seconds: float = 90.0) -> None:
    """Wait for a condition; fail the test where it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"in vain waited for: {what}")
        time.sleep(0.02)


def lives(process: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def processes_in(workspace: Workspace) -> list[int]:
    """The processes that carry the mark of a work folder of this workspace."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"EDGEMILL_WORK={workspace.work}/".encode() in (entry / "environ").read_bytes() and lives(int(entry.name)):
                found.append(int(entry.name))
    return found


def end(process: int) -> None:
    """Kill what a test started."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file below a folder: its bytes and its mode."""
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mode)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def flip_byte(path: Path, place: int = 0) -> None:
    """Change one byte of a file and nothing that `stat` shows but its ctime; the file keeps its mode."""
    status = path.stat()
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    with path.open("r+b") as stream:
        stream.write(content)
    path.chmod(status.st_mode)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def manifest(folder: Path) -> dict[str, object]:
    return json.loads((folder / "manifest.json").read_text())


def only(items: Sequence[Path]) -> Path:
    """The one item of a list."""
    (item,) = items
    return item
