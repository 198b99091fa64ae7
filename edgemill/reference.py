"""The reference page and the pipelines' JSON Schema, written from the declarations so that neither can fall behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgemill import PROJECT
from edgemill.contracts import STAGES, Contract, load_contract, stage_names
from edgemill.files import write_bytes
from edgemill.images import load_images
from edgemill.kinds import load_kinds
from edgemill.pipelines import PIPELINE_SCHEMA, STEP_SCHEMA

PAGE = PROJECT / "docs" / "reference.md"
SCHEMA_FILE = PROJECT / "docs" / "pipeline.schema.json"


def write_reference() -> list[Path]:
    """Write the page and the schema; returns those that changed."""
    changed = []
    for path, text in contents().items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            write_bytes(path, text.encode())
            changed.append(path)
    return changed


def contents() -> dict[Path, str]:
    """What each file should say now."""
    return {PAGE: "\n".join(_page()) + "\n", SCHEMA_FILE: json.dumps(pipeline_schema(), indent=1, sort_keys=True) + "\n"}


def pipeline_schema() -> dict[str, Any]:
    """A JSON Schema for pipeline files, with every stage's parameters: an editor can complete and check with it."""
    contracts = [load_contract(name) for name in stage_names()]
    by_name = {contract.name: _step_schema(contract) for contract in contracts}
    stages = {**PIPELINE_SCHEMA["properties"]["stages"], "properties": by_name}
    properties = {**PIPELINE_SCHEMA["properties"], "stages": stages}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **PIPELINE_SCHEMA, "properties": properties}


def _step_schema(contract: Contract) -> dict[str, Any]:
    """The schema of a step that has its stage's name; one of another name says its `stage` and is checked when it is loaded."""
    inputs = {name: {"description": rule.help or f"an artifact of kind {rule.wanted}"} for name, rule in contract.inputs.items()}
    own = {
        "params": contract.params_schema(),
        "inputs": {"type": "object", "additionalProperties": False, "properties": inputs},
    }
    unnamed = {"properties": own, "not": {"required": ["stage"]}}
    return {**STEP_SCHEMA, "description": contract.help, "anyOf": [{"type": "null"}, {"required": ["stage"]}, unnamed]}


def _page() -> Iterator[str]:
    yield "# Reference\n"
    yield "Written by `./mill docs` from `stages/*/stage.yaml`, `stages/kinds.yaml` and `docker/images.yaml`; change those.\n"
    yield "## Stages\n"
    for name in stage_names():
        yield from _stage(load_contract(name))
    yield "## Artifact kinds\n"
    yield "| kind | what it holds | files | not part of its digest |\n|---|---|---|---|"
    for kind in load_kinds(STAGES / "kinds.yaml").values():
        files = ", ".join(f"`{rule.path}`" + (" (optional)" if rule.optional else "") for rule in kind.files)
        yield f"| {kind.name} | {_cell(kind.help)} | {files} | {', '.join(f'`{pattern}`' for pattern in kind.evidence)} |"
    yield "\n## Images\n"
    yield "| image | what it is | Python | patches | from outside PyPI |\n|---|---|---|---|---|"
    for image in load_images().values():
        tools = ", ".join(f"{tool} {version}" for tool, version in image.tools.items())
        yield f"| {image.name} | {_cell(image.help)} | {image.python} | {image.patches.name if image.patches else ''} | {tools} |"


def _stage(contract: Contract) -> Iterator[str]:
    yield f"### {contract.name}\n"
    yield f"{contract.help} Image `{contract.image}`; makes `{contract.output}`" + (
        "; goes on where it was when it is run again after a stop.\n" if contract.resumable else ".\n"
    )
    if contract.inputs:
        yield "| input | kind | |\n|---|---|---|"
        for name, rule in contract.inputs.items():
            notes = [word for word, holds in (("optional", rule.optional), ("several", rule.many)) if holds]
            yield f"| `{name}` | {rule.wanted} | {_cell('; '.join([*notes, rule.help] if rule.help else notes))} |"
        yield ""
    if contract.params:
        yield "| parameter | type | default | |\n|---|---|---|---|"
        for name, schema in contract.params.items():
            default = f"`{json.dumps(schema['default'])}`" if "default" in schema else ""
            yield f"| `{name}` | {_type(schema)} | {default} | {_cell(schema['description'])} |"
        yield ""


def _type(schema: Any) -> str:
    if "enum" in schema:
        return " \\| ".join(str(value) for value in schema["enum"])
    if schema.get("format") == "path":
        return "path"
    if (schema.get("items") or {}).get("format") == "path":
        return "paths"
    limits = [
        f"{sign} {schema[key]}"
        for key, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))
        if key in schema
    ]
    return " ".join([str(schema["type"]), ", ".join(limits)]).strip()


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
