"""The page's part on how each artifact was made: what its manifest says."""

from _report.artifacts import bound, flatten
from _report.page import count, in_bytes, plain, seconds


def provenance(artifacts):
    """[{"name", "facts", "inputs", "params"}] of each artifact that has a manifest."""
    return [_told(each) for each in artifacts.all if each.manifest]


def _told(artifact):
    manifest = artifact.manifest
    files = manifest.get("files") or []
    facts = [
        ("stage", manifest.get("stage")),
        ("kind", artifact.kind),
        ("key", artifact.key),
        ("digest", artifact.digest),
        ("program (digest of its source)", manifest.get("source")),
        ("image", manifest.get("image_name")),
        ("image's identity", manifest.get("image")),
        ("what really ran", _flat(manifest.get("realised"))),
        ("engine", manifest.get("engine")),
        ("EdgeMill", manifest.get("edgemill")),
        ("builder", manifest.get("builder")),
        ("run", manifest.get("run")),
        ("pipeline", manifest.get("pipeline")),
        ("started", manifest.get("started")),
        ("time", seconds(manifest["seconds"]) if manifest.get("seconds") is not None else None),
        ("files", f"{count(len(files))}, {in_bytes(sum(file['bytes'] for file in files))}" if files else None),
    ]
    return {
        "name": artifact.name,
        "facts": [(name, plain(value)) for name, value in facts if value not in (None, "", {})],
        "inputs": list(_inputs(manifest.get("inputs") or {})),
        "params": flatten(manifest["params"]) if manifest.get("params") else [],
    }


def _inputs(inputs):
    for name, value in inputs.items():
        for each in bound(value):
            yield {"input": name, "name": each.get("name"), "key": each.get("key"), "digest": each.get("digest")}


def _flat(value):
    """A small object in one line."""
    return ", ".join(f"{name} {each}" for name, each in flatten(value)) if isinstance(value, dict) and value else value
