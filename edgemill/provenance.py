"""Provenance: what a manifest says of how its artifact was made, as an in-toto Statement v1 with a SLSA provenance v1 predicate.

The rules of the fields: https://github.com/in-toto/attestation/tree/main/spec/v1 and https://slsa.dev/spec/v1.0/provenance.
What each field holds here, and how to check it: docs/provenance.md. A statement depends on the manifest alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote

from edgemill.errors import RequestError
from edgemill.hashing import canonical
from edgemill.kinds import matches

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:edgemill:provenance:stage:v1"
BUILDER = "urn:edgemill:provenance:builder:v1"
VARIABLE = "EDGEMILL_BUILDER"
FILE = "provenance.intoto.jsonl"
MOST_SUBJECTS = 100  # in a brief statement, an artifact of more files is told as one
# Digests that are no plain sha256 of a file's bytes; docs/provenance.md says over what each is taken.
FILES, CONTENT, IMAGE = "edgemill_files", "edgemill_content", "edgemill_image"
_URI = re.compile(r"[a-z][a-z0-9+.-]*:[^\s#]+")

Json = dict[str, Any]


def builder_id(engine: str) -> str:
    """Who vouches for what an engine makes here: EDGEMILL_BUILDER, which a site sets to a name of its own, and the engine.

    Raises:
        RequestError: EDGEMILL_BUILDER is not a URI.
    """
    site = os.environ.get(VARIABLE) or BUILDER
    if not _URI.fullmatch(site):
        raise RequestError(
            f"{VARIABLE} is not the name of a builder",
            where="the environment",
            expected="a URI without a fragment, as in https://ci.example.org/edgemill",
            found=site,
            remedy=f"set it to one, or unset {VARIABLE}",
        )
    return f"{site}#{quote(engine, safe='')}"


def statement(manifest: Mapping[str, Any], *, brief: bool = False) -> Json:
    """The statement of one artifact. A brief one does not name the files of an artifact that has more than MOST_SUBJECTS."""
    files = [entry for entry in manifest["files"] if not matches(manifest["evidence"], entry["path"])]
    evidence = [entry for entry in manifest["files"] if matches(manifest["evidence"], entry["path"])]
    whole = {
        "name": ".",
        "uri": artifact_uri(manifest["stage"], manifest["key"]),
        "digest": {FILES: manifest["digest"]},
        "annotations": {"kind": manifest["kind"], "files": len(files)},
    }
    return {
        "_type": STATEMENT,
        "subject": [whole, *([] if brief and len(files) > MOST_SUBJECTS else map(_file, files))],
        "predicateType": PREDICATE,
        "predicate": {"buildDefinition": _definition(manifest), "runDetails": _run(manifest, evidence)},
    }


def bundle(manifests: Iterable[Mapping[str, Any]], *, brief: bool = False) -> bytes:
    """Statements as JSON Lines, each in canonical JSON."""
    return b"".join(canonical(statement(manifest, brief=brief)) + b"\n" for manifest in manifests)


def artifact_uri(stage: str, key: str) -> str:
    """The package URL of an artifact."""
    return f"pkg:generic/edgemill/artifacts/{quote(stage, safe='')}@{key}"


def base_uri(base: str) -> str:
    """The package URL of an image reference such as `python:3.7-slim-bookworm`."""
    *folders, name = base.partition("@")[0].split("/")
    name, _, tag = name.partition(":")
    place = "/".join(quote(part, safe=":") for part in (*folders, name))
    return f"pkg:docker/{place}" + (f"@{quote(tag, safe='')}" if tag else "")


def _file(entry: Mapping[str, Any]) -> Json:
    return {"name": entry["path"], "digest": {"sha256": entry["sha256"]}}


def _definition(manifest: Mapping[str, Any]) -> Json:
    asked = {"pipeline": manifest.get("pipeline"), "step": manifest["name"], "stage": manifest["stage"], "params": manifest["params"]}
    return {
        "buildType": BUILD_TYPE,
        "externalParameters": {name: value for name, value in asked.items() if value is not None},
        "internalParameters": {"engine": manifest["engine"], "key": manifest["key"]},
        "resolvedDependencies": [*_inputs(manifest), *_sources(manifest), *_environment(manifest)],
    }


def _inputs(manifest: Mapping[str, Any]) -> Iterator[Json]:
    for name, bound in sorted(manifest["inputs"].items()):
        for each in bound if isinstance(bound, list) else [bound] if bound else []:
            yield {
                "name": f"inputs/{name}" + (f"/{each['name']}" if isinstance(bound, list) else ""),
                "uri": artifact_uri(each["stage"], each["key"]),
                "digest": {FILES: each["digest"]},
            }


def _sources(manifest: Mapping[str, Any]) -> Iterator[Json]:
    """The files and folders that parameters name, and the stage's own."""
    for name, value in sorted(manifest["params"].items()):
        if isinstance(value, Mapping) and set(value) == {"sha256"}:  # how a manifest tells of what a path leads to
            yield {"name": f"params/{name}", "digest": {CONTENT: value["sha256"]}}
    if manifest.get("source"):
        yield {
            "name": "stage",
            "uri": f"pkg:generic/edgemill/stages/{quote(manifest['stage'], safe='')}",
            "digest": {FILES: manifest["source"]},
        }


def _environment(manifest: Mapping[str, Any]) -> Iterator[Json]:
    """The image; and, of a container, the public image that it starts from, or what the site uses instead."""
    realised = manifest.get("realised") or {}
    told = {"tools": manifest["tools"], "image_id": realised.get("image_id")}
    yield {
        "name": "image",
        "uri": f"pkg:generic/edgemill/images/{quote(manifest['image_name'], safe='')}",
        "digest": {IMAGE: manifest["image"]},
        "annotations": {name: value for name, value in told.items() if value},
    }
    if realised.get("base"):
        base, _, digest = realised["base"].partition("@sha256:")
        stand_in = {"annotations": {"stand_in": realised["stand_in"]}} if realised.get("stand_in") else {}
        yield {"name": "base", "uri": base_uri(base), **({"digest": {"sha256": digest}} if digest else {}), **stand_in}


def _run(manifest: Mapping[str, Any], evidence: Iterable[Mapping[str, Any]]) -> Json:
    started = datetime.strptime(manifest["started"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    finished = started + timedelta(seconds=manifest["seconds"])
    metadata = {"startedOn": manifest["started"], "finishedOn": finished.strftime("%Y-%m-%dT%H:%M:%SZ")}
    if manifest.get("run"):
        metadata["invocationId"] = f"{manifest['run']}/{manifest['name']}"
    return {
        "builder": {
            "id": manifest.get("builder") or f"{BUILDER}#{quote(manifest['engine'], safe='')}",
            "version": {"edgemill": manifest["edgemill"]} if manifest.get("edgemill") else {},
        },
        "metadata": metadata,
        "byproducts": [_file(entry) for entry in evidence],
    }
