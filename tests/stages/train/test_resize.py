"""The model's input is what TensorFlow 1.13 makes of the same file in training."""

import io

import numpy as np
import pytest
import tensorflow as tf
from _detection.resize import load_rgb, model_input, normalize, resize_bilinear
from _runtime import StageError
from object_detection.data_decoders.tf_example_decoder import TfExampleDecoder
from PIL import Image

from detector_images import picture


@pytest.fixture(scope="module")
def tensorflow():
    """tensorflow(make, value): make(placeholder) evaluated."""
    with tf.Session(graph=tf.Graph()) as session:

        def call(make, value):
            with session.graph.as_default():
                source = tf.placeholder(tf.string if isinstance(value, bytes) else tf.float32)
                if not isinstance(value, bytes):
                    source.set_shape(value.shape)
                return session.run(make(source), {source: value})

        yield call


@pytest.mark.parametrize(
    ("width", "height", "target"),
    [
        (960, 540, (300, 300)),
        (378, 504, (300, 300)),
        (160, 160, (160, 160)),
        (37, 91, (300, 160)),
        (1, 1, (5, 7)),
        (2, 3, (1, 1)),
        (333, 7, (64, 1001)),
    ],
)
def test_resizing_equals_tensorflows_to_the_last_bit(tensorflow, width, height, target):
    image = picture(width, width, height)
    ours = resize_bilinear(image, *target)
    theirs = tensorflow(lambda source: tf.image.resize_images(source, target, align_corners=False), image.astype(np.float32))
    assert ours.dtype == np.float32
    np.testing.assert_array_equal(ours, theirs)


def encoded(image, **options):
    stream = io.BytesIO()
    image.save(stream, **options)
    return stream.getvalue()


def with_orientation():
    # EXIF: one entry, orientation 6 (to be turned by a quarter).
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    return encoded(Image.fromarray(picture(3, 60, 40)), format="JPEG", exif=exif)


def sixteen_bits():
    return encoded(Image.fromarray((picture(4, 31, 17)[:, :, 0].astype(np.uint16) * 257 + 3).astype(np.uint16)), format="PNG")


FILES = {
    "jpeg": lambda: encoded(Image.fromarray(picture(1, 131, 77)), format="JPEG", quality=90),
    "jpeg without subsampling": lambda: encoded(Image.fromarray(picture(1, 131, 77)), format="JPEG", quality=75, subsampling=0),
    "progressive jpeg": lambda: encoded(Image.fromarray(picture(1, 131, 77)), format="JPEG", progressive=True),
    "grey jpeg": lambda: encoded(Image.fromarray(picture(1, 50, 40)).convert("L"), format="JPEG"),
    "jpeg with an orientation": with_orientation,
    "png": lambda: encoded(Image.fromarray(picture(2, 50, 40)), format="PNG"),
    "png with alpha": lambda: encoded(Image.fromarray(np.dstack([picture(2, 50, 40), picture(3, 50, 40)[:, :, :1]])), format="PNG"),
    "png with a palette": lambda: encoded(Image.fromarray(picture(2, 50, 40)).convert("P"), format="PNG"),
    "grey png": lambda: encoded(Image.fromarray(picture(2, 50, 40)).convert("L"), format="PNG"),
    "black and white png": lambda: encoded(Image.fromarray(picture(2, 50, 40)).convert("1"), format="PNG"),
    "png of 16 bits": sixteen_bits,
}


@pytest.mark.parametrize("kind", sorted(FILES))
def test_decoding_equals_tensorflows_accurate_one(tensorflow, tmp_path, kind):
    data = FILES[kind]()
    path = tmp_path / "image"
    path.write_bytes(data)
    if "jpeg" in kind:
        theirs = tensorflow(lambda source: tf.image.decode_jpeg(source, channels=3, dct_method="INTEGER_ACCURATE"), data)
    else:
        theirs = tensorflow(lambda source: tf.image.decode_png(source, channels=3), data)
    np.testing.assert_array_equal(load_rgb(path), theirs)


@pytest.mark.parametrize("kind", sorted(FILES))
def test_training_decodes_as_evaluation_does(tmp_path, kind):
    """With the patch that the train image has; by itself the Object Detection API has TensorFlow's fast decoder."""
    path = tmp_path / "image"
    path.write_bytes(FILES[kind]())
    image_format = b"jpeg" if "jpeg" in kind else b"png"
    features = {
        "image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[path.read_bytes()])),
        "image/format": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image_format])),
    }
    record = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
    with tf.Graph().as_default(), tf.Session() as session:
        trained_on = session.run(TfExampleDecoder().decode(tf.constant(record))["image"])
    np.testing.assert_array_equal(load_rgb(path), trained_on)


def test_tensorflows_own_decoding_is_darker_by_most_of_a_grey_level(tensorflow, tmp_path):
    data = FILES["jpeg"]()
    (tmp_path / "image").write_bytes(data)
    theirs = tensorflow(lambda source: tf.image.decode_image(source, channels=3), data)
    difference = theirs.astype(int) - load_rgb(tmp_path / "image")
    assert -1 < difference.mean() < -0.5
    assert abs(difference).max() > 2


def test_the_input_is_rounded_and_normalized_as_the_quantized_model_reads_it(tmp_path):
    (tmp_path / "image.png").write_bytes(FILES["png"]())
    pixels = model_input(load_rgb(tmp_path / "image.png"), 30, 20)
    assert (pixels.dtype, pixels.shape) == (np.uint8, (1, 30, 20, 3))
    assert abs(pixels[0] - resize_bilinear(picture(2, 50, 40), 30, 20)).max() <= 0.5
    same = picture(2, 50, 40)
    np.testing.assert_array_equal(model_input(same, 40, 50)[0], np.rint(resize_bilinear(same, 40, 50)))
    assert normalize(np.array([0, 128, 255], np.uint8), 128, 128.0).tolist() == [-1.0, 0.0, 0.9921875]


@pytest.mark.parametrize("data", [b"", b"not an image", FILES["png"]()[:200], FILES["jpeg"]()[:300]])
def test_what_cannot_be_decoded_is_named(tmp_path, data):
    (tmp_path / "image.png").write_bytes(data)
    with pytest.raises(StageError, match="cannot be decoded") as caught:
        load_rgb(tmp_path / "image.png")
    assert caught.value.where.endswith("image.png")
