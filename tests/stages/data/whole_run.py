"""A whole run's artifacts, synthetic but in the real formats: what the report and the package read."""

import hashlib
import json
import math
import random

from PIL import Image, ImageDraw
from synthetic import dataset, image, obj, problem, write

from stage_helpers import artifact

CLASSES = ["circle", "square"]
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


def task_run(**states):
    """task.run: every stage ran, but for `states`: {name with _ for -: (state, reason)}."""
    stages = []
    for name, (stage, _, image_name, seconds, inputs) in STAGES.items():
        state, reason = states.get(name.replace("-", "_"), ("ran", None))
        made = state in ("ran", "published")
        stages.append(
            {
                "name": name,
                "stage": stage,
                "state": state,
                "key": digest("key " + name) if made else None,
                "reason": reason,
                "image": image_name,
                "digest": digest(name) if made else None,
                "seconds": seconds if made else None,
                "optional": name == "compile",
                "inputs": inputs,
            }
        )
    return {"id": "20260101-000000-abcd", "pipeline": "demo", "engine": "local", "stages": stages}


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


def noisy(images, classes, seed, miss):
    """COCO results near the truth, with misses and a false box now and then."""
    rng, results = random.Random(seed), []
    for each in images:
        for one in each["objects"]:
            x, y, right, bottom = one["bbox"]
            if rng.random() >= miss:
                results.append(
                    {
                        "image_id": each["id"],
                        "category_id": classes.index(one["class"]) + 1,
                        "score": round(rng.uniform(0.55, 0.99), 4),
                        "bbox": [x + rng.uniform(-2, 2), y, right - x, bottom - y],
                    }
                )
        if rng.random() < 0.2:
            results.append(
                {"image_id": each["id"], "category_id": 1, "score": 0.6, "bbox": [1.0, 1.0, each["width"] / 3, each["height"] / 3]}
            )
    return results


def detections_artifact(folder, images, results, kind):
    """Detections of one model."""
    write(folder / "detections.json", results)
    write(
        folder / "inference.json",
        {
            "schema": 1,
            "model": {
                "kind": kind,
                "runtime": "tensorflow" if kind == "frozen-graph" else "ai-edge-litert",
                "version": "1.13.1",
                "sha256": digest(kind),
            },
            "split": "val",
            "images": [{"id": each["id"], "input_sha256": digest(str(each["id"]))} for each in images],
        },
    )
    write(folder / "timing.json", {"schema": 1, "seconds_per_image": 0.0123 if kind == "tflite" else 0.0456})


def training_artifacts(root, steps=700, delay=300):
    """pipeline-config and checkpoint."""
    changes = [
        {"field": "model.ssd.num_classes", "from": 90, "to": 2, "why": "classes of the label map"},
        {"field": "train_config.batch_size", "from": 24, "to": 8, "why": "override of the pipeline"},
    ]
    write(root / "configure" / "pipeline.config", "model { ssd { num_classes: 2 } }\n" * 5)
    write(
        root / "configure" / "config.json",
        {
            "schema": 1,
            "input_size": [160, 160],
            "num_classes": 2,
            "num_steps": steps,
            "quantization_delay": delay,
            "changes": changes,
            "warnings": ["the batch is small"],
        },
    )
    rng = random.Random(2)
    history = {
        "schema": 1,
        "steps": [
            {
                "step": step,
                "loss": 2.4 * math.exp(-step / 150) + 0.3 + rng.uniform(0, 0.25),
                "steps_per_s": 2.1,
                "learning_rate": 0.005 * (1 + math.cos(math.pi * step / steps)),
            }
            for step in range(10, steps + 1, 10)
        ],
        "evaluations": [
            {"step": step, "map": value / 1.7, "map50": value, "loss": 1.5 - value}
            for step, value in [(200, 0.21), (400, 0.69), (600, 0.9), (700, 0.94)]
        ],
    }
    write(root / "train" / "history.json", history)
    write(
        root / "train" / "checkpoint.json",
        {
            "schema": 1,
            "step": steps,
            "prefix": "model.ckpt-%d" % steps,
            "selected_by": "last",
            "evaluations": history["evaluations"],
            "quantization_delay": delay,
            "num_steps": steps,
        },
    )


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


def metrics(classes=CLASSES, gate=0.02):
    """metrics.json as evaluate writes it."""

    def model(value, kind, sha):
        names = ("map75", "map_small", "map_medium", "ar1", "ar10", "ar100")
        per_class = [{"class": name, "ap": value - 0.3, "ap50": value, "ar100": value, "objects": 5, "detections": 7} for name in classes]
        return {
            "model": {"kind": kind, "runtime": "ai-edge-litert", "version": "2.3.0", "sha256": sha},
            "detections": 14,
            "map": value - 0.3,
            "map50": value,
            "map_large": None,
            **dict.fromkeys(names, value - 0.1),
            "per_class": per_class,
        }

    return {
        "schema": 1,
        "split": "val",
        "images": 5,
        "objects": 5 * len(classes),
        "crowd_regions": 0,
        "difficult": 0,
        "per_class": {},
        "per_size": {},
        "order": ["infer-frozen", "infer-tflite"],
        "models": {
            "infer-frozen": model(0.9406, "frozen-graph", digest("graph")),
            "infer-tflite": model(0.9387, "tflite", hashlib.sha256(MODEL).hexdigest()),
        },
        "differences": [{"model": "infer-tflite", "against": "infer-frozen", "map": -0.0019, "map50": -0.0019}],
        "gates": [{"name": "max_loss", "model": "infer-tflite", "limit": gate, "value": 0.0019, "passed": True}],
    }


def whole_run(root, classes=CLASSES, usable=True):
    """Write every artifact but the compiled model under `root`; returns the task's entries, {name: entry}, in the pipeline's order."""
    images = dataset_artifact(root / "ingest", classes)
    shown = [each for each in images if each["split"] == "val"]
    write(root / "records" / "records.json", {"schema": 1, "classes": classes, "splits": {}})
    training_artifacts(root)
    model_artifacts(root, classes, usable)
    detections_artifact(root / "infer-frozen", shown, noisy(shown, classes, 3, 0.1), "frozen-graph")
    detections_artifact(root / "infer-tflite", shown, noisy(shown, classes, 4, 0.3), "tflite")
    write(root / "evaluate" / "metrics.json", metrics(classes))
    write(root / "package" / "labels.txt", "\n".join(classes) + "\n")
    return {name: manifest(root / name, name) for name in STAGES if name != "compile"}


def read(path):
    """Parse a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))
