"""Say of configs of the Object Detection API which image trains each, and what it must be told before."""

from collections import Counter
from pathlib import Path

import tensorflow as tf
from config_judgement import CLASSES, judge
from config_table import table

from _runtime import StageError, run, write_json, write_text


def main(task):
    """Write configs.json and configs.txt. A config that cannot be read or trained is a line in them, no error."""
    tf.get_logger().setLevel("ERROR")
    if not task.params["path"]:
        raise StageError("there is nothing to read", "path", "a pipeline.config or a folder of them", None, "./mill configs PATH")
    place = Path(task.params["path"])
    paths = [place] if place.is_file() else sorted(path for path in place.rglob("*.config") if path.is_file())
    if not paths:
        found = ", ".join(sorted(entry.name for entry in place.iterdir())[:8]) or "nothing"
        raise StageError("there are no configs", place, "*.config", found, "give the file itself, whatever its name")
    files = []
    for number, path in enumerate(paths, 1):
        files.append(judge(path, path.name if path == place else path.relative_to(place).as_posix()))
        task.progress(number, len(paths), "config")
    counts = Counter(each["class"] for each in files)
    counts = {name: counts[name] for name in CLASSES}
    write_json(task.output / "configs.json", {"schema": 1, "files": files, "counts": counts})
    write_text(task.output / "configs.txt", "".join(line + "\n" for line in table(files, counts)))
    task.metrics.update(counts)
    task.tools["tensorflow"] = tf.__version__


if __name__ == "__main__":
    run(main)
