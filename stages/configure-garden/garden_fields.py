"""Fields of an experiment, by dotted paths and with their types: what the Garden would take without a word is refused here.

The Garden's own overriding checks neither types nor, where it is told to extend, names. An experiment's fields are typed dataclasses
(official/modeling/hyperparams/base_config.py); a mapping is laid over the fields that it names, a list replaces a list.
"""

import collections.abc
import dataclasses
import difflib
import functools
import math
import types
import typing

from official.modeling.hyperparams import base_config, oneof

from _garden.experiment import plain
from _runtime import StageError

_UNIONS = (typing.Union, types.UnionType)
_SEQUENCES = (list, tuple, collections.abc.Sequence)


@functools.cache
def field_types(kind):
    """{name: type} of a configuration class's fields."""
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def flatten(values):
    """{dotted path: value} of one whose values may be mappings of further fields; an empty mapping stays one."""
    flat = {}
    for path, value in values.items():
        inner = flatten(value) if isinstance(value, dict) else {}
        flat.update({"%s.%s" % (path, name): item for name, item in inner.items()} if inner else {str(path): value})
    return flat


def set_fields(config, values, source):
    """Set {dotted path: value} in the order of the paths; the changes: a list of {"field", "from", "to", "why"}.

    source: how errors call where the values come from, as "overrides". Raises StageError for a field that there is not, or another type.
    """
    changes = []
    for path in sorted(values):
        before = get_field(config, path, source)
        holder, name, annotation = _resolve(config, path, source)
        _assign(holder, name, annotation, values[path], path, source)
        after = get_field(config, path, source)
        if before != after:
            changes.append({"field": path, "from": before, "to": after, "why": "override of the pipeline"})
    return changes


def set_field(config, path, value, why):
    """Set one field to what the stage decides; the change as in `set_fields`, in a list that is empty where it had that value."""
    return [dict(change, why=why) for change in set_fields(config, {path: value}, "configure-garden")]


def get_field(config, path, source="experiment.yaml"):
    """The value of a dotted path as YAML knows it; None where it is not set."""
    holder, name, _ = _resolve(config, path, source)
    return _exported(getattr(holder, name))


def lay_over(config, mapping, source):
    """Set the fields of a nested mapping, as a template has them."""
    for name in sorted(mapping):
        holder, field, annotation = _resolve(config, str(name), source)
        _assign(holder, field, annotation, mapping[name], str(name), source)


def field_paths(config, prefix=""):
    """Every dotted path of an experiment that has a value or a type of its own."""
    for name in sorted(field_types(type(config))):
        yield prefix + name
        value = getattr(config, name, None)
        if isinstance(value, base_config.Config):
            yield from field_paths(value, prefix + name + ".")


def _exported(value):
    if isinstance(value, base_config.Config):
        return plain(value.as_dict())
    return [_exported(item) for item in value] if isinstance(value, (list, tuple)) else value


def _resolve(config, path, source):
    """(configuration that holds the field, its name, its type) of a dotted path; one that is null on the way is made."""
    parts, holder = path.split("."), config
    for place, name in enumerate(parts):
        annotations = field_types(type(holder))
        if name not in annotations:
            raise _unknown(config, holder, parts, place, source)
        if place == len(parts) - 1:
            return holder, name, annotations[name]
        value, kind = getattr(holder, name), _config_type(annotations[name])
        if kind is None and not isinstance(value, base_config.Config):
            raise StageError(
                "a field has no parts",
                "%s: %s" % (source, path),
                _type_name(annotations[name]),
                ".".join(parts[place + 1 :]),
                "end the path at `%s`" % ".".join(parts[: place + 1]),
            )
        if value is None:
            setattr(holder, name, kind())
        holder = getattr(holder, name)
    raise StageError("a field has no name", source, "a dotted path", path, "name a field, as `trainer.train_steps`")


def _unknown(root, holder, parts, place, source):
    path, known = ".".join(parts), sorted(field_types(type(holder)))
    sure, likely = (_nearest(parts[place], known, likeness) for likeness in (0.8, 0.4))
    best = sure or likely
    sibling = best and ".".join([*parts[:place], best, *parts[place + 1 :]])
    found = sibling if sure else _elsewhere(root, parts) or sibling
    return StageError(
        "there is no such field",
        "%s: %s" % (source, path),
        "`%s`" % found if found else "one of the fields of `%s`: %s" % (".".join(parts[:place]) or "the experiment", ", ".join(known)),
        "`%s`" % path,
        "write `%s`" % found if found else "see the experiment.yaml of another training: it has all fields",
    )


def _elsewhere(root, parts):
    """The shortest path whose last name is that of `parts`, of those with most of its other names; or None."""
    paths = [path for path in field_paths(root) if path.rsplit(".", 1)[-1] == parts[-1]]
    return min(paths, key=lambda path: (-len(set(path.split(".")) & set(parts)), len(path), path)) if paths else None


def _nearest(name, names, likeness):
    found = difflib.get_close_matches(name, sorted(names), n=1, cutoff=likeness)
    return found[0] if found else None


def _assign(holder, name, annotation, value, path, source):
    where = "%s: %s" % (source, path)
    kind = _config_type(annotation)
    if kind is None or value is None:
        checked = _checked(value, annotation, where)
        if isinstance(holder, oneof.OneOfConfig) and name == "type":
            _check_choice(holder, checked, where)
        setattr(holder, name, checked)
        return
    if not isinstance(value, dict):
        raise _wrong_type(where, "a mapping of the fields of %s" % kind.__name__, value)
    if getattr(holder, name) is None:
        setattr(holder, name, kind())
    inner = getattr(holder, name)
    for part in sorted(value):
        if part not in field_types(type(inner)):
            raise _unknown(inner, inner, [str(part)], 0, where)
        _assign(inner, part, field_types(type(inner))[part], value[part], "%s.%s" % (path, part), source)


def _check_choice(holder, value, where):
    known = sorted(set(field_types(type(holder))) - {"type"})
    if value is not None and value not in known:
        best = _nearest(value, known, 0.4)
        expected = "one of: %s" % ", ".join(known)
        raise StageError("there is no such choice", where, expected, "`%s`" % value, "write `%s`" % best if best else "choose one of them")


def _config_type(annotation):
    """The configuration class that a field's type names, also within Optional; None for all other types."""
    if isinstance(annotation, type) and issubclass(annotation, base_config.Config):
        return annotation
    if typing.get_origin(annotation) in _UNIONS:
        arguments = [each for each in typing.get_args(annotation) if each is not type(None)]
        return _config_type(arguments[0]) if len(arguments) == 1 else None
    return None


def _checked(value, annotation, where):
    """`value` if it is one of the type. Raises StageError."""
    origin = typing.get_origin(annotation)
    if origin in _UNIONS:
        for each in typing.get_args(annotation):
            try:
                return _checked(value, each, where)
            except StageError:
                continue
        raise _wrong_type(where, _type_name(annotation), value)
    if annotation is typing.Any:
        return value
    if annotation is type(None) or value is None:
        # The Garden annotates as `str` what it leaves null.
        if value is None and annotation in (type(None), str):
            return None
        raise _wrong_type(where, _type_name(annotation), value)
    if origin in _SEQUENCES:
        if not isinstance(value, (list, tuple)):
            raise _wrong_type(where, _type_name(annotation), value)
        kind = (typing.get_args(annotation) or (typing.Any,))[0]
        return [_checked(item, kind, "%s.%d" % (where, place)) for place, item in enumerate(value)]
    return _scalar(value, annotation, where)


def _scalar(value, kind, where):
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind in (bool, str) and isinstance(value, kind):
        return value
    if kind is float and number and math.isfinite(value):
        return float(value)
    if kind is int and number and math.isfinite(value) and value == int(value):
        return int(value)
    if isinstance(kind, type) and issubclass(kind, base_config.Config) and isinstance(value, dict):
        made = kind()
        lay_over(made, value, where)
        return made
    raise _wrong_type(where, _type_name(kind), value)


def _wrong_type(where, expected, value):
    remedy = "give %s" % expected
    if isinstance(value, str) and "number" in expected:
        remedy += "; YAML reads 1e-4 as text, so write 1.0e-4"
    return StageError("a field has a value of the wrong type", where, expected, "%r (%s)" % (value, type(value).__name__), remedy)


def _type_name(annotation):
    names = {bool: "true or false", int: "an integer", float: "a number", str: "a text", type(None): "null"}
    if annotation in names:
        return names[annotation]
    if typing.get_origin(annotation) in _UNIONS:
        return " or ".join(_type_name(each) for each in typing.get_args(annotation))
    if typing.get_origin(annotation) is not None:
        return "a list of %s" % _type_name((typing.get_args(annotation) or (str,))[0])
    return "a mapping of the fields of %s" % getattr(annotation, "__name__", annotation)
