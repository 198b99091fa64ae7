"""Read what is in a model that is compiled for the Edge TPU, and refuse one that the target's runtime could not run."""

from pathlib import Path

from _edgetpu.compiled import as_json, describe_lines, read_compiled, require_runtime
from _edgetpu.targets import TARGETS
from _runtime import StageError, run, sha256_file, write_json, write_text


def main(task):
    """Write compiled.json and compiled.txt: a part for each file."""
    described, lines, found = [], [], []
    for path in _files(task):
        model, packages = read_compiled(path.read_bytes(), path.name)
        described.append(dict(as_json(model, packages), file=path.name, sha256=sha256_file(path)))
        lines += [path.name, *describe_lines(model, packages), ""]
        found.append((packages, path.name))
    write_json(task.output / "compiled.json", {"schema": 1, "files": described})
    write_text(task.output / "compiled.txt", "\n".join(lines))
    task.metrics.update({"runtime": max(each["runtime"] for each in described), "files": len(described)})
    if task.params["target"] is not None:
        for packages, name in found:
            require_runtime(packages, TARGETS[task.params["target"]], name)


def _files(task):
    compiled, path = task.input("compiled"), task.params["path"]
    if (compiled is None) == (path is None):
        raise StageError(
            "there is not exactly one compiled model to read",
            "compiled, path",
            "a bound artifact or the path of a file",
            "neither" if compiled is None else "both",
            "bind `compiled` to the stage compile, or give `path`",
        )
    return [Path(path)] if compiled is None else sorted(compiled.path.rglob("*_edgetpu.tflite"))


if __name__ == "__main__":
    run(main)
