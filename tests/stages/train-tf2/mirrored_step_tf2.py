"""One step on two mirrored processors, beside one step of one processor on each half of the batch: prints how far the weights moved.

The mirrored weights must move by the mean of the two: each replica's loss is divided by the number of replicas, and gradients are summed.
Batch norm does not learn here, and momentum is 0, so that nothing but the gradients counts. Argument: the folder of a records artifact.
"""

import os
import sys
from pathlib import Path

os.environ["TF_USE_LEGACY_KERAS"] = "1"
ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "stages"), str(ROOT / "stages" / "train-tf2"), str(Path(__file__).parent), str(Path(__file__).parents[1])]

CHANGES = {
    "train: true": "train: false",
    "momentum_optimizer_value: 0.9": "momentum_optimizer_value: 0.0",
    "data_augmentation_options { random_horizontal_flip { } }": "",
    "train_input_reader {": "train_input_reader { shuffle: false",
}


def main():
    import numpy as np
    import tensorflow as tf
    import tf2_training_devices as devices
    from _odapi.config_text import parse_config
    from _training.records import resolve_paths
    from tf2_training_graph import TrainingGraph
    from tiny_training_tf2 import config_text

    processor = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)

    def make(strategy, batch_size):
        text = config_text(batch_size=batch_size)
        for old, new in CHANGES.items():
            text = text.replace(old, new)
        config = parse_config(text, "tiny")
        resolve_paths(config, Path(sys.argv[1]))
        graph = TrainingGraph(config, strategy, seed=1, deterministic=False)
        graph.begin(0)
        return graph

    def values(graph):
        return [variable.numpy() for variable in graph.model.trainable_variables]

    one = make(tf.distribute.OneDeviceStrategy("/cpu:0"), 2)
    first, moves = values(one), []
    for _ in range(2):
        one.advance(1)
        moves.append([after - before for after, before in zip(values(one), first)])
        for variable, value in zip(one.model.trainable_variables, first):
            variable.assign(value)
    strategy = devices.mirrored(["/cpu:0", "/cpu:1"], 4)
    both = make(strategy, 4)
    for variable, value in zip(both.model.trainable_variables, first):
        variable.assign(value)
    both.advance(1)
    moved = [after - before for after, before in zip(values(both), first)]
    difference = max(np.abs(own - (a + b) / 2).max() for own, a, b in zip(moved, *moves))
    print("replicas=%d" % strategy.num_replicas_in_sync)
    print("moved=%.9f" % max(np.abs(part).max() for part in moved))
    print("difference=%.9f" % difference)


if __name__ == "__main__":
    main()
