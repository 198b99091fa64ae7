"""TFRecord files: framing with masked CRC32C, and tf.Example messages without TensorFlow.

Format: tensorflow/core/lib/io/record_writer.h and tensorflow/core/example/{example,feature}.proto of TensorFlow 1.13.
The checksum is google_crc32c's (in the data image only).
"""

import struct

import google_crc32c
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_MASK_DELTA = 0xA282EAD8


def masked_crc32c(data):
    """CRC32C (Castagnoli) of `data`, rotated and shifted as lib/hash/crc32c.h masks it; an int of 32 bits."""
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def frame(payload):
    """The bytes of one record: length, its checksum, payload, its checksum."""
    length = struct.pack("<Q", len(payload))
    return b"".join([length, struct.pack("<I", masked_crc32c(length)), payload, struct.pack("<I", masked_crc32c(payload))])


def example_bytes(features):
    """A serialized tf.Example, the same bytes for the same features.

    features: name to (kind, values) with kind "bytes" (of bytes, or of str to write as UTF-8), "int64" or "float" (of 32 bits).
    """
    example = _Example()
    for name, (kind, values) in features.items():
        # An empty list is present too.
        held = getattr(example.features.feature[name], kind + "_list")
        held.value.extend(item.encode("utf-8") if isinstance(item, str) else item for item in values)
    return example.SerializeToString(deterministic=True)


def parse_example(payload):
    """The features of a serialized tf.Example: name to list of bytes, int or float. For checks and tests."""
    example = _Example.FromString(payload)
    return {name: list(getattr(feature, feature.WhichOneof("kind")).value) for name, feature in example.features.feature.items()}


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


_Example = _example_class()
