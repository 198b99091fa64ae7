"""Write the dataset back in a layout that other tools read, without holding it in memory."""

import shutil
from collections import Counter

import export_coco
import export_voc
from export_names import list_images

from _detection import dataset as datasets
from _runtime import run

_LAYOUTS = {"coco": export_coco, "voc": export_voc}


def main(task):
    """Write the annotations and, with the parameter `images`, the images."""
    data = datasets.load(task.input("dataset").path)
    layout, copies = _LAYOUTS[task.params["layout"]], task.params["images"]
    listed = [entry for split in data.splits for entry in list_images(data, split)]
    names = layout.names(listed, copies)
    # Files are written in place: the artifact's folder appears as a whole, when the stage has succeeded.
    if copies:
        for done, entry in enumerate(listed, 1):
            path = task.output / layout.picture(entry, names[entry.id])
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(data.folder / entry.file), str(path))
            task.progress(done, len(listed), "image")
    lost = Counter()
    layout.write(task.output, data, listed, names, copies, lost)
    for what, number in sorted((+lost).items()):  # + leaves out those of 0
        task.warn("the layout %s cannot tell %s: %d left out" % (task.params["layout"], what, number))
    task.metrics.update(images=len(listed), objects=sum(data.counts(split)["objects"] for split in data.splits))


if __name__ == "__main__":
    run(main)
