"""From an image file to the model's input, as training saw it.

Training decodes with TensorFlow and resizes with `tf.image.resize_images` of TensorFlow 1.13: bilinear, align_corners false, no half-pixel
centres. Other libraries' resizing differs by whole grey levels, so it is done here in NumPy, with the same arithmetic in float32
(tensorflow/core/kernels/resize_bilinear_op.cc, v1.13.1). Python 3.7 and 3.11, NumPy 1.16 and later: the same bits in each.
"""

import hashlib
import struct
import zlib

import numpy as np
from PIL import Image

from _runtime import StageError

# What Pillow raises for damaged files, besides OSError.
DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


def load_rgb(source, where=None):
    """The image's pixels, uint8 [height, width, 3], RGB, as stored: an EXIF orientation is ignored, as TensorFlow's decoders do.

    source: a path, or a binary stream, which `where` then names. Grey becomes three equal channels, alpha is dropped, of 16 bits the
    upper 8 are kept. Raises StageError where it cannot be decoded.
    """
    try:
        with Image.open(source if hasattr(source, "read") else str(source)) as image:
            if image.mode.startswith("I"):
                grey = (np.asarray(image).astype(np.int64) >> 8).astype(np.uint8)
                return np.repeat(grey[:, :, np.newaxis], 3, axis=2)
            image.load()  # here, for NumPy makes an array of whatever it cannot read
            return np.array(image if image.mode == "RGB" else image.convert("RGB"))
    except DAMAGED as error:
        raise StageError(
            "an image cannot be decoded",
            where or source,
            "a whole JPEG or PNG",
            " ".join(str(error).split()) or type(error).__name__,
            "replace the image and build the dataset again",
        ) from None


def resize_bilinear(image, height, width):
    """Resize [h, w, channels] to float32 [height, width, channels] with TensorFlow 1's legacy bilinear interpolation.

    Output pixel i samples the input at i * (input side / output side), without antialiasing; values stay in the input's range.
    """
    pixels = np.asarray(image)
    channels = pixels.shape[2]
    top, bottom, down = _weights(pixels.shape[0], height)
    left, right, across = _weights(pixels.shape[1], width)
    needed, places = np.unique(np.concatenate([top, bottom]), return_inverse=True)
    # Rows as they lie in memory, channels side by side: taking numbers out of these is quicker than taking pixels by two indices.
    rows = pixels[needed].reshape(len(needed), -1)
    first, second = ((column[:, np.newaxis] * channels + np.arange(channels)).reshape(-1) for column in (left, right))
    resized = _between(rows.take(first, axis=1), rows.take(second, axis=1), np.repeat(across, channels))
    resized = _between(resized.take(places[:height], axis=0), resized.take(places[height:], axis=0), down[:, np.newaxis])
    return resized.reshape(height, width, channels)


def _between(start, end, part):
    """The value that is `part` of the way from `start` to `end`, float32; computed as start + (end - start) * part."""
    start, step = start.astype(np.float32, copy=False), end.astype(np.float32, copy=False)
    step -= start
    step *= part
    step += start
    return step


def _weights(size, target):
    scale = np.float32(size) / np.float32(target)
    place = np.arange(target, dtype=np.float32) * scale
    lower = np.floor(place).astype(np.int64)
    return np.minimum(lower, size - 1), np.minimum(lower + 1, size - 1), place - lower.astype(np.float32)


def model_input(pixels, height, width):
    """The quantized model's input for an image's pixels: uint8 [1, height, width, 3], the resized image rounded half to even."""
    if pixels.shape[:2] == (height, width) and pixels.dtype == np.uint8:
        return pixels[np.newaxis]  # each pixel is sampled where it is
    return np.rint(resize_bilinear(pixels, height, width)).astype(np.uint8)[np.newaxis]


def normalize(pixels, mean, std):
    """What the quantized model reads from uint8 pixels: float32 (pixel - mean) / std."""
    return (pixels.astype(np.float32) - np.float32(mean)) / np.float32(std)


def sha256(tensor):
    """Hex sha256 of a tensor's bytes in C order."""
    return hashlib.sha256(np.ascontiguousarray(tensor).reshape(-1)).hexdigest()
