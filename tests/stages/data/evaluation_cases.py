"""Truth and detections to evaluate, by hand and at random, and the stage evaluate run on them."""

import contextlib
import io
import random

import numpy as np
from _detection.dataset import coco
from _detection.detection_checks import Model
from _detection.rle import encode
from detection_files import write_detections
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from synthetic import dataset, image, obj, write

from stage_helpers import load

CLASSES = ["circle", "square", "star"]
WIDTH, HEIGHT = 100, 80
MEANS = ("map", "map50", "map75", "map_small", "map_medium", "map_large", "ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large")
NO_GATES = {
    "threshold": None,
    "min_map": None,
    "min_map50": None,
    "max_loss_vs_frozen": None,
    "min_class_map50": {},
    "max_class_loss_vs_frozen": None,
}
classes_of = load("evaluate", "coco_classes")
metrics_of = load("evaluate", "coco_numbers")
detected_of = load("evaluate", "detected")
model_of = load("evaluate", "model_evaluation")


def evaluate(run_stage, tmp_path, images, models, cpus=1, **params):
    """Run the stage. models: {name: rows as `detection_files.example` takes them by the image's id, or a task's entry}."""
    truth = dataset(tmp_path / "dataset", images, CLASSES)
    shown = [each for each in images if each["split"] == "val"]
    inputs = [
        write_detections(tmp_path / name, name, shown, found, CLASSES) if "path" not in found else found for name, found in models.items()
    ]
    return run_stage("evaluate", {**NO_GATES, **params}, {"dataset": truth, "detections": inputs}, cpus=cpus)


def columns(found):
    """`Detected` of {image's id: [(class from 1, score, xmin, ymin, xmax, ymax[, mask])]}, pixels as they are."""
    rows = [(number, *row) for number, own in found.items() for row in own]
    return detected_of.Detected(
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1] for row in rows], np.int32),
        np.array([row[2] for row in rows], np.float32),
        np.array([row[3:7] for row in rows], float).reshape(-1, 4),
        [row[7] for row in rows] if any(len(row) > 7 for row in rows) else None,
    )


def evaluation(images, found, classes=CLASSES):
    """(truth as a COCO dict, `Evaluation`) of images of a dataset and what was found in them."""
    truth = coco(images, classes)
    objects = metrics_of.object_counts(truth)["per_class"]
    return truth, model_of.evaluate_model(
        Model("model", None, {"model": {"kind": "tflite"}}), columns(found), truth, objects, 1, lambda: None
    )


def score(images, found):
    """What metrics.json says of the model."""
    return evaluation(images, found)[1].metrics


def by_class(metrics):
    """{class: its row}."""
    return {each["class"]: each for each in metrics["per_class"]}


def plain(truth, results, folder, kind="bbox"):
    """pycocotools as its own demo uses it: files, COCO, loadRes. The evaluation when all is done."""
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO(str(write(folder / "truth.json", truth)))
        evaluated = COCOeval(known, known.loadRes(str(write(folder / "results.json", results))), kind)
        evaluated.evaluate()
        evaluated.accumulate()
        evaluated.summarize()
    return evaluated


def coco_results(rows):
    """A COCO results list of `Detected`."""
    boxes = [[xmin, ymin, xmax - xmin, ymax - ymin] for xmin, ymin, xmax, ymax in rows.boxes.tolist()]
    listed = zip(rows.images.tolist(), rows.categories.tolist(), rows.scores.tolist(), boxes, strict=True)
    return [{"image_id": image, "category_id": category, "score": value, "bbox": box} for image, category, value, box in listed]


def stats(evaluated):
    """The twelve numbers of a `COCOeval`, as metrics.json has them."""
    return [None if value < 0 else round(float(value), 6) for value in evaluated.stats]


ONE_IMAGE = [image(1, [obj("circle", 10, 10, 30, 30), obj("circle", 50, 10, 70, 30), obj("square", 10, 50, 30, 70)])]
CIRCLE_LEFT, CIRCLE_RIGHT, SQUARE = (10, 10, 30, 30), (50, 10, 70, 30), (10, 50, 30, 70)
RIGHT = {1: [(1, 0.9, *CIRCLE_LEFT), (1, 0.8, *CIRCLE_RIGHT), (2, 0.7, *SQUARE)]}
WITHOUT_SQUARE = {1: RIGHT[1][:2]}  # mAP@0.5 one half


def random_case(seed, images=24, width=450, height=450):
    """(images, found) with objects of all sizes and crowds, detections noisy, missing, doubled, of another class and of nothing."""
    rng, shown, found = random.Random(seed), [], {}
    for number in range(1, images + 1):
        objects, rows = [], []
        for _ in range(rng.randint(0, 5)):
            side, x, y = rng.choice([12, 40, 120]), rng.uniform(0, width - 150), rng.uniform(0, height - 150)
            category = rng.randint(1, len(CLASSES))
            objects.append(obj(CLASSES[category - 1], x, y, x + side, y + side, crowd=rng.random() < 0.1))
            for _ in range(rng.choice([0, 1, 1, 2])):
                left, right = x + rng.gauss(0, side / 6), x + side * rng.uniform(0.6, 1.2)
                said = category if rng.random() < 0.8 else rng.randint(1, len(CLASSES))
                rows.append((said, round(rng.random(), 2), max(0, left), y, max(right, left + 1), y + side))
        if rng.random() < 0.3:
            rows.append((rng.randint(1, len(CLASSES)), round(rng.random(), 2), 5, 5, 55, 55))
        rng.shuffle(rows)
        shown.append(image(number, objects, width=width, height=height))
        found[number] = rows
    return shown, found


def disc(x, y, radius, side=90):
    """A round mask."""
    rows, lines = np.ogrid[:side, :side]
    return encode((rows - y) ** 2 + (lines - x) ** 2 <= radius**2)


def masked_case():
    """Two images of 90 × 90 px: masks that are found well, badly and not at all, a crowd, and boxes that are better."""
    images = [
        image(
            1,
            [obj("circle", 10, 10, 50, 50, mask=disc(30, 30, 20)), obj("square", 50, 50, 90, 90, mask=disc(70, 70, 15))],
            width=90,
            height=90,
        ),
        image(
            2,
            [obj("circle", 0, 0, 80, 80, mask=disc(40, 40, 40), crowd=True), obj("circle", 5, 5, 25, 25, mask=disc(15, 15, 9))],
            width=90,
            height=90,
        ),
    ]
    found = {
        1: [
            (1, 0.9, 10, 10, 50, 50, disc(32, 30, 20)),
            (2, 0.8, 50, 50, 90, 90, disc(60, 60, 8)),
            (1, 0.75, 50, 0, 90, 40, disc(70, 20, 8)),  # a box of middle size, a small mask
            (1, 0.3, 11, 10, 50, 50, disc(30, 30, 19)),
        ],
        2: [(1, 0.7, 5, 5, 25, 25, disc(15, 15, 10)), (1, 0.6, 30, 30, 60, 60, disc(45, 45, 15)), (3, 0.2, 5, 5, 25, 25, disc(15, 15, 9))],
    }
    return images, found


def _boxes(step):
    edges = st.tuples(*(st.integers(0, side // step - 2) for side in (WIDTH, HEIGHT)), *(st.integers(1, 5) for _ in range(2)))
    return edges.map(
        lambda box: (box[0] * step, box[1] * step, min((box[0] + box[2]) * step, WIDTH), min((box[1] + box[3]) * step, HEIGHT))
    )


_OBJECT = st.builds(
    lambda name, box, crowd: obj(name, *map(float, box), crowd=crowd),
    st.sampled_from(CLASSES),
    _boxes(10),
    st.sampled_from([False] * 5 + [True]),
)
# Few places and few scores: overlaps of every degree, and many that are equal.
_ROW = st.tuples(st.integers(1, len(CLASSES)), st.sampled_from([0.0, 0.25, 0.5, 0.5, 0.75, 1.0]), _boxes(5)).map(
    lambda row: (*row[:2], *row[2])
)
_IMAGE = st.tuples(st.lists(_OBJECT, max_size=4), st.lists(_ROW, max_size=7))


@st.composite
def small_cases(draw):
    """(images, found) with one object or more that is no crowd."""
    drawn = draw(st.lists(_IMAGE, min_size=1, max_size=4))
    images = [image(number, objects, width=WIDTH, height=HEIGHT) for number, (objects, _) in enumerate(drawn, 1)]
    images[0]["objects"].append(obj("circle", 20.0, 20.0, 50.0, 50.0))
    return images, {number: rows for number, (_, rows) in enumerate(drawn, 1)}
