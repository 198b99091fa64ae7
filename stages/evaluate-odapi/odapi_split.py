"""The images of a split by their ids, in whatever order a model saw them, without the split in memory."""

from collections import Counter
from collections.abc import Mapping

from _detection.dataset import parse_image, split_file

FLAGS = ("difficult", "group_of", "crowd")


class SplitImages(Mapping):
    """{id: image as `Dataset.images` gives it}; an image is read from the split's file when it is asked for.

    counts: {"objects", "masks" (objects with one), "difficult", "group_of", "crowd" (objects with the flag), "labelled" (images with
    image-level labels)}.
    """

    def __init__(self, dataset, split):
        """dataset: a `dataset.Dataset`; split: one of its splits."""
        self._path, self._split = dataset.folder / split_file(split), split
        self._places, self.counts = {}, Counter()
        place = 0
        with open(str(self._path), "rb") as stream:
            for line in stream:
                image = parse_image(line, split)
                self._places[image["id"]] = place
                self._count(image)
                place += len(line)

    def _count(self, image):
        objects = image["objects"]
        self.counts.update(objects=len(objects), masks=sum("mask" in item for item in objects), labelled=int("labels" in image))
        self.counts.update({flag: sum(item[flag] for item in objects) for flag in FLAGS})

    def __getitem__(self, number):
        with open(str(self._path), "rb") as stream:
            stream.seek(self._places[number])
            return parse_image(stream.readline(), self._split)

    def __iter__(self):
        return iter(self._places)

    def __len__(self):
        return len(self._places)
