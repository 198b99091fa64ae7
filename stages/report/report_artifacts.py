"""The artifacts that a page tells of, by kind; whatever is absent is simply not there."""

import json


class Artifact:
    """One published artifact: `name` (in the pipeline), `kind`, `path`, `key`, `digest`, `manifest` (empty where the folder has none)."""

    def __init__(self, given):
        self.name = given.name
        self.path = given.path
        self.key = given.key
        self.digest = given.digest
        self.manifest = self.json("manifest.json") or {}
        self.kind = self.manifest.get("kind", given.kind)

    def json(self, name):
        """A JSON file of the artifact, or None where it is absent."""
        path = self.path / name
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


class Artifacts:
    """All of them, in the pipeline's order."""

    def __init__(self, given):
        self.all = [Artifact(each) for each in given]

    def of(self, kind):
        """The artifacts of a kind; empty where there is none."""
        return [each for each in self.all if each.kind == kind]

    def first(self, kind):
        """The first of a kind, or None."""
        return next(iter(self.of(kind)), None)

    def lineage(self):
        """{key: {"name", "stage", "key", "image", "params", "inputs"}} of all artifacts and what went into them; `inputs` name steps."""
        merged = {}
        for each in self.all:
            told = each.manifest.get("lineage", {})  # by keys; an older manifest's goes by names
            names = {key: entry.get("name", key) for key, entry in told.items()}
            for key, entry in told.items():
                feeders = {into: [names.get(key_or_name, key_or_name) for key_or_name in bound] for into, bound in entry["inputs"].items()}
                merged[entry["key"]] = dict(entry, name=names[key], inputs=feeders)
        return merged
