"""Numbers that follow from how the two files were made: five of six circles in their place; every second box half beside its object."""

import json
import sys
from pathlib import Path

built = Path(sys.argv[1])


def told(step):
    return json.loads((built / step / "metrics.json").read_text())


def close(value, expected):
    assert abs(value - expected) < 1e-6, (value, expected)


coco = told("evaluate")
assert coco["order"] == ["from-coco", "from-open-images"]
assert coco["per_class"] == {"circle": 6, "square": 5, "triangle": 5}
first, second = coco["models"].values()
# COCO takes the precision at 101 recalls: up to 5/6 these are 84.
for row, expected in zip(first["per_class"], (84 / 101, 1, 1), strict=True):
    close(row["ap"], expected)
close(first["map"], (84 / 101 + 2) / 3)
assert second["map"] == second["map50"] < 0.5, "a box half beside its object overlaps it by a third"
assert second["errors"]["localization"] == 7, second["errors"]
assert coco["largest_loss"]["layers_unknown_because"]
assert len(list((built / "from-open-images").glob("val.detections-*-of-00004"))) == 4

other = told("evaluate-odapi")
for protocol in other["protocols"]:
    close(protocol["models"]["from-coco"]["map"], (5 / 6 + 2) / 3)
page = (built / "report" / "report.html").read_text()
assert "whole boxes" in page
