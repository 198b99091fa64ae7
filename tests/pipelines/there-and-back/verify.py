"""Whatever way the annotations went, images, boxes and classes are the same; the splits were found without a word."""

import json
import sys
from pathlib import Path

built = Path(sys.argv[1])


def told(step):
    """{split: {sha256 of the image: [(class, box)]}} of a dataset."""
    dataset = json.loads((built / step / "dataset.json").read_text())
    found = {}
    for split in dataset["splits"]:
        images = [json.loads(line) for line in (built / step / f"{split}.jsonl").read_text().splitlines()]
        found[split] = {image["sha256"]: [(item["class"], item["bbox"]) for item in image["objects"]] for image in images}
    return found


first = told("ingest")
assert {split: len(images) for split, images in first.items()} == {"train": 12, "val": 6}, first
assert told("from-coco") == first
assert told("from-voc") == first

index, again = (json.loads((built / step / "records.json").read_text()) for step in ("records", "coco-records"))
assert index["classes"] == again["classes"]
assert [split["per_class"] for split in index["splits"].values()] == [split["per_class"] for split in again["splits"].values()]
