"""The input of a training: the Object Detection API's own, or one that gives the same batches each time.

The API's map functions run in parallel and are legacy functions, which know nothing of any seed; and crops draw at random without one.
`sequential_input` reads, shuffles and maps in one fixed order, from a given seed, with the API's own decoder and augmentation.
"""

import itertools
from contextlib import contextmanager

import tensorflow.compat.v1 as tf
from object_detection import inputs
from object_detection.builders import decoder_builder


def train_dataset(config, model, context):
    """The batches of an endless training, as the API makes them. config: a TrainEvalPipelineConfig; context: of tf.distribute."""
    made = inputs.train_input(
        train_config=config.train_config,
        train_input_config=config.train_input_reader,
        model_config=config.model,
        model=model,
        input_context=context,
    )
    return made.repeat()


@contextmanager
def sequential_input(seed):
    """Within this context the API's input functions build a dataset that gives the same batches each time, on one device.

    `inputs.INPUT_BUILDER_UTIL_MAP` is the API's own place for substituting what builds the dataset; it is put back at the end.
    """
    original = inputs.INPUT_BUILDER_UTIL_MAP["dataset_build"]

    def build(reader, batch_size, transform_input_data_fn, **_):
        return _dataset(reader, batch_size, transform_input_data_fn, seed)

    inputs.INPUT_BUILDER_UTIL_MAP["dataset_build"] = build
    try:
        yield
    finally:
        inputs.INPUT_BUILDER_UTIL_MAP["dataset_build"] = original


def _dataset(reader, batch_size, transform, seed):
    decoder = decoder_builder.build(reader)
    files = sorted(name for pattern in reader.tf_record_input_reader.input_path for name in tf.gfile.Glob(pattern))
    # Map functions take their operations' seeds from this one and from the operations' order.
    tf.random.set_random_seed(seed)
    dataset = tf.data.TFRecordDataset(files, buffer_size=8 << 20)
    if reader.shuffle:
        dataset = dataset.shuffle(reader.shuffle_buffer_size, seed=seed, reshuffle_each_iteration=True)
    dataset = dataset.repeat(reader.num_epochs or None).shard(reader.sample_1_of_n_examples, 0)
    with _seeded_crops(seed):
        dataset = dataset.map(lambda record: transform(decoder.decode(record)))
    return dataset.batch(batch_size, drop_remainder=reader.drop_remainder).prefetch(reader.num_prefetch_batches)


@contextmanager
def _seeded_crops(seed):
    """Give crops seeds of their own: without one, op determinism refuses them."""
    original, numbers = tf.image.sample_distorted_bounding_box, itertools.count(1)

    def seeded(*arguments, **named):
        return original(*arguments, **dict(named, seed=seed, seed2=next(numbers)))

    tf.image.sample_distorted_bounding_box = seeded
    try:
        yield
    finally:
        tf.image.sample_distorted_bounding_box = original
