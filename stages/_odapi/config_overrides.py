"""Dotted overrides of a protobuf message: `train_config.batch_size: 8`, checked against the message's descriptor.

A scalar sets a field, a mapping replaces a nested message, a list replaces a repeated field, a name sets an enum, null clears a field.
An element of a repeated message is named by its place: `eval_input_reader.0.shuffle: false`.
"""

import math

from google.protobuf import text_format
from google.protobuf.descriptor import FieldDescriptor

from _odapi.config_text import nearest
from _odapi.descriptors import is_repeated
from _runtime import StageError

_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
_REALS = (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE)
_MAX_FLOAT32 = 3.4028234663852886e38


def apply_overrides(message, overrides):
    """Apply {dotted field: value} to `message` in the order of the field names, so that a file's order does not matter.

    Returns the changes: a list of {"field", "from", "to", "why"}. Raises StageError for an unknown field or a value of the wrong type.
    """
    changes = []
    for path in sorted(overrides):
        parent, field, index = _resolve(message, path)
        before = describe(parent, field, index)
        _set(parent, field, index, overrides[path], path)
        after = describe(parent, field, index)
        if before != after:
            changes.append({"field": path, "from": before, "to": after, "why": "override of the pipeline"})
    return changes


def set_field(message, path, value, why):
    """Set one field; the change as in `apply_overrides`, or None where it already had that value."""
    changes = apply_overrides(message, {path: value})
    return dict(changes[0], why=why) if changes else None


def describe(parent, field, index=None):
    """A field's value as JSON knows it: scalars and lists as such, enums by name, messages as one line of text; None where unset."""
    if is_repeated(field):
        values = [_plain(field, value) for value in getattr(parent, field.name)]
        return values if index is None else values[index]
    return _plain(field, getattr(parent, field.name)) if parent.HasField(field.name) else None


def _plain(field, value):
    if field.message_type:
        return text_format.MessageToString(value, as_one_line=True)
    if field.enum_type:
        return field.enum_type.values_by_number[value].name
    if field.cpp_type in _REALS and not math.isfinite(value):
        return str(value)  # JSON has no such numbers
    if field.cpp_type == FieldDescriptor.CPPTYPE_FLOAT:
        return float(f"{value:.7g}")  # the shortest text that gives the same 32-bit float
    return value


def _resolve(message, path):
    """(message that holds it, field descriptor, index or None) of a dotted path; nested messages on the way are created."""
    parts = path.split(".")
    parent, place = message, 0
    while True:
        field = _field(message, parent.DESCRIPTOR, parts, place)
        place += 1
        repeated = is_repeated(field)
        index = None
        if repeated and place < len(parts):
            index = _index(parent, field, parts, place)
            place += 1
        if place == len(parts):
            return parent, field, index
        if not field.message_type:
            raise StageError(
                "an override goes into a field that has no parts",
                f"overrides: {path}",
                _type_name(field),
                ".".join(parts[place:]),
                "end the path at `{}`".format(".".join(parts[:place])),
            )
        parent = getattr(parent, field.name) if index is None else getattr(parent, field.name)[index]


def _field(root, descriptor, parts, place):
    field = descriptor.fields_by_name.get(parts[place])
    if field is not None:
        return field
    path = ".".join(parts)
    prefix = parts[:place]
    best = _nearest_path(root.DESCRIPTOR, descriptor, prefix, parts[place:])
    names = ", ".join(sorted(descriptor.fields_by_name))
    raise StageError(
        "an override names a field that does not exist",
        f"overrides: {path}",
        f"`{best}`" if best else "one of the fields of `{}`: {}".format(".".join(prefix) or "the config", names),
        f"`{path}`",
        f"write `{best}`" if best else "see `object_detection/protos/pipeline.proto` of the API",
    )


def _nearest_path(root, descriptor, prefix, rest):
    """The full path that was most likely meant: a sibling of nearly that name, a field of that name elsewhere, or a likely sibling."""
    siblings = list(descriptor.fields_by_name)
    best = nearest(rest[0], siblings, 0.65)
    if best is None:
        elsewhere = [path for path in _paths(root, [], ()) if path[-1] == rest[-1]]
        if elsewhere:
            return ".".join(min(elsewhere, key=lambda path: (-_in_common(path, prefix), len(path), path)))
        parts = [name for name in siblings if rest[0] in name]
        best = parts[0] if len(parts) == 1 else nearest(rest[0], siblings, 0.5)
    return ".".join([*prefix, best, *rest[1:]]) if best else None


def _in_common(path, prefix):
    return sum(1 for a, b in zip(path, prefix) if a == b)


def _paths(descriptor, prefix, above):
    """Every dotted path below a message type, as lists of names; a type inside itself is not entered again."""
    for field in descriptor.fields:
        path = [*prefix, field.name]
        yield path
        if field.message_type and field.message_type not in above:
            yield from _paths(field.message_type, path, (*above, field.message_type))


def _index(parent, field, parts, place):
    count = len(getattr(parent, field.name))
    text = parts[place]
    if not text.isdigit() or int(text) >= count:
        raise StageError(
            "an override needs a place in a list",
            "overrides: {}".format(".".join(parts)),
            "a number below %d" % count,
            text,
            "give the whole list as the value of `{}`".format(".".join(parts[:place])),
        )
    return int(text)


def _set(parent, field, index, value, path):
    if index is not None:
        if value is None:
            del getattr(parent, field.name)[index]
        elif field.message_type:
            _fill(getattr(parent, field.name)[index], value, path)
        else:
            getattr(parent, field.name)[index] = _scalar(field, value, path)
    elif value is None:
        parent.ClearField(field.name)
    elif is_repeated(field):
        _set_list(parent, field, value, path)
    elif field.message_type:
        _fill(getattr(parent, field.name), value, path)
    else:
        setattr(parent, field.name, _scalar(field, value, path))


def _set_list(parent, field, value, path):
    if not isinstance(value, list):
        raise _wrong_type(path, f"a list of {_type_name(field)}", value)
    parent.ClearField(field.name)
    target = getattr(parent, field.name)
    for place, item in enumerate(value):
        if field.message_type:
            _fill(target.add(), item, "%s.%d" % (path, place))
        else:
            target.append(_scalar(field, item, "%s.%d" % (path, place)))


def _fill(message, value, path):
    """Replace `message` by what the mapping says; an empty mapping makes an empty message that is present."""
    if not isinstance(value, dict):
        raise _wrong_type(path, f"a mapping of the fields of {message.DESCRIPTOR.name}", value)
    message.Clear()
    message.SetInParent()
    for name in sorted(value):
        field = message.DESCRIPTOR.fields_by_name.get(name)
        if field is None:
            best = nearest(name, message.DESCRIPTOR.fields_by_name)
            raise StageError(
                "an override names a field that does not exist",
                f"overrides: {path}.{name}",
                f"`{path}.{best}`" if best else "one of: {}".format(", ".join(sorted(message.DESCRIPTOR.fields_by_name))),
                f"`{name}`",
                f"write `{best}`" if best else "remove it",
            )
        _set(message, field, None, value[name], f"{path}.{name}")


def _scalar(field, value, path):
    """`value` if it is one for the field; enums by name."""
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        return _enum(field, value, path)
    if kind == FieldDescriptor.CPPTYPE_BOOL and isinstance(value, bool):
        return value
    if kind == FieldDescriptor.CPPTYPE_STRING and isinstance(value, str):
        return value
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind in _REALS and number and math.isfinite(value) and (kind != FieldDescriptor.CPPTYPE_FLOAT or abs(value) <= _MAX_FLOAT32):
        return float(value)
    if kind in _INTEGERS and number and isinstance(value, int):
        low, high = _INTEGERS[kind]
        if low <= value <= high:
            return value
        raise _wrong_type(path, "an integer from %d to %d" % (low, high), value)
    raise _wrong_type(path, _type_name(field), value)


def _enum(field, value, path):
    names = field.enum_type.values_by_name
    if isinstance(value, str) and value in names:
        return names[value].number
    best = nearest(value.upper(), names) if isinstance(value, str) else None
    raise StageError(
        "an override has a value that the field does not know",
        f"overrides: {path}",
        "one of: {}".format(", ".join(sorted(names))),
        repr(value),
        f"write `{path}: {best}`" if best else "choose one of them",
    )


def _wrong_type(path, expected, value):
    remedy = f"give {expected}"
    if isinstance(value, str) and "number" in expected:
        remedy += "; YAML reads 1e-4 as text, so write 1.0e-4"
    return StageError(
        "an override has a value of the wrong type", f"overrides: {path}", expected, f"{value!r} ({type(value).__name__})", remedy
    )


def _type_name(field):
    if field.message_type:
        return f"a mapping of the fields of {field.message_type.name}"
    if field.enum_type:
        return "one of: {}".format(", ".join(sorted(field.enum_type.values_by_name)))
    if field.cpp_type in _INTEGERS:
        return "an integer"
    if field.cpp_type in _REALS:
        return "a number"
    return "true or false" if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL else "a text"


def walk_strings(message, prefix=""):
    """(dotted path, text) of every string that is set in `message`, elements of lists by their place."""
    for field, value in message.ListFields():
        path = prefix + field.name
        repeated = is_repeated(field)
        for place, item in enumerate(value if repeated else [value]):
            here = "%s.%d" % (path, place) if repeated else path
            if field.message_type:
                yield from walk_strings(item, here + ".")
            elif isinstance(item, str):
                yield here, item
