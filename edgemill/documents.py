"""YAML documents that know the line of each value, checked against a JSON Schema."""

from __future__ import annotations

import difflib
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
    """Safe YAML with the scalars of YAML 1.2: `no` is a string, `1e-3` a number."""


_Loader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] not in {"tag:yaml.org,2002:bool", "tag:yaml.org,2002:float", "tag:yaml.org,2002:timestamp"}]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"),
    list("-+0123456789."),
)


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
    """Parse YAML text; `path` is used for messages. Raises as `load_yaml`."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        lines: dict[Location, int] = {}
        if node is not None:
            _index(node, (), lines, path, [])
        data = None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise RequestError(f"not valid YAML: {error.problem or error.context}", where=f"{display(path)}:{line}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RequestError(f"not valid YAML: {type(error).__name__}: {error}", where=display(path)) from None
    finally:
        loader.dispose()
    return Document(path, data, lines)


def parse_value(text: str) -> Any:
    """A value as it would be read from a YAML file, for `--set`. Raises RequestError."""
    return parse_yaml(text, Path("--set")).data


def _index(node: yaml.Node, location: Location, lines: dict[Location, int], path: Path, above: list[yaml.Node]) -> None:
    if any(node is outer for outer in above):
        raise RequestError("an alias refers to what contains it", where=f"{display(path)}:{node.start_mark.line + 1}")
    if len(lines) > MOST_VALUES:
        raise RequestError("the document describes too many values", where=display(path), expected=f"at most {MOST_VALUES}")
    above.append(node)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise RequestError("a key must be a plain word", where=f"{display(path)}:{key.start_mark.line + 1}")
            here = (*location, key.value)
            if here in lines:
                raise RequestError(
                    f"the key {key.value!r} is given twice",
                    where=f"{display(path)}:{key.start_mark.line + 1}",
                    found=f"first on line {lines[here]}",
                )
            lines[here] = key.start_mark.line + 1
            _index(value, here, lines, path, above)
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            here = (*location, number)
            lines[here] = item.start_mark.line + 1
            _index(item, here, lines, path, above)
    above.pop()


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
    from jsonschema.exceptions import best_match

    value = document.data if value is None and not location else value
    error = best_match(Draft202012Validator(schema).iter_errors(value))
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
        found=_shorten(error.instance),
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


def _shorten(value: Any) -> str:
    text = repr(value)
    return f"{text if len(text) <= 200 else text[:200] + '…'} ({type(value).__name__})"
