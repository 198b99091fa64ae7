"""The message class of tf.Example, without TensorFlow, in every image: Python 3.7 and newer, protobuf 3 and newer.

Format: tensorflow/core/example/{example,feature}.proto of TensorFlow 1.13.
"""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory


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
    description = pool.FindMessageTypeByName("edgemill.Example")
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(description)
    return message_factory.MessageFactory(pool).GetPrototype(description)  # protobuf 3, in the TensorFlow 1 images


Example = _example_class()
