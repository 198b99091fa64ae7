"""Read and print a pipeline.config with the Object Detection API's own protobufs (object_detection/protos/pipeline.proto)."""

import difflib
import re

from google.protobuf import text_format
from object_detection.protos import pipeline_pb2

from _runtime import StageError

# Fields that only the TensorFlow 2 version of the API has (object_detection/protos of its release 2.8).
TF2_FIELDS = {
    "fine_tune_checkpoint_version": "train_config",
    "center_net": "model",
    "experimental_model": "model",
    "context_config": "faster_rcnn",
    "ssd_mobilenet_v2_fpn_keras": "feature_extractor",
    "predefined_box_predictor": "box_predictor",
    "bidirectional_feature_pyramid_networks": "feature_extractor",
}
_NO_FIELD = re.compile(r'(?P<line>\d+):(?P<column>\d+) : .*?Message type "(?P<message>[\w.]+)" has no field named "(?P<field>\w+)"')


def read_config(path):
    """The TrainEvalPipelineConfig in the text file `path`; StageError with line and column where it is not one."""
    try:
        text = path.read_text(encoding="utf-8")
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
    match = _NO_FIELD.search(text)
    if not match:
        return StageError(
            "the pipeline.config cannot be parsed",
            where,
            "a text-format TrainEvalPipelineConfig",
            text,
            "mend that line; the number before the colon is the line",
        )
    place = "{}:{}:{}".format(where, match.group("line"), match.group("column"))
    field, message = match.group("field"), match.group("message")
    if field in TF2_FIELDS:
        return StageError(
            "the pipeline.config is one for TensorFlow 2",
            place,
            "a config of the TensorFlow 1 Object Detection API",
            f"`{field}`, which only TensorFlow 2's has",
            "start from a template in data/templates, or remove the field",
        )
    names = _field_names(message)
    best = nearest(field, names)
    return StageError(
        "{} has no field `{}`".format(message.rsplit(".", 1)[-1], field),
        place,
        f"`{best}`" if best else "one of: {}".format(", ".join(sorted(names))),
        f"`{field}`",
        f"rename it to `{best}`" if best else "remove it",
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
