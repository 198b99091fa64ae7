"""Two runs to compare: the second was trained otherwise, and finds less."""

import json

from run_files import CHAIN, STAGES, digest, evaluation, manifest, read, whole_run, write

SHARED = ("ingest", "records", "configure")  # what both have in common
RETRAINED = [(name, kind, runtime, round(share - 0.1, 2)) for name, kind, runtime, share in CHAIN]
RECORDS = {
    "first": {"name": "cards", "pipeline": "cards", "run": "20260101-000000-aaaa", "state": "done", "started": "2026-01-01T00:00:00Z"},
    "second": {"name": "longer", "pipeline": "longer", "run": "20260102-000000-bbbb", "state": "done", "started": "2026-01-02T00:00:00Z"},
}
# The kinds that the host hands over.
READ = ("ingest", "train", "convert", "infer-float", "infer-frozen", "infer-tflite", "evaluate")


def two_runs(root, change=None, **more):
    """Write both; returns the stage's inputs. change: called with the folders of both before the manifests are written."""
    folders = [root / "first", root / "second"]
    entries = [whole_run(folder, **more) for folder in folders]
    images = [
        {**json.loads(line), "split": "val"} for line in (folders[1] / "ingest" / "val.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    evaluation(folders[1] / "evaluate", images, more.get("classes", ["circle", "square"]), RETRAINED, seed=9)
    if change:
        change(*folders)
    first = {name: manifest(folders[0] / name, name) for name in entries[0]}
    second = {name: _retrained(folders[1] / name, name) for name in entries[1]}
    return {side: [{**of[name], "name": f"{side}.{name}"} for name in READ] for side, of in (("first", first), ("second", second))}


def other(text):
    """Another hash."""
    return digest("other " + text)


def _retrained(folder, name):
    """The manifest of an artifact that came out otherwise, because the training had other parameters."""
    own = manifest(folder, name)
    if name in SHARED:
        return own
    told = read(folder / "manifest.json")
    keys = {key: other(key) for key, each in told["lineage"].items() if each["name"] not in SHARED}
    lineage = {}
    for key, each in told["lineage"].items():
        inputs = {into: [keys.get(feeder, feeder) for feeder in feeders] for into, feeders in each["inputs"].items()}
        entry = {**each, "key": keys.get(key, key), "inputs": inputs}
        if key in keys:
            entry["digest"] = other(each["digest"])
        if each["name"] == "train":
            entry["params"] = {"evaluate_every": 400, "augment": {"flip": True}}
        lineage[entry["key"]] = entry
    told.update(lineage=lineage, key=other(told["key"]), digest=other(told["digest"]))
    write(folder / "manifest.json", told)
    return {**own, "key": told["key"], "digest": told["digest"]}


def recorded(state="ran", names=STAGES):
    """The stages of a run's record."""
    return {name: {"state": state, "key": digest("key " + name), "digest": digest(name), "optional": True} for name in names}
