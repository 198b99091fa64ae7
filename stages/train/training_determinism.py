"""What it takes to train to the same bits each time, for a fixed number of threads.

Four things make TensorFlow 1.13's quantization-aware training differ from run to run, or when it is resumed, even with a graph seed:

1. The input pipeline. Its map functions ignore the graph's seed, crops ignore any graph's seed, and the API maps many records at once, so
   that augmentations draw from one random generator in whatever order the threads come. `sequential_input` reads, shuffles and maps in one
   fixed order, from a given seed.
2. Moving averages. Batch norm's update operations assign to variables that other operations of the same step read through an alias of the
   same memory; nothing says which comes first. `order_assignments` makes each assignment wait for those readers.
3. The optimizer's updates write weights in place as soon as their own gradient is known, while other gradients may still read them.
   `order_assignments` makes all of them wait for all gradients.
4. Dropout. Its random generator's state is in no checkpoint. `make_random_stateless` draws from the seed and the step's number instead.

A resumed run sees the same data as one that never stopped because the input is cut into segments: each has its own seed, made of the
run's seed and the step at which it begins, and segments begin at the steps of checkpoints.
"""

from collections import deque
from contextlib import contextmanager

import tensorflow as tf
from object_detection import inputs
from object_detection.data_decoders import tf_example_decoder
from tensorflow.core.framework import attr_value_pb2

from _training.advice import OBJECT_DETECTION_API
from _training.loop import segment_seed
from _training.randomness import RANDOM_OPERATIONS, refuse_random

# Operations whose output may be the very memory of their input.
_ALIASES = frozenset(("Identity", "Reshape", "ExpandDims", "Squeeze", "StopGradient", "Switch", "Merge", "Enter", "RefIdentity"))
_INITIALIZERS = frozenset(("IsVariableInitialized", "SaveV2", "Assign"))


@contextmanager
def sequential_input(seed):
    """Within this context the API's input functions build a dataset that gives the same batches each time.

    `inputs.INPUT_BUILDER_UTIL_MAP` is the API's own place for substituting what builds the dataset; it is put back at the end.
    """
    original = inputs.INPUT_BUILDER_UTIL_MAP["dataset_build"]
    inputs.INPUT_BUILDER_UTIL_MAP["dataset_build"] = lambda reader, batch_size, transform_input_data_fn: _dataset(
        reader, batch_size, transform_input_data_fn, seed
    )
    try:
        yield
    finally:
        inputs.INPUT_BUILDER_UTIL_MAP["dataset_build"] = original


def _dataset(reader, batch_size, transform, seed):
    decoder = tf_example_decoder.TfExampleDecoder(
        load_instance_masks=reader.load_instance_masks,
        load_multiclass_scores=reader.load_multiclass_scores,
        instance_mask_type=reader.mask_type,
        label_map_proto_file=reader.label_map_path,
        use_display_name=reader.use_display_name,
        num_additional_channels=reader.num_additional_channels,
    )

    def decode(record):
        # A map function is a graph of its own and knows nothing of the outer graph's seed.
        tf.set_random_seed(seed)
        transformed = transform(decoder.decode(record))
        _seed_operations(tf.get_default_graph(), seed)
        return transformed

    files = sorted(name for pattern in reader.tf_record_input_reader.input_path for name in tf.gfile.Glob(pattern))
    dataset = tf.data.TFRecordDataset(files, buffer_size=8 << 20)
    if reader.shuffle:
        dataset = dataset.shuffle(reader.shuffle_buffer_size, seed=seed, reshuffle_each_iteration=True)
    dataset = dataset.repeat(reader.num_epochs or None)
    dataset = dataset.map_with_legacy_function(decode) if hasattr(dataset, "map_with_legacy_function") else dataset.map(decode)
    return dataset.batch(batch_size, drop_remainder=True).prefetch(reader.num_prefetch_batches)


def _seed_operations(graph, seed):
    """Seed what the graph's seed does not reach: sample_distorted_bounding_box, which crops use, stays random without a seed of its own."""
    for number, operation in enumerate(graph.get_operations(), 1):
        names = [attribute.name for attribute in operation.op_def.attr]
        if "seed2" in names and operation.get_attr("seed") == 0 and operation.get_attr("seed2") == 0:
            for name, value in (("seed", seed), ("seed2", number)):
                operation._set_attr(name, attr_value_pb2.AttrValue(i=value))


def make_random_stateless(graph, seed):
    """Replace each RandomUniform of a training step by one that depends on nothing but `seed`, its place in the graph and the global step.

    Returns how many; raises StageError for an operation that draws otherwise.
    """
    replaced = 0
    with graph.as_default(), tf.name_scope("determinism"):
        for operation in graph.get_operations():
            if operation.type not in RANDOM_OPERATIONS or "/Initializer/" in operation.name:
                continue
            if operation.type != "RandomUniform":
                raise refuse_random(operation.name, operation.type, OBJECT_DETECTION_API)
            replaced += 1
            key = tf.stack([tf.constant(segment_seed(seed, replaced), tf.int64), tf.train.get_global_step(graph)])
            drawn = tf.contrib.stateless.stateless_random_uniform(operation.inputs[0], key, dtype=operation.outputs[0].dtype)
            for reader in operation.outputs[0].consumers():
                for place, tensor in enumerate(reader.inputs):
                    if tensor is operation.outputs[0]:
                        reader._update_input(place, drawn)
    return replaced


def order_assignments(graph, losses):
    """Add control edges so that nothing in a training step is read while it is written; returns their number.

    graph: holds a whole training step. losses: the tensors that a step fetches, which read the weights too.
    """
    updates = [operation for operation in graph.get_operations() if operation.type.startswith("Apply")]
    needed = [_gradient(update) for update in updates] + [loss.op for loss in losses]
    with graph.as_default(), tf.name_scope("determinism"), tf.control_dependencies(needed):
        barrier = tf.no_op("all_gradients")
    for update in updates:
        update._add_control_input(barrier)
    averages = [tensor if isinstance(tensor, tf.Operation) else tensor.op for tensor in graph.get_collection(tf.GraphKeys.UPDATE_OPS)]
    return len(updates) + sum(_wait_for_readers(average) for average in averages)


def _gradient(update):
    """The operation that computes what `update` (ApplyAdam, ApplyMomentum, ApplyRMSProp, …) applies."""
    names = [argument.name for argument in update.op_def.input_arg]
    return update.inputs[names.index("grad" if "grad" in names else "delta")].op


def _wait_for_readers(update):
    """Make the assignment `update` run after every operation that reads its variable and does not itself need the update."""
    if not update.inputs:
        return 0
    after, before = _reachable(update, _outputs), _reachable(update, _inputs)
    readers = [reader for reader in _readers(update.inputs[0].op) if reader is not update and reader not in after and reader not in before]
    update._add_control_inputs(readers)
    return len(readers)


def _readers(variable):
    """Operations that read the memory of `variable`, through aliases too; those inside a branch of a cond stand for it by its end."""
    found, waiting, seen = [], deque([variable]), {variable}
    while waiting:
        operation = waiting.popleft()
        for reader in (consumer for tensor in operation.outputs for consumer in tensor.consumers()):
            if reader in seen or reader.type in _INITIALIZERS:
                continue
            seen.add(reader)
            # An operation in the branch that is not taken is dead, and what waits for it would be too.
            if reader.type in _ALIASES or reader._get_control_flow_context() is not None:
                waiting.append(reader)
            else:
                found.append(reader)
    return found


def _outputs(operation):
    return [consumer for tensor in operation.outputs for consumer in tensor.consumers()] + list(operation._control_outputs)


def _inputs(operation):
    return [tensor.op for tensor in operation.inputs] + list(operation.control_inputs)


def _reachable(operation, step):
    seen, waiting = set(), [operation]
    while waiting:
        for other in step(waiting.pop()):
            if other not in seen:
                seen.add(other)
                waiting.append(other)
    return seen
