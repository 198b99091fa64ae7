"""The names that people give to splits, in folders, file names and annotations."""

import re

# What stands in a name, in lower case, and the split that it means.
USUAL_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "eval": "val",
    "test": "test",
    "testing": "test",
}


def split_in(name):
    """The split that the words of a file's or folder's name tell ("coco_train.record-00000-of-00010": train); None for none, or several."""
    told = {USUAL_SPLITS[word] for word in re.split(r"[^a-z]+", name.lower()) if word in USUAL_SPLITS}
    return told.pop() if len(told) == 1 else None
