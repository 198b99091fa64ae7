"""The artifacts that a page tells of, by kind; whatever is absent is simply not there."""

import json
from pathlib import Path

from _runtime import StageError

CHECKPOINTS = ("checkpoint", "checkpoint-tf2", "checkpoint-garden")
CONFIGS = ("pipeline-config", "experiment-config")


class Artifact:
    """One published artifact: `name` (in the pipeline), `kind`, `path`, `key`, `digest`, `manifest` (empty where the folder has none)."""

    def __init__(self, given, name=None):
        self.name = given.name if name is None else name
        self.path = Path(str(given.path))
        self.key = given.key
        self.digest = given.digest
        self.manifest = self.json("manifest.json") or {}
        self.kind = self.manifest.get("kind", given.kind)

    def json(self, name):
        """A JSON file of the artifact, or None where it is absent; what is no number (NaN, Infinity) is None. Raises StageError."""
        path = self.path / name
        if not path.is_file():
            return None
        try:
            return json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda _: None)
        except (OSError, ValueError) as error:
            raise StageError("a file of an artifact cannot be read", path, "JSON", str(error), "build it again") from None

    def bytes_of(self, name):
        """Size of a file in bytes, or None where it is absent."""
        path = self.path / name
        return path.stat().st_size if path.is_file() else None


class Artifacts:
    """All of them, in the pipeline's order. given: the task's inputs; names: their names, where the task's are others."""

    def __init__(self, given, names=None):
        self.all = [Artifact(each, name) for each, name in zip(given, names or [None] * len(given), strict=True)]

    def of(self, *kinds):
        """The artifacts of these kinds; empty where there is none."""
        return [each for each in self.all if each.kind in kinds]

    def first(self, *kinds):
        """The first of these kinds, or None."""
        return next(iter(self.of(*kinds)), None)

    def dataset_of(self, name):
        """The dataset that the artifact of that name was made of, or else the first there is; None without any."""
        inputs = next((each.manifest.get("inputs") or {} for each in self.all if each.name == name), {})
        keys = [each["key"] for each in bound(inputs.get("dataset"))]
        return next((each for each in self.of("dataset") if each.key in keys), self.first("dataset"))

    def lineage(self):
        """{key: {"name", "stage", "key", "image", "params", "inputs"}} of all artifacts and what went into them, each after what feeds it.

        `inputs` name steps.
        """
        merged = {}
        for each in self.all:
            told = each.manifest.get("lineage", {})  # by keys; an older manifest's goes by names
            keys = {key: entry["key"] for key, entry in told.items()}
            for key, entry in told.items():
                feeders = {into: [keys.get(feeder, feeder) for feeder in feeders] for into, feeders in entry["inputs"].items()}
                merged[entry["key"]] = dict(entry, name=entry.get("name", key), inputs=feeders)
        ordered = {}
        for each in self.all:
            _add(each.key, merged, ordered)
        for key in merged:
            _add(key, merged, ordered)
        return ordered


def _add(key, merged, ordered):
    """Put an entry behind those that feed it, with their names for their keys."""
    if key in merged and key not in ordered:
        inputs = merged[key]["inputs"]
        for feeders in inputs.values():
            for feeder in feeders:
                _add(feeder, merged, ordered)
        named = {into: [merged.get(feeder, {}).get("name", feeder) for feeder in feeders] for into, feeders in inputs.items()}
        ordered[key] = dict(merged[key], inputs=named)


def bound(value):
    """What a manifest says of an input, as a list: a `many` input is one, another is a dict or None."""
    return value if isinstance(value, list) else [value] if value else []


def flatten(value, prefix=""):
    """[(dotted name, value as text)] of nested parameters; a file or folder is its sha256."""
    if isinstance(value, dict) and value and set(value) != {"sha256"}:
        return [pair for name, each in value.items() for pair in flatten(each, f"{prefix}.{name}" if prefix else name)]
    if isinstance(value, dict) and value:
        return [(prefix, f"content sha256 {value['sha256']}")]
    return [(prefix, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))]
