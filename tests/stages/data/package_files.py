"""An evaluation as the package stage reads it, and packages made of synthetic runs."""

import hashlib

from synthetic import write
from whole_run import CLASSES, MODEL, digest, whole_run

PROVENANCE = {"provenance.intoto.jsonl": "{}\n"}  # what the host lays down for the stage
BEST = {"score": 0.412, "precision": 0.9, "recall": 0.8, "f1": 0.847}


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


def package_of(run_stage, root, classes=CLASSES, change=None, evaluated=True):
    """The package's folder of a whole synthetic run under `root`. change(root) may alter its files before."""
    entries = whole_run(root, classes)
    write(root / "evaluate" / "metrics.json", metrics(classes))
    if change is not None:
        change(root)
    inputs = {"model": "convert", "graph": "freeze", "dataset": "ingest"}
    bound = {name: entries[step] for name, step in inputs.items()}
    outcome = run_stage(
        "package", {}, {**bound, "compiled": None, "evaluation": entries["evaluate"] if evaluated else None}, scratch=PROVENANCE
    )
    assert outcome.code == 0, outcome.log
    return outcome.output
