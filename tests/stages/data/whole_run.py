"""A run's artifacts of which a package is made, synthetic but in the real formats."""

import hashlib
import json
import random

from PIL import Image, ImageDraw
from synthetic import dataset, image, obj, problem, write

from stage_helpers import artifact

CLASSES = ["circle", "square"]
BEST = {"score": 0.412, "precision": 0.9, "recall": 0.8, "f1": 0.847}
MODEL = b"\x1c\0\0\0TFL3" + bytes(12000)
DECODE = {
    "max_detections": 100,
    "max_classes_per_detection": 1,
    "detections_per_class": 100,
    "use_regular_nms": False,
    "nms_score_threshold": 1e-8,
    "nms_iou_threshold": 0.6,
    "num_classes": 2,
    "y_scale": 10.0,
    "x_scale": 10.0,
    "h_scale": 5.0,
    "w_scale": 5.0,
}
STAGES = {  # name: (stage, kind, image, seconds, inputs)
    "ingest": ("ingest", "dataset", "data", 0.9, {}),
    "records": ("records", "records", "data", 0.7, {"dataset": ["ingest"]}),
    "configure": ("configure", "pipeline-config", "train", 3.2, {"records": ["records"]}),
    "train": ("train", "checkpoint", "train", 444.4, {"records": ["records"], "config": ["configure"]}),
    "freeze": ("freeze", "frozen-graph", "train", 12.0, {"checkpoint": ["train"]}),
    "convert": ("convert", "tflite", "export", 4.1, {"graph": ["freeze"]}),
    "infer-frozen": ("infer-frozen", "detections", "export", 6.0, {"graph": ["freeze"], "dataset": ["ingest"]}),
    "infer-tflite": ("infer-tflite", "detections", "data", 2.0, {"model": ["convert"], "dataset": ["ingest"]}),
    "evaluate": ("evaluate", "evaluation", "data", 1.1, {"dataset": ["ingest"], "detections": ["infer-frozen", "infer-tflite"]}),
    "compile": ("compile", "edgetpu", "edgetpu", None, {"model": ["convert"]}),
    "package": (
        "package",
        "package",
        "data",
        0.5,
        {"model": ["convert"], "compiled": [], "graph": ["freeze"], "dataset": ["ingest"], "evaluation": ["evaluate"]},
    ),
}


def digest(text):
    """A hash to look at."""
    return hashlib.sha256(text.encode()).hexdigest()


def lineage(name):
    """Of a stage and all before it, in their order."""
    names = {name}
    for each in reversed(STAGES):
        if each in names:
            names.update(feeder for feeders in STAGES[each][4].values() for feeder in feeders)
    return {
        digest("key " + each): {
            "name": each,
            "stage": STAGES[each][0],
            "key": digest("key " + each),
            "digest": digest(each),
            "image": digest(STAGES[each][2]),
            "params": {"path": {"sha256": digest("data")}} if each == "ingest" else {},
            "inputs": {into: [digest("key " + feeder) for feeder in feeders] for into, feeders in STAGES[each][4].items()},
        }
        for each in STAGES
        if each in names
    }


def manifest(folder, name, **more):
    """Write manifest.json into an artifact's folder, as the host does; returns the task's entry."""
    stage, kind, image_name, seconds, inputs = STAGES[name]
    files = [
        {"path": path.relative_to(folder).as_posix(), "bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    ]
    told = {
        name: [{"name": feeder, "stage": STAGES[feeder][0], "key": digest("key " + feeder), "digest": digest(feeder)} for feeder in feeders]
        for name, feeders in inputs.items()
    }
    write(
        folder / "manifest.json",
        {
            "schema": 1,
            "stage": stage,
            "name": name,
            "kind": kind,
            "key": digest("key " + name),
            "digest": digest(name),
            "image": digest(image_name),
            "image_name": image_name,
            "engine": "local",
            "params": {},
            "inputs": told,
            "files": files,
            "evidence": [],
            "tools": {},
            "metrics": {},
            "warnings": [],
            "started": "2026-01-01T00:00:00Z",
            "seconds": seconds,
            "exit_code": 0,
            "lineage": lineage(name),
            **more,
        },
    )
    return artifact(name, kind, folder)


def dataset_artifact(folder, classes=CLASSES, count=6):
    """A dataset with drawn pictures."""
    rng, images = random.Random(1), []
    for number in range(1, count + 1):
        picture, objects = Image.new("RGB", (120, 90), (40 * number % 200, 90, 120)), []
        draw = ImageDraw.Draw(picture)
        for place in range(number % 3 + 1):
            x, y, side = 8 + 36 * place, rng.randint(5, 40), rng.randint(20, 30)
            name = rng.choice(classes)
            (draw.ellipse if name == classes[0] else draw.rectangle)([x, y, x + side, y + side], fill=(230, 200, 40))
            objects.append(obj(name, float(x), float(y), float(x + side), float(y + side)))
        entry = image(number, objects, split="train" if number == 1 else "val", width=120, height=90)
        (folder / "images").mkdir(parents=True, exist_ok=True)
        picture.save(folder / entry["file"])
        images.append(entry)
    found = [problem("warning", "exif-orientation", message="turned")]
    dataset(folder, images, classes, found)
    return images


def model_artifacts(root, classes=CLASSES, usable=True):
    """frozen-graph and tflite, without weights."""
    layers = [
        {
            "name": "FeatureExtractor/MobilenetV2/Conv%s" % name,
            "op": op,
            "weights": "w",
            "weights_range": [-1.5, 1.25],
            "output": "o",
            "range": [0.0, 6.0],
            "status": "ok",
        }
        for name, op in [("/Conv2D", "Conv2D"), ("_1/depthwise", "DepthwiseConv2dNative"), ("_2/Conv2D", "Conv2D")]
    ]
    layers.append(
        {
            "name": "concat",
            "op": "ConcatV2",
            "weights": None,
            "weights_range": None,
            "output": None,
            "range": [-6, 6],
            "status": "from inputs",
        }
    )
    write(root / "freeze" / "fake_quant_audit.json", {"schema": 1, "quantized": True, "layers": layers, "missing": 0})
    write(
        root / "freeze" / "graph.json",
        {
            "schema": 1,
            "input": {"name": "normalized_input_image_tensor"},
            "outputs": [],
            "postprocess": True,
            "input_size": [160, 160],
            "classes": classes,
        },
    )
    write(root / "freeze" / "pipeline.config", "model { ssd { num_classes: 2 } }\n" * 5)
    tensor = {"name": "normalized_input_image_tensor", "shape": [1, 160, 160, 3], "type": "uint8", "scale": 0.0078125, "zero_point": 128}
    output = {"name": "TFLite_Detection_PostProcess", "shape": [], "type": "float32", "scale": None, "zero_point": None}
    write(
        root / "convert" / "lint.json",
        {
            "schema": 1,
            "operators": [
                {"op": "CONV_2D", "count": 35, "custom": False},
                {"op": "TFLite_Detection_PostProcess", "count": 1, "custom": True},
            ],
            "tensors": {"float32": 4, "int32": 40, "uint8": 110},
            "inputs": [tensor],
            "outputs": [output],
            "bytes": 640952,
            "postprocess": DECODE,
            "usable": usable,
            "unusable_because": None if usable else "it has dummy ranges [0, 6]",
            "inference_type": "uint8",
            "input_size": [160, 160],
            "mean": 128,
            "std": 128,
            "decode": {**DECODE, "num_classes": len(classes)},
        },
    )
    write(root / "convert" / "labels.json", {"schema": 1, "classes": classes})
    (root / "convert" / "model.tflite").write_bytes(MODEL)


def metrics(classes=CLASSES, best=BEST):
    """metrics.json of `evaluate`, as far as the package reads it. best: of the first class; the others' scores are 0.1 higher each."""

    def model(value, sha):
        per_class = [
            {
                "class": name,
                "ap": value - 0.3,
                "ap50": value,
                "objects": 5,
                "best": best and {**best, "score": round(best["score"] + number / 10, 3)},
            }
            for number, name in enumerate(classes)
        ]
        averages = {"map": value - 0.3, "map50": value, "map75": value - 0.1, "ar100": value - 0.1}
        return {"model": {"sha256": sha}, **averages, "per_class": per_class, "best": best and {**best, "score": 0.456}}

    return {
        "schema": 2,
        "protocol": "coco",
        "evaluator": {"name": "pycocotools", "version": "2.0.11"},
        "split": "val",
        "images": 5,
        "objects": 5 * len(classes),
        "order": ["infer-frozen", "infer-tflite"],
        "threshold": 0.456,
        "models": {"infer-frozen": model(0.9406, digest("graph")), "infer-tflite": model(0.9387, hashlib.sha256(MODEL).hexdigest())},
        "ledger": [
            {"model": "infer-frozen", "kind": "frozen-graph", "against": None, "map": 0.6406, "map50": 0.9406, "map50_change": None},
            {"model": "infer-tflite", "kind": "tflite", "against": "infer-frozen", "map": 0.6387, "map50": 0.9387, "map50_change": -0.0019},
        ],
        "gates": [],
    }


def whole_run(root, classes=CLASSES, usable=True):
    """Write what the package is made of under `root`; returns the task's entries, {name: entry}."""
    dataset_artifact(root / "ingest", classes)
    model_artifacts(root, classes, usable)
    write(root / "evaluate" / "metrics.json", metrics(classes))
    return {name: manifest(root / name, name) for name in ("ingest", "freeze", "convert", "evaluate")}


def read(path):
    """Parse a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))
