"""Planning a pipeline whose source folder holds 100,000 files that have not changed."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import yaml
from measure import best_and_median, load

from edgemill.engines.local import LocalEngine
from edgemill.hashing import walk
from edgemill.pipelines import load_pipeline
from edgemill.plan import make_plan
from edgemill.workspace import Workspace

FILES = 100_000
ROUNDS = 5


def main() -> None:
    """Print the first plan (every byte is read), the next ones, and walking the folder alone."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for folder in range(100):
            (root / "data" / f"{folder:02d}").mkdir(parents=True)
            for number in range(FILES // 100):
                (root / "data" / f"{folder:02d}" / f"{number:04d}.jpg").write_bytes(os.urandom(16))
        time.sleep(0.2)  # a file as young as its time stamp's granularity is read again
        path = root / "many.yaml"
        path.write_text(yaml.safe_dump({"schema": 1, "stages": {"ingest": {"params": {"path": "data"}}}}), encoding="utf-8")

        def plan() -> None:
            make_plan(load_pipeline(path), Workspace(root / "workspace"), LocalEngine())

        first = best_and_median(plan, 1)[0]
        best, median = best_and_median(plan, ROUNDS)
        bare = best_and_median(lambda: sum(1 for _ in walk(root / "data")), ROUNDS)[1]
        print(f"first plan of {FILES:,} files  {first:.2f} s (every byte read)")
        print(f"plan, nothing changed       median {median:.2f} s, best {best:.2f} s; limit 2 s")
        print(f"that is {median / bare:.1f} × walking the folder ({bare:.2f} s)")
        print(load())


if __name__ == "__main__":
    main()
