"""A whole run's artifacts as the report reads them, drawn and drawn by lot: the real formats, of any number of images and models."""

import hashlib
import json
import math
import random
from pathlib import Path

from PIL import Image, ImageDraw

from stage_helpers import artifact

CLASSES = ["circle", "square"]
# name of the step, kind of the model, runtime, how often an object is found
CHAIN = [
    ("infer-float", "float-checkpoint", "tensorflow", 0.92),
    ("infer-frozen", "frozen-graph", "tensorflow", 0.85),
    ("infer-tflite", "tflite", "ai-edge-litert", 0.8),
]
FLAGS = ("difficult", "truncated", "group_of", "crowd", "occluded", "depiction")
KINDS = ("correct", "classification", "localization", "both", "duplicate", "background", "missed")
SHA = "5f4dcc3b5aa765d61d8327deb882cf99" * 2


def write(path, value):
    """Write JSON (or text) to `path`, making its folder."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def read(path):
    """Parse a JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def digest(text):
    """A hash to look at."""
    return hashlib.sha256(text.encode()).hexdigest()


# The dataset.


def obj(name, *bbox, **flags):
    """An object of a dataset; `bbox` is xmin, ymin, xmax, ymax in pixels."""
    return {"class": name, "bbox": list(bbox), **flags}


def image(number, objects, split="val", width=100, height=80):
    """An image of a dataset."""
    file = "images/img%d.png" % number
    told = {"id": number, "file": file, "name": "img%d.png" % number, "sha256": digest("image %d" % number), "bytes": 100}
    return {
        **told,
        "format": "PNG",
        "width": width,
        "height": height,
        "split": split,
        "annotation": "img%d.xml" % number,
        "objects": objects,
    }


def problem(severity, code, action="kept", file="train/a.xml", line=3, number=None, message="so it is"):
    """A problem of audit.json."""
    return {"severity": severity, "code": code, "file": file, "line": line, "object": number, "message": message, "action": action}


def dataset(folder, images, classes=CLASSES, problems=(), policy="refuse"):
    """A dataset artifact without pictures."""
    splits = {}
    for each in images:
        splits.setdefault(each["split"], []).append(each)
    counts = {}
    for split, members in splits.items():
        objects = [item for each in members for item in each["objects"]]
        counts[split] = {
            "images": len(members),
            "objects": len(objects),
            "bytes": 100 * len(members),
            "masks": sum("mask" in item for item in objects),
        }
        lines = ({key: value for key, value in each.items() if key != "split"} for each in members)
        write(folder / (split + ".jsonl"), "".join(json.dumps(line) + "\n" for line in lines))
    write(folder / "dataset.json", {"schema": 2, "classes": classes, "splits": counts, "hierarchy": {}})
    write(folder / "audit.json", {"schema": 2, "policy": policy, "problems": list(problems), "counts": {}})
    return artifact("ingest", "dataset", folder)


def drawn_dataset(folder, classes=CLASSES, count=6, size=(120, 90), first="val", draw=None):
    """A dataset with a picture for each image, the first of them in the split train; returns its images. draw: makes the ground of one."""
    rng, images = random.Random(1), []
    width, height = size
    for number in range(1, count + 1):
        picture = draw(number, size) if draw else Image.new("RGB", size, (40 * number % 200, 90, 120))
        pen, objects = ImageDraw.Draw(picture), []
        for place in range(number % 3 + 1):
            side = rng.randint(height // 5, height // 3)
            x, y = 8 + place * width // 3, rng.randint(4, height - side - 4)
            name = rng.choice(classes)
            (pen.ellipse if name == classes[0] else pen.rectangle)([x, y, x + side, y + side], fill=(230, 200, 40))
            objects.append(obj(name, float(x), float(y), float(x + side), float(y + side)))
        entry = image(number, objects, split="train" if number == 1 else first, width=width, height=height)
        (folder / "images").mkdir(parents=True, exist_ok=True)
        entry["file"] = "images/img%d.%s" % (number, "jpg" if draw else "png")
        picture.save(folder / entry["file"])
        images.append(entry)
    dataset(folder, images, classes, [problem("warning", "exif-orientation", message="turned")])
    return images


# The evaluation.


def match_line(each, classes, chain, rng):
    """A line of matches.jsonl of one image."""
    truth = [{"class": item["class"], "bbox": item["bbox"], "ignored": bool(item.get("crowd"))} for item in each["objects"]]
    models = {}
    for name, _, _, share in chain:
        found, missed = [], []
        for index, one in enumerate(truth):
            if one["ignored"]:
                found.append(box(one["class"], 0.6, one["bbox"], "ignored", index))
            elif rng.random() < share:
                found.append(box(one["class"], rng.uniform(0.6, 0.99), moved(one["bbox"], rng.uniform(-2, 2)), "correct", index))
            else:
                kind = rng.choice(["missed", "missed", "classification", "localization"])
                if kind == "missed":
                    missed.append(index)
                else:
                    other = rng.choice(classes) if kind == "classification" else one["class"]
                    found.append(box(other, rng.uniform(0.5, 0.8), moved(one["bbox"], 6), kind, index))
        if rng.random() < 0.2:
            found.append(box(rng.choice(classes), 0.55, [1.0, 1.0, each["width"] / 3, each["height"] / 3], "background", None))
        models[name] = {"found": found, "missed": missed}
    return {"id": each["id"], "truth": truth, "models": models}


def box(name, score, bbox, kind, truth):
    """A found box of matches.jsonl."""
    return {"class": name, "score": round(score, 4), "bbox": [round(value, 2) for value in bbox], "kind": kind, "truth": truth}


def moved(bbox, by):
    """The box beside it."""
    return [bbox[0] + by, bbox[1], bbox[2] + by, bbox[3]]


def evaluation(folder, images, classes=CLASSES, chain=CHAIN, seed=3, split="val"):
    """metrics.json, curves.json and matches.jsonl of the images, consistent where the page counts, and plausible elsewhere."""
    rng = random.Random(seed)
    lines = [match_line(each, classes, chain, rng) for each in images]
    write(folder / "matches.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    recall = [number / 100 for number in range(101)]
    models, curves = {}, {}
    for place, (name, kind, runtime, share) in enumerate(chain):
        models[name] = model_metrics(
            name, lines, classes, share, {"kind": kind, "runtime": runtime, "version": "2.3.0", "sha256": digest(kind)}
        )
        curves[name] = {"all": curve(share), "classes": {}}
        for number, each in enumerate(classes):
            precision = curve(share - 0.1 * (number % 5) - 0.02 * place)
            curves[name]["classes"][each] = {"precision": precision, "score": [round(1 - value / 2, 4) for value in recall]}
    order = [name for name, _, _, _ in chain]
    ledger = []
    for before, name in zip([None, *order], order, strict=False):
        row = {
            "model": name,
            "kind": models[name]["model"]["kind"],
            "against": before,
            "map": models[name]["map"],
            "map50": models[name]["map50"],
        }
        for key in ("map", "map50"):
            row[key + "_change"] = None if before is None else round(row[key] - models[before][key], 6)
        row["layers_compared"] = (
            None if before is None else [{"layer": "BoxPredictor_0/ClassPredictor", "error": 0.02, "range": [-9.0, 3.0]}]
        )
        ledger.append(row)
    write(folder / "curves.json", {"schema": 1, "iou": 0.5, "recall": recall, "models": curves})
    write(folder / "metrics.json", metrics(lines, classes, models, order, ledger, split))
    return lines


def metrics(lines, classes, models, order, ledger, split):
    """metrics.json."""
    worst = min(ledger[1:], key=lambda row: row["map50_change"], default=None)
    loss = None
    if worst and worst["map50_change"] < 0:
        told = [
            {"layer": "FeatureExtractor/MobilenetV2/expanded_conv_%d/project" % number, "error": 0.05 / (number + 1), "range": [-3.5, 4.0]}
            for number in range(16)
        ]
        loss = {
            "model": worst["model"],
            "against": worst["against"],
            "map_change": worst["map_change"],
            "map50_change": worst["map50_change"],
        }
        summary = {"compared": 16, "only_before": 2, "only_after": 0, "other_shape": [{"layer": "x", "before": 3, "after": 4}]}
        loss.update(layers=told, layers_summary=summary, layers_unknown_because=None)
    objects = [one for line in lines for one in line["truth"] if not one["ignored"]]
    return {
        "schema": 2,
        "protocol": "coco",
        "evaluator": {"name": "pycocotools", "version": "2.0.11"},
        "split": split,
        "images": len(lines),
        "objects": len(objects),
        "crowd_regions": sum(one["ignored"] for line in lines for one in line["truth"]),
        "difficult": 0,
        "per_class": {name: sum(one["class"] == name for one in objects) for name in classes},
        "per_size": {"small": 1, "medium": len(objects) - 1, "large": 0},
        "order": order,
        "threshold": 0.5,
        "models": models,
        "ledger": ledger,
        "largest_loss": loss,
        "gates": [{"name": "max_loss_vs_frozen", "model": order[-1], "class": None, "limit": 0.02, "value": 0.0019, "passed": True}],
    }


def model_metrics(name, lines, classes, share, model):
    """A model's entry in metrics.json: errors and confusion as counted in the lines."""
    labels = [*classes, "background"]
    counts = [[0] * len(labels) for _ in labels]
    errors = dict.fromkeys(KINDS, 0)
    for line in lines:
        own, truth = line["models"][name], line["truth"]
        for each in own["found"]:
            if each["kind"] == "ignored":
                continue
            errors[each["kind"]] += 1
            there = labels.index(truth[each["truth"]]["class"]) if each["kind"] in ("correct", "classification") else len(classes)
            counts[there][labels.index(each["class"])] += 1
        errors["missed"] += len(own["missed"])
        for index in own["missed"]:
            counts[labels.index(truth[index]["class"])][len(classes)] += 1
    best = {"score": 0.52, "precision": round(share, 6), "recall": round(share - 0.05, 6), "f1": round(share - 0.02, 6)}
    truth = [one["class"] for line in lines for one in line["truth"] if not one["ignored"]]
    found = [each["class"] for line in lines for each in line["models"][name]["found"]]
    per_class = []
    for number, each in enumerate(classes):
        ap50 = round(max(0.0, share - 0.03 * (number % 20)), 6)
        row = {
            "class": each,
            "ap": round(ap50 * 0.66, 6),
            "ap50": ap50,
            "ar100": round(ap50 * 0.8, 6),
            "ap_small": None,
            "ap_medium": round(ap50 * 0.66, 6),
        }
        per_class.append({**row, "ap_large": None, "objects": truth.count(each), "detections": found.count(each), "best": best})
    return {
        "model": model,
        "detections": len(found),
        "map": round(share * 0.66, 6),
        "map50": share,
        "map75": round(share * 0.7, 6),
        "map_small": None,
        "map_medium": round(share * 0.66, 6),
        "map_large": None,
        "ar1": 0.5,
        "ar10": round(share * 0.8, 6),
        "ar100": round(share * 0.8, 6),
        "ar_small": None,
        "ar_medium": round(share * 0.8, 6),
        "ar_large": None,
        "per_class": per_class,
        "best": best,
        "confusion": {"labels": labels, "counts": counts},
        "area_bins": [
            {"from": low, "to": high, "objects": number, "found": round(number * share * (0.5 + 0.1 * place))}
            for place, (low, high, number) in enumerate(
                [(0, 0.001, 0), (0.001, 0.01, 40), (0.01, 0.04, 90), (0.04, 0.16, 60), (0.16, 1, 12)]
            )
        ],
        "errors": errors,
    }


def curve(share):
    """101 precisions that fall with the recall, to 0 beyond what is found."""
    return [round(max(0.0, 1 - 0.2 * (number / 100) ** 3), 4) if number / 100 < share else 0.0 for number in range(101)]


def odapi_evaluation(folder, classes=CLASSES, chain=CHAIN, split="val"):
    """The Object Detection API's evaluation: two protocols, of which one could not be computed."""
    order = [name for name, _, _, _ in chain]
    told = {}
    for name, _, _, share in chain:
        rows = [{"class": each, "ap": round(share - 0.01, 6)} for each in classes]
        told[name] = {"map": share - 0.01, "per_class": rows, "metrics": {"PascalBoxes_Precision/mAP@0.5IOU": share - 0.01}}
    models = {
        name: {"model": {"kind": kind, "runtime": runtime, "version": "2.3.0", "sha256": digest(kind)}, "detections": 9}
        for name, kind, runtime, _ in chain
    }
    write(
        folder / "metrics.json",
        {
            "schema": 2,
            "protocol": "odapi",
            "evaluator": {"name": "Object Detection API", "version": "0.0.3"},
            "split": split,
            "images": 5,
            "order": order,
            "models": models,
            "protocols": [
                {"protocol": "pascal-voc", "title": "PASCAL VOC", "iou": 0.5, "models": told, "not_computed_because": None},
                {
                    "protocol": "open-images",
                    "title": "Open Images",
                    "iou": 0.5,
                    "models": {},
                    "not_computed_because": "no image tells which classes were looked for",
                },
            ],
            "ledger": [{"model": name, "kind": kind, "against": None, "map": share, "map_change": None} for name, kind, _, share in chain],
            "gates": [],
        },
    )


# The other artifacts.


def detections(folder, kind, runtime, classes=CLASSES, images=5, split="val"):
    """inference.json and timing.json; the page reads no shard."""
    model = {"kind": kind, "runtime": runtime, "version": "2.3.0", "sha256": digest(kind)}
    told = {
        "schema": 2,
        "split": split,
        "classes": classes,
        "images": images,
        "detections": 9,
        "masks": False,
        "pixels": False,
        "model": model,
        "shards": [],
    }
    write(folder / "inference.json", told)
    took = 0.0123 if kind == "tflite" else 0.0456
    timing = {
        "schema": 2,
        "images": images,
        "processes": 2,
        "seconds_per_image": took,
        "seconds_per_image_p90": took * 1.5,
        "seconds_preparing_per_image": 0.002,
    }
    write(folder / "timing.json", timing)


def training(root, steps=700, delay=300):
    """pipeline-config and checkpoint."""
    changes = [
        {"field": "model.ssd.num_classes", "from": 90, "to": 2, "why": "classes of the label map"},
        {"field": "train_config.batch_size", "from": 24, "to": 8, "why": "override of the pipeline"},
    ]
    config = {"schema": 1, "input_size": [160, 160], "num_classes": 2, "num_steps": steps, "quantization_delay": delay}
    write(root / "configure" / "config.json", {**config, "changes": changes, "warnings": ["the batch is small"]})
    rng = random.Random(2)
    rows = [
        {
            "step": step,
            "loss": 2.4 * math.exp(-step / 150) + 0.3 + rng.uniform(0, 0.25),
            "steps_per_s": 2.1,
            "learning_rate": 0.005 * (1 + math.cos(math.pi * step / steps)),
        }
        for step in range(10, steps + 1, 10)
    ]
    tested = [
        {"step": step, "map": value / 1.7, "map50": value, "loss": 1.5 - value}
        for step, value in [(200, 0.21), (400, 0.69), (600, 0.9), (700, 0.94)]
    ]
    write(root / "train" / "history.json", {"schema": 1, "steps": rows, "evaluations": tested})
    told = {"schema": 1, "step": steps, "prefix": "model.ckpt-%d" % steps, "selected_by": "last", "evaluations": tested}
    write(root / "train" / "checkpoint.json", {**told, "quantization_delay": delay, "num_steps": steps})


def models(root, classes=CLASSES, usable=True):
    """frozen-graph and tflite, without weights."""
    layers = [
        {"name": "FeatureExtractor/MobilenetV2/Conv%s" % name, "op": op, "weights_range": [-1.5, 1.25], "range": [0.0, 6.0], "status": "ok"}
        for name, op in [("/Conv2D", "Conv2D"), ("_1/depthwise", "DepthwiseConv2dNative"), ("_2/Conv2D", "Conv2D")]
    ]
    layers.append({"name": "concat", "op": "ConcatV2", "weights_range": None, "range": [-6, 6], "status": "from inputs"})
    write(root / "freeze" / "fake_quant_audit.json", {"schema": 1, "quantized": True, "layers": layers, "missing": 0})
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
            "postprocess": {"max_detections": 100, "use_regular_nms": False, "nms_score_threshold": 1e-8, "nms_iou_threshold": 0.6},
            "usable": usable,
            "unusable_because": None if usable else "it has dummy ranges [0, 6]",
        },
    )


STAGES = {  # name: (stage, kind, image, seconds, inputs)
    "ingest": ("ingest", "dataset", "data", 0.9, {}),
    "records": ("records", "records", "data", 0.7, {"dataset": ["ingest"]}),
    "configure": ("configure", "pipeline-config", "train", 3.2, {"records": ["records"]}),
    "train": ("train", "checkpoint", "train", 444.4, {"records": ["records"], "config": ["configure"]}),
    "freeze": ("freeze", "frozen-graph", "train", 12.0, {"checkpoint": ["train"]}),
    "convert": ("convert", "tflite", "export", 4.1, {"graph": ["freeze"]}),
    "infer-float": ("infer-checkpoint", "detections", "train", 8.0, {"checkpoint": ["train"], "records": ["records"]}),
    "infer-frozen": ("infer-frozen", "detections", "export", 6.0, {"graph": ["freeze"], "records": ["records"]}),
    "infer-tflite": ("infer-tflite", "detections", "data", 2.0, {"model": ["convert"], "records": ["records"]}),
    "evaluate": (
        "evaluate",
        "evaluation",
        "data",
        1.1,
        {"dataset": ["ingest"], "detections": ["infer-float", "infer-frozen", "infer-tflite"]},
    ),
    "compile": ("compile", "edgetpu", "edgetpu", None, {"model": ["convert"]}),
    "package": (
        "package",
        "package",
        "data",
        0.5,
        {"model": ["convert"], "compiled": [], "graph": ["freeze"], "dataset": ["ingest"], "evaluation": ["evaluate"]},
    ),
}


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
    told = {}
    for into, feeders in inputs.items():
        bound = [
            {"name": feeder, "stage": STAGES[feeder][0], "key": digest("key " + feeder), "digest": digest(feeder)} for feeder in feeders
        ]
        told[into] = bound if into == "detections" else next(iter(bound), None)
    fields = {
        "schema": 1,
        "stage": stage,
        "name": name,
        "kind": kind,
        "key": digest("key " + name),
        "digest": digest(name),
        "source": digest("source " + stage),
        "image": digest(image_name),
        "image_name": image_name,
        "engine": "local",
        "params": lineage(name)[digest("key " + name)]["params"],
        "inputs": told,
        "files": files,
        "tools": {},
        "metrics": {},
        "warnings": [],
        "started": "2026-01-01T00:00:00Z",
        "seconds": seconds,
        "lineage": lineage(name),
    }
    write(folder / "manifest.json", {**fields, **more})
    return {**artifact(name, kind, folder), "key": digest("key " + name), "digest": digest(name)}


def task_run(**states):
    """task.run: every stage ran, but for `states`: {name with _ for -: (state, reason)}."""
    stages = []
    for name, (stage, _, image_name, seconds, inputs) in STAGES.items():
        state, reason = states.get(name.replace("-", "_"), ("ran", None))
        made = state in ("ran", "published")
        told = {
            "name": name,
            "stage": stage,
            "state": state,
            "key": digest("key " + name) if made else None,
            "reason": reason,
            "image": image_name,
        }
        told.update(digest=digest(name) if made else None, seconds=seconds if made else None, optional=name == "compile", inputs=inputs)
        stages.append(told)
    return {"id": "20260101-000000-abcd", "pipeline": "demo", "engine": "local", "stages": stages}


def whole_run(root, classes=CLASSES, usable=True, count=6, chain=CHAIN, **more):
    """Write every artifact but the compiled model under `root`; returns the task's entries, {name: entry}, in the pipeline's order."""
    images = drawn_dataset(root / "ingest", classes, count, **more)
    write(root / "records" / "records.json", {"schema": 1, "classes": classes, "splits": {}})
    training(root)
    models(root, classes, usable)
    for name, kind, runtime, _ in chain:
        if name in STAGES:
            detections(root / name, kind, runtime, classes)
    evaluation(root / "evaluate", [each for each in images if each["split"] == "val"], classes, chain)
    write(root / "package" / "labels.txt", "\n".join(classes) + "\n")
    return {name: manifest(root / name, name) for name in STAGES if name != "compile"}
