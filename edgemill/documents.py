"""YAML documents that know the line of each value, checked against a JSON Schema."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from edgemill import PROJECT
from edgemill.errors import RequestError

Location = tuple[str | int, ...]

MOST_BYTES = 4 << 20
MOST_VALUES = 200_000  # with aliases a small file can describe an endless document


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads nodes and resolves their tags; `_Builder` makes the values."""


# The core schema of YAML 1.2 (https://yaml.org/spec/1.2.2, 10.3.2), so that `no` and `12:30` are strings and `1e-3` is a number;
# with the merge key of YAML 1.1.
_Loader.yaml_implicit_resolvers = {}
for _tag, _form, _first in (
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", list("-+0123456789")),
    ("float", r"^[-+]?(?:(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))$", list("-+0123456789.")),
    ("float", r"^\.(?:nan|NaN|NAN)$", ["."]),
    ("merge", r"^<<$", ["<"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_form), _first)


@dataclass(frozen=True)
class Document:
    """A parsed YAML file: `data`, and the line (from 1) of each mapping key and list item by its location."""

    path: Path
    data: Any
    lines: Mapping[Location, int]

    def where(self, location: Iterable[str | int] = ()) -> str:
        """`file:line (dotted.location)` of a value; the nearest enclosing one that has a line."""
        location = tuple(location)
        known = location
        while known and known not in self.lines:
            known = known[:-1]
        dotted = ".".join(str(part) for part in location)
        return f"{display(self.path)}:{self.lines.get(known, 1)}" + (f" ({dotted})" if dotted else "")


def display(path: Path) -> str:
    """A path as the user would type it: relative to the current folder where it lies below it."""
    for base in (Path.cwd(), PROJECT):
        try:
            return str(path.relative_to(base))
        except ValueError:
            continue
    return str(path)


def load_yaml(path: Path) -> Document:
    """Read one YAML document.

    Raises:
        RequestError: missing, not UTF-8, not YAML, a duplicate key, an alias to itself, or beyond all bounds.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise RequestError("the file is too large for what it is", where=display(path), expected=f"at most {MOST_BYTES} bytes")
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise RequestError("no such file", where=display(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"the file cannot be read: {error}", where=display(path)) from None
    return parse_yaml(text, path)


def parse_yaml(text: str, path: Path) -> Document:
    """Parse YAML text into what JSON can say; `path` is used for messages. Raises as `load_yaml`."""
    builder = _Builder(path)
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
        data = None if node is None else builder.value(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise RequestError(f"not valid YAML: {error.problem or error.context}", where=f"{display(path)}:{line}") from None
    except RecursionError:
        raise RequestError("not valid YAML: values within values, too deep", where=display(path)) from None
    except (yaml.YAMLError, ValueError) as error:
        raise RequestError(f"not valid YAML: {error}", where=display(path)) from None
    return Document(path, data, builder.lines)


def parse_value(text: str) -> Any:
    """A value as it would be read from a YAML file, for `--set`. Raises RequestError."""
    return parse_yaml(text, Path("--set")).data


class _Builder:
    """Makes plain values of YAML nodes, and notes the line of each; whatever JSON cannot say is refused with its line."""

    def __init__(self, path: Path) -> None:
        self.lines: dict[Location, int] = {}
        self._path = path
        self._above: list[yaml.Node] = []
        self._made = 0

    def value(self, node: yaml.Node, location: Location) -> Any:
        """The value of a node that stands at `location`."""
        if any(node is outer for outer in self._above):
            raise self._wrong(node, "an alias refers to what contains it")
        self._made += 1
        if self._made > MOST_VALUES:
            raise RequestError("the document describes too many values", where=display(self._path), expected=f"at most {MOST_VALUES}")
        self._above.append(node)
        tag = node.tag.removeprefix("tag:yaml.org,2002:")
        value: Any
        if isinstance(node, yaml.MappingNode) and tag == "map":
            value = self._mapping(node, location)
        elif isinstance(node, yaml.SequenceNode) and tag == "seq":
            value = []
            for number, item in enumerate(node.value):
                here = (*location, number)
                self.lines[here] = item.start_mark.line + 1
                value.append(self.value(item, here))
        elif isinstance(node, yaml.ScalarNode):
            value = self._scalar(node, tag)
        else:
            raise self._wrong(node, f"the tag {node.tag!r} is not accepted")
        self._above.pop()
        return value

    def _mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, Any]:
        values: dict[str, Any] = {}
        first: dict[str, int] = {}
        merged: list[yaml.Node] = []
        for key, item in node.value:
            line = key.start_mark.line + 1
            if key.tag == "tag:yaml.org,2002:merge":
                merged += item.value if isinstance(item, yaml.SequenceNode) else [item]
                continue
            if not isinstance(key, yaml.ScalarNode):
                raise self._wrong(key, "a key must be a plain word")
            if key.value in values:
                raise self._wrong(key, f"the key {key.value!r} is given twice", found=f"first on line {first[key.value]}")
            first[key.value] = line
            here = (*location, key.value)
            self.lines[here] = line
            values[key.value] = self.value(item, here)
        for base in merged:
            if not isinstance(base, yaml.MappingNode):
                raise self._wrong(base, "`<<` takes a mapping, or a list of them")
            for name, value in self.value(base, location).items():
                values.setdefault(name, value)
        return values

    def _scalar(self, node: yaml.ScalarNode, tag: str) -> Any:
        text: str = node.value
        try:
            if tag in ("str", "merge"):
                return text
            if tag == "null":
                return None
            if tag == "bool":
                return {"true": True, "false": False}[text.lower()]
            if tag == "int":
                return int(text, 0) if text.startswith(("0o", "0x")) else int(text)
            if tag == "float":
                number = float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
                if math.isfinite(number):
                    return number
                raise self._wrong(node, "a number must be finite", found=shorten(text))
        except (KeyError, ValueError):
            raise self._wrong(node, f"not a value of the type {tag!r}", found=shorten(text)) from None
        raise self._wrong(node, f"the tag {node.tag!r} is not accepted")

    def _wrong(self, node: yaml.Node, what: str, found: str | None = None) -> RequestError:
        return RequestError(what, where=f"{display(self._path)}:{node.start_mark.line + 1}", found=found)


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The word most like `word`, for "did you mean"."""
    close = difflib.get_close_matches(word, list(words), n=1, cutoff=0.5)
    return close[0] if close else None


def unknown_name(what: str, word: str, words: Iterable[str], where: str) -> RequestError:
    """An error for a name that does not exist, with the nearest right one."""
    words = sorted(words)
    guess = nearest(word, words)
    return RequestError(
        f"unknown {what} {word!r}",
        where=where,
        expected=("one of " + ", ".join(words)) if words else f"no {what} is known here",
        remedy=f"did you mean {guess!r}?" if guess else None,
    )


def check(document: Document, schema: Mapping[str, Any], location: Location = (), value: Any = None) -> None:
    """Check `value` (the whole document by default), which stands at `location`, against a JSON Schema.

    Raises:
        RequestError: with file and line, what was expected and found, and the nearest right name for an unknown key.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError, UnknownType, best_match

    value = document.data if value is None and not location else value
    try:
        error = best_match(Draft202012Validator(schema).iter_errors(value))
    except (SchemaError, UnknownType, re.error, TypeError, AttributeError) as defect:
        raise RequestError(
            "what is declared there is not a JSON Schema", where=document.where(location), found=f"{type(defect).__name__}: {defect}"
        ) from None
    if error is None:
        return
    place = (*location, *error.absolute_path)
    if error.validator == "additionalProperties" and isinstance(error.instance, Mapping):
        known = error.schema.get("properties", {})
        extra = sorted(str(key) for key in error.instance if key not in known)
        if extra:
            raise unknown_name("key", extra[0], known, document.where((*place, extra[0])))
    raise RequestError(
        f"{place[-1] if place else 'the document'!s}: {_wish(error.validator)}",
        where=document.where(place),
        expected=_expected(error.validator, error.validator_value),
        found=shorten(error.instance),
    )


def _wish(validator: str) -> str:
    return {
        "type": "wrong type",
        "enum": "not one of the accepted values",
        "required": "something is missing",
        "pattern": "not of the accepted form",
    }.get(validator, "not acceptable")


def _expected(validator: str, wanted: Any) -> str:
    if validator == "type":
        return " or ".join(wanted) if isinstance(wanted, list) else str(wanted)
    if validator == "enum":
        return "one of " + ", ".join(str(item) for item in wanted)
    if validator == "required":
        return "the keys " + ", ".join(wanted)
    return f"{validator} {wanted}"


def shorten(value: Any) -> str:
    """A value and its type, cut where it is long."""
    text = repr(value)
    return f"{text if len(text) <= 200 else text[:200] + '…'} ({type(value).__name__})"


def as_list(value: Any) -> list[Any]:
    """A list as it is, anything else as one of its own."""
    return value if isinstance(value, list) else [value]
