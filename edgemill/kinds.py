"""Artifact kinds: what a valid artifact holds, declared in `stages/kinds.yaml`."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgemill import PROJECT, SCHEMA
from edgemill.documents import check, load_yaml
from edgemill.errors import StageFailedError

ANY = "any"
RESERVED = frozenset({"manifest.json"})

_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["schema", "kinds"],
    "properties": {
        "schema": {"const": SCHEMA},
        "kinds": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "required": ["help", "files"],
                "properties": {
                    "help": {"type": "string"},
                    "evidence": {"type": "array", "items": {"type": "string"}},
                    "files": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "additionalProperties": False,
                            "required": ["path"],
                            "properties": {
                                "path": {"type": "string"},
                                "optional": {"type": "boolean"},
                                "min_bytes": {"type": "integer", "minimum": 1},
                                "json": {"type": "array", "items": {"type": "string"}},
                                "magic": {
                                    "type": "object",
                                    "additionalProperties": False,
                                    "required": ["offset", "ascii"],
                                    "properties": {"offset": {"type": "integer", "minimum": 0}, "ascii": {"type": "string"}},
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}


@dataclass(frozen=True)
class FileRule:
    """What each file that matches `path` must be. Sizes in bytes; `magic` is (offset, bytes)."""

    path: str
    optional: bool = False
    min_bytes: int = 0
    json: tuple[str, ...] | None = None
    magic: tuple[int, bytes] | None = None


@dataclass(frozen=True)
class Kind:
    """A kind of artifact: its file rules, and the patterns of files that are kept but not part of its digest."""

    name: str
    help: str
    files: tuple[FileRule, ...]
    evidence: tuple[str, ...]

    def is_evidence(self, path: str) -> bool:
        """Whether the file may differ from run to run without changing the result."""
        return matches(self.evidence, path)

    def meaning(self) -> list[Any]:
        """What of the declaration belongs in a stage's key."""
        rules = [
            [rule.path, rule.optional, rule.min_bytes, rule.json, rule.magic and [rule.magic[0], rule.magic[1].hex()]]
            for rule in self.files
        ]
        return [self.name, rules, sorted(self.evidence)]

    def validate(self, folder: Path, names: Sequence[str]) -> None:
        """Check the files `names` (relative, with `/`) below `folder`.

        Raises:
            StageFailedError: naming the first file that is missing, too small or not what its name says.
        """
        for name in names:
            if name in RESERVED:
                raise StageFailedError("it wrote a file that the build system writes", where=str(folder / name))
        for rule in self.files:
            matching = [name for name in names if _pattern(rule.path).fullmatch(name)]
            if not matching and not rule.optional:
                raise StageFailedError(
                    f"the artifact is not a valid {self.name}",
                    where=str(folder),
                    expected=f"a file {rule.path}",
                    found=", ".join(names[:8]) or "nothing",
                )
            for name in matching:
                self._validate_file(folder / name, rule)

    def _validate_file(self, path: Path, rule: FileRule) -> None:
        def invalid(expected: str, found: str) -> StageFailedError:
            return StageFailedError(f"the artifact is not a valid {self.name}", where=str(path), expected=expected, found=found)

        size = path.stat().st_size
        if size < rule.min_bytes:
            raise invalid(f"at least {rule.min_bytes} bytes", f"{size} bytes")
        if rule.magic is not None:
            offset, magic = rule.magic
            with path.open("rb") as stream:
                stream.seek(offset)
                start = stream.read(len(magic))
            if start != magic:
                raise invalid(f"{magic!r} at byte {offset}", repr(start))
        if rule.json is not None:
            try:
                content = json.loads(path.read_bytes())
            except (ValueError, RecursionError) as error:
                raise invalid("JSON", str(error) if isinstance(error, ValueError) else "values within values, too deep") from None
            missing = sorted(set(rule.json) - set(content)) if isinstance(content, dict) else ["a JSON object"]
            if missing:
                raise invalid("the keys " + ", ".join(rule.json), "without " + ", ".join(missing))


def matches(patterns: Sequence[str], path: str) -> bool:
    """Whether one of the patterns of a declaration names the file."""
    return any(_pattern(pattern).fullmatch(path) for pattern in patterns)


@functools.cache
def _pattern(glob: str) -> re.Pattern[str]:
    """A glob as a regular expression: `**` crosses folders, `*` does not."""
    parts = re.split(r"(\*\*|\*)", glob)
    return re.compile("".join({"**": ".*", "*": "[^/]*"}.get(part, re.escape(part)) for part in parts), re.DOTALL)


def load_kinds(path: Path = PROJECT / "stages" / "kinds.yaml") -> dict[str, Kind]:
    """All kinds by name. Raises RequestError where the declaration is wrong."""
    document = load_yaml(path)
    check(document, _SCHEMA)
    return {name: _kind(name, fields) for name, fields in document.data["kinds"].items()}


def _kind(name: str, fields: dict[str, Any]) -> Kind:
    rules = tuple(
        FileRule(
            path=rule["path"],
            optional=rule.get("optional", False),
            min_bytes=rule.get("min_bytes", 0),
            json=tuple(rule["json"]) if "json" in rule else None,
            magic=(rule["magic"]["offset"], rule["magic"]["ascii"].encode()) if "magic" in rule else None,
        )
        for rule in fields["files"]
    )
    return Kind(name, fields["help"], rules, tuple(fields.get("evidence", ())))
