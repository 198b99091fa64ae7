"""One tiny dataset in every layout: the same two pictures, the same two boxes, and where the layout has masks, the same one.

The right answer is obvious by pixel: no side of a box equals another, no corner of the mask is like another, and a class stands before the
two that are used, so that a wrong axis, order, turn or count from 0 or 1 gives something else.
"""

import base64
import io
import json

import numpy as np
import record_files
from PIL import Image
from voc_files import HEIGHT, WIDTH, image_bytes, voc

CLASSES = ["bird", "cat", "dog"]  # no bird is there
CAT, DOG = [8, 4, 24, 44], [32, 10, 60, 20]
OUTLINE = [8, 4, 16, 4, 16, 24, 24, 24, 24, 44, 8, 44]  # an L: the box without its upper right quarter
PICTURES = {"a.jpg": image_bytes(1), "b.jpg": image_bytes(2)}
TABLE = "filename,width,height,class,xmin,ymin,xmax,ymax\n%s" % "".join(
    "%s,%d,%d,%s,%d,%d,%d,%d\n" % (name, WIDTH, HEIGHT, label, *box) for name, label, box in (("a.jpg", "cat", CAT), ("b.jpg", "dog", DOG))
)
YAML = "path: .\ntrain: images/train\nnames:\n  0: bird\n  1: cat\n  2: dog\n"


def mask():
    """The cat's pixels, bool [height, width]."""
    pixels = np.zeros((HEIGHT, WIDTH), bool)
    pixels[4:44, 8:24] = True
    pixels[4:24, 16:24] = False
    return pixels


def png(pixels):
    """A grey picture's bytes."""
    stream = io.BytesIO()
    Image.fromarray(np.asarray(pixels).astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def runs(values):
    """Lengths of runs, the first of zeros."""
    ends = [place for place in range(1, len(values)) if values[place] != values[place - 1]]
    lengths = np.diff([0, *ends, len(values)]).tolist()
    return [0, *lengths] if values[0] else lengths


def below(folder, files):
    """The files in a folder."""
    return {folder + "/" + name: content for name, content in files.items()}


def fractions(box):
    """[xmin, ymin, xmax, ymax] as parts of the image's sides."""
    return [edge / side for edge, side in zip(box, (WIDTH, HEIGHT) * 2, strict=True)]


def coco():
    """Ids in no order and far apart; the mask in run lengths along columns."""
    images = [{"id": 70, "file_name": "b.jpg"}, {"id": 7, "file_name": "a.jpg"}]
    boxes = [{"image_id": 7, "category_id": 40, "bbox": [8, 4, 16, 40]}, {"image_id": 70, "category_id": 90, "bbox": [32, 10, 28, 10]}]
    boxes[0].update(iscrowd=1, segmentation={"size": [HEIGHT, WIDTH], "counts": runs(mask().ravel(order="F"))})
    value = {
        "images": [{**image, "width": WIDTH, "height": HEIGHT} for image in images],
        "annotations": [{"id": number, "area": 480, **box} for number, box in enumerate(boxes, 1)],
        "categories": [{"id": key, "name": name} for key, name in ((90, "dog"), (40, "cat"), (3, "bird"))],
    }
    return {"annotations/instances_train2017.json": json.dumps(value), **below("train2017", PICTURES)}


def yolo():
    """Names by number in data.yaml; the cat as a polygon, the dog as a box."""
    polygon = " ".join("%r" % (value / (WIDTH, HEIGHT)[place % 2]) for place, value in enumerate(OUTLINE))
    xmin, ymin, xmax, ymax = fractions(DOG)
    dog = "2 %r %r %r %r\n" % ((xmin + xmax) / 2, (ymin + ymax) / 2, xmax - xmin, ymax - ymin)
    labels = {"labels/train/a.txt": "1 %s\n" % polygon, "labels/train/b.txt": dog}
    return {"data.yaml": YAML, **labels, **below("images/train", PICTURES)}


def open_images():
    """Columns in the published order: both x before both y."""
    box = "%s,xclick,/m/%d,1,%r,%r,%r,%r,0,0,0,0,0\n"
    rows = []
    for name, key, (xmin, ymin, xmax, ymax) in (("a", 1, fractions(CAT)), ("b", 2, fractions(DOG))):
        rows.append(box % (name, key, xmin, xmax, ymin, ymax))
    xmin, ymin, xmax, ymax = fractions(CAT)
    header = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside\n"
    masks = "MaskPath,ImageID,LabelName,BoxID,BoxXMin,BoxXMax,BoxYMin,BoxYMax,PredictedIoU,Clicks\n"
    return {
        "train-annotations-bbox.csv": header + "".join(rows),
        "train-annotations-human-imagelabels-boxable.csv": "ImageID,Source,LabelName,Confidence\na,verification,/m/1,1\n",
        "train-annotations-object-segmentation.csv": masks + "m.png,a,/m/1,x,%r,%r,%r,%r,0.9,\n" % (xmin, xmax, ymin, ymax),
        "class-descriptions-boxable.csv": "/m/0,bird\n/m/1,cat\n/m/2,dog\n",
        "masks/m.png": png(mask() * 255),
        **below("train", PICTURES),
    }


def oidv4():
    """left, top, right, bottom."""
    return {
        "train/cat/a.jpg": PICTURES["a.jpg"],
        "train/cat/Label/a.txt": "cat %d %d %d %d\n" % tuple(CAT),
        "train/dog/b.jpg": PICTURES["b.jpg"],
        "train/dog/Label/b.txt": "dog %d.0 %d.0 %d.0 %d.0\n" % tuple(DOG),
    }


def oxford_pets():
    """Breeds called cat and dog, by the files' names."""
    return {
        "annotations/list.txt": "#Image CLASS-ID SPECIES BREED-ID\nbird_3 1 1 1\ncat_1 2 1 2\ndog_2 3 2 1\n",
        "annotations/trainval.txt": "cat_1 2 1 2\ndog_2 3 2 1\n",
        "annotations/xmls/cat_1.xml": voc("cat_1.jpg", [("cat", *CAT)]),
        "annotations/xmls/dog_2.xml": voc("dog_2.jpg", [("dog", *DOG)]),
        "annotations/trimaps/cat_1.png": png(np.where(mask(), 1, 2)),
        "images/cat_1.jpg": PICTURES["a.jpg"],
        "images/dog_2.jpg": PICTURES["b.jpg"],
    }


def cvat():
    """The mask in run lengths along the rows of its box; the dog's box by a turn of 90 degrees around its centre."""
    inside = mask()[4:44, 8:24]
    shape = '<mask label="cat" occluded="0" rle="%s" left="8" top="4" width="16" height="40"/>' % ", ".join(map(str, runs(inside.ravel())))
    turned = '<box label="dog" occluded="0" xtl="41" ytl="1" xbr="51" ybr="29" rotation="90.0"/>'
    image = '<image id="%d" name="%s" width="%d" height="%d">\n%s\n</image>\n'
    labels = "".join("<label><name>%s</name></label>" % name for name in CLASSES)
    body = image % (0, "a.jpg", WIDTH, HEIGHT, shape) + image % (1, "b.jpg", WIDTH, HEIGHT, turned)
    meta = "<version>1.1</version>\n<meta><job><labels>%s</labels></job></meta>\n" % labels
    return {"annotations.xml": "<annotations>\n%s%s</annotations>\n" % (meta, body), **below("images", PICTURES)}


def labelme():
    """The cat as a picture of its mask from its first to its last pixel, the dog by two corners, the last one first."""
    crop = base64.b64encode(png(mask()[4:44, 8:24])).decode("ascii")
    shapes = {
        "a": {"label": "cat", "shape_type": "mask", "points": [[8, 4], [23, 43]], "mask": crop},
        "b": {"label": "dog", "shape_type": "rectangle", "points": [[60, 20], [32, 10]]},
    }
    files = dict(PICTURES)
    for name, shape in shapes.items():
        value = {"version": "5.4.1", "flags": {}, "shapes": [{"group_id": None, "flags": {}, **shape}], "imagePath": name + ".jpg"}
        files[name + ".json"] = json.dumps({**value, "imageData": None, "imageHeight": HEIGHT, "imageWidth": WIDTH})
    return files


def tfrecord_examples():
    """The payload of each record."""
    made = []
    for name, label, box, masks in (("a.jpg", 2, CAT, [png(mask())]), ("b.jpg", 3, DOG, None)):
        other = {"image__encoded": ("bytes", [PICTURES[name]]), "image__format": ("bytes", ["jpeg"]), "image__filename": ("bytes", [name])}
        other.update(image__width=("int64", [WIDTH]), image__height=("int64", [HEIGHT]))
        other["image__object__mask"] = ("bytes", masks) if masks else None
        boxes, texts = [fractions(box)], [CLASSES[label - 1]]
        made.append(record_files.example_bytes(record_files.features(1, boxes=boxes, labels=[label], texts=texts, **other)))
    return made


def tfrecord():
    """The API's own keys, classes counted from 1."""
    items = "".join("item {\n  id: %d\n  name: '%s'\n}\n" % item for item in enumerate(CLASSES, 1))
    return {"train.record": b"".join(map(record_files.frame, tfrecord_examples())), "label_map.pbtxt": items}


SETS = {
    "voc": lambda: {
        **below("JPEGImages", PICTURES),
        "Annotations/a.xml": voc("a.jpg", [("cat", *CAT)]),
        "Annotations/b.xml": voc("b.jpg", [("dog", *DOG)]),
        "ImageSets/Main/train.txt": "a\nb\n",
    },
    "csv": lambda: {"train_labels.csv": TABLE, **below("images", PICTURES)},
    "coco": coco,
    "yolo": yolo,
    "open-images": open_images,
    "oidv4": oidv4,
    "oxford-pets": oxford_pets,
    "cvat": cvat,
    "labelme": labelme,
    "tfrecord": tfrecord,
}
WITH_MASK = ("coco", "yolo", "open-images", "cvat", "labelme", "tfrecord")


def annotation_files(files):
    """The names of the files that are no pictures."""
    return sorted(name for name in files if not name.endswith((".jpg", ".png")))
