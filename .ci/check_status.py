"""Fails unless every stage of a `./mill status --json` answer is published, but for those that are declared optional and unavailable."""

from __future__ import annotations

import json
import sys
from pathlib import Path

stages = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
unavailable = [name for name, stage in stages.items() if stage["state"] == "unavailable"]
unfinished = [f"{name}: {stage['state']}" for name, stage in stages.items() if stage["state"] not in {"published", "unavailable"}]
print(f"{len(stages) - len(unavailable) - len(unfinished)} stages published; unavailable: {', '.join(unavailable) or 'none'}")
sys.exit("; ".join(unfinished) or 0)
