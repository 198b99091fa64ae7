"""Read and print a pipeline.config with the Object Detection API's own protobufs (object_detection/protos/pipeline.proto)."""

import difflib
import re

from google.protobuf import text_format
from object_detection.protos import pipeline_pb2

from _odapi.versions import TF2_MARKS, is_newer
from _runtime import StageError

_PLACE = r"(?P<line>\d+):(?P<column>\d+) : .*?"
_NO_FIELD = re.compile(_PLACE + r'Message type "(?P<message>[\w.]+)" has no field named "(?P<field>\w+)"')
_NO_VALUE = re.compile(_PLACE + r'Enum type "(?P<message>[\w.]+)" has no value named (?P<field>\w+)')
_NO_EXTENSION = re.compile(_PLACE + r'Extension "(?P<field>[\w.]+)" not registered')
_PACKAGE = "object_detection.protos."


def read_config(path):
    """The TrainEvalPipelineConfig in the text file `path`; StageError with line and column where it is not one."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise StageError(
            "the pipeline.config cannot be read", path, "a file", error.strerror, "mend the path or its permissions"
        ) from error
    except UnicodeDecodeError as error:
        raise StageError("the pipeline.config is not UTF-8 text", path, "a text-format protobuf", str(error), "save it as UTF-8") from error
    return parse_config(text, path.name)


def parse_config(text, where):
    """Parse `text`; `where` names it in errors."""
    try:
        return text_format.Parse(text, pipeline_pb2.TrainEvalPipelineConfig())
    except text_format.ParseError as error:
        raise _parse_error(str(error), where) from error


def print_config(config):
    """The config as text: fields in the order of their numbers, so that equal configs give equal bytes."""
    return text_format.MessageToString(config)


def nearest(name, names, likeness=0.5):
    """The best match for `name` in `names`, or None; likeness: least ratio of matching characters, 0 to 1."""
    found = difflib.get_close_matches(name, sorted(names), n=1, cutoff=likeness)
    return found[0] if found else None


def _parse_error(text, where):
    for pattern, error in ((_NO_FIELD, _no_field), (_NO_VALUE, _no_value), (_NO_EXTENSION, _no_extension)):
        match = pattern.search(text)
        if match:
            place = "{}:{}:{}".format(where, match.group("line"), match.group("column"))
            return error(place, match.groupdict().get("message", ""), match.group("field"))
    return StageError(
        "the pipeline.config cannot be parsed",
        where,
        "a text-format TrainEvalPipelineConfig",
        text,
        "mend that line; the number before the colon is the line",
    )


def _no_field(place, message, field):
    kind = message[len(_PACKAGE) :] if message.startswith(_PACKAGE) else message
    if (kind, field) in TF2_MARKS:
        return StageError(
            "the pipeline.config is one for TensorFlow 2",
            place,
            "a config of the TensorFlow 1 Object Detection API",
            f"`{field}`, which only TensorFlow 2's has",
            "use the stages configure-tf2 and train-tf2, or start from a template in data/templates",
        )
    if is_newer(kind, field):
        return _of_a_later_release(place, f"{kind} has no field `{field}`", field)
    names = _field_names(message)
    best = nearest(field, names)
    return StageError(
        f"{kind} has no field `{field}`",
        place,
        f"`{best}`" if best else "one of: {}".format(", ".join(sorted(names))),
        f"`{field}`",
        f"rename it to `{best}`" if best else "remove it",
    )


def _no_value(place, message, value):
    kind = message[len(_PACKAGE) :] if message.startswith(_PACKAGE) else message
    if is_newer(kind, value):
        return _of_a_later_release(place, f"{kind} has no value {value}", value)
    return StageError(f"{kind} has no value {value}", place, "a value that the API's schema knows", f"`{value}`", "choose another value")


def _of_a_later_release(place, what, name):
    return StageError(
        f"{what} in the Object Detection API of this image",
        place,
        "fields of the TensorFlow 1 Object Detection API (tf-object-detection 0.0.3)",
        f"`{name}`, of a later release",
        "remove it, or use the stages configure-tf2 and train-tf2",
    )


def _no_extension(place, _, name):
    return StageError(
        "the pipeline.config extends the schema of the Object Detection API",
        place,
        "fields of the API's own schema",
        f"`[{name}]`",
        "train it with the code that defines `{}`, which no image here has".format(name.split(".")[0]),
    )


def _field_names(full_name):
    """Field names of the message type `full_name`, found by walking from the root; empty where it is not reachable."""
    waiting, seen = [pipeline_pb2.TrainEvalPipelineConfig.DESCRIPTOR], set()
    while waiting:
        descriptor = waiting.pop()
        if descriptor.full_name == full_name:
            return [field.name for field in descriptor.fields]
        if descriptor.full_name not in seen:
            seen.add(descriptor.full_name)
            waiting.extend(field.message_type for field in descriptor.fields if field.message_type)
    return []
