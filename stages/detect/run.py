"""Run a package's own detect.py on pictures and videos: what a device finds with it, and nothing else."""

import importlib.util
from importlib.metadata import version

from _runtime import StageError, run, write_json

LIBRARIES = ("ai-edge-litert", "av", "numpy", "pillow")


class Progress:
    """detect.py's progress, as the task's."""

    def __init__(self, task):
        self._task = task

    def __call__(self, done, total, objects):
        """As detect.py calls it: pictures and frames that are done, of how many, and the objects in them."""
        self._task.progress(done, total, "picture", objects=objects)

    def clear(self):
        """Nothing is shown here that would have to go."""


def main(task):
    """Write pictures and videos with boxes, detections.csv, detections.json and summary.json."""
    paths = task.params["paths"]
    if not paths:
        raise StageError("there is nothing to look at", "paths", "pictures, videos or folders", "none", "name one or more")
    names = task.params["names"] or [str(number) for number in range(1, len(paths) + 1)]
    if len(names) != len(paths):
        raise StageError("the paths have not one name each", "names", len(paths), len(names), "leave out names, or give one for each path")
    task.tools.update({name: version(name) for name in LIBRARIES})
    program = load(task.input("package").path / "detect.py")
    try:
        found = program.detect_all(program.parse(arguments(task, paths)), names, Progress(task))
    except program.StageError as error:
        raise StageError(error.what, error.where, error.expected, error.found, error.remedy) from None
    problems = [str(error) for error in found.problems]
    if not found.pictures + found.videos:
        raise StageError(
            "there is nothing that could be looked at",
            "\n".join(problems[:5]),
            "whole pictures or videos",
            "%d that cannot be read" % len(problems),
            "mend or leave out what is named",
        )
    counts = {"pictures": found.pictures, "videos": found.videos, "frames": found.frames}
    write_json(task.output / "summary.json", {"schema": 1, **counts, "objects": found.objects, "notes": found.notes, "problems": problems})
    task.warnings.extend([*found.notes, *problems])  # the command that asked for this tells them
    task.metrics.update(counts, objects=sum(found.objects.values()))


def arguments(task, paths):
    """The command line of detect.py."""
    folder = task.output
    given = ["--output", folder, "--csv", folder / "detections.csv", "--json", folder / "detections.json", "--every", task.params["every"]]
    if task.params["threshold"] is not None:
        given += ["--threshold", task.params["threshold"]]
    return [str(each) for each in (*given, *paths)]


def load(path):
    """A package's detect.py as a module."""
    spec = importlib.util.spec_from_file_location("detect", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    run(main)
