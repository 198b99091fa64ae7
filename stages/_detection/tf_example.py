"""tf.Example messages read without TensorFlow: names, kinds and values of features, or what the data is instead.

Format: tensorflow/core/example/{example,feature}.proto of TensorFlow 1.13.
"""

from typing import NamedTuple, Optional

from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from _detection.example_message import Example


class Feature(NamedTuple):
    """kind: "bytes", "float", "int64", or None for a feature without any; values: list."""

    kind: Optional[str]
    values: list


class NotAnExampleError(ValueError):
    """Data that is no tf.Example. code: example-broken, example-foreign or sequence-example."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code
        self.message = message


def parse_features(payload):
    """{name: Feature} of a serialized tf.Example. Raises NotAnExampleError."""
    try:
        example = Example.FromString(payload)
    except DecodeError:
        raise NotAnExampleError("example-broken", "its data is no tf.Example: it cannot be parsed") from None
    unknown = {field.field_number for field in UnknownFieldSet(example)}
    if unknown == {2}:
        raise NotAnExampleError("sequence-example", "it is a tf.SequenceExample (of a video, say), where a tf.Example is read")
    if unknown or UnknownFieldSet(example.features):
        raise NotAnExampleError("example-foreign", "its data is no tf.Example: it has fields that none has")
    return {name: _feature(feature) for name, feature in example.features.feature.items()}


def _feature(feature):
    kind = feature.WhichOneof("kind")
    return Feature(None, []) if kind is None else Feature(kind[: -len("_list")], list(getattr(feature, kind).value))
