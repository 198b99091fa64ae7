"""What protobuf's releases say differently about a message's fields."""

from google.protobuf.descriptor import FieldDescriptor


def is_repeated(field):
    """Whether a field holds a list. protobuf 7 knows no label any more, and protobuf 3 no such property."""
    return field.is_repeated if hasattr(field, "is_repeated") else field.label == FieldDescriptor.LABEL_REPEATED
