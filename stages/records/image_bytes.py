"""An image's bytes as TensorFlow 1.13 can decode them to the same RGB pixels as Pillow does."""


def readable_bytes(data, kind):
    """(bytes, format)."""
    return data, kind
