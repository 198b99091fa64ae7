"""`configs`: which training each pipeline.config of the Object Detection API is for, told by a stage that no pipeline names."""

from __future__ import annotations

import sys

from edgemill.commands import Request
from edgemill.data_commands import alone, build_step, existing
from edgemill.documents import display

STAGE = "classify-configs"


def classify(request: Request, path: str) -> None:
    """Print for each pipeline.config of a file or folder what it runs on, or what it needs instead. Raises EdgeMillError."""
    found = existing(path, "give a pipeline.config, or a folder of *.config files")
    folder = build_step(request, alone(STAGE, {"path": str(found)}), STAGE)
    sys.stdout.write((folder / "configs.txt").read_text(encoding="utf-8"))
    print(f"all of it: {display(folder)}")
