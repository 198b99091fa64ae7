"""Stage contracts: `stages/<name>/stage.yaml`, what a stage needs, takes and makes."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgemill import PROJECT, SCHEMA
from edgemill.documents import as_list, check, load_yaml, unknown_name
from edgemill.errors import RequestError
from edgemill.hashing import digest_files, digest_of, sha256_file, walk
from edgemill.kinds import ANY

STAGES = PROJECT / "stages"
PROGRAM = "run.py"
DEFAULT_PIDS = 1024  # processes and threads of a stage; TensorFlow starts some dozens
RUNTIME = "_runtime"

_INPUT = {
    "type": "object",
    "additionalProperties": False,
    "required": ["kind"],
    "properties": {
        "kind": {"type": ["string", "array"], "items": {"type": "string"}, "minItems": 1},
        "optional": {"type": "boolean"},
        "many": {"type": "boolean"},
        "help": {"type": "string"},
    },
}
# Of JSON Schema, what a parameter may say.
_KEYWORDS = ["default", "enum", "format", "items", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems"]
_KEYWORDS += ["uniqueItems", "minLength", "maxLength", "pattern", "properties", "additionalProperties"]
_TYPES = ["string", "integer", "number", "boolean", "array", "object"]
_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["schema", "help", "image", "output"],
    "properties": {
        "schema": {"const": SCHEMA},
        "help": {"type": "string"},
        "image": {"type": "string"},
        "uses": {"type": "array", "items": {"type": "string", "pattern": "^_"}},
        "inputs": {"type": "object", "additionalProperties": _INPUT},
        "output": {"type": "object", "additionalProperties": False, "required": ["kind"], "properties": {"kind": {"type": "string"}}},
        "params": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,  # a description with a comma and without quotes would leave its end as a key
                "required": ["type", "description"],
                "properties": {**{key: {} for key in _KEYWORDS}, "description": {"type": "string"}, "type": {"enum": _TYPES}},
            },
        },
        "tools": {"type": "array", "items": {"type": "string"}},
        "resumable": {"type": "boolean"},
        "network": {"type": "boolean"},
        "sees_run": {"type": "boolean"},
        "sees_provenance": {"type": "boolean"},
        "timeout": {"type": "number", "exclusiveMinimum": 0},
        "cpus": {"type": "integer", "minimum": 1},
        "gpus": {"type": "integer", "minimum": 0},
        "pids": {"type": "integer", "minimum": 1},
        "memory": {"type": "string", "pattern": "^[0-9]+(MiB|GiB)$"},
    },
}


@dataclass(frozen=True)
class InputRule:
    """An input of a stage: the kinds of which it takes one; whether it may be absent; whether it is a list."""

    kinds: tuple[str, ...]
    optional: bool
    many: bool
    help: str

    @property
    def wanted(self) -> str:
        """The kinds in words."""
        return " or ".join(self.kinds)

    def takes(self, kind: str) -> bool:
        """Whether an artifact of this kind fits."""
        return kind in self.kinds or ANY in self.kinds


@dataclass(frozen=True)
class Contract:
    """What a stage declares.

    `timeout` in seconds, `memory` in bytes, `pids` the most processes and threads; `params` maps a name to its JSON Schema.
    """

    name: str
    folder: Path
    help: str
    image: str
    uses: tuple[str, ...]
    inputs: Mapping[str, InputRule]
    output: str
    params: Mapping[str, Mapping[str, Any]]
    tools: tuple[str, ...]
    resumable: bool
    network: bool
    sees_run: bool
    sees_provenance: bool
    timeout: float
    cpus: int
    memory: int
    gpus: int
    pids: int

    @property
    def program(self) -> Path:
        """The program that the engine runs (a copy of) with the image's Python."""
        return self.folder / PROGRAM

    def params_schema(self) -> dict[str, Any]:
        """The JSON Schema of a stage's `params` in a pipeline."""
        return {"type": "object", "additionalProperties": False, "properties": dict(self.params)}

    def is_path(self, param: str) -> bool:
        """Whether the parameter names a file or folder whose contents count, or is a list of such."""
        schema = self.params[param]
        return "path" in (schema.get("format"), (schema.get("items") or {}).get("format"))

    def defaults(self) -> dict[str, Any]:
        """Every parameter with its default; None where it has none."""
        return {name: schema.get("default") for name, schema in self.params.items()}

    def meaning(self) -> str:
        """Digest of what of the contract belongs in a key: not help, limits or resources."""
        inputs = {name: [rule.kinds[0] if len(rule.kinds) == 1 else list(rule.kinds), rule.many] for name, rule in self.inputs.items()}
        declared = [self.name, self.image, inputs, self.output, self.network, self.sees_run, sorted(self.tools)]
        return digest_of([*declared, "sees_provenance"] if self.sees_provenance else declared)

    def source(self, copy: Path | None = None) -> str:
        """Digest of the stage's source files and of the shared folders that it uses; of a `copy_source` where one is named."""
        return digest_files((name, sha256_file(path), path.stat().st_size) for name, path in self._sources(copy or self.folder.parent))

    def copy_source(self, place: Path) -> None:
        """Copy the stage's folder and the shared ones that it uses into `place`."""
        for name, path in self._sources(self.folder.parent):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place / name)

    def _sources(self, stages: Path) -> Iterator[tuple[str, Path]]:
        for folder in (self.folder.name, RUNTIME, *self.uses):
            for name, entry, _ in walk(stages / folder):
                if name != "stage.yaml" and is_source(name):
                    yield f"{folder}/{name}", Path(entry.path)


def is_source(name: str) -> bool:
    """Whether a file of a stage's folder counts: byte code and what editors hide do not."""
    return not name.endswith(".pyc") and not any(part == "__pycache__" or part.startswith(".") for part in name.split("/"))


def _bytes(text: str) -> int:
    number, unit = re.fullmatch(r"(\d+)(MiB|GiB)", text).groups()  # type: ignore[union-attr]
    return int(number) << {"MiB": 20, "GiB": 30}[unit]


def stage_names(stages: Path = STAGES) -> list[str]:
    """The stages that exist: folders with a stage.yaml."""
    return sorted(path.parent.name for path in stages.glob("*/stage.yaml"))


def load_contract(name: str, stages: Path = STAGES, where: str = "") -> Contract:
    """The contract of one stage.

    Raises:
        RequestError: there is no such stage (the nearest one is named), or its contract is wrong.
    """
    folder = stages / name
    if (folder.parent, folder.name) != (stages, name) or not (folder / "stage.yaml").is_file():
        raise unknown_name("stage", name, stage_names(stages), where or str(stages))
    document = load_yaml(folder / "stage.yaml")
    check(document, _SCHEMA)
    fields = document.data
    if not (folder / PROGRAM).is_file():
        raise RequestError(f"the stage {name!r} has no program", where=str(folder), expected=PROGRAM)
    for used in fields.get("uses", ()):
        if not (stages / used).is_dir():
            raise RequestError(f"there is no shared folder {used!r}", where=document.where(("uses",)))
    inputs = {
        key: InputRule(tuple(as_list(rule["kind"])), rule.get("optional", False), rule.get("many", False), rule.get("help", ""))
        for key, rule in fields.get("inputs", {}).items()
    }
    contract = Contract(
        name=name,
        folder=folder,
        help=fields["help"],
        image=fields["image"],
        uses=tuple(fields.get("uses", ())),
        inputs=inputs,
        output=fields["output"]["kind"],
        params=fields.get("params", {}),
        tools=tuple(fields.get("tools", ())),
        resumable=fields.get("resumable", False),
        network=fields.get("network", False),
        sees_run=fields.get("sees_run", False),
        sees_provenance=fields.get("sees_provenance", False),
        timeout=fields.get("timeout", 3600),
        cpus=fields.get("cpus", 1),
        memory=_bytes(fields.get("memory", "1GiB")),
        gpus=fields.get("gpus", 0),
        pids=fields.get("pids", DEFAULT_PIDS),
    )
    check(
        document, contract.params_schema(), ("params",), {name: value for name, value in contract.defaults().items() if value is not None}
    )
    return contract
