"""Fail unless two `status --json` documents have the same keys and digests: compare_digests.py ONE OTHER [STEP that may differ …]."""

import json
import sys
from pathlib import Path

one, other = (json.loads(Path(name).read_text(encoding="utf-8")) for name in sys.argv[1:3])
differing = []
for step in one:
    pair = [(status[step]["state"], status[step]["key"], status[step]["digest"]) for status in (one, other)]
    if step not in sys.argv[3:] and (pair[0] != pair[1] or pair[0][0] not in ("published", "unavailable")):
        differing.append(f"{step}: {pair[0]} and {pair[1]}")
if differing:
    sys.exit("not the same artifacts with both engines:\n" + "\n".join(differing))
print(f"the same artifacts with both engines: {sum(status['digest'] is not None for status in one.values())} digests")
