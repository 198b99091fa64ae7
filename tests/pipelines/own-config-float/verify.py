"""The user's own fields were kept, and one graph gave a uint8 and a float model."""

import json
import re
import sys
from pathlib import Path

built = Path(sys.argv[1])
own = (Path(__file__).parent / "own.config").read_text()
config = (built / "configure" / "pipeline.config").read_text()
for field in ("depth_multiplier", "num_steps", "delay", "learning_rate_base"):
    pattern = rf"\b{field}: ([-0-9.e]+)"
    assert float(re.search(pattern, config)[1]) == float(re.search(pattern, own)[1]), field

types = {name: json.loads((built / name / "lint.json").read_text())["inference_type"] for name in ("convert", "convert-float")}
assert types == {"convert": "uint8", "convert-float": "float"}, types
checkpoint = json.loads((built / "train" / "checkpoint.json").read_text())
assert checkpoint["deterministic"] is True
assert checkpoint["classes"] == ["circle", "square", "triangle"]
