"""A records artifact as far as the configure stages look at it. Python 3.7 syntax."""

import json

import numpy as np


def write_records(folder, classes=("ace", "king"), splits=(("train", 20), ("val", 5)), shards=1, unseen=(), boxes=None, crowds=None):
    """A records artifact as far as configure looks at it: no shard has any content.

    boxes: (class id, width, height as fractions of the image's) of the train split; else one of each class that is seen. crowds: split to
    the number of objects that one more image of it shows.
    """
    folder.mkdir()
    listed = {}
    for split, images in splits:
        names = ["%s.record-%05d-of-%05d" % (split, number, shards) for number in range(shards)]
        listed[split] = {
            "images": images,
            "objects": images,
            "per_class": {name: 0 if name in unseen else images for name in classes},
            "shards": [{"file": name, "records": images, "bytes": 1, "frames": "0" * 64} for name in names],
        }
    if boxes is None:
        boxes = [(number, 0.4, 0.4) for number, name in enumerate(classes, 1) if name not in unseen]
    kinds = [("class", "<i4"), ("image", "<i4"), ("width", "<f4"), ("height", "<f4")]
    for split, _ in splits:
        rows = [(label, 100 + place, *size) for place, (label, *size) in enumerate(boxes if split == "train" else ())]
        rows += [(1, 99, 0.6, 0.6)] * (crowds or {}).get(split, 0)
        np.save(str(folder / (split + ".boxes.npy")), np.array(rows, kinds))
    (folder / "records.json").write_text(json.dumps({"schema": 2, "classes": list(classes), "splits": listed}))
    (folder / "label_map.pbtxt").write_text("".join("item {\n  id: %d\n  name: '%s'\n}\n" % item for item in enumerate(classes, 1)))
    return folder
