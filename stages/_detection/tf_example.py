"""tf.Example messages read without TensorFlow: names, kinds and values of features, or what the data is instead.

Format: tensorflow/core/example/{example,feature}.proto of TensorFlow 1.13.
"""

from typing import NamedTuple, Optional

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet


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


def _example_class():
    """The message class of tf.Example, from a description of the three .proto messages that it needs."""
    field = descriptor_pb2.FieldDescriptorProto
    proto = descriptor_pb2.FileDescriptorProto(name="edgemill/example.proto", package="edgemill", syntax="proto3")
    for name, kind in (("BytesList", field.TYPE_BYTES), ("FloatList", field.TYPE_FLOAT), ("Int64List", field.TYPE_INT64)):
        values = proto.message_type.add(name=name).field.add(name="value", number=1, type=kind, label=field.LABEL_REPEATED)
        if kind != field.TYPE_BYTES:
            values.options.packed = True
    feature = proto.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, name in enumerate(("bytes", "float", "int64"), 1):
        feature.field.add(
            name=name + "_list",
            number=number,
            type=field.TYPE_MESSAGE,
            label=field.LABEL_OPTIONAL,
            oneof_index=0,
            type_name=".edgemill.%sList" % name.capitalize(),
        )
    features = proto.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    message = field.TYPE_MESSAGE
    entry.field.add(name="value", number=2, type=message, label=field.LABEL_OPTIONAL, type_name=".edgemill.Feature")
    features.field.add(name="feature", number=1, type=message, label=field.LABEL_REPEATED, type_name=".edgemill.Features.FeatureEntry")
    example = proto.message_type.add(name="Example")
    example.field.add(name="features", number=1, type=message, label=field.LABEL_OPTIONAL, type_name=".edgemill.Features")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(proto.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("edgemill.Example"))


Example = _example_class()
