"""What the model sees of the records: images as inference prepares them, then the Garden's own parsing, augmentation and anchor matching.

The Garden resizes with half-pixel centres, may pad instead of stretching, and decodes a JPEG with whatever inverse DCT is the default. A
model trained so would be used on other pixels than it knows: `_detection.resize` stretches each image to the input's size with TensorFlow
1's bilinear interpolation, and rounds. So the decoder does that here, with the same arithmetic, and the Garden's parser then finds an image
that has its size already. Boxes are fractions of the image, which stretching leaves alone.
"""

import tensorflow as tf
from official.vision.dataloaders import retinanet_input, tf_example_decoder

from _runtime import StageError
from _training.loop import segment_seed

_READ_BYTES = 8 << 20


class StretchingDecoder(tf_example_decoder.TfExampleDecoder):
    """Decodes an example of the records to an image of `size`, [height, width] in pixels: uint8 [height, width, 3]."""

    def __init__(self, size):
        super().__init__()
        self._size = list(size)

    def _decode_image(self, parsed_tensors):
        encoded = parsed_tensors["image/encoded"]
        image = tf.cond(
            tf.io.is_jpeg(encoded),
            lambda: tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE"),
            lambda: tf.io.decode_png(encoded, channels=3),
        )
        stretched = tf.raw_ops.ResizeBilinear(images=image[tf.newaxis], size=self._size)[0]  # without half-pixel centres
        return tf.ensure_shape(tf.cast(tf.round(stretched), tf.uint8), [*self._size, 3])


def make_decode(experiment, data):
    """A function of a serialized example: (image, labels) as the Garden's task takes them. data: its train_data or validation_data."""
    model, options = experiment.task.model, data.parser
    parser = retinanet_input.Parser(
        output_size=list(model.input_size[:2]),
        min_level=model.min_level,
        max_level=model.max_level,
        num_scales=model.anchor.num_scales,
        aspect_ratios=model.anchor.aspect_ratios,
        anchor_size=model.anchor.anchor_size,
        dtype=data.dtype,
        match_threshold=options.match_threshold,
        unmatched_threshold=options.unmatched_threshold,
        box_coder_weights=model.detection_generator.box_coder_weights,
        aug_type=options.aug_type,
        aug_rand_hflip=options.aug_rand_hflip,
        aug_rand_jpeg=options.aug_rand_jpeg,
        aug_scale_min=options.aug_scale_min,
        aug_scale_max=options.aug_scale_max,
        skip_crowd_during_training=options.skip_crowd_during_training,
        max_num_instances=options.max_num_instances,
        pad=options.pad,
        keep_aspect_ratio=options.keep_aspect_ratio,
    )
    decoder, parse = StretchingDecoder(model.input_size[:2]), parser.parse_fn(data.is_training)
    return lambda serialized: parse(decoder.decode(serialized))


def training_data(experiment, folder, seed, step, deterministic):
    """Batches without end, for the steps from `step` on, in an order of their own; (images [batch, h, w, 3], labels).

    folder: of the records; deterministic: from `seed` and `step` the same batches each time, for map functions run one after the other.
    """
    data, seed = experiment.task.train_data, segment_seed(seed, step)
    tf.random.set_seed(seed)  # the functions that are traced below take theirs from it
    examples = tf.data.TFRecordDataset(_files(data, folder), buffer_size=_READ_BYTES)
    if data.shuffle_buffer_size > 1:
        examples = examples.shuffle(data.shuffle_buffer_size, seed=seed, reshuffle_each_iteration=True)
    parallel = None if deterministic else tf.data.AUTOTUNE
    parsed = examples.repeat().map(make_decode(experiment, data), num_parallel_calls=parallel)
    return parsed.batch(data.global_batch_size, drop_remainder=True).prefetch(2)


def evaluation_data(experiment, folder):
    """Every image of the evaluation split once, in order; the last batch may be smaller."""
    data = experiment.task.validation_data
    examples = tf.data.TFRecordDataset(_files(data, folder), buffer_size=_READ_BYTES)
    parsed = examples.map(make_decode(experiment, data), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return parsed.batch(data.global_batch_size).prefetch(2)


def _files(data, folder):
    """Paths of the shards that the experiment names, in order; names may be patterns."""
    names = [data.input_path] if isinstance(data.input_path, str) else list(data.input_path)
    found = [sorted(folder.glob(name)) for name in names]
    if not all(found):
        raise StageError(
            "the experiment names shards that the records do not have",
            "experiment.yaml: input_path",
            folder / names[found.index([])],
            "no such file",
            "run configure-garden on these records",
        )
    return [str(path) for paths in found for path in paths]
